"""Dead letters, for the people who look after them: show, send back, throw away.

A dead-letter queue is a queue like any other, so this works on every backend by receiving: what is not wanted is held
under its lease until the pass is over, and then given back. It lies there as before, its receive count grown by one,
which for a dead letter means nothing. A pass that dies half-way leaves it hidden for `LEASE_S`.

On an ordered queue a letter that is held holds back those behind it of the same message group: a pass gets no further
in that group than its first receive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import anyio

from busframe import runtime
from busframe._consume.dead import DEAD, read_dead_letter
from busframe.backend import Peeks
from busframe.checks import check_whole
from busframe.errors import BackendError, BusframeError, CodecError, InvalidArgumentError, QueueNotFoundError
from busframe.headers import HEADERS, Headers, read_headers
from busframe.limits import PEEK_MAX
from busframe.message import Acknowledge, Failed, MessageId, Outgoing, QueueName, Release, is_ordered, queue_name
from busframe.queue_names import source_of_dead

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection, Mapping, Sequence

    from busframe.backend import Backend, QueueStats
    from busframe.message import Peeked, Receipt, Received, Settlement, SettleOutcome
    from busframe.sending import Sender

LEASE_S: Final = 600.0
"""Long enough for a pass over a long queue; a letter that comes back before its end is passed over."""

LOOK_S: Final = 1.0
"""How long the look waits that finds no more: long enough that SQS asks all of its servers."""

SETTLE_ATTEMPTS_MAX: Final = 4
FIRST_WAIT_S: Final = 0.1
GIVE_BACK_S: Final = 10.0
NAMES_MAX: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Buried:
    """A message in a dead-letter queue.

    Attributes:
        message_id: the broker's name for it, there.
        type: its name on the wire; None if no bus sent it.
        id: the bus's name for it, which it keeps when it is replayed; None if no bus sent it.
        reason: why it was given up; None if the broker moved it by itself, after too many deliveries.
        source: the queue it came from; None if nothing tells.
        attempts: deliveries it had there; None if nothing tells.
        died_at_s: when it was given up, in seconds since 1970; None if nothing tells.
        died_as: the broker's name for it in the queue it came from; None if nothing tells.
        sent_at_s: when it was sent: to the dead-letter queue if the bus moved it, to its own if the broker did.
        group: its message group.
    """

    message_id: MessageId
    body: str
    attributes: Mapping[str, str | bytes]
    sent_at_s: float
    type: str | None = None
    id: str | None = None
    reason: str | None = None
    source: QueueName | None = None
    attempts: int | None = None
    died_at_s: float | None = None
    died_as: MessageId | None = None
    group: str | None = None


Select = Callable[[Buried], bool]
"""Tells whether a letter is meant."""


@dataclass(slots=True, kw_only=True)
class Passed:
    """What a pass over a dead-letter queue did.

    Attributes:
        done: replayed, or dropped.
        failed: those that are still there against the wish, and why. One that was replayed and could not be removed is
            here and in `done`: replayed once more, it comes twice.
        kept: how many were looked at and not chosen.
    """

    done: list[Buried] = field(default_factory=list[Buried])
    failed: list[tuple[Buried, BusframeError]] = field(default_factory=list["tuple[Buried, BusframeError]"])
    kept: int = 0


class DeadLetterQueue:
    """A dead-letter queue. Made by `Live.dead_letters`; whether it is there shows when it is used.

    Attributes:
        name: of the queue.
        source: where its letters go back to if they do not say themselves; None if nothing tells.
    """

    def __init__(
        self,
        name: QueueName,
        source: QueueName | None,
        backend: Backend,
        sender: Sender,
        groups: Sequence[str] = (),
    ) -> None:
        self.name = name
        self._groups = groups
        self.source = source
        self._backend = backend
        self._sender = sender

    async def list(self, select: Select | None = None, *, limit: int | None = None) -> Sequence[Buried]:
        """Show letters, oldest first by and large. Arguments as for `replay`.

        A backend that can show messages without receiving them does; else they are received and given back.
        """
        _check(select, limit)
        if not isinstance(self._backend, Peeks):
            return await self._list_by_receiving(select, limit)
        try:
            return await self._list_by_peeking(self._backend, select, limit)
        except QueueNotFoundError as error:
            raise await self._not_there(error) from error

    async def _list_by_peeking(self, backend: Peeks, select: Select | None, limit: int | None) -> Sequence[Buried]:
        found: list[Buried] = []
        position: str | None = None
        while batch := await backend.peek(self.name, limit=PEEK_MAX, after=position):
            found += [letter for peeked in batch if _is_chosen(letter := _buried(peeked), select)]
            position = batch[-1].position
            if len(batch) < PEEK_MAX or (limit is not None and len(found) >= limit):
                break
        return found[:limit]

    async def replay(
        self, select: Select | None = None, *, limit: int | None = None, to: QueueName | None = None
    ) -> Passed:
        """Send letters back to the queue they came from, as new messages with no attempts behind them.

        Each is sent and then removed here: at least once, and never lost. Messages of a bus keep their id, so that
        subscriptions with `once=True` know them again. One that dies again meanwhile is not replayed a second time.

        Args:
            select: tells which; None is all.
            limit: so many at most, 1 or more; None is no bound.
            to: send all of them to this queue instead.

        Returns:
            What was done. Those that could not be sent are still there.
        """
        if to is not None:
            queue_name(to, "to")
        passed = Passed()
        sent: set[MessageId] = set()

        async def act(chosen: Sequence[_Held]) -> set[Receipt]:
            # One that we have sent ourselves, and that has died again.
            ours = [held for held in chosen if not sent.isdisjoint({held.letter.message_id, held.letter.died_as})]
            fresh = [held for held in chosen if held not in ours]
            passed.kept += len(ours)
            replayed = await self._send_back(fresh, to, sent, passed)
            return await self._remove(replayed, passed)

        await self._go_through(select, limit, act, passed)
        return passed

    async def drop(self, select: Select | None = None, *, limit: int | None = None) -> Passed:
        """Remove letters for good. Arguments as for `replay`."""
        passed = Passed()

        async def act(chosen: Sequence[_Held]) -> set[Receipt]:
            gone = await self._remove(chosen, passed)
            passed.done += [held.letter for held in chosen if held.received.receipt in gone]
            return gone

        await self._go_through(select, limit, act, passed)
        return passed

    # --- going through by receiving ---------------------------------------------------------------------------------

    async def _list_by_receiving(self, select: Select | None, limit: int | None) -> Sequence[Buried]:
        found: list[Buried] = []

        async def act(chosen: Sequence[_Held]) -> set[Receipt]:
            found.extend(held.letter for held in chosen)
            return set()

        await self._go_through(select, limit, act, Passed())
        return found

    async def _go_through(
        self,
        select: Select | None,
        limit: int | None,
        act: Callable[[Sequence[_Held]], Awaitable[set[Receipt]]],
        passed: Passed,
    ) -> None:
        """Receive every letter once, act on the chosen ones, and give back all that `act` does not say are gone."""
        _check(select, limit)
        capabilities = self._backend.capabilities
        left = limit
        seen: set[MessageId] = set()
        in_hand: dict[Receipt, Received] = {}
        try:
            while left != 0:
                most = capabilities.receive_entries_max
                most = most if left is None or select is not None else min(most, left)
                batch = await self._backend.receive(
                    self.name,
                    limit=most,
                    wait_s=min(LOOK_S, capabilities.wait_s_max),
                    lease_s=min(LEASE_S, capabilities.lease_s_max),
                )
                in_hand.update((received.receipt, received) for received in batch)
                fresh = [_Held(received) for received in batch if received.message_id not in seen]
                if not fresh:
                    return
                seen.update(held.received.message_id for held in fresh)
                chosen = [held for held in fresh if _is_chosen(held.letter, select)][:left]
                passed.kept += len(fresh) - len(chosen)
                left = None if left is None else left - len(chosen)
                for gone in await act(chosen) if chosen else ():
                    del in_hand[gone]
                if len(batch) < most and capabilities.exact_stats and not (await self._stats()).visible:
                    return
        except QueueNotFoundError as error:
            raise await self._not_there(error) from error
        finally:
            await self._give_back(in_hand.values())

    async def _not_there(self, error: QueueNotFoundError) -> QueueNotFoundError:
        """The same, with the names that may have been meant."""
        from difflib import get_close_matches  # only where something is wrong already

        try:
            queues = await self._backend.list_queues("")
        except BackendError:
            return error
        sources = [source for queue in queues if (source := source_of_dead(queue)) is not None]
        given = self.name if self.source is None else self.source
        names = sorted({*self._groups, *sources})
        if given in sources or not names:
            return QueueNotFoundError(f"queue {self.name} is not there; no dead letters of {given} can be")
        near = get_close_matches(given, names, n=3)
        some = ", ".join(names[:NAMES_MAX]) + (", ..." if len(names) > NAMES_MAX else "")
        advice = f"did you mean {' or '.join(near)}?" if near else f"dead letters may be of {some}"
        return QueueNotFoundError(f"queue {self.name} is not there, and so no dead letters of {given}; {advice}")

    async def _stats(self) -> QueueStats:
        return await self._backend.stats(self.name)

    async def _send_back(
        self, chosen: Sequence[_Held], to: QueueName | None, sent: set[MessageId], passed: Passed
    ) -> Sequence[_Held]:
        """Send copies, and tell of which it is sure that they arrived."""
        arrived: list[_Held] = []
        broken: set[str | None] = set()  # groups whose order must not be disturbed further

        async def send(held: _Held) -> None:
            try:
                target = self._target(held.letter, to)
                sent.add((await self._sender.send(target, _copy(held, target))).message_id)
            except BusframeError as error:
                passed.failed.append((held.letter, error))
                broken.add(held.received.group)
            else:
                passed.done.append(held.letter)
                arrived.append(held)

        if is_ordered(self.name):
            for held in chosen:
                if held.received.group not in broken:
                    await send(held)
        else:
            async with anyio.create_task_group() as tasks:
                for held in chosen:
                    tasks.start_soon(send, held)
        return arrived

    def _target(self, letter: Buried, to: QueueName | None) -> QueueName:
        target = to or letter.source or self.source
        if target is None:
            raise InvalidArgumentError("to", None, f"a queue: nothing tells where {letter.message_id} came from")
        return target

    async def _remove(self, chosen: Sequence[_Held], passed: Passed) -> set[Receipt]:
        """Acknowledge letters, and tell which are gone."""
        gone: set[Receipt] = set()
        left = list(chosen)
        for attempt in range(1, SETTLE_ATTEMPTS_MAX + 1):
            outcomes = await self._settle([Acknowledge(receipt=held.received.receipt) for held in left])
            failed = {
                held: outcome.error for held, outcome in zip(left, outcomes, strict=True) if isinstance(outcome, Failed)
            }
            gone.update(held.received.receipt for held in left if held not in failed)
            again = [held for held, error in failed.items() if error.retryable and attempt < SETTLE_ATTEMPTS_MAX]
            passed.failed += [(held.letter, error) for held, error in failed.items() if held not in again]
            if not again:
                break
            left = again
            await runtime.sleep(FIRST_WAIT_S * 2**attempt * runtime.random())
        return gone

    async def _give_back(self, letters: Collection[Received]) -> None:
        """Release letters, in their order. Those that this fails for come back when their leases end."""
        with anyio.move_on_after(GIVE_BACK_S, shield=True):
            await self._settle([Release(receipt=received.receipt) for received in letters])

    async def _settle(self, settlements: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        outcomes: list[SettleOutcome] = []
        most = self._backend.capabilities.batch_entries_max
        for first in range(0, len(settlements), most):
            part = settlements[first : first + most]
            try:
                outcomes += await self._backend.settle(self.name, part)
            except BackendError as error:
                outcomes += [Failed(error=error)] * len(part)
        return outcomes


class _Held:
    """A letter under a lease."""

    __slots__ = ("letter", "received")

    def __init__(self, received: Received) -> None:
        self.received = received
        self.letter = _buried(received)


def _copy(held: _Held, target: QueueName) -> Outgoing:
    received = held.received
    ordered = is_ordered(target)
    return Outgoing(
        body=received.body,
        attributes={name: value for name, value in received.attributes.items() if name != DEAD},
        group=received.group,
        # Not the message's own id: its queue might remember it, and swallow the copy. This one lets it swallow a second
        # copy of the same letter.
        deduplication_id=f"replay-{received.message_id}" if ordered else None,
    )


def _buried(message: Received | Peeked) -> Buried:
    dead = read_dead_letter(message.attributes)
    headers = _headers(message)
    return Buried(
        message_id=message.message_id,
        body=message.body,
        attributes=message.attributes,
        sent_at_s=message.sent_at_s,
        type=None if headers is None else headers.type,
        id=None if headers is None else headers.id,
        reason=None if dead is None else dead.reason,
        source=message.dead_letter_source if dead is None else QueueName(dead.queue),
        attempts=None if dead is None else dead.attempts,
        died_at_s=None if dead is None else dead.at_s,
        died_as=None if dead is None else MessageId(dead.message_id),
        group=message.group,
    )


def _headers(message: Received | Peeked) -> Headers | None:
    text = message.attributes.get(HEADERS)
    try:
        return None if text is None else read_headers(text, message)
    except CodecError:
        return None


def _is_chosen(letter: Buried, select: Select | None) -> bool:
    return select is None or select(letter)


def _check(select: Select | None, limit: int | None) -> None:
    if select is not None and not callable(select):
        raise InvalidArgumentError("select", select, "a function that tells whether a letter is meant, or None for all")
    check_whole("limit", limit, 1, or_none="no bound")
