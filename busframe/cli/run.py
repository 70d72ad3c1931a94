"""`busframe run`: run a program's handlers, in this process or in several that are watched over."""

from __future__ import annotations

import logging
import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from time import gmtime
from typing import TYPE_CHECKING, Final, get_args

from busframe.backend import ProvisionMode, is_in_one_process
from busframe.cli.connecting import URL_VARIABLE, add_app, add_connection, require_shared
from busframe.cli.endpoint import parse_address
from busframe.cli.link import WORKER_VARIABLE
from busframe.cli.running import run
from busframe.cli.supervisor import Policy, Supervisor
from busframe.cli.watchdog import Watchdog
from busframe.cli.worker import Worker
from busframe.config import BackendUrl, backend_factory
from busframe.errors import InvalidArgumentError
from busframe.session import DRAIN_S

if TYPE_CHECKING:
    from argparse import Namespace

CODES: Final = """\
exit codes:
  0    told to stop, and drained; or the end that was asked for is reached
  1    an end is reached, and messages were given back or dead-lettered on the way;
       or workers died too often, or had to be killed
  2    wrong use: arguments, URL, or a program that cannot be connected as it is
  3    the broker failed or refused: at the start, or so that nothing could be received when an end was reached
  4    told to stop, and handlers went on whatever was done: the process ended without them, and their messages come
       again when their leases end
  130  interrupted while starting

signals: SIGTERM and SIGINT drain; a second ends the drain, and messages in hand are given back; a third kills.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run `busframe run ...` and return its exit code; see `CODES`."""
    given = sys.argv[1:] if arguments is None else arguments
    parsed = make_parser().parse_args(given)
    _set_up_log(parsed.log_level)
    if not is_supervised(parsed):
        with Watchdog(parsed.drain_s) as watchdog:
            return run(_work, parsed, watchdog, name="run", loop=parsed.loop)
    return run(_supervise, parsed, given, name="run")


def worker_main() -> int:
    """Run as one of several processes, with the arguments of the one that watches over them."""
    parsed = make_parser().parse_args()
    _set_up_log(parsed.log_level)
    return run(_work, parsed, name="run", loop=parsed.loop)


def is_supervised(arguments: Namespace) -> bool:
    """Tell whether the arguments ask for processes that are replaced."""
    recycled = arguments.recycle_messages or arguments.recycle_s or arguments.recycle_rss_mb
    return arguments.workers > 1 or arguments.isolate or arguments.reload or recycled is not None


def make_parser() -> ArgumentParser:
    """Make what reads the arguments of `busframe run`."""
    parser = ArgumentParser(
        prog="busframe run",
        description="Run a program's handlers until told to stop, or until an end is reached.",
        epilog=CODES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    add_app(parser)
    add_connection(parser)
    parser.add_argument("--inbox", metavar="URL", help="where handled messages are remembered for once=True")
    parser.add_argument(
        "--provision",
        choices=get_args(ProvisionMode),
        default="create",
        help="queues: create what is missing, check that it is there, or assume so without a call (default: create)",
    )
    parser.add_argument("--group", action="append", metavar="NAME", help="run this group only; repeatable")
    parser.add_argument("--concurrency", type=int, metavar="N", help="messages of each group at a time, in a process")
    parser.add_argument(
        "--drain-s",
        type=float,
        default=DRAIN_S,
        metavar="S",
        help=f"how long handlers may go on when told to stop (default: {DRAIN_S:g})",
    )
    parser.add_argument(
        "--loop", choices=("asyncio", "trio"), default="asyncio", help="what the handlers run on (default: asyncio)"
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="what is logged to standard error, from this level on (default: info)",
    )
    parser.add_argument(
        "--metrics",
        metavar="[HOST:]PORT",
        help="serve /metrics for Prometheus, and /health, /health/live and /health/ready for probes, of all processes "
        "together (default host: 127.0.0.1; port 0 takes a free one and says which)",
    )
    parser.add_argument("--status", metavar="FILE", help="keep telling in this file how it is, for `busframe ps FILE`")
    parser.add_argument("--json", action="store_true", help="at an end, say as JSON what became of the messages")

    ends = parser.add_argument_group("ends, for jobs that a timer starts; the first that is reached counts")
    ends.add_argument(
        "--once", action="store_true", help="handle one message, if there is one: --drain --max-messages 1"
    )
    ends.add_argument(
        "--drain", action="store_true", help="end when nothing is left that could be received now; delayed is left"
    )
    ends.add_argument("--max-messages", type=int, metavar="N", help="take N messages; one given back counts")
    ends.add_argument("--max-time", type=float, metavar="S", help="end after S seconds")

    processes = parser.add_argument_group("processes")
    processes.add_argument(
        "--workers", type=int, default=1, metavar="N", help="run the handlers in so many processes (default: 1)"
    )
    processes.add_argument(
        "--isolate", action="store_true", help="each process takes one message and ends; a new one takes its place"
    )
    processes.add_argument(
        "--recycle-messages", type=int, metavar="N", help="replace a process after N messages or more"
    )
    processes.add_argument("--recycle-s", type=float, metavar="S", help="replace a process after S seconds")
    processes.add_argument(
        "--recycle-rss-mb", type=float, metavar="M", help="replace a process that uses M MiB of memory"
    )
    processes.add_argument(
        "--reload", action="store_true", help="for development: replace processes when a .py file below here changes"
    )
    return parser


def _check(arguments: Namespace) -> None:
    for option, low in (("workers", 1), ("concurrency", 1), ("max_messages", 1), ("recycle_messages", 1)):
        value = getattr(arguments, option)
        if value is not None and value < low:
            raise InvalidArgumentError(_flag(option), value, f"{low} or more")
    for option in ("max_time", "recycle_s", "recycle_rss_mb"):
        value = getattr(arguments, option)
        if value is not None and not 0 < value < float("inf"):
            raise InvalidArgumentError(_flag(option), value, "more than 0, finite")
    if not 0 <= arguments.drain_s < float("inf"):
        raise InvalidArgumentError("--drain-s", arguments.drain_s, "0 or more seconds, finite")
    if arguments.metrics is not None:
        parse_address(arguments.metrics)
    if is_supervised(arguments) and (arguments.once or arguments.max_messages is not None):
        option = "--once" if arguments.once else "--max-messages"
        allowed = "given to a single process: without --workers, --isolate, --reload and --recycle-..."
        raise InvalidArgumentError(option, arguments.max_messages or 1, allowed)
    if arguments.once and arguments.max_messages not in {None, 1}:
        raise InvalidArgumentError("--max-messages", arguments.max_messages, "left out beside --once, which is one")


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


async def _work(arguments: Namespace, watchdog: Watchdog | None = None) -> int:
    _check(arguments)
    return await Worker(arguments, watchdog).run()


async def _supervise(arguments: Namespace, given: list[str]) -> int:
    _check(arguments)
    if arguments.workers > 1:
        # Once, and here. That no URL is named is left to the workers: the program may name one in its environment.
        url = arguments.url or os.environ.get(URL_VARIABLE)
        if url:
            require_shared(shared=not is_in_one_process(backend_factory(BackendUrl.parse(url).scheme)))
    policy = Policy(
        workers=arguments.workers,
        ends=arguments.drain,
        isolate=arguments.isolate,
        time_max_s=arguments.max_time,
        drain_s=arguments.drain_s,
        reload=arguments.reload,
        status=arguments.status,
        as_json=arguments.json,
        metrics=None if arguments.metrics is None else parse_address(arguments.metrics),
    )
    # -P: what lies in the working directory must not take the place of modules of Python's own while it starts.
    command = [sys.executable, "-P", "-m", "busframe.cli.run", *given]
    return await Supervisor(command, policy).run()


def _set_up_log(level: str) -> None:
    """Log to standard error, unless somebody has set up logging already."""
    worker = os.environ.get(WORKER_VARIABLE)
    name = f"worker {worker}" if worker else "busframe"
    logging.Formatter.converter = gmtime
    logging.basicConfig(
        level=level.upper(),
        format=f"%(asctime)s.%(msecs)03dZ {name} [%(process)d] %(levelname)s %(name)s: %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
    if level != "debug":
        for chatty in ("botocore", "boto3", "urllib3", "s3transfer"):
            logging.getLogger(chatty).setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(worker_main())
