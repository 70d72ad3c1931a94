"""`busframe dead`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from busframe.cli.running import DONE, FAILED, FOUND, MISUSED

Asked = Any  # the fixture's function


@pytest.fixture
def letters(asked: Asked) -> list[dict[str, Any]]:
    """Three orders that billing has refused, and one that could not be read."""
    lines = "".join(f'{{"order": "{n}", "customer": "nobody"}}\n' for n in (1, 2, 3))
    asked("publish", "shop_app:bus", "shop.order.placed", "-", stdin=lines)
    asked("send", "--queue", "shop-billing", "raw")
    assert asked("run", "shop_app:bus", "--drain", "--group", "billing")[0] == FOUND
    return listed(asked)


def listed(asked: Asked, *more: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in asked("dead", "list", "shop-billing", "--json", *more)[1].splitlines()]


def test_a_list_tells_why_and_when(asked: Asked, letters: list[dict[str, Any]]) -> None:
    assert {letter["reason"] for letter in letters if letter["type"]} == {
        f"rejected: no customer for {n}" for n in (1, 2, 3)
    }
    assert {letter["source"] for letter in letters} == {"shop-billing"}
    assert all(letter["died_at"].endswith("Z") and letter["age_s"] < 600 for letter in letters)
    code, out, complaints = asked("dead", "list", "shop/billing", "--max", "3")
    assert code == DONE
    head, *rows = out.splitlines()
    assert head.split() == ["MESSAGE", "TYPE", "ATTEMPTS", "AGE", "DIED", "FROM", "REASON"]
    assert len(rows) == 3
    assert "more than these 3" in complaints
    assert asked("dead", "list", "shop-shipping")[1] == "no such letters on shop-shipping-dead\n"


def test_one_is_shown_whole(asked: Asked, letters: list[dict[str, Any]]) -> None:
    letter = next(letter for letter in letters if letter["type"])
    for name in (letter["message_id"], letter["id"]):
        code, out, _ = asked("dead", "show", "shop-billing", name)
        assert code == DONE
        assert letter["reason"] in out
        assert out.endswith(f"\n\n{letter['body']}\n")
    assert json.loads(asked("dead", "show", "shop-billing-dead", letter["id"], "--json")[1])["id"] == letter["id"]
    assert asked("dead", "show", "shop-billing", "nobody")[0] == MISUSED


def test_replay_by_reason_sends_back_those_alone(asked: Asked, letters: list[dict[str, Any]]) -> None:
    assert len(letters) == 4
    code, out, _ = asked("dead", "replay", "shop-billing", "--reason", "customer for 2", "--dry-run")
    assert (code, out.splitlines()[-1]) == (DONE, "1 would be replayed")
    assert len(listed(asked)) == 4
    code, out, _ = asked("dead", "replay", "shop-billing", "--reason", "customer for 2")
    assert (code, out) == (DONE, "1 replayed, 3 left alone\n")
    (message,) = [json.loads(line) for line in asked("peek", "shop-billing", "--json")[1].splitlines()]
    assert (json.loads(message["body"])["order"], message["receive_count"]) == ("2", 0)
    assert list(message["attributes"]) == ["busframe"]


def test_replay_by_id_type_and_number(asked: Asked, letters: list[dict[str, Any]]) -> None:
    raw = next(letter for letter in letters if not letter["type"])
    assert asked("dead", "replay", "shop-billing", "--id", raw["message_id"])[0] == DONE
    code, out, _ = asked("dead", "replay", "shop-billing", "--type", "shop.order.placed", "--max", "2", "--json")
    assert code == DONE
    assert len(out.splitlines()) == 2
    assert asked("dead", "replay", "shop-billing", "--all", "--to", "shop-shipping")[1].startswith("1 replayed")
    assert listed(asked) == []
    code, _, complaints = asked("dead", "replay", "shop-billing", "--id", raw["message_id"])
    assert code == FOUND
    assert f"there is no {raw['message_id']}" in complaints


def test_what_cannot_be_replayed_stays_and_exits_with_1(asked: Asked, letters: list[dict[str, Any]]) -> None:
    code, out, complaints = asked("dead", "replay", "shop-billing", "--all", "--to", "nowhere")
    assert (code, out) == (FOUND, "0 replayed, 0 left alone\n")
    assert complaints.count("is still there") == len(letters)
    assert len(listed(asked)) == len(letters)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("shop-biling", "did you mean shop-billing"),
        ("nope", "dead letters may be of shop-billing, "),
    ],
)
@pytest.mark.parametrize("command", ["list", "replay"])
@pytest.mark.usefixtures("letters")
def test_a_misspelt_queue_is_answered_with_those_there_are(asked: Asked, command: str, given: str, said: str) -> None:
    code, out, complaints = asked("dead", command, given, *(["--all"] if command == "replay" else []))
    assert (code, out) == (FAILED, "")
    assert f"queue {given}-dead is not there" in complaints
    assert said in complaints
    assert "provision" not in complaints


def test_dropping_asks_first(asked: Asked, letters: list[dict[str, Any]]) -> None:
    code, _, complaints = asked("dead", "drop", "shop-billing", "--type", "shop.order.placed")
    assert code == MISUSED
    assert "removes 3 letters of shop-billing-dead for good; add --yes" in complaints
    assert len(listed(asked)) == len(letters)
    code, out, _ = asked("dead", "drop", "shop-billing", "--type", "shop.order.placed", "--yes")
    assert (code, out) == (DONE, "3 dropped, 1 left alone\n")
    assert len(listed(asked)) == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["replay", "shop-billing"], "nothing says which letters: give --all, or some of --id, --reason and --type"),
        (["replay", "shop-billing", "--all", "--reason", "x"], "--all goes with none of"),
        (["drop", "shop-billing", "--all", "--max", "0"], "--max=0"),
        (["list", "shop-billing", "--max", "0"], "--max=0"),
    ],
)
def test_wrong_use_is_explained_in_a_line(asked: Asked, arguments: list[str], complaint: str) -> None:
    code, out, complaints = asked("dead", *arguments)
    assert (code, out) == (MISUSED, "")
    assert complaint in complaints
    assert complaints.startswith(f"busframe dead {arguments[0]}: ")
    assert complaints.count("\n") == 1
