"""Queues as they should be, and as SQS has them.

Compared and changed is what a `QueueSpec` says, as SQS spells it, and two settings besides: the size limit, because
queues made before August 2025 took less than the backend declares; and on ordered queues deduplication by content,
so that a message without an id of its own has one to be known by. Tags of AWS itself (`aws:`) are passed over.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple, TypedDict, cast

from busframe.backend import DeadLetters, QueueSpec
from busframe.errors import QueueMismatchError, QueueNotFoundError, UnsupportedError
from busframe.message import is_ordered
from busframe_sqs.translate import name_in_arn, whole_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from busframe.backend import Plan
    from busframe.message import QueueName
    from busframe_sqs.client import SqsClient
    from busframe_sqs.connection import SqsConnection

# Amazon SQS, quotas.
MESSAGE_BYTES_MAX: Final = 1_048_576
_AWS_TAG_PREFIX: Final = "aws:"


class _RedrivePolicy(TypedDict):
    """The JSON in the attribute of that name."""

    deadLetterTargetArn: str
    maxReceiveCount: int | str


class _Redrive(NamedTuple):
    """What it says."""

    target_arn: str
    receive_count_max: int


class _Found(NamedTuple):
    """A queue as SQS has it."""

    attributes: Mapping[str, str]
    tags: dict[str, str]


class Provisioner:
    """Makes, changes, checks and describes queues."""

    def __init__(self, connection: SqsConnection) -> None:
        self._connection = connection
        self._arns: dict[QueueName, str] = {}

    async def apply(self, plan: Plan) -> None:
        """See `Backend.provision`. Queues are done one after the other, so a dead-letter queue is there in time."""
        if plan.topics:
            raise UnsupportedError("sqs:// has no topics")
        if plan.mode == "assume":
            return
        for spec in plan.queues:
            found = await self._find(spec.name)
            if plan.mode == "check":
                await self._check(spec, found)
            elif found is not None:
                await self._change(spec, found)
            else:
                await self._create(spec)

    async def describe(self, queue: QueueName) -> QueueSpec | None:
        """See `Backend.describe`."""
        found = await self._find(queue)
        if found is None:
            return None
        attributes = found.attributes
        redrive = _redrive(attributes)
        return QueueSpec(
            name=queue,
            lease_s=float(attributes["VisibilityTimeout"]),
            delay_s=float(attributes["DelaySeconds"]),
            retention_s=float(attributes["MessageRetentionPeriod"]),
            dead_letters=redrive
            and DeadLetters(
                queue=self._connection.logical_name(name_in_arn(redrive.target_arn)),
                max_receive_count=redrive.receive_count_max,
            ),
            labels=found.tags,
        )

    def forget(self, queue: QueueName) -> None:
        """Know nothing any more of a queue that was removed."""
        self._arns.pop(queue, None)

    async def _create(self, spec: QueueSpec) -> None:
        """Make a queue. If somebody else made it in the meantime, otherwise, change it.

        Tags come by a call of their own: a creation that names other tags than the queue has is refused.
        """
        connection = self._connection
        name = connection.physical_name(spec.name)
        attributes = {key: value for key, value in (await self._wanted(spec)).items() if value}
        if is_ordered(spec.name):
            attributes["FifoQueue"] = "true"
        try:
            made = await connection.insist(
                spec.name, lambda client: client.create_queue(QueueName=name, Attributes=attributes)
            )
        except QueueMismatchError:
            found = await self._find(spec.name)
            if found is None:
                raise
            return await self._change(spec, found)
        connection.remember(spec.name, made["QueueUrl"])
        if spec.labels:
            await connection.insist_about(
                spec.name, lambda client, url: client.tag_queue(QueueUrl=url, Tags=spec.labels)
            )
        return None

    async def _change(self, spec: QueueSpec, found: _Found) -> None:
        connection = self._connection
        attributes = _differing(await self._wanted(spec), found)
        new_tags = {key: value for key, value in spec.labels.items() if found.tags.get(key) != value}
        old_tags = sorted(found.tags.keys() - spec.labels.keys())
        if attributes:
            await connection.insist_about(
                spec.name, lambda client, url: client.set_queue_attributes(QueueUrl=url, Attributes=attributes)
            )
        if new_tags:
            await connection.insist_about(spec.name, lambda client, url: client.tag_queue(QueueUrl=url, Tags=new_tags))
        if old_tags:
            await connection.insist_about(
                spec.name, lambda client, url: client.untag_queue(QueueUrl=url, TagKeys=old_tags)
            )

    async def _check(self, spec: QueueSpec, found: _Found | None) -> None:
        if found is None:
            raise QueueNotFoundError(f"queue {spec.name} is not there")
        wanted = _differing(await self._wanted(spec), found)
        differences = [f"{key} is {found.attributes.get(key)!r}, planned {value!r}" for key, value in wanted.items()]
        if found.tags != dict(spec.labels):
            differences.append(f"labels are {found.tags}, planned {dict(spec.labels)}")
        if differences:
            raise QueueMismatchError(f"queue {spec.name} differs: {'; '.join(differences)}")

    async def _find(self, queue: QueueName) -> _Found | None:
        """Read a queue's settings and tags; None if it is not there."""

        def read(client: SqsClient, url: str) -> _Found:
            attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]).get("Attributes", {})
            tags = client.list_queue_tags(QueueUrl=url).get("Tags", {})
            return _Found(attributes, {key: tags[key] for key in tags if not key.startswith(_AWS_TAG_PREFIX)})

        try:
            found = await self._connection.insist_about(queue, read)
        except QueueNotFoundError:
            return None
        self._arns[queue] = found.attributes["QueueArn"]
        return found

    async def _wanted(self, spec: QueueSpec) -> dict[str, str]:
        """Write a queue's settings as SQS spells them; empty text stands for none."""
        redrive = ""
        if dead := spec.dead_letters:
            redrive = json.dumps(
                {"deadLetterTargetArn": await self._arn(dead.queue), "maxReceiveCount": dead.max_receive_count}
            )
        wanted = {
            "VisibilityTimeout": str(whole_seconds(spec.lease_s)),
            "DelaySeconds": str(whole_seconds(spec.delay_s)),
            "MessageRetentionPeriod": str(whole_seconds(spec.retention_s)),
            "MaximumMessageSize": str(MESSAGE_BYTES_MAX),
            "RedrivePolicy": redrive,
        }
        if is_ordered(spec.name):
            wanted["ContentBasedDeduplication"] = "true"
        return wanted

    async def _arn(self, queue: QueueName) -> str:
        if queue not in self._arns:
            answer = await self._connection.insist_about(
                queue, lambda client, url: client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
            )
            self._arns[queue] = answer.get("Attributes", {})["QueueArn"]
        return self._arns[queue]


def _differing(wanted: Mapping[str, str], found: _Found) -> dict[str, str]:
    """What of `wanted` the queue has not."""
    differing = {key: value for key, value in wanted.items() if found.attributes.get(key, "") != value}
    if "RedrivePolicy" in differing and _redrive(wanted) == _redrive(found.attributes):
        del differing["RedrivePolicy"]
    return differing


def _redrive(attributes: Mapping[str, str]) -> _Redrive | None:
    """Read RedrivePolicy: JSON, whose spelling of the number and order of members are the writer's own."""
    text = attributes.get("RedrivePolicy")
    if not text:
        return None
    policy = cast("_RedrivePolicy", json.loads(text))
    return _Redrive(policy["deadLetterTargetArn"], int(policy["maxReceiveCount"]))
