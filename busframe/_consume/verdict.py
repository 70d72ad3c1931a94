"""What becomes of a message after its handler has ended. Decides, and does nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from busframe.errors import CodecError, UnknownTypeError
from busframe.outcome import Drop, Later, Outcome, Reject

if TYPE_CHECKING:
    from busframe.retry import Retry


@dataclass(frozen=True, slots=True)
class Done:
    """Acknowledge it."""


@dataclass(frozen=True, slots=True)
class Again:
    """Have it tried again after `delay_s` seconds.

    Attributes:
        counts: this was an attempt.
        begun: its handler has begun on it.
    """

    delay_s: float
    counts: bool = True
    begun: bool = True


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Let others have it, at once; if not `begun`, without this being an attempt, save on an ordered queue."""

    begun: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Move it to the dead-letter queue."""

    reason: str


@dataclass(frozen=True, slots=True)
class Postpone:
    """Put it back into its queue as a new message, hidden for `left_s` seconds or as long as the broker can."""

    left_s: float


Verdict = Done | Again | GiveBack | GiveUp | Postpone


class NotYetDue(Outcome):
    """The message is to be handled later than its sender could tell the broker at once: it was no attempt."""

    def __init__(self, left_s: float) -> None:
        super().__init__(f"not due for another {left_s:.1f} s")
        self.left_s = left_s


class NoAttempt(Outcome):
    """Nobody has begun on the message: it is tried again in `left_s` seconds, and this does not count."""

    def __init__(self, reason: str, left_s: float) -> None:
        super().__init__(reason)
        self.left_s = left_s


class GivenBack(Outcome):
    """Whoever was to work on the message does not: others may have it. See `GiveBack`."""

    def __init__(self, reason: str, *, begun: bool) -> None:
        super().__init__(reason)
        self.begun = begun


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
        case NotYetDue() | NoAttempt() | GivenBack():
            return _judge_unhandled(error)
        # Trying again helps with nothing of these, save where others may be there that know the type.
        case Reject() | CodecError() if not (isinstance(error, UnknownTypeError) and retry.attempts > 1):
            return GiveUp(f"rejected: {error.reason}" if isinstance(error, Reject) else _text(error))
        case ExceptionGroup(exceptions=[Outcome() as decision]):
            # Said inside a task group of the handler's.
            return judge(decision, attempt=attempt, retry=retry, random=random)
        case Later(count=False):
            return Again(error.delay_s, counts=False)
        case _:
            return _judge_failure(error, attempt, retry, random)


def _judge_unhandled(decision: NotYetDue | NoAttempt | GivenBack) -> Verdict:
    match decision:
        case NotYetDue():
            return Postpone(decision.left_s)
        case NoAttempt():
            return Again(decision.left_s, counts=False, begun=False)
        case GivenBack():
            return GiveBack(decision.begun)


def _judge_failure(error: Exception, attempt: int, retry: Retry, random: float) -> Verdict:
    policy = retry if isinstance(error, Later) else retry.policy_for(error)
    if policy is None:
        return GiveUp(f"never tried again: {_text(error)}")
    if attempt >= policy.attempts:
        return GiveUp(f"attempt {attempt} of {policy.attempts}: {_text(error)}")
    return Again(error.delay_s if isinstance(error, Later) else policy.delay_s(attempt, random))


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
