"""boto3 in a simulation: its calls go a node's way to the broker, with all that can happen there.

The client is a real one, which checks and parses as ever; its request is taken where it is ready (`boto.hook` of the
emulator). What botocore would do about a failed attempt is done here: attempts, waits and errors are those of its
retry mode "legacy", which is the default of boto3. Programs on boto3 block, so they run in greenlets (`greenlets`);
what the scenario itself calls, to make queues or to look, is answered at once.

Bus and boto3 share the queues of a run: a message attribute of a type that the bus does not know keeps it all the same.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from busframe import runtime
from busframe.message import QueueName, Receipt
from busframe.simulation.edge import MESSAGE_ACTIONS
from busframe.simulation.escapes import escape
from busframe.simulation.greenlets import is_blocking, wait_for
from busframe.simulation.sim import running_sim
from busframe.simulation.world import acting
from busframe_emulator.api import actions
from busframe_emulator.api.caller import Caller
from busframe_emulator.api.receiving import Waiting, show_deliveries
from busframe_emulator.api.service import HANDLED, require_queue
from busframe_emulator.boto.emulated import events_of
from busframe_emulator.boto.hook import Hook
from busframe_emulator.boto.sessions import make_client
from busframe_emulator.delivery.sites import NetFault
from busframe_emulator.engine import requests
from busframe_emulator.engine.errors import SqsError
from busframe_emulator.server.rendering import Renderer
from busframe_emulator.server.trial.batches import PartialBatches
from busframe_memory import queue_address

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from busframe.simulation.nodes import Incarnation
    from busframe.simulation.world import World
    from busframe_emulator.api.results import AnyResult
    from busframe_emulator.api.service import Action
    from busframe_emulator.boto.hook import Answered
    from busframe_emulator.engine import Engine
    from busframe_emulator.engine.requests import Delivery, MessageAttribute

_EVENT: Final = "before-call.sqs"
_HOME: Final = queue_address(QueueName(""))
_NAMES: Final = {action.takes: name for name, action in HANDLED.items()}
_ATTEMPTS_MAX: Final = 5
"""boto3 guide, "Retries": the default of the legacy mode, the first attempt included."""

_WAIT_S_MAX: Final = 20.0
"""The same page: the longest wait of the newer modes; five attempts come to eight seconds at most."""

_SERVER_ERROR: Final = 500


def attach(target: Any) -> None:
    """Lead the SQS calls of a client, resource or session to the simulation that runs, whenever one does."""
    events_of(target).register_first(_EVENT, _answer, unique_id="busframe.simulation")


@cache
def shared_client() -> Any:
    """A client for all simulations: making one takes longer than a small run."""
    client = make_client(region_name="us-east-1", account=_HOME.account)
    attach(client)
    return client


def _answer(**call: Any) -> Answered | None:
    """Answer a request of botocore; None, which lets it go its way, outside of simulations."""
    sim = running_sim()
    return None if sim is None else sim.boto.handle(**call)


class SimulatedBoto(Hook):
    """Where the calls of one run arrive.

    Args:
        world: of the run.
        scenario: who calls when no node does.
    """

    def __init__(self, world: World, scenario: Incarnation) -> None:
        self._ways = _Ways(world, scenario)
        super().__init__(cast("Any", self._ways), Renderer(0).next_id)

    def handle(
        self, *, model: Any, params: dict[str, Any], context: dict[str, Any], request_signer: Any, **_: object
    ) -> Answered:
        """See `Hook.handle`. Attempts that failed on their way are repeated as botocore repeats them."""
        self._ways.require_can_wait(model.name)
        ask = partial(super().handle, model=model, params=params, context=context, request_signer=request_signer)
        for repetition in range(_attempts_max(context["client_config"]) - 1):
            with suppress(*_errors()):
                answered = ask()
                if not _is_worth_repeating(answered):
                    return answered
            self._ways.sleep(min(runtime.random() * 2**repetition, _WAIT_S_MAX))
        return ask()


class _Ways:
    """Stands where the hook has a driver: each call goes the way of the node that makes it."""

    def __init__(self, world: World, scenario: Incarnation) -> None:
        self._world = world
        self._scenario = scenario
        self._callers: dict[str, Caller] = {}

    def require_can_wait(self, action: str) -> None:
        """Refuse a call that would block the event loop, on a node."""
        if not is_blocking() and not self._acting().is_scenario:
            raise escape(
                f"boto3's {action} in an async function",
                "it blocks the event loop; hand it to anyio.to_thread.run_sync or asyncio.to_thread with "
                "simulate(..., threads='inline'), or make the node's program a function that is not async",
            )

    def sleep(self, seconds: float) -> None:
        """Let a caller wait."""
        if is_blocking():
            wait_for(partial(runtime.sleep, seconds))

    def perform(self, action: Action, caller: Caller, request: Any, _: object) -> AnyResult:
        """See `boto.driver.Driver.perform`."""
        name = _NAMES[action.takes]
        incarnation = self._acting()
        caller = self._at_home(caller)
        if not is_blocking():
            return self._perform_at_once(action, caller, request)
        step = partial(self._perform, incarnation, action, caller, request)
        if name not in MESSAGE_ACTIONS:
            return wait_for(partial(incarnation.backend.direct, step))
        queue = caller.address(request.queue_url).name
        return wait_for(partial(incarnation.backend.call, name, queue, step, _error_of))

    async def _perform(self, incarnation: Incarnation, action: Action, caller: Caller, request: Any) -> AnyResult:
        action = PartialBatches(_Chance(self._world, incarnation.name), None).before(action, "")
        result = self._ask(action, caller, request)
        if isinstance(result, Waiting):
            queue = caller.address(request.queue_url)
            reply = await self._world.driver.wait(queue, result.waiter)
            result = show_deliveries(result.request, _shown(reply.deliveries))
        self._note(incarnation.name, caller, request, result)
        return result

    def _perform_at_once(self, action: Action, caller: Caller, request: Any) -> AnyResult:
        with self._world.calm():
            result = self._ask(action, caller, request)
        if isinstance(result, Waiting):
            waiter = result.waiter
            self._world.driver.perform(lambda engine, _: engine.cancel(waiter))
            result = show_deliveries(result.request, ())
        self._note(self._scenario.name, caller, request, result)
        return result

    def _ask(self, action: Action, caller: Caller, request: Any) -> AnyResult | Waiting:
        def ask(engine: Engine, now_us: int) -> AnyResult | Waiting:
            seen = cast("Engine", _BothAttributes(engine))
            try:
                return action.handle(seen, caller, now_us, request)
            except SqsError:
                require_queue(engine, caller, now_us, request)
                raise

        return self._world.driver.perform(ask)

    def _note(self, node: str, caller: Caller, request: Any, result: Any) -> None:
        """Write down who received and settled what, as the bus's calls are."""
        if isinstance(request, actions.ReceiveMessage):
            receipts, kind = [message.receipt_handle for message in result.messages or ()], "received"
        elif isinstance(request, actions.DeleteMessage):
            receipts, kind = [request.receipt_handle], "acknowledged"
        elif isinstance(request, actions.DeleteMessageBatch):
            done = {entry.id for entry in result.successful}
            receipts, kind = [entry.receipt_handle for entry in request.entries if entry.id in done], "acknowledged"
        elif isinstance(request, actions.ChangeMessageVisibility) and not request.visibility_timeout:
            receipts, kind = [request.receipt_handle], "released"
        elif isinstance(request, actions.ChangeMessageVisibilityBatch):
            done = {entry.id for entry in result.successful}
            back = [entry for entry in request.entries if entry.id in done and not entry.visibility_timeout]
            receipts, kind = [entry.receipt_handle for entry in back], "released"
        else:
            return
        queue = QueueName(caller.address(request.queue_url).name)
        for receipt in receipts:
            self._world.saw(node, kind, queue, Receipt(receipt))

    def _acting(self) -> Incarnation:
        return acting.get(self._scenario)

    def _at_home(self, caller: Caller) -> Caller:
        """Whatever account and region a client is of, its queues are those of the run."""
        known = self._callers.get(caller.base_url)
        if known is None:
            known = Caller(region=_HOME.region, account=_HOME.account, base_url=caller.base_url)
            self._callers[caller.base_url] = known
        return known


class _Chance:
    """Implements `server.trial.batches.Asked` for the calls of a node."""

    def __init__(self, world: World, node: str) -> None:
        self._world = world
        self.node = node

    def count(self, what: str) -> int:
        return self._world.nth(what, self.node)

    def ask(self, site: str, key: tuple[str | int, ...]) -> int | None:
        return self._world.choose(site, key)


# --- message attributes ---------------------------------------------------------------------------------------------


class _Text(str):  # noqa: SLOT000 - of the rarest
    """The text of a message attribute of another type than String."""

    data_type: str


class _Bytes(bytes):
    """The bytes of a message attribute of another type than Binary."""

    data_type: str


class _BothAttributes:
    """The engine of a run, for the emulator's actions: attributes lie there as text and bytes, as the bus has them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def apply(self, now_us: int, request: Any) -> Any:
        if isinstance(request, requests.Send):
            request = _kept(request)
        elif isinstance(request, requests.Batch):
            parts = [_kept(part) if isinstance(part, requests.Send) else part for part in request.requests]
            request = replace(request, requests=parts)
        reply = cast("object", self._engine.apply(now_us, request))
        return requests.Deliveries(_shown(reply.deliveries)) if isinstance(reply, requests.Deliveries) else reply


def _kept(send: requests.Send) -> requests.Send:
    if not send.attributes:
        return send
    values: dict[str, str | bytes] = {name: _value(attribute) for name, attribute in send.attributes.items()}
    return replace(send, attributes=cast("Mapping[str, MessageAttribute]", values))


def _value(attribute: MessageAttribute) -> str | bytes:
    if attribute.data_type in {"String", "Binary"}:
        return attribute.value
    value = _Text(attribute.value) if isinstance(attribute.value, str) else _Bytes(attribute.value)
    value.data_type = attribute.data_type
    return value


def _shown(deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
    return [
        replace(one, attributes={name: _attribute(value) for name, value in _values(one).items()})
        if one.attributes
        else one
        for one in deliveries
    ]


def _values(delivery: Delivery) -> Mapping[str, str | bytes]:
    return cast("Mapping[str, str | bytes]", delivery.attributes)


def _attribute(value: str | bytes) -> MessageAttribute:
    # msgspec writes plain text and bytes only.
    match value:
        case _Text():
            return requests.MessageAttribute(value.data_type, str(value))
        case _Bytes():
            return requests.MessageAttribute(value.data_type, bytes(value))
        case str():
            return requests.MessageAttribute("String", value)
        case _:
            return requests.MessageAttribute("Binary", value)


# --- botocore -------------------------------------------------------------------------------------------------------


def _error_of(operation: str, place: str, fault: NetFault) -> Exception:
    """What a client sees of a failure; SQS's own refusals become `ClientError` on their way."""
    exceptions: Any = import_module("botocore.exceptions")
    url = f"https://sqs.{_HOME.region}.amazonaws.com/{_HOME.account}/{place}"
    match fault:
        case NetFault.THROTTLED:
            return SqsError("RequestThrottled", "The request was throttled.")
        case NetFault.UNAVAILABLE:
            return SqsError("ServiceUnavailable", "The service is unavailable for now.")
        case NetFault.TIMEOUT:
            error = exceptions.ReadTimeoutError(endpoint_url=url)
        case NetFault.LOST_REQUEST:
            error = exceptions.EndpointConnectionError(endpoint_url=url, error=f"{operation} did not arrive")
        case _:
            error = exceptions.ConnectionClosedError(endpoint_url=url)
    return cast("Exception", error)


@cache
def _errors() -> tuple[type[Exception], ...]:
    exceptions: Any = import_module("botocore.exceptions")
    return (exceptions.ReadTimeoutError, exceptions.EndpointConnectionError, exceptions.ConnectionClosedError)


def _attempts_max(config: Any) -> int:
    """Botocore counts in two ways: attempts in all, and repetitions."""
    given: Mapping[str, Any] = config.retries or {}
    if (total := given.get("total_max_attempts")) is not None:
        return int(total)
    repetitions = given.get("max_attempts")
    return _ATTEMPTS_MAX if repetitions is None else int(repetitions) + 1


def _is_worth_repeating(answered: Answered) -> bool:
    http, parsed = answered
    return http.status_code >= _SERVER_ERROR or parsed.get("Error", {}).get("Code") == "RequestThrottled"
