"""A server that enforces policies: what boto3 may do with a queue of its own account and of another."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from emulator_access.signing import ALICE, BOB, FORM, KEYS, SECRET, request, send, sign

from busframe_emulator.wire.verified import Key, Keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe_emulator.server.thread import ThreadedServer

LIMITED = Key(
    access_key="AKIDLIMITED",
    secret=SECRET,
    account=ALICE.account,
    arn=f"arn:aws:iam::{ALICE.account}:user/limited",
    actions=("sqs:SendMessage", "sqs:GetQueueUrl"),
)
ARN = f"arn:aws:sqs:us-east-1:{ALICE.account}:orders"


@pytest.fixture
def server(serve: Callable[..., ThreadedServer]) -> ThreadedServer:
    return serve(keys=Keys(keys=[*KEYS.keys, LIMITED]), enforce_policies=True)


@pytest.fixture
def alice(server: ThreadedServer, client_of: Callable[..., Any]) -> Any:
    return client_of(server, ALICE)


@pytest.fixture
def bob(server: ThreadedServer, client_of: Callable[..., Any]) -> Any:
    return client_of(server, BOB)


@pytest.fixture
def url(alice: Any) -> str:
    return str(alice.create_queue(QueueName="orders")["QueueUrl"])


def set_policy(sqs: Any, url: str, **changed: Any) -> None:
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": ARN, **changed}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})


def refused(key: Key, action: str, end: str, call: Callable[..., Any], **arguments: Any) -> None:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error: Any = caught.value
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert error.response["Error"]["Code"] == "AccessDenied"
    text = f"User: {key.arn} is not authorized to perform: sqs:{action} on resource: {ARN} {end}"
    assert error.response["Error"]["Message"] == text


def not_shared(action: str, call: Callable[..., Any], **arguments: Any) -> None:
    refused(BOB, action, f"because no resource-based policy allows the sqs:{action} action", call, **arguments)


def test_another_account_needs_a_permission(alice: Any, bob: Any, url: str) -> None:
    not_shared("sendmessage", bob.send_message, QueueUrl=url, MessageBody="x")
    alice.add_permission(QueueUrl=url, Label="bob", AWSAccountIds=[BOB.account], Actions=["SendMessage"])
    bob.send_message(QueueUrl=url, MessageBody="one")
    entries = [{"Id": "1", "MessageBody": "two"}]
    assert bob.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]
    not_shared("receivemessage", bob.receive_message, QueueUrl=url)
    alice.remove_permission(QueueUrl=url, Label="bob")
    not_shared("sendmessage", bob.send_message_batch, QueueUrl=url, Entries=entries)
    assert len(alice.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]) == 2


def test_a_queue_of_another_account_is_found_by_its_owner_and_used_whole(alice: Any, bob: Any, url: str) -> None:
    not_shared("getqueueurl", bob.get_queue_url, QueueName="orders", QueueOwnerAWSAccountId=ALICE.account)
    set_policy(alice, url, Principal={"AWS": BOB.arn})
    assert bob.get_queue_url(QueueName="orders", QueueOwnerAWSAccountId=ALICE.account)["QueueUrl"] == url
    bob.send_message(QueueUrl=url, MessageBody="x")
    [message] = bob.receive_message(QueueUrl=url, WaitTimeSeconds=1)["Messages"]
    handle = message["ReceiptHandle"]
    bob.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=60)
    bob.delete_message(QueueUrl=url, ReceiptHandle=handle)
    assert bob.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"] == {"QueueArn": ARN}
    bob.purge_queue(QueueUrl=url)


def test_what_is_the_owners_no_policy_gives_away(alice: Any, bob: Any, url: str) -> None:
    set_policy(alice, url)
    calls: dict[str, dict[str, Any]] = {
        "add_permission": {"Label": "x", "AWSAccountIds": [BOB.account], "Actions": ["*"]},
        "remove_permission": {"Label": "x"},
        "delete_queue": {},
        "list_queue_tags": {},
        "set_queue_attributes": {"Attributes": {"DelaySeconds": "1"}},
        "tag_queue": {"Tags": {"a": "b"}},
        "untag_queue": {"TagKeys": ["a"]},
    }
    for action, arguments in calls.items():
        not_shared(action.replace("_", ""), getattr(bob, action), QueueUrl=url, **arguments)


def test_the_owner_may_unless_denied(alice: Any, url: str) -> None:
    alice.send_message(QueueUrl=url, MessageBody="x")
    set_policy(alice, url, Effect="Deny", Action="sqs:SendMessage")
    end = "with an explicit deny in a resource-based policy"
    refused(ALICE, "sendmessage", end, alice.send_message, QueueUrl=url, MessageBody="x")
    alice.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
    alice.send_message(QueueUrl=url, MessageBody="x")


def test_a_limited_key_may_do_what_it_lists_and_what_the_policy_gives_it(
    server: ThreadedServer, client_of: Callable[..., Any], alice: Any, url: str
) -> None:
    limited = client_of(server, LIMITED)
    limited.send_message(QueueUrl=url, MessageBody="x")
    end = "because no identity-based policy allows the sqs:receivemessage action"
    refused(LIMITED, "receivemessage", end, limited.receive_message, QueueUrl=url)
    set_policy(alice, url, Principal={"AWS": LIMITED.arn}, Action="sqs:ReceiveMessage")
    assert limited.receive_message(QueueUrl=url)["Messages"]
    with pytest.raises(ClientError, match=r"sqs:listqueues on resource: arn:aws:sqs:us-east-1:111111111111: because"):
        limited.list_queues()


def test_a_queue_that_is_not_there_is_not_there(bob: Any) -> None:
    for name in ("send_message", "get_queue_attributes"):
        arguments = {"MessageBody": "x"} if name == "send_message" else {}
        with pytest.raises(ClientError, match="The specified queue does not exist"):
            getattr(bob, name)(QueueUrl=f"http://x/{ALICE.account}/nothing", **arguments)


def test_the_address_the_time_and_the_transport_are_known(
    server: ThreadedServer, alice: Any, bob: Any, url: str
) -> None:
    set_policy(alice, url, Condition={"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}})
    bob.send_message(QueueUrl=url, MessageBody="x")
    set_policy(alice, url, Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})
    not_shared("sendmessage", bob.send_message, QueueUrl=url, MessageBody="x")
    set_policy(alice, url, Condition={"Bool": {"aws:SecureTransport": True}})
    not_shared("sendmessage", bob.send_message, QueueUrl=url, MessageBody="x")
    set_policy(alice, url, Condition={"DateLessThan": {"aws:CurrentTime": "2100-01-01T00:00:00Z"}})
    bob.send_message(QueueUrl=url, MessageBody="x")
    server.advance(100 * 366 * 86_400)
    not_shared("sendmessage", bob.send_message, QueueUrl=url, MessageBody="x")


def test_a_server_that_is_public_by_https_has_secure_callers(
    serve: Callable[..., ThreadedServer], client_of: Callable[..., Any]
) -> None:
    server = serve(keys=KEYS, enforce_policies=True, public_url="https://sqs.example.com")
    alice = client_of(server)
    url = alice.create_queue(QueueName="orders")["QueueUrl"]
    set_policy(alice, url, Condition={"Bool": {"aws:SecureTransport": "true"}})
    client_of(server, BOB).send_message(QueueUrl=url, MessageBody="x")


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ("{", "Invalid value for the parameter Policy"),
        ("[]", "Invalid value for the parameter Policy"),
        (
            (
                '{"Statement":{"Effect":"Deny","Principal":"*","Action":"sqs:*","Resource":"*","Condition":{"StringEquals":'
                '{"aws:PrincipalOrgID":"o-x"}}}}'
            ),
            "the condition key aws:PrincipalOrgID is not modelled",
        ),
    ],
)
def test_a_policy_that_could_not_be_enforced_is_not_taken(alice: Any, url: str, policy: str, text: str) -> None:
    for call, named in ((alice.set_queue_attributes, {"QueueUrl": url}), (alice.create_queue, {"QueueName": "q"})):
        with pytest.raises(ClientError, match=text) as caught:
            call(**named, Attributes={"Policy": policy})
        error: Any = caught.value
        assert error.response["Error"]["Code"] == "InvalidAttributeValue"
    assert alice.list_queues()["QueueUrls"] == [url]


def test_a_refusal_has_the_shape_of_its_protocol(server: ThreadedServer, url: str) -> None:
    asked = request(url, body=b"Action=SendMessage&MessageBody=x", headers={"Content-Type": FORM})
    answer = send(sign(asked, BOB))
    assert (answer.status, answer.error[0]) == (403, "AccessDenied")
    assert answer.text.startswith("<?xml")
    body = json.dumps({"QueueUrl": url, "MessageBody": "x"}).encode()
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.SendMessage"}
    answer = send(sign(request(server.url + "/", body=body, headers=headers), BOB))
    assert answer.headers["x-amzn-query-error"] == "AccessDenied;Sender"
    assert '"com.amazon.coral.service#AccessDeniedException"' in answer.text


def test_without_keys_an_access_key_of_twelve_digits_is_an_account(
    serve: Callable[..., ThreadedServer], client_of: Callable[..., Any]
) -> None:
    server = serve(enforce_policies=True)
    one, two = (client_of(server, Key(access_key=n * 12, secret="x", account=n * 12)) for n in "12")  # noqa: S106
    url = one.create_queue(QueueName="orders")["QueueUrl"]
    with pytest.raises(ClientError, match="User: arn:aws:iam::222222222222:root is not authorized"):
        two.send_message(QueueUrl=url, MessageBody="x")
    one.add_permission(QueueUrl=url, Label="two", AWSAccountIds=["2" * 12], Actions=["*"])
    two.send_message(QueueUrl=url, MessageBody="x")


def test_policies_are_kept_and_not_enforced_unless_asked_for(
    serve: Callable[..., ThreadedServer], client_of: Callable[..., Any]
) -> None:
    server = serve(keys=KEYS)
    alice = client_of(server)
    url = alice.create_queue(QueueName="orders")["QueueUrl"]
    set_policy(alice, url, Effect="Deny", Condition={"StringEquals": {"aws:PrincipalOrgID": "o-x"}})
    client_of(server, BOB).send_message(QueueUrl=url, MessageBody="x")
    assert (
        "PrincipalOrgID" in alice.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"]
    )


@pytest.mark.parametrize(
    ("arn", "form"),
    [
        (f"arn:aws:iam::{ALICE.account}:user/alice", r"AIDA[A-Z2-7]{17}"),
        (f"arn:aws:iam::{ALICE.account}:role/worker", r"AROA[A-Z2-7]{17}"),
        (f"arn:aws:sts::{ALICE.account}:assumed-role/worker/night-shift", r"AROA[A-Z2-7]{17}:night-shift"),
    ],
)
def test_the_sender_of_a_message_is_whom_the_key_belongs_to(
    serve: Callable[..., ThreadedServer], client_of: Callable[..., Any], arn: str, form: str
) -> None:
    key = Key(access_key="AKID", secret=SECRET, account=ALICE.account, arn=arn)
    sqs = client_of(serve(keys=Keys(keys=[key])), key)
    url = sqs.create_queue(QueueName="orders")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="x")
    [message] = sqs.receive_message(QueueUrl=url, MessageSystemAttributeNames=["SenderId"])["Messages"]
    assert re.fullmatch(form, message["Attributes"]["SenderId"])


DEAD = f"arn:aws:sqs:us-east-1:{ALICE.account}:dead"
MOVES = {"StartMessageMoveTask", "ReceiveMessage", "DeleteMessage", "GetQueueAttributes", "SendMessage"}


@pytest.mark.parametrize("missing", [None, *sorted(MOVES)])
@pytest.mark.parametrize("destination", [None, ARN])
def test_who_moves_dead_letters_has_to_be_allowed_all_that_it_takes(
    serve: Callable[..., ThreadedServer], client_of: Callable[..., Any], missing: str | None, destination: str | None
) -> None:
    allowed = tuple(f"sqs:{action}" for action in MOVES - {missing})
    mover = Key(access_key="AKIDMOVER", secret=SECRET, account=ALICE.account, actions=allowed)
    server = serve(keys=Keys(keys=[ALICE, mover]), enforce_policies=True)
    alice, sqs = client_of(server), client_of(server, mover)
    alice.create_queue(QueueName="dead")
    redrive = json.dumps({"deadLetterTargetArn": DEAD, "maxReceiveCount": 1})
    alice.create_queue(QueueName="orders", Attributes={"RedrivePolicy": redrive})
    task = {"SourceArn": DEAD} if destination is None else {"SourceArn": DEAD, "DestinationArn": destination}
    if missing is None:
        assert sqs.start_message_move_task(**task)["TaskHandle"]
        return
    at = ARN if missing == "SendMessage" else DEAD
    with pytest.raises(ClientError, match=f"sqs:{missing.lower()} on resource: {at} because no identity-based policy"):
        sqs.start_message_move_task(**task)


@pytest.mark.parametrize("queue", ["dead", "orders"])
@pytest.mark.parametrize("destination", [None, ARN])
def test_the_policies_of_both_queues_reach_who_moves_dead_letters(
    alice: Any, queue: str, destination: str | None
) -> None:
    urls = {"dead": alice.create_queue(QueueName="dead")["QueueUrl"]}
    redrive = json.dumps({"deadLetterTargetArn": DEAD, "maxReceiveCount": 1})
    attributes = {"RedrivePolicy": redrive}
    urls["orders"] = alice.create_queue(QueueName="orders", Attributes=attributes)["QueueUrl"]
    denied = "sqs:StartMessageMoveTask" if queue == "dead" else "sqs:SendMessage"
    set_policy(alice, urls[queue], Effect="Deny", Action=denied, Resource="*")
    task = {"SourceArn": DEAD} if destination is None else {"SourceArn": DEAD, "DestinationArn": destination}
    with pytest.raises(
        ClientError, match=f"{denied.lower()} on resource: arn:aws:sqs:us-east-1:.*:{queue} with an expl"
    ):
        alice.start_message_move_task(**task)
    alice.set_queue_attributes(QueueUrl=urls[queue], Attributes={"Policy": ""})
    handle = alice.start_message_move_task(**task)["TaskHandle"]
    set_policy(alice, urls["dead"], Effect="Deny", Action=["sqs:List*", "sqs:Cancel*"], Resource="*")
    with pytest.raises(ClientError, match=r"sqs:listmessagemovetasks on resource: .*:dead with an explicit deny"):
        alice.list_message_move_tasks(SourceArn=DEAD)
    with pytest.raises(ClientError, match=r"sqs:cancelmessagemovetask on resource: .*:dead with an explicit deny"):
        alice.cancel_message_move_task(TaskHandle=handle)


def test_the_dead_letters_of_another_account_cannot_be_moved(alice: Any, bob: Any, url: str) -> None:
    set_policy(alice, url)
    not_shared("startmessagemovetask", bob.start_message_move_task, SourceArn=ARN)
    not_shared("listmessagemovetasks", bob.list_message_move_tasks, SourceArn=ARN)
