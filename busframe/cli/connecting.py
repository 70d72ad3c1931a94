"""Where a command connects to: `--url` and `--recipients`, or the environment in their place."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from busframe.bus import Bus
from busframe.cli.finding import find_bus
from busframe.errors import ConfigurationError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import AsyncGenerator

    from busframe.backend import ProvisionMode
    from busframe.session import Live

URL_VARIABLE: Final = "BUSFRAME_URL"
RECIPIENTS_VARIABLE: Final = "BUSFRAME_RECIPIENTS"


def add_connection(parser: ArgumentParser) -> None:
    """Give a command the options that name its broker and its recipient list."""
    group = parser.add_argument_group("connection")
    group.add_argument(
        "--url", help=f"the broker, such as sqlite:///shop.db or sqs://eu-west-1?prefix=dev- (else ${URL_VARIABLE})"
    )
    group.add_argument(
        "--recipients",
        metavar="URL",
        help="the recipient list, such as sqlite:///subscriptions.db, where the broker keeps none "
        f"(else ${RECIPIENTS_VARIABLE})",
    )


def add_app(parser: ArgumentParser, *, required: bool = True) -> None:
    """Give a command the argument that names a program's bus."""
    parser.add_argument(
        "app", nargs=None if required else "?", help="the program's bus as module:name, such as shop.app:bus"
    )


def url_of(arguments: Namespace) -> str:
    """The broker's URL.

    Raises:
        ConfigurationError: neither the option nor the environment names one.
    """
    url: str | None = arguments.url or _from_environment(URL_VARIABLE)
    if url is None:
        raise ConfigurationError(
            "no broker is named: give its URL, such as --url sqlite:///shop.db, or set it in the environment as "
            f"{URL_VARIABLE}"
        )
    return url


def require_shared(*, shared: bool) -> None:
    """Refuse several processes where each would have a broker of its own.

    Raises:
        ConfigurationError: it is so.
    """
    if not shared:
        raise ConfigurationError(
            "--workers: the broker is this process's own; several processes need one that they share, such as "
            "--url sqlite:///queue.db"
        )


def recipients_of(arguments: Namespace) -> str | None:
    """The recipient list's URL, if the option or the environment names one."""
    return arguments.recipients or _from_environment(RECIPIENTS_VARIABLE)


def bus_of(arguments: Namespace) -> Bus:
    """The program's bus, or, where none is named, one that subscribes to nothing."""
    name: str | None = arguments.app
    return Bus("busframe-cli") if name is None else find_bus(name)


@asynccontextmanager
async def connected(
    arguments: Namespace, bus: Bus, *, inbox: str | None = None, provision: ProvisionMode = "assume"
) -> AsyncGenerator[Live]:
    """Connect as the arguments say. As it is, nothing is made and nothing is checked.

    Args:
        arguments: with those of `add_connection`.
        bus: the program's, or one of the command's own.
        inbox: for commands that run handlers.
        provision: see `Bus.connect`.
    """
    url = url_of(arguments)
    recipients = recipients_of(arguments)
    async with bus.connect(url, recipients=recipients, inbox=inbox, provision=provision) as live:
        yield live


def _from_environment(name: str) -> str | None:
    return os.environ.get(name) or None
