"""How a handler says what becomes of its message, other than by returning.

Returning is done. Any other exception than these follows the subscription's retry policy.
"""

from __future__ import annotations

from busframe.checks import check_flag, check_seconds, check_text


class Outcome(Exception):  # noqa: N818 - not an error: a handler's decision
    """The common root of `Later`, `Reject` and `Drop`."""


class Later(Outcome):
    """Have the message delivered again after `delay_s` seconds, or what is left of its twelve hours if that is less.

    It counts as an attempt: at the last attempt of the subscription's retry policy the message is dead-lettered, with
    this as the reason. A handler that often has to wait needs a policy with many attempts, or `count=False`.

    Args:
        delay_s: 0 to 43,200.
        count: False lets it not count, however often it is said: for "not now", such as while a partner's system is
            closed. The message goes to the end of its queue and keeps its age and its attempts; a crash in the
            instant in which that is done leaves it there twice. On an ordered queue it keeps its place instead; there
            it counts if the consumer cannot keep it in hand so long (docs/consuming.md, "Messages that are held"), and
            elsewhere for a foreign message that has ten attributes or no room for one more.
    """

    def __init__(self, delay_s: float, *, count: bool = True) -> None:
        check_seconds("delay_s", delay_s, 0, 43_200)  # Amazon SQS, ChangeMessageVisibility: twelve hours
        check_flag("count", count)
        super().__init__(f"again in {delay_s:g} s")
        self.delay_s = delay_s
        self.count = count


class Reject(Outcome):
    """Move the message to the dead-letter queue now: trying again would not help."""

    def __init__(self, reason: str) -> None:
        check_text("reason", reason)
        super().__init__(reason)
        self.reason = reason


class Drop(Outcome):
    """Remove the message without having handled it: nobody will miss it."""

    def __init__(self, reason: str) -> None:
        check_text("reason", reason)
        super().__init__(reason)
        self.reason = reason
