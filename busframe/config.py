"""URLs: which backend, where, with what settings.

A URL identifies. `scheme://place?parameter=value`: the scheme names an installed backend, the place is the backend's
own business (a path, a region), and a parameter that the backend does not know is an error, never ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from busframe.checks import check_text
from busframe.errors import InvalidArgumentError, UnknownBackendError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from busframe.backend import BackendFactory
    from busframe.inbox import InboxFactory
    from busframe.recipients import RecipientListFactory


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendUrl:
    """A URL taken apart.

    Attributes:
        scheme: in lower case.
        place: what stands between `://` and `?`, percent-decoded: `/abs/file.db` of `sqlite:////abs/file.db`,
            `file.db` of `sqlite:///file.db`, `eu-west-1` of `sqs://eu-west-1`.
        parameters: percent-decoded; each name once.
    """

    scheme: str
    place: str
    parameters: Mapping[str, str]

    @classmethod
    def parse(cls, url: str) -> BackendUrl:
        """Take a URL apart.

        Raises:
            InvalidArgumentError: it is no text, or has no scheme, a fragment, or a parameter twice.
        """
        check_text("url", url, "text, such as sqlite:///queue.db")
        parts = urlsplit(url)
        if not parts.scheme or "://" not in url:
            raise InvalidArgumentError("url", url, "scheme://place?parameter=value, such as sqlite:///queue.db")
        if parts.fragment:
            raise InvalidArgumentError("url", url, "no '#'; write it as %23")
        parameters: dict[str, str] = {}
        for name, value in parse_qsl(parts.query, keep_blank_values=True):
            if name in parameters:
                raise InvalidArgumentError("url", url, f"the parameter {name!r} once")
            parameters[name] = value
        # sqlite:///file.db is the file in this directory, sqlite:////file.db the one at the root, as elsewhere.
        path = parts.path.removeprefix("/") if not parts.netloc else parts.path
        return cls(scheme=parts.scheme, place=unquote(parts.netloc + path), parameters=parameters)

    def require_only(self, known: Collection[str]) -> None:
        """Refuse parameters that are not in `known`."""
        for name in self.parameters:
            if name not in known:
                allowed = f"one of {', '.join(sorted(known))}" if known else f"{self.scheme}:// takes no parameters"
                raise InvalidArgumentError("url parameter", name, allowed)

    def number(self, name: str, *, default: float, low: float, high: float) -> float:
        """Read a parameter as a number between `low` and `high`."""
        text = self.parameters.get(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise InvalidArgumentError(f"url parameter {name}", text, f"a number from {low:g} to {high:g}")
        return value


def backend_factory(scheme: str) -> BackendFactory:
    """Find the installed backend for a URL scheme."""
    return cast("BackendFactory", _load("busframe.backends", scheme))


def recipients_factory(scheme: str) -> RecipientListFactory:
    """Find the installed recipient list for a URL scheme."""
    return cast("RecipientListFactory", _load("busframe.recipients", scheme))


def inbox_factory(scheme: str) -> InboxFactory:
    """Find the installed inbox for a URL scheme."""
    return cast("InboxFactory", _load("busframe.inboxes", scheme))


def has_inbox(scheme: str) -> bool:
    """Tell whether an inbox is installed for a URL scheme."""
    try:
        _load("busframe.inboxes", scheme)
    except UnknownBackendError:
        return False
    return True


@lru_cache(maxsize=256)  # Reading what is installed takes milliseconds, and what raises is not remembered.
def _load(group: str, scheme: str) -> object:
    installed = entry_points(group=group)
    if scheme not in installed.names:
        raise UnknownBackendError(_unknown(group, scheme, sorted(installed.names)))
    return cast("object", installed[scheme].load())


def _unknown(group: str, scheme: str, names: Sequence[str]) -> str:
    from difflib import get_close_matches  # only where something is wrong already

    have = ", ".join(f"{name}://" for name in names) or "none"
    text = f"no package provides {scheme}:// in the entry-point group {group}; installed: {have}"
    if scheme in {"http", "https"} and "sqs" in names:
        return f"{text}; an SQS at that address is sqs://us-east-1?endpoint_url={scheme}://..."
    near = get_close_matches(scheme, names, n=1)
    return f"{text}; did you mean {near[0]}://?" if near else text
