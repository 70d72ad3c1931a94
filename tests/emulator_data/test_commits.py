"""No answer goes out before what it tells of is durable, and none after it could not be made so."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from emulator_data.asking import Asking
from emulator_data.home import client_of

from busframe_emulator.server.persistence.file import DataFile
from busframe_emulator.server.thread import ThreadedServer, run_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Gate:
    """Lets commits through, or has them wait, or fail."""

    def __init__(self) -> None:
        self.open = Event()
        self.open.set()
        self.error: sqlite3.Error | None = None

    def stand_in(self, write: Any) -> Any:
        def write_when_open(file: DataFile, *arguments: Any) -> None:
            assert self.open.wait(30)
            if self.error is not None:
                raise self.error
            write(file, *arguments)

        return write_when_open


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    monkeypatch.setattr(DataFile, "write", gate.stand_in(DataFile.write))
    return gate


@pytest.fixture
def server(gate: Gate, tmp_path: Path) -> Iterator[ThreadedServer]:
    with run_in_thread(data=tmp_path) as server:
        yield server
        gate.open.set()


@pytest.fixture
def callers(server: ThreadedServer) -> Iterator[list[Asking]]:
    callers = [Asking(server.port) for _ in range(3)]
    yield callers
    for caller in callers:
        caller.close()


def test_a_send_is_answered_when_it_is_durable(gate: Gate, callers: list[Asking]) -> None:
    one, other, _ = callers
    url = one.call("CreateQueue", QueueName="q")["QueueUrl"]
    empty = one.call("CreateQueue", QueueName="empty")["QueueUrl"]
    gate.open.clear()
    one.ask("SendMessage", QueueUrl=url, MessageBody="x")
    # A receive that brings nothing tells nothing, and comes after the send.
    assert other.call("ReceiveMessage", QueueUrl=empty) == {}
    assert not one.is_answered()
    gate.open.set()
    assert one.take()[0] == 200


def test_what_others_did_is_not_told_before_it_is_durable(gate: Gate, callers: list[Asking]) -> None:
    one, other, third = callers
    url = one.call("CreateQueue", QueueName="q.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    empty = one.call("CreateQueue", QueueName="empty")["QueueUrl"]
    message = {"QueueUrl": url, "MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": "d"}
    gate.open.clear()
    one.ask("SendMessage", **message)
    assert third.call("ReceiveMessage", QueueUrl=empty) == {}
    other.ask("SendMessage", **message)
    assert third.call("ReceiveMessage", QueueUrl=empty) == {}
    assert not one.is_answered()
    assert not other.is_answered()
    gate.open.set()
    assert one.take() == other.take()


def test_a_receive_that_waited_is_answered_when_the_delivery_is_durable(gate: Gate, callers: list[Asking]) -> None:
    sender, receiver, third = callers
    url = sender.call("CreateQueue", QueueName="q")["QueueUrl"]
    empty = sender.call("CreateQueue", QueueName="empty")["QueueUrl"]
    receiver.ask("ReceiveMessage", QueueUrl=url, WaitTimeSeconds=20)
    assert third.call("ReceiveMessage", QueueUrl=empty) == {}
    gate.open.clear()
    sender.ask("SendMessage", QueueUrl=url, MessageBody="x")
    assert third.call("ReceiveMessage", QueueUrl=empty) == {}
    assert not receiver.is_answered()
    gate.open.set()
    assert receiver.take()[1]["Messages"][0]["Body"] == "x"
    assert sender.take()[0] == 200


def test_what_the_page_does_is_answered_when_it_is_durable(gate: Gate, callers: list[Asking]) -> None:
    one, other, _ = callers
    url = one.call("CreateQueue", QueueName="q")["QueueUrl"]
    empty = one.call("CreateQueue", QueueName="empty")["QueueUrl"]
    gate.open.clear()
    one.post("/_busframe/actions/SendMessage", QueueUrl=url, MessageBody="x")
    assert other.call("ReceiveMessage", QueueUrl=empty) == {}
    assert not one.is_answered()
    gate.open.set()
    assert one.take()[0] == 200
    assert other.call("ReceiveMessage", QueueUrl=url)["Messages"][0]["Body"] == "x"


def test_a_client_that_leaves_before_the_commit_leaves_its_message(gate: Gate, callers: list[Asking]) -> None:
    one, other, _ = callers
    url = one.call("CreateQueue", QueueName="q")["QueueUrl"]
    empty = one.call("CreateQueue", QueueName="empty")["QueueUrl"]
    gate.open.clear()
    one.ask("SendMessage", QueueUrl=url, MessageBody="x")
    assert other.call("ReceiveMessage", QueueUrl=empty) == {}
    one.close()
    assert other.call("ReceiveMessage", QueueUrl=empty) == {}
    gate.open.set()
    assert other.call("ReceiveMessage", QueueUrl=url)["Messages"][0]["Body"] == "x"


def test_after_a_failed_commit_nothing_is_answered_for(
    gate: Gate, callers: list[Asking], server: ThreadedServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    one, other, waiting = callers
    url = one.call("CreateQueue", QueueName="q")["QueueUrl"]
    empty = one.call("CreateQueue", QueueName="empty")["QueueUrl"]
    one.call("SendMessage", QueueUrl=url, MessageBody="kept")
    waiting.ask("ReceiveMessage", QueueUrl=empty, WaitTimeSeconds=20)
    gate.error = sqlite3.OperationalError("database or disk is full")
    gate.open.clear()
    one.ask("SendMessage", QueueUrl=url, MessageBody="lost")
    assert other.call("ReceiveMessage", QueueUrl=empty) == {}
    gate.open.set()
    for status, answer in (one.take(), waiting.take(), other.ask("ListQueues").take()):
        assert status == 503
        assert answer["__type"] == "com.amazon.coral.service#ServiceUnavailable"
        assert "database or disk is full" in answer["message"]
    assert other.get("/health") == (503, {"status": "failed"})
    assert other.get("/_busframe/queues")[0] == 503
    server.stop()
    assert "cannot keep its data any more" in capfd.readouterr().err
    gate.error = None
    with run_in_thread(data=tmp_path) as again:
        received = client_of(again).receive_message(QueueUrl=url.replace(str(server.port), str(again.port)))
        assert [message["Body"] for message in received["Messages"]] == ["kept"]
        assert "Messages" not in client_of(again).receive_message(
            QueueUrl=url.replace(str(server.port), str(again.port))
        )


def test_a_full_disk_ends_the_program_and_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    # No file may have more than 1.5 megabytes: to the program the disk is full then.
    command = f"ulimit -f 1500; exec {sys.executable} -m busframe_emulator --port 0 --data {tmp_path / 'data'}"
    with subprocess.Popen(
        ["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        port = int(program.stdout.readline().split()[2].rpartition(":")[2])
        caller = Asking(port)
        url = caller.call("CreateQueue", QueueName="q")["QueueUrl"]
        sent: list[str] = []
        while True:
            status, answer = caller.ask("SendMessage", QueueUrl=url, MessageBody="x" * 50_000).take()
            if status != 200:
                break
            sent.append(answer["MessageId"])
        caller.close()
        assert status == 503
        assert program.wait(30) == 1
        assert program.stderr is not None
        assert "busframe emulator: The emulator cannot keep its data any more, and stops:" in program.stderr.read()
    assert len(sent) > 5
    with run_in_thread(data=tmp_path / "data") as server:
        caller = Asking(server.port)
        answer = caller.get("/_busframe/queues/000000000000/q/messages?limit=1000")[1]
        assert [message["message_id"] for message in answer["messages"]] == sent
        caller.close()
