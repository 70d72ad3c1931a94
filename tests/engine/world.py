"""The engine with a clock of its own, in the words of the tests: seconds, bodies, and what was received.

A test says `world.pass_s(30)` where a driver would wait; nothing here sleeps.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from busframe_emulator.delivery import CALM
from busframe_emulator.engine import Engine, Ids, QueueAddress, SqsError
from busframe_emulator.engine.requests import (
    Batch,
    ChangeVisibility,
    CreateQueue,
    Delete,
    DeleteQueue,
    Deliveries,
    FindQueue,
    GetQueue,
    Parked,
    PurgeQueue,
    Receive,
    Send,
    SetQueue,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from busframe_emulator.delivery import Chooser
    from busframe_emulator.engine import Limits
    from busframe_emulator.engine.events import Event
    from busframe_emulator.engine.requests import Delivery, MessageAttribute, Sent
    from busframe_emulator.engine.settings import QueueView

START_US: Final = 1_700_000_000_000_000
"""Some moment: tests of differences must not depend on it."""


def us(seconds: float) -> int:
    """Seconds as the engine counts them."""
    return round(seconds * 1_000_000)


def address(name: str) -> QueueAddress:
    return QueueAddress("eu-west-1", "111111111111", name)


@contextmanager
def refused(shape: str, text: str = "") -> Generator[None, None, None]:
    """Expect a refusal of this shape, with this in its text."""
    with pytest.raises(SqsError) as caught:
        yield
    assert caught.value.shape == shape
    assert text in caught.value.text


class World:
    """An engine and the time it is."""

    def __init__(
        self,
        *,
        chooser: Chooser = CALM,
        limits: Limits | None = None,
        sink: Callable[[Event], None] | None = None,
        now_us: int = START_US,
    ) -> None:
        self.engine = Engine(ids=Ids(7), chooser=chooser, limits=limits, sink=sink)
        self.now_us = now_us

    def queue(self, name: str = "work", **settings: object) -> WorldQueue:
        """Make a queue. Settings go by the names of `QueueSettings`."""
        self.engine.apply(self.now_us, CreateQueue(queue=address(name), settings=settings))
        return WorldQueue(self, address(name))

    def fifo(self, name: str = "work.fifo", **settings: object) -> WorldQueue:
        """Make a FIFO queue that hashes bodies, unless told otherwise."""
        return self.queue(name, **{"fifo": True, "content_deduplication": True, **settings})

    def pass_us(self, microseconds: int) -> None:
        self.now_us += microseconds
        self.engine.advance(self.now_us)

    def pass_s(self, seconds: float) -> None:
        self.pass_us(us(seconds))

    def answers(self) -> dict[int, list[str]]:
        """The bodies that waiting receivers were handed, by the waiter's number; taken once."""
        return {
            number: [delivery.body for delivery in answer.deliveries] for number, answer in self.engine.take_answers()
        }


class WorldQueue:
    """One queue of the world."""

    def __init__(self, world: World, where: QueueAddress) -> None:
        self.world = world
        self.address = where

    def send(
        self,
        body: str,
        *,
        group: str | None = None,
        deduplication_id: str | None = None,
        delay_s: float | None = None,
        attributes: Mapping[str, MessageAttribute] | None = None,
        trace_header: str | None = None,
        size_bytes: int | None = None,
    ) -> Sent:
        request = self.message(
            body,
            group=group,
            deduplication_id=deduplication_id,
            delay_s=delay_s,
            attributes=attributes,
            trace_header=trace_header,
            size_bytes=size_bytes,
        )
        return self.world.engine.apply(self.world.now_us, request)

    def message(
        self,
        body: str,
        *,
        group: str | None = None,
        deduplication_id: str | None = None,
        delay_s: float | None = None,
        attributes: Mapping[str, MessageAttribute] | None = None,
        trace_header: str | None = None,
        size_bytes: int | None = None,
    ) -> Send:
        """Make the request and leave it at that: for a batch."""
        return Send(
            queue=self.address,
            body=body,
            size_bytes=len(body) if size_bytes is None else size_bytes,
            group=group,
            deduplication_id=deduplication_id,
            delay_us=None if delay_s is None else us(delay_s),
            attributes=attributes,
            trace_header=trace_header,
        )

    def send_all(self, bodies: str) -> None:
        """Send bodies such as "g1a g2b", a microsecond apart, to the group their first two letters name (FIFO)."""
        fifo = self.view().settings.fifo
        for body in bodies.split():
            self.send(body, group=body[:2] if fifo else None)
            self.world.pass_us(1)

    def receive(
        self, limit: int = 10, *, visibility_s: float | None = None, attempt_id: str | None = None
    ) -> list[Delivery]:
        """Poll without waiting."""
        visibility_us = None if visibility_s is None else us(visibility_s)
        request = Receive(self.address, limit, 0, visibility_us, attempt_id)
        reply = self.world.engine.apply(self.world.now_us, request)
        assert isinstance(reply, Deliveries)
        return list(reply.deliveries)

    def one(self, *, visibility_s: float | None = None) -> Delivery:
        """Receive the one message that is there."""
        (delivery,) = self.receive(1, visibility_s=visibility_s)
        return delivery

    def bodies(self, limit: int = 10, *, visibility_s: float | None = None) -> str:
        """Receive, and name what came, with spaces between."""
        return " ".join(delivery.body for delivery in self.receive(limit, visibility_s=visibility_s))

    def poll(
        self,
        wait_s: float = 20,
        *,
        limit: int = 10,
        visibility_s: float | None = None,
        attempt_id: str | None = None,
    ) -> int:
        """Begin a receive that has to wait; its number."""
        visibility_us = None if visibility_s is None else us(visibility_s)
        request = Receive(self.address, limit, us(wait_s), visibility_us, attempt_id)
        reply = self.world.engine.apply(self.world.now_us, request)
        assert isinstance(reply, Parked), reply
        return reply.waiter

    def delete(self, delivery: Delivery | str) -> None:
        self.world.engine.apply(self.world.now_us, Delete(queue=self.address, receipt=_receipt(delivery)))

    def hide(self, delivery: Delivery | str, seconds: float) -> None:
        """ChangeMessageVisibility."""
        request = ChangeVisibility(queue=self.address, receipt=_receipt(delivery), visibility_us=us(seconds))
        self.world.engine.apply(self.world.now_us, request)

    def release(self, delivery: Delivery | str) -> None:
        self.hide(delivery, 0)

    def batch(self, *requests: Send | Delete | ChangeVisibility) -> list[str]:
        """Do several at once; each outcome by the name of its kind, or of its error."""
        reply = self.world.engine.apply(self.world.now_us, Batch(queue=self.address, requests=requests))
        return [
            outcome.shape if isinstance(outcome, SqsError) else type(outcome).__name__ for outcome in reply.outcomes
        ]

    def set(self, **settings: object) -> None:
        self.world.engine.apply(self.world.now_us, SetQueue(queue=self.address, settings=settings))

    def purge(self) -> None:
        self.world.engine.apply(self.world.now_us, PurgeQueue(queue=self.address))

    def remove(self) -> None:
        self.world.engine.apply(self.world.now_us, DeleteQueue(queue=self.address))

    def find(self) -> None:
        self.world.engine.apply(self.world.now_us, FindQueue(queue=self.address))

    def view(self) -> QueueView:
        return self.world.engine.apply(self.world.now_us, GetQueue(queue=self.address))

    def look(self) -> QueueView:
        """GetQueueAttributes, of which `view` shows what is true."""
        return self.world.engine.apply(self.world.now_us, GetQueue(queue=self.address, approximate=True))

    def counts(self) -> tuple[int, int, int]:
        """Visible, in flight, delayed."""
        view = self.view()
        return view.visible, view.in_flight, view.delayed


def _receipt(delivery: Delivery | str) -> str:
    return delivery if isinstance(delivery, str) else delivery.receipt


class Scripted:
    """Answers what it was told to, and keeps every question."""

    def __init__(self, script: Mapping[tuple[str, tuple[str | int, ...]], int] | None = None) -> None:
        self.script = dict(script or {})
        self.asked: list[tuple[str, tuple[str | int, ...]]] = []

    def ask(self, site: str, key: tuple[str | int, ...]) -> int | None:
        self.asked.append((site, key))
        return self.script.get((site, key))

    def sites(self) -> set[str]:
        """The sites it was asked at."""
        return {site for site, _ in self.asked}
