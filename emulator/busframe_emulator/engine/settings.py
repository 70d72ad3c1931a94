"""What a queue is called and how it is set up: the queue attributes, typed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

SECOND_US: Final = 1_000_000
"""The engine counts integer microseconds."""


class QueueAddress(NamedTuple):
    """Which queue, in the whole world."""

    region: str
    account: str
    name: str

    @property
    def arn(self) -> str:
        """The queue's Amazon resource name."""
        return f"arn:aws:sqs:{self.region}:{self.account}:{self.name}"

    @classmethod
    def from_arn(cls, arn: str) -> QueueAddress | None:
        """Read a queue's ARN; None if it is not one."""
        match arn.split(":"):
            case ["arn", _, "sqs", region, account, name] if region and account and name:
                return cls(region, account, name)
            case _:
                return None


class Redrive(NamedTuple):
    """Where messages go that were received `max_receive_count` times (RedrivePolicy)."""

    target: QueueAddress
    max_receive_count: int


class RedriveAllow(NamedTuple):
    """Which queues may use this one as their dead-letter queue (RedriveAllowPolicy)."""

    permission: Literal["allowAll", "denyAll", "byQueue"]
    sources: tuple[QueueAddress, ...] = ()


@dataclass(slots=True, kw_only=True)
class QueueSettings:
    """The queue attributes that can be set. Ranges and defaults: Amazon SQS API, CreateQueue and SetQueueAttributes.

    The engine trusts these values: ranges are checked where text becomes a value, in `busframe_emulator.api`.

    Attributes:
        deduplicates_by_group: what the queue does; `deduplication_scope` is what it says. They differ when the scope
            was changed after the queue was made, which has no effect: recorded on AWS in both directions.
    """

    delay_us: int = 0
    message_bytes_max: int = 1_048_576
    retention_us: int = 345_600 * SECOND_US
    wait_us: int = 0
    visibility_us: int = 30 * SECOND_US
    policy: str | None = None
    redrive: Redrive | None = None
    redrive_allow: RedriveAllow | None = None
    kms_key: str | None = None
    kms_reuse_s: int | None = None
    managed_sse: bool = True
    fifo: bool = False
    content_deduplication: bool = False
    deduplication_scope: Literal["queue", "messageGroup"] = "queue"
    deduplicates_by_group: bool = False
    throughput_limit: Literal["perQueue", "perMessageGroupId"] = "perQueue"


WIRE_NAMES: Final = {
    "delay_us": "DelaySeconds",
    "message_bytes_max": "MaximumMessageSize",
    "retention_us": "MessageRetentionPeriod",
    "wait_us": "ReceiveMessageWaitTimeSeconds",
    "visibility_us": "VisibilityTimeout",
    "policy": "Policy",
    "redrive": "RedrivePolicy",
    "redrive_allow": "RedriveAllowPolicy",
    "kms_key": "KmsMasterKeyId",
    "kms_reuse_s": "KmsDataKeyReusePeriodSeconds",
    "managed_sse": "SqsManagedSseEnabled",
    "fifo": "FifoQueue",
    "content_deduplication": "ContentBasedDeduplication",
    "deduplication_scope": "DeduplicationScope",
    "throughput_limit": "FifoThroughputLimit",
}
"""What SQS calls each field of `QueueSettings`."""


@dataclass(slots=True, kw_only=True)
class Limits:
    """Bounds that AWS sets per service; settable, so that a test can meet them with few messages.

    Attributes:
        in_flight_max: Amazon SQS, "visibility timeout": about 120,000 per queue.
        fifo_search_max: among how many of its first messages a FIFO queue looks for groups that can be served. Amazon
            SQS developer guide, "Avoid having a large backlog of messages with the same message group ID".
        visibility_us_max: from the receive, over all extensions. Amazon SQS API, ChangeMessageVisibility.
        attempts_us: Amazon SQS API, ReceiveMessage: a ReceiveRequestAttemptId is known for five minutes.
        deduplication_us: Amazon SQS, "exactly-once processing": five minutes from the first send.
        purge_interval_us: one PurgeQueue per queue in this time; 0 lifts the rule.
        recreate_after_us: how long the name of a deleted queue is refused; 0 lifts the rule.
        recreate_compares_tags: whether creating a queue that is there is refused with other tags than it has, as it is
            with other attributes. It has been seen to be, but not documented; False leaves the tags as they are.
        rehide_expired: whether ChangeMessageVisibility hides a message of a standard queue whose timeout is over. What
            SQS does is disputed; False leaves it visible.
        noisy_in_flight_min, noisy_percent: a tenant of a fair queue is noisy while it has at least so many messages in
            flight, and more than so many percent of all that are. Amazon SQS developer guide, "How Amazon SQS fair
            queues work"; approximate there.
        noisy_memory_us: a tenant that has sent nothing for so long is not noisy. The same source.
        moves_per_s: of a message move task that was not told how many. Amazon SQS says only that it depends on the
            queue; this is the most that can be asked for.
        move_task_us_max: a message move task that is not done by then has failed. Amazon SQS developer guide,
            "Dead-letter queue redrive": 36 hours.
        move_tasks_max: running at a time in an account and region. The same source.
    """

    in_flight_max: int = 120_000
    fifo_search_max: int = 120_000
    visibility_us_max: int = 43_200 * SECOND_US
    attempts_us: int = 300 * SECOND_US
    deduplication_us: int = 300 * SECOND_US
    purge_interval_us: int = 60 * SECOND_US
    recreate_after_us: int = 60 * SECOND_US
    recreate_compares_tags: bool = False
    rehide_expired: bool = False
    noisy_in_flight_min: int = 30
    noisy_percent: int = 10
    noisy_memory_us: int = 300 * SECOND_US
    moves_per_s: int = 500
    move_task_us_max: int = 36 * 3600 * SECOND_US
    move_tasks_max: int = 100


@dataclass(slots=True, kw_only=True)
class QueueView:
    """A queue as GetQueueAttributes sees it.

    Attributes:
        created_us, modified_us: engine time.
        visible: on a FIFO queue messages blocked by their group count as visible.
        oldest_sent_us: when the oldest message still there was sent, or came if it is a dead letter on a FIFO queue:
            from when its retention counts. None if there is none.
        arrived: how many messages have come so far, dead letters and moved ones included. Not told over the wire.
    """

    address: QueueAddress
    settings: QueueSettings
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    created_us: int
    modified_us: int
    visible: int
    in_flight: int
    delayed: int
    oldest_sent_us: int | None
    arrived: int
