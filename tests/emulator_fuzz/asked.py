"""Requests at random: some right, most bent. One seed makes one sequence, so that a failure can be made again."""

from __future__ import annotations

import json
from base64 import b64encode
from copy import deepcopy
from random import Random  # noqa: TID251 - seeded, and the seed stands in the failure
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast
from urllib.parse import quote, urlencode

from emulator_fuzz.material import ARN, BODIES, CONTENT_TYPES, QUEUES, TEXTS, VALUES

if TYPE_CHECKING:
    from collections.abc import Callable

_Choice = TypeVar("_Choice")


class Asked(NamedTuple):
    """A request to be sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def encode(self) -> bytes:
        """The bytes of it, with the length that is right unless a header says otherwise."""
        headers = {"Host": "localhost", "Content-Length": str(len(self.body)), **self.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{self.method} {self.path} HTTP/1.1\r\n{head}\r\n".encode("utf-8", "surrogateescape") + self.body


class Asking:
    """Makes requests, and remembers of the answers what later requests can use.

    Args:
        seed: makes the same requests again, as long as the answers are the same.
    """

    def __init__(self, seed: int) -> None:
        self._chance = Random(seed)  # noqa: S311 - no secret
        self.receipts = ["garbage", ""]
        self.tokens = ["", "%%%", "ZA=="]
        self.handles = ["garbage", b64encode(b'{"taskId":"x","sourceArn":"y"}').decode()]

    def learn(self, answer: bytes) -> None:
        """Remember what an answer in JSON gives to the one who asks on."""
        try:
            given: Any = json.loads(answer)
        except ValueError:
            return
        if not isinstance(given, dict):
            return
        given = cast("dict[str, Any]", given)
        self.receipts += [message["ReceiptHandle"] for message in given.get("Messages") or ()]
        self.tokens += [given["NextToken"]] if "NextToken" in given else []
        self.handles += [given["TaskHandle"]] if "TaskHandle" in given else []
        for known in (self.receipts, self.tokens, self.handles):
            del known[2:-20]

    def next(self) -> Asked:
        """The next request."""
        kind = self._chance.choices((self._json, self._query, self._garbage, self._control), weights=(60, 25, 10, 5))[0]
        return kind()

    # --- protocols --------------------------------------------------------------------------------------------------

    def _json(self) -> Asked:
        action, members = self._members()
        body = json.dumps(members).encode()
        if self._is(0.15):
            body = self.bend(body)
        headers = {"X-Amz-Target": f"AmazonSQS.{action}", "Content-Type": CONTENT_TYPES[0]}
        return Asked("POST", self._path(), self._with_odd_headers(headers), body)

    def _query(self) -> Asked:
        action, members = self._members()
        pairs = [("Action", action), *_flatten("", members)]
        if self._is(0.2):
            self._chance.shuffle(pairs)
        if self._is(0.1):
            name = self.one_of(
                (".", "1.2.3", "Attribute", "Attribute.1", "Attribute.999999999999", "Entry.." * 50, "Action")
            )
            pairs.append((name, str(self.one_of(TEXTS))))
        encoded = urlencode(pairs, errors="surrogatepass").encode()
        if self._is(0.1):
            encoded = self.bend(encoded)
        headers = {"Accept": "application/json"} if self._is(0.3) else {}
        if self._is(0.5):
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            return Asked("POST", self._path(), self._with_odd_headers(headers), encoded)
        return Asked("GET", f"{self._path()}?{quote(encoded, safe='=&%+')}", self._with_odd_headers(headers), b"")

    def _garbage(self) -> Asked:
        body = self._chance.randbytes(self.one_of((0, 1, 10, 1000)))
        if self._is(0.3):
            body = self.one_of(BODIES)
        headers = {"Content-Type": self.one_of(CONTENT_TYPES)}
        if self._is(0.5):
            headers["X-Amz-Target"] = self.one_of(("AmazonSQS.SendMessage", "AmazonSQS.", "x", "AmazonSQS.ListQueues"))
        method = self.one_of(("POST", "GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"))
        path = self.one_of(
            ("/", "/000000000000/a", "//", "/?", "/?Action", "/?Action=%ff", "/%", "/x/y/z?Action=ReceiveMessage")
        )
        return Asked(method, path, self._with_odd_headers(headers), body)

    def _control(self) -> Asked:
        path = self.one_of(
            (
                "/_busframe/queues",
                "/_busframe/queues/000000000000/a/messages",
                "/_busframe/queues/000000000000/c.fifo/messages?limit=2&after=1",
                "/_busframe/queues/x/%ff/messages?limit=x",
                "/_busframe/clock",
                "/_busframe/actions/SendMessage?region=x",
                "/_busframe/actions/ReceiveMessage",
                "/_busframe/actions/",
                "/_busframe/",
                "/metrics",
                "/health",
                "/",
            )
        )
        body = json.dumps(
            self.one_of(({}, {"advance_s": 0.5}, {"advance_s": -1}, {"advance_s": "x"}, {"mode": 1}, [], 1))
        )
        method = self.one_of(("GET", "POST", "HEAD", "PUT"))
        return Asked(method, path, self._with_odd_headers({"Accept": "text/html"}), body.encode())

    def _with_odd_headers(self, headers: dict[str, str]) -> dict[str, str]:
        if not self._is(0.1):
            return headers
        odd: tuple[tuple[str, str], ...] = (
            ("Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-1/sqs/aws4_request"),
            ("Authorization", "AWS4-HMAC-SHA256 Credential=111111111111/20260101/us-east-1/sqs/aws4_request, x"),
            ("Authorization", "x" * 500),
            ("Host", ""),
            ("Host", "ü" * 50),
            ("Accept", "*/*;q=" + "9" * 100),
            ("X-Amzn-Trace-Id", "Root=1;" * 20),
            ("X-Amzn-Trace-Id", "\x80\xff"),
            ("Origin", "http://x"),
            ("Sec-Fetch-Site", "cross-site"),
            ("Expect", "200-ok"),
            ("Content-Type", self.one_of(CONTENT_TYPES)),
            ("Cookie", "a" * 4000),
        )
        name, value = self.one_of(odd)
        return {**headers, name: value}

    def _path(self) -> str:
        return self.one_of(
            ("/", "/", "/", "/000000000000/a", "/000000000000/c.fifo", "/111111111111/a", "/a", "/x/y/z/")
        )

    # --- members ----------------------------------------------------------------------------------------------------

    def _members(self) -> tuple[str, dict[str, Any]]:
        """An action with members that fit, or do not fit in one place or more."""
        if self._is(0.05):
            return "CreateQueue", self.queue_to_create()
        action = self.one_of(tuple(_MEMBERS))
        if action in {"DeleteQueue", "PurgeQueue"} and self._is(0.8):
            action = "SendMessage"
        if self._is(0.6):
            return action, {name: make(self) for name, make in _MEMBERS[action].items() if self._is(0.95)}
        members = {name: make(self) for name, make in _MEMBERS[action].items() if self._is(0.8)}
        self._spoil(members)
        while self._is(0.4):
            self._spoil(members)
        return action, members

    def _spoil(self, members: Any) -> None:
        """Put something else in a place, at whatever depth."""
        if isinstance(members, dict) and members:
            members = cast("dict[str, Any]", members)
            key = self.one_of(tuple(members))
            if isinstance(members[key], dict | list) and self._is(0.7):
                self._spoil(members[key])
            elif self._is(0.15):
                members[self.text()] = members.pop(key)
            else:
                members[key] = deepcopy(self.one_of(VALUES))
        elif isinstance(members, list) and members:
            members = cast("list[object]", members)
            place = self._chance.randrange(len(members))
            if isinstance(members[place], dict | list) and self._is(0.7):
                self._spoil(members[place])
            else:
                members[place] = deepcopy(self.one_of(VALUES))

    def bend(self, data: bytes) -> bytes:
        """Change some bytes, or cut, double or mix them."""
        bent = bytearray(data)
        for _ in range(self._chance.randint(1, 4)):
            place = self._chance.randint(0, len(bent))
            match self._chance.randrange(5):
                case 0:
                    bent[place:place] = self._chance.randbytes(self._chance.randint(1, 4))
                case 1:
                    del bent[place : place + self._chance.randint(1, 20)]
                case 2:
                    bent[place:place] = bent[place : place + 50] * self._chance.randint(1, 5)
                case 3 if bent:
                    bent[place % len(bent)] ^= 1 << self._chance.randrange(8)
                case _:
                    bent[place:place] = self.one_of(
                        (b"\\u0000", b"\\ud800", b'"', b"{", b"}", b",", b"\xc3", b"1e999", b"\r\n")
                    )
        return bytes(bent)

    def queue_to_create(self) -> dict[str, Any]:
        name = self.name()
        fifo = {"FifoQueue": "true", "ContentBasedDeduplication": "true"} if name.endswith(".fifo") else {}
        return {"QueueName": name, "Attributes": fifo}

    def queue(self) -> str:
        name = self.one_of(QUEUES)
        return self.one_of((name, f"http://localhost/000000000000/{name}", f"/000000000000/{name}"))

    def name(self) -> str:
        return self.one_of(QUEUES)

    def text(self) -> str:
        return self.one_of(TEXTS)

    def whole(self, low: int, high: int) -> int:
        return self._chance.randint(low, high)

    def some(self, make: Callable[[], Any], most: int) -> list[Any]:
        return [make() for _ in range(self._chance.randint(0, most))]

    def attribute(self) -> dict[str, Any]:
        kind = self.one_of(("String", "Number", "Binary", "String.label", "Text", ""))
        value = self.one_of(("x", "12", "1e5", "", "\x07"))
        return {
            "DataType": kind,
            self.one_of(("StringValue", "StringValue", "BinaryValue")): self.one_of((value, "AAEC")),
        }

    def attributes(self) -> dict[str, str]:
        made = (
            ("DelaySeconds", self.one_of(("0", "1", "901", "x"))),
            ("VisibilityTimeout", self.one_of(("0", "30", "43200", "-1"))),
            ("MaximumMessageSize", self.one_of(("1024", "1048576", "1"))),
            ("MessageRetentionPeriod", self.one_of(("60", "1209600", ""))),
            (
                "RedrivePolicy",
                self.one_of((json.dumps({"deadLetterTargetArn": f"{ARN}b", "maxReceiveCount": 2}), "", "{", "[]")),
            ),
            ("RedriveAllowPolicy", self.one_of(('{"redrivePermission":"allowAll"}', "", '{"redrivePermission":[]}'))),
            ("Policy", self.one_of(('{"Statement":[]}', "", "x", '{"Statement":{"Sid":1}}', '{"Statement":[1,null]}'))),
            ("KmsMasterKeyId", self.one_of(("", "alias/x"))),
            ("SqsManagedSseEnabled", self.one_of(("true", "False", "maybe"))),
            ("FifoQueue", self.one_of(("true", "false"))),
            ("ContentBasedDeduplication", "true"),
            ("DeduplicationScope", self.one_of(("queue", "messageGroup", "x"))),
            ("FifoThroughputLimit", "perMessageGroupId"),
            (self.text(), self.text()),
        )
        return dict(self._chance.sample(made, self._chance.randint(0, 3)))

    def one_of(self, choices: tuple[_Choice, ...]) -> _Choice:
        return self._chance.choice(choices)

    def _is(self, probability: float) -> bool:
        return self._chance.random() < probability


_Make = dict[str, "Callable[[Asking], Any]"]

_QUEUE: Final[_Make] = {"QueueUrl": Asking.queue}
_PAGE: Final[_Make] = {"MaxResults": lambda a: a.whole(0, 5), "NextToken": lambda a: a.one_of(tuple(a.tokens))}
_MESSAGE: Final[_Make] = {
    "MessageBody": lambda a: a.one_of(("x", "y", "z", *TEXTS)),
    "DelaySeconds": lambda a: a.one_of((0, 0, 1, 900)),
    "MessageAttributes": lambda a: {a.one_of(("A", "B.c", *TEXTS)): a.attribute() for _ in range(a.whole(0, 3))},
    "MessageGroupId": lambda a: a.one_of(("g", "h", "g", "a b")),
    "MessageDeduplicationId": lambda a: a.one_of(("1", "2", "3", "4", "")),
}
_RECEIPT: Final[_Make] = {"ReceiptHandle": lambda a: a.one_of(tuple(a.receipts))}
_TIMEOUT: Final[_Make] = {"VisibilityTimeout": lambda a: a.one_of((0, 1, 30, 43_200))}


def _entries(make: _Make) -> Callable[[Asking], Any]:
    def entry(asking: Asking) -> dict[str, Any]:
        return {"Id": asking.one_of(("1", "2", "3", "4", "a b")), **{name: each(asking) for name, each in make.items()}}

    return lambda asking: asking.some(lambda: entry(asking), 4)


_MEMBERS: Final[dict[str, _Make]] = {
    "AddPermission": {
        **_QUEUE,
        "Label": lambda a: a.one_of(("l", "m", "a b")),
        "AWSAccountIds": lambda a: a.one_of((["111111111111"], [], ["x"])),
        "Actions": lambda a: a.one_of((["SendMessage"], ["*"], [], ["Dance"], ["*"] * 8)),
    },
    "RemovePermission": {**_QUEUE, "Label": lambda a: a.one_of(("l", "m"))},
    "CreateQueue": {"QueueName": Asking.name, "Attributes": Asking.attributes, "tags": lambda _: {"a": "b"}},
    "DeleteQueue": _QUEUE,
    "PurgeQueue": _QUEUE,
    "GetQueueUrl": {"QueueName": Asking.name, "QueueOwnerAWSAccountId": lambda a: a.one_of(("000000000000", "x"))},
    "GetQueueAttributes": {**_QUEUE, "AttributeNames": lambda a: a.one_of((["All"], ["QueueArn"], ["x"], []))},
    "SetQueueAttributes": {**_QUEUE, "Attributes": Asking.attributes},
    "ListQueues": {"QueueNamePrefix": lambda a: a.one_of(("", "a", "z")), **_PAGE},
    "ListDeadLetterSourceQueues": {**_QUEUE, **_PAGE},
    "TagQueue": {**_QUEUE, "Tags": lambda a: {a.text(): a.text()}},
    "UntagQueue": {**_QUEUE, "TagKeys": lambda a: [a.text()]},
    "ListQueueTags": _QUEUE,
    "SendMessage": {**_QUEUE, **_MESSAGE},
    "SendMessageBatch": {**_QUEUE, "Entries": _entries(_MESSAGE)},
    "ReceiveMessage": {
        **_QUEUE,
        **_TIMEOUT,
        "AttributeNames": lambda a: a.one_of((["All"], [], ["SenderId"])),
        "MessageAttributeNames": lambda a: a.one_of((["All"], ["A", "B.*"], [".*"])),
        "MaxNumberOfMessages": lambda a: a.whole(1, 10),
        "WaitTimeSeconds": lambda _: 0,
        "ReceiveRequestAttemptId": lambda a: a.one_of(("1", "2")),
    },
    "DeleteMessage": {**_QUEUE, **_RECEIPT},
    "DeleteMessageBatch": {**_QUEUE, "Entries": _entries(_RECEIPT)},
    "ChangeMessageVisibility": {**_QUEUE, **_RECEIPT, **_TIMEOUT},
    "ChangeMessageVisibilityBatch": {**_QUEUE, "Entries": _entries({**_RECEIPT, **_TIMEOUT})},
    "StartMessageMoveTask": {
        "SourceArn": lambda a: ARN + a.name(),
        "DestinationArn": lambda a: ARN + a.name(),
        "MaxNumberOfMessagesPerSecond": lambda a: a.whole(0, 501),
    },
    "ListMessageMoveTasks": {"SourceArn": lambda a: ARN + a.name(), "MaxResults": lambda a: a.whole(1, 11)},
    "CancelMessageMoveTask": {"TaskHandle": lambda a: a.one_of(tuple(a.handles))},
    "Dance": _QUEUE,
}

_FLAT: Final = {
    "Attributes": "Attribute",
    "AttributeNames": "AttributeName",
    "MessageAttributeNames": "MessageAttributeName",
    "MessageAttributes": "MessageAttribute",
    "Tags": "Tag",
    "tags": "Tag",
    "TagKeys": "TagKey",
    "Entries": "SendMessageBatchRequestEntry",
    "AWSAccountIds": "AWSAccountId",
    "Actions": "ActionName",
}


def _flatten(prefix: str, value: Any) -> list[tuple[str, str]]:
    """The same members as the Query protocol has them."""
    if isinstance(value, list):
        items = cast("list[object]", value)
        return [pair for n, item in enumerate(items, 1) for pair in _flatten(f"{prefix}.{n}", item)]
    if not isinstance(value, dict):
        return [(prefix, "true" if value is True else "" if value is None else str(value))]
    pairs: list[tuple[str, str]] = []
    is_map = prefix.rpartition(".")[2] in {"Attribute", "MessageAttribute", "Tag"}
    for number, (name, item) in enumerate(cast("dict[str, Any]", value).items(), 1):
        if is_map:
            key = "Key" if prefix == "Tag" else "Name"
            pairs.append((f"{prefix}.{number}.{key}", str(name)))
            pairs += _flatten(f"{prefix}.{number}.Value", item)
        else:
            flat = _FLAT.get(str(name), str(name))
            pairs += _flatten(f"{prefix}.{flat}" if prefix else flat, item)
    return pairs
