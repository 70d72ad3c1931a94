"""What the actions answer: a table like `actions`. `flat` says what the Query protocol calls lists and maps.

Empty collections are left out on the wire, as Amazon SQS does; those of batch results are not.
"""

# No `from __future__ import annotations`: see `actions`.

from typing import Annotated

from msgspec import Struct, field

from busframe_emulator.api.errors import entry_code
from busframe_emulator.api.members import flat
from busframe_emulator.engine.errors import SqsError

MD5_OF_ATTRIBUTES = "MD5OfMessageAttributes"


class Result(Struct, kw_only=True, rename="pascal", omit_defaults=True):
    """What an action answers."""


class QueueUrl(Result, kw_only=True):
    """The answer to CreateQueue and GetQueueUrl."""

    queue_url: str


class QueueUrls(Result, kw_only=True):
    """The answer to ListQueues."""

    queue_urls: Annotated[list[str], flat("QueueUrl")] | None = None
    next_token: str | None = None


class SourceQueueUrls(Result, kw_only=True):
    """The answer to ListDeadLetterSourceQueues, whose list has a small letter at its beginning."""

    queue_urls: Annotated[list[str], flat("QueueUrl")] | None = field(default=None, name="queueUrls")
    next_token: str | None = None


class Tags(Result, kw_only=True):
    """The answer to ListQueueTags."""

    tags: Annotated[dict[str, str], flat("Tag", key="Key")] | None = None


class QueueAttributes(Result, kw_only=True):
    """The answer to GetQueueAttributes."""

    attributes: Annotated[dict[str, str], flat("Attribute")] | None = None


class Sent(Result, kw_only=True):
    """The answer to SendMessage. A checksum of attributes is there only if there are such attributes."""

    md5_of_message_body: str = field(name="MD5OfMessageBody")
    md5_of_message_attributes: str | None = field(default=None, name=MD5_OF_ATTRIBUTES)
    md5_of_message_system_attributes: str | None = field(default=None, name="MD5OfMessageSystemAttributes")
    message_id: str
    sequence_number: str | None = None


class AttributeValue(Result, kw_only=True):
    """A message attribute as it is given back."""

    string_value: str | None = None
    binary_value: bytes | None = None
    data_type: str


class Message(Result, kw_only=True):
    """One delivery."""

    message_id: str
    receipt_handle: str
    md5_of_body: str = field(name="MD5OfBody")
    body: str
    attributes: Annotated[dict[str, str], flat("Attribute")] | None = None
    md5_of_message_attributes: str | None = field(default=None, name=MD5_OF_ATTRIBUTES)
    message_attributes: Annotated[dict[str, AttributeValue], flat("MessageAttribute")] | None = None


class Messages(Result, kw_only=True):
    """The answer to ReceiveMessage."""

    messages: Annotated[list[Message], flat("Message")] | None = None


class SentEntry(Sent, kw_only=True):
    """The good fate of one entry of a SendMessageBatch."""

    id: str


class SettledEntry(Result, kw_only=True):
    """The good fate of one entry of a DeleteMessageBatch or ChangeMessageVisibilityBatch."""

    id: str


class FailedEntry(Result, kw_only=True):
    """The bad fate of one entry of a batch."""

    id: str
    sender_fault: bool
    code: str
    message: str

    @classmethod
    def of(cls, entry_id: str, error: SqsError) -> "FailedEntry":
        """Say why the entry failed. Every failure the emulator knows is the sender's."""
        return cls(id=entry_id, sender_fault=True, code=entry_code(error.shape), message=error.text)


class BatchResult(Struct, kw_only=True, rename="pascal"):
    """The answer to a batch: every entry is in one of two lists. Both are there even when empty."""

    failed: Annotated[list[FailedEntry], flat("BatchResultErrorEntry")]


class SentBatch(BatchResult, kw_only=True):
    """The answer to SendMessageBatch."""

    successful: Annotated[list[SentEntry], flat("SendMessageBatchResultEntry")]


class DeletedBatch(BatchResult, kw_only=True):
    """The answer to DeleteMessageBatch."""

    successful: Annotated[list[SettledEntry], flat("DeleteMessageBatchResultEntry")]


class ChangedBatch(BatchResult, kw_only=True):
    """The answer to ChangeMessageVisibilityBatch."""

    successful: Annotated[list[SettledEntry], flat("ChangeMessageVisibilityBatchResultEntry")]


class MoveTaskHandle(Result, kw_only=True):
    """The answer to StartMessageMoveTask."""

    task_handle: str


class MoveTask(Result, kw_only=True):
    """One message move task. The time is in milliseconds since 1970."""

    task_handle: str | None = None
    status: str
    source_arn: str
    destination_arn: str | None = None
    max_number_of_messages_per_second: int | None = None
    approximate_number_of_messages_moved: int
    approximate_number_of_messages_to_move: int
    failure_reason: str | None = None
    started_timestamp: int


class MoveTasks(Result, kw_only=True):
    """The answer to ListMessageMoveTasks. The list is there even when empty."""

    results: Annotated[list[MoveTask], flat("ListMessageMoveTasksResultEntry")]


class MoveTaskCancelled(Result, kw_only=True):
    """The answer to CancelMessageMoveTask."""

    approximate_number_of_messages_moved: int


AnyResult = Result | BatchResult | None
"""None is the answer of an action that says no more than that it is done."""
