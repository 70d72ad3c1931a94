"""A connection that is yet to be opened: what `Bus.connect` gives."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, NoReturn

from busframe.errors import NotConnectedError
from busframe.session import Live

if TYPE_CHECKING:
    from types import TracebackType


class Connecting(AbstractAsyncContextManager[Live, None]):
    """Opens a connection where `async with` is entered, and closes it where that is left; once.

        async with bus.connect("sqlite:///shop.db") as live:
            await live.publish(...)

    Used as if it were the connection itself it raises `NotConnectedError`, which says so.
    """

    def __init__(self, opening: AbstractAsyncContextManager[Live, bool | None]) -> None:
        self._opening = opening

    async def __aenter__(self) -> Live:
        return await self._opening.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        await self._opening.__aexit__(kind, error, traceback)

    if not TYPE_CHECKING:  # to type checkers these are mistakes, which they explain in their own way

        def __getattr__(self, name: str) -> NoReturn:
            if not name.startswith("_") and hasattr(Live, name):
                raise NotConnectedError(f"bus.connect(...).{name}")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

        def __await__(self) -> NoReturn:
            raise NotConnectedError("await bus.connect(...)")

        def __enter__(self) -> NoReturn:
            raise NotConnectedError("with bus.connect(...)")

        def __exit__(self, *_: object) -> None:
            """Never called: `with` looks for it before it calls the other."""
