"""What a bus's handlers were called with, and what came of it: a copy of the bus whose handlers are watched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar

from busframe import runtime
from busframe.delivery import current_delivery
from busframe.outcome import Drop, Later, Reject
from busframe.simulation.errors import SimulationEscapeError
from busframe.simulation.world import acting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from busframe.bus import Bus
    from busframe.group import Group, Handler
    from busframe.message import MessageId, QueueName

T_co = TypeVar("T_co", covariant=True)

_CAUSES_MAX: Final = 20
"""Chains of causes can be circles."""

Came = Literal["running", "done", "failed", "later", "rejected", "dropped", "cancelled"]


@dataclass(slots=True, kw_only=True)
class Call(Generic[T_co]):
    """One call of a handler.

    Attributes:
        payload: what it was called with.
        attempt: which delivery of the message this was, from 1.
        outcome: "done": it returned. "later", "rejected", "dropped": it raised `Later`, `Reject`, `Drop`. "failed": it
            raised anything else. "cancelled": its time was over, its lease was lost, or its program was stopped or
            killed. "running": none of these yet.
        error: what it raised, if anything.
        node: where it ran, such as `shop[0]`.
        began_s, ended_s: virtual seconds since the start; None as long as it runs.
        queue, message_id: of the message.
    """

    payload: T_co
    attempt: int
    node: str
    began_s: float
    queue: QueueName
    message_id: MessageId
    outcome: Came = "running"
    error: BaseException | None = None
    ended_s: float | None = None


class Calls:
    """All calls of all handlers of a run.

    Args:
        tell: is told of every call at its end.
    """

    def __init__(self, tell: Callable[[Callable[..., object], Call[Any]], None]) -> None:
        self._calls: list[tuple[Callable[..., object], Call[Any]]] = []
        self._tell = tell
        self.escaped: SimulationEscapeError | None = None
        """What the first such call was refused, if one failed of asking for what is not simulated."""

    def of(self, function: Callable[..., object]) -> list[Call[Any]]:
        """Those of one handler, in the order in which they began."""
        return [call for called, call in self._calls if called == function]

    @property
    def running(self) -> list[str]:
        """What has not ended, for people."""
        return [
            f"{name_of(function)}({call.payload!r}) on {call.node} since t={call.began_s:g}"
            for function, call in self._calls
            if call.outcome == "running"
        ]

    def watched(self, bus: Bus) -> Bus:
        """A copy of a bus, each of whose handlers has its calls written down here."""
        return _with_calls_by(self._call, bus)

    async def _call(self, function: Callable[..., Awaitable[None]], payload: object, *more: object) -> None:
        delivery = current_delivery()
        assert delivery is not None  # noqa: S101 - a handler is called with one
        incarnation = acting.get()
        call = Call(
            payload=payload,
            attempt=delivery.attempt,
            node=incarnation.name,
            began_s=now_s(),
            queue=delivery.queue,
            message_id=delivery.message_id,
        )
        self._calls.append((function, call))
        try:
            await function(payload, *more)
        except BaseException as error:
            call.error = error
            call.outcome = _came_of(error)
            self.escaped = self.escaped or escape_in(error)
            raise
        else:
            call.outcome = "done"
        finally:
            call.ended_s = now_s()
            if not incarnation.severed:
                self._tell(function, call)


def _with_calls_by(call: Callable[..., Awaitable[None]], bus: Bus) -> Bus:
    """A copy of a bus whose handlers are called by this: with the handler's function, and what that would be given."""

    def handler_by(handler: Handler) -> Handler:
        function = handler.function

        async def called(payload: object, *delivery: object) -> None:
            await call(function, payload, *delivery)

        return replace(handler, function=called)

    def group_by(group: Group) -> Group:
        handlers = {name: handler_by(handler) for name, handler in group.handlers.items()}
        foreign = None if group.foreign is None else handler_by(group.foreign)
        return replace(group, handlers=handlers, foreign=foreign)

    return bus.regrouped({queue: group_by(group) for queue, group in bus.groups.items()})


def name_of(function: Callable[..., object]) -> str:
    """What people call a handler."""
    return getattr(function, "__name__", type(function).__name__)


def _came_of(error: BaseException) -> Came:
    match error:
        case Later():
            return "later"
        case Reject():
            return "rejected"
        case Drop():
            return "dropped"
        case Exception():
            return "failed"
        case _:
            return "cancelled"


def escape_in(error: BaseException) -> SimulationEscapeError | None:
    """What was refused to a handler, be it wrapped in errors of a library."""
    seen: BaseException | None = error
    for _ in range(_CAUSES_MAX):
        if seen is None or isinstance(seen, SimulationEscapeError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def now_s() -> float:
    """Virtual seconds since the start of the run, to the microsecond, which is what is told of time."""
    return round(runtime.now_s(), 6)
