"""What stands before the actions, without a server."""

from __future__ import annotations

from base64 import b64encode

import pytest

from busframe_emulator.api import actions
from busframe_emulator.api.caller import Caller
from busframe_emulator.api.guard import Guard
from busframe_emulator.api.service import HANDLED
from busframe_emulator.engine import Engine, requests
from busframe_emulator.engine.errors import SqsError
from busframe_emulator.engine.ids import Ids

ALICE = Caller(region="us-east-1", account="111111111111", base_url="http://x")
BOB = Caller(region="us-east-1", account="222222222222", base_url="http://x")
ARN = "arn:aws:sqs:us-east-1:111111111111:orders"
URL = "http://x/111111111111/orders"


def ask(engine: Engine, request: actions.Input, now_us: int = 0, caller: Caller = ALICE) -> None:
    """Do what is asked for, with leave; by the owner unless told otherwise."""
    Guard().before(HANDLED[type(request).__name__], "").handle(engine, caller, now_us, request)


@pytest.fixture
def engine() -> Engine:
    made = Engine(ids=Ids(1))
    ask(made, actions.CreateQueue(queue_name="orders"))
    return made


def test_under_a_stored_policy_that_cannot_be_enforced_nothing_works_but_to_replace_it(engine: Engine) -> None:
    engine.apply(0, requests.SetQueue(queue=ALICE.own_queue("orders"), settings={"policy": '{"Statement":{}}'}))
    for request in (
        actions.SendMessage(queue_url=URL, message_body="x"),
        actions.ReceiveMessage(queue_url=URL),
        actions.GetQueueAttributes(queue_url=URL),
    ):
        with pytest.raises(SqsError, match="Invalid value for the parameter Policy"):
            ask(engine, request)
    ask(engine, actions.SetQueueAttributes(queue_url=URL, attributes={"Policy": ""}))
    ask(engine, actions.SendMessage(queue_url=URL, message_body="x"))


@pytest.mark.parametrize(
    "request_",
    [
        actions.StartMessageMoveTask(source_arn=ARN),
        actions.ListMessageMoveTasks(source_arn=ARN),
        actions.CancelMessageMoveTask(task_handle=b64encode(f'{{"taskId":"x","sourceArn":"{ARN}"}}'.encode()).decode()),
        actions.StartMessageMoveTask(source_arn=ARN.replace("1" * 12, "2" * 12), destination_arn=ARN),
    ],
)
def test_messages_of_another_account_are_not_moved(engine: Engine, request_: actions.Input) -> None:
    with pytest.raises(SqsError, match="no resource-based policy allows"):
        ask(engine, request_, caller=BOB)


def test_a_clock_moved_beyond_all_dates_is_no_obstacle(engine: Engine) -> None:
    ask(engine, actions.SendMessage(queue_url=URL, message_body="x"), 10**18)
