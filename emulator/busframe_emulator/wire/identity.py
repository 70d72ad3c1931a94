"""Who calls, by the headers of the request: the region and account of the signature, the host as the caller wrote it.

Signatures are not verified here (`verified` does it): whoever can reach the emulator may use it. The region is that of
the credential scope (`Credential=<access key>/<date>/<region>/sqs/aws4_request`). An access key of twelve digits names
the account, as it does in other emulators; any other belongs to the default account.
"""

from __future__ import annotations

import re
from typing import Final

from busframe_emulator.api.caller import Caller

DEFAULT_REGION: Final = "us-east-1"
DEFAULT_ACCOUNT: Final = "000000000000"

_REMEMBERED_MAX: Final = 200
_REMEMBERED_BYTES_MAX: Final = 1_000
"""Of the headers that make a caller; longer ones are read anew each time."""

_SCOPE_END: Final = b"/sqs/"
_SCOPE: Final = re.compile(rb"Credential=([^/,\s]+)/[0-9]{8}/([a-z0-9-]{1,32})$").search
_ACCOUNT: Final = re.compile(r"[0-9]{12}", re.ASCII).fullmatch
_REGION: Final = re.compile(r"[a-z0-9-]{1,32}").fullmatch
_PUBLIC_URL: Final = re.compile(r"https?://[^\s/?#@]+(?:/[^\s?#]*)?").fullmatch


class Callers:
    """The callers seen so far. One object per caller, so that nothing has to be parsed twice.

    Args:
        region, account: of requests that do not say.
        public_url: what queue URLs begin with; None for the host as each caller writes it.

    Raises:
        ValueError: no region or account can be called so.
    """

    def __init__(
        self, *, region: str = DEFAULT_REGION, account: str = DEFAULT_ACCOUNT, public_url: str | None = None
    ) -> None:
        check_place(region, account)
        self._region = region
        self._account = account
        self._public_url = public_url
        self._seen: dict[tuple[bytes, bytes], Caller] = {}

    def find(self, authorization: bytes, host: bytes) -> Caller:
        """The caller behind the headers Authorization and Host; either may be empty."""
        # All that is before the service's name; what follows is the signature, different in every request.
        key = (authorization.partition(_SCOPE_END)[0], host)
        caller = self._seen.get(key)
        if caller is None:
            caller = self._read(*key)
            if len(key[0]) + len(host) <= _REMEMBERED_BYTES_MAX:
                if len(self._seen) >= _REMEMBERED_MAX:
                    self._seen.clear()
                self._seen[key] = caller
        return caller

    def _read(self, scope: bytes, host: bytes) -> Caller:
        region, account, access_key = self._region, self._account, ""
        if match := _SCOPE(scope):
            access_key, region = match[1].decode("ascii", "replace"), match[2].decode("ascii")
            if _ACCOUNT(access_key):
                account = access_key
        url = base_url(self._public_url, host.decode("latin-1"))
        return Caller(region=region, account=account, base_url=url, access_key=access_key)


def check_place(region: str, account: str) -> None:
    """Check that queues can be there.

    Raises:
        ValueError: they cannot.
    """
    if not _REGION(region):
        raise ValueError(f"a region has lower-case letters, digits and hyphens, like us-east-1, not {region!r}")
    if not _ACCOUNT(account):
        raise ValueError(f"an account has twelve digits, like 123456789012, not {account!r}")


def check_public_url(url: str) -> str:
    """The URL without the slashes at its end.

    Raises:
        ValueError: queue URLs cannot begin with it.
    """
    if not _PUBLIC_URL(url):
        raise ValueError(f"the public URL has to be like https://sqs.example.com, not {url}")
    return url.rstrip("/")


def base_url(public_url: str | None, host: str) -> str:
    """What the queue URLs of a caller begin with."""
    return public_url or f"http://{host or 'localhost'}"
