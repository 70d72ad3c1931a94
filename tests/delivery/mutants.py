"""Engines with one fault each, to put the checkers on trial. A mutant is a patch of the engine while a test lasts.

Each is a fault that emulators and workers in use today have had, or one step from it.
"""

# pyright: reportPrivateUsage=false
# A mutant is made inside the engine.

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from busframe_emulator.engine import engine as engine_module
from busframe_emulator.engine import receiving, settling, transfers
from busframe_emulator.engine.ageing import Ageing
from busframe_emulator.engine.deduplication import DeduplicationWindow
from busframe_emulator.engine.events import Event
from busframe_emulator.engine.fifo import FifoOrder
from busframe_emulator.engine.message import BURIED, IN_FLIGHT, VISIBLE, Message
from busframe_emulator.engine.queue import Queue
from busframe_emulator.engine.requests import Delivery, Done

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pytest

    Patch = Callable[[pytest.MonkeyPatch], None]

MUTANTS: Final[dict[str, tuple[Patch, str]]] = {}
"""By name: the patch, and the check that is to find it."""


def mutant(found_by: str) -> Callable[[Patch], Patch]:
    def note(patch: Patch) -> Patch:
        MUTANTS[patch.__name__] = (patch, found_by)
        return patch

    return note


# --- messages get lost ----------------------------------------------------------------------------------------------


@mutant("lost")
def every_tenth_message_is_told_and_not_stored(patch: pytest.MonkeyPatch) -> None:
    show_after = Queue.show_after

    def forgetful(self: Queue, message: Message, now_us: int, delay_us: int) -> None:
        if message.ordinal % 10:
            show_after(self, message, now_us, delay_us)
        else:
            message.state = BURIED

    patch.setattr(Queue, "show_after", forgetful)


@mutant("stuck")
def what_times_out_is_never_shown_again(patch: pytest.MonkeyPatch) -> None:
    message_due = Queue.message_due

    def leaky(self: Queue, message: Message, at_us: int) -> None:
        if message.state != IN_FLIGHT:
            message_due(self, message, at_us)

    patch.setattr(Queue, "message_due", leaky)


@mutant("stuck")
def what_is_given_back_is_out_of_the_order(patch: pytest.MonkeyPatch) -> None:
    def release(self: Queue, message: Message, now_us: int) -> None:  # noqa: ARG001 - as the original
        self.around.timers.disarm(message)
        self.in_flight -= 1
        message.state = VISIBLE
        self.visible += 1

    patch.setattr(Queue, "release", release)


@mutant("lost")
def a_dead_letter_goes_nowhere(patch: pytest.MonkeyPatch) -> None:
    def dead_letter(message: Message, target: Queue, now_us: int) -> None:  # noqa: ARG001 - as the original
        source = message.queue
        about = source.settings.redrive
        assert source.around.sink is not None
        source.around.sink(Event("moved", now_us, source.address, message.ordinal, message.receive_count, about=about))
        source.remove(message)

    patch.setattr(receiving, "dead_letter", dead_letter)


@mutant("invented")
def a_standard_queue_hands_out_what_nobody_sent(patch: pytest.MonkeyPatch) -> None:
    pick = receiving._pick

    def inventive(queue: Queue, now_us: int, limit: int, nth: int) -> list[Message]:
        picked = pick(queue, now_us, limit, nth)
        calm = queue.groups is None and queue.settings.redrive is None
        if calm and picked and picked[0].ordinal % 5 == 0 and picked[0].receive_count == 0:
            ghost = Message(queue, 1_000_000 + picked[0].ordinal, "boo", None, now_us)
            ghost.state = IN_FLIGHT
            queue.in_flight += 1
            picked.append(ghost)
        return picked

    patch.setattr(receiving, "_pick", inventive)


# --- times ----------------------------------------------------------------------------------------------------------


@mutant("while_invisible")
def leases_last_half_as_long(patch: pytest.MonkeyPatch) -> None:
    deliver = receiving._deliver

    def short(queue: Queue, message: Message, now_us: int, visibility_us: int, slot: int) -> Delivery:
        delivery = deliver(queue, message, now_us, visibility_us, slot)
        if visibility_us:
            queue.around.timers.arm(now_us + visibility_us // 2, message)
        return delivery

    patch.setattr(receiving, "_deliver", short)


@mutant("while_invisible")
def a_longer_lease_is_told_and_not_kept(patch: pytest.MonkeyPatch) -> None:
    hide = Queue.hide

    def stubborn(self: Queue, message: Message, until_us: int) -> None:
        if message.state != IN_FLIGHT:
            hide(self, message, until_us)

    patch.setattr(Queue, "hide", stubborn)


@mutant("early")
def delays_are_told_and_not_kept(patch: pytest.MonkeyPatch) -> None:
    def show_after(self: Queue, message: Message, now_us: int, delay_us: int) -> None:  # noqa: ARG001 - as the original
        self.show(message, now_us)

    patch.setattr(Queue, "show_after", show_after)


@mutant("after_retention")
def nothing_grows_too_old(patch: pytest.MonkeyPatch) -> None:
    def fire(self: Ageing, at_us: int) -> None:
        for window in self._windows():
            window.forget(at_us)
        self._queue.around.timers.disarm(self)

    patch.setattr(Ageing, "fire", fire)


@mutant("expired_early")
def messages_grow_too_old_too_soon(patch: pytest.MonkeyPatch) -> None:
    take_expired = Ageing._take_expired

    def hasty(self: Ageing, oldest_us: int) -> Iterable[Message]:
        return take_expired(self, oldest_us + 20_000_000)

    patch.setattr(Ageing, "_take_expired", hasty)


# --- deletes --------------------------------------------------------------------------------------------------------


@mutant("after_delete")
def every_fifth_delete_is_told_and_not_done(patch: pytest.MonkeyPatch) -> None:
    delete = settling.delete

    def forgetful(queue: Queue, now_us: int, request: Any) -> Done:
        ordinal, delivery = queue.ids.read_receipt(request.receipt)
        message = queue.messages.get(ordinal)
        if message is None or ordinal % 5 or delivery != message.receive_count or message.state != IN_FLIGHT:
            return delete(queue, now_us, request)
        queue.tell("deleted", now_us, message, delivery)
        return Done()

    patch.setattr(engine_module, "delete", forgetful)


@mutant("handle")
def an_old_receipt_deletes_from_a_fifo_queue(patch: pytest.MonkeyPatch) -> None:
    delete = settling.delete

    def lax(queue: Queue, now_us: int, request: Any) -> Done:
        ordinal, delivery = queue.ids.read_receipt(request.receipt)
        message = queue.messages.get(ordinal)
        if queue.groups is None or message is None:
            return delete(queue, now_us, request)
        queue.tell("deleted", now_us, message, delivery)
        queue.remove(message)
        return Done()

    patch.setattr(engine_module, "delete", lax)


@mutant("handle")
def the_newest_receipt_of_a_message_that_timed_out_deletes_nothing(patch: pytest.MonkeyPatch) -> None:
    delete = settling.delete

    def strict(queue: Queue, now_us: int, request: Any) -> Done:
        ordinal, delivery = queue.ids.read_receipt(request.receipt)
        message = queue.messages.get(ordinal)
        if queue.groups is None and message is not None and message.state == VISIBLE:
            queue.tell("delete_ignored", now_us, message, delivery)
            return Done()
        return delete(queue, now_us, request)

    patch.setattr(engine_module, "delete", strict)


# --- counts and dead letters ----------------------------------------------------------------------------------------


@mutant("receive_count")
def receives_are_counted_twice(patch: pytest.MonkeyPatch) -> None:
    deliver = receiving._deliver

    def twice(queue: Queue, message: Message, now_us: int, visibility_us: int, slot: int) -> Delivery:
        message.receive_count += 1
        return deliver(queue, message, now_us, visibility_us, slot)

    patch.setattr(receiving, "_deliver", twice)


@mutant("receive_count")
def the_first_receive_moves_on(patch: pytest.MonkeyPatch) -> None:
    deliver = receiving._deliver

    def forgetful(queue: Queue, message: Message, now_us: int, visibility_us: int, slot: int) -> Delivery:
        message.first_received_us = now_us
        return deliver(queue, message, now_us, visibility_us, slot)

    patch.setattr(receiving, "_deliver", forgetful)


@mutant("dlq")
def dead_letters_one_receive_too_late(patch: pytest.MonkeyPatch) -> None:
    receives_here = receiving._receives_here

    def fewer(message: Message) -> int:
        return receives_here(message) - 1

    patch.setattr(receiving, "_receives_here", fewer)


@mutant("dlq")
def dead_letters_one_receive_too_early(patch: pytest.MonkeyPatch) -> None:
    receives_here = receiving._receives_here

    def more(message: Message) -> int:
        return receives_here(message) + 1

    patch.setattr(receiving, "_receives_here", more)


@mutant("corrupted")
def a_dead_letter_loses_its_attributes(patch: pytest.MonkeyPatch) -> None:
    dead_letter = transfers.dead_letter

    def poorer(message: Message, target: Queue, now_us: int) -> None:
        message.content = message.body
        dead_letter(message, target, now_us)

    patch.setattr(receiving, "dead_letter", poorer)


@mutant("cap")
def any_number_may_be_in_flight(patch: pytest.MonkeyPatch) -> None:
    pick = receiving._pick

    def choose(queue: Queue, now_us: int, limit: int, nth: int, *, short: bool) -> list[Message]:  # noqa: ARG001 - as the original
        return pick(queue, now_us, limit, nth)

    patch.setattr(receiving, "_choose", choose)


@mutant("counts")
def expired_messages_are_still_counted(patch: pytest.MonkeyPatch) -> None:
    fire = Ageing.fire

    def miscounting(self: Ageing, at_us: int) -> None:
        before = len(self._queue.messages)
        fire(self, at_us)
        self._queue.visible += before - len(self._queue.messages)

    patch.setattr(Ageing, "fire", miscounting)


# --- order, deduplication -------------------------------------------------------------------------------------------


@mutant("fifo_exclusion")
def a_group_in_flight_is_served_all_the_same(patch: pytest.MonkeyPatch) -> None:
    def refresh(self: FifoOrder, group: Any) -> None:
        visible = [message for message in group.messages if message.state == VISIBLE]
        if visible and visible[0].rare is not None and group.ready != visible[0].ordinal:
            group.ready = visible[0].ordinal
            self._ready.append((visible[0].rare.available_us, group.served, visible[0].ordinal, group))
            self._ready.sort(key=lambda entry: entry[:3])

    def candidates(self: FifoOrder, now_us: int) -> Iterator[Message]:  # noqa: ARG001 - as the original
        while self._ready:
            _, _, head, group = self._ready.pop(0)
            if head != group.ready:
                continue
            group.ready = 0
            self._serving.append(group)
            yield from [message for message in group.messages if message.state == VISIBLE]

    patch.setattr(FifoOrder, "_refresh", refresh)
    patch.setattr(FifoOrder, "candidates", candidates)


@mutant("fifo_order")
def a_group_is_served_from_its_end(patch: pytest.MonkeyPatch) -> None:
    candidates = FifoOrder.candidates

    def backwards(self: FifoOrder, now_us: int) -> Iterator[Message]:
        return iter(list(candidates(self, now_us))[::-1])

    patch.setattr(FifoOrder, "candidates", backwards)


@mutant("dedup")
def duplicates_are_known_for_a_fifth_of_the_time(patch: pytest.MonkeyPatch) -> None:
    remember = DeduplicationWindow.put_back

    def short(self: DeduplicationWindow, until_us: int, *rest: Any) -> None:
        remember(self, until_us - self._window_us * 4 // 5, *rest)

    patch.setattr(DeduplicationWindow, "put_back", short)


@mutant("dedup")
def duplicates_are_known_for_five_times_as_long(patch: pytest.MonkeyPatch) -> None:
    remember = DeduplicationWindow.put_back

    def long(self: DeduplicationWindow, until_us: int, *rest: Any) -> None:
        remember(self, until_us + self._window_us * 4, *rest)

    patch.setattr(DeduplicationWindow, "put_back", long)


# --- who waits ------------------------------------------------------------------------------------------------------


@mutant("prompt")
def a_timeout_wakes_nobody(patch: pytest.MonkeyPatch) -> None:
    message_due = Queue.message_due

    def quiet(self: Queue, message: Message, at_us: int) -> None:
        touched = list(self.around.touched)
        message_due(self, message, at_us)
        self.around.touched[:] = touched

    patch.setattr(Queue, "message_due", quiet)


@mutant("prompt")
def the_next_of_a_group_wakes_nobody(patch: pytest.MonkeyPatch) -> None:
    remove = Queue.remove

    def quiet(self: Queue, message: Message) -> None:
        touched = list(self.around.touched)
        remove(self, message)
        self.around.touched[:] = touched

    patch.setattr(Queue, "remove", quiet)
