"""When a failed message is tried again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from busframe.checks import check_is, check_seconds, check_whole
from busframe.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Exponential back-off with full jitter, and what to do otherwise about errors of some classes.

    The n-th failure waits a random time between 0 and `min(cap_s, first_s * 2 ** (n - 1))`: spread over the whole
    range, so that messages that failed together do not come back together (Amazon Builders' Library, "Timeouts,
    retries and backoff with jitter").

        Retry(attempts=6, never=(InvalidOrder,), by_error={RateLimited: Retry(attempts=50, first_s=10)})

    Of several classes that an error belongs to, the nearest decides: `by_error={OSError: ..., TimeoutError: ...}` takes
    the second for a timeout, and `never=(LookupError,), by_error={KeyError: ...}` tries again after a KeyError only.
    What a task group inside the handler raises, an ExceptionGroup, is judged by the errors in it: it is never tried
    again if that is so for one of them, else by the one that gets the fewest attempts.

    Attributes:
        attempts: deliveries in all, the first included; after the last failure the message is dead-lettered. 1 to 900.
        first_s: upper bound of the first wait; 0 or more.
        cap_s: no wait is longer; at most twelve hours, since that is how long a message can be hidden.
        never: classes of errors that trying again will not help: the message is dead-lettered at the first.
        by_error: another policy for a class of errors. Attempts count from the message's first delivery, whatever
            the earlier ones failed of.
    """

    attempts: int = 5
    first_s: float = 1.0
    cap_s: float = 300.0
    never: tuple[type[Exception], ...] = ()
    by_error: Mapping[type[Exception], Retry] = field(default_factory=dict[type[Exception], "Retry"], hash=False)

    def __post_init__(self) -> None:
        check_whole("attempts", self.attempts, 1, 900)  # maxReceiveCount ends at 1,000, and the safety net needs room
        check_seconds("first_s", self.first_s, 0, 43_200)  # Amazon SQS, ChangeMessageVisibility: twelve hours
        check_seconds("cap_s", self.cap_s, 0, 43_200)
        check_is("never", self.never, tuple, "a tuple of classes of exceptions, such as (ValueError,)")
        check_is("by_error", self.by_error, Mapping, "policies by class of exception, such as {OSError: Retry()}")
        for kind in self.never:
            _require_error("never", kind)
        for kind, policy in self.by_error.items():
            _require_error("by_error", kind)
            if kind in self.never:
                raise InvalidArgumentError("by_error", kind.__name__, "not a class that is in `never` too")
            if not isinstance(policy, Retry):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped code
                raise InvalidArgumentError(f"by_error[{kind.__name__}]", policy, "a Retry")
            if policy.never or policy.by_error:
                allowed = "a policy without `never` and `by_error`: list the classes in the outer one"
                raise InvalidArgumentError(f"by_error[{kind.__name__}]", policy, allowed)

    @classmethod
    def exponential(
        cls,
        *,
        attempts: int = 5,
        first_s: float = 1.0,
        cap_s: float = 300.0,
        never: tuple[type[Exception], ...] = (),
        by_error: Mapping[type[Exception], Retry] | None = None,
    ) -> Retry:
        """The same as `Retry(...)`, by the name people look for."""
        return cls(
            attempts=attempts, first_s=first_s, cap_s=cap_s, never=never, by_error={} if by_error is None else by_error
        )

    @property
    def attempts_max(self) -> int:
        """The most attempts a message can get, whatever it fails of."""
        return max(self.attempts, *(policy.attempts for policy in self.by_error.values()), 1)

    def policy_for(self, error: Exception) -> Retry | None:
        """The policy that decides about an error; None if it is one never to try again."""
        if isinstance(error, ExceptionGroup):
            group = cast("ExceptionGroup[Exception]", error)
            policies = [self.policy_for(inner) for inner in group.exceptions]
            tried = [policy for policy in policies if policy is not None]
            return min(tried, key=lambda policy: policy.attempts) if len(tried) == len(policies) else None
        if not self.never and not self.by_error:
            return self
        for kind in type(error).__mro__:
            if kind in self.never:
                return None
            if kind in self.by_error:
                return self.by_error[kind]
        return self

    def delay_s(self, attempt: int, random: float) -> float:
        """How long to wait after the `attempt`-th failure (from 1), given a random number in [0, 1)."""
        # 2.0 ** 1000 overflows a float; past 60 doublings every cap is reached.
        return random * min(self.cap_s, self.first_s * 2.0 ** min(attempt - 1, 60))


def _require_error(parameter: str, given: object) -> None:
    kind = given
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        raise InvalidArgumentError(parameter, given, "classes of exceptions")
