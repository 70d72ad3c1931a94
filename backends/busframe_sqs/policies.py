"""IAM policies with the least that each role of a system needs; see `busframe.topology.access` for the roles.

A batch call needs the right to the single one (Amazon SQS Developer Guide, "Actions, resources, and condition keys").
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from busframe.errors import InvalidArgumentError
from busframe.message import QueueName
from busframe_sqs.settings import SqsSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from busframe.config import BackendUrl
    from busframe.topology.access import Access

_ACCOUNT: Final = re.compile(r"[0-9]{12}|\*")

_SEND: Final = ("GetQueueUrl", "SendMessage")
_CONSUME: Final = ("ChangeMessageVisibility", "DeleteMessage", "ReceiveMessage")
_COUNT: Final = ("GetQueueAttributes", "GetQueueUrl")
_LOOK: Final = (*_COUNT, "ListQueueTags")
# Tags are struck out if the plan has none; written only where a queue is made like another that has some.
_PROVISION: Final = ("CreateQueue", *_LOOK, "SetQueueAttributes", "UntagQueue")
_OPERATE: Final = (*_PROVISION, *_CONSUME, "DeleteQueue", "PurgeQueue", "SendMessage", "TagQueue")


def access_policies(url: BackendUrl, access: Access, *, account: str) -> Mapping[str, Any]:
    """See `busframe.topology.access.WritesPolicies`.

    Args:
        url: names region, prefix, and the bucket for large bodies, if there is one.
        access: the queues.
        account: of AWS, twelve digits; `*` for any.
    """
    settings = SqsSettings.from_url(url)
    if not _ACCOUNT.fullmatch(account):
        raise InvalidArgumentError("account", account, "twelve digits, or '*' for any account")
    writer = _Writer(settings, account)
    own = QueueName(f"{access.own_prefix}*")
    list_queues = writer.statement("List", ("sqs:ListQueues",), ["*"])  # it is about no queue
    return {
        "worker": writer.policy(
            writer.queues("Consume", _CONSUME, access.consumed),
            writer.queues("Look", _LOOK, [*access.consumed, *access.buried_in]),
            # To its own queues too: a delay longer than the longest of SQS is waited for in parts.
            writer.queues("PutBack", ("SendMessage",), [*access.consumed, *access.buried_in]),
            writer.large_bodies("GetObject", "PutObject"),
            writer.missing_bodies(),
        ),
        "publisher": writer.policy(writer.queues("Send", _SEND, access.published_to), writer.large_bodies("PutObject")),
        "provisioner": writer.policy(
            writer.queues("Provision", _PROVISION, access.provisioned),
            writer.queues("Count", _COUNT, _besides(own, access.listed)),
            list_queues,
        ),
        "operator": writer.policy(
            writer.queues("Operate", _OPERATE, _besides(own, [*access.provisioned, *access.listed])),
            list_queues,
            writer.large_bodies("GetObject", "PutObject"),
            writer.missing_bodies(),
        ),
    }


def _besides(own: QueueName, queues: Sequence[QueueName]) -> list[QueueName]:
    """A pattern, and the queues that it does not match."""
    return [own, *sorted({queue for queue in queues if not queue.startswith(own[:-1])})]


class _Writer:
    def __init__(self, settings: SqsSettings, account: str) -> None:
        self._settings = settings
        self._account = account

    def policy(self, *statements: dict[str, Any] | None) -> dict[str, Any]:
        return {"Version": "2012-10-17", "Statement": [statement for statement in statements if statement]}

    def queues(self, sid: str, actions: Sequence[str], queues: Sequence[QueueName]) -> dict[str, Any] | None:
        settings = self._settings
        resources = [self._arn(f"{settings.prefix}{queue}") for queue in queues]
        return self.statement(sid, [f"sqs:{action}" for action in actions], resources) if resources else None

    def large_bodies(self, *actions: str) -> dict[str, Any] | None:
        if (bucket := self._bucket()) is None:
            return None
        objects = f"{bucket}/{self._settings.large_prefix}*"
        # Whoever sends removes the object of a message that was not taken, whoever receives that of one that is done.
        return self.statement("LargeBodies", [f"s3:{action}" for action in ("DeleteObject", *actions)], [objects])

    def missing_bodies(self) -> dict[str, Any] | None:
        # Amazon S3 API, GetObject: without this, an object that is not there is answered like one that is forbidden. A
        # message whose body is gone would then be tried again and again, as if that could be put right.
        bucket = self._bucket()
        return None if bucket is None else self.statement("MissingBodies", ["s3:ListBucket"], [bucket])

    def _bucket(self) -> str | None:
        settings = self._settings
        return settings.large_bucket and f"arn:{_partition(settings.region)}:s3:::{settings.large_bucket}"

    def statement(self, sid: str, actions: Sequence[str], resources: Sequence[str]) -> dict[str, Any]:
        return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}

    def _arn(self, queue: str) -> str:
        region = self._settings.region
        return f"arn:{_partition(region)}:sqs:{region}:{self._account}:{queue}"


def _partition(region: str) -> str:
    """AWS General Reference, Amazon Resource Names: China and GovCloud are partitions of their own."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"
