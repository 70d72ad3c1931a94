"""Faults in words: what each comes to, and entries that are bound late."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from busframe_emulator.delivery import faults as f
from busframe_emulator.delivery.choosers import Recording, Scripted
from busframe_emulator.delivery.scripts import Late, Script
from busframe_emulator.delivery.sites import NetFault

if TYPE_CHECKING:
    from collections.abc import Callable


def test_words_that_leave_nothing_open_are_entries_like_any_other() -> None:
    script = f.script(
        f.duplicate("orders", message=3, delivery=1),
        f.receive("orders", nth=2).finds_nothing(),
        f.receive("orders", nth=2).brings_at_most(4),
        f.receive("orders", nth=2).takes_from_behind(5, slot=1),
        f.call("api", "send", nth=2).lost_response(),
        f.call("api", "send", nth=3).arrives_late(0.25),
        f.batch_entry("api", nth=1, entry=0),
        f.crash("worker-1", at_s=1.5),
        f.restart("worker-1", after_s=2, life=3),
        f.lag("orders", message=1, for_s=0.5),
    )
    assert list(script) == [
        ("recv.dup", ("orders", 3, 1), 1),
        ("recv.empty", ("orders", 2), 1),
        ("recv.fewer", ("orders", 2), 4),
        ("recv.pick", ("orders", 2, 1), 5),
        ("net", ("api", "send", 2), NetFault.LOST_ANSWER),
        ("net.request", ("api", "send", 3), 250_000),
        ("batch.partial", ("api", 1, 0), 1),
        ("node.crash", ("worker-1", 1), 1_500_000),
        ("node.restart", ("worker-1", 3), 2_000_000),
        ("send.lag", ("orders", 1), 500_000),
    ]
    assert script.late == ()


def test_of_two_about_the_same_moment_the_first_counts() -> None:
    script = f.script(f.call("api", "send", nth=1).throttled(), f.call("api", "send", nth=1).lost_request())
    assert list(script) == [("net", ("api", "send", 1), NetFault.THROTTLED)]


def test_what_is_left_open_happens_the_first_time_it_comes_up_and_is_recorded_as_what_it_was() -> None:
    recording = Recording(Scripted(f.script(f.zombie("orders", message=2, after_s=40))))
    assert recording.ask("delete.zombie", ("orders", 1, 1)) is None
    assert recording.ask("delete.zombie", ("orders", 2, 3)) == 40_000_000
    assert recording.ask("delete.zombie", ("orders", 2, 3)) == 40_000_000
    assert recording.ask("delete.zombie", ("orders", 2, 4)) is None
    assert recording.fired == Script([("delete.zombie", ("orders", 2, 3), 40_000_000)])


def test_a_receive_duplicates_what_it_brings_and_not_what_another_brings() -> None:
    scripted = Scripted(f.script(f.receive("orders", nth=2).duplicates()))
    scripted.ask("recv.pick", ("orders", 1, 0))
    assert scripted.ask("recv.dup", ("orders", 1, 1)) is None
    scripted.ask("recv.pick", ("invoices", 2, 0))
    assert scripted.ask("recv.dup", ("invoices", 1, 1)) is None
    scripted.ask("recv.pick", ("orders", 2, 0))
    scripted.ask("recv.pick", ("orders", 2, 1))
    assert scripted.ask("recv.dup", ("orders", 7, 1)) == 1
    assert scripted.ask("recv.dup", ("orders", 8, 1)) is None


def test_what_never_came_up_is_told() -> None:
    script = f.script(
        f.crash("worker", at_s=1), f.zombie("orders", message=1, after_s=4), f.duplicate("orders", message=1)
    )
    scripted = Scripted(script)
    scripted.ask("recv.dup", ("orders", 1, 1))
    assert scripted.unused == f.script(f.crash("worker", at_s=1), f.zombie("orders", message=1, after_s=4))


def test_a_script_with_late_entries_survives_being_written() -> None:
    script = f.script(
        f.receive("orders", nth=3).duplicates(), f.zombie("orders", message=1, after_s=4), f.crash("worker", at_s=1)
    )
    written = json.loads(json.dumps(script.to_data()))
    assert ["recv.dup", ["orders", "*", "*"], 1, {"receive": 3}] in written["script"]
    assert Script.from_data(written) == script


def test_an_entry_may_be_about_anybody() -> None:
    scripted = Scripted(Script([("net", ("*", "SendMessage", 1), 2)]))
    assert scripted.ask("net", ("AKIA1", "SendMessage", 1)) == 2
    assert scripted.ask("net", ("AKIA2", "SendMessage", 1)) is None


@pytest.mark.parametrize(
    "entry", [["recv.dup", ["orders", 1, 1], 1, {"receive": 0}], ["recv.dup", ["orders"], 1, 2], ["net", [], 1]]
)
def test_an_entry_of_another_form_is_refused(entry: list[object]) -> None:
    with pytest.raises(ValueError, match="entry 0 of the script"):
        Script.from_data({"format": 1, "script": [entry]})


def test_a_late_entry_of_an_unknown_site_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no such site"):
        Script(late=[Late("recv.twice", ("*",), 1)])


@pytest.mark.parametrize(
    ("word", "text"),
    [
        (lambda: f.duplicate("orders", message=0), "message: 0 is not 1 or more"),
        (lambda: f.crash("worker", at_s=-1), "at_s: -1 is not a positive number of seconds"),
        (lambda: f.zombie("orders", message=1, after_s=float("inf")), "after_s: inf is not"),
        (lambda: f.batch_entry("api", nth=1, entry=-1), "entry: -1 is not 0 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(word: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        word()
