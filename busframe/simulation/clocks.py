"""Every clock that a program can ask, in virtual time: those of `time` and of `datetime`.

`datetime.now` cannot be exchanged as a module's function is: its class is written in C, takes no new attributes, and
most programs have taken it out of its module long before a run. So its methods are exchanged in the class's own
dictionary, and CPython is told to forget what it had looked up there. On another Python it stays the real clock.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from datetime import tzinfo

EPOCH_S: Final = 1_900_000_000
"""Wall-clock time at the start of each run: in 2030, so that nobody mistakes it for a real one."""

_NANOSECONDS: Final = 1_000_000_000

_LOCALTIME: Final = time.localtime
_GMTIME: Final = time.gmtime
_CTIME: Final = time.ctime
_STRFTIME: Final = time.strftime

_CAN_EXCHANGE_NOW: Final = sys.implementation.name == "cpython"


def exchange_clocks(
    exchange: Callable[[Any, str, object], None], patches: ExitStack, now_s: Callable[[], float]
) -> None:
    """Let all clocks show virtual time.

    Args:
        exchange: an attribute of an object or module, until the end of the run.
        patches: what is to be done at the end of the run.
        now_s: virtual seconds since its start.
    """

    def wall_s() -> float:
        return EPOCH_S + now_s()

    def ticks_ns() -> int:
        return round(now_s() * _NANOSECONDS)

    def in_words(form: str, at: Any = None) -> str:
        return _STRFTIME(form, _LOCALTIME(wall_s()) if at is None else at)

    exchange(time, "time", wall_s)
    exchange(time, "time_ns", lambda: round(wall_s() * _NANOSECONDS))
    for name in ("monotonic", "perf_counter"):
        exchange(time, name, now_s)
        exchange(time, f"{name}_ns", ticks_ns)
    for name, told in (("localtime", _LOCALTIME), ("gmtime", _GMTIME), ("ctime", _CTIME)):
        exchange(time, name, partial(_at, told, wall_s))
    exchange(time, "strftime", in_words)
    _exchange_now(patches, wall_s)


def _at(told: Callable[[float], object], wall_s: Callable[[], float], at_s: float | None = None) -> object:
    return told(wall_s() if at_s is None else at_s)


def _exchange_now(patches: ExitStack, wall_s: Callable[[], float]) -> None:
    """`date.today` and `datetime.today` ask `time.time` anyway."""

    def now(cls: type[datetime], tz: tzinfo | None = None) -> datetime:
        return cls.fromtimestamp(wall_s(), tz)

    def utcnow(cls: type[datetime]) -> datetime:
        return cls.fromtimestamp(wall_s(), UTC).replace(tzinfo=None)

    if _CAN_EXCHANGE_NOW:
        patches.callback(_put, {name: vars(datetime)[name] for name in ("now", "utcnow")})
        _put({"now": classmethod(now), "utcnow": classmethod(utcnow)})


def _put(methods: dict[str, Any]) -> None:
    # What `vars` gives is a proxy, and refers to one object: the dictionary that it shows.
    cast("dict[str, Any]", gc.get_referents(vars(datetime))[0]).update(methods)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime))
