"""A connection that is yet to be opened: what `Bus.connect` gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from busframe.entering import Entering
from busframe.errors import NotConnectedError
from busframe.session import Live

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager


class Connecting(Entering[Live]):
    """Opens a connection where `async with` is entered, and closes it where that is left; once.

        async with bus.connect("sqlite:///shop.db") as live:
            await live.publish(...)

    Used as if it were the connection itself it raises `NotConnectedError`, which says so.
    """

    def __init__(self, opening: AbstractAsyncContextManager[Live, bool | None]) -> None:
        super().__init__(opening, "bus.connect(...)")

    if not TYPE_CHECKING:  # to type checkers it is a mistake, which they explain in their own way

        def __getattr__(self, name: str) -> NoReturn:
            if not name.startswith("_") and hasattr(Live, name):
                raise NotConnectedError(f"bus.connect(...).{name}")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
