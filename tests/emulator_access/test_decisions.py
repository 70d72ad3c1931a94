"""What a policy allows to whom, as tables."""

from __future__ import annotations

import json
from typing import Any

import pytest

from busframe_emulator.api.access import (
    NO_POLICY,
    OPERATORS,
    AccessRequest,
    Decision,
    decide,
    read_identity_policy,
    read_policy,
    refusal,
)
from busframe_emulator.engine.errors import SqsError
from busframe_emulator.engine.settings import QueueAddress

OWNER, OTHER, THIRD = "111111111111", "222222222222", "333333333333"
QUEUE = QueueAddress("us-east-1", OWNER, "orders")
ALICE, BOB = f"arn:aws:iam::{OWNER}:user/alice", f"arn:aws:iam::{OTHER}:user/bob"
TOPIC = f"arn:aws:sns:us-east-1:{OWNER}:prices"

ALLOWED, DENIED, NOT_SHARED, NOT_PERMITTED = (
    Decision.ALLOWED,
    Decision.DENIED,
    Decision.NOT_SHARED,
    Decision.NOT_PERMITTED,
)


def statement(**changed: Any) -> dict[str, Any]:
    """Allow everybody to send; an element set to None is taken out."""
    whole = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": QUEUE.arn, **changed}
    return {name: value for name, value in whole.items() if value is not None}


def policy_of(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def decision(*statements: dict[str, Any], **changed: Any) -> Decision:
    """Bob of another account wants to send, unless told otherwise."""
    asked = AccessRequest(principal=BOB, account=OTHER, action="SendMessage", queue=QUEUE)._replace(**changed)
    return decide(read_policy(policy_of(*statements)), asked)


OWNERS: dict[str, Any] = {"principal": ALICE, "account": OWNER}
DENY = statement(Effect="Deny")


@pytest.mark.parametrize(
    ("statements", "changed", "expected"),
    [
        ([], OWNERS, ALLOWED),
        ([], {}, NOT_SHARED),
        ([statement()], {}, ALLOWED),
        ([DENY], OWNERS, DENIED),
        ([DENY], {}, DENIED),
        ([statement(), DENY], {}, DENIED),
        ([DENY, statement()], OWNERS, DENIED),
        # The caller's own permissions.
        ([], {**OWNERS, "permitted": ["sqs:SendMessage"]}, ALLOWED),
        ([], {**OWNERS, "permitted": ["SQS:send*"]}, ALLOWED),
        ([], {**OWNERS, "permitted": ["*"]}, ALLOWED),
        ([], {**OWNERS, "permitted": ["sqs:ReceiveMessage"]}, NOT_PERMITTED),
        ([], {**OWNERS, "permitted": []}, NOT_PERMITTED),
        ([statement()], {**OWNERS, "permitted": []}, ALLOWED),
        ([statement(Principal={"AWS": ALICE})], {**OWNERS, "permitted": []}, ALLOWED),
        ([statement(Principal={"AWS": OWNER})], {**OWNERS, "permitted": []}, NOT_PERMITTED),
        ([statement()], {"permitted": []}, NOT_PERMITTED),
        ([statement()], {"permitted": ["sqs:SendMessage"]}, ALLOWED),
        # What no policy can give to another account.
        ([statement(Action="*")], {"action": "DeleteQueue"}, NOT_SHARED),
        ([statement(Action="SQS:*")], {"action": "SetQueueAttributes"}, NOT_SHARED),
        ([statement(Action="SQS:*")], {"action": "AddPermission"}, NOT_SHARED),
        ([statement(Action="SQS:*")], {"action": "PurgeQueue"}, ALLOWED),
        ([statement(Action="SQS:*")], {"action": "GetQueueUrl"}, ALLOWED),
        ([], {**OWNERS, "action": "DeleteQueue"}, ALLOWED),
        ([statement(Effect="Deny", Action="sqs:DeleteQueue")], {**OWNERS, "action": "DeleteQueue"}, DENIED),
    ],
)
def test_a_deny_wins_the_owner_may_and_others_need_an_allow(
    statements: list[dict[str, Any]], changed: dict[str, Any], expected: Decision
) -> None:
    assert decision(*statements, **changed) is expected


@pytest.mark.parametrize(
    ("principal", "matches"),
    [
        ("*", True),
        ({"AWS": "*"}, True),
        ({"AWS": OTHER}, True),
        ({"AWS": f"arn:aws:iam::{OTHER}:root"}, True),
        ({"AWS": BOB}, True),
        ({"AWS": [THIRD, BOB]}, True),
        ({"AWS": [f"arn:aws:iam::{OTHER}:user/eve"]}, False),
        ({"AWS": THIRD}, False),
        ({"Service": "sns.amazonaws.com"}, False),
        ({"Service": "sns.amazonaws.com", "AWS": OTHER}, True),
    ],
)
def test_a_principal_is_matched(principal: Any, matches: bool) -> None:  # noqa: FBT001 - a table
    assert (decision(statement(Principal=principal)) is ALLOWED) == matches
    assert (decision(statement(Principal=None, NotPrincipal=principal)) is ALLOWED) != matches


MAY_SEND = statement(Principal=None)


@pytest.mark.parametrize(
    ("own", "changed", "expected"),
    [
        ([MAY_SEND], {}, ALLOWED),
        ([], {}, NOT_PERMITTED),
        ([MAY_SEND], {"action": "SendMessageBatch"}, ALLOWED),
        ([MAY_SEND], {"action": "ReceiveMessage"}, NOT_PERMITTED),
        ([MAY_SEND], {"queue": QUEUE._replace(name="others")}, NOT_PERMITTED),
        ([MAY_SEND, statement(Principal=None, Effect="Deny")], {}, Decision.DENIED_TO_IT),
        ([statement(Principal=None, Action="s3:GetObject", Resource="arn:aws:s3:::bodies/*")], {}, NOT_PERMITTED),
        ([statement(Principal=None, Action="sqs:ListQueues", Resource="*")], {"action": "ListQueues"}, ALLOWED),
        ([MAY_SEND], {"permitted": ["sqs:ReceiveMessage"]}, NOT_PERMITTED),
        ([MAY_SEND], {"account": OTHER, "principal": BOB}, NOT_SHARED),
    ],
)
def test_a_caller_with_a_policy_of_its_own_may_do_what_that_allows(
    own: list[dict[str, Any]], changed: dict[str, Any], expected: Decision
) -> None:
    identity = read_identity_policy(policy_of(*own))
    assert decision(**{**OWNERS, "identity": identity, **changed}) == expected


@pytest.mark.parametrize("given", [[], [statement(Principal={"AWS": OWNER})]])
def test_the_queues_policy_gives_what_a_callers_own_does_not(given: list[dict[str, Any]]) -> None:
    mine = [*given, statement(Principal={"AWS": ALICE})]
    assert decision(*mine, **OWNERS, identity=()) is ALLOWED
    assert decision(*given, **OWNERS, identity=()) is NOT_PERMITTED


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, "a statement of an identity-based policy has no Principal"),
        ({"Principal": None, "Action": "sqs:SendMassage"}, "there is no action sqs:SendMassage"),
        ({"Principal": None, "Action": "SendMessage"}, "SendMessage is not an action of sqs"),
        ({"Principal": None, "Resource": None}, "a statement has either Resource or NotResource"),
    ],
)
def test_what_is_wrong_with_a_callers_own_policy_is_named(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_identity_policy(policy_of(statement(**changed)))


def test_a_service_is_a_principal_of_no_account() -> None:
    sns = {"principal": "sns.amazonaws.com", "account": "", "facts": {"aws:sourcearn": TOPIC}}
    named = statement(Principal={"Service": "sns.amazonaws.com"}, Condition={"ArnEquals": {"aws:SourceArn": TOPIC}})
    assert decision(named, **sns) is ALLOWED
    assert decision(named, **{**sns, "principal": "s3.amazonaws.com"}) is NOT_SHARED
    assert decision(named, **{**sns, "facts": {"aws:sourcearn": TOPIC + "x"}}) is NOT_SHARED


@pytest.mark.parametrize(
    ("pattern", "action", "matches"),
    [
        ("sqs:SendMessage", "SendMessage", True),
        ("SQS:sendmessage", "SendMessage", True),
        ("sqs:SendMessage", "SendMessageBatch", True),
        ("sqs:DeleteMessage", "DeleteMessageBatch", True),
        ("sqs:ChangeMessageVisibility", "ChangeMessageVisibilityBatch", True),
        ("sqs:SendMessageBatch", "SendMessageBatch", False),
        ("sqs:*", "SendMessage", True),
        ("*", "SendMessage", True),
        ("sqs:Send*", "SendMessage", True),
        ("sqs:?endMessage", "SendMessage", True),
        ("sqs:Receive*", "SendMessage", False),
        (["sqs:ReceiveMessage", "sqs:SendMessage"], "SendMessage", True),
    ],
)
def test_an_action_is_matched(pattern: Any, action: str, matches: bool) -> None:  # noqa: FBT001 - a table
    assert (decision(statement(Action=pattern), action=action) is ALLOWED) == matches
    assert (decision(statement(Action=None, NotAction=pattern), action=action) is ALLOWED) != matches


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        (QUEUE.arn, True),
        ("*", True),
        ("arn:aws:sqs:*:*:ord*", True),
        ("arn:aws:sqs:us-east-1:111111111111:order?", True),
        (QUEUE.arn.upper(), False),
        (QUEUE.arn + "s", False),
        ("arn:aws:sqs:us-east-1:111111111111:order[s]", False),
        ([QUEUE.arn + "s", QUEUE.arn], True),
    ],
)
def test_a_resource_is_matched(pattern: Any, matches: bool) -> None:  # noqa: FBT001 - a table
    assert (decision(statement(Resource=pattern)) is ALLOWED) == matches
    assert (decision(statement(Resource=None, NotResource=pattern)) is ALLOWED) != matches


FACTS = {
    "aws:sourceip": "10.1.2.3",
    "aws:sourceaccount": OWNER,
    "aws:sourcearn": TOPIC,
    "aws:principalarn": BOB,
    "aws:principalaccount": OTHER,
    "aws:securetransport": "false",
    "aws:currenttime": "2026-01-02T03:04:05+00:00",
    "aws:epochtime": "1767323045",
}


@pytest.mark.parametrize(
    ("operator", "key", "value", "holds"),
    [
        ("StringEquals", "aws:SourceAccount", OWNER, True),
        ("StringEquals", "AWS:sourceaccount", OWNER, True),
        ("StringEquals", "aws:SourceAccount", [OTHER, OWNER], True),
        ("StringEquals", "aws:SourceAccount", int(OWNER), True),
        ("StringEquals", "aws:SourceAccount", OTHER, False),
        ("StringEquals", "aws:PrincipalArn", BOB.upper(), False),
        ("StringEqualsIgnoreCase", "aws:PrincipalArn", BOB.upper(), True),
        ("StringNotEqualsIgnoreCase", "aws:PrincipalArn", BOB.upper(), False),
        ("StringNotEquals", "aws:SourceAccount", OTHER, True),
        ("StringNotEquals", "aws:SourceAccount", [OTHER, OWNER], False),
        ("StringLike", "aws:SourceAccount", "1111*", True),
        ("StringLike", "aws:SourceAccount", "1111", False),
        ("StringNotLike", "aws:SourceAccount", "1111*", False),
        ("ArnEquals", "aws:SourceArn", TOPIC, True),
        ("ArnLike", "aws:SourceArn", "arn:aws:sns:*:*:pri*", True),
        ("ArnLike", "aws:SourceArn", "arn:aws:*:prices:x:y", False),
        ("ArnLike", "aws:SourceArn", "*", True),
        ("ArnNotEquals", "aws:SourceArn", TOPIC, False),
        ("ArnNotLike", "aws:SourceArn", TOPIC + "x", True),
        ("Bool", "aws:SecureTransport", "false", True),
        ("Bool", "aws:SecureTransport", False, True),
        ("Bool", "aws:SecureTransport", "True", False),
        ("IpAddress", "aws:SourceIp", "10.0.0.0/8", True),
        ("IpAddress", "aws:SourceIp", "10.1.2.3", True),
        ("IpAddress", "aws:SourceIp", ["192.168.0.0/16", "::/0"], False),
        ("NotIpAddress", "aws:SourceIp", "10.0.0.0/8", False),
        ("DateLessThan", "aws:CurrentTime", "2026-01-02T03:04:06Z", True),
        ("DateLessThan", "aws:CurrentTime", "2026-01-02T03:04:05Z", False),
        ("DateLessThanEquals", "aws:CurrentTime", "2026-01-02T03:04:05Z", True),
        ("DateGreaterThan", "aws:CurrentTime", "2026-01-02", True),
        ("DateGreaterThanEquals", "aws:CurrentTime", "1767323045", True),
        ("DateEquals", "aws:CurrentTime", "2026-01-02T04:04:05+01:00", True),
        ("DateNotEquals", "aws:CurrentTime", "2026-01-02T03:04:05Z", False),
        ("NumericEquals", "aws:EpochTime", 1767323045, True),
        ("NumericNotEquals", "aws:EpochTime", "1767323045", False),
        ("NumericLessThan", "aws:EpochTime", "1767323045.5", True),
        ("NumericLessThanEquals", "aws:EpochTime", 1767323045, True),
        ("NumericGreaterThan", "aws:EpochTime", 1767323045, False),
        ("NumericGreaterThanEquals", "aws:EpochTime", 1767323045, True),
    ],
)
def test_a_condition_holds_or_not(operator: str, key: str, value: object, holds: bool) -> None:  # noqa: FBT001 - a table
    allow = statement(Condition={operator: {key: value}})
    assert (decision(allow, facts=FACTS) is ALLOWED) == holds
    assert (decision(statement(Condition={operator + "IfExists": {key: value}}), facts=FACTS) is ALLOWED) == holds


@pytest.mark.parametrize("operator", OPERATORS)
def test_of_what_is_not_known_only_a_negation_holds(operator: str) -> None:
    key, value = {
        "Bo": ("aws:SecureTransport", "true"),
        "Ip": ("aws:SourceIp", "::/0"),
        "No": ("aws:SourceIp", "::/0"),
        "Da": ("aws:CurrentTime", "2026-01-01"),
        "Nu": ("aws:EpochTime", "0"),
    }.get(operator[:2], ("aws:SourceArn", TOPIC))
    assert (decision(statement(Condition={operator: {key: value}})) is ALLOWED) == ("Not" in operator)
    assert decision(statement(Condition={operator + "IfExists": {key: value}})) is ALLOWED


def test_all_lines_of_a_condition_have_to_hold() -> None:
    line = {"StringEquals": {"aws:SourceAccount": OWNER, "aws:PrincipalAccount": OTHER}}
    assert decision(statement(Condition={**line, "Bool": {"aws:SecureTransport": "false"}}), facts=FACTS) is ALLOWED
    assert decision(statement(Condition={**line, "Bool": {"aws:SecureTransport": "true"}}), facts=FACTS) is NOT_SHARED


def test_an_ipv4_address_in_ipv6_clothes_is_itself() -> None:
    allow = statement(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})
    assert decision(allow, facts={"aws:sourceip": "::ffff:10.1.2.3"}) is ALLOWED


def test_a_statement_may_stand_without_a_list() -> None:
    text = json.dumps({"Id": "x", "Statement": statement(Sid="y")})
    asked = AccessRequest(principal=BOB, account=OTHER, action="SendMessage", queue=QUEUE)
    assert decide(read_policy(text), asked) is ALLOWED


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"Condition": {"StringFoo": {"aws:SourceIp": "x"}}}, "the condition operator StringFoo is not modelled"),
        ({"Condition": {"Null": {"aws:SourceIp": "true"}}}, "the condition operator Null is not modelled"),
        (
            {"Condition": {"ForAnyValue:StringLike": {"aws:SourceArn": "x"}}},
            "the condition operator ForAnyValue:StringLike is not modelled",
        ),
        (
            {"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-x"}}},
            "the condition key aws:PrincipalOrgID is not modelled",
        ),
        (
            {"Condition": {"NumericEquals": {"aws:SourceIp": "1"}}},
            "the condition operator NumericEquals does not go with aws:SourceIp",
        ),
        ({"Condition": {"StringEquals": {"aws:SourceIp": []}}}, "the condition key aws:SourceIp has no values"),
        ({"Condition": {"ArnLike": {"aws:SourceArn": "prices"}}}, "prices is not an ARN"),
        ({"Condition": {"Bool": {"aws:SecureTransport": "yes"}}}, "yes is neither true nor false"),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0"}}}, "'10.0.0' does not appear to be"),
        ({"Condition": {"DateEquals": {"aws:CurrentTime": "soon"}}}, "Invalid isoformat string: 'soon'"),
        ({"Condition": {"NumericEquals": {"aws:EpochTime": "NaN"}}}, "NaN is not a number"),
        ({"Condition": {"StringEquals": "x"}}, "Expected `object`, got `str`"),
        ({"Action": "sns:Publish"}, "sns:Publish is not an action of sqs"),
        ({"Action": "sqs:SendMassage"}, "there is no action sqs:SendMassage"),
        ({"Action": []}, "a list in a statement is empty"),
        ({"Action": None}, "a statement has either Action or NotAction"),
        ({"NotAction": "sqs:*"}, "a statement has either Action or NotAction"),
        ({"Resource": None}, "a statement has either Resource or NotResource"),
        ({"Principal": None}, "a statement has either Principal or NotPrincipal"),
        ({"Principal": "bob"}, 'a Principal is "*" or an object, not bob'),
        ({"Principal": {"AWS": "bob"}}, "the principal AWS bob is not modelled"),
        ({"Principal": {"AWS": f"arn:aws:iam::{OTHER}:user/*"}}, "is not modelled"),
        ({"Principal": {"Federated": "x"}}, "the principal Federated x is not modelled"),
        ({"Resource": "arn:aws:sqs:*:*:${aws:username}"}, "policy variables are not modelled"),
        ({"Effect": "Maybe"}, "Invalid enum value 'Maybe'"),
        ({"Effects": "Allow"}, "Object contains unknown field `Effects`"),
    ],
)
def test_what_is_malformed_or_not_modelled_is_refused_by_name(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(SqsError) as caught:
        read_policy(policy_of(statement(**changed)))
    assert caught.value.shape == "InvalidAttributeValue"
    assert caught.value.text.startswith("Invalid value for the parameter Policy. Reason: ")
    assert reason in caught.value.text


@pytest.mark.parametrize("text", ["{}", "[]", "x", '{"Statement":[1]}', '{"Statement":[],"Version":"1"}', "[" * 9999])
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(SqsError, match="InvalidAttributeValue"):
        read_policy(text)


@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        (DENIED, "with an explicit deny in a resource-based policy"),
        (NOT_SHARED, "because no resource-based policy allows the sqs:sendmessage action"),
        (NOT_PERMITTED, "because no identity-based policy allows the sqs:sendmessage action"),
    ],
)
def test_a_refusal_says_who_may_not_do_what_to_which_and_why(outcome: Decision, end: str) -> None:
    asked = AccessRequest(principal=BOB, account=OTHER, action="SendMessageBatch", queue=QUEUE)
    error = refusal(outcome, asked)
    assert error.shape == "AccessDeniedException"
    assert error.text == f"User: {BOB} is not authorized to perform: sqs:sendmessage on resource: {QUEUE.arn} {end}"


def test_without_a_policy_only_the_owner_may() -> None:
    asked = AccessRequest(principal=BOB, account=OTHER, action="SendMessage", queue=QUEUE)
    assert decide(NO_POLICY, asked) is NOT_SHARED
    assert decide(NO_POLICY, asked._replace(**OWNERS)) is ALLOWED
