"""Does what was decided about a message that was not simply handled: holds it, gives it back, buries or removes it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from busframe import runtime
from busframe._consume.anew import anew
from busframe._consume.dead import dead_letter
from busframe._consume.opening import onward
from busframe._consume.telling import about, log_fields
from busframe._consume.verdict import Again, Done, GiveBack, GiveUp, Postpone
from busframe.errors import BackendError, ClosedError
from busframe.message import Acknowledge, Release, is_ordered
from busframe.observing import DeadLettered, Retried
from busframe.outcome import Outcome, Reject

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from busframe._consume.holding import Holding
    from busframe._consume.leases import Lease
    from busframe._consume.settling import Settler
    from busframe._consume.verdict import Verdict
    from busframe.backend import Backend
    from busframe.group import Group
    from busframe.message import Outgoing
    from busframe.observing import Observers
    from busframe.sending import Sender

BURIAL_RETRY_S: Final = 30.0
"""When to try again to dead-letter a message whose dead-letter queue did not take it."""

SETTLING_S: Final = 10.0
"""A message is given back for so much less than the rest of the broker's longest lease: the call takes time, too."""

_log = logging.getLogger("busframe")


class Concluder:
    """Concludes messages of one group.

    Args:
        holding: keeps those that nobody else could begin on.
        clear_behind: has what waits behind a message given back, on an ordered queue.
    """

    def __init__(
        self,
        backend: Backend,
        sender: Sender,
        settler: Settler,
        group: Group,
        observers: Observers | None,
        *,
        holding: Holding,
        clear_behind: Callable[[Lease], Awaitable[None]],
    ) -> None:
        self._backend = backend
        self._sender = sender
        self._settler = settler
        self._group = group
        self._observers = observers
        self._holding = holding
        self._ordered = is_ordered(group.queue)
        self._clear_behind = clear_behind

    async def conclude(self, lease: Lease, verdict: Verdict, error: Exception) -> bool:
        """Do it, and tell whether the broker heard. If it did not, the message comes again when its lease ends.

        A message that is being held now is in `holding`, and there is nothing the broker has to hear.
        """
        self._log_failure(lease, error, verdict)
        match verdict:
            case Done():
                taken = await self._settler.settle(lease, Acknowledge(receipt=lease.received.receipt))
                lease.counts.handled += taken
                return taken
            case Again():
                told = Retried(**about(lease, self._group), delay_s=verdict.delay_s, error=error)
                return self._note_retried(lease, told, taken=await self._have_tried_again(lease, verdict))
            case GiveBack():
                told = Retried(**about(lease, self._group), delay_s=0.0, error=error)
                put_back = self._put_back if verdict.begun or self._ordered else self._put_back_uncounted
                return self._note_retried(lease, told, taken=await put_back(lease, delay_s=0.0))
            case GiveUp():
                return await self._bury(lease, verdict.reason, error)
            case Postpone():
                return await self._postpone(lease, verdict.left_s)

    async def give_back(self, lease: Lease, *, delay_s: float = 0.0) -> bool:
        """Have a message delivered again, and tell whether the broker heard."""
        if lease.lost:
            return False
        # Amazon SQS, ChangeMessageVisibility: twelve hours, from the receive on; a longer delay is refused.
        left_s = lease.since_s + self._backend.capabilities.lease_s_max - SETTLING_S - runtime.now_s()
        delay_s = max(min(delay_s, left_s), 0.0)
        return await self._settler.settle(lease, Release(receipt=lease.received.receipt, delay_s=delay_s))

    async def give_back_unbegun(self, lease: Lease, *, delay_s: float = 0.0) -> bool:
        """The same where nobody is at work on it: that is no attempt.

        On an ordered queue the receives are not what counts, and those behind have to stay behind.
        """
        if self._ordered or lease.lost or isinstance(lease.opened, Exception):
            return await self.give_back(lease, delay_s=delay_s)
        return await self._put_back_uncounted(lease, delay_s=delay_s)

    def _note_retried(self, lease: Lease, told: Retried, *, taken: bool) -> bool:
        lease.counts.retried += taken
        if self._observers is not None and taken:
            self._observers.note(told)
        return taken

    async def _have_tried_again(self, lease: Lease, verdict: Again) -> bool:
        # On any other queue, a message that was begun on waits in the broker: for any process.
        may_hold = self._ordered or not verdict.begun
        if may_hold and self._holding.hold(lease, verdict.delay_s, counts=verdict.counts):
            return True
        if verdict.counts or self._ordered:
            return await self._put_back(lease, delay_s=verdict.delay_s)
        return await self._put_back_uncounted(lease, delay_s=verdict.delay_s)

    async def _put_back(self, lease: Lease, *, delay_s: float) -> bool:
        """Give back a message that others of its key may wait for."""
        if self._ordered:
            # In this order: while the first of a group is out, the broker delivers nothing of the group. So none of
            # the others overtakes it, or comes back before this lane is clear.
            await self._clear_behind(lease)
        return await self.give_back(lease, delay_s=delay_s)

    async def _put_back_uncounted(self, lease: Lease, *, delay_s: float) -> bool:
        """Have it come again as if this attempt had not been; see `anew`."""
        capabilities = self._backend.capabilities
        again = anew(
            lease.received,
            attempts=lease.attempt - 1,
            delay_s=delay_s,
            wall_s=runtime.wall_s(),
            delay_s_max=capabilities.delay_s_max,
            bytes_max=capabilities.message_bytes_max,
        )
        if again is None:
            return await self._put_back(lease, delay_s=delay_s)
        return await self._replace(lease, again, delay_s)

    async def _postpone(self, lease: Lease, left_s: float) -> bool:
        return await self._replace(
            lease, onward(lease.received, left_s, self._backend.capabilities.delay_s_max), left_s
        )

    async def _replace(self, lease: Lease, again: Outgoing, delay_s: float) -> bool:
        """Send the one to its own queue, then acknowledge the other: it may be there twice, and is never lost."""
        received = lease.received
        try:
            await self._sender.send(self._group.queue, again)
        except (BackendError, ClosedError) as error:
            fields = log_fields(lease, self._group)
            _log.error("message %s could not be postponed: %s", received.message_id, error, extra=fields)
            return await self._put_back(lease, delay_s=min(delay_s, BURIAL_RETRY_S))
        return await self._settler.settle(lease, Acknowledge(receipt=received.receipt))

    async def _bury(self, lease: Lease, reason: str, error: Exception) -> bool:
        """Send to the dead-letter queue, then acknowledge: in this order it may be there twice, and is never lost."""
        received = lease.received
        letter = dead_letter(
            received,
            self._group.queue,
            reason=reason,
            attempts=lease.attempt,
            at_s=runtime.wall_s(),
            bytes_max=self._backend.capabilities.message_bytes_max,
        )
        try:
            await self._sender.send(self._group.dead_queue, letter)
        except (BackendError, ClosedError) as refusal:
            fields = log_fields(lease, self._group)
            _log.error("message %s could not be dead-lettered: %s", received.message_id, refusal, extra=fields)
            return await self._have_tried_again(lease, Again(BURIAL_RETRY_S))
        taken = await self._settler.settle(lease, Acknowledge(receipt=received.receipt))
        lease.counts.dead_lettered += taken
        if self._observers is not None and taken:
            self._observers.note(DeadLettered(**about(lease, self._group), reason=reason, error=error))
        return taken

    def _log_failure(self, lease: Lease, error: Exception, verdict: Verdict) -> None:
        fields = log_fields(lease, self._group)
        which = (fields["message_id"], fields["queue"], fields["attempt"])
        match verdict:
            case GiveUp():
                trace = None if isinstance(error, Reject) else error
                text = "message %s of %s, attempt %d: dead-lettered: %s"
                _log.error(text, *which, verdict.reason, exc_info=trace, extra=fields)
            case Again():
                level = logging.INFO if isinstance(error, Outcome) else logging.WARNING
                # Where it failed is worth a page once, not at every attempt.
                trace = error if lease.attempt == 1 and level == logging.WARNING else None
                text = "message %s of %s, attempt %d: again in %.1f s: %r"
                fields["delay_s"] = verdict.delay_s
                _log.log(level, text, *which, verdict.delay_s, error, exc_info=trace, extra=fields)
            case GiveBack():
                _log.info("message %s of %s, attempt %d: given back: %s", *which, error, extra=fields)
            case Done():
                _log.info("message %s of %s, attempt %d: dropped: %s", *which, error, extra=fields)
            case Postpone():
                _log.debug("message %s of %s, attempt %d: postponed: %s", *which, error, extra=fields)
