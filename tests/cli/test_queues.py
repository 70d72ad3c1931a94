"""`busframe peek`, `tail`, `stats` and `purge`."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from cli.shop import process_of

from busframe import Bus, runtime
from busframe.backend import Peeks, QueueStats
from busframe.cli.queue_views import Rates, Seen, rates_between, say_queues
from busframe.cli.running import DONE, FAILED, INTERRUPTED, MISUSED
from busframe.message import QueueName
from busframe_sqlite.backend import SqliteBackend

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from busframe.session import Live

Asked = Any  # the fixture's function


def send(asked: Asked, *bodies: str, queue: str = "shop-billing") -> None:
    assert asked("send", "--queue", queue, "-", stdin="\n".join(bodies))[0] == DONE


def test_a_peek_shows_messages_in_order_and_leaves_them(asked: Asked) -> None:
    asked("publish", "shop_app:bus", "shop.order.placed", '{"order": "1", "customer": "ada"}')
    send(asked, "x" * 100, "second\nline")
    for _ in range(2):
        code, out, _ = asked("peek", "shop-billing")
        assert code == DONE
        head, first, second, third, _ = out.splitlines()
        assert head.split() == ["MESSAGE", "TYPE", "STATE", "RECEIVES", "AGE", "SENT", "BODY"]
        assert first.split()[1:4] == ["shop.order.placed", "visible", "0"]
        assert first.split()[-1] == '{"order":"1","customer":"ada"}'
        assert second.endswith(f"Z  {'x' * 57}...")
        assert third.endswith("second")
    assert len(asked("peek", "shop-billing", "--limit", "2", "--json")[1].splitlines()) == 2
    assert asked("peek", "shop-shipping-dead")[1] == "shop-shipping-dead is empty\n"


def test_a_whole_message_has_its_attributes_and_its_body_as_it_is(asked: Asked) -> None:
    asked("send", "--queue", "shop-billing", "one\ntwo", "--attribute", "by=s3")
    out = asked("peek", "shop-billing", "--full")[1]
    assert "attribute           by = s3" in out
    assert out.endswith("\n\none\ntwo\n")
    assert "Z (" in out


def test_a_group_stands_for_its_queue(asked: Asked) -> None:
    send(asked, "a")
    assert "visible" in asked("peek", "shop/billing")[1]
    code, _, complaints = asked("peek", "shop/packing")
    assert code == MISUSED
    assert "has shop/billing, shop/shipping" in complaints


class Unseeing(SqliteBackend):
    """Shows messages to those only who receive them, as Amazon SQS does."""

    peek = None  # type: ignore[assignment]


def test_where_a_broker_cannot_show_messages_that_is_said_and_receiving_is_offered(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(asked, "a", "b", "c")
    monkeypatch.setattr("busframe_sqlite.opening.SqliteBackend", Unseeing)
    monkeypatch.setattr("busframe.channel.Peeks", _NeverPeeks)
    code, _, complaints = asked("peek", "shop-billing")
    assert code == MISUSED
    assert "Unseeing cannot show messages without receiving them; --receive does" in complaints
    code, out, complaints = asked("peek", "shop-billing", "--receive", "--limit", "2", "--json")
    assert code == DONE
    assert "each message counts as delivered once more" in complaints
    assert [json.loads(line)["receive_count"] for line in out.splitlines()] == [1, 1]
    queues = json.loads(asked("stats", "--prefix", "shop-billing", "--json")[1])["queues"]
    assert (queues["shop-billing"]["visible"], queues["shop-billing"]["in_flight"]) == (3, 0)
    assert asked("tail", "shop-billing")[0] == MISUSED


class _NeverPeeks(Peeks):
    """Nothing is one."""

    @classmethod
    def __subclasshook__(cls, _: type) -> bool:
        return False


def test_tail_shows_what_is_there_when_asked(asked: Asked) -> None:
    send(asked, *map(str, range(1_500)))
    code, out, _ = asked("tail", "shop-billing", "--from-start", "--limit", "1200", "--json")
    assert code == DONE
    assert [json.loads(line)["body"] for line in out.splitlines()] == list(map(str, range(1_200)))


@pytest.mark.slow
def test_tail_follows_what_comes(asked: Asked, folder: Path) -> None:
    send(asked, "old")
    with subprocess.Popen(
        process_of("tail", "shop-billing", "--interval-s", "0.1", "--limit", "2"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    ) as follower:
        assert follower.stdout is not None
        assert follower.stderr is not None
        assert "following shop-billing" in follower.stderr.readline()
        send(asked, "new 1")
        assert "new 1" in follower.stdout.readline()
        send(asked, "new 2")
        rest, _ = follower.communicate(timeout=60)
    assert "new 2" in rest
    assert follower.returncode == DONE


def test_stats_show_all_queues_with_their_dead_letters_beside(asked: Asked) -> None:
    send(asked, "a", "b")
    send(asked, "c", queue="shop-billing-dead")
    code, out, _ = asked("stats")
    assert code == DONE
    head, *rows = out.splitlines()
    assert head.split() == ["QUEUE", "VISIBLE", "IN", "FLIGHT", "DELAYED", "OLDEST", "DEAD"]
    assert [row.split()[0] for row in rows] == ["shop-billing", "shop-invoice-print", "shop-note", "shop-shipping"]
    assert rows[0].split()[1:4] == ["2", "0", "0"]
    assert rows[0].split()[-1] == "1"
    assert asked("stats", "--prefix", "shop-s")[1].count("\n") == 2
    assert asked("stats", "--prefix", "nothing")[1] == "there are no queues whose names start with 'nothing'\n"


def test_stats_of_a_program_tell_which_of_its_queues_are_missing(asked: Asked) -> None:
    async def remove() -> None:
        async with Bus("other").connect("sqlite:///shop.db") as live:
            await live.backend_as(SqliteBackend).remove(live.queue("shop-note").name)

    anyio.run(remove)
    told = json.loads(asked("stats", "shop_app:bus", "--json")[1])
    assert told["queues"]["shop-note"] is None
    assert told["at"].endswith("Z")
    assert "missing" in asked("stats", "shop_app:bus")[1]


class Between:
    """Time as `stats` sees it: something happens between one look and the next, and then a Ctrl-C."""

    wall_s, iso_time = staticmethod(runtime.wall_s), staticmethod(runtime.iso_time)

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *events: Callable[[Live], Awaitable[object]]) -> None:
        self._events = iter(events)
        self._now_s = 0.0
        monkeypatch.setattr("busframe.cli.queues.runtime", self)

    def now_s(self) -> float:
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        self._now_s += seconds
        event = next(self._events, None)
        if event is None:
            raise KeyboardInterrupt
        async with Bus("other").connect("sqlite:///shop.db") as live:
            await event(live)


async def three_come_and_one_goes(live: Live) -> None:
    queue = live.queue("shop-billing")
    for body in "abc":
        await queue.send(body)
    async with queue.receive(prefetch=1) as deliveries:
        async for delivery in deliveries:
            async with delivery:
                break


async def two_are_purged(live: Live) -> None:
    await live.queue("shop-billing").purge()


def test_two_looks_tell_how_fast_messages_come_and_go(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    Between(monkeypatch, three_come_and_one_goes)
    told = json.loads(asked("stats", "--prefix", "shop-billing", "--interval-s", "4", "--json")[1])
    assert told["exact"]
    assert told["queues"]["shop-billing"]["rates"] == {
        "over_s": 4,
        "in_per_s": 0.75,
        "out_per_s": 0.25,
        "change_per_s": 0.5,
        "empty_in_s": None,
    }
    Between(monkeypatch, two_are_purged)
    head, row = asked("stats", "--prefix", "shop-billing", "--interval-s", "4")[1].splitlines()
    assert head.split()[-5:] == ["IN/S", "OUT/S", "CHANGE/S", "EMPTY", "IN"]
    assert row.split()[-4:] == ["0", "0.5", "-0.5", "-"]


def test_a_watch_tells_rates_of_the_last_seconds(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(_: Live) -> None: ...

    Between(monkeypatch, three_come_and_one_goes, nothing, nothing)
    code, out, _ = asked("stats", "--prefix", "shop-billing", "--watch", "2", "--interval-s", "4", "--json")
    assert code == INTERRUPTED
    rates = [json.loads(line)["queues"]["shop-billing"]["rates"] for line in out.splitlines()]
    assert rates[0] is None
    assert [(each["over_s"], each["in_per_s"], each["out_per_s"]) for each in rates[1:4]] == [
        (2, 1.5, 0.5),
        (4, 0.75, 0.25),
        (4, 0, 0),
    ]


def test_without_being_asked_for_there_are_no_rates(asked: Asked) -> None:
    told = json.loads(asked("stats", "--json")[1])
    assert all("rates" not in queue for queue in told["queues"].values())


def look(at_s: float, visible: int, arrived: int | None) -> Seen:
    return Seen(at_s, QueueStats(visible=visible, in_flight=0, delayed=0, oldest_age_s=None, arrived=arrived))


def test_where_a_broker_does_not_count_what_comes_only_the_change_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    earlier, later = look(10, 100, None), look(20, 40, None)
    rates = rates_between(earlier, later)
    assert rates == Rates(over_s=10, in_per_s=None, out_per_s=None, change_per_s=-6, empty_in_s=40 / 60 * 10)
    name = QueueName("orders")
    say_queues({name: later}, {name: rates}, exact=False)
    assert capsys.readouterr().out.splitlines()[1].split()[-5:] == ["-", "-", "~-6", "~7", "s"]


def test_a_queue_that_was_made_again_has_no_rates_of_the_one_before() -> None:
    rates = rates_between(look(10, 5, 1_000), look(11, 1, 1))
    assert rates is not None
    assert (rates.in_per_s, rates.out_per_s) == (None, None)
    assert rates_between(None, look(11, 1, 1)) is None
    assert rates_between(Seen(10, None), look(11, 1, 1)) is None


def test_purge_asks_first(asked: Asked) -> None:
    send(asked, "a", "b")
    code, _, complaints = asked("purge", "shop-billing")
    assert code == MISUSED
    assert "removes the 2 messages of shop-billing for good; add --yes" in complaints
    assert asked("purge", "shop-billing", "--yes") == (DONE, "removed about 2 messages from shop-billing\n", "")
    assert asked("peek", "shop-billing")[1] == "shop-billing is empty\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["peek", "shop-billing", "--limit", "0"],
        ["peek", "not a queue"],
        ["tail", "shop-billing", "--interval-s", "0"],
        ["tail", "shop-billing", "--limit", "0"],
        ["stats", "--watch", "0"],
        ["stats", "--interval-s", "-1"],
        ["stats", "shop_app:bus", "--prefix", "x"],
    ],
)
def test_wrong_use_is_explained_in_a_line(asked: Asked, arguments: list[str]) -> None:
    code, out, complaints = asked(*arguments)
    assert (code, out) == (MISUSED, "")
    assert complaints.startswith(f"busframe {arguments[0]}: ")
    assert complaints.count("\n") == 1


@pytest.mark.parametrize("command", ["peek", "tail", "purge"])
def test_a_queue_that_is_not_there_exits_with_3(asked: Asked, command: str) -> None:
    code, _, complaints = asked(command, "nowhere")
    assert code == FAILED
    assert "nowhere" in complaints


@pytest.mark.slow
def test_output_that_nobody_reads_to_its_end_is_no_error(asked: Asked, folder: Path) -> None:
    send(asked, *["x" * 500] * 900)
    with subprocess.Popen(
        process_of("peek", "shop-billing", "--limit", "1000", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    ) as peeking:
        assert peeking.stdout is not None
        assert peeking.stderr is not None
        peeking.stdout.readline()
        peeking.stdout.close()
        assert peeking.wait(60) == DONE
        assert peeking.stderr.read() == ""
