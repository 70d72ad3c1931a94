"""What becomes of a message after its handler has ended. Decides, and does nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from busframe.errors import CodecError
from busframe.outcome import Drop, Later, Reject

if TYPE_CHECKING:
    from busframe.retry import Retry


@dataclass(frozen=True, slots=True)
class Done:
    """Acknowledge it."""


@dataclass(frozen=True, slots=True)
class Again:
    """Give it back, to come again after `delay_s` seconds."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Move it to the dead-letter queue."""

    reason: str


Verdict = Done | Again | GiveUp


def judge(error: Exception | None, *, attempt: int, retry: Retry, random: float) -> Verdict:
    """Decide.

    Args:
        error: what the handler raised; None if it returned.
        attempt: which delivery this was, from 1.
        retry: the subscription's policy.
        random: in [0, 1), for the jitter.
    """
    match error:
        case None | Drop():
            return Done()
        case Later() if attempt < retry.attempts:
            return Again(error.delay_s)
        case Reject():
            return GiveUp(f"rejected: {error.reason}")
        case CodecError():
            return GiveUp(f"{type(error).__name__}: {error}")
        case _ if attempt >= retry.attempts:
            return GiveUp(f"attempt {attempt} of {retry.attempts}: {type(error).__name__}: {error}")
        case _:
            return Again(retry.delay_s(attempt, random))
