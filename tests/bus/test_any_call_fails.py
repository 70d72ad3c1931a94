"""Whichever call of the broker fails, in whatever way: nothing accepted is lost, and nothing is claimed that is not so.

One story (publish, handle, retry, give up, put off, drain) is told over and over in virtual time, and in each telling
another call fails.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

import anyio
import pytest
from bus.orders import OrderPlaced
from bus.virtual import DEAD, connected

from busframe import Bus, Later, PublishError, Reject, Retry
from busframe.errors import AccessDeniedError, ThrottledError, UnavailableError
from busframe.message import Failed, QueueName
from busframe.simulation.running import Conditions, run_in_virtual_time

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bus.faulty import FaultyBackend

    from busframe.simulation.running import Backend

How = Literal["refused", "denied", "lost on the way", "answer lost", "every entry fails", "half an answer", "a bug"]
ORDERS = ("ok 1", "ok 2", "twice", "poison", "put off", "rejected", "ok 3")


class Fault:
    """Lets the n-th call fail; put before the backend's methods."""

    def __init__(self, backend: FaultyBackend, nth: int, how: How) -> None:
        self.nth = nth
        self.how: How = how
        self.calls = 0
        for name in ("send", "receive", "settle", "extend"):
            setattr(backend, name, self._before(getattr(backend, name), name))

    def _before(
        self, method: Callable[..., Awaitable[Sequence[object]]], name: str
    ) -> Callable[..., Awaitable[Sequence[object]]]:
        async def call(queue: QueueName, *batch: Sequence[object], **more: object) -> Sequence[object]:
            self.calls += 1
            if self.calls != self.nth:
                return await method(queue, *batch, **more)
            match self.how:
                case "refused":
                    raise ThrottledError("slow down")
                case "denied":
                    raise AccessDeniedError("not you")
                case "a bug":
                    raise KeyError("of the backend's own")
                case "lost on the way":
                    raise UnavailableError("no answer")
                case _:
                    pass
            if name == "receive" or self.how == "answer lost":
                await method(queue, *batch, **more)
                raise UnavailableError("no answer")
            if self.how == "every entry fails":
                return [Failed(error=ThrottledError("slow down")) for _ in batch[0]]
            return (await method(queue, *batch, **more))[1:]

        return call


class Story:
    """What was tried, and what was seen of it.

    Attributes:
        told: what each publisher was told: "accepted", "none" or "unknown".
        done: how often each order's handler ended well.
    """

    def __init__(self, nth: int, how: How) -> None:
        self.nth = nth
        self.how: How = how
        self.told: dict[str, str] = {}
        self.done: Counter[str] = Counter()
        self.tries: Counter[str] = Counter()
        self.calls_until_done = 0
        self.dead: Counter[str] = Counter()
        self.left = -1
        self.claimed = 0
        self.bus = Bus("shop")

        @self.bus.subscribe(OrderPlaced, group="billing", lease_s=30, retry=Retry(attempts=3, first_s=1))
        async def bill(order: OrderPlaced) -> None:
            name = order.order
            self.tries[name] += 1
            await anyio.sleep(20)  # long enough for its lease to be extended
            if name == "poison" or (name == "twice" and self.tries[name] == 1):
                raise ConnectionError(name)
            if name == "rejected":
                raise Reject("no such customer")
            if name == "put off" and self.tries[name] == 1:
                raise Later(60, count=False)
            self.done[name] += 1

    async def tell(self) -> None:
        async with connected(self.bus) as (live, backend):
            fault = Fault(backend, self.nth, self.how)

            async def publish(name: str) -> None:
                try:
                    await live.publish(OrderPlaced(name, customer=name))
                except PublishError as error:
                    self.told[name] = error.failed["shop-billing"].effect
                else:
                    self.told[name] = "accepted"

            async with live.running():
                async with anyio.create_task_group() as tasks:
                    for name in ORDERS:
                        tasks.start_soon(publish, name)
                counts = live.counts["shop-billing"]
                for _ in range(900):
                    await anyio.sleep(1)
                    if counts.handled + counts.dead_lettered < len(ORDERS):
                        self.calls_until_done = fault.calls + 1
                self.claimed = counts.handled
            stats = await backend.inner.stats(QueueName("shop-billing"))
            self.left = stats.visible + stats.in_flight + stats.delayed
            while received := await backend.inner.receive(DEAD, limit=10, wait_s=0, lease_s=600):
                for message in received:
                    self.dead[next(name for name in ORDERS if f'"{name}"' in message.body)] += 1

    def judge(self) -> None:
        what = f"call {self.nth} {self.how}"
        assert self.left == 0, f"{what}: {self.left} messages are still in the queue"
        for name in ORDERS:
            ended = self.dead if name in {"poison", "rejected"} else self.done
            match self.told[name]:
                case "accepted":
                    assert ended[name], f"{what}: {name} was accepted and is lost"
                case "none":
                    assert not ended[name], f"{what}: {name} was said not to be there and was"
                case _:
                    assert self.told[name] == "unknown"
        # Without deduplication a repeated call may leave a second copy, and nothing more.
        assert sum(self.done.values()) + sum(self.dead.values()) <= len(ORDERS) + 10, f"{what}: copies abound"
        assert self.claimed <= sum(self.done.values()), f"{what}: more was counted as handled than was"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    "how", ["refused", "denied", "lost on the way", "answer lost", "every entry fails", "half an answer", "a bug"]
)
def test_whichever_call_fails_nothing_is_lost_and_nothing_is_claimed(how: How, backend: Backend) -> None:
    calm = Story(0, how)
    run_in_virtual_time(calm.tell, Conditions(backend=backend))
    assert calm.calls_until_done > 15
    for nth in range(1, calm.calls_until_done + 1):
        story = Story(nth, how)
        run_in_virtual_time(story.tell, Conditions(backend=backend))
        story.judge()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_in_the_calm_each_order_ends_once_as_it_should(backend: Backend) -> None:
    story = Story(0, "refused")
    run_in_virtual_time(story.tell, Conditions(backend=backend))
    story.judge()
    assert story.done == {"ok 1": 1, "ok 2": 1, "ok 3": 1, "twice": 1, "put off": 1}
    assert story.dead == {"poison": 1, "rejected": 1}
    assert story.tries == {"ok 1": 1, "ok 2": 1, "ok 3": 1, "twice": 2, "put off": 2, "poison": 3, "rejected": 1}
    assert set(story.told.values()) == {"accepted"}


def test_a_broker_that_loses_what_it_accepted_would_be_found() -> None:
    story = Story(0, "refused")
    story.told = dict.fromkeys(ORDERS, "accepted")
    story.left = 0
    story.done.update(ORDERS)
    with pytest.raises(AssertionError, match="is lost"):
        story.judge()
