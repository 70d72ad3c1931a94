"""On whose behalf a request is made, and what its queue URLs mean."""

from __future__ import annotations

import re
from base64 import b32encode
from copy import copy
from hashlib import sha256
from typing import Final

from busframe_emulator.engine.errors import no_such_queue
from busframe_emulator.engine.settings import QueueAddress

_REMEMBERED_MAX: Final = 10_000
_REMEMBERED_CHARACTERS_MAX: Final = 500
"""Longer URLs are read anew each time: no queue has one, and clients must not be able to fill the memory with them."""

_IDENTIFIER_LENGTH: Final = 17
_SESSION: Final = re.compile(r"(.+:assumed-role/[^/]+)/(.+)").fullmatch
_ROLE: Final = re.compile(r".+:role/.+").fullmatch


class Caller:
    """Where a request comes from: one region, one account, one way to write queue URLs.

    Args:
        access_key: of callers that have no `arn`, to tell them apart.

    Attributes:
        region: of the signature's credential scope.
        account: twelve digits.
        base_url: scheme and authority as the caller sees them, without a slash at the end.
        arn: of the user or role; of the account itself if nobody said.
        actions: what it may do at all, such as "sqs:Send*"; None for everything. Of matter to `access` only.
        policy: the IAM policy that says so, as JSON; None for everything. The same.
        sender: SenderId of the messages it sends.
        trace_header: of the HTTP request, for the messages it sends; None for most.
    """

    __slots__ = ("_addresses", "account", "actions", "arn", "base_url", "policy", "region", "sender", "trace_header")

    def __init__(
        self,
        *,
        region: str,
        account: str,
        base_url: str,
        arn: str | None = None,
        actions: tuple[str, ...] | None = None,
        policy: str | None = None,
        access_key: str = "",
    ) -> None:
        self.region = region
        self.account = account
        self.base_url = base_url
        self.arn = arn or f"arn:aws:iam::{account}:root"
        self.actions = actions
        self.policy = policy
        self.sender = _sender_of_role(arn) or _identifier("AIDA", arn or f"{account}/{access_key}")
        self.trace_header: str | None = None
        self._addresses: dict[str, QueueAddress] = {}

    def with_trace(self, trace_header: str) -> Caller:
        """The same caller, for one request that is part of a trace."""
        traced = copy(self)
        traced.trace_header = trace_header
        return traced

    def queue_url(self, address: QueueAddress) -> str:
        """The URL under which this caller can reach a queue."""
        return f"{self.base_url}/{address.account}/{address.name}"

    def own_queue(self, name: str) -> QueueAddress:
        """The caller's queue of that name."""
        return QueueAddress(self.region, self.account, name)

    def address(self, queue_url: str) -> QueueAddress:
        """Which queue a QueueUrl means: what its path says, whatever its host; a bare name is one of the caller's own.

        The region is always the caller's: SQS does not reach into another one.
        """
        address = self._addresses.get(queue_url)
        if address is None:
            address = self._read(queue_url)
            if len(queue_url) <= _REMEMBERED_CHARACTERS_MAX:
                if len(self._addresses) >= _REMEMBERED_MAX:
                    self._addresses.clear()
                self._addresses[queue_url] = address
        return address

    def _read(self, queue_url: str) -> QueueAddress:
        scheme, separator, rest = queue_url.partition("://")
        segments = (rest if separator else scheme).split("/")
        if separator:
            segments = segments[1:]  # the host
        match [segment for segment in segments if segment]:
            case [name] if not separator:
                return self.own_queue(name)
            case [*_, account, name]:
                return QueueAddress(self.region, account, name)
            case _:
                raise no_such_queue()


def _sender_of_role(arn: str | None) -> str | None:
    """SenderId of a role: its identifier, and the name of the session if there is one; None for who is no role."""
    if arn is None:
        return None
    if session := _SESSION(arn):
        return f"{_identifier('AROA', session[1])}:{session[2]}"
    return _identifier("AROA", arn) if _ROLE(arn) else None


def _identifier(prefix: str, name: str) -> str:
    """What IAM would have made up for a name. IAM user guide, "IAM identifiers": AIDA for users, AROA for roles."""
    return prefix + b32encode(sha256(name.encode()).digest())[:_IDENTIFIER_LENGTH].decode()
