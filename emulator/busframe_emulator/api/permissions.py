"""AddPermission and RemovePermission: statements of the queue's Policy, by their label.

Source: Amazon SQS API, AddPermission; texts and the form of the statement are the service's own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from busframe_emulator.api import actions
from busframe_emulator.api.errors import invalid_parameter, missing_parameter
from busframe_emulator.api.policies import POLICY_BYTES_MAX
from busframe_emulator.engine import requests
from busframe_emulator.engine.errors import SqsError, invalid_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe_emulator.api.caller import Caller
    from busframe_emulator.engine.engine import Engine
    from busframe_emulator.engine.settings import QueueAddress

ACTIONS_MAX: Final = 7

STATEMENTS_MAX: Final = 20
"""Amazon SQS developer guide, "Limitations of custom policies"."""

_LABEL: Final = re.compile(r"[A-Za-z0-9_-]{1,80}").fullmatch
_ACCOUNT: Final = re.compile(r"[0-9]{12}", re.ASCII).fullmatch
_GRANTABLE: Final = frozenset(
    {
        "*",
        "ChangeMessageVisibility",
        "DeleteMessage",
        "GetQueueAttributes",
        "GetQueueUrl",
        "ListDeadLetterSourceQueues",
        "PurgeQueue",
        "ReceiveMessage",
        "SendMessage",
    }
)
"""Amazon SQS API: what an owner can let others do. A batch action goes with its single one."""

_Policy = dict[str, Any]


def add_permission(engine: Engine, caller: Caller, now_us: int, request: actions.AddPermission) -> None:
    """Allow actions on the queue to other accounts, in a new statement of its policy."""
    label = request.label
    if not _LABEL(label):
        raise invalid_value("Label", label, "Label can only include alphanumeric characters, hyphens, or underscores.")
    for account in request.account_ids or [""]:
        if not _ACCOUNT(account):
            raise invalid_value("PrincipalId", f"[{account}]", "Unable to verify.")
    _check_actions(request.actions)
    queue = caller.address(request.queue_url)
    policy = _policy(engine, now_us, queue)
    statements = policy["Statement"]
    if any(statement.get("Sid") == label for statement in statements):
        raise invalid_value("Label", label, "Already exists.")
    statements.append(
        {
            "Sid": label,
            "Effect": "Allow",
            "Principal": {"AWS": _alone([f"arn:aws:iam::{account}:root" for account in request.account_ids])},
            "Action": _alone([f"SQS:{action}" for action in request.actions]),
            "Resource": queue.arn,
        }
    )
    if len(statements) > STATEMENTS_MAX or len(msgspec.json.encode(policy)) > POLICY_BYTES_MAX:
        raise SqsError(
            "OverLimit",
            f"The policy of the queue can have {STATEMENTS_MAX} statements and {POLICY_BYTES_MAX} bytes.",
        )
    _store(engine, now_us, queue, policy)


def remove_permission(engine: Engine, caller: Caller, now_us: int, request: actions.RemovePermission) -> None:
    """Take a statement out of the queue's policy; without statements there is no policy."""
    queue = caller.address(request.queue_url)
    policy = _policy(engine, now_us, queue)
    kept = [statement for statement in policy["Statement"] if statement.get("Sid") != request.label]
    if len(kept) == len(policy["Statement"]):
        raise invalid_value("Label", request.label, "can't find label.")
    policy["Statement"] = kept
    _store(engine, now_us, queue, policy)


def _check_actions(names: Sequence[str]) -> None:
    if not names:
        raise missing_parameter("Actions")
    if len(names) > ACTIONS_MAX:
        raise SqsError("OverLimit", f"{len(names)} Actions were found, maximum allowed is {ACTIONS_MAX}.")
    for name in names:
        if name in _GRANTABLE:
            continue
        if name in actions.ALL_ACTIONS:
            reason = "Only the queue owner is allowed to invoke this action."
        else:
            reason = "Please refer to the appropriate WSDL for a list of valid actions."
        raise invalid_value("ActionName", f"SQS:{name}", reason)


def _policy(engine: Engine, now_us: int, queue: QueueAddress) -> _Policy:
    """The queue's policy with its statements as a list, or a new one."""
    text = engine.apply(now_us, requests.GetQueue(queue=queue)).settings.policy
    if text is None:
        return {"Version": "2008-10-17", "Id": f"{queue.arn}/SQSDefaultPolicy", "Statement": []}
    try:
        policy = cast("_Policy", msgspec.json.decode(text))
    except RecursionError:  # it was set where the stack had more room
        raise invalid_parameter("The policy of the queue is nested too deeply to be read.") from None
    statements = policy.get("Statement", [])
    # A policy may have a single statement without a list.
    listed = cast("list[object]", statements) if isinstance(statements, list) else [statements]
    policy["Statement"] = [each for each in listed if isinstance(each, dict)]
    return policy


def _store(engine: Engine, now_us: int, queue: QueueAddress, policy: _Policy) -> None:
    text = msgspec.json.encode(policy).decode() if policy["Statement"] else None
    engine.apply(now_us, requests.SetQueue(queue=queue, settings={"policy": text}))


def _alone(values: list[str]) -> str | list[str]:
    """One value stands without a list, as SQS writes it."""
    return values[0] if len(values) == 1 else values
