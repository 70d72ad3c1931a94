"""Sends: each caller learns the fate of its own message, whatever becomes of the others in its call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest
from bus.virtual import connected

from busframe import Bus, runtime
from busframe.errors import (
    BackendError,
    ClosedError,
    InvalidArgumentError,
    MessageRefusedError,
    ThrottledError,
    UnavailableError,
)
from busframe.message import Failed, MessageId, Outgoing, QueueName, Sent
from busframe.sending import ATTEMPTS_MAX, Sender
from busframe_memory.backend import CAPABILITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from busframe.backend import Backend, Capabilities
    from busframe.message import SendOutcome

pytestmark = pytest.mark.anyio

ORDERS = QueueName("orders")
IN_ORDER = QueueName("orders.fifo")

Answer = "Callable[[Sequence[Outgoing]], Sequence[SendOutcome]]"


class Post:
    """A backend that only sends: to a list, when it is let through."""

    def __init__(self) -> None:
        self.calls: list[list[Outgoing]] = []
        self.answers: list[Callable[[Sequence[Outgoing]], Sequence[SendOutcome]]] = []
        self.gate: anyio.Event | None = None
        self.sent: list[str] = []

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        assert queue
        self.calls.append(list(batch))
        if self.gate is not None:
            await self.gate.wait()
        await anyio.lowlevel.checkpoint()
        return self.answers.pop(0)(batch) if self.answers else self.take(batch)

    def take(self, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        self.sent += [message.body for message in batch]
        return [Sent(message_id=MessageId(message.body)) for message in batch]


def sender(post: Post, tasks: anyio.abc.TaskGroup) -> Sender:
    backend: Backend = post  # type: ignore[assignment]  # as much of one as a sender needs
    return Sender(backend, tasks)


async def send_all(sending: Sender, bodies: Sequence[str], queue: QueueName = ORDERS) -> dict[str, object]:
    """Send all at once; what each was told."""
    told: dict[str, object] = {}

    async def send(body: str) -> None:
        ordered = queue == IN_ORDER
        message = Outgoing(body=body, group="g" if ordered else None, deduplication_id=body if ordered else None)
        try:
            told[body] = (await sending.send(queue, message)).message_id
        except (BackendError, ClosedError) as error:
            told[body] = error

    async with anyio.create_task_group() as tasks:
        for body in bodies:
            tasks.start_soon(send, body)
    return told


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("busframe.sending.FIRST_WAIT_S", 0.0)


async def test_only_the_entries_that_failed_are_sent_again() -> None:
    post = Post()

    def third_fails(batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        outcomes = list(post.take([*batch[:2], *batch[3:]]))
        return [*outcomes[:2], Failed(error=ThrottledError("one too many")), *outcomes[2:]]

    post.answers = [post.take, third_fails]
    async with runtime.background_tasks() as tasks:
        told = await send_all(sender(post, tasks), [str(n) for n in range(11)])
    assert told == {str(n): str(n) for n in range(11)}
    assert sorted(post.sent) == sorted(str(n) for n in range(11))
    assert [len(call) for call in post.calls] == [1, 10, 1]


async def test_one_entry_that_is_refused_for_good_does_not_harm_the_others() -> None:
    post = Post()

    def refuse_first(batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        return [Failed(error=MessageRefusedError("never")), *post.take(batch[1:])]

    post.answers = [post.take, refuse_first]
    async with runtime.background_tasks() as tasks:
        told = await send_all(sender(post, tasks), ["0", "1", "2", "3"])
    (refused,) = [body for body, outcome in told.items() if isinstance(outcome, MessageRefusedError)]
    assert {body: outcome for body, outcome in told.items() if body != refused} == {body: body for body in post.sent}
    assert len(post.sent) == 3
    assert len(post.calls) == 2


async def test_entries_that_an_answer_does_not_mention_are_unknown_and_sent_again() -> None:
    post = Post()
    post.answers = [lambda batch: post.take(batch)[:0]] * (ATTEMPTS_MAX + 1)
    async with runtime.background_tasks() as tasks:
        told = await send_all(sender(post, tasks), ["0"])
    error = told["0"]
    assert isinstance(error, UnavailableError)
    assert error.effect == "unknown"
    assert len(post.calls) == ATTEMPTS_MAX


async def test_what_may_have_been_sent_once_is_never_said_not_to_be_there() -> None:
    post = Post()

    def lose_answer(batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        post.take(batch)
        raise UnavailableError("reset")

    def refuse(_: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        raise MessageRefusedError("never")

    post.answers = [lose_answer, refuse]
    async with runtime.background_tasks() as tasks:
        told = await send_all(sender(post, tasks), ["0"])
    error = told["0"]
    assert isinstance(error, MessageRefusedError)
    assert error.effect == "unknown"


async def test_each_caller_of_a_failed_call_has_an_error_of_its_own() -> None:
    post = Post()

    def refuse(_: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        raise MessageRefusedError("never")

    post.answers = [post.take, refuse]
    async with runtime.background_tasks() as tasks:
        told = await send_all(sender(post, tasks), ["0", "1", "2"])
    first, second = [error for error in told.values() if isinstance(error, MessageRefusedError)]
    assert first is not second
    first.effect = "unknown"
    assert second.effect == "none"


async def test_a_repeated_send_to_an_ordered_queue_has_the_same_deduplication_id() -> None:
    post = Post()

    def lose_answer(batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        post.take(batch)
        raise UnavailableError("reset")

    post.answers = [lose_answer, lose_answer]
    async with runtime.background_tasks() as tasks:
        assert await send_all(sender(post, tasks), ["0"], IN_ORDER) == {"0": "0"}
    assert [message.deduplication_id for (message,) in post.calls] == ["0", "0", "0"]


async def test_a_repeated_send_has_the_same_delay_and_tenant() -> None:
    post = Post()

    def lose_answer(batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        post.take(batch)
        raise UnavailableError("reset")

    post.answers = [lose_answer]
    async with runtime.background_tasks() as tasks:
        message = Outgoing(body="0", delay_s=60, group="acme", attributes={"by": "hand"})
        await sender(post, tasks).send(ORDERS, message)
    assert post.calls == [[message], [message]]


async def test_what_one_task_sends_to_an_ordered_queue_without_waiting_keeps_its_order() -> None:
    post = Post()
    async with runtime.background_tasks() as tasks:
        sending = sender(post, tasks)
        bodies = [f"{n:03}" for n in range(100)]
        async with anyio.create_task_group() as sends:
            for body in bodies:
                message = Outgoing(body=body, group="g", deduplication_id=body)
                await sends.start(start_sending, sending, message)
    assert post.sent == bodies


async def start_sending(sending: Sender, message: Outgoing, *, task_status: anyio.abc.TaskStatus[None]) -> None:
    task_status.started()
    await sending.send(IN_ORDER, message)


async def test_a_message_that_its_queue_cannot_take_is_refused_before_it_shares_a_call() -> None:
    post = Post()
    async with runtime.background_tasks() as tasks:
        sending = sender(post, tasks)
        with pytest.raises(InvalidArgumentError, match="delay_s"):
            await sending.send(IN_ORDER, Outgoing(body="x", group="g", deduplication_id="x", delay_s=1))
        with pytest.raises(InvalidArgumentError, match="deduplication_id"):
            await sending.send(ORDERS, Outgoing(body="x", deduplication_id="x"))
    assert post.calls == []


async def test_a_bug_in_the_backend_is_told_to_the_callers_and_the_line_goes_on() -> None:
    post = Post()

    def stumble(_: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        raise KeyError("of its own")

    post.answers = [stumble, stumble]
    async with runtime.background_tasks() as tasks:
        sending = sender(post, tasks)
        told = await send_all(sending, ["0", "1", "2"])
        for error in told.values():
            assert isinstance(error, BackendError)
            assert error.effect == "unknown"
            assert isinstance(error.__cause__, KeyError)
        assert await send_all(sending, ["3"]) == {"3": "3"}


async def test_closing_waits_for_sends_under_way_and_refuses_later_ones() -> None:
    post = Post()
    post.gate = anyio.Event()
    told: dict[str, object] = {}
    async with runtime.background_tasks() as tasks, anyio.create_task_group() as callers:
        sending = sender(post, tasks)

        async def send_early() -> None:
            told.update(await send_all(sending, [str(n) for n in range(15)]))

        callers.start_soon(send_early)
        await anyio.wait_all_tasks_blocked()
        callers.start_soon(sending.aclose)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(ClosedError):
            await sending.send(ORDERS, Outgoing(body="late"))
        post.gate.set()
    assert told == {str(n): str(n) for n in range(15)}
    assert len(post.sent) == 15


async def test_what_closing_cannot_wait_for_is_told_apart_by_whether_it_may_have_been_sent() -> None:
    post = Post()
    post.gate = anyio.Event()
    told: dict[str, object] = {}
    under_way: set[str] = set()
    async with anyio.create_task_group() as callers:
        async with runtime.background_tasks() as tasks:
            sending = sender(post, tasks)

            async def send_early() -> None:
                told.update(await send_all(sending, [str(n) for n in range(60)]))

            callers.start_soon(send_early)
            await anyio.wait_all_tasks_blocked()
            under_way |= {message.body for call in post.calls[1:] for message in call}
            await sending.aclose(within_s=0)
        # The connection is gone; whoever waits for it still hears.
        post.gate.set()
    assert len(told) == 60
    effects = {body: error.effect for body, error in told.items() if isinstance(error, BackendError)}
    assert {body for body, effect in effects.items() if effect == "unknown"} == under_way
    assert len(under_way) == 30
    assert sum(effect == "none" for effect in effects.values()) == 29


async def test_leaving_a_connection_flushes_what_others_are_sending() -> None:
    bus = Bus("shop")
    with anyio.fail_after(20):
        async with connected(bus) as (live, backend):
            assert live.health().healthy
            await live.aclose()
            with pytest.raises(ClosedError):
                await live.queue("somewhere").send("late")
            assert backend.batches == []
