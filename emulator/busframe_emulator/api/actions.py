"""The table of actions: one class per action, one line per member.

A class is at once the row of the table (member names, types, ranges, what is required, the Query protocol's spelling),
the decoder of the JSON protocol and the typed value its handler is given. A member's JSON name is its field name in
CamelCase unless `name=` says otherwise. A field without a default is required.

To add an action: write its class here and its handler beside its likes, and pair the two in `service`.

Source: Amazon SQS API, version 2012-11-05.
"""

# No `from __future__ import annotations`: msgspec reads the annotations of these classes when it is imported, and
# resolving them from text would cost start-up time.

from typing import Annotated, ClassVar

from msgspec import Struct, field

from busframe_emulator.api.members import (
    DelaySeconds,
    EntryDelaySeconds,
    EntryVisibilityTimeout,
    MaxMovesPerSecond,
    MaxMoveTasks,
    MaxNumberOfMessages,
    MaxResults,
    QueueUrl,
    Required,
    VisibilityTimeout,
    WaitTimeSeconds,
    flat,
)

ALL_ACTIONS = frozenset(
    {
        "AddPermission",
        "CancelMessageMoveTask",
        "ChangeMessageVisibility",
        "ChangeMessageVisibilityBatch",
        "CreateQueue",
        "DeleteMessage",
        "DeleteMessageBatch",
        "DeleteQueue",
        "GetQueueAttributes",
        "GetQueueUrl",
        "ListDeadLetterSourceQueues",
        "ListMessageMoveTasks",
        "ListQueueTags",
        "ListQueues",
        "PurgeQueue",
        "ReceiveMessage",
        "RemovePermission",
        "SendMessage",
        "SendMessageBatch",
        "SetQueueAttributes",
        "StartMessageMoveTask",
        "TagQueue",
        "UntagQueue",
    }
)
"""Every action SQS has. One that were not handled here would be refused by name."""


Shapes = tuple[str, ...]
"""Of errors: what an action can be refused with beside `errors.COMMON`. No type of a member, and so a ClassVar."""

_NO_QUEUE = ("QueueDoesNotExist",)
_NO_RESOURCE = ("ResourceNotFoundException",)
_ATTRIBUTES = ("InvalidAttributeName", "InvalidAttributeValue")
_MESSAGE = ("InvalidMessageContents", "UnsupportedOperation")
_RECEIPT = ("ReceiptHandleIsInvalid",)
_BATCH = ("BatchEntryIdsNotDistinct", "EmptyBatchRequest", "InvalidBatchEntryId", "TooManyEntriesInBatchRequest")


class Input(Struct, frozen=True, kw_only=True, rename="pascal"):
    """What an action is given."""

    errors: ClassVar[Shapes] = ()


class QueueInput(Input, frozen=True, kw_only=True):
    """What an action on one queue is given."""

    errors: ClassVar[Shapes] = _NO_QUEUE
    queue_url: QueueUrl


# --- parts ----------------------------------------------------------------------------------------------------------


class AttributeValue(Input, frozen=True, kw_only=True):
    """The value of a message attribute: a type with its label, and the text or the bytes that go with it."""

    data_type: str | None = None
    string_value: str | None = None
    binary_value: bytes | None = None
    string_list_values: Annotated[list[str], flat("StringListValue")] | None = None
    binary_list_values: Annotated[list[bytes], flat("BinaryListValue")] | None = None


MessageAttributes = Annotated[dict[str, AttributeValue], flat("MessageAttribute")]
MessageSystemAttributes = Annotated[dict[str, AttributeValue], flat("MessageSystemAttribute")]
Attributes = Annotated[dict[str, str], flat("Attribute")]
AttributeNames = Annotated[list[str], flat("AttributeName")]


class Entry(Input, frozen=True, kw_only=True):
    """One entry of a batch.

    An empty `id` is not missing: it has an error of its own. Ranges within an entry are that entry's fault and not the
    request's, so the handler checks them.
    """

    id: str


class SendEntry(Entry, frozen=True, kw_only=True):
    """One message of a SendMessageBatch."""

    message_body: Required
    delay_seconds: EntryDelaySeconds | None = None
    message_attributes: MessageAttributes | None = None
    message_system_attributes: MessageSystemAttributes | None = None
    message_deduplication_id: str | None = None
    message_group_id: str | None = None


class DeleteEntry(Entry, frozen=True, kw_only=True):
    """One receipt of a DeleteMessageBatch."""

    receipt_handle: Required


class VisibilityEntry(Entry, frozen=True, kw_only=True):
    """One receipt of a ChangeMessageVisibilityBatch. Amazon SQS API: an absent timeout is taken as 0."""

    receipt_handle: Required
    visibility_timeout: EntryVisibilityTimeout | None = None


# --- queues ---------------------------------------------------------------------------------------------------------


class CreateQueue(Input, frozen=True, kw_only=True):
    """Make a queue."""

    errors: ClassVar[Shapes] = ("QueueDeletedRecently", "QueueNameExists", *_ATTRIBUTES)
    queue_name: Required
    attributes: Attributes | None = None
    tags: Annotated[dict[str, str], flat("Tag", key="Key")] | None = field(default=None, name="tags")


class GetQueueUrl(Input, frozen=True, kw_only=True):
    """Find a queue by its name."""

    errors: ClassVar[Shapes] = _NO_QUEUE
    queue_name: Required
    queue_owner_account: str | None = field(default=None, name="QueueOwnerAWSAccountId")


class ListQueues(Input, frozen=True, kw_only=True):
    """Name the queues of an account and region. Without `max_results` there are no pages, and at most 1,000 names."""

    queue_name_prefix: str | None = None
    max_results: MaxResults | None = None
    next_token: str | None = None


class DeleteQueue(QueueInput, frozen=True, kw_only=True):
    """Remove a queue with its messages."""


class PurgeQueue(QueueInput, frozen=True, kw_only=True):
    """Remove a queue's messages."""

    errors: ClassVar[Shapes] = (*_NO_QUEUE, "PurgeQueueInProgress")


class GetQueueAttributes(QueueInput, frozen=True, kw_only=True):
    """Look at a queue. Without names nothing is returned."""

    errors: ClassVar[Shapes] = (*_NO_QUEUE, "InvalidAttributeName")
    attribute_names: AttributeNames | None = None


class SetQueueAttributes(QueueInput, frozen=True, kw_only=True):
    """Change a queue."""

    errors: ClassVar[Shapes] = (*_NO_QUEUE, *_ATTRIBUTES)
    attributes: Attributes


class ListDeadLetterSourceQueues(QueueInput, frozen=True, kw_only=True):
    """Name the queues that have this one as their dead-letter queue."""

    max_results: MaxResults | None = None
    next_token: str | None = None


class TagQueue(QueueInput, frozen=True, kw_only=True):
    """Add tags to a queue."""

    tags: Annotated[dict[str, str], flat("Tag", key="Key")]


class UntagQueue(QueueInput, frozen=True, kw_only=True):
    """Take tags off a queue."""

    tag_keys: Annotated[list[str], flat("TagKey")]


class ListQueueTags(QueueInput, frozen=True, kw_only=True):
    """Name a queue's tags."""


class AddPermission(QueueInput, frozen=True, kw_only=True):
    """Allow actions on a queue to other accounts."""

    errors: ClassVar[Shapes] = (*_NO_QUEUE, "OverLimit")
    label: Required
    account_ids: Annotated[list[str], flat("AWSAccountId")] = field(name="AWSAccountIds")
    actions: Annotated[list[str], flat("ActionName")]


class RemovePermission(QueueInput, frozen=True, kw_only=True):
    """Take back what AddPermission allowed."""

    label: Required


# --- message move tasks ---------------------------------------------------------------------------------------------


class StartMessageMoveTask(Input, frozen=True, kw_only=True):
    """Begin to move dead letters, to a queue or each to where it came from."""

    errors: ClassVar[Shapes] = _NO_RESOURCE
    source_arn: str
    destination_arn: str | None = None
    max_number_of_messages_per_second: MaxMovesPerSecond | None = None


class ListMessageMoveTasks(Input, frozen=True, kw_only=True):
    """Show the newest tasks of a queue."""

    errors: ClassVar[Shapes] = _NO_RESOURCE
    source_arn: str
    max_results: MaxMoveTasks | None = None


class CancelMessageMoveTask(Input, frozen=True, kw_only=True):
    """End a running task."""

    errors: ClassVar[Shapes] = _NO_RESOURCE
    task_handle: Required


# --- messages -------------------------------------------------------------------------------------------------------


class SendMessage(QueueInput, frozen=True, kw_only=True):
    """Append one message."""

    errors: ClassVar[Shapes] = (*_NO_QUEUE, *_MESSAGE)
    message_body: Required
    delay_seconds: DelaySeconds | None = None
    message_attributes: MessageAttributes | None = None
    message_system_attributes: MessageSystemAttributes | None = None
    message_deduplication_id: str | None = None
    message_group_id: str | None = None


class SendMessageBatch(QueueInput, frozen=True, kw_only=True):
    """Append up to ten messages, each with a fate of its own."""

    errors: ClassVar[Shapes] = (*_NO_QUEUE, *_MESSAGE, *_BATCH, "BatchRequestTooLong")
    entries: Annotated[list[SendEntry], flat("SendMessageBatchRequestEntry")]


class ReceiveMessage(QueueInput, frozen=True, kw_only=True):
    """Take messages. `attribute_names` is the older name of `message_system_attribute_names`."""

    errors: ClassVar[Shapes] = (*_NO_QUEUE, "OverLimit")
    attribute_names: AttributeNames | None = None
    message_system_attribute_names: AttributeNames | None = None
    message_attribute_names: Annotated[list[str], flat("MessageAttributeName")] | None = None
    max_number_of_messages: MaxNumberOfMessages | None = None
    visibility_timeout: VisibilityTimeout | None = None
    wait_time_seconds: WaitTimeSeconds | None = None
    receive_request_attempt_id: str | None = None


class DeleteMessage(QueueInput, frozen=True, kw_only=True):
    """Settle one delivery: remove the message."""

    errors: ClassVar[Shapes] = (*_NO_QUEUE, *_RECEIPT)
    receipt_handle: Required


class DeleteMessageBatch(QueueInput, frozen=True, kw_only=True):
    """Settle up to ten deliveries, each with a fate of its own."""

    errors: ClassVar[Shapes] = (*_NO_QUEUE, *_RECEIPT, *_BATCH)
    entries: Annotated[list[DeleteEntry], flat("DeleteMessageBatchRequestEntry")]


class ChangeMessageVisibility(QueueInput, frozen=True, kw_only=True):
    """Hide one delivered message for so long from now; 0 gives it back."""

    errors: ClassVar[Shapes] = (*_NO_QUEUE, *_RECEIPT)
    receipt_handle: Required
    visibility_timeout: VisibilityTimeout


class ChangeMessageVisibilityBatch(QueueInput, frozen=True, kw_only=True):
    """Hide up to ten delivered messages, each with a fate of its own."""

    errors: ClassVar[Shapes] = (*_NO_QUEUE, *_RECEIPT, *_BATCH)
    entries: Annotated[list[VisibilityEntry], flat("ChangeMessageVisibilityBatchRequestEntry")]
