"""Runs a program against an SQS emulator of its own, over HTTP.

    python examples/with_emulator.py python my_program.py ...

The emulator listens on a free port of this machine, the program finds it through the environment variables that every
AWS SDK reads, and it ends with the program.
"""

from __future__ import annotations

import os
import subprocess
import sys

from busframe_emulator.server.thread import run_in_thread


def main() -> int:
    """Run the command line that was given, and return its exit code."""
    command = sys.argv[1:]
    if not command:
        print(__doc__, file=sys.stderr)
        return 2
    # SDKs insist on a region, and read different variables for it.
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    with run_in_thread() as server:
        environment = {
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            **os.environ,
            "AWS_ENDPOINT_URL_SQS": server.url,
            "AWS_ACCESS_KEY_ID": "anything",
            "AWS_SECRET_ACCESS_KEY": "anything",
        }
        return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603 - it is what was asked for


if __name__ == "__main__":
    sys.exit(main())
