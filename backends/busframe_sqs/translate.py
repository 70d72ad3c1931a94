"""Between the bus's values and SQS's: messages, entries of batches, seconds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

from busframe.errors import UnavailableError
from busframe.message import Failed, MessageId, Receipt, Received, Sent, Settled
from busframe_sqs.claims import handle_in
from busframe_sqs.errors import entry_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from busframe.message import Outgoing, QueueName
    from busframe_sqs.client import AttributeValue, BatchAnswer, DoneEntry, Message, ReceiptEntry, SendEntry
    from busframe_sqs.errors import Doing

T = TypeVar("T")


def whole_seconds(seconds: float) -> int:
    """Round up: SQS knows whole seconds alone, and a lease must not end early. All its bounds are whole."""
    return math.ceil(seconds)


def send_entry(index: int, message: Outgoing) -> SendEntry:
    """Write one message of a batch, known by its place."""
    entry: SendEntry = {"Id": str(index), "MessageBody": message.body}
    if message.attributes:
        entry["MessageAttributes"] = {name: _attribute(value) for name, value in message.attributes.items()}
    # 0 would override the queue's delay; the contract has no such wish.
    if message.delay_s:
        entry["DelaySeconds"] = whole_seconds(message.delay_s)
    if message.group is not None:
        entry["MessageGroupId"] = message.group
    if message.deduplication_id is not None:
        entry["MessageDeduplicationId"] = message.deduplication_id
    return entry


def receipt_entry(index: int, receipt: Receipt, hidden_s: float | None = None) -> ReceiptEntry:
    """Write one receipt of a batch, known by its place; with `hidden_s`, to change its visibility."""
    entry: ReceiptEntry = {"Id": str(index), "ReceiptHandle": handle_in(receipt)}
    if hidden_s is not None:
        entry["VisibilityTimeout"] = whole_seconds(hidden_s)
    return entry


def received(message: Message, logical_name: Callable[[str], QueueName]) -> Received:
    """Read one delivery."""
    system = message["Attributes"]
    source_arn = system.get("DeadLetterQueueSourceArn")
    return Received(
        message_id=MessageId(message["MessageId"]),
        receipt=Receipt(message["ReceiptHandle"]),
        body=message["Body"],
        attributes=_attributes(message.get("MessageAttributes", {})),
        receive_count=int(system["ApproximateReceiveCount"]),
        sent_at_s=int(system["SentTimestamp"]) / 1000,
        group=system.get("MessageGroupId"),
        deduplication_id=system.get("MessageDeduplicationId"),
        sequence=system.get("SequenceNumber"),
        dead_letter_source=logical_name(name_in_arn(source_arn)) if source_arn else None,
    )


def name_in_arn(arn: str) -> str:
    """Take the queue's name from `arn:aws:sqs:region:account:name`."""
    return arn.rpartition(":")[2]


def outcomes(
    queue: QueueName, answer: BatchAnswer, indexes: Sequence[int], done: Callable[[DoneEntry], T], doing: Doing
) -> dict[int, T | Failed]:
    """Read a batch's answer: the fate of each entry in `indexes`, by index.

    An entry that the answer does not mention may have been done or not: nothing but `effect == "unknown"` is true.
    """
    fates: dict[int, T | Failed] = {
        index: Failed(error=UnavailableError(f"queue {queue}: the answer does not mention entry {index}"))
        for index in indexes
    }
    for success in answer.get("Successful", ()):
        fates[int(success["Id"])] = done(success)
    for failure in answer.get("Failed", ()):
        fates[int(failure["Id"])] = Failed(error=entry_error(queue, failure, doing))
    return fates


def sent(entry: DoneEntry) -> Sent:
    """Read the success of one message."""
    return Sent(message_id=MessageId(entry.get("MessageId", "")), sequence=entry.get("SequenceNumber"))


def settled(_entry: DoneEntry) -> Settled:
    """Read the success of one receipt: there is nothing more to it."""
    return Settled()


def _attribute(value: str | bytes) -> AttributeValue:
    if isinstance(value, str):
        return {"DataType": "String", "StringValue": value}
    return {"DataType": "Binary", "BinaryValue": value}


def _attributes(values: Mapping[str, AttributeValue]) -> dict[str, str | bytes]:
    """Numbers and labelled types of foreign senders come as text or bytes, whichever they are."""
    return {name: value.get("BinaryValue") or value.get("StringValue", "") for name, value in values.items()}
