"""Histories as lines of JSON, and `busframe check`, which judges them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from delivery.mutants import MUTANTS
from delivery.trials import judge, run_trial
from engine.histories import LIMITS

from busframe_emulator import checking
from busframe_emulator.delivery.history import write_engine_history
from busframe_emulator.delivery.profiles import HOSTILE, REALISTIC
from busframe_emulator.delivery.reading import check_history

if TYPE_CHECKING:
    from pathlib import Path

HEADER = '{"busframe_history": 1, "level": "engine"}'
QUEUE = "arn:aws:sqs:us-east-1:000000000000:orders"


def line(**members: object) -> str:
    return json.dumps({"t": 5, "queue": QUEUE, **members})


CREATED = line(kind="queue_created", settings={"retention_us": 100})


@pytest.mark.parametrize("seed", range(10))
def test_a_history_that_was_written_and_read_is_judged_the_same(seed: int) -> None:
    solo = run_trial(seed, HOSTILE)
    report = check_history(write_engine_history(solo.events, LIMITS))
    assert (report.state, report.events, report.notes) == ("ok", len(solo.events), judge(solo).notes)


@pytest.mark.parametrize("name", ["a_dead_letter_loses_its_attributes", "leases_last_half_as_long"])
def test_a_fault_shows_in_what_was_written(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    patch, found_by = MUTANTS[name]
    patch(monkeypatch)
    lines = write_engine_history(run_trial(0, REALISTIC).events, LIMITS)
    assert check_history(lines).verdicts[found_by].violations > 0


def test_no_body_and_no_attribute_is_written() -> None:
    events = run_trial(1, REALISTIC).events
    written = "\n".join(write_engine_history(events))
    assert '"kind":"sent"' in written
    assert '"body":"' in written
    assert "Root=" not in written
    assert "AIDA" not in written


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ([], 'line 1: a history begins with {"busframe_history": 1'),
        (['{"busframe_history": 2, "level": "engine"}'], "line 1: a history begins with"),
        (['{"busframe_history": 1, "level": "story"}'], "line 1: level 'story'"),
        (['{"busframe_history": 1, "level": "engine", "limits": {"x": 1}}'], "line 1: limits"),
        ([HEADER, "{"], "line 2: no JSON"),
        ([HEADER, "[" * 100_000], "line 2: no JSON"),
        ([HEADER, "[]"], "line 2: .* is no object"),
        ([HEADER, line(t=7, kind="purged"), line(t=6, kind="purged")], "line 3: t goes back, to 6"),
        ([HEADER, line(kind="sent", message="1")], "line 2: message: '1' is not a whole number"),
        ([HEADER, line(kind="sent", message=1)], "line 2: KeyError.'sent'"),
        ([HEADER, '{"kind": "purged", "queue": "orders", "t": 1}'], "line 2: 'orders' is not the ARN of a queue"),
    ],
)
def test_what_is_no_history_is_refused_with_its_place(lines: list[str], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        check_history(lines)


def test_events_of_queues_whose_beginning_is_missing_are_counted_and_not_judged() -> None:
    report = check_history([HEADER, line(kind="expired", message=1)])
    assert report.state == "ok"
    assert report.notes == {"events of queues that were there before, which are not judged": 1}


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "history.jsonl"
    sent = line(kind="sent", message=1, sent=5, body="a", until=5)
    path.write_text("\n".join([HEADER, CREATED, sent, line(kind="expired", message=1), ""]))
    return path


def test_the_command_tells_what_is_violated(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checking.main([str(broken)]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "violation: 3 events, at the level of the engine"
    assert "  expired_early    violation  1 found" in told
    assert "    t=0.000005 orders#1: it was to be kept until t=0.000105" in told
    assert "  after_delete     ok" in told


def test_the_command_allows(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checking.main([str(broken), "--allow", "expired_early"]) == 0
    assert "  expired_early    ok         1 found, allowed" in capsys.readouterr().out.splitlines()


def test_the_command_prints_json(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checking.main([str(broken), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["state"] == "violation"
    assert told["checks"]["expired_early"]["findings"][0]["message"] == 1


def test_the_command_says_what_is_wrong_with_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checking.main([str(tmp_path / "nothing")]) == 2
    assert "No such file" in capsys.readouterr().err
    (tmp_path / "text").write_text("hello")
    assert checking.main([str(tmp_path / "text")]) == 2
    assert "line 1: no JSON" in capsys.readouterr().err


def test_the_command_reads_standard_input(broken: Path) -> None:
    command = [sys.executable, "-m", "busframe_emulator.checking", "-"]
    with broken.open() as file:
        assert subprocess.run(command, stdin=file, capture_output=True, check=False).returncode == 1
