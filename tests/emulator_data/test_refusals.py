"""Directories that cannot be used are refused by name before anybody is served, and left as they were."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from emulator_data.home import client_of

from busframe_emulator.server.configuration import read_queues
from busframe_emulator.server.emulator import EmulatorServer
from busframe_emulator.server.persistence.errors import DataDirectoryError
from busframe_emulator.server.persistence.layout import APPLICATION_ID, VERSION
from busframe_emulator.server.persistence.store import FILE_NAME
from busframe_emulator.server.thread import run_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def filled(directory: Path) -> Path:
    """A directory that was in use, with some messages in it; its file."""
    with run_in_thread(data=directory) as server:
        sqs = client_of(server)
        url = sqs.create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "77"})["QueueUrl"]
        for _ in range(20):
            sqs.send_message_batch(
                QueueUrl=url, Entries=[{"Id": str(number), "MessageBody": "x" * 1000} for number in range(10)]
            )
    return directory / FILE_NAME


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def write_text(path: Path) -> None:
    path.write_text("These are not the messages you are looking for.\n" * 100, encoding="utf-8")


def write_foreign(path: Path) -> None:
    execute(path, "CREATE TABLE album (title)")


def write_newer(path: Path) -> None:
    execute(path, f"PRAGMA application_id = {APPLICATION_ID}")
    execute(path, f"PRAGMA user_version = {VERSION + 1}")


def refusal(directory: Path) -> str:
    with pytest.raises(DataDirectoryError) as caught:
        run_in_thread(data=directory)
    return str(caught.value)


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (write_text, "is not a file of this program, or is damaged"),
        (write_foreign, "is the SQLite file of another program"),
        (
            write_newer,
            f"was written by a newer version of this program (layout {VERSION + 1}, this one knows {VERSION})",
        ),
    ],
)
def test_a_file_that_is_not_ours_is_refused_and_not_touched(
    tmp_path: Path, write: Callable[[Path], None], reason: str
) -> None:
    path = tmp_path / FILE_NAME
    write(path)
    before = path.read_bytes()
    assert refusal(tmp_path).startswith(f"{path} {reason}")
    assert path.read_bytes() == before


@pytest.mark.parametrize("at", [0.3, 0.6, 0.9])
def test_a_file_with_overwritten_pages_is_refused(tmp_path: Path, at: float) -> None:
    path = filled(tmp_path)
    data = bytearray(path.read_bytes())
    page = int(len(data) * at) // 4096 * 4096
    data[page : page + 4096] = b"\xa5" * 4096
    path.write_bytes(data)
    assert refusal(tmp_path).startswith(f"{path} is damaged: ")


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = filled(tmp_path)
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)
    assert refusal(tmp_path).startswith(f"{path} is damaged: ")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE message SET state = x'00'",
        "UPDATE message SET state = CAST(x'09' || substr(state, 2) AS BLOB)",
        "UPDATE message SET rare = x'00'",
        "UPDATE message SET rare = x'c1'",
        """UPDATE queue SET settings = '{"delay_us":"long"}'""",
        "UPDATE queue SET tags = '[]'",
        "UPDATE queue SET number = number + 1",
        "DELETE FROM engine",
        "INSERT INTO move_tasks VALUES (1, '[[1]]')",
        "INSERT INTO receive_attempt VALUES (9, 'a', 1, '[]')",
    ],
)
def test_a_file_whose_rows_make_no_sense_is_refused(tmp_path: Path, statement: str) -> None:
    path = filled(tmp_path)
    execute(path, statement)
    assert refusal(tmp_path).startswith(f"{path} is damaged: ")


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_text("", encoding="utf-8")
    assert refusal(path) == f"{path} is not a directory"


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file" / "data"
    path.parent.write_text("", encoding="utf-8")
    assert refusal(path) == f"{path} cannot be made: Not a directory"


def test_nothing_is_listened_on_when_the_directory_is_refused(tmp_path: Path) -> None:
    write_text(tmp_path / FILE_NAME)
    ended = subprocess.run(
        [sys.executable, "-m", "busframe_emulator", "--port", "0", "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"busframe emulator: {tmp_path / FILE_NAME} is not a file of this program")


def test_two_processes_cannot_have_one_directory(tmp_path: Path) -> None:
    with run_in_thread(data=tmp_path):
        ended = subprocess.run(
            [sys.executable, "-m", "busframe_emulator", "--port", "0", "--data", str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"busframe emulator: {tmp_path / FILE_NAME} is in use: another emulator has this directory\n"
    )


def test_a_port_in_use_leaves_the_directory_free(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with run_in_thread() as taken:
        ended = subprocess.run(
            [sys.executable, "-m", "busframe_emulator", "--port", str(taken.port), "--data", str(data)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert ended.returncode == 1
    assert "cannot listen on" in ended.stderr
    with run_in_thread(data=data):
        pass


def test_queues_from_the_start_are_added_to_those_that_are_kept(tmp_path: Path) -> None:
    filled(tmp_path / "data")
    plans = tmp_path / "queues.toml"
    plans.write_text(
        '[[queue]]\nname = "orders"\ndead_letter = { queue = "dead", max_receive_count = 2 }\n'
        '[[queue]]\nname = "dead"\n',
        encoding="utf-8",
    )
    for _ in range(2):
        with run_in_thread(data=tmp_path / "data", queues=read_queues(plans)) as server:
            sqs = client_of(server)
            urls = sqs.list_queues()["QueueUrls"]
            attributes = sqs.get_queue_attributes(QueueUrl=urls[1], AttributeNames=["All"])["Attributes"]
        assert [url.rpartition("/")[2] for url in urls] == ["dead", "orders"]
        assert attributes["ApproximateNumberOfMessages"] == "200"
        assert attributes["VisibilityTimeout"] == "77"
        assert "dead" in attributes["RedrivePolicy"]


def test_queues_from_the_start_that_contradict_what_is_kept_are_refused_by_name(tmp_path: Path) -> None:
    with run_in_thread(data=tmp_path / "data") as server:
        client_of(server).create_queue(
            QueueName="dead", Attributes={"RedriveAllowPolicy": '{"redrivePermission":"denyAll"}'}
        )
    plans = tmp_path / "queues.toml"
    plans.write_text(
        '[[queue]]\nname = "orders"\ndead_letter = { queue = "dead", max_receive_count = 2 }\n'
        '[[queue]]\nname = "dead"\n',
        encoding="utf-8",
    )
    ended = subprocess.run(
        [sys.executable, "-m", "busframe_emulator", "--port=0", f"--data={tmp_path / 'data'}", f"--config={plans}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith('busframe emulator: queue "orders": RedrivePolicy: ')


def test_flushing_needs_data() -> None:
    with pytest.raises(ValueError, match="nothing to flush"):
        EmulatorServer(flush=True)


def test_a_directory_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="the name of the data directory is empty"):
        EmulatorServer(data="")


def test_a_missing_package_is_named_with_the_extra_that_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiosqlite", None)
    assert refusal(tmp_path) == (
        "keeping data needs aiosqlite, which is not installed: pip install 'busframe[emulator-data]'"
    )


def test_without_data_nothing_of_it_is_loaded() -> None:
    program = """
import asyncio, sys
from busframe_emulator.server.emulator import EmulatorServer

async def main():
    server = EmulatorServer()
    await server.start()
    await server.stop()

asyncio.run(main())
names = {"sqlite3", "aiosqlite", "busframe_emulator.engine.changes", "busframe_emulator.engine.records"}
print(names & set(sys.modules), [name for name in sys.modules if "persistence" in name])
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "set() []\n"
