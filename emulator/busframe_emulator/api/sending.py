"""SendMessage and SendMessageBatch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from busframe_emulator.api import actions, results
from busframe_emulator.api.batches import check_entries
from busframe_emulator.api.md5 import md5_of_attributes, md5_of_body
from busframe_emulator.api.members import DELAY, check_range
from busframe_emulator.api.messages import (
    TRACE_HEADER,
    attributes_bytes,
    check_group,
    encode_body,
    read_attributes,
    read_trace_header,
)
from busframe_emulator.engine import requests
from busframe_emulator.engine.errors import SqsError
from busframe_emulator.engine.requests import MessageAttribute, Send
from busframe_emulator.engine.settings import SECOND_US

if TYPE_CHECKING:
    from busframe_emulator.api.caller import Caller
    from busframe_emulator.engine.engine import Engine
    from busframe_emulator.engine.settings import QueueAddress

BATCH_BYTES_MAX: Final = 1_048_576
"""Over all entries, whatever the queue's own limit. Amazon SQS API, SendMessageBatch."""


class Letter(Struct, frozen=True):
    """A message ready to be sent, and its checksums."""

    send: Send
    md5_of_body: str
    md5_of_attributes: str | None
    md5_of_system_attributes: str | None


def send_message(engine: Engine, caller: Caller, now_us: int, request: actions.SendMessage) -> results.Sent:
    """Append one message."""
    letter = _letter(caller, caller.address(request.queue_url), request)
    reply = engine.apply(now_us, letter.send)
    return results.Sent(
        md5_of_message_body=letter.md5_of_body,
        md5_of_message_attributes=letter.md5_of_attributes,
        md5_of_message_system_attributes=letter.md5_of_system_attributes,
        message_id=reply.message_id,
        sequence_number=reply.sequence,
    )


def send_message_batch(
    engine: Engine, caller: Caller, now_us: int, request: actions.SendMessageBatch
) -> results.SentBatch:
    """Append up to ten messages. What is wrong with one entry is that entry's fate, not the batch's."""
    queue = caller.address(request.queue_url)
    check_entries(request.entries, "SendMessageBatchRequestEntry")
    fates: list[Letter | SqsError] = []
    sends: list[Send] = []
    size_bytes = 0
    for entry in request.entries:
        try:
            letter = _letter(caller, queue, entry)
        except SqsError as error:
            fates.append(error)
            size_bytes += _faulty_bytes(entry)
        else:
            fates.append(letter)
            sends.append(letter.send)
            size_bytes += letter.send.size_bytes
    if size_bytes > BATCH_BYTES_MAX:
        raise SqsError(
            "BatchRequestTooLong",
            f"Batch requests cannot be longer than {BATCH_BYTES_MAX} bytes. You have sent {size_bytes} bytes.",
        )
    reply = engine.apply(now_us, requests.Batch(queue=queue, requests=sends))
    outcomes = iter(reply.outcomes)
    successful: list[results.SentEntry] = []
    failed: list[results.FailedEntry] = []
    for entry, fate in zip(request.entries, fates, strict=True):
        outcome = next(outcomes) if isinstance(fate, Letter) else fate
        if isinstance(fate, Letter) and isinstance(outcome, requests.Sent):
            successful.append(
                results.SentEntry(
                    id=entry.id,
                    md5_of_message_body=fate.md5_of_body,
                    md5_of_message_attributes=fate.md5_of_attributes,
                    md5_of_message_system_attributes=fate.md5_of_system_attributes,
                    message_id=outcome.message_id,
                    sequence_number=outcome.sequence,
                )
            )
        elif isinstance(outcome, SqsError):
            failed.append(results.FailedEntry.of(entry.id, outcome))
    return results.SentBatch(successful=successful, failed=failed)


def _letter(caller: Caller, queue: QueueAddress, given: actions.SendMessage | actions.SendEntry) -> Letter:
    """Check what can be checked without the queue, and compute the checksums."""
    encoded = encode_body(given.message_body)
    size_bytes = len(encoded)
    delay_us: int | None = None
    if given.delay_seconds is not None:
        check_range(DELAY, "DelaySeconds", given.delay_seconds)
        delay_us = given.delay_seconds * SECOND_US
    if given.message_group_id is not None:
        check_group(given.message_group_id, "MessageGroupId")
    if given.message_deduplication_id is not None:
        check_group(given.message_deduplication_id, "MessageDeduplicationId")
    attributes: dict[str, MessageAttribute] | None = None
    md5_attributes: str | None = None
    if given.message_attributes:
        attributes = read_attributes(given.message_attributes)
        md5_attributes = md5_of_attributes(attributes)
        size_bytes += attributes_bytes(attributes)
    trace_header = caller.trace_header
    md5_system: str | None = None
    if given.message_system_attributes:
        trace_header = read_trace_header(given.message_system_attributes)
        md5_system = md5_of_attributes({TRACE_HEADER: MessageAttribute("String", trace_header)})
    send = Send(
        queue=queue,
        body=given.message_body,
        size_bytes=size_bytes,
        attributes=attributes,
        delay_us=delay_us,
        group=given.message_group_id,
        deduplication_id=given.message_deduplication_id,
        trace_header=trace_header,
        sender=caller.sender,
    )
    return Letter(send, md5_of_body(encoded), md5_attributes, md5_system)


def _faulty_bytes(entry: actions.SendEntry) -> int:
    """What an entry that is refused adds to the size of its batch: all the same, as far as it can be told."""
    total = len(entry.message_body.encode())
    for name, value in (entry.message_attributes or {}).items():
        content = value.binary_value or (value.string_value or "").encode()
        total += len(name.encode()) + len((value.data_type or "").encode()) + len(content)
    return total
