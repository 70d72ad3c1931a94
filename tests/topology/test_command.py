"""`busframe topology` on the command line."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from busframe.cli.finding import find_bus
from busframe.cli.output import age, say_table
from busframe.cli.running import DONE, FAILED, FOUND, MISUSED
from busframe.cli.topology import main
from busframe.cli.topology_views import say_left
from busframe.errors import InvalidArgumentError
from busframe.message import Outgoing, QueueName
from busframe.topology.leaving import Left

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

APP = """
from dataclasses import dataclass
from busframe import Bus, command, event

@event("shop.order.placed")
@dataclass
class OrderPlaced:
    order: str

@command("shop.invoice.print")
@dataclass
class PrintInvoice:
    order: str

bus = Bus("shop")

@bus.subscribe(OrderPlaced, group="billing", filter={"tenant": ["acme"]})
async def bill(order: OrderPlaced) -> None: ...

@bus.subscribe(OrderPlaced, group="shipping")
async def ship(order: OrderPlaced) -> None: ...

@bus.handle(PrintInvoice)
async def print_invoice(invoice: PrintInvoice) -> None: ...

smaller = Bus("shop")

@smaller.subscribe(OrderPlaced, group="billing", filter={"tenant": ["acme"]})
async def bill_too(order: OrderPlaced) -> None: ...

smaller.handle(PrintInvoice)(print_invoice)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shop_app.py").write_text(APP)
    (tmp_path / "broken_app.py").write_text("import a_module_that_is_missing")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("BUSFRAME_URL", "sqlite:///shop.db")
    monkeypatch.delenv("BUSFRAME_RECIPIENTS", raising=False)
    for module in ("shop_app", "broken_app"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return tmp_path


@pytest.fixture
def asked(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command; gives its exit code, output and complaints."""

    def ask(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    return ask


Asked = Any  # the fixture's function


def send(queue: str, body: str) -> None:
    async def go() -> None:
        bus = find_bus("shop_app:bus")
        async with bus.connect("sqlite:///shop.db", provision="assume") as live:
            backend: Any = live.backend_as(object)
            await backend.send(QueueName(queue), [Outgoing(body=body)])

    anyio.run(go)


def test_check_finds_what_is_missing_apply_makes_it_and_check_is_content(asked: Asked) -> None:
    code, out, _ = asked("check", "shop_app:bus")
    assert code == FOUND
    assert "queue missing" in out
    code, out, _ = asked("apply", "shop_app:bus", "--dry-run")
    assert code == FOUND
    assert "make the queue" in out
    assert asked("check", "shop_app:bus")[0] == FOUND
    code, out, _ = asked("apply", "shop_app:bus")
    assert code == DONE
    assert "enter the row" in out
    assert asked("check", "shop_app:bus") == (DONE, "program, recipient list and queues agree\n", "")
    code, out, _ = asked("apply", "shop_app:bus")
    assert (code, out) == (DONE, "nothing to do: program, recipient list and queues agree\n")


def test_show_prints_the_graph_with_how_full_each_queue_is(asked: Asked) -> None:
    assert asked("show")[1] == "nobody has subscribed to anything\n"
    asked("apply", "shop_app:bus")
    send("shop-billing", "a")
    send("shop-billing-dead", "b")
    lines = asked("show", "shop_app:bus")[1].splitlines()
    assert lines[0].split() == [
        "TOPIC",
        "GROUP",
        "QUEUE",
        "STATE",
        "FILTER",
        "VISIBLE",
        "IN",
        "FLIGHT",
        "DELAYED",
        "OLDEST",
        "DEAD",
    ]
    assert lines[1].split()[:6] == [
        "shop.order.placed",
        "shop/billing",
        "shop-billing",
        "active",
        '{"tenant":["acme"]}',
        "1",
    ]
    assert lines[1].split()[-1] == "1"
    assert lines[2].split()[:5] == ["shop.order.placed", "shop/shipping", "shop-shipping", "active", "-"]
    assert lines[-1].split()[:2] == ["shop.invoice.print", "shop-invoice-print"]


def test_show_speaks_json_and_dot(asked: Asked) -> None:
    asked("apply", "shop_app:bus")
    graph = json.loads(asked("show", "shop_app:bus", "--json")[1])
    assert [row["group"] for row in graph["subscriptions"]] == ["shop/billing", "shop/shipping"]
    assert graph["queues"]["shop-billing"]["visible"] == 0
    assert graph["commands"] == {"shop.invoice.print": "shop-invoice-print"}
    assert json.loads(asked("show", "--no-depths", "--json")[1])["queues"] == {}
    dot = asked("show", "--dot")[1]
    assert dot.startswith("digraph topology {")
    assert '"shop.order.placed" -> "queue shop-shipping" [label="shop/shipping"]' in dot


def test_a_queue_that_is_gone_shows(asked: Asked, folder: Path) -> None:
    asked("apply", "shop_app:bus")

    async def remove() -> None:
        async with find_bus("shop_app:bus").connect(f"sqlite:///{folder}/shop.db", provision="assume") as live:
            backend: Any = live.backend_as(object)
            await backend.remove(QueueName("shop-billing"))

    anyio.run(remove)
    assert "missing" in asked("show")[1]
    (finding,) = json.loads(asked("check", "shop_app:bus", "--json")[1])
    assert (finding["kind"], finding["queue"]) == ("queue missing", "shop-billing")


def test_operators_pause_resume_rename_move_and_unsubscribe(asked: Asked) -> None:
    asked("apply", "shop_app:bus")
    code, out, _ = asked("pause", "shop/billing")
    assert (code, out) == (DONE, "shop/billing: shop.order.placed on shop-billing: state active -> paused\n")
    assert asked("pause", "shop/billing")[1] == "nothing to change: it is so already\n"
    assert "state paused -> active" in asked("resume", "shop/billing", "--event", "shop.order.placed")[1]
    assert "group shop/billing -> shop/bills" in asked("rename", "shop/billing", "shop/bills")[1]
    assert asked("move", "shop/bills", "shop-bills")[1] == "queue shop-billing is removed\n"
    assert asked("unsubscribe", "shop/shipping", "--no-wait")[:2] == (DONE, "")
    assert asked("unsubscribe", "shop/shipping", "--discard")[1] == "queue shop-shipping is removed\n"
    assert [row["queue"] for row in json.loads(asked("show", "--json")[1])["subscriptions"]] == ["shop-bills"]
    newest = json.loads(asked("history", "--json", "--limit", "1")[1])
    assert [change["what"] for change in newest] == ["unsubscribed"]
    assert "subscribed" in asked("history")[1]


@pytest.mark.parametrize("operation", [["move", "shop/biling", "shop-bills"], ["unsubscribe", "shop/biling"]])
def test_a_misspelt_group_is_refused_before_anything_is_said_to_go_on(asked: Asked, operation: list[str]) -> None:
    asked("apply", "shop_app:bus")
    code, out, complaints = asked(*operation)
    assert (code, out) == (MISUSED, "")
    assert complaints.count("\n") == 1
    assert "has no group shop/biling" in complaints


def test_after_a_move_the_program_may_name_the_queue(asked: Asked) -> None:
    asked("apply", "shop_app:bus")
    assert asked("move", "shop/billing", "shop-bills")[0] == DONE
    _, out, _ = asked("check", "shop_app:bus")
    assert 'topology move shop/billing shop-billing, or write queue="shop-bills" in the program' in out


def test_dead_letters_are_said_to_be_left_only_if_some_were_seen(capsys: pytest.CaptureFixture[str]) -> None:
    queue, dead = QueueName("shop-billing"), QueueName("shop-billing-dead")
    say_left([Left(queue=queue, dead_letters=dead, seen=True), Left(queue=queue, dead_letters=dead)])
    seen, unseen = capsys.readouterr().out.splitlines()
    assert seen.endswith("its dead letters are still on shop-billing-dead")
    assert "its dead letters" not in unseen
    assert unseen.endswith("shop-billing-dead looks empty, and is left")


def test_apply_removes_only_when_told_and_never_what_is_not_empty(asked: Asked) -> None:
    asked("apply", "shop_app:bus")
    code, out, complaints = asked("apply", "shop_app:smaller")
    assert code == FOUND
    assert "nothing; with --remove: unsubscribe the group" in out
    assert "left alone: row without handler" in complaints
    send("shop-shipping-dead", "look at me")
    assert asked("apply", "shop_app:smaller", "--remove")[0] == DONE  # no copies any more
    code, out, complaints = asked("apply", "shop_app:smaller", "--remove", "--json")  # taken down
    assert [step["step"] for step in json.loads(out)] == ["remove the row, and the queue if it has no other"]
    code, out, complaints = asked("apply", "shop_app:smaller", "--remove")
    assert code == FOUND
    assert "1 dead letters of a queue that is gone" in complaints


def test_iam_prints_the_least_each_role_needs(asked: Asked) -> None:
    url = "sqs://eu-west-1?prefix=dev-&large_bucket=bodies&large_prefix=shop/"
    asked("apply", "shop_app:bus")
    code, out, _ = asked(
        "iam", "shop_app:bus", "--url", url, "--account", "123456789012", "--publishes", "shop.invoice.print"
    )
    assert code == DONE
    policies = json.loads(out)
    assert set(policies) == {"worker", "publisher", "provisioner", "operator"}
    statements = {statement["Sid"]: statement for statement in policies["worker"]["Statement"]}
    assert "sqs:ReceiveMessage" in statements["Consume"]["Action"]
    arn = "arn:aws:sqs:eu-west-1:123456789012:dev-shop-"
    assert statements["Consume"]["Resource"] == [f"{arn}{name}" for name in ("billing", "invoice-print", "shipping")]
    assert f"{arn}billing-dead" in statements["PutBack"]["Resource"]
    assert statements["LargeBodies"]["Resource"] == ["arn:aws:s3:::bodies/shop/*"]
    (send_to, _) = policies["publisher"]["Statement"]
    assert (send_to["Action"], send_to["Resource"]) == (["sqs:GetQueueUrl", "sqs:SendMessage"], [f"{arn}invoice-print"])
    provisioned = policies["provisioner"]["Statement"][0]
    assert "sqs:CreateQueue" in provisioned["Action"]
    assert "sqs:DeleteQueue" not in provisioned["Action"]
    one = json.loads(asked("iam", "shop_app:bus", "--url", "sqs://cn-north-1", "--role", "publisher")[1])
    # Before anything is rolled out: the list is empty, or none is named.
    queues = ("shop-billing", "shop-invoice-print", "shop-shipping")
    assert one["Statement"][0]["Resource"] == [f"arn:aws-cn:sqs:cn-north-1:*:{queue}" for queue in queues]


def test_iam_reads_the_list_that_the_environment_names(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    asked("apply", "shop_app:bus")
    assert asked("move", "shop/billing", "bills")[0] == DONE
    monkeypatch.setenv("BUSFRAME_RECIPIENTS", "sqlite:///shop.db")
    policy = json.loads(asked("iam", "shop_app:bus", "--url", "sqs://eu-west-1", "--role", "publisher")[1])
    assert "arn:aws:sqs:eu-west-1:*:bills" in policy["Statement"][0]["Resource"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["iam", "shop_app:bus"], "sqlite:// has no access policies; these have: sqs://"),
        (["iam", "shop_app:bus", "--url", "sqs://eu-west-1", "--account", "me"], "account='me' is not allowed"),
        (
            ["check", "shop_app"],
            "app='shop_app' is not allowed: a module and what its bus is named there, such as shop_app:bus",
        ),
        (["check", "nowhere:bus"], "there is none named 'nowhere'"),
        (["check", "shop_app:no_bus"], "it has shop_app:bus, shop_app:smaller"),
        (["pause", "billing"], "BUS/GROUP, such as shop/billing"),
        (["rename", "shop/billing", "bills"], "BUS/GROUP, such as shop/invoicing"),
        (["pause", "shop/unheard-of"], "the recipient list has no group shop/unheard-of"),
        (["show", "--url", "nosuch://"], "no package provides nosuch://"),
        (["history", "--limit", "0"], "1 or more"),
    ],
)
def test_wrong_use_is_explained_in_a_line_and_exits_with_2(asked: Asked, arguments: list[str], complaint: str) -> None:
    code, _, complaints = asked(*arguments)
    assert code == MISUSED
    assert complaint in complaints
    assert complaints.startswith(f"busframe topology {arguments[0]}: ")
    assert complaints.count("\n") == 1


def test_without_a_url_the_variable_is_named(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BUSFRAME_URL")
    assert "BUSFRAME_URL" in asked("show")[2]


def test_a_broker_that_fails_exits_with_3(asked: Asked, folder: Path) -> None:
    (folder / "shop.db").write_text("Dear diary, " * 100)
    code, _, complaints = asked("show")
    assert code == FAILED
    assert "not an SQLite database" in complaints


def test_an_unknown_command_exits_as_argparse_does(asked: Asked) -> None:
    with pytest.raises(SystemExit) as ended:
        asked("explode")
    assert ended.value.code == MISUSED


def test_a_program_that_cannot_be_imported_shows_why() -> None:
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_missing"):
        find_bus("broken_app:bus")


def test_a_bus_may_be_an_attribute_of_something(folder: Path) -> None:
    (folder / "shop_app.py").write_text(f"{APP}\nclass app:\n    bus = bus\n")
    assert find_bus("shop_app:app.bus").name == "shop"
    with pytest.raises(InvalidArgumentError):
        find_bus("shop_app:app.nothing.bus")


def test_tables_align_and_numbers_stand_right(capsys: pytest.CaptureFixture[str]) -> None:
    say_table(("name", "count"), [("a", 5), ("long name", None), ("", 1200)])
    assert capsys.readouterr().out == "NAME       COUNT\na              5\nlong name      -\n-           1200\n"
    say_table(("name",), [])
    assert capsys.readouterr().out == "NAME\n"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, None), (0.25, "250 ms"), (1, "1 s"), (119, "119 s"), (600, "10 min"), (7_200, "2 h"), (864_000, "10 d")],
)
def test_ages_are_said_as_people_say_them(seconds: float | None, said: str | None) -> None:
    assert age(seconds) == said
