"""Who may look and turn knobs.

Without a token: this machine, and no other. That is less simple than it sounds, since any web page that somebody here
has open can make their browser send requests here as well:

- a page of another site is told by the headers Origin and Sec-Fetch-Site, which browsers set and scripts cannot;
- a page whose own name was made to resolve to 127.0.0.1 (DNS rebinding) is no other site to the browser, but the name
  is in the header Host, and it is none of the names that this machine has for itself.

With a token, whoever has it: no page can know it, so Host may then be any name, such as one of a container.
"""

from __future__ import annotations

import re
from hmac import compare_digest
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

from busframe_emulator.server.browsers import is_foreign
from busframe_emulator.server.control.answers import RefusedError
from busframe_emulator.server.request import AUTHORIZATION, HOST

if TYPE_CHECKING:
    from busframe_emulator.server.request import Request

_LOCAL_HOST: Final = re.compile(
    rb"(?:localhost|[a-z0-9.-]+\.localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?", re.IGNORECASE
)
_BEARER: Final = re.compile(rb"bearer +(.+)", re.IGNORECASE)


def check(request: Request, peer: str, token: str | None) -> None:
    """Let a request pass.

    Args:
        request: what is asked.
        peer: the address it comes from.
        token: what to ask for; None lets this machine in.

    Raises:
        RefusedError: it may not.
    """
    headers = request.headers
    host = headers.get(HOST, b"")
    if is_foreign(request):
        raise RefusedError(403, "A page of another site cannot ask for this.")
    if token is not None:
        _check_token(headers.get(AUTHORIZATION, b""), token)
    elif not _is_local(peer):
        raise RefusedError(403, "Only this machine can ask for this. Others need --control-token.")
    elif not _LOCAL_HOST.fullmatch(host):
        raise RefusedError(403, "Ask for this as localhost. Other names of the host need --control-token.")


def _check_token(authorization: bytes, token: str) -> None:
    given = _BEARER.fullmatch(authorization)
    if given is None or not compare_digest(given[1], token.encode()):
        raise RefusedError(401, "Authorization: Bearer needs the control token.", None, b"WWW-Authenticate: Bearer\r\n")


def _is_local(peer: str) -> bool:
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
