"""Faults by position, in words, for `simulate(script=...)` and `lab(script=...)`.

What each means: `busframe_emulator.delivery.faults`.

from busframe.testing import faults as f

simulate(checkout, seeds=1, profile="calm", script=f.script(f.duplicate("orders", message=1)), strict=True)
"""

from busframe_emulator.delivery.faults import (
    batch_entry,
    call,
    crash,
    duplicate,
    lag,
    receive,
    restart,
    script,
    stale_delete,
    stop,
    when,
    zombie,
)

__all__ = [
    "batch_entry",
    "call",
    "crash",
    "duplicate",
    "lag",
    "receive",
    "restart",
    "script",
    "stale_delete",
    "stop",
    "when",
    "zombie",
]
