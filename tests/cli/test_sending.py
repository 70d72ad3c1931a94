"""`busframe send` and `busframe publish`."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from busframe.cli.running import DONE, FAILED, MISUSED

if TYPE_CHECKING:
    from pathlib import Path

    from busframe_emulator.pytest_plugin import SqsEmulator

Asked = Any  # the fixture's function

STEPS = """
from dataclasses import dataclass
from busframe import Bus, Command, Event, command, event

@event("steps.taken", key="walker")
@dataclass(frozen=True)
class Taken(Event):
    walker: str
    number: int
    note: str = ""

@command("steps.take", key="walker")
@dataclass(frozen=True)
class Take(Command):
    walker: str
    number: int

bus = Bus("steps")

@bus.subscribe(Taken, group="log", ordered=True)
@bus.handle(Take, ordered=True)
async def note(step: Taken | Take) -> None:
    with open("log", "a") as file:
        file.write(f"{step.walker} {step.number}\\n")
"""


@pytest.fixture
def steps(asked: Asked, folder: Path, sqs_emulator: SqsEmulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """A program with an ordered event and an ordered command, on a broker where calls can overtake each other."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("BUSFRAME_URL", f"sqs://us-east-1?endpoint_url={sqs_emulator.url}")
    monkeypatch.setenv("BUSFRAME_RECIPIENTS", "sqlite:///subscriptions.db")
    (folder / "steps_app.py").write_text(STEPS)
    monkeypatch.delitem(sys.modules, "steps_app", raising=False)
    assert asked("topology", "apply", "steps_app:bus")[0] == DONE
    return "steps_app:bus"


def bodies(asked: Asked, queue: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in asked("peek", queue, "--json")[1].splitlines()]


def test_an_event_goes_to_every_group_that_subscribed(asked: Asked) -> None:
    code, out, _ = asked("publish", "shop_app:bus", "shop.order.placed", '{"order": "1", "customer": "ada"}')
    assert (code, out) == (DONE, "published shop.order.placed to shop-billing, shop-shipping\n")
    (message,) = bodies(asked, "shop-billing")
    assert (message["type"], json.loads(message["body"])) == ("shop.order.placed", {"order": "1", "customer": "ada"})


def test_a_type_that_the_program_declares_and_does_not_handle_is_known_too(asked: Asked) -> None:
    code, out, _ = asked("publish", "shop_app:bus", "shop.order.cancelled", '{"order": "1"}')
    assert (code, out) == (DONE, "published shop.order.cancelled to nobody: no group has subscribed to it\n")


def test_a_command_goes_to_its_owner_with_what_is_said_about_it(asked: Asked) -> None:
    about = ("--tenant", "acme", "--key", "k", "--header", "by=hand", "--correlation-id", "c", "--id", "i", "--json")
    code, out, _ = asked("send", "shop_app:bus", "shop.invoice.print", '{"order": "1"}', *about)
    assert code == DONE
    sent = json.loads(out)
    (message,) = bodies(asked, "shop-invoice-print")
    assert sent == {"type": "shop.invoice.print", "message_id": message["message_id"]}
    headers = json.loads(message["attributes"]["busframe"])
    assert {name: headers[name] for name in ("id", "tenant", "key", "correlation_id", "extra")} == {
        "id": "i",
        "tenant": "acme",
        "key": "k",
        "correlation_id": "c",
        "extra": {"by": "hand"},
    }


def test_one_id_is_not_given_to_many_messages(asked: Asked) -> None:
    code, _, complaints = asked(
        "send", "shop_app:bus", "shop.invoice.print", "-", "--id", "i", stdin='{"order": "1"}\n'
    )
    assert code == MISUSED
    assert complaints.startswith("busframe send: --id='i' is not allowed")
    assert bodies(asked, "shop-invoice-print") == []


def test_text_is_sent_as_it_is(asked: Asked) -> None:
    assert asked("send", "shop_app:bus", "shop.note", "not {JSON")[0] == DONE
    assert [message["body"] for message in bodies(asked, "shop-note")] == ["not {JSON"]


def test_a_delay_hides_the_message(asked: Asked) -> None:
    asked("send", "shop_app:bus", "shop.note", "later", "--delay-s", "3600")
    (message,) = bodies(asked, "shop-note")
    assert message["state"].startswith("delayed, 60 min")


def test_a_line_each_is_read_from_standard_input(asked: Asked) -> None:
    lines = "".join(f'{{"order": "{n}"}}\n' for n in range(700)) + "\n"
    code, out, _ = asked("send", "shop_app:bus", "shop.invoice.print", "-", stdin=lines)
    assert (code, out) == (DONE, "700 sent\n")
    assert len(bodies(asked, "shop-invoice-print")) == 20
    assert "700" in asked("stats", "--prefix", "shop-invoice-print")[1]


def test_all_lines_are_sent_though_nobody_reads_what_was_sent(asked: Asked) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    lines = "".join(f'{{"order": "{n}"}}\n' for n in range(200))
    with os.fdopen(writer, "w") as output, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", output)
        code, _, complaints = asked("send", "shop_app:bus", "shop.invoice.print", "-", "--json", stdin=lines)
    assert (code, complaints) == (DONE, "")
    assert "200" in asked("stats", "--prefix", "shop-invoice-print")[1]


def test_the_first_line_that_is_wrong_stops_it_and_is_named(asked: Asked) -> None:
    lines = '{"order": "1"}\n{"order": "2"}\n{"ordr": "3"}\n'
    code, out, complaints = asked("send", "shop_app:bus", "shop.invoice.print", "-", stdin=lines)
    assert (code, out) == (MISUSED, "")
    assert complaints.startswith("busframe send: stopped at line 3, after sending 2\n")
    assert "missing required field `order`" in complaints


def handled(asked: Asked, folder: Path, app: str) -> list[tuple[str, int]]:
    """Run an app's handlers, and tell which steps they saw."""
    assert asked("run", app, "--drain")[0] == DONE
    return [(walker, int(number)) for walker, number in map(str.split, (folder / "log").read_text().splitlines())]


@pytest.mark.parametrize(("name", "what"), [("publish", "steps.taken"), ("send", "steps.take")])
def test_lines_of_one_key_arrive_in_their_order(asked: Asked, folder: Path, steps: str, name: str, what: str) -> None:
    lines = [f'{{"walker": "{walker}", "number": {n}}}\n' for n in range(40) for walker in "abc"]
    assert asked(name, steps, what, "-", stdin="".join(lines))[:2] == (DONE, "120 sent\n")
    seen = handled(asked, folder, steps)
    for walker in "abc":
        assert [number for by, number in seen if by == walker] == list(range(40))


def test_lines_that_are_given_a_key_arrive_in_their_order(asked: Asked, folder: Path, steps: str) -> None:
    lines = "".join(f'{{"walker": "{n % 7}", "number": {n}}}\n' for n in range(100))
    assert asked("publish", steps, "steps.taken", "-", "--key", "all", stdin=lines)[0] == DONE
    assert [number for _, number in handled(asked, folder, steps)] == list(range(100))


def test_bodies_of_one_message_group_arrive_in_their_order(asked: Asked, steps: str, sqs_emulator: SqsEmulator) -> None:
    assert steps
    lines = "".join(f"{n}\n" for n in range(100))
    assert asked("send", "--queue", "steps-log.fifo", "-", "--message-group", "g", stdin=lines)[0] == DONE
    client = sqs_emulator.client()
    queue = client.get_queue_url(QueueName="steps-log.fifo")["QueueUrl"]
    # Without order, the first calls that are under way at once bring others.
    received = client.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert [message["Body"] for message in received] == [f"{n}" for n in range(10)]


def test_no_line_of_a_key_is_sent_behind_one_that_could_not_be(asked: Asked, folder: Path, steps: str) -> None:
    notes = ["", "", "long" * 300_000, "", ""]
    lines = "".join(f'{{"walker": "a", "number": {n}, "note": "{note}"}}\n' for n, note in enumerate(notes))
    code, _, complaints = asked("publish", steps, "steps.taken", "-", stdin=lines)
    assert code == FAILED
    assert complaints.startswith("busframe publish: stopped at line 3, after sending 2\n")
    assert handled(asked, folder, steps) == [("a", 0), ("a", 1)]


def test_a_body_goes_to_a_queue_as_it_is(asked: Asked) -> None:
    code, out, _ = asked("send", "--queue", "shop-billing", '{"raw": 1}', "--attribute", "by=s3")
    assert code == DONE
    assert out.startswith("sent to shop-billing: ")
    (message,) = bodies(asked, "shop-billing")
    assert (message["type"], message["attributes"], message["body"]) == (None, {"by": "s3"}, '{"raw": 1}')


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["send", "shop_app:bus", "shop.order.placed", "{}"], "events are for `busframe publish`"),
        (["publish", "shop_app:bus", "shop.note", "x"], "commands are for `busframe send`"),
        (["publish", "shop_app:bus", "shop.order", "{}"], "shop.invoice.print, shop.note, shop.order.cancelled"),
        (["publish", "shop_app:bus", "shop.order.placed", '{"order": 1}'], "Expected `str`, got `int`"),
        (["publish", "shop_app:bus", "shop.order.placed"], "three: module:bus, the event's name"),
        (["send", "--queue", "shop-note", "a", "b"], "one body"),
        (["send", "--queue", "shop-note", "a", "--tenant", "acme"], "--tenant='acme'"),
        (["send", "--queue", "no such queue", "a"], "--queue='no such queue'"),
        (["send", "--queue", "shop-note", "a", "--attribute", "by"], "NAME=TEXT"),
        (["send", "shop_app:bus", "shop.note", "x", "--delay-s", "-1"], "delay_s=-1.0"),
    ],
)
def test_wrong_use_is_explained_in_a_line(asked: Asked, arguments: list[str], complaint: str) -> None:
    code, out, complaints = asked(*arguments)
    assert (code, out) == (MISUSED, "")
    assert complaint in complaints
    assert complaints.startswith(f"busframe {arguments[0]}: ")
    assert complaints.count("\n") == 1


def test_a_queue_that_is_not_there_exits_with_3_and_says_what_to_do(asked: Asked) -> None:
    code, _, complaints = asked("send", "--queue", "nowhere", "a")
    assert code == FAILED
    assert "`busframe stats` names the queues there are" in complaints
