"""The plugin's fixtures, and what they cost those who do not use them."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from busframe_emulator.pytest_plugin import SqsEmulator

HEAVY = {"asyncio", "boto3", "botocore", "httptools", "msgspec", "busframe_emulator.boto", "busframe_emulator.engine"}

USES_ALL_FIXTURES = """
def test_one(sqs_client, sqs, sqs_emulator):
    assert sqs_client.create_queue(QueueName="orders")["QueueUrl"].endswith("/orders")
    assert "QueueUrls" in sqs.client().list_queues()
    assert "QueueUrls" not in sqs_emulator.client().list_queues()

def test_two(sqs_client):
    assert "QueueUrls" not in sqs_client.list_queues()
"""


def test_the_server_speaks_to_its_clients_and_its_clock_moves(sqs_emulator: SqsEmulator) -> None:
    client = sqs_emulator.client(region_name="eu-west-1", account="111122223333")
    url = client.create_queue(QueueName="orders")["QueueUrl"]
    assert url == f"{sqs_emulator.url}/111122223333/orders"
    client.send_message(QueueUrl=url, MessageBody="x", DelaySeconds=900)
    sqs_emulator.advance(900)
    assert len(client.receive_message(QueueUrl=url)["Messages"]) == 1


def test_a_manual_clock_is_a_fixture_away(sqs: Any, sqs_clock: str) -> None:
    assert sqs_clock == "real"
    assert not sqs._driver._clock.manual


def test_loading_the_plugin_imports_nothing_it_does_not_need() -> None:
    script = (
        "import sys, pytest; a = set(sys.modules); import busframe_emulator.pytest_plugin; print(set(sys.modules) - a)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded: set[str] = eval(run.stdout)  # noqa: S307 - printed by the line above
    assert loaded == {"busframe_emulator", "busframe_emulator.pytest_plugin"}
    assert not loaded & HEAVY


def test_the_fixtures_are_there_for_whoever_has_the_package(tmp_path: Path) -> None:
    if not any(point.value == "busframe_emulator.pytest_plugin" for point in entry_points(group="pytest11")):
        pytest.skip("the project was installed before it had this entry point: install it again")
    (tmp_path / "test_them.py").write_text(USES_ALL_FIXTURES)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:asyncio", tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "2 passed" in run.stdout
