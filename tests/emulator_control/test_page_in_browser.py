"""The page in a real browser."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from emulator_control.browser import CHROMIUM, DRIVER, MISSING, Browser

from busframe_emulator.server.thread import run_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from busframe_emulator.server.thread import ThreadedServer

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)]

ENTER = "\ue007"
TAB = "\ue004"
NONE = "\u2013"
ORDERS = "#/us-east-1/000000000000/orders"
MESSAGES = "document.querySelectorAll('#messages li').length"
ROWS = "document.querySelectorAll('#queue-table tbody tr').length"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def page(browser: Browser, server: ThreadedServer) -> Iterator[Browser]:
    """The page, open; a complaint in the console fails the test, since the policy's are among them."""
    browser.open(f"{server.url}/")
    browser.wait_until("document.getElementById('live').classList.contains('on')")
    browser.complaints()
    yield browser
    complaints = [text for text in browser.complaints() if "/_busframe/actions/" not in text]
    browser.open("about:blank")
    assert complaints == []


def cells(page: Browser, name: str) -> list[str]:
    """What the table says of a queue: visible, in flight, delayed, dead letters, oldest, waiting."""
    rows = "[...document.querySelectorAll('#queue-table tbody tr')]"
    row = f"{rows}.find((row) => row.querySelector('a').text === arguments[0])"
    return list(page.run(f"return [...{row}.cells].slice(1).map((cell) => cell.textContent)", name))


def open_orders(page: Browser) -> None:
    page.run(f"location.hash = '{ORDERS}'")
    page.wait_until("!document.getElementById('queue').hidden")


def test_without_queues_it_tells_how_to_point_an_sdk_here(page: Browser, server: ThreadedServer) -> None:
    page.wait_until("!document.getElementById('empty').hidden")
    assert f"AWS_ENDPOINT_URL_SQS={server.url}" in page.text("#empty")


def test_queues_appear_and_change_without_reloading(page: Browser, sqs: Any, orders: str) -> None:
    page.wait_until(f"{ROWS} === 1")
    assert cells(page, "orders") == ["0", "0", "0", NONE, NONE, "0"]
    for delay_s in (0, 0, 600):
        sqs.send_message(QueueUrl=orders, MessageBody="x", DelaySeconds=delay_s)
    sqs.receive_message(QueueUrl=orders, VisibilityTimeout=600)
    page.wait_until("document.querySelector('#queue-table tbody td.number').textContent === '1'")
    assert cells(page, "orders")[:3] == ["1", "1", "1"]
    sqs.delete_queue(QueueUrl=orders)
    page.wait_until("!document.getElementById('empty').hidden")


def test_a_queue_shows_its_messages_readable_and_receives_none(page: Browser, sqs: Any, orders: str) -> None:
    sqs.send_message(QueueUrl=orders, MessageBody='{"order":7}')
    sqs.send_message(QueueUrl=orders, MessageBody="later", DelaySeconds=600)
    page.wait_until(f"{ROWS} === 1")
    page.click("#queue-table a")
    page.wait_until(f"{MESSAGES} === 2")
    assert page.text("#queue-name") == "orders"
    page.click("#messages summary")
    page.wait_until("document.querySelector('#messages pre')")
    assert page.text("#messages pre") == '{\n  "order": 7\n}'
    states = page.run("return [...document.querySelectorAll('#messages .tag')].map((tag) => tag.textContent)")
    assert states == ["visible", "delayed"]
    assert "ApproximateNumberOfMessages" not in page.text("#messages")
    count = sqs.get_queue_attributes(QueueUrl=orders, AttributeNames=["ApproximateNumberOfMessagesNotVisible"])
    assert count["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "0"


def test_the_list_of_messages_names_their_groups(page: Browser, sqs: Any, orders: str) -> None:
    for group in ("acme", "g" * 128):
        sqs.send_message(QueueUrl=orders, MessageBody="x", MessageGroupId=group)
    open_orders(page)
    page.wait_until(f"{MESSAGES} === 2")
    said = page.run("return [...document.querySelectorAll('#messages .when')].map((when) => when.textContent)")
    assert [text.partition(" · ")[0] for text in said] == ["group acme", f"group {'g' * 23}…"]


def test_what_a_message_holds_is_never_markup(page: Browser, sqs: Any, orders: str) -> None:
    evil = "<img src=x onerror=document.title='broken'><script>document.title='broken'</script>"
    attributes = {"evil": {"DataType": "String", "StringValue": evil}}
    sqs.send_message(QueueUrl=orders, MessageBody=evil, MessageAttributes=attributes)
    open_orders(page)
    page.wait_until(f"{MESSAGES} === 1")
    page.click("#messages summary")
    page.wait_until("document.querySelector('#messages dl')?.textContent.includes('onerror')")
    assert page.text("#messages pre") == evil
    assert page.run("return document.querySelectorAll('#messages img, #messages script').length") == 0
    assert page.run("return document.title") == "orders · Busframe"


def test_a_message_is_sent(page: Browser, sqs: Any, orders: str) -> None:
    open_orders(page)
    page.click("#open-send")
    page.type("#send-body", "from the page")
    page.click("#send .primary")
    page.wait_until(f"{MESSAGES} === 1")
    page.wait_until("document.getElementById('done').textContent === 'Sent.'")
    [message] = sqs.receive_message(QueueUrl=orders)["Messages"]
    assert message["Body"] == "from the page"


def test_a_refusal_is_shown_in_the_words_of_sqs(page: Browser, sqs: Any, orders: str) -> None:
    sqs.purge_queue(QueueUrl=orders)
    open_orders(page)
    page.click("#purge")
    page.click("#confirm-yes")
    page.wait_until("document.getElementById('done').classList.contains('bad')")
    assert "Only one PurgeQueue operation on orders is allowed" in page.text("#done")


def test_purging_asks_first(page: Browser, sqs: Any, orders: str) -> None:
    sqs.send_message(QueueUrl=orders, MessageBody="x")
    open_orders(page)
    page.wait_until(f"{MESSAGES} === 1")
    page.click("#purge")
    page.press(ENTER)  # the focus is on Cancel
    page.wait_until("!document.getElementById('confirm').open")
    assert page.run(f"return {MESSAGES}") == 1
    page.click("#purge")
    page.click("#confirm-yes")
    page.wait_until(f"{MESSAGES} === 0")
    page.wait_until("!document.getElementById('no-messages').hidden")


def test_redrive_is_offered_for_dead_letters_only_and_sends_them_back(page: Browser, sqs: Any) -> None:
    sqs.create_queue(QueueName="dead")
    policy = json.dumps({"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead", "maxReceiveCount": 1})
    orders = sqs.create_queue(QueueName="orders", Attributes={"RedrivePolicy": policy})["QueueUrl"]
    sqs.send_message(QueueUrl=orders, MessageBody="poison")
    for _ in range(2):
        sqs.receive_message(QueueUrl=orders, VisibilityTimeout=0)
    page.wait_until(f"{ROWS} === 2 && document.querySelector('td.dead')")
    assert cells(page, "orders")[3] == "1"
    open_orders(page)
    assert page.run("return document.getElementById('redrive').hidden")
    page.run(f"location.hash = '{ORDERS.replace('orders', 'dead')}'")
    page.wait_until("!document.getElementById('redrive').hidden")
    page.click("#redrive")
    page.click("#confirm-yes")
    page.wait_until("document.getElementById('done').textContent === 'Redrive started.'")
    page.wait_until(f"{MESSAGES} === 0")
    assert [message["Body"] for message in sqs.receive_message(QueueUrl=orders)["Messages"]] == ["poison"]


def test_all_of_it_is_reached_with_the_keyboard(page: Browser, sqs: Any, orders: str) -> None:
    sqs.send_message(QueueUrl=orders, MessageBody='{"a":1}')
    page.wait_until(f"{ROWS} === 1")
    page.run("document.querySelector('#queue-table a').focus()")
    page.press(ENTER)
    page.wait_until(f"{MESSAGES} === 1 && document.activeElement.id === 'main'")
    # Back to the queues, send, purge; redrive is not shown; then the message.
    page.press(TAB, TAB, TAB, TAB)
    assert page.run("return document.activeElement.tagName") == "SUMMARY"
    page.press(ENTER)
    page.wait_until("document.querySelector('#messages details').open")


def test_an_open_message_stays_open_while_the_page_keeps_up(page: Browser, sqs: Any, orders: str) -> None:
    sqs.send_message(QueueUrl=orders, MessageBody="x")
    open_orders(page)
    page.wait_until(f"{MESSAGES} === 1")
    page.click("#messages summary")
    page.wait_until("document.querySelector('#messages details').open")
    sqs.receive_message(QueueUrl=orders, VisibilityTimeout=600)
    page.wait_until("document.querySelector('#messages .tag').textContent === 'in flight'")
    assert page.run("return document.querySelector('#messages details').open")


def test_a_stopped_server_is_said_and_so_is_its_return(browser: Browser) -> None:
    server = run_in_thread()
    browser.open(f"{server.url}/")
    browser.wait_until("document.getElementById('live').classList.contains('on')")
    server.stop()
    browser.wait_until("document.getElementById('live').textContent === 'not answering'")
    browser.open("about:blank")


def test_a_token_is_asked_for_and_kept(browser: Browser, client_of: Callable[..., Any]) -> None:
    with run_in_thread(control_token="a token") as server:  # noqa: S106 - of a test
        client_of(url=server.url).create_queue(QueueName="orders")
        browser.open(f"{server.url}/")
        browser.wait_until("!document.getElementById('token').hidden")
        browser.type("#token-text", "wrong")
        browser.press(ENTER)
        browser.wait_until("document.getElementById('alert').textContent === 'That is not the token.'")
        browser.type("#token-text", "a token")
        browser.press(ENTER)
        browser.wait_until(f"{ROWS} === 1")
        browser.open(f"{server.url}/")
        browser.wait_until(f"{ROWS} === 1")
        browser.open("about:blank")
