"""The emulator on trial, over HTTP: faults by position for any client, the history, and the verdict."""

from __future__ import annotations

import http.client
import json
import time
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import botocore.exceptions
import pytest
from botocore.config import Config

from busframe_emulator.boto.sessions import make_client
from busframe_emulator.delivery import faults as f
from busframe_emulator.delivery.reading import check_history
from busframe_emulator.delivery.scripts import Script
from busframe_emulator.server.thread import run_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from busframe_emulator.server.thread import ThreadedServer

NODE = "000000000000"
"""The access key of the clients here."""

ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=1, connect_timeout=5)


def ask(server: ThreadedServer, path: str, *, method: str = "GET", body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"{server.url}/_busframe/{path}", data=data, method=method)  # noqa: S310 - our own server
    with urlopen(request) as response:  # noqa: S310 - the same
        text = response.read().decode()
    return text if path == "history" else json.loads(text)


@pytest.fixture
def on_trial() -> Iterator[Callable[..., tuple[ThreadedServer, Any, str]]]:
    opened: list[tuple[ThreadedServer, Any]] = []

    def start(script: Script = Script(), **options: Any) -> tuple[ThreadedServer, Any, str]:  # noqa: B008 - it does not change
        server = run_in_thread(script=script, **options)
        client = make_client(region_name="us-east-1", account=NODE, endpoint_url=server.url, config=ONCE)
        opened.append((server, client))
        return server, client, client.create_queue(QueueName="orders")["QueueUrl"]

    yield start
    for server, client in opened:
        client.close()
        server.stop()


def count(client: Any, url: str) -> str:
    attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return str(attributes["ApproximateNumberOfMessages"])


def test_a_lost_answer_has_had_its_effect(on_trial: Any) -> None:
    _, client, url = on_trial(f.script(f.call(NODE, "SendMessage", nth=2).lost_response()))
    client.send_message(QueueUrl=url, MessageBody="1")
    with pytest.raises(botocore.exceptions.HTTPClientError):
        client.send_message(QueueUrl=url, MessageBody="2")
    assert count(client, url) == "2"


def test_a_lost_request_has_had_none(on_trial: Any) -> None:
    _, client, url = on_trial(f.script(f.call("*", "SendMessage", nth=1).lost_request()))
    with pytest.raises(botocore.exceptions.HTTPClientError):
        client.send_message(QueueUrl=url, MessageBody="1")
    assert count(client, url) == "0"


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        (f.call(NODE, "SendMessage", nth=1).throttled(), "RequestThrottled", 403),
        (f.call(NODE, "SendMessage", nth=1).unavailable(), "ServiceUnavailable", 503),
    ],
)
def test_a_refused_request_has_had_none(on_trial: Any, fault: Any, code: str, status: int) -> None:
    _, client, url = on_trial(f.script(fault))
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client.send_message(QueueUrl=url, MessageBody="1")
    refusal: Any = caught.value
    assert refusal.response["Error"]["Code"] == code
    assert refusal.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert count(client, url) == "0"


def test_a_call_that_times_out_has_had_its_effect(on_trial: Any) -> None:
    _, client, url = on_trial(f.script(f.call(NODE, "SendMessage", nth=1).times_out()))
    with pytest.raises(botocore.exceptions.ReadTimeoutError):
        client.send_message(QueueUrl=url, MessageBody="1")
    assert count(client, url) == "1"


def test_requests_and_answers_come_late(on_trial: Any) -> None:
    late = f.script(
        f.call(NODE, "SendMessage", nth=1).arrives_late(0.2), f.call(NODE, "SendMessage", nth=1).answers_late(0.2)
    )
    _, client, url = on_trial(late)
    begun = time.monotonic()  # noqa: TID251 - the network's delays are real
    assert client.send_message(QueueUrl=url, MessageBody="1")["MessageId"]
    assert time.monotonic() - begun >= 0.4  # noqa: TID251


def test_a_waiting_receive_may_lose_its_answer_and_the_message_is_in_flight(on_trial: Any) -> None:
    server, client, url = on_trial(f.script(f.call(NODE, "ReceiveMessage", nth=1).lost_response()))
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    body = json.dumps({"QueueUrl": url, "WaitTimeSeconds": 10})
    headers = {
        "X-Amz-Target": "AmazonSQS.ReceiveMessage",
        "Content-Type": "application/x-amz-json-1.0",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={NODE}/20260101/us-east-1/sqs/aws4_request, Signature=x",
    }
    connection.request("POST", "/", body, headers)
    while ask(server, "queues")["queues"][0]["waiting_receivers"] != 1:
        pass
    client.send_message(QueueUrl=url, MessageBody="1")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        connection.getresponse()
    connection.close()
    attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["ApproximateNumberOfMessagesNotVisible"] == "1"


def test_entries_of_a_batch_fail_with_nothing_done(on_trial: Any) -> None:
    _, client, url = on_trial(f.script(f.batch_entry(NODE, nth=1, entry=1), f.batch_entry(NODE, nth=2, entry=0)))
    entries = [{"Id": name, "MessageBody": name} for name in "abc"]
    answer = client.send_message_batch(QueueUrl=url, Entries=entries)
    assert [entry["Id"] for entry in answer["Successful"]] == ["a", "c"]
    assert [(entry["Id"], entry["SenderFault"], entry["Code"]) for entry in answer["Failed"]] == [
        ("b", False, "InternalError")
    ]
    answer = client.send_message_batch(QueueUrl=url, Entries=entries[:1])
    assert [entry["Id"] for entry in answer["Failed"]] == ["a"]
    assert count(client, url) == "2"


def test_the_query_protocol_is_on_trial_too(on_trial: Any) -> None:
    server, _, url = on_trial(f.script(f.call("anonymous", "SendMessage", nth=1).throttled()))
    form = f"Action=SendMessage&MessageBody=1&QueueUrl={url}".encode()
    with pytest.raises(HTTPError) as caught:
        urlopen(server.url, data=form)  # noqa: S310 - our own server
    assert b"<Code>RequestThrottled</Code>" in caught.value.read()


def test_the_script_says_what_came_up_and_can_be_exchanged(on_trial: Any) -> None:
    first = f.script(f.duplicate("orders", message=1), f.duplicate("orders", message=9, delivery=1))
    server, client, url = on_trial(first, profile="calm", seed=7)
    client.send_message(QueueUrl=url, MessageBody="1")
    bodies = [client.receive_message(QueueUrl=url)["Messages"][0]["Body"] for _ in range(2)]
    assert bodies == ["1", "1"]
    told = ask(server, "script")
    assert (told["profile"], told["seed"]) == ("calm", 7)
    assert told["fired"] == [["recv.dup", ["orders", 1, 1], 1]]
    assert told["unused"] == [["recv.dup", ["orders", 9, 1], 1]]
    second = f.script(f.call(NODE, "SendMessage", nth=1).throttled()).to_data()
    assert ask(server, "script", method="PUT", body=second)["script"] == second["script"]
    with pytest.raises(botocore.exceptions.ClientError):
        client.send_message(QueueUrl=url, MessageBody="2")


def test_the_history_is_judged_here_and_elsewhere_alike(on_trial: Any) -> None:
    server, _, url = on_trial(profile="hostile", seed=7)
    config = Config(retries={"total_max_attempts": 8}, read_timeout=1)
    patient = make_client(region_name="us-east-1", account="222222222222", endpoint_url=server.url, config=config)
    for number in range(30):
        patient.send_message(QueueUrl=url, MessageBody=str(number))
    for _ in range(30):
        for message in patient.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            patient.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    patient.close()
    verdict = ask(server, "check")
    assert verdict["state"] == "ok"
    assert verdict["events"] > 60
    assert verdict["forgotten"] == 0
    report = check_history(ask(server, "history").splitlines())
    assert report.state == "ok"
    assert report.events == verdict["events"]
    assert len(ask(server, "script")["fired"]) > 10


def test_a_reset_begins_a_new_history(on_trial: Any) -> None:
    server, client, url = on_trial()
    client.send_message(QueueUrl=url, MessageBody="1")
    assert ask(server, "check")["events"] > 0
    ask(server, "reset", method="POST", body={})
    assert ask(server, "check")["events"] == 0


@pytest.mark.parametrize("path", ["script", "history", "check"])
def test_an_emulator_that_is_not_on_trial_says_so(path: str) -> None:
    with run_in_thread() as server, pytest.raises(HTTPError) as caught:
        ask(server, path)
    assert caught.value.code == 409
    assert b"not on trial: start it with --profile" in caught.value.read()


def test_what_is_no_script_and_no_check_is_refused(on_trial: Any) -> None:
    server, _, _ = on_trial()
    with pytest.raises(HTTPError) as caught:
        ask(server, "script", method="PUT", body={"format": 1, "script": [["recv.twice", ["orders", 1], 1]]})
    assert (caught.value.code, b"there is no such site" in caught.value.read()) == (400, True)
    with pytest.raises(HTTPError) as caught:
        ask(server, "check?allow=duplicates")
    assert (caught.value.code, b"there is no check" in caught.value.read()) == (400, True)


def test_a_trial_and_kept_data_do_not_go_together() -> None:
    with pytest.raises(ValueError, match="cannot both be on trial"):
        run_in_thread(profile="calm", data="somewhere")


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(ValueError, match="profile: 'mean' is none of calm, realistic, hostile, swarm"):
        run_in_thread(profile="mean")


def test_a_call_after_something_happened_is_lost(on_trial: Any) -> None:
    lost = f.when("deleted", queue="orders").call(NODE, "SendMessage").lost_request()
    late = f.when("emptied", queue="orders").receive("orders").finds_nothing()
    server, client, url = on_trial(f.script(lost, late))
    client.send_message(QueueUrl=url, MessageBody="1")
    (message,) = client.receive_message(QueueUrl=url)["Messages"]
    client.send_message(QueueUrl=url, MessageBody="2")
    client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert len(ask(server, "script")["unused"]) == 2
    with pytest.raises(botocore.exceptions.HTTPClientError):
        client.send_message(QueueUrl=url, MessageBody="3")
    (message,) = client.receive_message(QueueUrl=url)["Messages"]
    client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    client.send_message(QueueUrl=url, MessageBody="4")
    assert "Messages" not in client.receive_message(QueueUrl=url)
    told = ask(server, "script")
    assert told["fired"] == [["net", [NODE, "SendMessage", 3], 2], ["recv.empty", ["orders", 3], 1]]
    assert told["unused"] == []
