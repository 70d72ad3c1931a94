"""Context managers that are for `async with`, and explain themselves where they are used in another way."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Generic, NoReturn, TypeVar

from busframe.errors import NotConnectedError

if TYPE_CHECKING:
    from types import TracebackType

T_co = TypeVar("T_co", covariant=True)


class Entering(AbstractAsyncContextManager[T_co, None], Generic[T_co]):
    """What happens between entering and leaving `async with`; once.

    Awaited, or entered with `with`, it raises `NotConnectedError`, which says how it is to be used.

    Args:
        opening: the context manager that does it.
        written: the call that gives this, as a program writes it.
        advice: what to write, as a clause; None is that of a connection.
    """

    def __init__(
        self, opening: AbstractAsyncContextManager[T_co, bool | None], written: str, advice: str | None = None
    ) -> None:
        self._opening = opening
        self._written = written
        self._advice = advice

    async def __aenter__(self) -> T_co:
        return await self._opening.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        await self._opening.__aexit__(kind, error, traceback)

    if not TYPE_CHECKING:  # to type checkers these are mistakes, which they explain in their own way

        def __await__(self) -> NoReturn:
            raise NotConnectedError(f"await {self._written}", self._advice)

        def __enter__(self) -> NoReturn:
            raise NotConnectedError(f"with {self._written}", self._advice)

        def __exit__(self, *_: object) -> None:
            """Never called: `with` looks for it before it calls the other."""
