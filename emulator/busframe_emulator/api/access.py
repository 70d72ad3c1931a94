"""What a queue's policy allows to whom. Pure: a policy and a request in, a decision out.

A policy is read in full before it is used: an element, operator, key or value that is not modelled here is refused by
name, since a condition that is ignored would allow, or deny, what its author did not mean.

The rules: an explicit Deny wins. Within the queue's own account everything else is allowed, unless the caller's own
permissions are limited, by a list of actions or by an IAM policy (as a queue's, without principals); then the queue's
policy may still allow it to that very user. Another account needs an Allow of the queue's policy, and there are actions
no policy can give away.

Source: IAM user guide, "Policy evaluation logic" and "IAM JSON policy elements reference"; Amazon SQS developer guide,
"Using custom policies with the Amazon SQS Access Policy Language".
"""

# No `from __future__ import annotations`: msgspec reads the annotations of the classes below.

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from fnmatch import translate
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import Struct

from busframe_emulator.api.actions import ALL_ACTIONS
from busframe_emulator.engine.errors import SqsError
from busframe_emulator.engine.settings import QueueAddress

OWNERS_ONLY: Final = frozenset(
    {
        "AddPermission",
        "CancelMessageMoveTask",
        "CreateQueue",
        "DeleteQueue",
        "ListMessageMoveTasks",
        "ListQueueTags",
        "ListQueues",
        "RemovePermission",
        "SetQueueAttributes",
        "StartMessageMoveTask",
        "TagQueue",
        "UntagQueue",
    }
)
"""Amazon SQS API: "Cross-account permissions don't apply to this action". Of the move tasks it does not say so; but a
dead-letter queue is of the same account as its sources."""

_ACCOUNT: Final = re.compile(r"[0-9]{12}", re.ASCII).fullmatch
_ROOT: Final = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}):root", re.ASCII).fullmatch
_PRINCIPAL_ARN: Final = re.compile(r"arn:aws[a-z-]*:(?:iam|sts)::[0-9]{12}:[A-Za-z-]+/[^*?]+", re.ASCII).fullmatch
_SERVICE: Final = re.compile(r"[a-z0-9.-]+\.amazonaws\.com", re.ASCII).fullmatch
_OF_ANOTHER_SERVICE: Final = re.compile(r"(?!sqs:)[a-z0-9-]+:.+", re.ASCII | re.IGNORECASE).fullmatch
_ARN_PARTS: Final = 6
_VENDOR: Final = "sqs:"

_Test = Callable[[str], bool]
"""Whether a fact of the request passes."""


class Decision(Enum):
    """What comes of a request. The value is the end of AWS's sentence about a refusal."""

    ALLOWED = ""
    DENIED = "with an explicit deny in a resource-based policy"
    DENIED_TO_IT = "with an explicit deny in an identity-based policy"
    NOT_SHARED = "because no resource-based policy allows the {action} action"
    NOT_PERMITTED = "because no identity-based policy allows the {action} action"


class AccessRequest(NamedTuple):
    """Who wants to do what.

    Attributes:
        principal: ARN of the user, role or account; or a service's name, such as "sns.amazonaws.com".
        account: of the principal; empty for a service.
        action: such as "SendMessage". A batch action is the same as its single one.
        permitted: what the principal may do at all, such as "sqs:Send*"; None for everything.
        identity: the policy that its permissions come from; None for everything.
        facts: values of condition keys by name in lower case; one that is absent is not known.
    """

    principal: str
    account: str
    action: str
    queue: QueueAddress
    permitted: Sequence[str] | None = None
    facts: Mapping[str, str] = {}
    identity: Sequence["Statement"] | None = None


class Principals(NamedTuple):
    """Whom a statement names."""

    everyone: bool
    accounts: frozenset[str]
    names: frozenset[str]

    def match(self, request: AccessRequest) -> bool:
        """Whether the one who asks is meant, by name or as one of an account."""
        return self.everyone or request.account in self.accounts or request.principal in self.names

    def name(self, request: AccessRequest) -> bool:
        """Whether the one who asks is meant as such. An account's users get from it only what they are permitted."""
        return self.everyone or request.principal in self.names


class Condition(NamedTuple):
    """One line of a statement's Condition.

    Attributes:
        key: in lower case.
        negated: none of the tests may pass, and an unknown fact is as good as one that passes none.
        if_known: an unknown fact is no obstacle.
    """

    key: str
    tests: Sequence[_Test]
    negated: bool
    if_known: bool

    def holds(self, facts: Mapping[str, str]) -> bool:
        """Whether the facts are as the condition wants them."""
        fact = facts.get(self.key)
        if fact is None:
            return self.negated or self.if_known
        return any(test(fact) for test in self.tests) != self.negated


class Statement(NamedTuple):
    """One statement of a policy, ready to be applied. The "not" of each part turns it around."""

    allow: bool
    principals: Principals
    not_principals: bool
    actions: _Test
    not_actions: bool
    resources: _Test
    not_resources: bool
    conditions: Sequence[Condition]

    def applies(self, request: AccessRequest) -> bool:
        """Whether the statement speaks of this request."""
        return (
            self.principals.match(request) != self.not_principals
            and self.actions(_action_name(request.action)) != self.not_actions
            and self.resources(request.queue.arn) != self.not_resources
            and all(condition.holds(request.facts) for condition in self.conditions)
        )


Policy = Sequence[Statement]
NO_POLICY: Final[Policy] = ()


def decide(policy: Policy, request: AccessRequest) -> Decision:
    """Whether the request is allowed, and if not, why."""
    applying = [statement for statement in policy if statement.applies(request)]
    if not all(statement.allow for statement in applying):
        return Decision.DENIED
    own = [statement for statement in request.identity or () if statement.applies(request)]
    if not all(statement.allow for statement in own):
        return Decision.DENIED_TO_IT
    permitted = request.permitted is None or _any_of([_glob_lower(name) for name in request.permitted])(
        _action_name(request.action)
    )
    permitted = permitted and (request.identity is None or bool(own))
    if request.account != request.queue.account:
        if request.action in OWNERS_ONLY or not applying:
            return Decision.NOT_SHARED
    elif not permitted:
        permitted = any(statement.not_principals or statement.principals.name(request) for statement in applying)
    return Decision.ALLOWED if permitted else Decision.NOT_PERMITTED


def refusal(decision: Decision, request: AccessRequest) -> SqsError:
    """The error for a decision that does not allow."""
    action = _action_name(request.action)
    return SqsError(
        "AccessDeniedException",
        f"User: {request.principal} is not authorized to perform: {action} on resource: {request.queue.arn} "
        f"{decision.value.format(action=action)}",
    )


def check_action(pattern: str) -> None:
    """Check that a name from a policy, with wildcards or without, means any action of SQS.

    Raises:
        ValueError: it does not, and why.
    """
    name = pattern.lower()
    if name != "*" and not name.startswith(_VENDOR):
        raise ValueError(f"{pattern} is not an action of sqs")
    if not any(map(_glob_lower(name), (_VENDOR + action.lower() for action in ALL_ACTIONS))):
        raise ValueError(f"there is no action {pattern}")


def _action_name(action: str) -> str:
    return _VENDOR + action.removesuffix("Batch").lower()


# --- conditions -----------------------------------------------------------------------------------------------------


def _glob(pattern: str) -> _Test:
    """Text with "*" and "?" for any characters; fnmatch would take brackets for more than they are."""
    matches = re.compile(translate(pattern.replace("[", "[[]"))).fullmatch
    return lambda fact: matches(fact) is not None


def _glob_lower(pattern: str) -> _Test:
    return _glob(pattern.lower())


def _equals(text: str) -> _Test:
    return lambda fact: fact == text


def _equals_any_case(text: str) -> _Test:
    return lambda fact: fact.lower() == text.lower()


def _arn(text: str) -> _Test:
    """An ARN, each of its six parts with wildcards of its own."""
    parts = text.split(":", _ARN_PARTS - 1)
    if parts[0] not in {"arn", "*"} or (len(parts) != _ARN_PARTS and text != "*"):
        raise ValueError(f"{text} is not an ARN")
    globs = [_glob(part) for part in parts]

    def test(fact: str) -> bool:
        given = fact.split(":", _ARN_PARTS - 1)
        return text == "*" or (
            len(given) == _ARN_PARTS and all(glob(part) for glob, part in zip(globs, given, strict=True))
        )

    return test


def _bool(text: str) -> _Test:
    if text.lower() not in {"true", "false"}:
        raise ValueError(f"{text} is neither true nor false")
    return _equals(text.lower())


def _network(text: str) -> _Test:
    network = ip_network(text, strict=False)

    def test(fact: str) -> bool:
        address = ip_address(fact)
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return address in network

    return test


def _date(text: str) -> float:
    """Seconds since 1970, given as such or in ISO 8601; a date without a zone is in UTC."""
    if text.isascii() and text.isdigit():
        return float(text)
    date = datetime.fromisoformat(text)
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a number")
    return number


def _ordered(read: Callable[[str], float], compare: Callable[[float, float], bool]) -> Callable[[str], _Test]:
    def make(text: str) -> _Test:
        bound = read(text)
        return lambda fact: compare(read(fact), bound)

    return make


class Operator(NamedTuple):
    """A condition operator.

    Attributes:
        make: reads one value of the policy; raises ValueError if it is not one.
        kind: of the keys that it goes with; None for all.
    """

    make: Callable[[str], _Test]
    kind: Literal["arn", "bool", "address", "date", "number"] | None = None
    negated: bool = False


def _comparisons(
    name: Literal["Date", "Numeric"], kind: Literal["date", "number"], read: Callable[[str], float]
) -> dict[str, Operator]:
    equal = _ordered(read, operator.eq)
    return {
        f"{name}Equals": Operator(equal, kind),
        f"{name}NotEquals": Operator(equal, kind, negated=True),
        f"{name}LessThan": Operator(_ordered(read, operator.lt), kind),
        f"{name}LessThanEquals": Operator(_ordered(read, operator.le), kind),
        f"{name}GreaterThan": Operator(_ordered(read, operator.gt), kind),
        f"{name}GreaterThanEquals": Operator(_ordered(read, operator.ge), kind),
    }


OPERATORS: Final = {
    "StringEquals": Operator(_equals),
    "StringNotEquals": Operator(_equals, negated=True),
    "StringEqualsIgnoreCase": Operator(_equals_any_case),
    "StringNotEqualsIgnoreCase": Operator(_equals_any_case, negated=True),
    "StringLike": Operator(_glob),
    "StringNotLike": Operator(_glob, negated=True),
    # ArnEquals and ArnLike behave identically. IAM user guide, "Condition operators".
    "ArnEquals": Operator(_arn, "arn"),
    "ArnNotEquals": Operator(_arn, "arn", negated=True),
    "ArnLike": Operator(_arn, "arn"),
    "ArnNotLike": Operator(_arn, "arn", negated=True),
    "Bool": Operator(_bool, "bool"),
    "IpAddress": Operator(_network, "address"),
    "NotIpAddress": Operator(_network, "address", negated=True),
    **_comparisons("Date", "date", _date),
    **_comparisons("Numeric", "number", _number),
}
"""Each also with "IfExists" at its end."""

KEYS: Final = {
    "aws:currenttime": "date",
    "aws:epochtime": "number",
    "aws:principalaccount": "text",
    "aws:principalarn": "arn",
    "aws:securetransport": "bool",
    "aws:sourceaccount": "text",
    "aws:sourcearn": "arn",
    "aws:sourceip": "address",
}
"""The condition keys in lower case, and what each holds. Amazon SQS has no keys of its own."""

_IF_EXISTS: Final = "IfExists"


# --- reading --------------------------------------------------------------------------------------------------------

_Texts = str | list[str]
_Named = str | dict[str, _Texts]
_Scalar = str | bool | int | float


class _StatementText(Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    effect: Literal["Allow", "Deny"]
    sid: str = ""
    principal: _Named | None = None
    not_principal: _Named | None = None
    action: _Texts | None = None
    not_action: _Texts | None = None
    resource: _Texts | None = None
    not_resource: _Texts | None = None
    condition: dict[str, dict[str, _Scalar | list[_Scalar]]] = {}


class _PolicyText(Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    statement: _StatementText | list[_StatementText]
    version: Literal["2008-10-17", "2012-10-17"] = "2008-10-17"
    id: str = ""


@lru_cache(maxsize=1_000)
def read_policy(text: str) -> Policy:
    """Read the attribute Policy; one policy is read once.

    Raises:
        SqsError: InvalidAttributeValue, naming what is malformed or not modelled.
    """
    try:
        return _read_policy(text)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise SqsError("InvalidAttributeValue", f"Invalid value for the parameter Policy. Reason: {error}.") from None


@lru_cache(maxsize=1_000)
def read_identity_policy(text: str) -> Policy:
    """Read the IAM policy of a user or role: without principals, and maybe about other services as well.

    Raises:
        ValueError: it is malformed, or has what is not modelled here.
    """
    try:
        return _read_policy(text, identity=True)
    except RecursionError as error:
        raise ValueError(str(error)) from error


def _read_policy(text: str, *, identity: bool = False) -> Policy:
    document = msgspec.json.decode(text, type=_PolicyText)
    if "${" in text:
        raise ValueError("policy variables are not modelled")
    given = document.statement if isinstance(document.statement, list) else [document.statement]
    return [_read_statement(statement, identity=identity) for statement in given]


def _read_statement(given: _StatementText, *, identity: bool) -> Statement:
    if identity and not (given.principal is None and given.not_principal is None):
        raise ValueError("a statement of an identity-based policy has no Principal: it is about whoever has the policy")
    for name, positive, negative in (
        ("Principal", "*" if identity else given.principal, given.not_principal),
        ("Action", given.action, given.not_action),
        ("Resource", given.resource, given.not_resource),
    ):
        if (positive is None) == (negative is None):
            raise ValueError(f"a statement has either {name} or Not{name}")
    actions = _listed(given.action or given.not_action or [])
    resources = _listed(given.resource or given.not_resource or [])
    for action in actions:
        if not (identity and _OF_ANOTHER_SERVICE(action)):
            check_action(action)
    return Statement(
        allow=given.effect == "Allow",
        principals=_read_principals("*" if identity else given.principal or given.not_principal or ""),
        not_principals=not identity and given.principal is None,
        actions=_any_of([_glob_lower(name) for name in actions]),
        not_actions=given.action is None,
        resources=_any_of([_glob(resource) for resource in resources]),
        not_resources=given.resource is None,
        conditions=[
            _read_condition(name, key, values)
            for name, lines in given.condition.items()
            for key, values in lines.items()
        ],
    )


def _read_principals(given: _Named) -> Principals:
    if isinstance(given, str):
        if given != "*":
            raise ValueError(f'a Principal is "*" or an object, not {given}')
        return Principals(everyone=True, accounts=frozenset(), names=frozenset())
    accounts: set[str] = set()
    names: set[str] = set()
    for kind, values in given.items():
        for value in _listed(values):
            if kind == "AWS" and (root := _ROOT(value)):
                accounts.add(root[1])
            elif kind == "AWS" and _ACCOUNT(value):
                accounts.add(value)
            elif (kind == "AWS" and (value == "*" or _PRINCIPAL_ARN(value))) or (kind == "Service" and _SERVICE(value)):
                names.add(value)
            else:
                raise ValueError(f"the principal {kind} {value} is not modelled")
    return Principals(everyone="*" in names, accounts=frozenset(accounts), names=frozenset(names))


def _read_condition(name: str, key: str, values: _Scalar | list[_Scalar]) -> Condition:
    row = OPERATORS.get(name.removesuffix(_IF_EXISTS))
    if row is None:
        raise ValueError(f"the condition operator {name} is not modelled")
    kind = KEYS.get(key.lower())
    if kind is None:
        raise ValueError(f"the condition key {key} is not modelled")
    if row.kind not in {None, kind}:
        raise ValueError(f"the condition operator {name} does not go with {key}")
    texts = [_text(value) for value in (values if isinstance(values, list) else [values])]
    if not texts:
        raise ValueError(f"the condition key {key} has no values")
    tests = [row.make(text) for text in texts]
    return Condition(key.lower(), tests, negated=row.negated, if_known=name.endswith(_IF_EXISTS))


def _text(value: _Scalar) -> str:
    """A value as text: AWS takes true for "true" and 1 for "1"."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _listed(texts: _Texts) -> list[str]:
    """One or more texts, as a list."""
    given = [texts] if isinstance(texts, str) else texts
    if not given:
        raise ValueError("a list in a statement is empty")
    return given


def _any_of(tests: Sequence[_Test]) -> _Test:
    return lambda fact: any(test(fact) for test in tests)
