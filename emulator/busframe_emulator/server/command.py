"""The command line: `busframe emulator`, or `python -m busframe_emulator`."""

from __future__ import annotations

import argparse
import asyncio  # noqa: TID251 - the server is what owns the loop
import signal
import sys
from typing import TYPE_CHECKING, Final

from busframe_emulator.server.emulator import EmulatorServer
from busframe_emulator.server.request import TARGET
from busframe_emulator.wire.identity import DEFAULT_ACCOUNT, DEFAULT_REGION

if TYPE_CHECKING:
    from busframe_emulator.server.request import Request

DEFAULT_PORT: Final = 9324
"""The port that SQS emulators are usually looked for at."""


def main(argv: list[str] | None = None) -> int:
    """Run the server until it is interrupted.

    Args:
        argv: the arguments, without the program's name; None for those of the process.

    Returns:
        The exit status: 0 when it was stopped, 1 when it could not listen.
    """
    options = _parser().parse_args(argv)
    try:
        asyncio.run(_serve(options))
    except OSError as error:
        reason = error.strerror or error
        print(f"busframe emulator: cannot listen on {options.host}:{options.port}: {reason}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:  # before the handlers were in place
        pass
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="busframe emulator", description="Serve Amazon SQS on this machine.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 for a free one (default: %(default)s)")
    parser.add_argument("--account", default=DEFAULT_ACCOUNT, help="of callers that name none (default: %(default)s)")
    parser.add_argument("--region", default=DEFAULT_REGION, help="of callers that name none (default: %(default)s)")
    parser.add_argument("--log", action="store_true", help="print a line for every request")
    return parser


async def _serve(options: argparse.Namespace) -> None:
    server = EmulatorServer(region=options.region, account=options.account, log=_log if options.log else None)
    await server.start(options.host, options.port)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    # Version 1 of the AWS CLI does not heed the environment variable for SQS.
    print(  # noqa: T201 - this is a program
        f"Listening on {server.url} (AWS CLI 1: aws --endpoint-url {server.url} sqs ...). For SDKs: export "
        f"AWS_ENDPOINT_URL_SQS={server.url} AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_REGION={options.region} "
        f"AWS_DEFAULT_REGION={options.region}",
        flush=True,
    )
    await stopped.wait()
    await server.stop()


def _log(request: Request, status: int) -> None:
    what = request.headers.get(TARGET) or request.method
    print(status, what.decode("latin-1"), request.url.decode("latin-1"), flush=True)  # noqa: T201 - asked for
