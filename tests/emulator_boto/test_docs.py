"""The examples of docs/in-process.md run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from busframe_emulator.boto import emulated_sqs

if TYPE_CHECKING:
    from busframe_emulator.boto import EmulatedSqs

PAGE = Path(__file__).parents[2] / "docs" / "in-process.md"


@pytest.fixture
def examples() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def run(*sources: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for source in sources:
        exec(source, names)  # noqa: S102 - the project's own page
    return names


def test_the_first_example(examples: list[str]) -> None:
    assert run(examples[0])["message"]["Body"] == "hello"


def test_the_default_session(examples: list[str], sqs: EmulatedSqs, monkeypatch: pytest.MonkeyPatch) -> None:
    run(examples[1])["test_checkout"](sqs, monkeypatch)
    assert len(sqs.client().list_queues()["QueueUrls"]) == 1


def test_a_chooser(examples: list[str]) -> None:
    with emulated_sqs(chooser=run(examples[2])["TwiceTheThird"]()) as sqs:
        client = sqs.client()
        url = client.create_queue(QueueName="orders")["QueueUrl"]
        for body in "abcd":
            client.send_message(QueueUrl=url, MessageBody=body)
        received = [client.receive_message(QueueUrl=url)["Messages"][0]["Body"] for _ in range(5)]
        assert received == ["a", "b", "c", "d", "c"]
        assert "Messages" not in client.receive_message(QueueUrl=url)


def test_aiobotocore(examples: list[str]) -> None:
    pytest.importorskip("aiobotocore")
    anyio.run(run(examples[0], examples[3])["order"])
