"""`busframe run` in one process: which messages it takes, when it ends, what it says and exits with."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from busframe.cli.run import worker_main
from busframe.cli.running import DONE, FAILED, FOUND, MISUSED

if TYPE_CHECKING:
    from pathlib import Path

Asked = Any  # the fixture's function


def publish(asked: Asked, *orders: str, customer: str = "ada") -> None:
    lines = "".join(f'{{"order": "{order}", "customer": "{customer}"}}\n' for order in orders)
    assert asked("publish", "shop_app:bus", "shop.order.placed", "-", stdin=lines)[0] == DONE


def log(folder: Path) -> list[str]:
    """What the handlers have written down, without the process's number."""
    path = folder / "log"
    return [line.rpartition(" ")[0] for line in path.read_text().splitlines()] if path.exists() else []


def test_drain_handles_what_is_there_and_says_what_became_of_it(asked: Asked, folder: Path) -> None:
    publish(asked, "1", "2")
    code, out, _ = asked("run", "shop_app:bus", "--drain")
    assert code == DONE
    assert sorted(log(folder)) == ["billed 1", "billed 2", "done 1", "done 2", "shipped 1", "shipped 2"]
    head, *rows = out.splitlines()
    assert head.split() == ["QUEUE", "RECEIVED", "HANDLED", "RETRIED", "DEAD-LETTERED", "LOST", "UNSETTLED"]
    assert rows[0].split() == ["shop-billing", "2", "2", "0", "0", "0", "0"]
    code, out, _ = asked("run", "shop_app:bus", "--drain", "--json")
    assert code == DONE
    assert json.loads(out)["shop-billing"]["received"] == 0


@pytest.mark.parametrize(("customer", "what"), [("nobody", "dead_lettered"), ("later", "retried")])
def test_a_message_that_was_not_simply_handled_makes_it_exit_with_1(asked: Asked, customer: str, what: str) -> None:
    publish(asked, "1", customer=customer)
    code, out, _ = asked("run", "shop_app:bus", "--drain", "--json")
    assert code == FOUND
    assert json.loads(out)["shop-billing"][what] == 1


def test_once_handles_one_message_of_all_queues(asked: Asked, folder: Path) -> None:
    publish(asked, "1", "2")
    for runs in (1, 2, 3, 4):
        assert asked("run", "shop_app:bus", "--once")[0] == DONE
        assert sum(not line.startswith("billed") for line in log(folder)) == runs
    assert asked("run", "shop_app:bus", "--once")[0] == DONE
    assert len(log(folder)) == 6


def test_max_messages_takes_so_many_and_no_more(asked: Asked, folder: Path) -> None:
    publish(asked, *map(str, range(10)))
    code, out, _ = asked("run", "shop_app:bus", "--max-messages", "3", "--group", "shipping", "--json")
    assert code == DONE
    assert [(queue, of["handled"]) for queue, of in json.loads(out).items()] == [("shop-shipping", 3)]
    assert len(log(folder)) == 3
    assert "7" in asked("stats", "--prefix", "shop-shipping")[1]


def test_max_time_ends_it(asked: Asked) -> None:
    assert asked("run", "shop_app:bus", "--max-time", "0.2")[0] == DONE


@pytest.mark.parametrize("more", [(), ("--drain",), ("--loop", "trio")])
def test_max_time_exits_with_3_if_nothing_could_be_received(asked: Asked, more: tuple[str, ...]) -> None:
    nowhere = ("--url", "sqlite:///new.db", "--provision", "assume")
    code, out, complaints = asked("run", "shop_app:bus", "--max-time", "0.3", *nowhere, *more)
    assert (code, out) == (FAILED, "")
    assert "busframe run: " in complaints
    assert "is not there" in complaints


def test_some_groups_only_on_trio_too(asked: Asked, folder: Path) -> None:
    publish(asked, "1")
    assert asked("send", "shop_app:bus", "shop.invoice.print", '{"order": "1"}')[0] == DONE
    chosen = ("--group", "shop/shipping", "--group", "shop.invoice.print")
    assert asked("run", "shop_app:bus", "--drain", "--loop", "trio", *chosen)[0] == DONE
    assert sorted(log(folder)) == ["printed 1", "shipped 1"]


def test_a_status_file_is_kept_while_it_runs(asked: Asked, folder: Path) -> None:
    assert asked("run", "shop_app:bus", "--max-time", "0.5", "--status", "status")[0] == DONE
    assert not (folder / "status").exists()
    code, _, complaints = asked("ps", "status")
    assert code == MISUSED
    assert "busframe run --status FILE" in complaints


def test_ps_tells_who_does_what_and_exits_with_1_if_somebody_is_not_well(asked: Asked, folder: Path) -> None:
    consumer = {
        "queue": "shop-billing", "state": "running", "stuck": 0, "in_hand": 3, "running": 2,
        "oldest_running_s": 12.0, "healthy": True,
    }  # fmt: skip
    counts = {"handled": 7, "retried": 1, "dead_lettered": 0}
    report = {
        "pid": 77, "started_at_s": 0.0, "rss_mb": 40.5, "consumers": [consumer], "counts": {"shop-billing": counts}
    }  # fmt: skip
    workers: list[dict[str, Any]] = [
        {"worker": 1, "state": "running", "restarts": 0, "report": report},
        {"worker": 2, "state": "starting", "restarts": 4, "report": None},
    ]

    def asked_of(**changes: Any) -> tuple[int, str, str]:
        status = {"pid": 7, "written_at_s": 1e12, "workers": workers, **changes}
        (folder / "status").write_text(json.dumps(status))
        code, out, complaints = asked("ps", "status")
        return code, out, complaints

    code, out, _ = asked_of()
    assert code == FOUND
    _, first, second = out.splitlines()
    assert first.split()[:3] == ["1", "77", "running"]
    assert first.split()[-9:] == ["shop-billing", "running", "3", "2", "12", "s", "7", "1", "0"]
    assert second.split()[:6] == ["2", "-", "starting", "-", "-", "4"]
    assert asked_of(workers=workers[:1])[0] == DONE
    code, _, complaints = asked_of(workers=workers[:1], written_at_s=0)
    assert code == FOUND
    assert "process 7 is gone or stuck" in complaints
    consumer.update(healthy=False, stuck=1)
    code, out, _ = asked_of(workers=workers[:1])
    assert code == FOUND
    assert "running, 1 stuck" in out
    assert json.loads(asked("ps", "status", "--json")[1])["pid"] == 7


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["shop_app:none"], "shop_app:none has no handlers to run"),
        (["shop_app:bus", "--group", "packing"], "one of shop-invoice-print, shop-note, shop/billing, shop/shipping"),
        (["shop_app:bus", "--workers", "0"], "--workers=0"),
        (["shop_app:bus", "--concurrency", "0"], "--concurrency=0"),
        (["shop_app:bus", "--max-messages", "0"], "--max-messages=0"),
        (["shop_app:bus", "--max-time", "0"], "--max-time=0.0"),
        (["shop_app:bus", "--recycle-s", "inf"], "--recycle-s=inf"),
        (["shop_app:bus", "--drain-s", "-1"], "--drain-s=-1"),
        (["shop_app:bus", "--workers", "2", "--once"], "--once=1 is not allowed: given to a single process"),
        (["shop_app:bus", "--isolate", "--max-messages", "5"], "--max-messages=5"),
        (["shop_app:bus", "--once", "--max-messages", "5"], "--max-messages=5"),
        (["shop_app:bus", "--status", "nowhere/status"], "nowhere is not"),
        (["shop_app:bus", "--workers", "2", "--status", "nowhere/status"], "nowhere is not"),
        (["shop_app:nothing"], "which has no 'nothing'; it has shop_app:bus, shop_app:none"),
        (["shop_app:bus", "--metrics", ":9100"], "--metrics=':9100' is not allowed: PORT for the loopback address"),
        (["shop_app:bus", "--workers", "2", "--metrics", "x"], "--metrics='x'"),
        (["shop_app:bus", "--workers", "2", "--url", "memory://"], "several processes need one that they share"),
        (["shop_app:bus", "--workers", "2", "--url", "sqlit:///shop.db"], "did you mean sqlite://?"),
        (["shop_app:bus", "--url", "http://localhost:9324"], "sqs://us-east-1?endpoint_url=http://..."),
        (["shop_app:bus", "--url", "sqlit:///shop.db"], "did you mean sqlite://?"),
        (["shop_app:bus", "--url", "sqs://eu-west-1"], "it is --recipients, or BUSFRAME_RECIPIENTS"),
    ],
)
def test_wrong_use_is_explained_in_a_line(asked: Asked, arguments: list[str], complaint: str) -> None:
    code, out, complaints = asked("run", *arguments)
    assert (code, out) == (MISUSED, "")
    assert complaint in complaints
    assert complaints.startswith("busframe run: ")
    assert complaints.count("\n") == 1


def test_a_worker_refuses_a_broker_of_its_own_by_itself(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked
    # As where the backend's factory is not marked: then nobody knows before it is open.
    monkeypatch.setattr(sys, "argv", ["run", "shop_app:bus", "--workers", "2", "--url", "memory://"])
    assert worker_main() == MISUSED
    assert "several processes need one that they share" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("app", "advice"),
    [
        ("shop_app", "such as shop_app:bus"),
        ("./shop_app.py", "such as shop_app:bus"),
        (":bus", "such as shop.app:bus"),
        (".:bus", "with dots and no .py: shop.app:bus"),
        ("shop_app.py:bus", "with dots and no .py: shop_app:bus"),
        ("./src/shop/app.py:bus", "with dots and no .py: src.shop.app:bus"),
        ("shopapp:bus", "there is none named 'shopapp', neither in "),
        ("shop_app:bus.of", "which has no 'bus.of'; it has shop_app:bus, shop_app:none"),
        ("odd_app:bus", "which has no 'bus'; it has none at all"),
        ("odd_app:make_bus", "write `bus = make_bus()` in the module"),
        ("odd_app:make_bus()", "write `bus = make_bus()` in the module"),
        ("odd_app:number", "a Bus, and this is a int; it has none at all"),
        ("wrong_app:bus", "wrong_app.py, line 2: "),
        ("deep_app:bus", "wrong_app.py, line 2: "),
    ],
)
def test_a_program_that_is_not_found_is_told_how_it_would_be(
    asked: Asked, folder: Path, monkeypatch: pytest.MonkeyPatch, app: str, advice: str
) -> None:
    (folder / "odd_app.py").write_text("number = 5\ndef make_bus(): ...\n")
    (folder / "wrong_app.py").write_text("bus = 1\ndef broken(:\n")
    (folder / "deep_app.py").write_text("import wrong_app\n")
    for name in ("odd_app", "wrong_app", "deep_app"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    code, _, complaints = asked("run", app)
    assert code == MISUSED
    assert advice in complaints
    assert complaints.count("\n") == 1


def test_a_loop_that_is_not_installed_is_named_with_its_extra(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_spec(_: str) -> None:
        return None

    monkeypatch.setattr("busframe.cli.running.find_spec", find_spec)
    code, _, complaints = asked("run", "shop_app:bus", "--loop", "trio")
    assert code == MISUSED
    assert complaints == "busframe run: --loop trio needs the package 'trio': pip install 'busframe[trio]'\n"


def test_a_broker_that_cannot_be_used_exits_with_3(asked: Asked, folder: Path) -> None:
    (folder / "other.db").write_text("Dear diary, " * 100)
    code, _, complaints = asked("run", "shop_app:bus", "--once", "--url", "sqlite:///other.db")
    assert code == FAILED
    assert "not an SQLite database" in complaints


def test_check_refuses_where_something_is_missing(asked: Asked) -> None:
    code, _, complaints = asked("run", "shop_app:bus", "--once", "--url", "sqlite:///new.db", "--provision", "check")
    assert code == FAILED
    assert "is not there" in complaints
