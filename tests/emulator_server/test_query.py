"""The Query protocol: form-encoded parameters in, XML out."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from busframe_emulator.server.thread import ThreadedServer

SPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"
ORDERS = "/000000000000/orders"


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def root(self) -> ET.Element:
        return ET.fromstring(self.text)  # noqa: S314 - the server under test made it

    def all(self, name: str) -> list[str]:
        return [element.text or "" for element in self.root.iter(SPACE + name)]

    def one(self, name: str) -> str:
        [text] = self.all(name)
        return text


@pytest.fixture
def ask(server: ThreadedServer) -> Callable[..., Answer]:
    """Make one request: parameters by keyword or as a mapping, in the body of a POST or the URL of a GET."""

    def send(
        parameters: Mapping[str, object], *, path: str = "/", method: str = "POST", accept: str | None = None
    ) -> Answer:
        encoded = urlencode({name: str(value) for name, value in parameters.items()})
        connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
        try:
            headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"} if method == "POST" else {}
            if accept:
                headers["Accept"] = accept
            url = f"{path}?{encoded}" if method == "GET" else path
            connection.request(method, url, encoded if method == "POST" else None, headers)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read().decode())
        finally:
            connection.close()

    return send


def test_create_send_receive_delete(ask: Callable[..., Answer], server: ThreadedServer) -> None:
    created = ask({"Action": "CreateQueue", "QueueName": "orders", "Version": "2012-11-05"})
    assert created.status == 200
    assert created.headers["content-type"] == "text/xml"
    url = created.one("QueueUrl")
    assert url == f"{server.url}{ORDERS}"
    assert created.one("RequestId") == created.headers["x-amzn-requestid"]
    sent = ask({"Action": "SendMessage", "QueueUrl": url, "MessageBody": "message"})
    assert sent.one("MD5OfMessageBody") == "78e731027d8fd50ed642340b7c9a63b3"
    received = ask({"Action": "ReceiveMessage", "QueueUrl": url})
    assert received.one("Body") == "message"
    assert received.one("MessageId") == sent.one("MessageId")
    deleted = ask({"Action": "DeleteMessage", "QueueUrl": url, "ReceiptHandle": received.one("ReceiptHandle")})
    assert deleted.status == 200
    assert [child.tag for child in deleted.root] == [f"{SPACE}ResponseMetadata"]


@pytest.mark.usefixtures("queue_url")
def test_an_empty_receive_has_an_empty_result(ask: Callable[..., Answer]) -> None:
    assert "<ReceiveMessageResult/>" in ask({"Action": "ReceiveMessage"}, path=ORDERS).text


@pytest.mark.usefixtures("queue_url")
def test_what_xml_would_spoil_is_escaped(ask: Callable[..., Answer]) -> None:
    body = 'a "quoted" <tag> & a\r\nline'
    ask({"Action": "SendMessage", "MessageBody": body}, path=ORDERS)
    received = ask({"Action": "ReceiveMessage"}, path=ORDERS)
    assert "a &quot;quoted&quot; &lt;tag&gt; &amp; a&#xD;\nline" in received.text
    assert received.one("Body") == body


@pytest.mark.usefixtures("queue_url")
@pytest.mark.parametrize("spelling", ["MessageAttribute", "MessageAttributes"])
def test_message_attributes_go_there_and_back(ask: Callable[..., Answer], spelling: str) -> None:
    parameters = {
        "Action": "SendMessage",
        "MessageBody": "x",
        f"{spelling}.1.Name": "Foo",
        f"{spelling}.1.Value.DataType": "String",
        f"{spelling}.1.Value.StringValue": "Bar",
        f"{spelling}.2.Name": "bytes",
        f"{spelling}.2.Value.DataType": "Binary",
        f"{spelling}.2.Value.BinaryValue": "AP8=",
    }
    ask(parameters, path=ORDERS)
    received = ask(
        {
            "Action": "ReceiveMessage",
            "MessageAttributeName.1": "Foo",
            "AttributeName.1": "ApproximateReceiveCount",
            "VisibilityTimeout": 0,
        },
        path=ORDERS,
    )
    assert received.one("MD5OfMessageAttributes") == "ae7155c6026991b6d54b11589678bf9c"
    assert received.all("Name") == ["ApproximateReceiveCount", "Foo"]
    assert received.one("StringValue") == "Bar"
    everything = ask({"Action": "ReceiveMessage", "MessageAttributeName.1": "All"}, path=ORDERS)
    assert everything.one("BinaryValue") == "AP8="


@pytest.mark.usefixtures("queue_url")
def test_a_batch_tells_each_entry_its_fate(ask: Callable[..., Answer]) -> None:
    answer = ask(
        {
            "Action": "SendMessageBatch",
            "SendMessageBatchRequestEntry.1.Id": "good",
            "SendMessageBatchRequestEntry.1.MessageBody": "message",
            "SendMessageBatchRequestEntry.2.Id": "bad",
            "SendMessageBatchRequestEntry.2.MessageBody": "\x01",
        },
        path=ORDERS,
    )
    [good] = answer.root.iter(f"{SPACE}SendMessageBatchResultEntry")
    assert good.findtext(f"{SPACE}Id") == "good"
    [bad] = answer.root.iter(f"{SPACE}BatchResultErrorEntry")
    assert bad.findtext(f"{SPACE}Code") == "InvalidMessageContents"
    assert bad.findtext(f"{SPACE}SenderFault") == "true"


def test_attributes_are_set_and_read(ask: Callable[..., Answer]) -> None:
    ask({"Action": "CreateQueue", "QueueName": "q", "Attribute.1.Name": "DelaySeconds", "Attribute.1.Value": "5"})
    read = ask(
        {"Action": "GetQueueAttributes", "AttributeName.1": "DelaySeconds"}, path="/000000000000/q", method="GET"
    )
    assert (read.all("Name"), read.all("Value")) == (["DelaySeconds"], ["5"])


@pytest.mark.usefixtures("queue_url")
def test_a_get_of_a_queues_url_does_what_it_says(ask: Callable[..., Answer], sqs: Any) -> None:
    sqs.create_queue(QueueName="other")
    assert ask({"Action": "SendMessage", "MessageBody": "x"}, path=ORDERS, method="GET").status == 200
    assert ask({"Action": "ReceiveMessage"}, path=ORDERS, method="GET").one("Body") == "x"
    found = ask({"Action": "GetQueueUrl", "QueueName": "other"}, path=ORDERS, method="GET")
    assert found.one("QueueUrl").endswith("/other")
    assert ask({"Action": "DeleteQueue"}, path=ORDERS, method="GET").status == 200


@pytest.mark.usefixtures("queue_url")
def test_a_queue_url_among_the_parameters_wins_over_the_path(ask: Callable[..., Answer], sqs: Any) -> None:
    url = sqs.create_queue(QueueName="other")["QueueUrl"]
    ask({"Action": "SendMessage", "MessageBody": "x", "QueueUrl": url}, path=ORDERS)
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "x"


@pytest.mark.parametrize("action", ["CreateQueue", "ListQueues", "Dance"])
def test_an_action_that_is_not_there_is_refused_by_name(ask: Callable[..., Answer], action: str) -> None:
    answer = ask({"Action": action, "QueueName": "q"}, path=ORDERS)
    assert answer.status == 400
    assert answer.one("Code") == "InvalidAction"
    assert answer.one("Message") == f"The action {action} is not valid for this endpoint."


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("accept", [None, "application/json"])
def test_no_action_is_not_found(ask: Callable[..., Answer], method: str, accept: str | None) -> None:
    answer = ask({"QueueName": "q"}, method=method, accept=accept)
    assert answer.status == 404
    assert answer.text.strip() == "<UnknownOperationException/>"


def test_an_error_has_the_words_of_its_time(ask: Callable[..., Answer]) -> None:
    answer = ask({"Action": "SendMessage", "MessageBody": "x", "QueueUrl": "nobody"})
    assert answer.status == 400
    assert answer.one("Code") == "AWS.SimpleQueueService.NonExistentQueue"
    assert answer.one("Message") == "The specified queue does not exist for this wsdl version."
    assert answer.one("Type") == "Sender"
    assert "<Detail/>" in answer.text
    assert answer.one("RequestId") == answer.headers["x-amzn-requestid"]


@pytest.mark.usefixtures("queue_url")
@pytest.mark.parametrize(
    ("parameters", "code", "message"),
    [
        ({"Action": "SendMessage"}, "MissingParameter", "The request must contain the parameter MessageBody."),
        (
            {"Action": "SendMessageBatch"},
            "MissingParameter",
            "The request must contain the parameter SendMessageBatchRequestEntry.1.Id.",
        ),
        (
            {"Action": "SendMessageBatch", "SendMessageBatchRequestEntry": ""},
            "AWS.SimpleQueueService.EmptyBatchRequest",
            "There should be at least one SendMessageBatchRequestEntry in the request.",
        ),
        (
            {"Action": "ReceiveMessage", "MaxNumberOfMessages": 11},
            "InvalidParameterValue",
            "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.",
        ),
        (
            {"Action": "ReceiveMessage", "MaxNumberOfMessages": "many"},
            "MalformedInput",
            "MaxNumberOfMessages has the wrong type.",
        ),
        (
            {"Action": "SetQueueAttributes", "Attribute.1.Value": "5"},
            "MissingParameter",
            "The request must contain the parameter Attribute.1.Name.",
        ),
        (
            {"Action": "GetQueueAttributes", "AttributeName.1": "Foobar"},
            "InvalidAttributeName",
            "Unknown Attribute Foobar.",
        ),
    ],
)
def test_a_fault_is_refused_in_xml(
    ask: Callable[..., Answer], parameters: dict[str, object], code: str, message: str
) -> None:
    answer = ask(parameters, path=ORDERS)
    assert (answer.status, answer.one("Code"), answer.one("Message")) == (400, code, message)


@pytest.mark.usefixtures("queue_url")
def test_those_who_accept_json_get_json(ask: Callable[..., Answer]) -> None:
    ask({"Action": "SendMessage", "MessageBody": "x"}, path=ORDERS)
    answer = ask({"Action": "ReceiveMessage"}, path=ORDERS, method="GET", accept="application/json")
    assert answer.headers["content-type"] == "application/json"
    [message] = json.loads(answer.text)["ReceiveMessageResponse"]["ReceiveMessageResult"]["messages"]
    assert message["Body"] == "x"
    assert message["MessageAttributes"] is None
    error = ask({"Action": "Dance"}, accept="application/json")
    assert json.loads(error.text)["Error"]["Code"] == "InvalidAction"


@pytest.mark.usefixtures("queue_url")
def test_maps_are_lists_of_pairs_in_that_json(ask: Callable[..., Answer]) -> None:
    blob = {"MessageAttribute.1.Name": "b", "MessageAttribute.1.Value.DataType": "Binary"}
    ask(
        {"Action": "SendMessage", "MessageBody": "x", "MessageAttribute.1.Value.BinaryValue": "AAE=", **blob},
        path=ORDERS,
    )
    asked = {"Action": "ReceiveMessage", "MessageAttributeName.1": "b"}
    answer = ask(asked, path=ORDERS, accept="application/json")
    [message] = json.loads(answer.text)["ReceiveMessageResponse"]["ReceiveMessageResult"]["messages"]
    value = {"StringValue": None, "BinaryValue": "AAE=", "DataType": "Binary"}
    assert message["MessageAttributes"] == [{"Name": "b", "Value": value}]
    asked = {"Action": "GetQueueAttributes", "AttributeName.1": "VisibilityTimeout"}
    answer = ask(asked, path=ORDERS, accept="application/json")
    result = json.loads(answer.text)["GetQueueAttributesResponse"]["GetQueueAttributesResult"]
    assert result["Attributes"] == [{"Name": "VisibilityTimeout", "Value": "30"}]
    answer = ask({"Action": "ListQueues"}, accept="application/json")
    assert len(json.loads(answer.text)["ListQueuesResponse"]["ListQueuesResult"]["queueUrls"]) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"Action=%ff",
        b"Action=SendMessage&MessageBody=\xff",
        b"&".join(b"a%d=1" % number for number in range(5_000)),
        b"Action=SendMessageBatch&QueueUrl=orders&SendMessageBatchRequestEntry." + b"9" * 9_000 + b".Id=a",
        b"Action=CreateQueue&QueueName=" + b"x" * 100_000,
        b"Action=CreateQueue" + b".1" * 50_000 + b"=x",
        b"Action=SendMessage&QueueUrl=orders&MessageBody=x&DelaySeconds=" + b"9" * 9_000,
        b"Action=" + b"x" * 100_000,
    ],
)
@pytest.mark.usefixtures("queue_url")
def test_a_bad_body_is_the_senders_fault(server: ThreadedServer, body: bytes) -> None:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("POST", "/", body, {"Content-Type": "application/x-www-form-urlencoded"})
    assert 400 <= connection.getresponse().status < 500
    connection.close()


def test_a_list_of_one_needs_no_number(ask: Callable[..., Answer]) -> None:
    ask({"Action": "CreateQueue", "QueueName": "orders", "Attribute.Name": "DelaySeconds", "Attribute.Value": "7"})
    answer = ask({"Action": "GetQueueAttributes", "AttributeName": "DelaySeconds"}, path=ORDERS, method="GET")
    assert answer.all("Value") == ["7"]


@pytest.mark.usefixtures("queue_url")
def test_a_refusal_that_repeats_what_xml_cannot_say_is_xml_all_the_same(ask: Callable[..., Answer]) -> None:
    answer = ask({"Action": "SendMessage", "MessageBody": "x", "MessageGroupId": "a\x01\ufffe\t"}, path=ORDERS)
    assert answer.one("Message").startswith("Value a\ufffd\ufffd\t for parameter MessageGroupId is invalid.")


def test_members_answer_to_their_own_names_too(ask: Callable[..., Answer]) -> None:
    ask({"Action": "CreateQueue", "QueueName": "orders", "Tags.1.Key": "a", "Tags.1.Value": "b"})
    answer = ask({"Action": "ListQueueTags"}, path=ORDERS)
    assert answer.text.startswith(f'<?xml version="1.0"?><ListQueueTagsResponse xmlns="{SPACE[1:-1]}">')
    assert (answer.all("Key"), answer.all("Value")) == (["a"], ["b"])
