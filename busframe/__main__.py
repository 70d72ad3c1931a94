"""`python -m busframe` is `busframe`, for where scripts are not on the path."""

from __future__ import annotations

import sys

from busframe.cli import main

if __name__ == "__main__":
    sys.exit(main())
