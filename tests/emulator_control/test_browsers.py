"""Web pages that use SQS through somebody's browser: those of other sites may not, unless their origin was named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from emulator_control.asking import Answer, Ask

from busframe_emulator.server.command import main
from busframe_emulator.server.thread import run_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOP = "http://localhost:3000"
EVIL = "https://evil.example"
CREATE = "Action=CreateQueue&QueueName=q"


@pytest.fixture
def shop() -> Iterator[Ask]:
    """A server that the shop's page may use."""
    with run_in_thread(cors=[SHOP]) as server:
        yield Ask(server.port)


def queues(ask: Ask) -> list[str]:
    return [queue["name"] for queue in ask.get("/_busframe/queues").document["queues"]]


def post_form(ask: Ask, parameters: str, **headers: str) -> Answer:
    return ask("POST", "/", parameters.encode(), {"Content-Type": "application/x-www-form-urlencoded", **headers})


def post_json(ask: Ask, action: str, body: object, **headers: str) -> Answer:
    kind = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{action}"}
    return ask("POST", "/", body, {**kind, **headers})


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_gets_nothing_done(ask: Ask, headers: dict[str, str]) -> None:
    form = post_form(ask, CREATE, **headers)
    assert (form.status, "<Code>AccessDenied</Code>" in form.text) == (403, True)
    assert ask("GET", f"/?{CREATE}", None, headers).status == 403
    json = post_json(ask, "CreateQueue", {"QueueName": "q"}, **headers)
    assert (json.status, json.headers["x-amzn-query-error"]) == (403, "AccessDenied;Sender")
    assert "access-control-allow-origin" not in json.headers
    assert queues(ask) == []


def test_the_refusal_says_how_to_let_the_page(ask: Ask) -> None:
    text = post_json(ask, "ListQueues", {}, Origin=SHOP).document["message"]
    assert text.endswith("start the emulator with --cors http://localhost:3000")


def test_what_the_user_and_pages_of_the_emulator_itself_ask_is_done(ask: Ask) -> None:
    own = f"http://127.0.0.1:{ask.port}"
    for headers in ({"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": own}):
        assert post_form(ask, "Action=ListQueues", **headers).status == 200


def test_the_page_can_be_reached_by_a_link(ask: Ask) -> None:
    answer = ask("GET", "/", None, {"Accept": "text/html", "Sec-Fetch-Site": "cross-site"})
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")


def test_a_page_that_was_named_asks_first_and_then_does(shop: Ask) -> None:
    names = "authorization,content-type,x-amz-target"
    asked = {"Origin": SHOP, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": names}
    told = shop("OPTIONS", "/000000000000/q", None, asked)
    assert told.status == 200
    assert told.headers["access-control-allow-origin"] == SHOP
    assert told.headers["access-control-allow-headers"] == names
    assert "POST" in told.headers["access-control-allow-methods"]
    done = post_json(shop, "CreateQueue", {"QueueName": "q"}, Origin=SHOP)
    assert (done.status, done.headers["access-control-allow-origin"], done.headers["vary"]) == (200, SHOP, "Origin")
    refused = post_json(shop, "DeleteQueue", {"QueueUrl": "nobody"}, Origin=SHOP)
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (400, SHOP)
    assert "x-amzn-query-error" in refused.headers["access-control-expose-headers"]


def test_a_page_that_was_named_can_wait_for_a_message(shop: Ask) -> None:
    post_json(shop, "CreateQueue", {"QueueName": "q"})
    answer = post_json(shop, "ReceiveMessage", {"QueueUrl": "q", "WaitTimeSeconds": 1}, Origin=SHOP)
    assert (answer.text, answer.headers["access-control-allow-origin"]) == ("{}", SHOP)


def test_no_other_page_may(shop: Ask) -> None:
    asked = {"Origin": EVIL, "Access-Control-Request-Method": "POST"}
    refused = shop("OPTIONS", "/", None, asked)
    assert (refused.status, f"--cors {EVIL}" in refused.text) == (403, True)
    assert "access-control-allow-origin" not in refused.headers
    assert shop("OPTIONS", "/", None, {"Origin": EVIL}).status == 405  # no question of a browser's
    assert post_form(shop, CREATE, Origin=EVIL).status == 403


def test_a_page_that_may_use_sqs_may_not_turn_knobs(shop: Ask) -> None:
    assert shop.post("/_busframe/reset", Origin=SHOP).status == 403


def test_all_pages_can_be_let() -> None:
    with run_in_thread(cors=["*"]) as server:
        assert post_form(Ask(server.port), CREATE, Origin=EVIL).headers["access-control-allow-origin"] == EVIL


def test_names_of_headers_that_are_none_are_not_repeated(shop: Ask) -> None:
    asked = {"Origin": SHOP, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "a:b"}
    assert "access-control-allow-headers" not in shop("OPTIONS", "/", None, asked).headers


@pytest.mark.parametrize("origin", ["localhost:3000", "http://localhost:3000/", "http://*.example", ""])
def test_an_origin_that_is_none_is_refused_at_the_start(origin: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"--cors={origin}"]) == 1
    assert "an origin has to be like http://localhost:3000" in capsys.readouterr().err
