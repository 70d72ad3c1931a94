"""What an `sqs://` URL says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from busframe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from busframe.config import BackendUrl

# A region is a label of a host name.
_REGION: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# Amazon SQS, CreateQueue: at most 80 characters in all; one is left for the queue.
_PREFIX: Final = re.compile(r"[A-Za-z0-9_-]{0,79}")
# Amazon S3, bucket naming rules; dots are left out, since they break TLS for virtual hosts.
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
# Amazon S3, object keys: the characters that are safe everywhere.
_KEY_PREFIX: Final = re.compile(r"[A-Za-z0-9!_.*'()/-]{0,200}")
# The host is botocore's to check.
_ENDPOINT: Final = re.compile(r"https?://[^/]")

# Amazon SQS, ReceiveMessage.
WAIT_S_MAX: Final = 20

_POLLS: Final = 100
_CALLS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SqsSettings:
    """See `busframe_sqs` for the URL.

    Attributes:
        region: of AWS.
        prefix: stands before every queue's name.
        endpoint_url: None is the region's own.
        profile: None takes the credentials that boto3 finds by itself.
        polls: how many waiting receives may be under way at once, 1 to 1,000.
        calls: how many calls of all other kinds may be, 1 to 1,000.
        wait_s: longest wait of one receive, 1 to 20. Closing waits for a receive under way, so it may take as long;
            an idle consumer makes one call in this time.
        large_bucket: bodies that are too large for SQS lie in this bucket of S3; None refuses them. See `claims`.
        large_prefix: stands before the keys of the objects there.
        large_endpoint_url: another place of S3 than the region's own.
    """

    region: str
    prefix: str = ""
    endpoint_url: str | None = None
    profile: str | None = None
    polls: int = _POLLS
    calls: int = _CALLS
    wait_s: int = WAIT_S_MAX
    large_bucket: str | None = None
    large_prefix: str = ""
    large_endpoint_url: str | None = None

    @classmethod
    def from_url(cls, url: BackendUrl) -> SqsSettings:
        """Read a URL.

        Raises:
            InvalidArgumentError: it lacks the region, or has a parameter that is unknown or out of its range.
        """
        url.require_only(
            (
                "prefix",
                "endpoint_url",
                "profile",
                "polls",
                "calls",
                "wait_s",
                "large_bucket",
                "large_prefix",
                "large_endpoint_url",
            )
        )
        if not _REGION.fullmatch(url.place):
            raise InvalidArgumentError("url", f"sqs://{url.place}", "sqs://region, such as sqs://eu-west-1")
        return cls(
            region=url.place,
            prefix=_matching(url, "prefix", _PREFIX, "up to 79 letters, digits, '-' and '_'") or "",
            endpoint_url=_endpoint_url(url, "endpoint_url"),
            profile=url.parameters.get("profile"),
            polls=_count(url, "polls", default=_POLLS, most=1000),
            calls=_count(url, "calls", default=_CALLS, most=1000),
            wait_s=_count(url, "wait_s", default=WAIT_S_MAX, most=WAIT_S_MAX),
            large_bucket=_large_bucket(url),
            large_prefix=_matching(url, "large_prefix", _KEY_PREFIX, "up to 200 letters, digits and !_.*'()/-") or "",
            large_endpoint_url=_endpoint_url(url, "large_endpoint_url"),
        )


def _endpoint_url(url: BackendUrl, name: str) -> str | None:
    text = url.parameters.get(name)
    if text is not None and not _ENDPOINT.match(text):
        raise InvalidArgumentError(f"url parameter {name}", text, "http://host:port or https://host")
    return text


def _large_bucket(url: BackendUrl) -> str | None:
    bucket = _matching(url, "large_bucket", _BUCKET, "an S3 bucket: 3 to 63 lower-case letters, digits and '-'")
    for name in ("large_prefix", "large_endpoint_url"):
        if bucket is None and name in url.parameters:
            raise InvalidArgumentError(f"url parameter {name}", url.parameters[name], "only with large_bucket")
    return bucket


def _matching(url: BackendUrl, name: str, pattern: re.Pattern[str], allowed: str) -> str | None:
    text = url.parameters.get(name)
    if text is not None and not pattern.fullmatch(text):
        raise InvalidArgumentError(f"url parameter {name}", text, allowed)
    return text


def _count(url: BackendUrl, name: str, *, default: int, most: int) -> int:
    value = url.number(name, default=default, low=1, high=most)
    if value != int(value):
        raise InvalidArgumentError(f"url parameter {name}", value, "a whole number")
    return int(value)
