"""Bodies that are too large for SQS: they lie in S3, and the message carries a claim check for them.

Only where the URL names a bucket (`large_bucket`). The form on the wire is that of Amazon's Extended Client Libraries
(Java, Python), so either side may be theirs: the body is a JSON list of a class name and the object's place, and the
attribute `ExtendedPayloadSize` says how many bytes lie there.

An object belongs to one message. It is written before the message is sent and removed after the message was
acknowledged, never the other way round: a crash in between leaves an object that nobody needs, not a message that
nobody can read. Such leftovers, those of unknown sends, and those of purged, expired or removed messages are for a
lifecycle rule of the bucket: let it expire objects after the queues' retention and some days.

Only the bucket and prefix of the URL are read and removed from. A claim check for another place, or for an object that
is gone, is delivered as it came: the consumer cannot read it, and dead-letters it with the reason.
"""

from __future__ import annotations

import json
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import anyio

from busframe import runtime
from busframe.errors import BackendError
from busframe_sqs.calls import run_call

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from busframe.message import QueueName, Receipt
    from busframe_sqs.client import Message, S3Client, SendEntry
    from busframe_sqs.connection import SqsConnection
    from busframe_sqs.settings import SqsSettings

LARGE_BYTES_MAX: Final = 256 * 1_048_576
"""A body is held in memory whole, on both sides, several times over while it is encoded; S3 itself takes 5 GiB."""

LARGE_ATTRIBUTES_MAX: Final = 9
"""Amazon SQS, message attributes: ten, and one of them is ours."""

# Amazon SQS Extended Client Libraries; the second of each is from before 2019.
_CLASSES: Final = (
    "software.amazon.payloadoffloading.PayloadS3Pointer",
    "com.amazon.sqs.javamessaging.MessageS3Pointer",
)
_SIZE_ATTRIBUTES: Final = ("ExtendedPayloadSize", "SQSLargePayloadSize")

_MARK: Final = "|"
"""Between key and receipt handle: neither has this character."""

_log = logging.getLogger("busframe")


class Redeemed(NamedTuple):
    """What a receive brought.

    Attributes:
        messages: with their bodies.
        failed: their bodies could not be fetched now; trying again may help.
        error: why, for the first of these.
    """

    messages: list[Message]
    failed: list[Message]
    error: BackendError | None


class Claims:
    """Puts bodies away and fetches them.

    Args:
        s3: thread-safe, as boto3's clients are.
        settings: name the bucket.
        connection: lends its threads.
    """

    def __init__(self, s3: S3Client, settings: SqsSettings, connection: SqsConnection) -> None:
        assert settings.large_bucket is not None  # noqa: S101 - whoever made the client has looked
        self._s3 = s3
        self._bucket = settings.large_bucket
        self._prefix = settings.large_prefix
        self._connection = connection

    async def deposit(self, queue: QueueName, entry: SendEntry) -> str:
        """Put the body of a message away, and its claim check in its place. Returns the object's key.

        Raises:
            BackendError: as `Backend.send`; the message is as it was.
        """
        key = f"{self._prefix}{runtime.new_id()}"
        body = entry["MessageBody"].encode()
        await self._call(queue, lambda: self._s3.put_object(Bucket=self._bucket, Key=key, Body=body))
        entry["MessageBody"] = json.dumps([_CLASSES[0], {"s3BucketName": self._bucket, "s3Key": key}])
        entry["MessageAttributes"] = {
            **entry.get("MessageAttributes", {}),
            _SIZE_ATTRIBUTES[0]: {"DataType": "Number", "StringValue": str(len(body))},
        }
        return key

    def withdraw(self, queue: QueueName, keys: Sequence[str]) -> None:
        """Have objects removed in the background. A failure is logged: the bucket's lifecycle rule is left to do it."""
        for key in keys:
            self._connection.tasks.start_soon(self._remove, queue, key)

    async def redeem(self, queue: QueueName, messages: Sequence[Message]) -> Redeemed:
        """Fetch the bodies that lie here; leave the other messages as they are."""
        fetched: dict[int, Message] = {}
        failures: dict[int, BackendError] = {}

        async def fetch(index: int, key: str) -> None:
            try:
                body = await self._call(queue, partial(self._read, key))
            except BackendError as error:
                failures[index] = error
                return
            if body is None:
                _log.error("a message of %s has no body: object %s of %s is gone", queue, key, self._bucket)
            else:
                fetched[index] = _with_body(messages[index], key, body)

        async with anyio.create_task_group() as tasks:
            for index, message in enumerate(messages):
                if (key := self._key_in(message)) is not None:
                    tasks.start_soon(fetch, index, key)
        return Redeemed(
            [fetched.get(index, message) for index, message in enumerate(messages) if index not in failures],
            [messages[index] for index in sorted(failures)],
            next(iter(failures.values()), None),
        )

    def _key_in(self, message: Message) -> str | None:
        """Read a claim check; None if it is none, or none of this bucket."""
        attributes = message.get("MessageAttributes", {})
        if not any(name in attributes for name in _SIZE_ATTRIBUTES):
            return None
        try:
            kind, place = cast("list[Any]", json.loads(message["Body"]))
            bucket, key = place["s3BucketName"], place["s3Key"]
        except (ValueError, TypeError, KeyError):
            return None
        if kind not in _CLASSES or bucket != self._bucket or not isinstance(key, str) or _MARK in key:
            return None
        return key if key.startswith(self._prefix) else None

    def _read(self, key: str) -> str | None:
        """In a thread: the text of an object; None if it is not there."""
        try:
            return self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read().decode()
        except Exception as error:
            response = cast("object", getattr(error, "response", None))
            if isinstance(response, dict) and cast("dict[str, Any]", response)["Error"]["Code"] == "NoSuchKey":
                return None
            raise

    async def _remove(self, queue: QueueName, key: str) -> None:
        try:
            await self._call(queue, lambda: self._s3.delete_object(Bucket=self._bucket, Key=key))
        except BackendError as error:
            _log.warning("object %s of bucket %s is left over: %s", key, self._bucket, error)

    async def _call(self, queue: QueueName, request: Callable[[], Any]) -> Any:
        with self._connection.translating(queue, "other"):
            return await run_call(self._connection.tasks, request, self._connection.call_limiter)


def handle_in(receipt: Receipt) -> str:
    """The handle that SQS gave out."""
    return receipt.rpartition(_MARK)[2]


def key_in(receipt: Receipt) -> str | None:
    """The object that holds the body of the receipt's message; None if the body lies in SQS."""
    return receipt.rpartition(_MARK)[0] or None


def _with_body(message: Message, key: str, body: str) -> Message:
    attributes = message.get("MessageAttributes", {})
    return {
        **message,
        "Body": body,
        "ReceiptHandle": f"{key}{_MARK}{message['ReceiptHandle']}",
        "MessageAttributes": {name: value for name, value in attributes.items() if name not in _SIZE_ATTRIBUTES},
    }
