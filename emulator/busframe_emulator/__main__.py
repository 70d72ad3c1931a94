"""`python -m busframe_emulator` starts the server."""

import sys

from busframe_emulator.server.command import main

sys.exit(main())
