"""The scenario on botocore, in one of three disguises: boto3, aiobotocore, or the command `aws`. Prints what it saw."""

from __future__ import annotations

import asyncio  # noqa: TID251 - aiobotocore knows nothing else
import base64
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

BODY = 'héllo \U0001f680 "quoted" <&>\n\ttext\r'
BLOB = b"\x00\xff\x10\x80"
STEPS = (
    *("create", "tags", "find", "pages", "receive_nothing", "send", "receive_all", "settle", "long_poll", "batch"),
    *("settle_batch", "fifo", "dead_letter", "move", "set_attributes", "permissions", "purge", "errors"),
)
ARN = "arn:aws:sqs:us-east-1:000000000000"
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


class CliError(Exception):
    """What the command `aws` printed on failing."""


class Boto3:
    """boto3, old or new."""

    def __init__(self, endpoint: str) -> None:
        boto3: Any = import_module("boto3")
        self.client: Any = boto3.client("sqs", endpoint_url=endpoint)

    def close(self) -> None:
        self.client.close()

    def call(self, operation: str, **parameters: Any) -> Any:
        return getattr(self.client, snake(operation, "_"))(**parameters)

    def fault(self, error: Any) -> list[object]:
        answer = error.response
        return [type(error).__name__, answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]]


class Aio(Boto3):
    """aiobotocore, one call at a time or two."""

    def __init__(self, endpoint: str) -> None:  # pyright: ignore[reportMissingSuperCall]
        session = import_module("aiobotocore.session").get_session()
        self.loop = asyncio.new_event_loop()
        Thread(target=self.loop.run_forever, daemon=True).start()
        self.client = self.wait(session.create_client("sqs", endpoint_url=endpoint).__aenter__())

    def close(self) -> None:
        self.wait(self.client.close())

    def wait(self, awaitable: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(awaitable, self.loop).result(60)

    def call(self, operation: str, **parameters: Any) -> Any:
        return self.wait(getattr(self.client, snake(operation, "_"))(**parameters))


class Cli:
    """The command `aws`: blobs are text, errors are sentences."""

    def __init__(self, endpoint: str) -> None:
        self.words = [os.environ["COMMAND"], "--output", "json", "--no-paginate", "--endpoint-url", endpoint, "sqs"]

    def close(self) -> None:
        """Nothing stays open."""

    def call(self, operation: str, **parameters: Any) -> Any:
        given = json.dumps(parameters, default=lambda blob: blob.decode("latin-1"))
        words = [*self.words, snake(operation, "-"), "--cli-input-json", given]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            raise CliError(done.stderr)
        return json.loads(done.stdout or "{}")

    def fault(self, error: Any) -> list[object]:
        found = re.search(r"An error occurred \(([\w.]+)\)", str(error))
        return [found[1] if found else str(error)]


def snake(name: str, joint: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", joint + r"\1", name).lower()


def plain(attributes: dict[str, Any]) -> dict[str, list[str]]:
    """Message attributes as JSON can hold them: type and value, blobs in base64."""

    def value(given: Any) -> str:
        if "StringValue" in given:
            return str(given["StringValue"])
        blob = given["BinaryValue"]
        return blob if isinstance(blob, str) else base64.b64encode(blob).decode()

    return {name: [given["DataType"], value(given)] for name, given in sorted(attributes.items())}


class Scenario:
    """Each of STEPS is a method here, and what it returns is what was seen."""

    def __init__(self, sdk: Any, endpoint: str, system_names: str) -> None:
        self.sdk = sdk
        self.call: Callable[..., Any] = sdk.call
        self.endpoint = endpoint
        self.all = {"MessageAttributeNames": ["All"], system_names: ["All"]}
        self.url = f"{endpoint}/000000000000/orders"
        self.fifo_url = self.url + ".fifo"
        self.dead_url = self.url + "-dead"

    def path(self, url: str) -> str:
        return url.removeprefix(self.endpoint)

    def receive(self, url: str, **more: Any) -> list[Any]:
        return list(self.call("ReceiveMessage", QueueUrl=url, **more).get("Messages", []))

    def attributes(self, *names: str) -> dict[str, str]:
        return dict(self.call("GetQueueAttributes", QueueUrl=self.url, AttributeNames=names).get("Attributes", {}))

    def create(self) -> list[str]:
        fifo = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
        created = [
            self.call(
                "CreateQueue",
                QueueName="orders",
                Attributes={"VisibilityTimeout": "120", "MaximumMessageSize": "2048"},
                tags={"team": "crème / 1+1=2", "empty": ""},
            ),
            self.call("CreateQueue", QueueName="orders.fifo", Attributes=fifo),
            self.call("CreateQueue", QueueName="orders-dead"),
        ]
        return [self.path(answer["QueueUrl"]) for answer in created]

    def tags(self) -> list[dict[str, str]]:
        before = self.call("ListQueueTags", QueueUrl=self.url)["Tags"]
        self.call("UntagQueue", QueueUrl=self.url, TagKeys=["empty"])
        self.call("TagQueue", QueueUrl=self.url, Tags={"k": "v"})
        return [before, self.call("ListQueueTags", QueueUrl=self.url)["Tags"]]

    def find(self) -> str:
        return self.path(self.call("GetQueueUrl", QueueName="orders")["QueueUrl"])

    def pages(self) -> list[list[str]]:
        first = self.call("ListQueues", QueueNamePrefix="orders", MaxResults=2)
        second = self.call("ListQueues", QueueNamePrefix="orders", MaxResults=2, NextToken=first["NextToken"])
        return [sorted(map(self.path, first["QueueUrls"] + second["QueueUrls"])), [second.get("NextToken", "end")]]

    def receive_nothing(self) -> int:
        return len(self.receive(self.url))

    def send(self) -> list[str]:
        sent = self.call(
            "SendMessage",
            QueueUrl=self.url,
            MessageBody=BODY,
            MessageAttributes={
                "text": {"DataType": "String", "StringValue": "grüße & <x>"},
                "count": {"DataType": "Number.int", "StringValue": "42"},
                "blob": {"DataType": "Binary.png", "BinaryValue": BLOB},
            },
            MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": TRACE}},
        )
        return [sent["MD5OfMessageBody"], sent["MD5OfMessageAttributes"], sent["MD5OfMessageSystemAttributes"]]

    def receive_all(self) -> object:
        [message] = self.receive(self.url, VisibilityTimeout=0, **self.all)
        facts = message["Attributes"]
        return {
            "body": message["Body"],
            "md5": [message["MD5OfBody"], message["MD5OfMessageAttributes"]],
            "attributes": plain(message["MessageAttributes"]),
            "facts": sorted(facts),
            "trace": facts["AWSTraceHeader"],
            "count": facts["ApproximateReceiveCount"],
        }

    def settle(self) -> object:
        [first] = self.receive(self.url)
        hidden = len(self.receive(self.url))
        self.call(
            "ChangeMessageVisibility", QueueUrl=self.url, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0
        )
        [again] = self.receive(self.url)
        self.call("DeleteMessage", QueueUrl=self.url, ReceiptHandle=again["ReceiptHandle"])
        left = self.attributes("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        return [hidden, first["MessageId"] == again["MessageId"], sorted(left.values())]

    def long_poll(self) -> object:
        with ThreadPoolExecutor() as pool:
            start = time.monotonic()  # noqa: TID251 - real time is what is measured
            waiting = pool.submit(self.receive, self.url, WaitTimeSeconds=15)
            time.sleep(1)  # noqa: TID251 - so that the receive comes first
            self.call("SendMessage", QueueUrl=self.url, MessageBody="late")
            [message] = waiting.result()
            prompt = time.monotonic() - start < 10  # noqa: TID251
        self.call("DeleteMessage", QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return [message["Body"], prompt]

    def batch(self) -> object:
        bodies = {"e3": "\x01", "e7": "x" * 2049}
        entries = [{"Id": f"e{n}", "MessageBody": bodies.get(f"e{n}", "é")} for n in range(10)]
        result = self.call("SendMessageBatch", QueueUrl=self.url, Entries=entries)
        return [
            sorted(entry["Id"] for entry in result["Successful"]),
            sorted([entry["Id"], entry["Code"], entry["SenderFault"]] for entry in result["Failed"]),
        ]

    def settle_batch(self) -> object:
        receipts: list[str] = []
        while len(receipts) < 8 and (messages := self.receive(self.url, MaxNumberOfMessages=10)):
            receipts += [message["ReceiptHandle"] for message in messages]
        entries: list[dict[str, Any]] = [
            {"Id": str(n), "ReceiptHandle": receipt} for n, receipt in enumerate([*receipts, "garbage"])
        ]
        hidden = [{**entry, "VisibilityTimeout": 60} for entry in entries]
        return [
            [
                sorted(entry["Id"] for entry in result["Successful"]),
                [[entry["Id"], entry["Code"], entry["SenderFault"]] for entry in result["Failed"]],
            ]
            for result in (
                self.call("ChangeMessageVisibilityBatch", QueueUrl=self.url, Entries=hidden),
                self.call("DeleteMessageBatch", QueueUrl=self.url, Entries=entries),
            )
        ]

    def fifo(self) -> object:
        def send(body: str, **more: str) -> Any:
            return self.call("SendMessage", QueueUrl=self.fifo_url, MessageBody=body, MessageGroupId="g", **more)

        sent = [send("a", MessageDeduplicationId="d"), send("b"), send("c"), send("other", MessageDeduplicationId="d")]
        numbers = [answer["SequenceNumber"] for answer in sent]
        got = self.receive(self.fifo_url, MaxNumberOfMessages=10, **self.all)
        send("next")
        blocked = len(self.receive(self.fifo_url))
        entries = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(got)]
        self.call("DeleteMessageBatch", QueueUrl=self.fifo_url, Entries=entries)
        return {
            "ascending": numbers[:3] == sorted(set(numbers)),
            "digits": [len(number) for number in numbers],
            "duplicate": [numbers[3] == numbers[0], sent[3]["MessageId"] == sent[0]["MessageId"]],
            "bodies": [message["Body"] for message in got],
            "group": [message["Attributes"]["MessageGroupId"] for message in got],
            "deduplication": got[0]["Attributes"]["MessageDeduplicationId"],
            "numbers": [message["Attributes"]["SequenceNumber"] for message in got] == numbers[:3],
            "blocked": blocked,
            "next": [message["Body"] for message in self.receive(self.fifo_url)],
        }

    def dead_letter(self) -> object:
        policy = json.dumps({"deadLetterTargetArn": f"{ARN}:orders-dead", "maxReceiveCount": 2})
        self.call("SetQueueAttributes", QueueUrl=self.url, Attributes={"RedrivePolicy": policy})
        self.call("SendMessage", QueueUrl=self.url, MessageBody="poison")
        seen = [len(self.receive(self.url, VisibilityTimeout=0)) for _ in range(3)]
        [dead] = self.receive(self.dead_url, **self.all)
        sources = self.call("ListDeadLetterSourceQueues", QueueUrl=self.dead_url)["queueUrls"]
        return [seen, dead["Body"], dead["Attributes"]["DeadLetterQueueSourceArn"], [self.path(url) for url in sources]]

    def move(self) -> object:
        entries = [{"Id": str(n), "MessageBody": "x"} for n in range(10)]
        for _ in range(2):  # so that the task takes twenty seconds: `aws` needs some for each call
            self.call("SendMessageBatch", QueueUrl=self.dead_url, Entries=entries)
        handle = self.call(
            "StartMessageMoveTask",
            SourceArn=f"{ARN}:orders-dead",
            DestinationArn=f"{ARN}:orders",
            MaxNumberOfMessagesPerSecond=1,
        )["TaskHandle"]

        def task() -> Any:
            return self.call("ListMessageMoveTasks", SourceArn=f"{ARN}:orders-dead", MaxResults=10)["Results"][0]

        running = task()
        moved = self.call("CancelMessageMoveTask", TaskHandle=handle)["ApproximateNumberOfMessagesMoved"]
        cancelled = task()
        return [
            [
                running["Status"],
                running["TaskHandle"] == handle,
                running["ApproximateNumberOfMessagesToMove"] >= 20,
                running["MaxNumberOfMessagesPerSecond"],
            ],
            0 <= moved <= 20,
            [cancelled["Status"], "TaskHandle" not in cancelled],
        ]

    def permissions(self) -> object:
        given = {"Label": "bob", "AWSAccountIds": ["111111111111"], "Actions": ["SendMessage"]}
        self.call("AddPermission", QueueUrl=self.url, **given)
        policy = self.attributes("Policy")["Policy"]
        self.call("RemovePermission", QueueUrl=self.url, Label="bob")
        return ['"Sid":"bob"' in policy and '"Action":"SQS:SendMessage"' in policy, self.attributes("Policy")]

    def set_attributes(self) -> object:
        given = {"RedrivePolicy": "", "VisibilityTimeout": "7"}
        self.call("SetQueueAttributes", QueueUrl=self.url, Attributes=given)
        none = self.attributes("RedrivePolicy")
        return [none, self.attributes("VisibilityTimeout", "QueueArn"), sorted(self.attributes("All"))]

    def purge(self) -> object:
        self.call("SendMessage", QueueUrl=self.url, MessageBody="x")
        self.call("PurgeQueue", QueueUrl=self.url)
        return self.attributes("ApproximateNumberOfMessages")

    def errors(self) -> dict[str, object]:
        def entries(*ids: str) -> list[dict[str, str]]:
            return [{"Id": entry_id, "MessageBody": "x"} for entry_id in ids]

        calls: dict[str, tuple[str, dict[str, Any]]] = {
            "purge again": ("PurgeQueue", {"QueueUrl": self.url}),
            "no such name": ("GetQueueUrl", {"QueueName": "nobody"}),
            "no such queue": ("SendMessage", {"QueueUrl": self.url + "-not", "MessageBody": "x"}),
            "receipt": ("DeleteMessage", {"QueueUrl": self.url, "ReceiptHandle": "garbage"}),
            "exists": ("CreateQueue", {"QueueName": "orders", "Attributes": {"VisibilityTimeout": "1"}}),
            "empty": ("SendMessageBatch", {"QueueUrl": self.url, "Entries": []}),
            "twice": ("SendMessageBatch", {"QueueUrl": self.url, "Entries": entries("a", "a")}),
            "bad id": ("SendMessageBatch", {"QueueUrl": self.url, "Entries": entries("a b")}),
            "eleven": ("SendMessageBatch", {"QueueUrl": self.url, "Entries": entries(*"abcdefghijk")}),
            "too long": ("SendMessage", {"QueueUrl": self.url, "MessageBody": "x" * 2049}),
            "bad body": ("SendMessage", {"QueueUrl": self.url, "MessageBody": "\x01"}),
            "no group": ("SendMessage", {"QueueUrl": self.fifo_url, "MessageBody": "x"}),
            "bad value": ("SetQueueAttributes", {"QueueUrl": self.url, "Attributes": {"DelaySeconds": "x"}}),
            "bad name": ("GetQueueAttributes", {"QueueUrl": self.url, "AttributeNames": ["Nonsense"]}),
            "no resource": ("StartMessageMoveTask", {"SourceArn": f"{ARN}:nobody"}),
            "bad handle": ("CancelMessageMoveTask", {"TaskHandle": "garbage"}),
            "long wait": ("ReceiveMessage", {"QueueUrl": self.url, "WaitTimeSeconds": 21}),
            "no label": ("RemovePermission", {"QueueUrl": self.url, "Label": "nobody"}),
            "eight actions": (
                "AddPermission",
                {"QueueUrl": self.url, "Label": "x", "AWSAccountIds": ["111111111111"], "Actions": ["*"] * 8},
            ),
            "their tag": ("TagQueue", {"QueueUrl": self.url, "Tags": {"aws:x": "y"}}),
            "delete": ("DeleteQueue", {"QueueUrl": self.url}),
            "deleted": ("CreateQueue", {"QueueName": "orders"}),
        }
        return {name: self.refused(*call) for name, call in calls.items()}

    def refused(self, operation: str, parameters: dict[str, Any]) -> object:
        try:
            self.call(operation, **parameters)
        except Exception as error:  # noqa: BLE001 - any, to report it
            try:
                return self.sdk.fault(error)
            except AttributeError:
                return [type(error).__name__, str(error)]
        return "accepted"


def main() -> None:
    sdk, system_names, endpoint = sys.argv[1:]
    scenario = Scenario({"boto3": Boto3, "aio": Aio, "cli": Cli}[sdk](endpoint), endpoint, system_names)
    seen: dict[str, object] = {}
    for name in STEPS:
        try:
            seen[name] = getattr(scenario, name)()
        except Exception as error:  # noqa: BLE001 - the other steps go on
            seen[name] = f"{type(error).__name__}: {error}"
    scenario.sdk.close()
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
