"""`busframe timeline`: a failure in lanes, as text and as a page."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from simulation.apps import naive

from busframe import cli
from busframe.simulation import SimulationFailedError, failure_file, simulate
from busframe.simulation.lanes import in_lanes
from busframe.simulation.narrating import narrate
from busframe.simulation.page import html_page
from busframe.simulation.record import Entry
from busframe_emulator.delivery.profiles import CALM_PROFILE
from busframe_emulator.delivery.scripts import Script
from busframe_emulator.delivery.sites import NetFault

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = Script(
    [
        ("recv.dup", ("orders", 1, 1), 1),
        ("node.crash", ("worker[0]", 1), 100_000),
        ("net", ("test", "send", 2), NetFault.LOST_ANSWER),
    ]
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.raises(SimulationFailedError) as caught:
        simulate(naive, seeds=1, profile=CALM_PROFILE, shrink=False, script=SCRIPT, name="test_shop.py::test_<naive>")
    return failure_file.save(caught.value.failure, tmp_path_factory.mktemp("failures"))


def test_the_text_has_a_lane_for_each_node_and_message_and_fits(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["timeline", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (head,) = [line for line in lines if line.lstrip().startswith("seconds")]
    assert head.split() == ["seconds", "test", "worker[0]", "worker[1]", "orders#1"]
    assert any(line.endswith("<< duplicate") for line in lines)
    assert sum(line.endswith("<< exactly_once") for line in lines) == 2
    drawn = [line for line in lines if re.match(r" +\d+\.\d{4}  ", line)]
    lane = head.index("worker[1]")
    assert {line[lane : lane + 8] for line in drawn} >= {"received", "effect '", "|       "}
    assert max(map(len, drawn)) <= 120
    assert lines[-1].startswith("replay: bf1.")


def test_all_shows_the_other_messages_too(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["timeline", str(path), "--all", "--width", "200"]) == 0
    assert "orders#6" in capsys.readouterr().out


def test_messages_for_which_there_is_no_room_are_counted() -> None:
    entries = [Entry(number, "broker", "sent", "", "orders", number) for number in range(1, 31)]
    lines = in_lanes(narrate(entries, {}, {}))
    assert max(map(len, lines)) <= 120
    assert re.fullmatch(r"2\d more messages have no lane here: --width=N makes room, --html=OUT shows all", lines[-1])


def test_the_page_stands_alone_and_takes_nothing_for_markup(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.html"
    assert cli.main(["timeline", str(path), "--html", str(out)]) == 0
    page = out.read_text(encoding="utf-8")
    assert "test_&lt;naive&gt;" in page
    assert "<naive>" not in page
    assert not re.search(r"""(src|href|url|import)\s*[=(]\s*["']?\s*(https?:|//|/|\w+\.)""", page)
    assert "default-src 'none'" in page


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": 1}', "\udcff"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_bytes(text.encode(errors="surrogateescape"))
    assert cli.main(["timeline", str(wrong)]) == 2
    assert "wrong.json" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["timeline", "nowhere.json"]) == 2
    assert "nowhere.json" in capsys.readouterr().err


def test_a_width_into_which_nothing_fits_is_refused(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["timeline", str(path), "--width", "20"])
    assert "--width=20" in capsys.readouterr().err


def test_a_long_record_is_drawn_in_part(path: Path) -> None:
    saved = failure_file.load(path)
    many = [Entry(number, "app", "note", "test", text=f"line {number}") for number in range(2_500)]
    page = html_page(replace(saved, entries=many, marked=frozenset()))
    assert "500 later lines are not drawn" in page


def test_a_lane_says_what_a_node_found_in_a_store_and_what_was_late() -> None:
    entries = [
        Entry(0, "app", "read", "w", "done", key="o1", text="found nothing"),
        Entry(1, "app", "wrote", "w", "done", key="o1", text="now 7"),
        Entry(2, "client", "late", "w", "done", text="commit: its answer, 1 s"),
    ]
    said = [" ".join(row.split()[1:]) for row in in_lanes(narrate(entries, {}, {}))[1:]]
    assert said == ["found nothing ('o1')", "now 7 ('o1')", "commit: its answer, 1 s"]
