"""A program whose handlers write down what they do, run by the commands under test."""

from __future__ import annotations

import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

_PROJECT = Path(__file__).parents[2] / "pyproject.toml"
_COMMANDS = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]["entry-points"]["busframe.commands"]


def command_of(name: str) -> Any:
    """The function that runs a command, whether or not this checkout's entry points are installed."""
    module, _, function = _COMMANDS[name].partition(":")
    return getattr(import_module(module), function)


def process_of(name: str, *arguments: str) -> list[str]:
    """What starts a command in a process of its own."""
    module, _, function = _COMMANDS[name].partition(":")
    return [sys.executable, "-c", f"import sys; from {module} import {function} as main; sys.exit(main())", *arguments]


APP = """
import os
import time
from dataclasses import dataclass
import anyio
from busframe import Bus, Command, Event, Later, Reject, Retry, command, event

@event("shop.order.placed", aliases=["OrderPlaced"])
@dataclass(frozen=True)
class OrderPlaced(Event):
    order: str
    customer: str = "ada"

@event("shop.order.cancelled")
@dataclass(frozen=True)
class OrderCancelled(Event):
    order: str

@command("shop.invoice.print")
@dataclass(frozen=True)
class PrintInvoice(Command):
    order: str

@command("shop.note")
class Note(str, Command):
    __slots__ = ()

def log(what):
    # One write of a line: processes that share the file do not mix theirs.
    with open("log", "ab", buffering=0) as file:
        file.write(f"{what} {os.getpid()}\\n".encode())

bus = Bus("shop")
none = Bus("none")

@bus.subscribe(OrderPlaced, group="billing", lease_s=2, retry=Retry(attempts=100, first_s=0))
async def bill(order: OrderPlaced) -> None:
    if order.customer == "nobody":
        raise Reject(f"no customer for {order.order}")
    if order.customer == "later":
        raise Later(delay_s=3600)
    log(f"billed {order.order}")
    if order.customer == "slow":
        await anyio.sleep(0.02)
    if order.customer == "blocking":
        time.sleep(3600)
    if order.customer == "stuck":
        await anyio.sleep(3600)
    log(f"done {order.order}")

@bus.subscribe(OrderPlaced, group="shipping")
async def ship(order: OrderPlaced) -> None:
    log(f"shipped {order.order}")

@bus.handle(PrintInvoice)
async def print_invoice(invoice: PrintInvoice | Note) -> None:
    log(f"printed {invoice.order}")

bus.handle(Note)(print_invoice)
"""
