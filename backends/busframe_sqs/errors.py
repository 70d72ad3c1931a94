"""What the errors of Amazon SQS and of botocore mean to the bus.

SQS names an error twice: by the shape of its model (`QueueDoesNotExist`), which the typed exceptions bear, and by the
code of its older protocol (`AWS.SimpleQueueService.NonExistentQueue`), which botocore puts into `Error.Code` and
batch answers into their entries. The table has both. What never reached SQS is an exception of botocore; these are
known here by name, since botocore may not be installed when this file is imported.

Two codes mean another thing according to what was asked: `InvalidParameterValue` is a message that SQS will not take
in a send, a lease that is over in an entry about a receipt, and otherwise a mistake of this backend.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

from busframe.errors import (
    AccessDeniedError,
    BackendError,
    Effect,
    LeaseLostError,
    MessageRefusedError,
    MessageTooLargeError,
    QueueMismatchError,
    QueueNotFoundError,
    ReceiptInvalidError,
    StorageError,
    ThrottledError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from busframe.message import QueueName
    from busframe_sqs.client import FailedEntry

Doing = Literal["send", "settle", "other"]
"""What was asked: to take a message; to do something with a receipt; anything else."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """An error of the bus: its class, what it surely did not do, and what to do about it where that is known."""

    error: type[BackendError]
    effect: Effect = "none"
    advice: str = ""


_QUEUE_MISSING: Final = Meaning(
    QueueNotFoundError, advice="`busframe topology apply` makes those of a program; or look at region and prefix"
)
_DELETED_RECENTLY: Final = Meaning(UnavailableError, advice="wait a minute: it was removed less than 60 seconds ago")
_PURGED_RECENTLY: Final = Meaning(ThrottledError, advice="one purge of a queue every 60 seconds")
_QUEUE_DIFFERS: Final = Meaning(QueueMismatchError)
_THROTTLED: Final = Meaning(ThrottledError)
_DENIED: Final = Meaning(AccessDeniedError, advice="`busframe topology iam` prints the policies that each role needs")
_NOT_KNOWN: Final = Meaning(AccessDeniedError, advice="look at the credentials: wrong, or out of date")
_NO_CREDENTIALS: Final = Meaning(
    AccessDeniedError,
    advice="`aws configure` sets them, so do AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, profile= in the URL names "
    "some; for an emulator any will do",
)
_KEY_UNUSABLE: Final = Meaning(StorageError, advice="the queue's encryption key cannot be used")
_BUCKET_MISSING: Final = Meaning(StorageError, advice="the bucket that large_bucket names")
_RECEIPT_INVALID: Final = Meaning(ReceiptInvalidError)
_LEASE_LOST: Final = Meaning(LeaseLostError)
_REFUSED: Final = Meaning(MessageRefusedError)
_TOO_LARGE: Final = Meaning(MessageTooLargeError)
_WRONG_REQUEST: Final = Meaning(BackendError)
_UNREACHABLE: Final = Meaning(UnavailableError, advice="look at the region, at endpoint_url, and whether it runs")
_UNKNOWN: Final = Meaning(UnavailableError, "unknown")

LEGACY_PREFIX: Final = "AWS.SimpleQueueService."

# Amazon SQS, the service model (each error shape, then its legacy code where it differs by more than the prefix
# above), the common errors of AWS APIs, and those of Amazon S3 that large bodies may meet.
CODES: Final[Mapping[str, Meaning]] = {
    code: meaning
    for meaning, codes in (
        (_QUEUE_MISSING, "QueueDoesNotExist NonExistentQueue InvalidAddress"),
        (_QUEUE_DIFFERS, "QueueNameExists QueueAlreadyExists InvalidAttributeName InvalidAttributeValue"),
        (_DELETED_RECENTLY, "QueueDeletedRecently"),
        (_PURGED_RECENTLY, "PurgeQueueInProgress"),
        (_THROTTLED, "OverLimit RequestThrottled RequestThrottledException Throttling ThrottlingException"),
        (_THROTTLED, "KmsThrottled KMS.ThrottlingException TooManyRequestsException RequestLimitExceeded"),
        (_BUCKET_MISSING, "NoSuchBucket InvalidBucketName PermanentRedirect"),
        (_THROTTLED, "SlowDown"),
        (_RECEIPT_INVALID, "ReceiptHandleIsInvalid"),
        (_LEASE_LOST, "MessageNotInflight"),
        (_REFUSED, "InvalidMessageContents"),
        (_TOO_LARGE, "BatchRequestTooLong"),
        (_DENIED, "AccessDenied AccessDeniedException NotAuthorized OptInRequired UnauthorizedAccess"),
        (_NOT_KNOWN, "AuthFailure InvalidSecurity InvalidAccessKeyId InvalidClientTokenId UnrecognizedClientException"),
        (_NOT_KNOWN, "SignatureDoesNotMatch InvalidSignatureException IncompleteSignature RequestExpired"),
        (_NOT_KNOWN, "IncompleteSignatureException MissingAuthenticationToken MissingAuthenticationTokenException"),
        (_NOT_KNOWN, "ExpiredToken ExpiredTokenException"),
        (_DENIED, "KmsAccessDenied KMS.AccessDeniedException KmsOptInRequired KMS.OptInRequired"),
        (_KEY_UNUSABLE, "KmsDisabled KMS.DisabledException KmsInvalidKeyUsage KMS.InvalidKeyUsageException"),
        (_KEY_UNUSABLE, "KmsInvalidState KMS.InvalidStateException KmsNotFound KMS.NotFoundException"),
        (_WRONG_REQUEST, "BatchEntryIdsNotDistinct EmptyBatchRequest InvalidBatchEntryId InvalidIdFormat"),
        (_WRONG_REQUEST, "TooManyEntriesInBatchRequest UnsupportedOperation ResourceNotFoundException"),
        (_WRONG_REQUEST, "InvalidParameterValue InvalidParameterValueException MissingParameter ValidationError"),
        (_WRONG_REQUEST, "MissingRequiredParameterException ValidationException InvalidAction MissingAction"),
        (_WRONG_REQUEST, "UnknownOperationException MalformedInput SerializationException"),
        (_UNKNOWN, "InternalError InternalFailure InternalServerError ServiceUnavailable"),
        (_UNKNOWN, "ServiceUnavailableException RequestTimeout RequestTimeoutException"),
    )
    for code in codes.split()
}

_CODES_BY_DOING: Final[Mapping[Doing, Mapping[str, Meaning]]] = {
    "send": dict.fromkeys(
        (
            "InvalidParameterValue",
            "InvalidParameterValueException",
            "MissingParameter",
            "MissingRequiredParameterException",
            "UnsupportedOperation",
        ),
        _REFUSED,
    ),
    "settle": dict.fromkeys(("InvalidParameterValue", "InvalidParameterValueException"), _LEASE_LOST),
    "other": {},
}

# botocore.exceptions and botocore.parsers. The nearest class of an exception counts.
EXCEPTIONS: Final[Mapping[str, Meaning]] = {
    name: meaning
    for meaning, names in (
        # No connection was made, so nothing was sent.
        (_UNREACHABLE, "EndpointConnectionError ConnectTimeoutError ProxyConnectionError"),
        # The request may have arrived.
        (_UNKNOWN, "ConnectionError HTTPClientError ReadTimeoutError ConnectionClosedError SSLError"),
        (_UNKNOWN, "IncompleteReadError ResponseStreamingError ResponseParserError"),
        (_NO_CREDENTIALS, "NoCredentialsError PartialCredentialsError"),
        (_NOT_KNOWN, "CredentialRetrievalError MetadataRetrievalError"),
        (_NOT_KNOWN, "NoAuthTokenError TokenRetrievalError SSOError LoginError RefreshWithMFAUnsupportedError"),
        (_WRONG_REQUEST, "ParamValidationError NoRegionError EndpointProviderError ConfigParseError"),
        (Meaning(BackendError, "unknown"), "BotoCoreError"),
    )
    for name in names.split()
}


def call_error(queue: QueueName, error: Exception, doing: Doing) -> BackendError | None:
    """Say what the failure of a whole call means; None if it is none of the service's or the client's."""
    code, status, text = _answered(error)
    meaning = _by_exception(error) if code is None else _by_code(code, doing) or _by_status(status)
    if meaning is None:
        return None
    return _error(meaning, f"queue {queue}: {text}")


def code_of(error: BackendError) -> str:
    """The code by which SQS refused a whole call, without its older prefix; empty if it did not answer."""
    code = _answered(error.__cause__)[0] if isinstance(error.__cause__, Exception) else None
    return (code or "").removeprefix(LEGACY_PREFIX)


def entry_error(queue: QueueName, entry: FailedEntry, doing: Doing) -> BackendError:
    """Say what the failure of one entry of a batch means."""
    unlisted = _WRONG_REQUEST if entry["SenderFault"] else _UNKNOWN
    text = f"queue {queue}: {entry['Code']}: {entry.get('Message', 'no reason given')}"
    return _error(_by_code(entry["Code"], doing) or unlisted, text)


def _error(meaning: Meaning, text: str) -> BackendError:
    return meaning.error(f"{text} ({meaning.advice})" if meaning.advice else text, effect=meaning.effect)


def _answered(error: Exception) -> tuple[str | None, int, str]:
    """Code, HTTP status and text of an error that the service answered, a `ClientError`; else no code."""
    response = cast("object", getattr(error, "response", None))
    if not isinstance(response, dict):
        return None, 0, str(error)
    answer = cast("Mapping[str, Mapping[str, object]]", response)
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return str(answer.get("Error", {}).get("Code", "")), status if isinstance(status, int) else 0, str(error)


def _by_code(code: str, doing: Doing) -> Meaning | None:
    short = code.removeprefix(LEGACY_PREFIX)
    return _CODES_BY_DOING[doing].get(short) or CODES.get(short)


def _by_status(status: int) -> Meaning:
    """For codes that are not in the table, such as those of a proxy on the way."""
    if status in (401, 403):
        return _DENIED
    if status == 429:  # noqa: PLR2004 - HTTP, Too Many Requests
        return _THROTTLED
    return _WRONG_REQUEST if 400 <= status < 500 else _UNKNOWN  # noqa: PLR2004 - HTTP, the caller's errors


def _by_exception(error: Exception) -> Meaning | None:
    for kind in type(error).__mro__:
        if kind.__module__.startswith("botocore.") and kind.__name__ in EXCEPTIONS:
            return EXCEPTIONS[kind.__name__]
    return None
