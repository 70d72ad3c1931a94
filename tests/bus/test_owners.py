"""A command finds its owner's queue, whether that is ordered or not, from a program that knows nothing of the owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from bus.connected import until

from busframe import Bus, command
from busframe.errors import AccessDeniedError, ClosedError, ConfigurationError, InvalidArgumentError, QueueNotFoundError
from busframe.message import QueueName
from busframe_sqlite.backend import SqliteBackend

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@command("shop.print", key="printer")
@dataclass(frozen=True)
class Print:
    printer: str


def owner(seen: list[str], *, ordered: bool) -> Bus:
    bus = Bus("owner")

    @bus.handle(Print, ordered=ordered)
    async def handle(job: Print) -> None:
        seen.append(job.printer)

    return bus


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/shop.db"


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_program_that_knows_no_owner_reaches_it(ordered: bool, url: str) -> None:  # noqa: FBT001 - a case
    seen: list[str] = []
    async with owner(seen, ordered=ordered).connect(url) as live, live.running(), Bus("web").connect(url) as web:
        await web.send(Print("p1"))
        await until(lambda: seen == ["p1"])


async def test_an_owner_without_rights_to_ask_for_queues_is_reached_too(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    async def denied(queue: object) -> None:
        asked.append(queue)
        raise AccessDeniedError("not you")

    seen: list[str] = []
    async with owner(seen, ordered=True).connect(url) as live, live.running(), Bus("web").connect(url) as web:
        monkeypatch.setattr(web.backend_as(SqliteBackend), "describe", denied)
        await web.send(Print("p1"))
        before = len(asked)
        await web.send(Print("p1"))
        await until(lambda: seen == ["p1", "p1"])
    assert len(asked) == before


async def test_a_command_without_an_owner_is_refused_until_there_is_one(url: str) -> None:
    seen: list[str] = []
    async with Bus("web").connect(url) as web:
        with pytest.raises(QueueNotFoundError, match=r"shop\.print has no owner yet"):
            await web.send(Print("p1"))
        with pytest.raises(QueueNotFoundError, match=r"shop\.print has no owner yet"):
            await web.send(Print("p1"), delay_s=5)
        async with owner(seen, ordered=True).connect(url) as live, live.running():
            await web.send(Print("p2"))
            await until(lambda: seen == ["p2"])


async def test_an_owner_that_has_become_ordered_is_found_when_its_old_queue_is_removed(url: str) -> None:
    seen: list[str] = []
    async with Bus("web").connect(url) as web:
        async with owner(seen, ordered=False).connect(url):
            await web.send(Print("p1"))
        async with owner(seen, ordered=True).connect(url) as live, live.running():
            await live.backend_as(SqliteBackend).remove(QueueName("shop-print"))
            await web.send(Print("p2"))
            await until(lambda: seen == ["p2"])


async def test_two_queues_of_one_command_are_named_and_nothing_is_sent_to_either(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with owner([], ordered=False).connect(url):
        pass
    assert not caplog.text
    async with owner([], ordered=True).connect(url) as live, Bus("web").connect(url) as web:
        assert "queue shop-print is left from before its owner was ordered and read shop-print.fifo" in caplog.text
        with pytest.raises(ConfigurationError, match=r"two queues, shop-print and shop-print\.fifo.*topology apply"):
            await web.send(Print("p1"))
        (finding,) = [found for found in await live.topology.check() if found.queue == "shop-print"]
        assert finding.removal == "remove the queue, if it is empty"
        left = await live.topology.apply([finding], removals=True)
        assert not left
        await web.send(Print("p1"))
        stats = await live.stats()
        assert stats["shop-print.fifo"].visible == 1


async def test_a_command_that_does_not_fit_an_ordered_owner_is_refused_by_name(url: str) -> None:
    async with owner([], ordered=True).connect(url), Bus("web").connect(url) as web:
        with pytest.raises(InvalidArgumentError, match="delay_s=5"):
            await web.send(Print("p1"), delay_s=5)
    with pytest.raises(ClosedError):
        await web.send(Print("p1"))
