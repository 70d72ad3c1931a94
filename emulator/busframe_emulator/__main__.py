"""`python -m busframe_emulator`, or `busframe emulator`, starts the server."""

from __future__ import annotations

import gc
import sys


def main(argv: list[str] | None = None) -> int:
    """Do as `server.command.main` does, having loaded it quickly."""
    # Nothing of what is loaded at the start is ever garbage, and looking for some takes a tenth of that time.
    gc.disable()
    try:
        from busframe_emulator.server.command import main as run
    except ModuleNotFoundError as error:
        needs = f"busframe emulator needs the package {error.name!r}: pip install 'busframe[emulator]'"
        print(needs, file=sys.stderr)  # noqa: T201 - this is a program
        return 1
    gc.freeze()
    gc.enable()
    return run(argv)


if __name__ == "__main__":
    sys.exit(main())
