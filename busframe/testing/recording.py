"""What the bus asks of its broker and is told, written down for `busframe check`: of any backend, in a test or at work.

    recorder = Recorder()
    with recorder.buses("worker"):
        async with bus.connect("sqs://eu-west-1") as live:
            ...
    recorder.save("history.jsonl")                     # busframe check history.jsonl

The history is that of clients (docs/faults.md): bodies are kept as digests, and times are the event loop's own, so in a
simulation they are virtual. Histories of several processes go together only if they have one clock.

What a broker does with topics of its own is not recorded: copies that come of them look as if nobody had sent them.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from hashlib import md5
from typing import TYPE_CHECKING, Any, Final, TypeVar

from busframe import bus, runtime
from busframe.backend import Immediate
from busframe.errors import BackendError
from busframe.forwarding import ForwardingBackend
from busframe.message import Acknowledge, Extension, Failed, Release, Sent
from busframe_emulator.delivery.client_history import Call, ClientHistory, QueueFacts, Seen, write_client_history

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from busframe.backend import Backend, BackendFactory, Plan
    from busframe.config import BackendUrl
    from busframe.message import Outgoing, QueueName, Received, SendOutcome, Settlement, SettleOutcome
    from busframe_emulator.delivery.client_history import Outcome

    Asked = Mapping[str, Any]

R = TypeVar("R")

_SECOND_US: Final = 1_000_000
_UNRECORDED: Final = frozenset(name for name in vars(Immediate) if name.endswith("_now"))
"""The calls of `Immediate` would go past what is written down, so this does not have them."""


class Recorder:
    """Writes down what several connections do.

    Attributes:
        history: so far, in the order in which calls ended.
    """

    def __init__(self) -> None:
        self.history = ClientHistory()

    def wrap(self, backend: Backend, name: str = "") -> RecordingBackend:
        """A backend that does what this one does, and is recorded.

        Args:
            backend: an open one.
            name: what the history calls its client.
        """
        return RecordingBackend(backend, self.history, name)

    @contextmanager
    def buses(self, name: str = "") -> Generator[None, None, None]:
        """Record every bus of this process that is connected meanwhile, until it is closed.

        Args:
            name: what the history calls it.
        """
        # A name of the module's own, where `bus.connect` looks it up.
        opening: Any = bus
        find: Callable[[str], BackendFactory] = opening.backend_factory

        def find_recorded(scheme: str) -> BackendFactory:
            open_backend = find(scheme)

            @asynccontextmanager
            async def open_recorded(url: BackendUrl) -> AsyncGenerator[Backend, None]:
                async with open_backend(url) as backend:
                    yield self.wrap(backend, name)

            return open_recorded

        opening.backend_factory = find_recorded
        try:
            yield
        finally:
            opening.backend_factory = find

    def lines(self) -> Iterator[str]:
        """The history as lines of JSON, without line ends."""
        return write_client_history(self.history)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the history into a file."""
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - a path-like is enough
            file.writelines(f"{line}\n" for line in self.lines())


class RecordingBackend(ForwardingBackend):
    """Implements `busframe.backend.Backend` around another, and whatever else that one does.

    Safe to cancel where the other is: such a call is written down as one of which nobody knows what it did.
    """

    def __init__(self, backend: Backend, history: ClientHistory, client: str) -> None:
        super().__init__(backend)
        self._history = history
        self._client = client

    def __getattr__(self, name: str) -> Any:
        if name in _UNRECORDED:
            raise AttributeError(name)
        return getattr(self.inner, name)

    async def provision(self, plan: Plan) -> None:
        """See `Backend.provision`. What the queues are to be like is written down."""
        await self.inner.provision(plan)
        for spec in plan.queues:
            self._history.queues[spec.name] = QueueFacts(
                visibility_s=spec.lease_s,
                delay_s=spec.delay_s,
                retention_s=spec.retention_s,
                max_receives=spec.dead_letters.max_receive_count if spec.dead_letters else 0,
            )

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        """See `Backend.send`."""
        asked: list[Asked] = [
            {
                "op": "send",
                "body": _digest(message.body),
                "group": message.group,
                "deduplication": message.deduplication_id,
                "delay_s": message.delay_s or None,
            }
            for message in batch
        ]
        return await self._call(queue, asked, lambda: self.inner.send(queue, batch))

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        """See `Backend.receive`."""
        asked: Asked = {"op": "receive", "wait_s": wait_s, "visibility_s": lease_s}
        began = _now_us()
        try:
            received = await self.inner.receive(queue, limit=limit, wait_s=wait_s, lease_s=lease_s)
        except BaseException as error:
            self._write(queue, began, [(asked, _outcome_of(error))])
            raise
        seen = tuple(
            Seen(
                id=one.message_id,
                receipt=one.receipt,
                body=_digest(one.body),
                count=one.receive_count,
                group=one.group,
                sequence=one.sequence,
            )
            for one in received
        )
        self._write(queue, began, [({**asked, "messages": seen}, "ok")])
        return received

    async def settle(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        """See `Backend.settle`."""
        return await self._call(queue, _hidings(batch), lambda: self.inner.settle(queue, batch))

    async def extend(self, queue: QueueName, batch: Sequence[Extension]) -> Sequence[SettleOutcome]:
        """See `Backend.extend`."""
        return await self._call(queue, _hidings(batch), lambda: self.inner.extend(queue, batch))

    async def purge(self, queue: QueueName) -> None:
        """See `Backend.purge`."""
        began = _now_us()
        try:
            await self.inner.purge(queue)
        except BaseException as error:
            self._write(queue, began, [({"op": "purge"}, _outcome_of(error))])
            raise
        self._write(queue, began, [({"op": "purge"}, "ok")])

    async def remove(self, queue: QueueName) -> None:
        """See `Backend.remove`. With the queue its messages are gone: as if it were purged."""
        await self.inner.remove(queue)
        now_us = _now_us()
        self._write(queue, now_us, [({"op": "purge"}, "ok")])

    async def _call(
        self, queue: QueueName, asked: Sequence[Asked], call: Callable[[], Awaitable[Sequence[R]]]
    ) -> Sequence[R]:
        """Make a batch call: a call of the history for each entry."""
        began = _now_us()
        try:
            outcomes = await call()
        except BaseException as error:
            self._write(queue, began, [(one, _outcome_of(error)) for one in asked])
            raise
        self._write(queue, began, [_told(one, outcome) for one, outcome in zip(asked, outcomes, strict=True)])
        return outcomes

    def _write(self, queue: QueueName, began: int, calls: Iterable[tuple[Asked, Outcome]]) -> None:
        ended = _now_us()
        for asked, outcome in calls:
            call = Call(queue=queue, began=began, ended=ended, outcome=outcome, client=self._client, **asked)
            self._history.calls.append(call)


def _hidings(batch: Iterable[Settlement | Extension]) -> list[Asked]:
    """What deletes a message, or hides it for another time."""
    asked: list[Asked] = []
    for entry in batch:
        match entry:
            case Acknowledge():
                asked.append({"op": "delete", "receipt": entry.receipt})
            case Release():
                asked.append({"op": "visibility", "receipt": entry.receipt, "visibility_s": entry.delay_s})
            case Extension():
                asked.append({"op": "visibility", "receipt": entry.receipt, "visibility_s": entry.lease_s})
    return asked


def _told(asked: Asked, outcome: object) -> tuple[Asked, Outcome]:
    match outcome:
        case Failed():
            return asked, _outcome_of(outcome.error)
        case Sent():
            return {**asked, "id": outcome.message_id}, "ok"
        case _:
            return asked, "ok"


def _outcome_of(error: BaseException) -> Outcome:
    """Whether it surely did nothing. Of a call that was cancelled nobody knows."""
    return "fail" if isinstance(error, BackendError) and error.effect == "none" else "unknown"


def _digest(body: str) -> str:
    return md5(body.encode(), usedforsecurity=False).hexdigest()


def _now_us() -> int:
    return round(runtime.now_s() * _SECOND_US)
