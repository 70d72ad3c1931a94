"""The file of queues: what it can say, and that a fault in it is named before anything is created."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from emulator_control.asking import Ask

from busframe_emulator.engine import Engine
from busframe_emulator.engine.ids import Ids
from busframe_emulator.engine.requests import GetQueue
from busframe_emulator.engine.settings import QueueAddress
from busframe_emulator.server.configuration import ConfigurationError, create_queues, read_queues
from busframe_emulator.server.thread import run_in_thread

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = """
[[queue]]
name = "orders"
tags = { team = "shop" }
dead_letter = { queue = "orders-dead", max_receive_count = 5 }

[queue.attributes]
VisibilityTimeout = 60
SqsManagedSseEnabled = false
RedriveAllowPolicy = { redrivePermission = "denyAll" }

[[queue]]
name = "orders-dead"

[[queue]]
name = "payments.fifo"
region = "eu-west-1"
account = "111111111111"
attributes = { ContentBasedDeduplication = true, DelaySeconds = "5" }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "queues.toml"


def test_queues_are_there_from_the_start_with_what_the_file_says(file: Path) -> None:
    file.write_text(WHOLE)
    untyped: Any = boto3
    with run_in_thread(queues=read_queues(file)) as server:
        sqs = untyped.client(
            "sqs",
            endpoint_url=server.url,
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",  # noqa: S106 - nobody's
        )
        url = sqs.get_queue_url(QueueName="orders")["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert attributes["VisibilityTimeout"] == "60"
        assert attributes["SqsManagedSseEnabled"] == "false"
        assert json.loads(attributes["RedriveAllowPolicy"]) == {"redrivePermission": "denyAll"}
        assert json.loads(attributes["RedrivePolicy"]) == {
            "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:orders-dead",
            "maxReceiveCount": 5,
        }
        assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "shop"}
        fifo = Ask(server.port).queue("payments.fifo")
        assert (fifo["fifo"], fifo["region"], fifo["account"]) == (True, "eu-west-1", "111111111111")


def test_queues_without_a_region_are_of_the_server(file: Path) -> None:
    file.write_text('[[queue]]\nname = "a"\n')
    [plan] = read_queues(file, region="eu-west-1", account="111111111111")
    assert plan.address == ("eu-west-1", "111111111111", "a")


def test_a_queue_that_is_there_already_gets_what_the_file_says_now(file: Path) -> None:
    engine = Engine(ids=Ids(1))
    for timeout_s, tag in ((60, "a"), (90, "b")):
        settings = f'attributes = {{ VisibilityTimeout = {timeout_s} }}\ntags = {{ {tag} = "1" }}'
        file.write_text(f'[[queue]]\nname = "orders.fifo"\n{settings}\n')
        create_queues(engine, 0, read_queues(file))
    view = engine.apply(0, GetQueue(queue=QueueAddress("us-east-1", "000000000000", "orders.fifo")))
    assert view.settings.visibility_us == 90_000_000
    assert view.tags == {"a": "1", "b": "1"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (
            '[[queue]]\nname = "a"\nattributes = { VisibilityTimeout = 43201 }',
            ['queue "a"', "VisibilityTimeout", "'43201'", "allowed: 0 to 43200"],
        ),
        (
            '[[queue]]\nname = "a.fifo"\nattributes = { DeduplicationScope = "all" }',
            ['queue "a.fifo"', "DeduplicationScope", "'all'", "allowed: queue or messageGroup"],
        ),
        ('[[queue]]\nname = "a"\nattributes = { Visibility = 1 }', ['queue "a"', "Visibility"]),
        ('[[queue]]\nname = "a"\nattributes = { DelaySeconds = 1.5 }', ['queue "a"', "DelaySeconds", "1.5"]),
        ('[[queue]]\nname = "a"\nattributes = { FifoQueue = true }', ['queue "a"', ".fifo"]),
        ('[[queue]]\nname = "a b"', ['queue "a b"', "alphanumeric"]),
        ('[[queue]]\nname = "a"\n[[queue]]\nname = "a"', ['queue "a"', "twice"]),
        (
            '[[queue]]\nname = "a"\ndead_letter = { queue = "b", max_receive_count = 3 }',
            ['queue "a"', "RedrivePolicy", "does not exist"],
        ),
        (
            '[[queue]]\nname = "a"\ndead_letter = { queue = "a", max_receive_count = 0 }',
            ['queue "a"', "RedrivePolicy", "maxReceiveCount"],
        ),
        (
            '[[queue]]\nname = "a"\nattributes.RedrivePolicy = 1\ndead_letter = { queue = "a", max_receive_count = 1}',
            ['queue "a"', "RedrivePolicy", "already"],
        ),
        ('[[queue]]\nname = "a"\ntags = { "aws:x" = "1" }', ['queue "a"', "aws:"]),
        ('[[queue]]\nname = "a"\nregion = "US"', ['queue "a"', "a region has", "'US'"]),
        ('[[queue]]\nname = "a"\naccount = "12"', ['queue "a"', "an account has twelve digits", "'12'"]),
        ('[[queue]]\nname = "a"\nfifo = true', ["fifo"]),
        ('[[queue]]\nregion = "x"', ["name"]),
        ("[[queues]]", ["queues"]),
        ("nonsense\n", ["not TOML", "line 1"]),
    ],
)
def test_a_fault_is_named_with_its_file(file: Path, text: str, names: list[str]) -> None:
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_queues(file)
    said = str(caught.value)
    assert said.startswith(f"{file}: ")
    assert "\n" not in said
    for name in names:
        assert name in said


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"queues\.toml: No such file"):
        read_queues(file)
