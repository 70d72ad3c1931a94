"""Sessions, resources, and clients that were there before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
import pytest

from busframe_emulator.boto import emulated_sqs

if TYPE_CHECKING:
    from busframe_emulator.boto import EmulatedSqs

BOTO3: Any = boto3
BOTOCORE: Any = botocore.session
ACCESS = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}


def names_of(client: Any) -> list[str]:
    return [url.rpartition("/")[2] for url in client.list_queues().get("QueueUrls", ())]


def test_a_resource_works_on_the_same_queues(sqs: EmulatedSqs, sqs_client: Any, queue_url: str) -> None:
    queue = sqs.resource().get_queue_by_name(QueueName="orders")
    assert queue.url == queue_url
    queue.send_message(MessageBody="x", MessageAttributes={"b": {"DataType": "Binary", "BinaryValue": b"\xff"}})
    [message] = queue.receive_messages(MessageAttributeNames=["All"])
    assert message.message_attributes["b"]["BinaryValue"] == b"\xff"
    message.delete()
    queue.reload()
    assert queue.attributes["ApproximateNumberOfMessages"] == "0"
    assert names_of(sqs_client) == ["orders"]


def test_sessions_share_the_queues_and_nothing_else(sqs: EmulatedSqs, queue_url: str) -> None:
    here, there = sqs.session(), sqs.session(region_name="eu-west-1")
    assert here.client("sqs").get_queue_url(QueueName="orders")["QueueUrl"] == queue_url
    assert names_of(there.client("sqs")) == []
    assert there.region_name == "eu-west-1"


def test_code_that_calls_boto3_client_gets_the_default_session(
    sqs: EmulatedSqs, queue_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", sqs.session())
    assert BOTO3.client("sqs").get_queue_url(QueueName="orders")["QueueUrl"] == queue_url
    assert BOTO3.resource("sqs").Queue(queue_url).attributes["DelaySeconds"] == "0"


def test_a_client_from_elsewhere_is_attached_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    client = BOTO3.client("sqs", region_name="us-east-1", endpoint_url="http://127.0.0.1:9", **ACCESS)
    with emulated_sqs() as sqs:
        sqs.attach(client)
        assert client.create_queue(QueueName="orders")["QueueUrl"] == "http://127.0.0.1:9/000000000000/orders"
    monkeypatch.setattr(client._endpoint, "make_request", answer_as_aws)
    assert client.list_queues()["QueueUrls"] == ["of AWS"]


def answer_as_aws(_model: Any, _request: Any) -> tuple[Any, dict[str, Any]]:
    return type("Response", (), {"status_code": 200})(), {"QueueUrls": ["of AWS"]}


def test_a_client_without_credentials_is_of_the_default_account(sqs: EmulatedSqs) -> None:
    config = BOTO3.session.Config(signature_version=BOTOCORE.UNSIGNED)
    client = BOTO3.client("sqs", region_name="us-east-1", config=config, **dict.fromkeys(ACCESS))
    sqs.attach(client)
    assert client.create_queue(QueueName="q")["QueueUrl"].endswith("/000000000000/q")


def test_sessions_of_boto3_and_botocore_are_attached_before_their_clients_are_made(
    sqs: EmulatedSqs, queue_url: str
) -> None:
    session, core = BOTO3.session.Session(**ACCESS), BOTOCORE.Session()
    sqs.attach(session)
    sqs.attach(core)
    clients = [
        session.client("sqs", region_name="us-east-1"),
        core.create_client("sqs", region_name="us-east-1", **ACCESS),
    ]
    resource = BOTO3.resource("sqs", region_name="us-east-1", **ACCESS)
    sqs.attach(resource)
    for client in (*clients, resource.meta.client):
        assert client.get_queue_url(QueueName="orders")["QueueUrl"].endswith(queue_url[8:])


def test_anything_else_cannot_be_attached(sqs: EmulatedSqs) -> None:
    with pytest.raises(TypeError, match="client, resource or session"):
        sqs.attach("sqs")


def test_the_end_closes_clients_and_frees_attached_ones() -> None:
    with emulated_sqs() as sqs:
        client, of_session = sqs.client(), sqs.session().client("sqs")
    for closed in (client, of_session):
        with pytest.raises(RuntimeError, match="closed"):
            closed.list_queues()


def test_the_users_aws_configuration_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere/config")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://elsewhere.example")
    with emulated_sqs() as sqs:
        for client in (sqs.client(), sqs.session().client("sqs")):
            assert client.meta.endpoint_url == "https://sqs.us-east-1.amazonaws.com"
            assert names_of(client) == []


def test_other_services_of_a_session_are_left_alone(sqs: EmulatedSqs, monkeypatch: pytest.MonkeyPatch) -> None:
    client = sqs.session().client("sts")
    monkeypatch.setattr(client._endpoint, "make_request", answer_as_aws)
    assert client.get_caller_identity()["QueueUrls"] == ["of AWS"]
