"""Every error Busframe raises, in one tree.

BusframeError
├── ConfigurationError              wrong before anything was sent: fix the program or its settings
│   ├── InvalidArgumentError        a parameter, its value, what is allowed (a ValueError too)
│   ├── UnknownBackendError         no installed backend has this URL scheme
│   ├── MissingExtraError           a package is not installed; names the extra that brings it
│   ├── NotConnectedError           what `connect` or `running` gives was not entered with `async with`
│   ├── MissingStoreError           the connection has no recipient list, or no inbox, and this needs one
│   └── UnsupportedError            this backend cannot do this, and says so at start
├── BackendError                    the broker's answer, or its silence
│   ├── QueueNotFoundError
│   ├── QueueMismatchError          the queue is there, with other settings
│   ├── ReceiptInvalidError         no such delivery was ever made
│   ├── LeaseLostError              the lease ended: another consumer may have the message
│   ├── MessageRefusedError         the broker will never take this message
│   │   └── MessageTooLargeError
│   ├── AccessDeniedError
│   ├── ThrottledError
│   ├── UnavailableError            no answer, or a failure on the broker's side
│   └── StorageError                the disk is full, the file is not a queue file
├── ClosedError                     used after it was closed
├── PublishError                    some recipients have the message, some may not: says which
└── CodecError
    ├── EncodeError                 the payload cannot be written as its event's type
    ├── DecodeError                 the body is not what its type says
    └── UnknownMessageError         nobody here can handle it: no bus has sent it
        └── UnknownTypeError        a bus has, and nobody here handles its type

Two questions decide what to do with a `BackendError`, and both are answered by attributes, never by its text:
`retryable` (may the same call succeed later?) and `effect` (did the call surely change nothing, or may it have?).
The service's own error, if there is one, is `__cause__`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

Effect = Literal["none", "unknown"]
Fault = Literal["caller", "remote"]


class BusframeError(Exception):
    """The root: catch this to catch everything Busframe raises on purpose."""


class ConfigurationError(BusframeError):
    """Something is wrong before anything was sent."""


class InvalidArgumentError(ConfigurationError, ValueError):
    """A parameter has a value that is not allowed.

    Args:
        parameter: its name, as the caller wrote it.
        value: what was given. Never a secret.
        allowed: what may be given, in words.
    """

    def __init__(self, parameter: str, value: object, allowed: str) -> None:
        super().__init__(f"{parameter}={value!r} is not allowed: {allowed}")
        self.parameter = parameter
        self.value = value
        self.allowed = allowed


class UnknownBackendError(ConfigurationError):
    """No installed package provides a backend (or recipient list) for this URL scheme."""


class MissingExtraError(ConfigurationError):
    """A package this needs is not installed."""

    def __init__(self, *, package: str, extra: str, needed_for: str) -> None:
        super().__init__(f"{needed_for} needs the package {package!r}: pip install 'busframe[{extra}]'")
        self.package = package
        self.extra = extra


class NotConnectedError(ConfigurationError, AttributeError, TypeError):
    """A connection, or the run of its handlers, was used that is not open yet.

    Args:
        written: how.
        advice: what to write instead, as a clause; None: as it is with a connection.
    """

    def __init__(self, written: str, advice: str | None = None) -> None:
        if advice is None:
            advice = (
                "connect() opens nothing by itself; write `async with bus.connect(...) as live:` and use `live` inside "
                "(without an event loop: `with connect_blocking(bus, ...) as live:`)"
            )
        super().__init__(f"`{written}`: {advice}")


class MissingStoreError(ConfigurationError):
    """The connection has no recipient list, or no inbox, and something needs one.

    Args:
        parameter: of `Bus.connect` that names one: "recipients" or "inbox".
        needed_for: what needs it, as a clause.
    """

    def __init__(self, parameter: Literal["recipients", "inbox"], needed_for: str) -> None:
        example = "subscriptions.db" if parameter == "recipients" else "inbox.db"
        super().__init__(f"{needed_for}: name one, such as connect(url, {parameter}='sqlite:///{example}')")
        self.parameter = parameter


class UnsupportedError(ConfigurationError):
    """The backend lacks a capability the program asks for."""


class BackendError(BusframeError):
    """The broker refused, failed, or did not answer.

    Args:
        message: what happened and, where it is known, what to do next.
        effect: "none" if the call surely changed nothing, "unknown" if it may have. None takes the class's own.
    """

    fault: ClassVar[Fault] = "remote"
    retryable: ClassVar[bool] = False
    effect: Effect = "none"

    def __init__(self, message: str, *, effect: Effect | None = None) -> None:
        super().__init__(message)
        if effect is not None:
            self.effect = effect


class QueueNotFoundError(BackendError):
    """The queue is not there."""

    fault = "caller"


class QueueMismatchError(BackendError):
    """The queue is there, with settings other than the plan's."""

    fault = "caller"


class ReceiptInvalidError(BackendError):
    """The receipt is not one that this queue gave out."""

    fault = "caller"


class LeaseLostError(BackendError):
    """The lease ended before the call: the message is, or will be, delivered again."""

    fault = "caller"


class MessageRefusedError(BackendError):
    """The broker will never accept this message as it is."""

    fault = "caller"


class MessageTooLargeError(MessageRefusedError):
    """Body and attributes together exceed what the queue takes."""


class AccessDeniedError(BackendError):
    """The credentials are missing, wrong, or not allowed to do this."""

    fault = "caller"


class ThrottledError(BackendError):
    """The broker asks for fewer calls."""

    retryable = True


class UnavailableError(BackendError):
    """The broker did not answer, or failed on its side; the call may have taken effect."""

    retryable = True
    effect: Effect = "unknown"


class StorageError(BackendError):
    """The store itself is at fault: full disk, foreign or damaged file. Nothing was changed."""


class ClosedError(BusframeError):
    """The object was used after it was closed."""


class PublishError(BusframeError):
    """A publish reached some of its recipients only.

    Attributes:
        accepted: message id by queue, for recipients that have their copy.
        failed: error by queue. `failed[q].effect` says whether q may have a copy all the same.
    """

    def __init__(
        self,
        *,
        accepted: Mapping[str, str],
        failed: Mapping[str, BackendError],
        again: Callable[[], Awaitable[Sequence[str]]] | None = None,
    ) -> None:
        causes = "; ".join(f"{queue}: {error}" for queue, error in failed.items())
        super().__init__(f"{len(failed)} of {len(accepted) + len(failed)} recipients were not reached: {causes}")
        self.accepted = dict(accepted)
        self.failed = dict(failed)
        self._again = again

    async def retry(self) -> Sequence[str]:
        """Publish the same message, under the same id, to those that failed and are still subscribed.

        Those that accepted it get no second copy. Where the first attempt may have worked all the same, the copy's
        header `again` says so. May be called as long as the connection is open.

        Returns:
            All queues that have their copy by now.

        Raises:
            PublishError: some still have none; it can be retried in its turn.
            ConfigurationError: the error was made by hand: no publish stands behind it.
        """
        if self._again is None:
            raise ConfigurationError("this error does not know what was published")
        return await self._again()


class CodecError(BusframeError):
    """A payload and its wire form do not fit together."""


class EncodeError(CodecError):
    """The payload cannot be written."""


class DecodeError(CodecError):
    """The body cannot be read as the type it claims."""


class UnknownMessageError(CodecError):
    """Nobody here can handle this message."""


class UnknownTypeError(UnknownMessageError):
    """No subscription here handles this type of message; a later version of this program may."""
