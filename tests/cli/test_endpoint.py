"""`busframe run --metrics`: what it answers, and what it does not let anybody do to the handlers beside it."""

from __future__ import annotations

import json
import socket
import sys
from http import HTTPStatus
from importlib import import_module
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from busframe import runtime
from busframe.cli import endpoint
from busframe.cli.endpoint import Address, Page, parse_address, serving
from busframe.cli.fleet import Fleet
from busframe.cli.link import Link
from busframe.cli.run import make_parser
from busframe.cli.seeing import SILENT_S, Pages, is_live, is_ready
from busframe.cli.slot import Slot
from busframe.cli.status import STALE_S
from busframe.cli.worker import Worker
from busframe.errors import InvalidArgumentError
from busframe.samples import Family, lasting, merged

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from anyio.abc import SocketStream

pytestmark = pytest.mark.anyio

ANYWHERE = Address("127.0.0.1", 0)


class Fixed:
    """Pages that are always the same, one of which cannot be made."""

    async def page(self, path: str) -> Page | None:
        if path == "/broken":
            raise LookupError(path)
        return Page(HTTPStatus.OK, "text/plain", "hello") if path == "/hello" else None


def port_said(capsys: pytest.CaptureFixture[str]) -> int:
    _, _, rest = capsys.readouterr().err.partition("http://127.0.0.1:")
    return int(rest.partition("/")[0])


async def connect(port: int) -> SocketStream:
    return await anyio.connect_tcp("127.0.0.1", port)


async def rest_of(stream: SocketStream) -> bytes:
    """What comes until the other end closes."""
    read = b""
    try:
        while True:
            read += await stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return read


async def ask(port: int, request: bytes) -> tuple[int, dict[str, str], str]:
    async with await connect(port) as stream:
        await stream.send(request)
        head, _, body = (await rest_of(stream)).decode().partition("\r\n\r\n")
    first, *fields = head.split("\r\n")
    return int(first.split(" ")[1]), dict(field.split(": ", 1) for field in fields), body


async def get(port: int, path: str) -> tuple[int, dict[str, str], str]:
    return await ask(port, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())


# --- the endpoint ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9100", ("127.0.0.1", 9100)),
        ("0", ("127.0.0.1", 0)),
        ("0.0.0.0:9100", ("0.0.0.0", 9100)),  # noqa: S104 - what a container says
        ("localhost:80", ("localhost", 80)),
        ("[::1]:9100", ("::1", 9100)),
    ],
)
def test_a_port_alone_is_one_of_the_loopback_address(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", ":9100", "[]:9100", "localhost", "localhost:", "9100:", "1:65536", "-1", "1:²"])
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"--metrics=.*HOST:PORT"):
        parse_address(text)


async def test_a_page_is_served_whole_and_without_its_body_to_head(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(ANYWHERE, Fixed()):
        port = port_said(capsys)
        status, fields, body = await get(port, "/hello?x=1")
        assert (status, fields["Content-Type"], body) == (200, "text/plain", "hello")
        status, fields, body = await ask(port, b"HEAD /hello HTTP/1.0\r\n\r\n")
        assert (status, fields["Content-Length"], body) == (200, "5", "")


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (b"GET /nothing HTTP/1.1\r\n\r\n", 404),
        (b"POST /hello HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"hello\r\n\r\n", 400),
        (b"GET /hello HTTP/2\r\n\r\n", 400),
        (b"\xff\x00 \xff \xff\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\r\nX: " + b"x" * 20_000, 431),
        (b"GET /broken HTTP/1.1\r\n\r\n", 500),
    ],
)
async def test_what_is_wrong_gets_its_status_and_spoils_nothing(
    capsys: pytest.CaptureFixture[str], request_text: bytes, status: int
) -> None:
    async with serving(ANYWHERE, Fixed()):
        port = port_said(capsys)
        assert (await ask(port, request_text))[0] == status
        assert (await get(port, "/hello"))[0] == 200


async def test_a_request_that_comes_in_pieces_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(ANYWHERE, Fixed()), await connect(port_said(capsys)) as stream:
        for piece in (b"GET /he", b"llo HTTP/1.1\r\nA: b\r", b"\n\r", b"\n"):
            await stream.send(piece)
            await anyio.wait_all_tasks_blocked()
        assert (await rest_of(stream)).endswith(b"\r\n\r\nhello")


async def test_a_client_that_sends_nothing_is_hung_up_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "PATIENCE_S", 0.01)
    async with serving(ANYWHERE, Fixed()), await connect(port_said(capsys)) as stream:
        assert await rest_of(stream) == b""


async def test_connections_beyond_the_bound_are_closed_and_there_is_room_again_later(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "CONNECTIONS_MAX", 1)
    async with serving(ANYWHERE, Fixed()):
        port = port_said(capsys)
        async with await connect(port) as first:
            await first.send(b"GET")
            await anyio.wait_all_tasks_blocked()
            async with await connect(port) as second:
                assert await rest_of(second) == b""
            await first.send(b" /hello HTTP/1.1\r\n\r\n")
            assert b"200 OK" in await rest_of(first)
        with anyio.fail_after(30):
            status = b""
            while b"200 OK" not in status:  # the server may not have seen yet that the first is gone
                async with await connect(port) as third:
                    await third.send(b"GET /hello HTTP/1.1\r\n\r\n")
                    status = await rest_of(third)


async def test_leaving_ends_connections_and_frees_the_port(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(ANYWHERE, Fixed()):
        port = port_said(capsys)
        open_one = await connect(port)
    async with open_one:
        assert await rest_of(open_one) == b""
    with pytest.raises(OSError, match=r".+"):
        await connect(port)


async def test_a_port_that_is_taken_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(ANYWHERE, Fixed()):
        taken = Address("127.0.0.1", port_said(capsys))
        with pytest.raises(InvalidArgumentError, match=rf"127.0.0.1:{taken.port}.*free: .*in use"):
            async with serving(taken, Fixed()):
                pass


# --- what the pages say ---------------------------------------------------------------------------------------------

NOW_S = 1_000_000.0


def row(state: str = "running", *, healthy: bool | None = True, silent_s: float = 0.0) -> dict[str, Any]:
    report: dict[str, Any] = {
        "reported_at_s": NOW_S - silent_s, "rss_mb": 1.0, "consumers": [{"healthy": healthy}], "counts": {}
    }  # fmt: skip
    return {"worker": 1, "state": state, "restarts": 0, "report": None if healthy is None else report}


@pytest.mark.parametrize(
    ("rows", "live", "ready"),
    [
        ([row()], True, True),
        ([row("starting", healthy=None)], True, False),
        ([row("draining")], True, False),
        ([row(), row("starting", healthy=None)], True, True),  # one is being replaced
        ([row(), row("draining")], True, True),
        ([row(), row("waiting after a death", healthy=None)], True, False),
        ([row(), row("waiting after a death", silent_s=SILENT_S * 2)], True, False),
        ([row(healthy=False)], True, False),  # the broker is away, or a handler takes long: a restart mends neither
        ([row(), row(healthy=False)], True, False),
        ([row(silent_s=STALE_S + 1)], True, False),
        ([row(), row(silent_s=SILENT_S + 1)], False, False),
        ([row("starting", healthy=None), row("done")], True, False),
    ],
)
def test_live_and_ready_are_told_by_how_each_process_is(rows: Sequence[Any], live: bool, ready: bool) -> None:  # noqa: FBT001 - of the table
    assert (is_live(rows, NOW_S), is_ready(rows, NOW_S)) == (live, ready)


class Row:
    """Knows of one process."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.row = row

    async def samples(self) -> Sequence[Family]:
        return ()

    def rows(self) -> Sequence[dict[str, Any]]:
        return [self.row]


@pytest.mark.parametrize(("healthy", "statuses"), [(True, (200, 200, 200)), (False, (503, 200, 503))])
async def test_a_probe_is_answered_by_status_and_told_why(healthy: bool, statuses: tuple[int, ...]) -> None:  # noqa: FBT001 - the same
    told = row(healthy=healthy)
    told["report"]["reported_at_s"] = runtime.wall_s()
    pages = [await Pages(Row(told)).page(path) for path in ("/health", "/health/live", "/health/ready")]
    assert tuple(page.status for page in pages if page is not None) == statuses
    assert pages[0] is not None
    assert json.loads(pages[0].text) == {"live": True, "ready": healthy, "workers": [told]}


def family(name: str, value: float, *, kind: Any = "counter", together: Any = "sum", **labels: str) -> Family:
    return Family(name=name, kind=kind, help_text="Some.", samples=(("", labels, value),), together=together)


def test_pages_are_put_together_by_what_each_metric_means() -> None:
    one = [family("calls", 1, by="a"), family("well", 1, kind="gauge", together="min")]
    other = [family("well", 0, kind="gauge", together="min"), family("calls", 2, by="a"), family("calls2", 5)]
    together = merged([one, other, [family("calls", 7, by="b")]])
    assert [(f.name, f.samples) for f in together] == [
        ("calls", (("", {"by": "a"}, 3), ("", {"by": "b"}, 7))),
        ("well", (("", {}, 0),)),
        ("calls2", (("", {}, 5),)),
    ]
    assert [f.name for f in lasting(together)] == ["calls", "calls2"]


# --- several processes ----------------------------------------------------------------------------------------------


def slots_with(*counts: float) -> list[Slot]:
    slots = [Slot(number) for number in range(1, len(counts) + 1)]
    for slot, count in zip(slots, counts, strict=True):
        slot.samples = (family("calls", count), family("running", count, kind="gauge"))
    return slots


async def test_what_a_worker_has_done_counts_on_when_it_is_gone_and_how_it_was_does_not() -> None:
    first, second = slots_with(3, 4)
    fleet = Fleet([first, second])
    fleet.bury(first)

    async def sums() -> dict[str, float]:
        return {f.name: sum(value for *_, value in f.samples) for f in await fleet.samples()}

    assert await sums() == {"calls": 7, "running": 4}
    first.clear()
    fleet.hear(first, {"samples": msgspec.to_builtins([family("calls", 1), family("running", 1, kind="gauge")])})
    assert await sums() == {"calls": 8, "running": 5}


async def test_a_worker_that_does_not_answer_leaves_it_to_the_next_to_say_how_full_the_queues_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("busframe.cli.fleet.ANSWER_S", 0.05)
    deaf, other = slots_with(0, 0)
    pairs = [socket.socketpair() for _ in range(2)]
    (deaf.link, _), (other.link, peer) = [(Link(ours), Link(theirs)) for ours, theirs in pairs]
    deaf.state = other.state = "running"
    fleet = Fleet([deaf, other])

    async def answer() -> None:
        async for line in peer.lines():
            assert line == {"ask": "queues"}
            fleet.hear(other, {"queues": msgspec.to_builtins([family("depth", 9, kind="gauge")])})

    async with runtime.background_tasks() as tasks:
        tasks.start_soon(answer)
        assert "depth" in {f.name for f in await fleet.samples()}
    for pair in pairs:
        for end in pair:
            end.close()


async def test_a_line_that_had_no_room_is_told_to_its_end_before_the_next() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        told, heard = Link(ours), Link(theirs)
        told.tell(long="x" * 1_000_000)  # more than there is room for
        told.tell(missed=True)
        lines = heard.lines()

        async def keep_telling() -> None:
            while True:
                told.tell(short=1)
                await anyio.lowlevel.checkpoint()

        async with runtime.background_tasks() as tasks:
            tasks.start_soon(keep_telling)
            with anyio.fail_after(30):
                assert len((await anext(lines))["long"]) == 1_000_000
                assert await anext(lines) == {"short": 1}
        await lines.aclose()


# --- one process ----------------------------------------------------------------------------------------------------

APP = """
from dataclasses import dataclass
import anyio
from busframe import Bus, Command, command

@command("shop.wait")
@dataclass(frozen=True)
class Wait(Command):
    pass

bus = Bus("shop")
begun, may_end = anyio.Event(), anyio.Event()

@bus.handle(Wait)
async def wait(_: Wait) -> None:
    begun.set()
    await may_end.wait()
"""


async def test_a_worker_tells_of_itself_while_it_runs(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "waiting_app.py").write_text(APP)
    sys.path.insert(0, str(folder))  # the fixture takes it back
    monkeypatch.delitem(sys.modules, "waiting_app", raising=False)
    app: Any = import_module("waiting_app")
    async with app.bus.connect("sqlite:///shop.db") as live:
        await live.send(app.Wait())
    arguments = make_parser().parse_args(["waiting_app:bus", "--metrics", "0"])
    async with runtime.background_tasks() as tasks:
        tasks.start_soon(Worker(arguments).run)
        with anyio.fail_after(60):
            await app.begun.wait()
            port = port_said(capsys)
            status, fields, text = await get(port, "/metrics")
            assert status == 200
            assert fields["Content-Type"].startswith("text/plain; version=0.0.4")
            values = {
                sample.name: sample.value
                for found in text_string_to_metric_families(text)
                for sample in found.samples
                if sample.labels.get("queue", "shop-wait") == "shop-wait"
            }
            assert values["busframe_queue_messages_in_flight"] == 1
            assert values["busframe_handlers_running"] == 1
            assert values["busframe_worker_up"] == 1
            status, _, text = await get(port, "/health")
            told = json.loads(text)
            assert (status, told["ready"]) == (200, True)
            assert told["workers"][0]["report"]["consumers"][0]["running"] == 1
        app.may_end.set()
