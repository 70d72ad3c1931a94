"""Clients that write down what they were told, for a server that is killed under them, and what must be true after.

Each client has messages of its own: it sends them, receives whatever the queue gives, and settles what it received. A
message is known by its body, which no other has. What a client writes down of it:

- sent: answered, or asked and never answered (then it may be there or not);
- deleted: the same;
- how often it was received, as the answers said, and until when it was hidden at the least.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from http.client import HTTPException
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from emulator_data.asking import Asking

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random  # noqa: TID251 - seeded, though threads make each run another

HIDDEN_S: Final = 3600
"""Longer than any test: what was received stays in flight until it is settled."""

_GONE: Final = (OSError, HTTPException, ValueError)
"""What a client meets when the server dies under it; a body that was cut off is no JSON."""


@dataclass
class Fate:
    """What is known of one message. None: it was asked for, and nobody knows what came of it."""

    queue: str
    group: str | None = None
    message_id: str | None = None
    sent: bool | None = None
    deleted: bool | None = False
    received: int = 0
    maybe_released: bool = False


@dataclass
class Ledger:
    """What all clients know together."""

    fates: dict[str, Fate] = field(default_factory=dict[str, Fate])
    lock: Lock = field(default_factory=Lock)


class Client:
    """One client with one connection. `run` until the server is gone."""

    def __init__(self, name: str, ledger: Ledger, chance: Random) -> None:
        self._name = name
        self._ledger = ledger
        self._chance = chance
        self._count = 0
        self._held: list[tuple[str, str, str]] = []
        """Queue, body and receipt of what was received and not settled. They are good after a restart too."""

    def run(self, port: int, urls: Sequence[str]) -> None:
        asking = Asking(port)
        try:
            while True:
                self._step(asking, self._chance.choice(urls))
        except _GONE:
            asking.close()

    def _step(self, asking: Asking, url: str) -> None:
        kind = self._chance.random()
        if kind < 0.35:
            self._send(asking, url, self._chance.choice((1, 1, 3, 10)))
        elif kind < 0.65 or not self._held:
            self._receive(asking, url)
        else:
            self._settle(asking)

    def _send(self, asking: Asking, url: str, count: int) -> None:
        fifo = url.endswith(".fifo")
        group = f"{self._name}-{self._chance.randrange(3)}" if fifo else None
        entries: list[dict[str, Any]] = []
        for number in range(count):
            self._count += 1
            body = f"{self._name}-{self._count}"
            entries.append({"Id": str(number), "MessageBody": body})
            if fifo:
                entries[-1] |= {"MessageGroupId": group, "MessageDeduplicationId": body}
            with self._ledger.lock:
                self._ledger.fates[body] = Fate(url.rpartition("/")[2], group)
        if count == 1:
            del entries[0]["Id"]
            told = {entries[0]["MessageBody"]: asking.call("SendMessage", QueueUrl=url, **entries[0])}
        else:
            answer = asking.call("SendMessageBatch", QueueUrl=url, Entries=entries)
            told = {entries[int(each["Id"])]["MessageBody"]: each for each in answer["Successful"]}
        assert len(told) == count
        with self._ledger.lock:
            for body, each in told.items():
                self._ledger.fates[body].sent = True
                self._ledger.fates[body].message_id = each["MessageId"]

    def _receive(self, asking: Asking, url: str) -> None:
        answer = asking.call(
            "ReceiveMessage",
            QueueUrl=url,
            MaxNumberOfMessages=self._chance.choice((1, 3, 10)),
            VisibilityTimeout=HIDDEN_S,
            WaitTimeSeconds=self._chance.choice((0, 0, 1)),
            AttributeNames=["ApproximateReceiveCount"],
        )
        with self._ledger.lock:
            for message in answer.get("Messages", ()):
                fate = self._ledger.fates[message["Body"]]
                assert fate.sent is not False, f"{message['Body']} was not there before"
                assert fate.deleted is not True, f"{message['Body']} came back"
                fate.received = max(fate.received, int(message["Attributes"]["ApproximateReceiveCount"]))
                fate.maybe_released = False
                fate.sent = True
                self._held.append((url, message["Body"], message["ReceiptHandle"]))

    def _settle(self, asking: Asking) -> None:
        url, body, receipt = self._held.pop(self._chance.randrange(len(self._held)))
        fate = self._ledger.fates[body]
        if self._chance.random() < 0.8:
            fate.deleted = None
            asking.call("DeleteMessage", QueueUrl=url, ReceiptHandle=receipt)
            fate.deleted = True
        else:
            fate.maybe_released = True
            asking.call("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=receipt, VisibilityTimeout=0)


def check(ledger: Ledger, queues: Sequence[str], port: int) -> None:
    """Compare what the server holds with what the clients know."""
    there = {message["body"]: message for queue in queues for message in _messages(port, queue)}
    lost = [body for body, fate in ledger.fates.items() if fate.sent and fate.deleted is False and body not in there]
    assert not lost, f"{len(lost)} lost: {lost[:5]}"
    back = [body for body, fate in ledger.fates.items() if fate.deleted and body in there]
    assert not back, f"{len(back)} resurrected: {back[:5]}"
    for body, message in there.items():
        _check_message(body, ledger.fates[body], message)
    _check_order(ledger, there)
    # From now on what nobody knew is known.
    for body, fate in ledger.fates.items():
        if body in there:
            fate.sent, fate.deleted = True, False
        elif fate.sent is not True:
            fate.sent = False
        else:
            fate.deleted = True


def _check_message(body: str, fate: Fate, message: dict[str, Any]) -> None:
    assert fate.sent is not False, f"{body} was not there before"
    if fate.message_id is not None:
        assert message["message_id"] == fate.message_id, body
    assert message["receive_count"] >= fate.received, body
    if fate.received and message["receive_count"] == fate.received and not fate.maybe_released:
        assert message["state"] == "in_flight", body
        assert message["due_s"] - message["sent_s"] >= HIDDEN_S, body


def _check_order(ledger: Ledger, there: dict[str, dict[str, Any]]) -> None:
    """Each client sent one after another, so its messages stand in the order of their numbers, group by group."""
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for body in there:
        group = ledger.fates[body].group
        if group is not None:
            groups[group].append(int(body.rpartition("-")[2]))
    for group, numbers in groups.items():
        assert numbers == sorted(numbers), group


def _messages(port: int, queue: str) -> list[dict[str, Any]]:
    asking = Asking(port)
    try:
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            path = f"/_busframe/queues/000000000000/{queue}/messages?limit=1000{after}"
            status, answer = asking.get(path)
            assert status == 200, answer
            found += answer["messages"]
            if answer["next"] is None:
                return found
            after = f"&after={answer['next']}"
    finally:
        asking.close()
