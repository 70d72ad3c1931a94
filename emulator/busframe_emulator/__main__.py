"""`python -m busframe_emulator`, or `busframe emulator`, starts the server."""

from __future__ import annotations

import gc
import sys


def main(argv: list[str] | None = None) -> int:
    """Do as `server.command.main` does, having loaded it quickly."""
    # Nothing of what is loaded at the start is ever garbage, and looking for some takes a tenth of that time.
    gc.disable()
    from busframe_emulator.server.command import main as run

    gc.freeze()
    gc.enable()
    return run(argv)


if __name__ == "__main__":
    sys.exit(main())
