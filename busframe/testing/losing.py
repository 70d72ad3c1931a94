"""Loses calls of any backend, for `Trial.fail_call`: as a network does it, on the way there or on the way back.

    async with open_my_backend(clock) as backend:
        yield Trial(backend=backend, advance=clock.advance, fail_call=LosingCalls(backend).lose)

It stands between the backend and whoever calls it. What a backend does when its own broker fails in the middle of a
call it does not show: whoever can make files, statements or requests fail hands over something of that kind instead.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar

from busframe.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from busframe.backend import Backend

R = TypeVar("R")

_METHODS: Final = (
    "provision",
    "send",
    "receive",
    "settle",
    "extend",
    "stats",
    "describe",
    "list_queues",
    "purge",
    "remove",
)


class LosingCalls:
    """Puts itself before the methods of a backend.

    Args:
        backend: the object whose methods are replaced; its class is left alone.
    """

    def __init__(self, backend: Backend) -> None:
        self._left = 0
        for name in _METHODS:
            setattr(backend, name, self._losing(getattr(backend, name)))

    def lose(self, nth: int) -> bool:
        """Lose one call from now on, or its answer.

        Args:
            nth: 1 loses the next call, 2 its answer, 3 the call after it, ...; 0 loses nothing.

        Returns:
            Whether what was to be lost before this has been.
        """
        came_up, self._left = self._left == 0, nth
        return came_up

    def _losing(self, method: Callable[..., Awaitable[R]]) -> Callable[..., Awaitable[R]]:
        @wraps(method)
        async def call(*arguments: Any, **named: Any) -> R:
            if self._comes_up():
                raise UnavailableError("the call was lost", effect="none")
            answer = await method(*arguments, **named)
            if self._comes_up():
                raise UnavailableError("the answer was lost", effect="unknown")
            return answer

        return call

    def _comes_up(self) -> bool:
        if not self._left:
            return False
        self._left -= 1
        return not self._left
