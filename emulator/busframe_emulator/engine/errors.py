"""What SQS says when it refuses."""

from __future__ import annotations


class SqsError(Exception):
    """A refusal, by the name of its error shape.

    Status and legacy code belong to the wire, not to the engine: `busframe_emulator.api.errors` has them.

    Attributes:
        shape: the error's name in the service model, such as "QueueDoesNotExist".
        text: the message, word for word where AWS's is known.
    """

    def __init__(self, shape: str, text: str) -> None:
        super().__init__(f"{shape}: {text}")
        self.shape = shape
        self.text = text


def no_such_queue() -> SqsError:
    """The queue is not there. The Query protocol adds words of its own."""
    return SqsError("QueueDoesNotExist", "The specified queue does not exist.")


def invalid_value(parameter: str, value: object, reason: str) -> SqsError:
    """A parameter's value is refused, in the form most of SQS's texts have."""
    return SqsError(
        "InvalidParameterValueException", f"Value {value} for parameter {parameter} is invalid. Reason: {reason}"
    )
