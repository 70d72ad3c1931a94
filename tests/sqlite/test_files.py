"""Which files are taken, and which are refused by name and left as they were."""

from __future__ import annotations

import importlib.util
import sqlite3
from typing import TYPE_CHECKING

import anyio
import pytest

from busframe.backend import KeepsRecipients, Plan, QueueSpec
from busframe.config import BackendUrl, backend_factory, recipients_factory
from busframe.errors import InvalidArgumentError, MissingExtraError, StorageError
from busframe.message import Outgoing, QueueName, Sent
from busframe_sqlite import open_sqlite, open_sqlite_recipients
from busframe_sqlite.opening import open_backend
from busframe_sqlite.schema import APPLICATION_ID, MIGRATIONS
from busframe_sqlite.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

# ruff: noqa: ASYNC240 - nothing else runs while these tests look at their files

pytestmark = pytest.mark.anyio


def _url(path: Path, parameters: str = "") -> BackendUrl:
    return BackendUrl.parse(f"sqlite:///{path}{parameters}")


async def _refusal(path: Path) -> str:
    with pytest.raises(StorageError) as refused:
        async with open_sqlite(_url(path)):
            pytest.fail("the file was taken")
    assert refused.value.effect == "none"
    return str(refused.value)


async def test_a_file_of_another_program_is_refused_by_name_and_not_changed(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
    other.close()
    before = path.read_bytes()
    assert str(path) in await _refusal(path)
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused_by_name_and_not_changed(path: Path) -> None:
    path.write_bytes(b"Dear diary, " * 1000)
    assert "not an SQLite database" in await _refusal(path)
    assert path.read_bytes() == b"Dear diary, " * 1000


async def test_a_damaged_file_is_refused_by_name(path: Path) -> None:
    async with open_sqlite(_url(path)):
        pass
    damaged = bytearray(path.read_bytes())
    damaged[100:8192] = b"\xff" * (8192 - 100)
    path.write_bytes(damaged)
    assert str(path) in await _refusal(path)


async def test_a_file_of_a_newer_version_is_refused_by_name(path: Path) -> None:
    with sqlite3.connect(path) as newer:
        newer.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    newer.close()
    assert "newer version" in await _refusal(path)


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "nowhere") in await _refusal(tmp_path / "nowhere" / "queues.db")


async def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    assert str(tmp_path) in await _refusal(tmp_path)


async def test_an_empty_file_is_taken(path: Path) -> None:
    path.touch()
    async with open_sqlite(_url(path)) as backend:
        assert await backend.list_queues() == []


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///queues.db?journal=delete",
        "sqlite:///queues.db?synchronous=off",
        "sqlite:///queues.db?busy_timeout_s=-1",
        "sqlite:///queues.db?busy_timeout_s=soon",
    ],
)
def test_a_url_with_an_unknown_part_is_refused_before_anything_is_opened(url: str) -> None:
    with pytest.raises(InvalidArgumentError):
        open_sqlite(BackendUrl.parse(url))
    with pytest.raises(InvalidArgumentError):
        open_sqlite_recipients(BackendUrl.parse(url), space="")


def _find_nothing(name: str) -> None:
    assert name == "aiosqlite"


def test_without_aiosqlite_the_extra_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("busframe_sqlite.opening.find_spec", _find_nothing)
    with pytest.raises(MissingExtraError, match=r"busframe\[sqlite\]"):
        open_sqlite(_url(path))
    assert importlib.util.find_spec("aiosqlite") is not None


async def test_the_scheme_sqlite_opens_this_backend_and_its_recipient_list(path: Path) -> None:
    url = _url(path, "?synchronous=normal&busy_timeout_s=1")
    async with backend_factory("sqlite")(url) as backend, recipients_factory("sqlite")(url, space="") as recipients:
        assert isinstance(backend, KeepsRecipients)
        assert await backend.recipients.load() == await recipients.load()


async def test_many_may_open_a_new_file_at_once(path: Path) -> None:
    async def open_and_close() -> None:
        async with open_sqlite(_url(path)) as backend:
            assert await backend.list_queues() == []

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(open_and_close)


async def test_an_error_inside_the_block_comes_out_as_it_is(path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_sqlite(_url(path)):
            raise ZeroDivisionError


async def test_a_backup_made_while_the_file_is_in_use_is_a_queue_file_of_that_moment(path: Path) -> None:
    work, backup = QueueName("work"), path.with_name("backup.db")
    async with open_sqlite(_url(path)) as backend:
        await backend.provision(Plan(queues=(QueueSpec(name=work),)))
        await backend.send(work, [Outgoing(body="before")])
        other = sqlite3.connect(path)
        other.execute("VACUUM INTO ?", (str(backup),))
        other.close()
        (after,) = await backend.send(work, [Outgoing(body="after")])
    async with open_sqlite(_url(backup)) as restored:
        (received,) = await restored.receive(work, limit=10, wait_s=0, lease_s=30)
        assert received.body == "before"
        (sent,) = await restored.send(work, [Outgoing(body="again")])
    assert isinstance(after, Sent)
    assert isinstance(sent, Sent)
    assert sent.message_id != after.message_id


async def test_many_programs_may_open_a_new_file_at_once(path: Path) -> None:
    async def open_it() -> None:
        async with open_backend(Settings(path=path)) as backend:
            assert await backend.list_queues() == []

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(open_it)


async def test_the_switch_to_the_log_waits_for_whoever_holds_a_new_file(path: Path) -> None:
    with sqlite3.connect(path, isolation_level=None, check_same_thread=False) as other:
        other.execute("BEGIN EXCLUSIVE")

        async def let_go() -> None:
            await anyio.to_thread.run_sync(other.execute, "ROLLBACK")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(let_go)
            async with open_backend(Settings(path=path)) as backend:
                assert await backend.list_queues() == []
    other.close()
