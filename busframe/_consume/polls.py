"""How many polls of one consumer should be under way. Decides, and does nothing.

One poll brings a batch per round trip to the broker, whatever the concurrency. Where that is what holds a consumer up,
more polls at once help; anywhere else they cost calls, or work, and bring nothing:

    came back                                        polls wanted
    full, after a round trip worth the name          one more
    nearly full                                      as many
    not nearly full, or in no time                   one less
    empty, or failed                                 one

So the number doubles with each round trip while all of them come back full, polls at load are nearly full, and an idle
consumer has one poll, which waits.
"""

from __future__ import annotations

from typing import Final

POLLS_MAX: Final = 10
"""Polls of one consumer under way: at 20 ms each they bring 5,000 messages a second from SQS."""

FULL: Final = 0.9
"""This part of what was asked for is a full batch: SQS does not always hand out the tenth message that it has."""

NEARLY_FULL: Final = 0.7
"""Polls that bring less are too many: sent and deleted in tens, a message then costs more than 0.35 calls."""

ROUND_TRIP_S: Final = 0.005
"""A poll that comes back full before that is not waited for: a broker in the same process, or on the same machine."""


class PollCount:
    """How many polls should be under way.

    Args:
        most: what a poll can bring.

    Attributes:
        wanted: so many, `POLLS_MAX` at most.
    """

    __slots__ = ("_most", "wanted")

    def __init__(self, most: int) -> None:
        self.wanted = 1
        self._most = most

    def came_back(self, asked: int, got: int, took_s: float) -> None:
        """Learn from a poll.

        Args:
            asked: how many messages it asked for.
            got: how many it brought.
            took_s: how long it was under way.
        """
        if not got:
            self.wanted = 1
        elif got < NEARLY_FULL * asked or took_s < ROUND_TRIP_S:
            if self.wanted > 1:
                self.wanted -= 1
        # One that asked for less was short of room, and so would be others.
        elif got >= FULL * asked and asked == self._most and self.wanted < POLLS_MAX:
            self.wanted += 1

    def failed(self) -> None:
        """Learn that a poll failed: one finds out when the broker is well again."""
        self.wanted = 1
