"""A bucket of Amazon S3, as far as large bodies need one, that heeds the policy of whoever asks."""

from __future__ import annotations

import json
import os
from fnmatch import fnmatchcase
from io import BytesIO
from typing import TYPE_CHECKING, Any

from sqs.fake import service_error

from busframe_sqs.client import Clients, connect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from busframe.ledger import Ledger
    from busframe_sqs.client import SqsClient
    from busframe_sqs.settings import SqsSettings

NAME = "bodies"
ARN = f"arn:aws:s3:::{NAME}"


class Bucket:
    """Objects, and who may do what with them.

    Attributes:
        policies: by access key; one that is not in here may do everything.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.policies: dict[str, Any] = {}

    def connect(self, settings: SqsSettings, ledger: Ledger) -> Clients:
        """As `busframe_sqs.client.connect`, with this bucket in the place of Amazon S3."""
        clients = connect(settings, ledger)
        s3: Any = None if clients.s3 is None else _Client(self, self.policies.get(os.environ["AWS_ACCESS_KEY_ID"]))
        sqs: SqsClient = clients.sqs
        return Clients(sqs, s3)


class _Client:
    """What one caller has of it."""

    def __init__(self, bucket: Bucket, policy: Mapping[str, Any] | None) -> None:
        self._objects = bucket.objects
        self._policy = policy

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> object:  # noqa: N803 - the service's spelling
        self._require("s3:PutObject", Bucket, Key)
        self._objects[Key] = Body
        return {}

    def get_object(self, *, Bucket: str, Key: str) -> object:  # noqa: N803 - the same
        self._require("s3:GetObject", Bucket, Key)
        if Key not in self._objects:
            # Amazon S3 API, GetObject: who may not list the bucket does not learn that there is no such object.
            if not self._may("s3:ListBucket", ARN):
                raise service_error("AccessDenied", 403)
            raise service_error("NoSuchKey", 404)
        return {"Body": BytesIO(self._objects[Key])}

    def delete_object(self, *, Bucket: str, Key: str) -> object:  # noqa: N803 - the same
        self._require("s3:DeleteObject", Bucket, Key)
        self._objects.pop(Key, None)
        return {}

    def close(self) -> None:
        pass

    def _require(self, action: str, bucket: str, key: str) -> None:
        assert bucket == NAME
        if not self._may(action, f"{ARN}/{key}"):
            raise service_error("AccessDenied", 403)

    def _may(self, action: str, resource: str) -> bool:
        if self._policy is None:
            return True
        return any(
            action in statement["Action"] and any(fnmatchcase(resource, pattern) for pattern in statement["Resource"])
            for statement in self._policy["Statement"]
        )


def claim_check(key: str) -> dict[str, Any]:
    """A message whose body is said to lie there, as parameters of SendMessage."""
    place = {"s3BucketName": NAME, "s3Key": key}
    return {
        "MessageBody": json.dumps(["software.amazon.payloadoffloading.PayloadS3Pointer", place]),
        "MessageAttributes": {"ExtendedPayloadSize": {"DataType": "Number", "StringValue": "2000000"}},
    }
