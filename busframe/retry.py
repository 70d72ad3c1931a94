"""When a failed message is tried again."""

from __future__ import annotations

from dataclasses import dataclass

from busframe.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Exponential back-off with full jitter.

    The n-th failure waits a random time between 0 and `min(cap_s, first_s * 2 ** (n - 1))`: spread over the whole
    range, so that messages that failed together do not come back together (Amazon Builders' Library, "Timeouts,
    retries and backoff with jitter").

    Attributes:
        attempts: deliveries in all, the first included; after the last failure the message is dead-lettered. 1 to 900.
        first_s: upper bound of the first wait; 0 or more.
        cap_s: no wait is longer; at most twelve hours, since that is how long a message can be hidden.
    """

    attempts: int = 5
    first_s: float = 1.0
    cap_s: float = 300.0

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= 900:  # noqa: PLR2004 - maxReceiveCount ends at 1,000, and the safety net needs room
            raise InvalidArgumentError("attempts", self.attempts, "1 to 900")
        if not 0 <= self.first_s <= 43_200:  # noqa: PLR2004 - Amazon SQS, ChangeMessageVisibility: twelve hours
            raise InvalidArgumentError("first_s", self.first_s, "0 to 43200 seconds")
        if not 0 <= self.cap_s <= 43_200:  # noqa: PLR2004 - the same
            raise InvalidArgumentError("cap_s", self.cap_s, "0 to 43200 seconds")

    @classmethod
    def exponential(cls, *, attempts: int = 5, first_s: float = 1.0, cap_s: float = 300.0) -> Retry:
        """The same as `Retry(...)`, by the name people look for."""
        return cls(attempts=attempts, first_s=first_s, cap_s=cap_s)

    def delay_s(self, attempt: int, random: float) -> float:
        """How long to wait after the `attempt`-th failure (from 1), given a random number in [0, 1)."""
        # 2.0 ** 1000 overflows a float; past 60 doublings every cap is reached.
        return random * min(self.cap_s, self.first_s * 2.0 ** min(attempt - 1, 60))
