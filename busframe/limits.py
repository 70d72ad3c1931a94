"""The checks every backend makes before it sends anything, from its `Capabilities` alone.

Each raises `InvalidArgumentError` that names the parameter, the value and what is allowed. For authors of backends:
call these first, and the kit's tests of bad input pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busframe.errors import InvalidArgumentError
from busframe.message import Release, is_ordered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.backend import Capabilities
    from busframe.message import Extension, Outgoing, QueueName, Settlement

PEEK_MAX: Final = 1_000


def check_send(capabilities: Capabilities, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[int]:
    """Check a batch to send, and tell how large each message is.

    A message that is too large alone is not refused here: it fails alone. Nor does a message count toward the batch's
    bytes that is larger than any batch may be: where a backend takes it nevertheless (`message_bytes_max`), its body
    travels by another way.
    """
    if len(batch) == 1 and _is_plain(batch[0]) and not is_ordered(queue):
        return (batch[0].size_bytes,)
    _check_entries(capabilities, batch)
    ordered = is_ordered(queue)
    largest = min(capabilities.message_bytes_max, capabilities.batch_bytes_max)
    fitting = 0
    sizes_bytes: list[int] = []
    for message in batch:
        sizes_bytes.append(message.size_bytes)
        if message.size_bytes <= largest:
            fitting += message.size_bytes
        if ordered:
            if message.group is None:
                raise InvalidArgumentError("group", None, f"text: {queue} keeps order within groups")
            if message.delay_s:
                raise InvalidArgumentError("delay_s", message.delay_s, f"0: {queue} is ordered; give the queue a delay")
        elif message.deduplication_id is not None:
            raise InvalidArgumentError("deduplication_id", message.deduplication_id, f"None: {queue} is not ordered")
        if message.delay_s:
            _check_range("delay_s", message.delay_s, capabilities.delay_s_max)
    if fitting > capabilities.batch_bytes_max:
        raise InvalidArgumentError("batch", fitting, f"at most {capabilities.batch_bytes_max} bytes in all")
    return sizes_bytes


def _is_plain(message: Outgoing) -> bool:
    """Tell whether nothing can be wrong with it on a queue without order, as with most: for calls of one message."""
    return not message.delay_s and message.deduplication_id is None


def check_receive(capabilities: Capabilities, *, limit: int, wait_s: float, lease_s: float) -> None:
    """Check what a receive asks for."""
    if not 1 <= limit <= capabilities.receive_entries_max:
        raise InvalidArgumentError("limit", limit, f"1 to {capabilities.receive_entries_max}")
    _check_range("wait_s", wait_s, capabilities.wait_s_max)
    _check_range("lease_s", lease_s, capabilities.lease_s_max)


def check_settle(capabilities: Capabilities, batch: Sequence[Settlement]) -> None:
    """Check a batch of settlements."""
    _check_entries(capabilities, batch)
    for settlement in batch:
        if isinstance(settlement, Release):
            _check_range("delay_s", settlement.delay_s, capabilities.lease_s_max)


def check_extend(capabilities: Capabilities, batch: Sequence[Extension]) -> None:
    """Check a batch of extensions."""
    _check_entries(capabilities, batch)
    for extension in batch:
        _check_range("lease_s", extension.lease_s, capabilities.lease_s_max)


def check_peek(limit: int) -> None:
    """Check how much a peek asks for."""
    if not 1 <= limit <= PEEK_MAX:
        raise InvalidArgumentError("limit", limit, f"1 to {PEEK_MAX}")


def _check_entries(capabilities: Capabilities, batch: Sequence[object]) -> None:
    if not 1 <= len(batch) <= capabilities.batch_entries_max:
        raise InvalidArgumentError("batch", len(batch), f"1 to {capabilities.batch_entries_max} entries")


def _check_range(parameter: str, value: float, high: float) -> None:
    if not 0 <= value <= high:
        raise InvalidArgumentError(parameter, value, f"0 to {high:g} seconds")
