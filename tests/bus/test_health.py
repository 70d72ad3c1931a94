"""How a consumer is, told by what it gets done."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio
import pytest
from bus.orders import OrderPlaced
from bus.virtual import BILLING, connected, until
from trio.testing import MockClock

from busframe import Bus, Live
from busframe._consume.polling import FAILED_AFTER, Polling
from busframe.errors import AccessDeniedError, QueueNotFoundError, UnavailableError

if TYPE_CHECKING:
    from busframe._consume.health import ConsumerHealth

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


def shop() -> Bus:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(order: OrderPlaced) -> None:
        await anyio.sleep(float(order.order))

    return bus


def state_of(polling: Polling) -> str:
    return polling.state


def only(live: Live) -> ConsumerHealth:
    (consumer,) = live.health(stuck_after_s=300).consumers
    return consumer


async def test_where_nothing_is_consumed_nothing_is_ill() -> None:
    async with connected(shop()) as (live, _):
        assert live.health().healthy
        assert live.health().consumers == ()


async def test_an_idle_consumer_is_healthy_since_its_polls_come_back() -> None:
    async with connected(shop()) as (live, _), live.running():
        await anyio.sleep(1000)
        health = only(live)
        assert (health.queue, health.state, health.healthy) == (BILLING, "running", True)
        assert health.good_poll_s is not None
        assert health.good_poll_s <= 20
        assert (health.in_hand, health.running, health.oldest_running_s) == (0, 0, None)


async def test_a_handler_that_does_not_end_is_stuck() -> None:
    async with connected(shop()) as (live, _), live.running(drain_s=0):
        await live.publish(OrderPlaced("1000", customer="slow"))
        await live.publish(OrderPlaced("1000", customer="slow"))  # behind it
        await live.publish(OrderPlaced("1", customer="quick"))
        await anyio.sleep(200)
        health = only(live)
        assert (health.in_hand, health.running, health.stuck, health.healthy) == (2, 1, 0, True)
        await anyio.sleep(200)
        health = only(live)
        assert (health.stuck, health.healthy) == (1, False)
        assert health.oldest_running_s is not None
        assert 400 <= health.oldest_running_s <= 420
        assert live.health(stuck_after_s=3600).healthy
        await until(lambda: live.counts[BILLING].handled == 3)
        assert only(live).healthy


async def test_a_missing_permission_is_reported_loudly_and_mends_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    async with connected(shop()) as (live, backend):
        backend.fail("receive", *[AccessDeniedError("not allowed to receive")] * 20)
        async with live.running():
            await anyio.sleep(60)
            health = only(live)
            assert (health.state, health.healthy) == ("failed", False)
            assert health.error is not None
            assert "not allowed to receive" in health.error
            assert [r.levelno for r in caplog.records if r.levelno == logging.CRITICAL] == [logging.CRITICAL]
            await anyio.sleep(3600)
            assert only(live).state == "running"
            assert live.health().healthy


async def test_a_broker_that_is_away_is_a_fault_after_two_minutes() -> None:
    async with connected(shop()) as (live, backend):
        backend.fail("receive", *[UnavailableError("no route")] * 30)
        async with live.running():
            await anyio.sleep(10)
            assert (only(live).state, only(live).healthy) == ("backing off", True)
            await anyio.sleep(140)
            assert (only(live).state, only(live).healthy) == ("backing off", False)
            await anyio.sleep(900)
            assert (only(live).state, only(live).healthy, only(live).failures) == ("running", True, 0)


def test_polling_waits_twice_as_long_after_each_error_also_the_first_after_a_good_poll() -> None:
    polling = Polling()
    error = UnavailableError("no route")
    assert state_of(polling) == "starting"
    waits_s = [polling.bad(error, 1.0, 0.999999) for _ in range(10)]
    assert [round(wait_s, 1) for wait_s in waits_s] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]
    assert state_of(polling) == "backing off"
    assert polling.good(2.0, 2.0)
    assert (state_of(polling), polling.failures, polling.error) == ("running", 0, None)
    assert not polling.good(3.0, 3.0)
    assert 0.1 <= polling.bad(error, 4.0, 0.0) <= 0.2
    assert polling.failing_since_s == 4.0


@pytest.mark.parametrize("error", [AccessDeniedError("no"), QueueNotFoundError("no"), KeyError("a bug")])
def test_hopeless_errors_in_a_row_are_a_failure_and_one_of_another_kind_between_them_is_hope(error: Exception) -> None:
    polling = Polling()
    for _ in range(FAILED_AFTER - 1):
        polling.bad(error, 0.0, 0.5)
    polling.bad(UnavailableError("no route"), 0.0, 0.5)
    for _ in range(FAILED_AFTER - 1):
        polling.bad(error, 0.0, 0.5)
        assert state_of(polling) == "backing off"
    assert polling.bad(error, 0.0, 0.999999) == pytest.approx(60.0, abs=0.1)
    assert state_of(polling) == "failed"
    assert polling.good(1.0, 1.0)
    assert state_of(polling) == "running"
