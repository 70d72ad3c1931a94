"""The bus from code without an event loop."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from bus.orders import OrderPlaced, PrintInvoice

from busframe import Bus, InvalidArgumentError, connect_blocking
from busframe.errors import ClosedError, QueueNotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


class Shop:
    """Hands what its handler gets to threads that wait for it."""

    def __init__(self) -> None:
        self.bus = Bus("shop")
        self.handled: list[str] = []
        self.done = threading.Semaphore(0)

        @self.bus.subscribe(OrderPlaced, group="billing")
        async def bill(order: OrderPlaced) -> None:
            assert threading.current_thread() is not threading.main_thread()
            self.handled.append(order.order)
            self.done.release()

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self.done.acquire(timeout=30)


@BACKENDS
def test_a_program_without_a_loop_publishes_and_has_its_handlers_run(backend: str) -> None:
    shop = Shop()
    with connect_blocking(shop.bus, "memory://", backend=backend) as live:
        with live.running():
            assert live.publish(OrderPlaced("o1")) == ("shop-billing",)
            shop.wait_for(1)
            assert [consumer.state for consumer in live.health().consumers] == ["running"]
        assert live.counts["shop-billing"].handled == 1
        assert live.health().consumers == ()
        assert live.stats()["shop-billing"].visible == 0
    assert shop.handled == ["o1"]


@BACKENDS
def test_threads_that_publish_at_once_each_hear_of_their_own(backend: str) -> None:
    shop = Shop()
    with connect_blocking(shop.bus, "memory://", backend=backend) as live, ThreadPoolExecutor(20) as threads:

        def publish(n: int) -> Sequence[str]:
            return live.publish(OrderPlaced(str(n)))

        assert set(threads.map(publish, range(500))) == {("shop-billing",)}
        assert live.stats()["shop-billing"].visible == 500


@BACKENDS
def test_options_and_errors_come_through(backend: str) -> None:
    shop = Shop()
    with connect_blocking(shop.bus, "memory://", backend=backend) as live:
        live.publish(OrderPlaced("o1"), delay_s=60)
        assert live.stats()["shop-billing"].delayed == 1
        with pytest.raises(QueueNotFoundError, match="has no owner yet"):
            live.send(PrintInvoice("o1"))
        with pytest.raises(InvalidArgumentError):
            live.publish(OrderPlaced("o1"), delay_s=-1)


@BACKENDS
def test_everything_else_goes_through_call(backend: str) -> None:
    shop = Shop()
    with connect_blocking(shop.bus, "memory://", backend=backend) as live:
        assert [row.queue for row in live.call(live.live.topology.subscriptions)] == ["shop-billing"]


@BACKENDS
def test_an_error_in_the_program_comes_out_as_it_is_and_nothing_is_left_running(backend: str) -> None:
    shop = Shop()
    before = threading.active_count()
    with (
        pytest.raises(ZeroDivisionError),
        connect_blocking(shop.bus, "memory://", backend=backend) as live,
        live.running(),
    ):
        raise ZeroDivisionError
    assert threading.active_count() <= before
    with pytest.raises(ClosedError):
        live.publish(OrderPlaced("late"))
