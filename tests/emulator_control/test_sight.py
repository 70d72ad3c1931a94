"""Queues and messages are seen without being touched."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from emulator_control.asking import Poll

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator_control.asking import Ask

    from busframe_emulator.server.thread import ThreadedServer

MESSAGES = "/_busframe/queues/000000000000/orders/messages"


def with_dead_letters(sqs: Any) -> tuple[str, str]:
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    policy = json.dumps({"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead", "maxReceiveCount": 1})
    return sqs.create_queue(QueueName="orders", Attributes={"RedrivePolicy": policy})["QueueUrl"], dead


def test_no_queues_is_an_empty_list(ask: Ask) -> None:
    assert ask.get("/_busframe/queues").document["queues"] == []


def test_a_queue_is_told_with_all_that_is_in_it(
    ask: Ask, sqs: Any, orders: str, server: ThreadedServer, waiting: Callable[[int], None]
) -> None:
    for body in ("a", "b", "c"):
        sqs.send_message(QueueUrl=orders, MessageBody=body)
    sqs.send_message(QueueUrl=orders, MessageBody="d", DelaySeconds=600)
    sqs.receive_message(QueueUrl=orders, MaxNumberOfMessages=1, VisibilityTimeout=600)
    server.advance(100)
    mail = sqs.create_queue(QueueName="mail")["QueueUrl"]
    poll = Poll(sqs, mail)
    waiting(1)
    seen = ask.queue("orders")
    assert 100 <= seen.pop("oldest_age_s") < 110
    assert seen == {
        "region": "us-east-1",
        "account": "000000000000",
        "name": "orders",
        "url": orders,
        "arn": "arn:aws:sqs:us-east-1:000000000000:orders",
        "fifo": False,
        "visible": 2,
        "in_flight": 1,
        "delayed": 1,
        "dead_letter_target": None,
        "dead_letter_sources": [],
        "waiting_receivers": 0,
    }
    assert ask.queue("mail")["waiting_receivers"] == 1
    assert ask.queue("mail")["oldest_age_s"] is None
    sqs.delete_queue(QueueUrl=mail)
    assert poll.join() == []


def test_dead_letter_queues_and_their_sources_know_each_other(ask: Ask, sqs: Any) -> None:
    with_dead_letters(sqs)
    assert ask.queue("orders")["dead_letter_target"] == {
        "name": "dead",
        "arn": "arn:aws:sqs:us-east-1:000000000000:dead",
        "max_receive_count": 1,
    }
    assert ask.queue("dead")["dead_letter_sources"] == ["orders"]


def test_queues_of_all_accounts_and_regions_are_told(ask: Ask, client_of: Callable[..., Any]) -> None:
    client_of("eu-west-1", "111111111111").create_queue(QueueName="there")
    client_of().create_queue(QueueName="here.fifo", Attributes={"FifoQueue": "true"})
    seen = ask.get("/_busframe/queues").document["queues"]
    assert [(queue["region"], queue["account"], queue["name"], queue["fifo"]) for queue in seen] == [
        ("eu-west-1", "111111111111", "there", False),
        ("us-east-1", "000000000000", "here.fifo", True),
    ]


def test_hidden_and_delayed_messages_are_shown_and_nothing_is_received(ask: Ask, sqs: Any, orders: str) -> None:
    for body, delay_s in (("hidden", 0), ("delayed", 60), ("there", 0)):
        sqs.send_message(QueueUrl=orders, MessageBody=body, DelaySeconds=delay_s)
    [received] = sqs.receive_message(QueueUrl=orders, VisibilityTimeout=30)["Messages"]
    ask.get(MESSAGES)
    hidden, delayed, there = ask.get(MESSAGES).document["messages"]
    assert [m["state"] for m in (hidden, delayed, there)] == ["in_flight", "delayed", "visible"]
    assert [m["receive_count"] for m in (hidden, delayed, there)] == [1, 0, 0]
    assert hidden["message_id"] == received["MessageId"]
    assert hidden["due_s"] - hidden["first_received_s"] == pytest.approx(30)
    assert delayed["due_s"] - delayed["sent_s"] == pytest.approx(60)
    assert there["due_s"] is None
    assert there["first_received_s"] is None
    assert there["expires_s"] - there["sent_s"] == pytest.approx(345_600)
    assert ask.queue("orders")["in_flight"] == 1


def test_a_message_is_shown_with_all_that_was_sent(ask: Ask, sqs: Any) -> None:
    url = sqs.create_queue(QueueName="orders.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    attributes = {
        "kind": {"DataType": "String", "StringValue": "new"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    sent = sqs.send_message(
        QueueUrl=url,
        MessageBody="<b>é</b>",
        MessageGroupId="g",
        MessageDeduplicationId="d",
        MessageAttributes=attributes,
    )
    [message] = ask.get("/_busframe/queues/000000000000/orders.fifo/messages").document["messages"]
    assert (message["body"], message["group"], message["deduplication_id"]) == ("<b>é</b>", "g", "d")
    assert message["sequence"] == sent["SequenceNumber"]
    assert message["attributes"] == {
        "kind": {"type": "String", "value": "new"},
        "raw": {"type": "Binary", "value": "AP8="},
    }


def test_a_dead_letter_says_where_it_came_from(ask: Ask, sqs: Any) -> None:
    orders, _ = with_dead_letters(sqs)
    sqs.send_message(QueueUrl=orders, MessageBody="poison")
    for _ in range(2):
        sqs.receive_message(QueueUrl=orders, VisibilityTimeout=0)
    [message] = ask.get("/_busframe/queues/000000000000/dead/messages").document["messages"]
    assert message["dead_letter_source"] == "arn:aws:sqs:us-east-1:000000000000:orders"
    assert message["receive_count"] == 1


def test_messages_come_in_pages_that_leave_none_out(ask: Ask, sqs: Any, orders: str) -> None:
    for number in range(5):
        sqs.send_message(QueueUrl=orders, MessageBody=str(number))
    bodies: list[str] = []
    after = "0"
    while after is not None:
        page = ask.get(f"{MESSAGES}?limit=2&after={after}").document
        bodies += [message["body"] for message in page["messages"]]
        after = page["next"]
    assert bodies == ["0", "1", "2", "3", "4"]


def test_a_queue_of_another_region_is_named_by_it(ask: Ask, client_of: Callable[..., Any]) -> None:
    there = client_of("eu-west-1")
    url = there.create_queue(QueueName="orders")["QueueUrl"]
    there.send_message(QueueUrl=url, MessageBody="x")
    assert ask.get(MESSAGES).status == 404
    assert len(ask.get(f"{MESSAGES}?region=eu-west-1").document["messages"]) == 1


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("after=-1", "after"),
        ("after=", "after"),
        ("lim=1", "lim"),
        ("limit=1&limit=2", "limit"),
    ],
)
def test_a_bad_parameter_is_named(ask: Ask, orders: str, query: str, parameter: str) -> None:
    assert orders
    answer = ask.get(f"{MESSAGES}?{query}")
    assert answer.status == 400
    assert answer.document["parameter"] == parameter
    assert answer.document["error"]


def test_what_is_not_there_is_not_found(ask: Ask) -> None:
    assert ask.get("/_busframe/nothing").status == 404
    assert ask.get(MESSAGES).document == {"error": "There is no queue arn:aws:sqs:us-east-1:000000000000:orders."}


def test_a_wrong_method_is_told_the_right_ones(ask: Ask) -> None:
    answer = ask("DELETE", "/_busframe/clock")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, POST")


def test_reset_leaves_nothing_and_answers_who_waits(
    ask: Ask, sqs: Any, orders: str, waiting: Callable[[int], None]
) -> None:
    poll = Poll(sqs, orders)
    waiting(1)
    assert ask.post("/_busframe/reset").status == 200
    assert poll.join() == []
    assert ask.get("/_busframe/queues").document["queues"] == []
    # The name is free at once, and a receipt of before means nothing.
    again = sqs.create_queue(QueueName="orders")["QueueUrl"]
    sqs.send_message(QueueUrl=again, MessageBody="x")
    assert len(sqs.receive_message(QueueUrl=again)["Messages"]) == 1


def test_a_receipt_of_before_a_reset_deletes_nothing_after_it(ask: Ask, sqs: Any, orders: str) -> None:
    sqs.send_message(QueueUrl=orders, MessageBody="x")
    [old] = sqs.receive_message(QueueUrl=orders)["Messages"]
    ask.post("/_busframe/reset")
    sqs.create_queue(QueueName="orders")
    sqs.send_message(QueueUrl=orders, MessageBody="y")
    sqs.receive_message(QueueUrl=orders)
    with pytest.raises(sqs.exceptions.ReceiptHandleIsInvalid):
        sqs.delete_message(QueueUrl=orders, ReceiptHandle=old["ReceiptHandle"])
    assert ask.queue("orders")["in_flight"] == 1


def test_sqs_can_be_asked_without_a_signature(ask: Ask, client_of: Callable[..., Any]) -> None:
    there = client_of("eu-west-1", "111111111111")
    url = there.create_queue(QueueName="orders")["QueueUrl"]
    scope = "region=eu-west-1&account=111111111111"
    sent = ask.post(f"/_busframe/actions/SendMessage?{scope}", {"QueueUrl": url, "MessageBody": "x"})
    assert sent.status == 200
    [message] = there.receive_message(QueueUrl=url)["Messages"]
    assert message["MessageId"] == sent.document["MessageId"]


def test_what_sqs_refuses_there_is_refused_in_its_words(ask: Ask) -> None:
    answer = ask.post("/_busframe/actions/PurgeQueue", {"QueueUrl": "http://x/000000000000/nowhere"})
    assert answer.status == 400
    assert answer.document["message"] == "The specified queue does not exist."
    assert ask.post("/_busframe/actions/ReceiveMessage", {"QueueUrl": "x"}).status == 400
