"""The catalogue of refusals: what each error shape is on the wire.

Sources: Amazon SQS API (errors per action and their status), the service's own JSON answers for the namespaces.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from busframe_emulator.engine.errors import SqsError

MODELLED: Final = "com.amazonaws.sqs"
"""Namespace of the errors that SQS's model declares."""

GENERIC: Final = "com.amazon.coral.service"
"""Namespace of the errors every AWS service of that making can give."""


class WireError(NamedTuple):
    """An error shape on the wire.

    Attributes:
        kind: `__type` of the JSON protocol, namespace included.
        code: what the Query protocol calls it; the header x-amzn-query-error carries it in the JSON protocol, and
            botocore shows it as Error.Code.
        status: of the HTTP response.
    """

    kind: str
    code: str
    status: int


def _rows() -> dict[str, WireError]:
    prefixed = "AWS.SimpleQueueService."
    table = (
        (MODELLED, "QueueDoesNotExist", prefixed + "NonExistentQueue", 400),
        (MODELLED, "QueueNameExists", "QueueAlreadyExists", 400),
        (MODELLED, "QueueDeletedRecently", prefixed + "QueueDeletedRecently", 400),
        (MODELLED, "PurgeQueueInProgress", prefixed + "PurgeQueueInProgress", 403),
        (MODELLED, "OverLimit", "OverLimit", 403),
        (MODELLED, "RequestThrottled", "RequestThrottled", 403),
        (MODELLED, "ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", 404),
        (MODELLED, "MessageNotInflight", prefixed + "MessageNotInflight", 400),
        (MODELLED, "ResourceNotFoundException", "ResourceNotFoundException", 404),
        (MODELLED, "InvalidAddress", "InvalidAddress", 404),
        (MODELLED, "InvalidSecurity", "InvalidSecurity", 403),
        (MODELLED, "UnsupportedOperation", prefixed + "UnsupportedOperation", 400),
        (MODELLED, "BatchEntryIdsNotDistinct", prefixed + "BatchEntryIdsNotDistinct", 400),
        (MODELLED, "BatchRequestTooLong", prefixed + "BatchRequestTooLong", 400),
        (MODELLED, "EmptyBatchRequest", prefixed + "EmptyBatchRequest", 400),
        (MODELLED, "InvalidBatchEntryId", prefixed + "InvalidBatchEntryId", 400),
        (MODELLED, "TooManyEntriesInBatchRequest", prefixed + "TooManyEntriesInBatchRequest", 400),
        (MODELLED, "InvalidAttributeName", "InvalidAttributeName", 400),
        (MODELLED, "InvalidAttributeValue", "InvalidAttributeValue", 400),
        (MODELLED, "InvalidMessageContents", "InvalidMessageContents", 400),
        (MODELLED, "InvalidIdFormat", "InvalidIdFormat", 400),
        (GENERIC, "InvalidParameterValueException", "InvalidParameterValue", 400),
        (GENERIC, "MissingRequiredParameterException", "MissingParameter", 400),
        (GENERIC, "AccessDeniedException", "AccessDenied", 403),
        (GENERIC, "UnrecognizedClientException", "InvalidClientTokenId", 403),
        (GENERIC, "InvalidSignatureException", "SignatureDoesNotMatch", 403),
        (GENERIC, "MissingAuthenticationTokenException", "MissingAuthenticationToken", 403),
        (GENERIC, "IncompleteSignatureException", "IncompleteSignature", 400),
        (GENERIC, "UnknownOperationException", "InvalidAction", 400),
        (GENERIC, "SerializationException", "MalformedInput", 400),
        (GENERIC, "InternalFailure", "InternalFailure", 500),
        (GENERIC, "ServiceUnavailable", "ServiceUnavailable", 503),
    )
    return {shape: WireError(f"{namespace}#{shape}", code, status) for namespace, shape, code, status in table}


CATALOGUE: Final = _rows()
"""By the error's shape, as `SqsError.shape` has it."""


COMMON: Final = frozenset(shape for shape, row in CATALOGUE.items() if row.kind.startswith(GENERIC))
"""What any action can be refused with."""


def entry_code(shape: str) -> str:
    """What a failed entry of a batch calls the error."""
    return CATALOGUE[shape].code


def missing_parameter(name: str) -> SqsError:
    """A required member is absent, null or empty."""
    return SqsError("MissingRequiredParameterException", f"The request must contain the parameter {name}.")


def invalid_parameter(text: str) -> SqsError:
    """A parameter is refused in words of its own."""
    return SqsError("InvalidParameterValueException", text)


def malformed_input(text: str) -> SqsError:
    """The request's body cannot be read, or a member has the wrong type."""
    return SqsError("SerializationException", text)


def unknown_action(name: str) -> SqsError:
    """No such action, or none at this address."""
    return SqsError("UnknownOperationException", f"The action {name} is not valid for this endpoint.")
