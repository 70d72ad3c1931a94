"""Who calls, by a signature that was verified with a key the server knows. Without it see `identity`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

from busframe_emulator.api.caller import Caller
from busframe_emulator.engine.errors import SqsError
from busframe_emulator.wire.identity import base_url
from busframe_emulator.wire.sigv4 import Signed, check_scope, check_signature, read_signature, wrong_region

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_REMEMBERED_MAX: Final = 200
_REMEMBERED_CHARACTERS_MAX: Final = 1_000
"""Of the header Host; with a longer one the caller is made anew each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An access key.

    Attributes:
        account: that it belongs to, twelve digits.
        arn: of the user or role that it belongs to; None for the account itself.
        session_token: that has to come with it; None for a key without one.
        actions: what its owner may do, such as "sqs:SendMessage" or "sqs:Get*"; None for everything.
        policy: an IAM policy that says what its owner may do to which queues, as JSON; None for everything.
    """

    access_key: str
    secret: str = field(repr=False)
    account: str
    arn: str | None = None
    session_token: str | None = field(default=None, repr=False)
    actions: tuple[str, ...] | None = None
    policy: str | None = field(default=None, repr=False)

    @property
    def limited(self) -> bool:
        """Whether its owner may not do everything."""
        return self.actions is not None or self.policy is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The keys a server knows.

    Attributes:
        regions: that are served; None for whatever a caller signs for.
    """

    keys: Sequence[Key]
    regions: frozenset[str] | None = None


class VerifiedCallers:
    """Finds out who calls, and believes nothing unsigned.

    Args:
        keys: what is known.
        now_s: seconds since 1970 by the machine's own clock, since that is what SDKs sign with.
        public_url: as of `identity.Callers`.
    """

    def __init__(self, keys: Keys, now_s: Callable[[], float], *, public_url: str | None = None) -> None:
        self._keys = {key.access_key: key for key in keys.keys}
        self._regions = keys.regions
        self._now_s = now_s
        self._public_url = public_url
        self._seen: dict[tuple[str, str, str], Caller] = {}

    def find(self, method: bytes, url: bytes, headers: Mapping[bytes, bytes], body: bytes | bytearray) -> Caller:
        """The caller who signed a request: see `Signed` for the parts.

        Raises:
            SqsError: nobody did, or not as it has to be.
        """
        request = Signed(method, url, headers, body)
        signature = read_signature(request)
        check_scope(signature, datetime.fromtimestamp(self._now_s(), UTC))
        if self._regions is not None and signature.region not in self._regions:
            raise wrong_region(signature.region)
        key = self._keys.get(signature.access_key)
        if key is None or not compare_digest((key.session_token or "").encode(), signature.session_token.encode()):
            raise SqsError("UnrecognizedClientException", "The security token included in the request is invalid.")
        check_signature(signature, request, key.secret)
        return self._caller(key, signature.region, headers.get(b"host", b"").decode("latin-1"))

    def _caller(self, key: Key, region: str, host: str) -> Caller:
        """One object per caller, which remembers the queue URLs it has read."""
        known = (key.access_key, region, host)
        caller = self._seen.get(known)
        if caller is None:
            caller = Caller(
                region=region,
                account=key.account,
                base_url=base_url(self._public_url, host),
                arn=key.arn,
                actions=key.actions,
                policy=key.policy,
            )
            if len(host) <= _REMEMBERED_CHARACTERS_MAX:
                if len(self._seen) >= _REMEMBERED_MAX:
                    self._seen.clear()
                self._seen[known] = caller
        return caller
