"""Enforces queue policies: every action is asked for leave before it is done."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from busframe_emulator.api import access, actions
from busframe_emulator.api.moving import read_handle
from busframe_emulator.api.policies import read_policy
from busframe_emulator.engine import requests
from busframe_emulator.engine.errors import SqsError
from busframe_emulator.engine.settings import SECOND_US, QueueAddress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from busframe_emulator.api.caller import Caller
    from busframe_emulator.api.receiving import Waiting
    from busframe_emulator.api.results import AnyResult
    from busframe_emulator.api.service import Action
    from busframe_emulator.engine.engine import Engine

_LAST_S: Final = 253_402_300_799
"""The end of the year 9999: a test can move the clock further than a date can be written."""


_TO_MOVE_FROM: Final = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
"""Amazon SQS developer guide, "Configuring a dead-letter queue redrive": what StartMessageMoveTask also needs."""


class Guard:
    """Stands before the actions.

    Args:
        secure: whether callers come over TLS (aws:SecureTransport). The server itself does not speak it.
    """

    def __init__(self, *, secure: bool = False) -> None:
        self._secure = "true" if secure else "false"

    def before(self, action: Action, source_ip: str) -> Action:
        """The action for one request, with the question before it.

        Args:
            action: what is asked for.
            source_ip: where the request comes from; empty if that is not known.
        """

        def handle(engine: Engine, caller: Caller, now_us: int, request: actions.Input) -> AnyResult | Waiting:
            self._ask(engine, caller, now_us, request, source_ip)
            return action.handle(engine, caller, now_us, request)

        return action._replace(handle=handle)

    def _ask(self, engine: Engine, caller: Caller, now_us: int, request: actions.Input, source_ip: str) -> None:
        """Raise the refusal if the caller may not do this, or sets a policy that could not be enforced."""
        facts = self._facts(caller, now_us, source_ip)
        own = None if caller.policy is None else access.read_identity_policy(caller.policy)
        for action, queue in _parts(engine, now_us, caller, request):
            asked = access.AccessRequest(caller.arn, caller.account, action, queue, caller.actions, facts, own)
            decision = access.decide(_policy_of(engine, now_us, asked), asked)
            if decision is not access.Decision.ALLOWED:
                raise access.refusal(decision, asked)
        if isinstance(request, actions.CreateQueue | actions.SetQueueAttributes):
            policy = read_policy((request.attributes or {}).get("Policy", ""))
            if policy is not None:
                access.read_policy(policy)

    def _facts(self, caller: Caller, now_us: int, source_ip: str) -> dict[str, str]:
        """The condition keys of a request by a user. The time is the emulator's, which a test can move."""
        now_s = min(now_us // SECOND_US, _LAST_S)
        facts = {
            "aws:currenttime": datetime.fromtimestamp(now_s, UTC).isoformat(),
            "aws:epochtime": str(now_s),
            "aws:principalaccount": caller.account,
            "aws:principalarn": caller.arn,
            "aws:securetransport": self._secure,
        }
        if source_ip:
            facts["aws:sourceip"] = source_ip
        return facts


def _parts(engine: Engine, now_us: int, caller: Caller, request: actions.Input) -> Iterator[tuple[str, QueueAddress]]:
    """What has to be allowed: the action on its queue, and for who moves messages all that moving takes."""
    queue = _queue_of(caller, request)
    yield type(request).__name__, queue
    if isinstance(request, actions.StartMessageMoveTask):
        for action in _TO_MOVE_FROM:
            yield action, queue
        for target in _targets(engine, now_us, caller, request, queue):
            yield "SendMessage", target


def _targets(
    engine: Engine, now_us: int, caller: Caller, request: actions.StartMessageMoveTask, queue: QueueAddress
) -> Iterator[QueueAddress]:
    """Where messages would be moved to: where the caller says, or to any queue that has this one for dead letters."""
    if request.destination_arn is not None:
        yield _queue_by_arn(caller, request.destination_arn)
        return
    try:
        sources = engine.apply(now_us, requests.ListSources(queue=queue, limit=sys.maxsize)).names
    except SqsError:  # the action itself will say that there is no such queue
        return
    for name in sources:
        yield queue._replace(name=name)


def _queue_of(caller: Caller, request: actions.Input) -> QueueAddress:
    """The queue an action is on; one without a name for those that are on the account."""
    match request:
        case actions.QueueInput():
            return caller.address(request.queue_url)
        case actions.GetQueueUrl():
            own = caller.own_queue(request.queue_name)
            return own._replace(account=request.queue_owner_account or own.account)
        case actions.CreateQueue():
            return caller.own_queue(request.queue_name)
        case actions.StartMessageMoveTask() | actions.ListMessageMoveTasks():
            return _queue_by_arn(caller, request.source_arn)
        case actions.CancelMessageMoveTask():
            return _queue_by_arn(caller, read_handle(request.task_handle).source_arn)
        case _:
            return caller.own_queue("")


def _queue_by_arn(caller: Caller, arn: str) -> QueueAddress:
    """The queue of that ARN; what is no ARN the action itself will refuse."""
    return QueueAddress.from_arn(arn) or caller.own_queue("")


def _policy_of(engine: Engine, now_us: int, asked: access.AccessRequest) -> access.Policy:
    """The policy of the queue, if there are both.

    A policy from a time when it was not enforced may be one that cannot be. Then nothing is allowed but what only the
    owner can do, such as setting another.
    """
    try:
        text = engine.apply(now_us, requests.GetQueue(queue=asked.queue)).settings.policy
    except SqsError:
        return access.NO_POLICY
    try:
        return access.read_policy(text) if text else access.NO_POLICY
    except SqsError:
        if asked.action in access.OWNERS_ONLY:
            return access.NO_POLICY
        raise
