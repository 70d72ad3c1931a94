"""Requests signed by botocore, sent as they are or bent."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from busframe_emulator.wire.verified import Key, Keys

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"  # noqa: S105 - AWS's example
ALICE = Key(access_key="AKIDALICE", secret=SECRET, account="111111111111", arn="arn:aws:iam::111111111111:user/alice")
BOB = Key(access_key="AKIDBOB", secret="bob's", account="222222222222", arn="arn:aws:iam::222222222222:user/bob")  # noqa: S106 - nobody's
GUEST = Key(access_key="ASIAGUEST", secret="guest's", account="111111111111", session_token="ticket")  # noqa: S106 - the same
KEYS = Keys(keys=[ALICE, BOB, GUEST])

FORM = "application/x-www-form-urlencoded; charset=utf-8"
JSON_HEADERS = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.ListQueues"}


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def error(self) -> tuple[str, str]:
        """Code and message, in whichever protocol."""
        if self.text.startswith("<?xml"):
            error = ET.fromstring(self.text)[0]  # noqa: S314 - our own
            parts = {each.tag.partition("}")[2]: each.text or "" for each in error}
            return parts["Code"], parts["Message"]
        document: Any = json.loads(self.text)
        if "Error" in document:
            return document["Error"]["Code"], document["Error"]["Message"]
        return self.headers["x-amzn-query-error"].removesuffix(";Sender"), document["message"]


def request(url: str, method: str = "POST", body: bytes = b"{}", *, headers: Mapping[str, str] = JSON_HEADERS) -> Any:
    """An unsigned request: ListQueues in AWS JSON 1.0 unless told otherwise."""
    untyped: Any = AWSRequest
    return untyped(method=method, url=url, data=body, headers=headers)


def sign(
    unsigned: Any,
    key: Key = ALICE,
    *,
    region: str = "us-east-1",
    service: str = "sqs",
    presigned: bool = False,
    age_s: float = 0,
    expires_s: int = 3600,
) -> Any:
    """Sign it as botocore does, as if that had been `age_s` seconds ago."""
    auth: Any = botocore.auth
    untyped: Any = Credentials
    credentials = untyped(key.access_key, key.secret, key.session_token)
    now = auth.get_current_datetime
    auth.get_current_datetime = lambda: datetime.now(UTC) - timedelta(seconds=age_s)  # noqa: TID251 - as botocore does
    try:
        if presigned:
            auth.SigV4QueryAuth(credentials, service, region, expires=expires_s).add_auth(unsigned)
        else:
            auth.SigV4Auth(credentials, service, region).add_auth(unsigned)
    finally:
        auth.get_current_datetime = now
    return unsigned


def send(signed: Any, body: bytes | None = None) -> Answer:
    """Send it, with another body if told to."""
    parts = urlsplit(str(signed.url))
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        connection.request(signed.method, target, signed.body if body is None else body, dict(signed.headers.items()))
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read().decode())
    finally:
        connection.close()
