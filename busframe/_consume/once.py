"""Handles each message once: claims it in the inbox before the handler runs, and marks it there afterwards.

`busframe.inbox` says what that amounts to. A claim is kept while the handler runs; a handler whose claim is lost is
cancelled, since another consumer may have begun on the same message.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from busframe import runtime
from busframe._consume.verdict import NoAttempt
from busframe.delivery import Delivery
from busframe.errors import BackendError
from busframe.group import Handler
from busframe.inbox import ClaimedElsewhere, HandledBefore, Transaction
from busframe.outcome import Drop

if TYPE_CHECKING:
    from collections.abc import Generator

    from anyio.abc import TaskGroup

    from busframe.group import Group
    from busframe.inbox import Claim, Inbox

T_co = TypeVar("T_co", covariant=True)

BEAT: Final = 0.25
"""Claims are extended after this part of their lease: three more attempts before one ends."""

INBOX_RETRY_S: Final = 5.0
"""How long a message is given back for when the inbox does not answer."""

LAST_WORDS_S: Final = 5.0
"""How long giving up a claim may take after the handler was cancelled."""

_log = logging.getLogger("busframe")


class _OnceDelivery(Delivery[T_co], frozen=True, kw_only=True):
    collected: Transaction

    @property
    def transaction(self) -> Transaction:
        return self.collected


@dataclass(frozen=True, slots=True, kw_only=True)
class _OnceHandler(Handler):
    """A handler with an inbox before it."""

    inner: Handler
    group: str
    inbox: Inbox
    keeper: _ClaimKeeper
    window_s: float

    async def __call__(self, delivery: Delivery[Any]) -> None:
        claim = await self._claim(delivery)
        transaction = Transaction()
        try:
            with self.keeper.keep(claim):
                await self.inner(_with_transaction(delivery, transaction))
        except Drop:
            # Not to be handled is as good as handled.
            await self._finish(claim, Transaction())
            raise
        except BaseException:
            await self._give_up(claim)
            raise
        try:
            await self._finish(claim, transaction)
        except BaseException:
            await self._give_up(claim)
            raise

    async def _claim(self, delivery: Delivery[Any]) -> Claim:
        headers = delivery.headers
        # No queue's name: a copy may come from another, when a group was moved, when a command's owner has become
        # ordered, or from a second broker while moving there. A group keeps its name. A command has one owner, and a
        # message keeps the name it was sent under. Foreign messages have neither.
        handled_by = self.group or headers.type or delivery.queue
        # CloudEvents, "id": source and id together are unique.
        key = f"{handled_by}\n{headers.source}\n{headers.id}"
        try:
            found = await self.inbox.claim(key, lease_s=self.keeper.lease_s, window_s=self.window_s)
        except BackendError as error:
            raise NoAttempt(f"the inbox did not take a claim: {error}", INBOX_RETRY_S) from error
        if isinstance(found, HandledBefore):
            raise Drop("handled before")
        if isinstance(found, ClaimedElsewhere):
            raise NoAttempt("another consumer is at work on it", found.left_s)
        return found

    async def _finish(self, claim: Claim, transaction: Transaction) -> None:
        # The handler has done its work: whatever is cancelled now, that should count.
        with anyio.CancelScope(shield=True):
            if not await self.inbox.finish(claim, transaction.effects, window_s=self.window_s):
                raise NoAttempt("another consumer has taken it over", 0)

    async def _give_up(self, claim: Claim) -> None:
        with anyio.CancelScope(shield=True), anyio.move_on_after(LAST_WORDS_S):
            try:
                await self.inbox.release(claim)
            except BackendError as error:
                _log.warning("a claim could not be given up, and ends in %.0f s: %s", self.keeper.lease_s, error)


class _ClaimKeeper:
    """Keeps claims from ending while their handlers run. `run` has to run meanwhile."""

    def __init__(self, inbox: Inbox, lease_s: float) -> None:
        self.lease_s = lease_s
        self._inbox = inbox
        self._held: dict[Claim, anyio.CancelScope] = {}
        self._any = anyio.Event()

    @contextmanager
    def keep(self, claim: Claim) -> Generator[None, None, None]:
        """Keep a claim, and cancel what is inside when it is lost.

        Raises:
            NoAttempt: it was lost.
        """
        with anyio.CancelScope() as scope:
            self._held[claim] = scope
            self._any.set()
            try:
                yield
            finally:
                del self._held[claim]
        if scope.cancelled_caught:
            raise NoAttempt("another consumer has taken it over", 0)

    async def run(self) -> None:
        """Extend claims until cancelled."""
        while True:
            if not self._held:
                self._any = anyio.Event()
                await self._any.wait()
            await runtime.sleep(self.lease_s * BEAT)
            claims = list(self._held)
            if not claims:
                continue
            try:
                kept = await self._inbox.extend(claims, lease_s=self.lease_s)
            except BackendError as error:
                # They last for some beats more; if one ends all the same, and somebody takes it, `finish` will tell.
                _log.warning("claims could not be extended: %s", error)
                continue
            for claim, is_kept in zip(claims, kept, strict=True):
                if not is_kept and claim in self._held:
                    _log.warning("a claim is lost: %s", claim.key.replace("\n", " "))
                    self._held[claim].cancel()


def needs_inbox(group: Group) -> bool:
    """Tell whether a handler of the group asks for an inbox."""
    return any(handler.once_window_s is not None for handler in group.all_handlers)


def with_inbox(group: Group, inbox: Inbox, tasks: TaskGroup) -> Group:
    """The group with an inbox before those of its handlers that ask for it. `tasks` keeps the claims meanwhile."""
    keeper = _ClaimKeeper(inbox, group.lease_s)
    tasks.start_soon(keeper.run)

    def guarded(handler: Handler) -> Handler:
        if handler.once_window_s is None:
            return handler
        return _OnceHandler(
            kind=handler.kind,
            function=handler.function,
            retry=handler.retry,
            wants_delivery=handler.wants_delivery,
            timeout_s=handler.timeout_s,
            filter=handler.filter,
            once_window_s=handler.once_window_s,
            inner=handler,
            group=group.name,
            inbox=inbox,
            keeper=keeper,
            window_s=handler.once_window_s,
        )

    return replace(
        group,
        handlers={name: guarded(handler) for name, handler in group.handlers.items()},
        foreign=guarded(group.foreign) if group.foreign else None,
    )


def _with_transaction(delivery: Delivery[Any], transaction: Transaction) -> Delivery[Any]:
    return _OnceDelivery(
        payload=delivery.payload,
        headers=delivery.headers,
        attempt=delivery.attempt,
        queue=delivery.queue,
        message_id=delivery.message_id,
        sent_at_s=delivery.sent_at_s,
        collected=transaction,
    )
