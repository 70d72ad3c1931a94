"""Worlds that `growth` measures: an engine with so many messages or queues, and steps that leave it as it was."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from busframe_emulator.engine import Engine, Ids, Limits, QueueAddress
from busframe_emulator.engine.requests import (
    Batch,
    ChangeVisibility,
    CreateQueue,
    Delete,
    DeleteQueue,
    Deliveries,
    FindQueue,
    GetQueue,
    ListQueues,
    Receive,
    Send,
    SetQueue,
    TagQueue,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe_emulator.engine.requests import Delivery

    Steps = dict[str, tuple[Callable[[], None], Callable[[], None], Callable[[], None]]]

STEPS: Final = 200
"""Requests a step makes, or messages it moves: few beside the small world."""

BODY: Final = "x" * 100
SECOND_US: Final = 1_000_000
APART_US: Final = 10
RETENTION_US: Final = 345_600 * SECOND_US
GROUPS: Final = 250
"""More than a step takes at once: a group in flight holds back what is behind it."""

MESSAGE_STEPS: Final = (
    "send",
    "receive",
    "delete",
    "hide for longer",
    "give back",
    "send 10",
    "receive 10",
    "delete 10",
    "change visibility of 10",
    "send delayed",
    "delay ends",
    "visibility ends",
    "look at the queue",
    "wait and be woken",
    "retention ends",
)
LEAST: Final = "(no engine: a line for each queue)"
"""How much slower it gets for a machine to reach into ten thousand places instead of ten, whatever lies there."""

QUEUE_STEPS: Final = (
    "send, receive, delete",
    "find",
    "look at",
    "change",
    "tag",
    "list a page",
    "list by prefix",
    "create and delete",
    "wait and be woken",
    LEAST,
)


def _nothing() -> None:
    pass


class MessageWorld:
    """One queue with `count` messages, and an empty one beside it."""

    STANDARD_ONLY: Final = frozenset({"send delayed", "delay ends"})

    def __init__(self, count: int, *, fifo: bool) -> None:
        self.engine = Engine(ids=Ids(7), limits=Limits(in_flight_max=1 << 40, deduplication_us=1))
        suffix = ".fifo" if fifo else ""
        self.queue = QueueAddress("us-east-1", "000000000000", f"deep{suffix}")
        self.empty = QueueAddress("us-east-1", "000000000000", f"empty{suffix}")
        self.fifo = fifo
        self.now_us = 1
        self.sent = 0
        self.held: list[Delivery] = []
        for address in (self.queue, self.empty):
            settings: dict[str, object] = {"fifo": True, "deduplication_scope": "messageGroup"} if fifo else {}
            self.engine.apply(1, CreateQueue(queue=address, settings=settings))
        for _ in range(count):
            self.engine.apply(self.tick(), self.message())
        extend, give_back = 120 * SECOND_US, 0
        self.steps: Steps = {
            "send": (_nothing, self.send, self.take_back),
            "receive": (_nothing, lambda: self.receive(1), self.give_back),
            "receive 10": (_nothing, lambda: self.receive(10), self.give_back),
            "delete": (lambda: self.receive(10), self.delete, self.send),
            "hide for longer": (lambda: self.receive(10), lambda: self.change(extend), self.give_back),
            "give back": (lambda: self.receive(10), lambda: self.change(give_back), self.held.clear),
            "send 10": (_nothing, self.send_tens, self.take_back),
            "delete 10": (lambda: self.receive(10), self.delete_tens, self.send),
            "change visibility of 10": (lambda: self.receive(10), self.change_tens, self.give_back),
            "send delayed": (_nothing, lambda: self.send(delay_us=SECOND_US), self.end_delay),
            "delay ends": (lambda: self.send(delay_us=SECOND_US), lambda: self.pass_us(SECOND_US), self.take_back),
            "visibility ends": (lambda: self.receive(10), lambda: self.pass_us(30 * SECOND_US), self.held.clear),
            "look at the queue": (_nothing, self.look, _nothing),
            "wait and be woken": (_nothing, self.wait, _nothing),
            "retention ends": (_nothing, self.expire, self.fill_up),
        }
        self.count = count

    # --- steps ------------------------------------------------------------------------------------------------------

    def send(self, delay_us: int | None = None) -> None:
        for _ in range(STEPS):
            message = self.message()
            message.delay_us = delay_us
            self.engine.apply(self.tick(), message)

    def send_tens(self) -> None:
        for _ in range(STEPS // 10):
            self.engine.apply(self.tick(), Batch(queue=self.queue, requests=[self.message() for _ in range(10)]))

    def receive(self, limit: int) -> None:
        while len(self.held) < STEPS:
            reply = self.engine.apply(self.tick(), Receive(self.queue, limit))
            assert isinstance(reply, Deliveries)
            assert reply.deliveries
            self.held += reply.deliveries

    def delete(self) -> None:
        for delivery in self.held:
            self.engine.apply(self.tick(), Delete(self.queue, delivery.receipt))
        self.held.clear()

    def delete_tens(self) -> None:
        for first in range(0, STEPS, 10):
            deletes = [Delete(self.queue, delivery.receipt) for delivery in self.held[first : first + 10]]
            self.engine.apply(self.tick(), Batch(queue=self.queue, requests=deletes))
        self.held.clear()

    def change(self, visibility_us: int) -> None:
        for delivery in self.held:
            self.engine.apply(self.tick(), ChangeVisibility(self.queue, delivery.receipt, visibility_us))

    def change_tens(self) -> None:
        for first in range(0, STEPS, 10):
            receipts = [delivery.receipt for delivery in self.held[first : first + 10]]
            changes = [ChangeVisibility(self.queue, receipt, 120 * SECOND_US) for receipt in receipts]
            self.engine.apply(self.tick(), Batch(queue=self.queue, requests=changes))

    def look(self) -> None:
        for _ in range(STEPS):
            self.engine.apply(self.tick(), GetQueue(queue=self.queue))

    def wait(self) -> None:
        for _ in range(STEPS):
            self.engine.apply(self.tick(), Receive(self.empty, 1, 20 * SECOND_US))
            message = self.message()
            message.queue = self.empty
            self.engine.apply(self.now_us, message)
            [(_, reply)] = self.engine.take_answers()
            self.engine.apply(self.now_us, Delete(self.empty, reply.deliveries[0].receipt))

    def pass_us(self, passed_us: int) -> None:
        self.now_us += passed_us
        self.engine.advance(self.now_us)

    def expire(self) -> None:
        """Go to where the oldest message is dropped, again and again."""
        for _ in range(STEPS):
            oldest_us = self.engine.apply(self.now_us, GetQueue(queue=self.queue)).oldest_sent_us
            assert oldest_us is not None
            self.now_us = oldest_us + RETENTION_US
            self.engine.advance(self.now_us)

    # --- before and after -------------------------------------------------------------------------------------------

    def give_back(self) -> None:
        self.change(0)
        self.held.clear()

    def take_back(self) -> None:
        """Delete as many as a step has sent."""
        self.receive(10)
        self.delete()

    def end_delay(self) -> None:
        self.pass_us(SECOND_US)
        self.take_back()

    def fill_up(self) -> None:
        while self.engine.apply(self.now_us, GetQueue(queue=self.queue)).visible < self.count:
            self.engine.apply(self.tick(), self.message())

    def tick(self) -> int:
        self.now_us += APART_US
        return self.now_us

    def message(self) -> Send:
        self.sent += 1
        if self.fifo:
            return Send(self.queue, BODY, 100, group=f"g{self.sent % GROUPS}", deduplication_id=str(self.sent))
        return Send(self.queue, BODY, 100)


class QueueWorld:
    """`count` queues with ten messages each; requests go to one after the other."""

    def __init__(self, count: int) -> None:
        self.engine = Engine(ids=Ids(7), limits=Limits(recreate_after_us=0))
        self.now_us = 1
        self.queues = [QueueAddress("us-east-1", "000000000000", f"queue-{n:05}") for n in range(count)]
        self.turn = 0
        for queue in self.queues:
            self.engine.apply(1, CreateQueue(queue=queue))
            for _ in range(10):
                self.engine.apply(1, Send(queue, BODY, 100))
        self.lines = {queue: deque([Send(queue, BODY, 100)]) for queue in self.queues}
        self.steps: Steps = {
            LEAST: (_nothing, self.cycle_least, _nothing),
            "send, receive, delete": (_nothing, self.cycle, _nothing),
            "find": (_nothing, self.find, _nothing),
            "look at": (_nothing, self.look, _nothing),
            "change": (_nothing, self.change, _nothing),
            "tag": (_nothing, self.tag, _nothing),
            "list a page": (_nothing, self.list_page, _nothing),
            "list by prefix": (_nothing, self.list_prefix, _nothing),
            "create and delete": (_nothing, self.create_and_delete, _nothing),
            "wait and be woken": (self.make_empty_queue, self.wait, self.remove_empty_queue),
        }

    def next(self) -> QueueAddress:
        self.now_us += APART_US
        self.turn = (self.turn + 7) % len(self.queues)
        return self.queues[self.turn]

    def cycle(self) -> None:
        for _ in range(STEPS):
            queue = self.next()
            self.engine.apply(self.now_us, Send(queue, BODY, 100))
            reply = self.engine.apply(self.now_us, Receive(queue))
            assert isinstance(reply, Deliveries)
            self.engine.apply(self.now_us, Delete(queue, reply.deliveries[0].receipt))

    def cycle_least(self) -> None:
        """Three times, as a message is sent, received and deleted."""
        for _ in range(STEPS):
            queue = self.next()
            for _ in range(3):
                line = self.lines[queue]
                line.append(Send(queue, BODY, 100))
                line.popleft()

    def find(self) -> None:
        for _ in range(STEPS):
            self.engine.apply(self.now_us, FindQueue(queue=self.next()))

    def look(self) -> None:
        for _ in range(STEPS):
            self.engine.apply(self.now_us, GetQueue(queue=self.next()))

    def change(self) -> None:
        for _ in range(STEPS):
            self.engine.apply(self.now_us, SetQueue(queue=self.next(), settings={"visibility_us": SECOND_US}))

    def tag(self) -> None:
        for _ in range(STEPS):
            self.engine.apply(self.now_us, TagQueue(queue=self.next(), add={"a": "b"}))

    def list_page(self) -> None:
        for _ in range(STEPS):
            request = ListQueues(region="us-east-1", account="000000000000", after=self.next().name, limit=5)
            self.engine.apply(self.now_us, request)

    def list_prefix(self) -> None:
        for _ in range(STEPS):
            request = ListQueues(region="us-east-1", account="000000000000", prefix=self.next().name, limit=5)
            self.engine.apply(self.now_us, request)

    def create_and_delete(self) -> None:
        for number in range(STEPS):
            queue = QueueAddress("us-east-1", "000000000000", f"queue-new-{number}")
            self.next()
            self.engine.apply(self.now_us, CreateQueue(queue=queue))
            self.engine.apply(self.now_us, DeleteQueue(queue=queue))

    def make_empty_queue(self) -> None:
        """Waiting needs a queue without messages."""
        self.queues.append(QueueAddress("us-east-1", "000000000000", "queue-empty"))
        self.engine.apply(self.now_us, CreateQueue(queue=self.queues[-1]))

    def wait(self) -> None:
        queue = self.queues[-1]
        for _ in range(STEPS):
            self.next()
            self.engine.apply(self.now_us, Receive(queue, 1, 20 * SECOND_US))
            self.engine.apply(self.now_us, Send(queue, BODY, 100))
            [(_, reply)] = self.engine.take_answers()
            self.engine.apply(self.now_us, Delete(queue, reply.deliveries[0].receipt))

    def remove_empty_queue(self) -> None:
        self.engine.apply(self.now_us, DeleteQueue(queue=self.queues.pop()))
