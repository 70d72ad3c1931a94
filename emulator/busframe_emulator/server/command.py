"""The command line: `busframe emulator`, or `python -m busframe_emulator`."""

from __future__ import annotations

import argparse
import asyncio  # noqa: TID251 - the server is what owns the loop
import errno
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from busframe_emulator.server.emulator import EmulatorServer
from busframe_emulator.server.persistence.errors import DataDirectoryError
from busframe_emulator.wire.identity import DEFAULT_ACCOUNT, DEFAULT_REGION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe_emulator.delivery.scripts import Script
    from busframe_emulator.engine.settings import Limits
    from busframe_emulator.server.configuration import QueuePlan

PORT_MAX: Final = 65_535
HELP_WIDTH: Final = 100

DEFAULT_PORT: Final = 9324
"""The port that SQS emulators are usually looked for at."""


def main(argv: list[str] | None = None) -> int:
    """Run the server until it is interrupted.

    Args:
        argv: the arguments, without the program's name; None for those of the process.

    Returns:
        The exit status: 0 when it was stopped, 1 when it could not begin, or not go on.
    """
    options = _parser().parse_args(argv)
    try:
        server = _make_server(options)
    except ValueError as error:
        print(f"busframe emulator: {error}", file=sys.stderr)  # noqa: T201 - this is a program
        return 1
    try:
        return asyncio.run(_serve(server, options))
    except (ValueError, DataDirectoryError) as error:
        print(f"busframe emulator: {error}", file=sys.stderr)  # noqa: T201 - this is a program
        return 1
    except OSError as error:
        # asyncio's own text says the address once more, as Python would write it; a name's failures are negative.
        reason = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else error.strerror or error
        hint = " (--port 0 takes a free one)" if error.errno == errno.EADDRINUSE else ""
        print(f"busframe emulator: cannot listen on {options.host}:{options.port}: {reason}{hint}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:  # before the handlers were in place
        pass
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="busframe emulator",
        description="Serve Amazon SQS on this machine.",
        # With a width it does not look for the terminal's, for which it would load much of the standard library.
        formatter_class=partial(argparse.HelpFormatter, width=HELP_WIDTH),
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, help="0 for a free one (default: %(default)s)")
    parser.add_argument("--account", default=DEFAULT_ACCOUNT, help="of callers that name none (default: %(default)s)")
    parser.add_argument("--region", default=DEFAULT_REGION, help="of callers that name none (default: %(default)s)")
    parser.add_argument("--config", metavar="FILE", help="create the queues in this TOML file, with its limits")
    parser.add_argument(
        "--limit", metavar="NAME=VALUE", action="append", default=[], help="set a limit, such as in_flight_max=10"
    )
    parser.add_argument("--clock", choices=("real", "manual"), default="real", help="manual: stands until it is moved")
    parser.add_argument("--control-token", metavar="TOKEN", help="what /_busframe/ and /metrics ask for, from anywhere")
    parser.add_argument("--log", action="store_true", help="print a line for every request")
    parser.add_argument("--auth", metavar="FILE", help="verify signatures with the access keys in this TOML file")
    parser.add_argument("--enforce-policies", action="store_true", help="refuse what queue policies do not allow")
    parser.add_argument("--public-url", metavar="URL", help="what queue URLs begin with (default: the caller's host)")
    parser.add_argument(
        "--cors", metavar="ORIGIN", action="append", default=[], help="let web pages from there use SQS"
    )
    parser.add_argument("--data", metavar="DIR", help="keep everything in this directory (default: nothing is kept)")
    parser.add_argument("--profile", metavar="NAME", help="be hostile: calm, realistic, hostile or swarm")
    parser.add_argument("--seed", type=int, metavar="N", help="of what a profile does by chance (default: 0)")
    parser.add_argument("--script", metavar="FILE", help="let happen what this JSON file says")
    parser.add_argument("--flush", action="store_true", help="have it on the disk itself before answering")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > PORT_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 to {PORT_MAX}")
    return int(text)


def _make_server(options: argparse.Namespace) -> EmulatorServer:
    keys = None
    if options.auth is not None:
        from busframe_emulator.server.keys import read_keys  # few have keys, and TOML takes its time to load

        keys = read_keys(options.auth)
    queues: Sequence[QueuePlan] = ()
    set_limits: dict[str, Any] = {}
    if options.config is not None:
        from busframe_emulator.server.configuration import read_configuration  # the same

        queues, in_file = read_configuration(options.config, region=options.region, account=options.account)
        set_limits.update(in_file)
    limits: Limits | None = None
    if options.limit or set_limits:
        from busframe_emulator.limits import make_limits, parse_limits  # the same

        limits = make_limits(set_limits | parse_limits(options.limit))
    log = None
    if options.log:
        from busframe_emulator.server.access_log import AccessLog  # the same

        log = AccessLog()
    return EmulatorServer(
        region=options.region,
        account=options.account,
        limits=limits,
        log=log,
        control_token=options.control_token,
        manual_clock=options.clock == "manual",
        queues=queues,
        keys=keys,
        enforce_policies=options.enforce_policies,
        public_url=options.public_url,
        cors=options.cors,
        data=options.data,
        flush=options.flush,
        profile=options.profile,
        seed=options.seed,
        script=None if options.script is None else _read_script(options.script),
    )


def _read_script(path: str) -> Script:
    import json  # few have a script

    from busframe_emulator.delivery.scripts import Script

    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib takes its time to load
            return Script.from_data(json.load(file))
    except (OSError, ValueError) as error:
        raise ValueError(f"the script {path}: {error}") from None


async def _serve(server: EmulatorServer, options: argparse.Namespace) -> int:
    await server.start(options.host, options.port)
    stopped = asyncio.Event()
    server.on_failure = stopped.set
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    # With keys, there is one in the file for whoever reads this; without, any will do.
    credentials = "" if options.auth else " AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x"
    keys = f" Access keys: those in {options.auth}." if options.auth else ""
    # Version 1 of the AWS CLI does not heed the environment variable for SQS.
    print(  # noqa: T201 - this is a program
        f"Listening on {server.url} (AWS CLI 1: aws --endpoint-url {server.url} sqs ...).{keys} For SDKs: export "
        f"AWS_ENDPOINT_URL_SQS={server.url}{credentials} AWS_REGION={options.region} "
        f"AWS_DEFAULT_REGION={options.region}",
        flush=True,
    )
    await stopped.wait()
    await server.stop()
    return 0 if server.failure is None else 1
