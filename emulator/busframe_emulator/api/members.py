"""What a member of an action can be: the words in which the table of `actions` is written.

A member's type says what JSON may hold. What a type cannot say rides along as `msgspec.Meta`, so that the fast decoder
refuses exactly what the exact reader (`reading`) refuses: ranges, "must not be empty", and in `extra` what only the
reader needs, under these keys:

- `reason`: the words after "Reason: " when a number is out of its range;
- `query`: the member's name in the Query protocol, where lists and maps are flattened (`Attribute.1.Name`);
- `key`: what a map's keys are called there, "Name" or "Key"; its values are always "Value";
- `checked`: the range that the handler checks, for the reference page;
- `queue`: the member names the queue the action is on, and if it is missing there is no such queue.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from busframe_emulator.engine.errors import invalid_value


def between(low: int, high: int, reason: str) -> Meta:
    """An integer from `low` to `high`, both included; `reason` is AWS's wording of that."""
    return Meta(ge=low, le=high, extra={"reason": reason})


def flat(query: str, *, key: str = "Name") -> Meta:
    """A list or map that the Query protocol spells `<query>.1`, `<query>.2`, and so on."""
    return Meta(extra={"query": query, "key": key})


Required = Annotated[str, Meta(min_length=1)]
"""Text that must be there; SQS treats an empty one as missing."""

QueueUrl = Annotated[str, Meta(min_length=1, extra={"queue": True})]
"""Which queue. SQS answers a missing one with QueueDoesNotExist, not with MissingParameter."""


def checked(limits: Meta) -> Meta:
    """An integer whose range the handler checks, by `check_range`. Amazon SQS API: Integer is 32 bits wide."""
    extra = {"reason": "Must be a 32-bit integer.", "checked": f"{limits.ge} to {limits.le}"}
    return Meta(ge=-(2**31), le=2**31 - 1, extra=extra)


DELAY = between(0, 900, "DelaySeconds must be >= 0 and <= 900.")
DelaySeconds = Annotated[int, DELAY]
EntryDelaySeconds = Annotated[int, checked(DELAY)]

VISIBILITY = between(0, 43_200, "Must be >= 0 and <= 43200, if provided.")
VisibilityTimeout = Annotated[int, VISIBILITY]
EntryVisibilityTimeout = Annotated[int, checked(VISIBILITY)]

MOVES = between(1, 500, "Must be between 1 and 500, if provided.")
MaxMovesPerSecond = Annotated[int, checked(MOVES)]
"""Amazon SQS API, StartMessageMoveTask. The handler checks it after the queues."""

WaitTimeSeconds = Annotated[int, between(0, 20, "Must be >= 0 and <= 20, if provided.")]

MaxNumberOfMessages = Annotated[int, between(1, 10, "Must be between 1 and 10, if provided.")]

MaxMoveTasks = Annotated[int, between(1, 10, "Must be between 1 and 10, if provided.")]

MaxResults = Annotated[int, between(1, 1000, "Must be between 1 and 1000, if provided.")]


def check_range(limits: Meta, parameter: str, value: int) -> None:
    """Refuse a number that is out of its range, in AWS's words."""
    if (limits.ge is not None and value < limits.ge) or (limits.le is not None and value > limits.le):
        raise invalid_value(parameter, value, (limits.extra or {})["reason"])
