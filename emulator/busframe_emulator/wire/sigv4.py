"""Signature Version 4: whether a request was signed with a known secret, lately, and for this service.

A request says who signs it and how in the header Authorization, or, if it is presigned, in parameters of its URL that
begin with X-Amz-. Both sides compute the same canonical text of the request and sign it with a key derived from the
secret, the day, the region and the service; the server refuses what does not come out the same.

Rules: AWS, "Create a signed AWS API request" and "Elements of an AWS API request signature". Texts and codes are those
Amazon SQS and the services of its making give. The payload is always hashed: no action of SQS takes an unsigned one, so
that the value UNSIGNED-PAYLOAD does not come out the same either.
"""

from __future__ import annotations

import hmac
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from busframe_emulator.engine.errors import SqsError

if TYPE_CHECKING:
    from collections.abc import Mapping

ALGORITHM: Final = "AWS4-HMAC-SHA256"
SERVICE: Final = "sqs"
TERMINATOR: Final = "aws4_request"

WINDOW_S: Final = 900
"""How far a request's date may be from the server's, either way. AWS: fifteen minutes."""

EXPIRES_S_MAX: Final = 604_800
"""AWS, X-Amz-Expires: a presigned URL lives for a week at most."""

_AUTHORIZATION: Final = b"authorization"
_HOST: Final = "host"
_MUST_BE_SIGNED: Final = b"x-amz-"
"""AWS: the host and every header that begins so."""

_AS_SENT: Final = "surrogateescape"
"""Bytes that are not UTF-8 have to come out of the canonical text as they came in."""

_UNRESERVED: Final = "-_.~"
_TIMESTAMP: Final = "%Y%m%dT%H%M%SZ"
_TIMESTAMP_FORM: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z").fullmatch
_REGION: Final = re.compile(r"[a-z0-9-]{1,32}").fullmatch
_SCOPE_ELEMENTS: Final = 5


class Signed(NamedTuple):
    """A request, as far as a signature covers it.

    Attributes:
        url: path and query, as sent.
        headers: all of them by lower-case name; values of one name are joined by commas, in the order sent.
    """

    method: bytes
    url: bytes
    headers: Mapping[bytes, bytes]
    body: bytes | bytearray

    def header(self, name: bytes) -> str:
        """A header's value, with single spaces only; empty if there is no such header."""
        return " ".join(self.headers.get(name, b"").decode(errors=_AS_SENT).split())


class Signature(NamedTuple):
    """What a request says about its signature.

    Attributes:
        scope: day, region, service and "aws4_request".
        signed_at: the request's own date.
        signed_headers: lower-case names.
        value: the signature itself, in hexadecimal.
        session_token: that goes with the access key; empty if there is none.
        expires_s: how long a presigned URL is good for; None for the usual window.
    """

    access_key: str
    scope: tuple[str, str, str, str]
    signed_at: datetime
    signed_headers: tuple[str, ...]
    value: str
    session_token: str
    expires_s: int | None = None
    presigned: bool = False

    @property
    def region(self) -> str:
        """The region of the scope."""
        return self.scope[1]


def read_signature(request: Signed) -> Signature:
    """What the request says about its signature.

    Raises:
        SqsError: it is not signed, or what it says is incomplete.
    """
    if _AUTHORIZATION in request.headers:
        return _read_header(request)
    parameters = dict(_parameters(request.url))
    if "X-Amz-Algorithm" in parameters or "X-Amz-Signature" in parameters:
        return _read_parameters(parameters)
    raise SqsError("MissingAuthenticationTokenException", "Request is missing Authentication Token")


def check_scope(signature: Signature, now: datetime) -> None:
    """Check all that needs no secret: region, service and date of the scope, and the age of the request.

    Raises:
        SqsError: SignatureDoesNotMatch, in the words AWS has for each.
    """
    day, region, service, terminator = signature.scope
    stamp = signature.signed_at.strftime(_TIMESTAMP)
    if not _REGION(region):
        raise wrong_region(region)
    if service != SERVICE:
        raise _mismatch(f"Credential should be scoped to correct service: '{SERVICE}'. ")
    if terminator != TERMINATOR:
        raise _mismatch(f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator}'. ")
    if day != stamp[:8]:
        raise _mismatch(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{day}' != '{stamp[:8]}', from '{stamp}'."
        )
    window_s = WINDOW_S if signature.expires_s is None else signature.expires_s
    present = now.strftime(_TIMESTAMP)
    if signature.signed_at < (oldest := now - timedelta(seconds=window_s)):
        span = f"{window_s // 60} min." if window_s % 60 == 0 else f"{window_s} s."
        raise _mismatch(
            f"Signature expired: {stamp} is now earlier than {oldest.strftime(_TIMESTAMP)} ({present} - {span})"
        )
    if signature.signed_at > (newest := now + timedelta(seconds=WINDOW_S)):
        raise _mismatch(
            f"Signature not yet current: {stamp} is still later than {newest.strftime(_TIMESTAMP)} "
            f"({present} + {WINDOW_S // 60} min.)"
        )


def check_signature(signature: Signature, request: Signed, secret: str) -> None:
    """Compute the signature anew and compare.

    Raises:
        SqsError: SignatureDoesNotMatch.
    """
    _check_headers_signed(signature, request)
    canonical = canonical_request(signature, request)
    text = "\n".join(
        (
            ALGORITHM,
            signature.signed_at.strftime(_TIMESTAMP),
            "/".join(signature.scope),
            sha256(canonical.encode(errors=_AS_SENT)).hexdigest(),
        )
    )
    expected = hmac.new(_signing_key(secret, *signature.scope), text.encode(), sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), signature.value.encode()):
        raise _mismatch(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details."
        )


def canonical_request(signature: Signature, request: Signed) -> str:
    """The text that stands for the request: method, path, query, signed headers, hash of the body."""
    names = sorted(signature.signed_headers)
    headers = "".join(f"{name}:{request.header(name.encode())}\n" for name in names)
    return "\n".join(
        (
            request.method.decode("ascii"),
            _canonical_path(request.url.partition(b"?")[0]),
            _canonical_query(request.url, presigned=signature.presigned),
            headers,
            ";".join(names),
            sha256(request.body).hexdigest(),
        )
    )


def wrong_region(region: str) -> SqsError:
    """The scope is of a region that is not served."""
    return _mismatch(f"Credential should be scoped to a valid region, not '{region}'. ")


def _canonical_path(path: bytes) -> str:
    """The path without empty and dot segments, encoded once more than it was sent, as for all services but S3."""
    segments: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del segments[-1:]
        elif segment not in {b"", b"."}:
            segments.append(segment)
    slash = "/" if segments and path.endswith(b"/") else ""
    return "/" + quote(b"/".join(segments), safe="/" + _UNRESERVED) + slash


def _canonical_query(url: bytes, *, presigned: bool) -> str:
    """All parameters but the signature itself, encoded in the one way and sorted."""
    encoded = [
        (quote(name, safe=_UNRESERVED, errors=_AS_SENT), quote(value, safe=_UNRESERVED, errors=_AS_SENT))
        for name, value in _parameters(url)
        if not (presigned and name == "X-Amz-Signature")
    ]
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


def _parameters(url: bytes) -> list[tuple[str, str]]:
    """The parameters of the URL, decoded."""
    pairs: list[tuple[str, str]] = []
    for part in url.partition(b"?")[2].split(b"&"):
        if part:
            name, _, value = part.replace(b"+", b" ").partition(b"=")
            pairs.append((_unquote(name), _unquote(value)))
    return pairs


def _unquote(text: bytes) -> str:
    return unquote_to_bytes(text).decode(errors=_AS_SENT)


def _read_header(request: Signed) -> Signature:
    text = request.header(_AUTHORIZATION)
    algorithm, _, rest = text.partition(" ")
    _check_ascii(text)
    if algorithm != ALGORITHM:
        raise _unsupported(algorithm)
    parts: dict[str, str] = {}
    for piece in rest.split(","):
        name, equals, value = piece.strip().partition("=")
        if not equals:
            raise _incomplete(f"'{name}' not a valid key=value pair (missing equal-sign) in Authorization header.")
        parts[name] = value
    faults = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not parts.get(name)
    ]
    date = request.header(b"x-amz-date") or request.header(b"date")
    if not date:
        faults.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if faults:
        raise _incomplete(" ".join(faults))
    return _signature(parts, date, request.header(b"x-amz-security-token"))


def _read_parameters(parameters: Mapping[str, str]) -> Signature:
    names = ("Algorithm", "Credential", "Signature", "SignedHeaders", "Date")
    _check_ascii("".join(value for name, value in parameters.items() if name.startswith("X-Amz-")))
    for name in names:
        if not parameters.get(f"X-Amz-{name}"):
            raise _incomplete(
                f"AWS query-string parameters must include 'X-Amz-{name}'. Re-examine the query-string parameters."
            )
    if parameters["X-Amz-Algorithm"] != ALGORITHM:
        raise _unsupported(parameters["X-Amz-Algorithm"])
    parts = {name: parameters[f"X-Amz-{name}"] for name in names}
    signature = _signature(parts, parts["Date"], parameters.get("X-Amz-Security-Token", ""))
    return signature._replace(presigned=True, expires_s=_read_expires(parameters.get("X-Amz-Expires")))


def _read_expires(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(EXPIRES_S_MAX))):
        raise _incomplete("X-Amz-Expires should be a number.")
    if not 1 <= int(text) <= EXPIRES_S_MAX:
        raise _incomplete("X-Amz-Expires must be between 1 and 604800 seconds.")
    return int(text)


def _signature(parts: Mapping[str, str], date: str, session_token: str) -> Signature:
    _check_ascii(date + session_token)
    credential = parts["Credential"].split("/")
    if len(credential) != _SCOPE_ELEMENTS:
        raise _incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{parts['Credential']}'"
        )
    access_key, day, region, service, terminator = credential
    return Signature(
        access_key=access_key,
        scope=(day, region, service, terminator),
        signed_at=_read_date(date),
        signed_headers=tuple(name.lower() for name in parts["SignedHeaders"].split(";")),
        value=parts["Signature"],
        session_token=session_token,
    )


def _read_date(text: str) -> datetime:
    """ISO 8601 in its basic form, or what the header Date may also have, such as "Sun, 30 Aug 2015 12:36:00 GMT"."""
    try:
        if match := _TIMESTAMP_FORM(text):
            year, month, day, hour, minute, second = map(int, match.groups())
            return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        from email.utils import parsedate_to_datetime  # rare, and slow to load

        return parsedate_to_datetime(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _incomplete(f"Date must be in ISO-8601 'basic format'. Got '{text}'.") from None


def _check_headers_signed(signature: Signature, request: Signed) -> None:
    if _HOST not in signature.signed_headers:
        raise _mismatch("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    for name in request.headers:
        if name.startswith(_MUST_BE_SIGNED) and name.decode("latin-1") not in signature.signed_headers:
            raise _mismatch(f"'{name.decode('latin-1')}' must be a 'SignedHeader' in the AWS Authorization.")


@lru_cache(maxsize=100)
def _signing_key(secret: str, *scope: str) -> bytes:
    """The key for one day, region and service, derived step by step."""
    key = f"AWS4{secret}".encode()
    for step in scope:
        key = hmac.new(key, step.encode(), sha256).digest()
    return key


def _check_ascii(text: str) -> None:
    if not text.isascii():
        raise _incomplete("A signature and what belongs to it are plain ASCII.")


def _unsupported(algorithm: str) -> SqsError:
    return _incomplete(f"Unsupported AWS 'algorithm': '{algorithm}'.")


def _incomplete(text: str) -> SqsError:
    return SqsError("IncompleteSignatureException", text)


def _mismatch(text: str) -> SqsError:
    return SqsError("InvalidSignatureException", text)
