"""A client's history, recorded by a hook of botocore, of any SQS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from busframe_emulator import checking
from busframe_emulator.boto import emulated_sqs
from busframe_emulator.boto.recording import ClientRecorder
from busframe_emulator.delivery import faults as f
from busframe_emulator.delivery.checkers.client_level import check_clients

if TYPE_CHECKING:
    from pathlib import Path


def work(client: Any, url: str, messages: int) -> None:
    group: dict[str, str] = {"MessageGroupId": "g"} if url.endswith(".fifo") else {}
    for number in range(messages):
        more = group and {**group, "MessageDeduplicationId": str(number)}
        client.send_message(QueueUrl=url, MessageBody=str(number), **more)
    for _ in range(messages * 2):
        answer = client.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"], VisibilityTimeout=30
        )
        entries = [
            {"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(answer.get("Messages", []))
        ]
        if entries:
            client.delete_message_batch(QueueUrl=url, Entries=entries)


@pytest.mark.parametrize("name", ["orders", "orders.fifo"])
@pytest.mark.parametrize("profile", ["calm", "hostile"])
def test_what_clients_see_of_the_emulator_is_fine(name: str, profile: str, tmp_path: Path) -> None:
    for seed in range(5):
        with emulated_sqs(profile=profile, seed=seed, limits={"purge_interval_s": 0}) as sqs:
            recorder = ClientRecorder()
            client = sqs.client()
            recorder.attach(client, "worker")
            attributes = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
            url = client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
            sqs.advance(2)
            work(client, url, 20)
        report = check_clients(recorder.history, allow={"lost"})
        assert report.findings == []
        assert report.events > 40
        recorder.save(tmp_path / "history.jsonl")
        assert checking.main([str(tmp_path / "history.jsonl"), "--allow", "lost"]) == 0


def test_a_script_may_wait_for_something_to_happen() -> None:
    script = f.script(f.when("deleted", queue="orders").receive("orders").duplicates())
    with emulated_sqs(script=script) as sqs:
        client = sqs.client()
        url = client.create_queue(QueueName="orders")["QueueUrl"]
        for number in range(2):
            client.send_message(QueueUrl=url, MessageBody=str(number))
        (first,) = client.receive_message(QueueUrl=url)["Messages"]
        client.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
        seen = [client.receive_message(QueueUrl=url).get("Messages", []) for _ in range(3)]
        assert [len(messages) for messages in seen] == [1, 1, 0]
        assert sqs.adversary is not None
        assert list(sqs.adversary.fired) == [("recv.dup", ("orders", 2, 1), 1)]
