"""The clock is read, moved and stopped over the wire, and everything follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from emulator_control.asking import Ask, Poll

from busframe_emulator.server.clock import Clock
from busframe_emulator.server.thread import run_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

CLOCK = "/_busframe/clock"


def test_at_first_it_is_the_clock_of_the_machine(ask: Ask) -> None:
    clock = ask.get(CLOCK).document
    assert clock["mode"] == "real"
    assert clock["offset_s"] == pytest.approx(0, abs=1)


def test_the_offset_is_told_to_the_millisecond(ask: Ask) -> None:
    offset_s = ask.post(CLOCK, {"advance_s": 30}).document["offset_s"]
    assert offset_s == round(offset_s, 3)


def test_it_is_advanced_by_seconds_and_keeps_the_offset(ask: Ask) -> None:
    before = ask.get(CLOCK).document
    after = ask.post(CLOCK, {"advance_s": 30.5}).document
    assert after["now_s"] - before["now_s"] >= 30.5
    assert after["offset_s"] == pytest.approx(30.5, abs=1)


def test_stopped_it_stands_until_it_is_advanced(ask: Ask) -> None:
    stopped = ask.post(CLOCK, {"mode": "manual"}).document
    assert stopped["mode"] == "manual"
    assert ask.get(CLOCK).document["now_s"] == stopped["now_s"]
    assert ask.post(CLOCK, {"advance_s": 5}).document["now_s"] == pytest.approx(stopped["now_s"] + 5, abs=1e-5)


def test_let_go_it_runs_on_from_where_it_stood() -> None:
    clock = Clock(manual=True)
    stood_us = clock.now_us()
    clock.advance(50)
    clock.set_manual(False)
    assert clock.now_us() >= stood_us + 50_000_000
    assert clock.now_us() < stood_us + 60_000_000
    assert not clock.manual


def test_mode_and_advance_go_together(ask: Ask) -> None:
    before = ask.get(CLOCK).document
    after = ask.post(CLOCK, {"mode": "manual", "advance_s": 3600}).document
    assert after["mode"] == "manual"
    assert after["now_s"] - before["now_s"] == pytest.approx(3600, abs=2)


def test_visibility_delay_and_retention_follow(ask: Ask, sqs: Any, orders: str) -> None:
    ask.post(CLOCK, {"mode": "manual"})
    sqs.send_message(QueueUrl=orders, MessageBody="hidden")
    sqs.receive_message(QueueUrl=orders, VisibilityTimeout=60)
    sqs.send_message(QueueUrl=orders, MessageBody="delayed", DelaySeconds=61)
    ask.post(CLOCK, {"advance_s": 60})
    assert [message["Body"] for message in sqs.receive_message(QueueUrl=orders)["Messages"]] == ["hidden"]
    ask.post(CLOCK, {"advance_s": 1})
    assert [message["Body"] for message in sqs.receive_message(QueueUrl=orders)["Messages"]] == ["delayed"]
    ask.post(CLOCK, {"advance_s": 345_600})
    assert ask.get("/_busframe/queues/000000000000/orders/messages").document["messages"] == []


def test_the_deduplication_window_follows(ask: Ask, sqs: Any) -> None:
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = sqs.create_queue(QueueName="orders.fifo", Attributes=attributes)["QueueUrl"]
    for _ in range(2):
        sqs.send_message(QueueUrl=url, MessageBody="x", MessageGroupId="g")
    assert ask.queue("orders.fifo")["visible"] == 1
    ask.post(CLOCK, {"advance_s": 300})
    sqs.send_message(QueueUrl=url, MessageBody="x", MessageGroupId="g")
    assert ask.queue("orders.fifo")["visible"] == 2


def test_a_long_poll_ends_when_its_time_has_come_by_the_stopped_clock(
    ask: Ask, sqs: Any, orders: str, waiting: Callable[[int], None]
) -> None:
    ask.post(CLOCK, {"mode": "manual"})
    poll = Poll(sqs, orders)
    waiting(1)
    ask.post(CLOCK, {"advance_s": 19.9})
    waiting(1)
    ask.post(CLOCK, {"advance_s": 0.2})
    assert poll.join() == []


def test_a_stopped_clock_sets_no_timer_and_sets_it_when_it_runs_again(
    ask: Ask, sqs: Any, orders: str, waiting: Callable[[int], None]
) -> None:
    ask.post(CLOCK, {"mode": "manual"})
    sqs.send_message(QueueUrl=orders, MessageBody="soon", DelaySeconds=1)
    poll = Poll(sqs, orders)
    waiting(1)
    ask.post(CLOCK, {"mode": "real"})
    assert poll.join() == ["soon"]


def test_it_can_stand_from_the_start() -> None:
    with run_in_thread(manual_clock=True) as server:
        ask = Ask(server.port)
        first = ask.get(CLOCK).document
        assert first["mode"] == "manual"
        assert ask.get(CLOCK).document["now_s"] == first["now_s"]


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({"advance_s": -1}, "advance_s"),
        ({"advance_s": "30"}, "advance_s"),
        ({"advance_s": 1e300}, "advance_s"),
        ({"mode": "fast"}, "mode"),
        ({"advance": 1}, "advance"),
        (b"{", None),
        ([], None),
    ],
)
def test_a_bad_change_is_refused_by_name_and_changes_nothing(ask: Ask, body: object, parameter: str | None) -> None:
    answer = ask.post(CLOCK, body)
    assert answer.status == 400
    assert answer.document.get("parameter") == parameter
    assert ask.get(CLOCK).document["offset_s"] == pytest.approx(0, abs=1)
