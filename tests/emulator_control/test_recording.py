"""A client's history over HTTP: what is lost, refused and repeated is recorded as what it is."""

from __future__ import annotations

import botocore.exceptions
import pytest
from botocore.config import Config

from busframe_emulator.boto.recording import ClientRecorder
from busframe_emulator.boto.sessions import make_client
from busframe_emulator.delivery import faults as f
from busframe_emulator.delivery.checkers.client_level import check_clients
from busframe_emulator.server.thread import run_in_thread


def test_lost_answers_failures_and_batches_are_recorded_as_what_they_are() -> None:
    key = "000000000000"
    script = f.script(
        f.call(key, "SendMessage", nth=1).lost_response(),
        f.call(key, "SendMessage", nth=2).throttled(),
        f.call(key, "SendMessage", nth=3).unavailable(),
        f.batch_entry(key, nth=1, entry=1),
    )
    recorder = ClientRecorder()
    with run_in_thread(script=script) as server:
        config = Config(retries={"total_max_attempts": 1})
        client = make_client(region_name="us-east-1", account=key, endpoint_url=server.url, config=config)
        recorder.attach(client)
        url = client.create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "7"})["QueueUrl"]
        for _ in range(3):
            with pytest.raises((botocore.exceptions.ClientError, botocore.exceptions.HTTPClientError)):
                client.send_message(QueueUrl=url, MessageBody="1")
        client.send_message_batch(QueueUrl=url, Entries=[{"Id": name, "MessageBody": name} for name in "ab"])
        received = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        client.close()
    outcomes = [(call.op, call.outcome) for call in recorder.history.calls]
    assert outcomes == [
        ("send", "unknown"),
        ("send", "fail"),
        ("send", "unknown"),
        ("send", "ok"),
        ("send", "fail"),
        ("receive", "ok"),
    ]
    assert recorder.history.queues["orders"].visibility_s == 7
    assert len(received) == 2
    report = check_clients(recorder.history)
    assert report.state == "ok"
    assert report.notes == {"recovered: sent by a call with an unknown outcome": 1}


def test_a_repeated_call_is_one_more_whose_outcome_nobody_knows() -> None:
    key = "000000000000"
    recorder = ClientRecorder()
    with run_in_thread(script=f.script(f.call(key, "SendMessage", nth=1).lost_response())) as server:
        client = make_client(region_name="us-east-1", account=key, endpoint_url=server.url)
        recorder.attach(client)
        url = client.create_queue(QueueName="orders")["QueueUrl"]
        client.send_message(QueueUrl=url, MessageBody="1")
        client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        client.close()
    assert [(call.op, call.outcome) for call in recorder.history.calls][:2] == [("send", "ok"), ("send", "unknown")]
    assert check_clients(recorder.history).state == "ok"
