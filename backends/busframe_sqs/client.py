"""The seam to boto3: the calls this backend makes of Amazon SQS, with types, and how a client for them is made.

boto3 and botocore ship no types, so what is used of them is written down here, in the service's own names. Anything
with these methods can stand in for a client.
"""

# ruff: noqa: N803 - the parameters are spelled as the service spells them

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, NotRequired, Protocol, TypedDict, cast

from busframe.errors import BackendError, InvalidArgumentError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from busframe.ledger import Ledger
    from busframe_sqs.settings import SqsSettings

CONNECT_TIMEOUT_S: Final = 5
# Longer than the longest wait of a receive (20 s), or that would end as a fault (Amazon SQS, ReceiveMessage).
READ_TIMEOUT_S: Final = 30

SystemAttribute = Literal[
    "ApproximateReceiveCount",
    "DeadLetterQueueSourceArn",
    "MessageDeduplicationId",
    "MessageGroupId",
    "SentTimestamp",
    "SequenceNumber",
]


class AttributeValue(TypedDict):
    """One of the two values is there, as the type says: `Binary...` has bytes, `String...` and `Number...` text."""

    DataType: str
    StringValue: NotRequired[str]
    BinaryValue: NotRequired[bytes]


class SendEntry(TypedDict):
    """One message of SendMessageBatch."""

    Id: str
    MessageBody: str
    MessageAttributes: NotRequired[Mapping[str, AttributeValue]]
    DelaySeconds: NotRequired[int]
    MessageGroupId: NotRequired[str]
    MessageDeduplicationId: NotRequired[str]


class ReceiptEntry(TypedDict):
    """One receipt of DeleteMessageBatch or, with the timeout, of ChangeMessageVisibilityBatch."""

    Id: str
    ReceiptHandle: str
    VisibilityTimeout: NotRequired[int]


class DoneEntry(TypedDict):
    """An entry that succeeded. The last two come from SendMessageBatch, the last from a FIFO queue alone."""

    Id: str
    MessageId: NotRequired[str]
    SequenceNumber: NotRequired[str]


class FailedEntry(TypedDict):
    """An entry that failed."""

    Id: str
    SenderFault: bool
    Code: str
    Message: NotRequired[str]


class BatchAnswer(TypedDict):
    """Either list may be missing, and an entry may be missing from both."""

    Successful: NotRequired[Sequence[DoneEntry]]
    Failed: NotRequired[Sequence[FailedEntry]]


class Message(TypedDict):
    """One delivery. A system attribute is there where it applies."""

    MessageId: str
    ReceiptHandle: str
    Body: str
    Attributes: Mapping[SystemAttribute, str]
    MessageAttributes: NotRequired[Mapping[str, AttributeValue]]


class ReceiveAnswer(TypedDict):
    """No key where there is no message."""

    Messages: NotRequired[Sequence[Message]]


class QueueUrlAnswer(TypedDict):
    """Of CreateQueue and GetQueueUrl."""

    QueueUrl: str


class AttributesAnswer(TypedDict):
    """All values are text."""

    Attributes: NotRequired[Mapping[str, str]]


class TagsAnswer(TypedDict):
    """No key where there are no tags."""

    Tags: NotRequired[Mapping[str, str]]


class ListAnswer(TypedDict):
    """One page of at most 1,000."""

    QueueUrls: NotRequired[Sequence[str]]
    NextToken: NotRequired[str]


class SqsClient(Protocol):
    """What this backend calls. Every method blocks; any number of threads may call at once."""

    def create_queue(self, *, QueueName: str, Attributes: Mapping[str, str]) -> QueueUrlAnswer:
        """Make a queue, or find one with the same attributes."""
        ...

    def get_queue_url(self, *, QueueName: str) -> QueueUrlAnswer:
        """Look a queue up."""
        ...

    def list_queues(self, *, QueueNamePrefix: str, MaxResults: int, NextToken: str = ...) -> ListAnswer:
        """Read one page of the queues' URLs."""
        ...

    def delete_queue(self, *, QueueUrl: str) -> object:
        """Remove a queue."""
        ...

    def purge_queue(self, *, QueueUrl: str) -> object:
        """Remove a queue's messages."""
        ...

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: Sequence[str]) -> AttributesAnswer:
        """Read settings and counts."""
        ...

    def set_queue_attributes(self, *, QueueUrl: str, Attributes: Mapping[str, str]) -> object:
        """Change settings."""
        ...

    def list_queue_tags(self, *, QueueUrl: str) -> TagsAnswer:
        """Read the tags."""
        ...

    def tag_queue(self, *, QueueUrl: str, Tags: Mapping[str, str]) -> object:
        """Write tags over those of the same key."""
        ...

    def untag_queue(self, *, QueueUrl: str, TagKeys: Sequence[str]) -> object:
        """Strike tags out."""
        ...

    def send_message_batch(self, *, QueueUrl: str, Entries: Sequence[SendEntry]) -> BatchAnswer:
        """Send up to ten messages."""
        ...

    def receive_message(
        self,
        *,
        QueueUrl: str,
        MaxNumberOfMessages: int,
        WaitTimeSeconds: int,
        VisibilityTimeout: int,
        MessageSystemAttributeNames: Sequence[str],
        MessageAttributeNames: Sequence[str],
    ) -> ReceiveAnswer:
        """Take up to ten messages, waiting for the first."""
        ...

    def delete_message_batch(self, *, QueueUrl: str, Entries: Sequence[ReceiptEntry]) -> BatchAnswer:
        """Acknowledge up to ten deliveries."""
        ...

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: Sequence[ReceiptEntry]) -> BatchAnswer:
        """Move the end of up to ten leases; 0 gives the message back."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class Readable(Protocol):
    """The body of an object, on its way."""

    def read(self) -> bytes:
        """All of it."""
        ...


class ObjectAnswer(TypedDict):
    """Of GetObject."""

    Body: Readable


class S3Client(Protocol):
    """What this backend calls of Amazon S3, where large bodies lie there."""

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> object:
        """Write an object."""
        ...

    def get_object(self, *, Bucket: str, Key: str) -> ObjectAnswer:
        """Read an object."""
        ...

    def delete_object(self, *, Bucket: str, Key: str) -> object:
        """Remove an object; fine if it is not there."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class Clients(NamedTuple):
    """S3 only where the URL names a bucket."""

    sqs: SqsClient
    s3: S3Client | None = None


def connect(settings: SqsSettings, ledger: Ledger) -> Clients:
    """Make the boto3 clients. Blocks for some hundred milliseconds, the first import of boto3 included; sends nothing.

    Args:
        settings: what the URL says.
        ledger: each call is noted in it under its name at AWS, whoever makes it with these clients.

    Raises:
        MissingExtraError: boto3 is not installed.
        InvalidArgumentError: there is no such profile, or an endpoint URL is none to botocore.
        BackendError: the AWS configuration files cannot be used.
    """
    try:
        import boto3

        # botocore comes with boto3, and is no dependency of this project's own.
        botocore: Any = import_module("botocore.session")
        config: Any = import_module("botocore.config")
        exceptions: Any = import_module("botocore.exceptions")
    except ImportError as error:
        raise MissingExtraError(package="boto3", extra="sqs", needed_for="sqs://") from error
    untyped: Any = boto3

    def note(model: Any, **_rest: object) -> None:
        ledger.note(model.name)

    def make(service: str, parameter: str, url: str | None, *, attempts: int, **options: object) -> Any:
        try:
            client = session.client(
                service,
                endpoint_url=url,
                config=config.Config(
                    retries={"total_max_attempts": attempts, "mode": "standard"},
                    connect_timeout=CONNECT_TIMEOUT_S,
                    read_timeout=READ_TIMEOUT_S,
                    tcp_keepalive=True,
                    **options,
                ),
            )
        except ValueError as error:
            raise InvalidArgumentError(f"url parameter {parameter}", url, str(error)) from error
        client.meta.events.register(f"before-call.{service}", note)
        return client

    try:
        inner = botocore.get_session()
        session = untyped.Session(botocore_session=inner, profile_name=settings.profile, region_name=settings.region)
        sqs = make(
            "sqs",
            "endpoint_url",
            settings.endpoint_url,
            # No retries: the bus has a layer of them, and it needs to see each failure.
            attempts=1,
            # A connection for each call that may be under way: none ever waits for another's.
            max_pool_connections=settings.polls + settings.calls,
            # A sixth of what a call costs: botocore looks at each value of each entry, which the bus has made itself,
            # and puts its user agent together anew each time.
            parameter_validation=False,
            user_agent=_user_agent(inner),
        )
        s3 = None
        if settings.large_bucket is not None:
            s3 = make(
                "s3",
                "large_endpoint_url",
                settings.large_endpoint_url,
                # Here a failure would cost a whole delivery, and the call may be repeated at will.
                attempts=3,
                max_pool_connections=settings.calls,
            )
    except exceptions.ProfileNotFound as error:
        allowed = f"a profile of the AWS configuration files: {error}"
        raise InvalidArgumentError("url parameter profile", settings.profile, allowed) from error
    except exceptions.BotoCoreError as error:
        raise BackendError(f"no AWS client can be made: {error}") from error
    return Clients(cast("SqsClient", sqs), cast("S3Client | None", s3))


def _user_agent(session: Any) -> str:
    """Name the program as the logs of AWS show it: boto3's version, and the id that the settings may give the program.

    botocore adds its own version.
    """
    app: str | None = session.get_config_variable("user_agent_appid")
    return f"{session.user_agent_name}/{session.user_agent_version} Busframe" + (f" app/{app}" if app else "")
