"""What becomes of a delivery: deleted, hidden for longer, or given back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busframe_emulator.engine.errors import invalid_value
from busframe_emulator.engine.events import Event
from busframe_emulator.engine.message import BURIED, IN_FLIGHT, VISIBLE
from busframe_emulator.engine.requests import Done

if TYPE_CHECKING:
    from busframe_emulator.engine.queue import Queue
    from busframe_emulator.engine.requests import ChangeVisibility, Delete

BURIAL_US_MAX: Final = 60_000_000
"""What the chooser may ask at most; SQS names no bound, and a test needs one."""

_DONE: Final = Done()


def delete(queue: Queue, now_us: int, request: Delete) -> Done:
    """Remove the message the receipt speaks of.

    On a standard queue the newest receipt deletes whether or not the message is hidden, an older one need not do
    anything, and a message that is gone already is fine. On a FIFO queue a receipt is good while its message is hidden
    by it.
    """
    around = queue.around
    ordinal, delivery = queue.ids.read_receipt(request.receipt)
    message = queue.messages.get(ordinal)
    if message is None or message.state == BURIED:
        return _DONE
    newest = delivery == message.receive_count
    if queue.groups is not None:
        if not newest or message.state != IN_FLIGHT:
            raise invalid_value("ReceiptHandle", request.receipt, "The receipt handle has expired.")
    elif around.ask is not None:
        key = (queue.address.name, ordinal, delivery)
        if not newest:
            newest = around.ask("delete.stale", key) is not None
        if newest and (burial_us := around.ask("delete.zombie", key)) is not None:
            queue.bury(message, now_us, max(1, min(burial_us, BURIAL_US_MAX)))
            return _DONE
    if newest:
        if around.sink is not None:
            queue.tell("deleted", now_us, message, delivery)
        queue.remove(message)
    else:
        queue.tell("delete_ignored", now_us, message, delivery)
    return _DONE


def change_visibility(queue: Queue, now_us: int, request: ChangeVisibility) -> Done:
    """Let the message be hidden until `visibility_us` from now; 0 shows it at once.

    Raises:
        SqsError: it is gone; it would be hidden for more than twelve hours in all; on a FIFO queue, the receipt's time
            is over.
    """
    around = queue.around
    ordinal, delivery = queue.ids.read_receipt(request.receipt)
    message = queue.messages.get(ordinal)
    if message is None or message.state == BURIED:
        reason = "Message does not exist or is not available for visibility timeout change."
        raise invalid_value("ReceiptHandle", request.receipt, reason)
    visibility_us = request.visibility_us
    if queue.groups is not None and (delivery != message.receive_count or message.state != IN_FLIGHT):
        raise invalid_value("ReceiptHandle", request.receipt, "The receipt handle has expired.")
    if message.state == VISIBLE and not (around.limits.rehide_expired and visibility_us):
        return _DONE
    longest_us = around.limits.visibility_us_max
    if message.state == IN_FLIGHT and now_us + visibility_us > message.received_us + longest_us:
        reason = f"Total VisibilityTimeout for the message is beyond the limit [{longest_us // 1_000_000} seconds]"
        raise invalid_value("VisibilityTimeout", visibility_us // 1_000_000, reason)
    if around.sink is not None:
        around.sink(Event("visibility_changed", now_us, queue.address, ordinal, delivery, now_us + visibility_us))
    if visibility_us:
        queue.hide(message, now_us + visibility_us)
    else:
        queue.release(message, now_us)
    return _DONE
