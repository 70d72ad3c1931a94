"""The file of `--config`: queues that are there from the start, and limits other than those of AWS.

    [limits]
    in_flight_max = 10
    purge_interval_s = 0

    [[queue]]
    name = "orders"
    attributes = { VisibilityTimeout = 60, ReceiveMessageWaitTimeSeconds = 20 }
    tags = { team = "shop" }
    dead_letter = { queue = "orders-dead", max_receive_count = 5 }

    [[queue]]
    name = "orders-dead"

All of it is tried out on an engine of its own before anything is created, so that a fault leaves nothing half done.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from busframe_emulator.api import actions, queues, tags
from busframe_emulator.api.attributes import FIFO_SETTINGS, SETTINGS, read_settings
from busframe_emulator.api.caller import Caller
from busframe_emulator.api.policies import show_redrive
from busframe_emulator.engine import Engine, requests
from busframe_emulator.engine.errors import SqsError
from busframe_emulator.engine.ids import Ids
from busframe_emulator.engine.settings import QueueAddress, Redrive
from busframe_emulator.limits import make_limits
from busframe_emulator.wire.identity import DEFAULT_ACCOUNT, DEFAULT_REGION, check_place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_REDRIVE: Final = "RedrivePolicy"
_FIFO: Final = "FifoQueue"
_FIFO_SUFFIX: Final = ".fifo"


class ConfigurationError(ValueError):
    """The file cannot be used. The text names the file and, where they are known, the queue and the attribute."""


class QueuePlan(NamedTuple):
    """A queue to be.

    Attributes:
        attributes: as SQS has them, all text; RedrivePolicy is among them.
    """

    address: QueueAddress
    attributes: Mapping[str, str]
    tags: Mapping[str, str]


class Configuration(NamedTuple):
    """What a file says.

    Attributes:
        limits: as `limits.make_limits` takes them, which has taken them once already.
    """

    queues: Sequence[QueuePlan]
    limits: Mapping[str, Any]


class _DeadLetter(msgspec.Struct, forbid_unknown_fields=True):
    queue: str
    max_receive_count: int


class _Queue(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    region: str | None = None
    account: str | None = None
    attributes: dict[str, Any] = {}
    tags: dict[str, str] = {}
    dead_letter: _DeadLetter | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    limits: dict[str, Any] = {}
    queue: list[_Queue] = []


def read_queues(
    path: str | Path, *, region: str = DEFAULT_REGION, account: str = DEFAULT_ACCOUNT
) -> Sequence[QueuePlan]:
    """Read a file, for its queues only."""
    return read_configuration(path, region=region, account=account).queues


def read_configuration(
    path: str | Path, *, region: str = DEFAULT_REGION, account: str = DEFAULT_ACCOUNT
) -> Configuration:
    """Read a file.

    Args:
        path: of the file.
        region: of queues that name none.
        account: of queues that name none.

    Raises:
        ConfigurationError: it cannot be read, it names a limit that is none, or SQS would refuse what it asks for.
    """
    try:
        given = msgspec.convert(tomllib.loads(Path(path).read_text(encoding="utf-8")), _File)
        make_limits(given.limits)
        plans = [_plan(queue, region, account) for queue in given.queue]
        _check_distinct(plans)
        create_queues(Engine(ids=Ids(0)), 0, plans)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: this is not TOML: {error}") from None
    except ValueError as error:  # a ValidationError and a ConfigurationError are ValueErrors
        raise ConfigurationError(f"{path}: {error}") from None
    return Configuration(plans, given.limits)


def create_queues(engine: Engine, now_us: int, plans: Sequence[QueuePlan]) -> None:
    """Create queues; one that is there already gets the attributes and tags of its plan.

    Raises:
        ConfigurationError: SQS refuses; what came before is done.
    """
    for plan in plans:
        _create(engine, now_us, plan)
    # Only now are all dead-letter queues there, wherever in the file they stand.
    for plan in plans:
        _set(engine, now_us, plan, only=_REDRIVE)


def _plan(queue: _Queue, region: str, account: str) -> QueuePlan:
    address = QueueAddress(queue.region or region, queue.account or account, queue.name)
    try:
        check_place(address.region, address.account)
    except ValueError as error:
        raise _fault(queue.name, str(error)) from None
    attributes = {name: _text(queue.name, name, value) for name, value in queue.attributes.items()}
    if queue.name.endswith(_FIFO_SUFFIX):
        attributes.setdefault(_FIFO, "true")
    if queue.dead_letter is not None:
        if _REDRIVE in attributes:
            raise _fault(queue.name, "dead_letter says it already.", _REDRIVE)
        target = address._replace(name=queue.dead_letter.queue)
        attributes[_REDRIVE] = show_redrive(Redrive(target, queue.dead_letter.max_receive_count))
    for name, text in attributes.items():
        try:
            read_settings({name: text}, fifo=_FIFO in attributes)
        except SqsError as error:
            raise _fault(queue.name, error.text + _allowed(error, name, text), name) from None
    return QueuePlan(address, attributes, queue.tags)


def _allowed(error: SqsError, name: str, text: str) -> str:
    """What SQS leaves unsaid of a value it refuses."""
    setting = SETTINGS.get(name) or FIFO_SETTINGS.get(name)
    if setting is None or error.shape != "InvalidAttributeValue":
        return ""
    return f" It is {text!r} here; allowed: {setting.values}."


def _text(queue: str, name: str, value: object) -> str:
    """An attribute's value as SQS has it: text, whatever TOML has."""
    match value:
        case str():
            return value
        case bool() | int() | dict() | list():
            return msgspec.json.encode(value).decode()
        case _:
            raise _fault(queue, f"{value!r} is no value of an attribute.", name)


def _check_distinct(plans: Sequence[QueuePlan]) -> None:
    seen: set[QueueAddress] = set()
    for plan in plans:
        if plan.address in seen:
            raise _fault(plan.address.name, "it is there twice.")
        seen.add(plan.address)


def _create(engine: Engine, now_us: int, plan: QueuePlan) -> None:
    name = plan.address.name
    attributes = {name: text for name, text in plan.attributes.items() if name != _REDRIVE}
    caller = _owner(plan)
    try:
        try:
            engine.apply(now_us, requests.FindQueue(queue=plan.address))
        except SqsError:
            created = actions.CreateQueue(queue_name=name, attributes=attributes, tags=dict(plan.tags))
            queues.create_queue(engine, caller, now_us, created)
            return
        attributes.pop(_FIFO, None)
        if attributes:
            changed = actions.SetQueueAttributes(queue_url=name, attributes=attributes)
            queues.set_queue_attributes(engine, caller, now_us, changed)
        if plan.tags:
            tags.tag_queue(engine, caller, now_us, actions.TagQueue(queue_url=name, tags=dict(plan.tags)))
    except SqsError as error:
        raise _fault(name, error.text) from None


def _set(engine: Engine, now_us: int, plan: QueuePlan, *, only: str) -> None:
    if only not in plan.attributes:
        return
    changed = actions.SetQueueAttributes(queue_url=plan.address.name, attributes={only: plan.attributes[only]})
    try:
        queues.set_queue_attributes(engine, _owner(plan), now_us, changed)
    except SqsError as error:
        raise _fault(plan.address.name, error.text, only) from None


def _fault(queue: str, text: str, attribute: str = "") -> ConfigurationError:
    return ConfigurationError(f'queue "{queue}": {f"{attribute}: " if attribute else ""}{text}')


def _owner(plan: QueuePlan) -> Caller:
    return Caller(region=plan.address.region, account=plan.address.account, base_url="")
