"""The inbox: who may handle a message, and what is written with the mark."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import anyio
import pytest

from busframe import runtime
from busframe.config import BackendUrl
from busframe.errors import InvalidArgumentError, StorageError, UnavailableError
from busframe.inbox import Claim, ClaimedElsewhere, HandledBefore
from busframe_sqlite import open_memory_inbox, open_sqlite_inbox

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from busframe.inbox import Inbox

pytestmark = pytest.mark.anyio


class Clock:
    now_s = 1_000_000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(runtime, "wall_s", lambda: clock.now_s)
    return clock


@pytest.fixture
async def inboxes(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Sequence[Inbox]]:
    """Two connections to one inbox; in memory there is one only."""
    if request.param == "memory":
        async with open_memory_inbox(BackendUrl.parse("memory://")) as inbox:
            yield inbox, inbox
        return
    async with open_file(tmp_path / "inbox.db") as one, open_file(tmp_path / "inbox.db") as other:
        yield one, other


def open_file(path: Path, parameters: str = "") -> AbstractAsyncContextManager[Inbox]:
    return open_sqlite_inbox(BackendUrl.parse(f"sqlite:///{path}{parameters}"))


both = pytest.mark.parametrize("inboxes", ["memory", "file"], indirect=True)


async def claimed(inbox: Inbox, key: str = "k", *, lease_s: float = 30, window_s: float = 60) -> Claim:
    claim = await inbox.claim(key, lease_s=lease_s, window_s=window_s)
    assert isinstance(claim, Claim)
    return claim


@both
async def test_a_message_is_claimed_by_one_until_the_claim_ends(clock: Clock, inboxes: Sequence[Inbox]) -> None:
    one, other = inboxes
    await claimed(one)
    clock.now_s += 10
    assert await other.claim("k", lease_s=30, window_s=60) == ClaimedElsewhere(left_s=20)
    assert isinstance(await other.claim("another", lease_s=30, window_s=60), Claim)
    clock.now_s += 20
    await claimed(other)


@both
async def test_a_claim_can_be_extended_and_given_up(clock: Clock, inboxes: Sequence[Inbox]) -> None:
    one, other = inboxes
    claim = await claimed(one)
    clock.now_s += 20
    assert await one.extend([claim], lease_s=30) == [True]
    clock.now_s += 20
    assert await other.claim("k", lease_s=30, window_s=60) == ClaimedElsewhere(left_s=10)
    await one.release(claim)
    await claimed(other)
    assert await one.extend([claim], lease_s=30) == [False]
    await one.release(claim)  # of another's claim nothing is taken away
    assert isinstance(await one.claim("k", lease_s=30, window_s=60), ClaimedElsewhere)


@both
async def test_what_is_done_is_remembered_for_the_window_and_then_forgotten(
    clock: Clock, inboxes: Sequence[Inbox]
) -> None:
    one, other = inboxes
    assert await one.finish(await claimed(one), [], window_s=60)
    clock.now_s += 59
    assert await other.claim("k", lease_s=30, window_s=60) == HandledBefore()
    clock.now_s += 1
    await claimed(other, "another")
    ((rows,),) = await one.run(lambda db: db.execute("SELECT count(*) FROM busframe_inbox").fetchall())
    assert rows == 1
    await claimed(other)


@both
async def test_a_claim_that_is_kept_is_not_forgotten_however_short_the_window(
    clock: Clock, inboxes: Sequence[Inbox]
) -> None:
    one, other = inboxes
    claim = await claimed(one, window_s=1)
    for _ in range(5):
        clock.now_s += 20
        assert await one.extend([claim], lease_s=30) == [True]
        assert isinstance(await other.claim("k", lease_s=30, window_s=1), ClaimedElsewhere)
    assert await one.finish(claim, [], window_s=1)


@both
async def test_a_claim_that_ended_still_counts_until_somebody_else_takes_it(
    clock: Clock, inboxes: Sequence[Inbox]
) -> None:
    one, other = inboxes
    first, second = await claimed(one, "a"), await claimed(one, "b")
    clock.now_s += 40
    await claimed(other, "b")
    assert await one.finish(first, [], window_s=60)
    await one.run(lambda db: db.execute("CREATE TABLE effect (x)"))
    assert not await one.finish(second, [lambda db: db.execute("INSERT INTO effect VALUES (1)")], window_s=60)
    assert await other.run(lambda db: db.execute("SELECT * FROM effect").fetchall()) == []


@both
async def test_of_many_that_claim_at_once_one_gets_it(clock: Clock, inboxes: Sequence[Inbox]) -> None:
    del clock
    got: list[Claim] = []

    async def claim(inbox: Inbox) -> None:
        found = await inbox.claim("k", lease_s=30, window_s=60)
        if isinstance(found, Claim):
            got.append(found)

    async with anyio.create_task_group() as tasks:
        for n in range(100):
            tasks.start_soon(claim, inboxes[n % 2])
    assert len(got) == 1


@both
async def test_the_mark_and_the_effects_are_there_together_or_not_at_all(inboxes: Sequence[Inbox]) -> None:
    one, other = inboxes
    await one.run(lambda db: db.execute("CREATE TABLE effect (x INTEGER UNIQUE)"))
    good, bad = await claimed(one, "good"), await claimed(one, "bad")
    failures: list[Exception] = []

    def insert(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO effect VALUES (1)")

    def insert_twice(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO effect VALUES (2)")
        insert(db)

    async def finish_badly() -> None:
        try:
            await one.finish(bad, [insert_twice], window_s=60)
        except sqlite3.IntegrityError as error:
            failures.append(error)

    async def finish_well() -> None:
        await one.finish(good, [insert], window_s=60)

    # The first call goes out alone; the two behind it share a transaction, and the failing one comes second.
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(claimed, one, "another")
        await anyio.lowlevel.checkpoint()
        tasks.start_soon(finish_well)
        await anyio.lowlevel.checkpoint()
        tasks.start_soon(finish_badly)
    assert len(failures) == 1
    assert await other.run(lambda db: db.execute("SELECT x FROM effect").fetchall()) == [(1,)]
    assert await other.claim("good", lease_s=30, window_s=60) == HandledBefore()
    assert isinstance(await other.claim("bad", lease_s=30, window_s=60), ClaimedElsewhere)


@both
@pytest.mark.parametrize("ending", ["COMMIT", "ROLLBACK", "BEGIN"])
async def test_an_effect_cannot_end_the_transaction(inboxes: Sequence[Inbox], ending: str) -> None:
    one, other = inboxes
    await one.run(lambda db: db.execute("CREATE TABLE effect (x)"))
    claim = await claimed(one)

    def effect(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO effect VALUES (1)")
        db.execute(ending)

    with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
        await one.finish(claim, [effect], window_s=60)
    assert await other.run(lambda db: db.execute("SELECT x FROM effect").fetchall()) == []
    assert await one.finish(claim, [], window_s=60)


@both
async def test_the_usual_ways_of_sqlite3_do_no_harm_in_an_effect(inboxes: Sequence[Inbox]) -> None:
    one, other = inboxes
    await one.run(lambda db: db.execute("CREATE TABLE effect (x)"))
    claim = await claimed(one)

    def commits(db: sqlite3.Connection) -> None:
        with db:
            db.execute("INSERT INTO effect VALUES (1)")
        db.commit()

    def fails(_: sqlite3.Connection) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await one.finish(claim, [commits, fails], window_s=60)
    assert await other.run(lambda db: db.execute("SELECT x FROM effect").fetchall()) == []
    with pytest.raises(sqlite3.ProgrammingError, match="raise an exception"):
        await one.finish(claim, [lambda db: db.rollback()], window_s=60)
    assert await one.finish(claim, [commits], window_s=60)
    assert await other.run(lambda db: db.execute("SELECT x FROM effect").fetchall()) == [(1,)]


async def test_the_applications_own_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE customer (name)")
        database.execute("PRAGMA user_version = 7")
    database.close()
    async with open_file(path) as inbox:
        claim = await claimed(inbox)
        await inbox.finish(claim, [lambda db: db.execute("INSERT INTO customer VALUES ('ada')")], window_s=60)
    database = sqlite3.connect(path)
    assert database.execute("SELECT name FROM customer").fetchall() == [("ada",)]
    assert database.execute("PRAGMA user_version").fetchone() == (7,)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    database.close()


async def test_a_database_that_somebody_else_holds_is_an_error_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    async with open_file(path, "?busy_timeout_s=0") as inbox:
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnavailableError, match="another process holds the file"):
            await inbox.claim("k", lease_s=30, window_s=60)
        holder.execute("ROLLBACK")
        holder.close()
        await claimed(inbox)


async def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are notes, and no database at all, however long one looks at them\n" * 50)
    with pytest.raises(StorageError, match="not an SQLite database"):
        async with open_file(path):
            pass
    with pytest.raises(StorageError, match="is not there"):
        async with open_file(tmp_path / "nowhere" / "inbox.db"):
            pass
    for url in ("sqlite://", "sqlite:///x.db?pool=1"):
        with pytest.raises(InvalidArgumentError):
            open_sqlite_inbox(BackendUrl.parse(url))
    with pytest.raises(InvalidArgumentError):
        open_memory_inbox(BackendUrl.parse("memory://place"))
