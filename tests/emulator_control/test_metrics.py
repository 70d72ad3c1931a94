"""What Prometheus reads."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emulator_control.asking import Ask

    from busframe_emulator.server.thread import ThreadedServer

prometheus = pytest.importorskip("prometheus_client.parser", reason="prometheus_client is not installed here")


def samples(ask: Ask) -> Mapping[tuple[str, frozenset[tuple[str, str]]], float]:
    families: list[Any] = list(prometheus.text_string_to_metric_families(ask.get("/metrics").text))
    assert all(family.documentation and family.type in {"gauge", "counter"} for family in families)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(ask: Ask, name: str, **labels: str) -> float:
    return samples(ask)[name, frozenset(labels.items())]


def test_the_content_type_names_the_format(ask: Ask) -> None:
    assert ask.get("/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")


def test_each_queue_has_its_gauges(ask: Ask, sqs: Any, orders: str, server: ThreadedServer) -> None:
    for delay_s in (0, 0, 600):
        sqs.send_message(QueueUrl=orders, MessageBody="x", DelaySeconds=delay_s)
    sqs.receive_message(QueueUrl=orders, VisibilityTimeout=600)
    server.advance(100)
    labels = {"region": "us-east-1", "account": "000000000000", "queue": "orders"}
    for name in ("messages_visible", "messages_in_flight", "messages_delayed"):
        assert value(ask, f"busframe_queue_{name}", **labels) == 1
    assert 100 <= value(ask, "busframe_queue_oldest_message_age_seconds", **labels) < 110
    assert value(ask, "busframe_queue_waiting_receivers", **labels) == 0


def test_messages_are_counted_alone_and_in_batches(ask: Ask, sqs: Any, orders: str) -> None:
    sqs.send_message(QueueUrl=orders, MessageBody="x")
    entries = [{"Id": "a", "MessageBody": "x"}, {"Id": "b", "MessageBody": "x", "DelaySeconds": 901}]
    sqs.send_message_batch(QueueUrl=orders, Entries=entries)
    received = sqs.receive_message(QueueUrl=orders, MaxNumberOfMessages=10)["Messages"]
    sqs.delete_message(QueueUrl=orders, ReceiptHandle=received[0]["ReceiptHandle"])
    receipts = [{"Id": "a", "ReceiptHandle": received[1]["ReceiptHandle"]}]
    sqs.delete_message_batch(QueueUrl=orders, Entries=receipts)
    assert value(ask, "busframe_messages_sent_total") == 2
    assert value(ask, "busframe_messages_received_total") == 2
    assert value(ask, "busframe_messages_deleted_total") == 2


def test_what_a_long_poll_takes_is_counted(ask: Ask, sqs: Any, orders: str) -> None:
    sqs.send_message(QueueUrl=orders, MessageBody="x", DelaySeconds=1)
    assert "Messages" in sqs.receive_message(QueueUrl=orders, WaitTimeSeconds=20)
    assert value(ask, "busframe_messages_received_total") == 1


def test_requests_are_counted_by_action_and_status_in_both_protocols(ask: Ask, sqs: Any) -> None:
    sqs.list_queues()
    ask.get("/?Action=ListQueues")
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName="nowhere")
    ask.get("/?Action=GetQueueUrl&QueueName=nowhere")
    assert value(ask, "busframe_requests_total", action="ListQueues", status="200") == 2
    assert value(ask, "busframe_requests_total", action="GetQueueUrl", status="400") == 2


def test_names_that_clients_make_up_do_not_grow_the_metrics(ask: Ask) -> None:
    for number in range(5):
        ask.post("/", b"{}", X_Amz_Target=f"AmazonSQS.Made{number}")
        ask.get(f"/?Action=Made{number}")
    assert value(ask, "busframe_requests_total", action="", status="400") == 10


def test_what_nobody_asked_for_is_not_loaded() -> None:
    program = "import sys, busframe_emulator.server.command; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    late = ("server.control", "server.page", "server.configuration", "server.access_log", "engine.inspection")
    assert not {f"busframe_emulator.{name}" for name in late}.intersection(answer.stdout.split())
    assert "tomllib" not in answer.stdout.split()
