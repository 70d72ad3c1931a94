"""What every SDK is to see in the scenario. `programs/python_sdk.py` is the easiest to read of those that run it."""

from __future__ import annotations

from hashlib import md5
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

BODY: Final = 'héllo \U0001f680 "quoted" <&>\n\ttext\r'
ACCEPTED: Final = "accepted"


class Refusal(NamedTuple):
    """An error as the service's model has it.

    Attributes:
        shape: its name.
        code: the one it had in the Query protocol, which SDKs show to this day.
        status: of the HTTP response.
        modelled: the model declares it, so SDKs have a class for it.
    """

    shape: str
    code: str
    status: int = 400
    modelled: bool = True


_PREFIX: Final = "AWS.SimpleQueueService."
_NO_QUEUE: Final = Refusal("QueueDoesNotExist", f"{_PREFIX}NonExistentQueue")

REFUSALS: Final = {
    "no such name": _NO_QUEUE,
    "no such queue": _NO_QUEUE,
    "receipt": Refusal("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", 404),
    "exists": Refusal("QueueNameExists", "QueueAlreadyExists"),
    "empty": Refusal("EmptyBatchRequest", f"{_PREFIX}EmptyBatchRequest"),
    "twice": Refusal("BatchEntryIdsNotDistinct", f"{_PREFIX}BatchEntryIdsNotDistinct"),
    "bad id": Refusal("InvalidBatchEntryId", f"{_PREFIX}InvalidBatchEntryId"),
    "eleven": Refusal("TooManyEntriesInBatchRequest", f"{_PREFIX}TooManyEntriesInBatchRequest"),
    "too long": Refusal("InvalidParameterValueException", "InvalidParameterValue", modelled=False),
    "bad body": Refusal("InvalidMessageContents", "InvalidMessageContents"),
    "no group": Refusal("MissingRequiredParameterException", "MissingParameter", modelled=False),
    "bad value": Refusal("InvalidAttributeValue", "InvalidAttributeValue"),
    "bad name": Refusal("InvalidAttributeName", "InvalidAttributeName"),
    "no resource": Refusal("ResourceNotFoundException", "ResourceNotFoundException", 404),
    "bad handle": Refusal("InvalidParameterValueException", "InvalidParameterValue", modelled=False),
    "long wait": Refusal("InvalidParameterValueException", "InvalidParameterValue", modelled=False),
    "no label": Refusal("InvalidParameterValueException", "InvalidParameterValue", modelled=False),
    "eight actions": Refusal("OverLimit", "OverLimit", 403),
    "their tag": Refusal("InvalidParameterValueException", "InvalidParameterValue", modelled=False),
    "purge again": Refusal("PurgeQueueInProgress", f"{_PREFIX}PurgeQueueInProgress", 403),
    "deleted": Refusal("QueueDeletedRecently", f"{_PREFIX}QueueDeletedRecently"),
}

_TEAM: Final = {"team": "crème / 1+1=2"}
_EIGHT: Final = [[str(n) for n in range(8)], [["8", "ReceiptHandleIsInvalid", True]]]


def expected(
    surface: Callable[[Refusal], object],
    *,
    blob: str = "AP8QgA==",
    md5_of_attributes: str = "8cc846a7418688b2a8f4d3369f972691",
) -> dict[str, object]:
    """All the steps of the scenario.

    Args:
        surface: how an SDK shows an error.
        blob: the binary attribute, in base64.
        md5_of_attributes: of the message that has that attribute.
    """
    md5_of_body = md5(BODY.encode(), usedforsecurity=False).hexdigest()
    return {
        "create": ["/000000000000/orders", "/000000000000/orders.fifo", "/000000000000/orders-dead"],
        "tags": [{**_TEAM, "empty": ""}, {**_TEAM, "k": "v"}],
        "find": "/000000000000/orders",
        "pages": [["/000000000000/orders", "/000000000000/orders-dead", "/000000000000/orders.fifo"], ["end"]],
        "receive_nothing": 0,
        "send": [md5_of_body, md5_of_attributes, "5ae4d5d7636402d80f4eb6d213245a88"],
        "receive_all": {
            "body": BODY,
            "md5": [md5_of_body, md5_of_attributes],
            "attributes": {
                "blob": ["Binary.png", blob],
                "count": ["Number.int", "42"],
                "text": ["String", "grüße & <x>"],
            },
            "facts": [
                "AWSTraceHeader",
                "ApproximateFirstReceiveTimestamp",
                "ApproximateReceiveCount",
                "SenderId",
                "SentTimestamp",
            ],
            "trace": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
            "count": "1",
        },
        "settle": [0, True, ["0", "0"]],
        "long_poll": ["late", True],
        "batch": [
            ["e0", "e1", "e2", "e4", "e5", "e6", "e8", "e9"],
            [["e3", "InvalidMessageContents", True], ["e7", "InvalidParameterValue", True]],
        ],
        "settle_batch": [_EIGHT, _EIGHT],
        "fifo": {
            "ascending": True,
            "digits": [20, 20, 20, 20],
            "duplicate": [True, True],
            "bodies": ["a", "b", "c"],
            "group": ["g", "g", "g"],
            "deduplication": "d",
            "numbers": True,
            "blocked": 0,
            "next": ["next"],
        },
        "dead_letter": [[1, 1, 0], "poison", "arn:aws:sqs:us-east-1:000000000000:orders", ["/000000000000/orders"]],
        "move": [["RUNNING", True, True, 1], True, ["CANCELLED", True]],
        "permissions": [True, {}],
        "set_attributes": [
            {},
            {"QueueArn": "arn:aws:sqs:us-east-1:000000000000:orders", "VisibilityTimeout": "7"},
            [
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesDelayed",
                "ApproximateNumberOfMessagesNotVisible",
                "CreatedTimestamp",
                "DelaySeconds",
                "LastModifiedTimestamp",
                "MaximumMessageSize",
                "MessageRetentionPeriod",
                "QueueArn",
                "ReceiveMessageWaitTimeSeconds",
                "SqsManagedSseEnabled",
                "VisibilityTimeout",
            ],
        ],
        "purge": {"ApproximateNumberOfMessages": "0"},
        "errors": {name: surface(refusal) for name, refusal in REFUSALS.items()} | {"delete": ACCEPTED},
    }


def botocore(refusal: Refusal) -> object:
    """A class per modelled error, else the one they all come from."""
    return [refusal.shape if refusal.modelled else "ClientError", refusal.code, refusal.status]
