"""Faults by position, in words: what goes wrong, where, and the how manieth time.

    from busframe_emulator.delivery import faults as f      # or: from busframe.testing import faults as f

    script = f.script(
        f.duplicate("orders", message=3),                    # the third message sent to `orders` is delivered twice
        f.receive("orders", nth=3).duplicates(),             # what the third receive brings first comes twice
        f.call("api", "send", nth=2).lost_response(),        # it takes effect, and the caller sees a broken connection
        f.crash("worker-1", at_s=1.5),
        f.zombie("orders", message=1, after_s=40),           # it comes back 40 s after it was deleted
        f.when("effect", key=5).crash("worker-1"),           # between this effect and whatever should come after it
    )

Each word makes one entry of a script (`scripts`, `chooser`, `sites`). Counts begin at 1, as the keys do. Where a word
leaves open which delivery it is about, the entry is bound late: to the first that comes up. So is what `when` makes:
to the first that comes up after something has happened (`triggers`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busframe_emulator.delivery.scripts import ANY, Late, Script
from busframe_emulator.delivery.sites import NetFault
from busframe_emulator.delivery.triggers import Trigger

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe_emulator.delivery.chooser import Key
    from busframe_emulator.delivery.triggers import Happening

    Fault = Late

_SECOND_US: Final = 1_000_000


def script(*faults: Fault) -> Script:
    """Put faults together. Two that are about the same moment: the one named first."""
    entries = {(fault.site, fault.key): fault for fault in reversed(faults) if not _is_late(fault)}
    concrete = [(fault.site, fault.key, fault.answer) for fault in reversed(entries.values())]
    return Script(concrete, [fault for fault in faults if _is_late(fault)])


# --- messages -------------------------------------------------------------------------------------------------------


def duplicate(queue: str, *, message: int, delivery: int | None = None) -> Fault:
    """A copy of a message stays visible while it is in flight, so that it is delivered twice. Standard queues only.

    Args:
        queue: its name.
        message: the how manieth that came into the queue.
        delivery: which of its deliveries leaves the copy; None: the first that comes up.
    """
    return Late("recv.dup", (queue, _count("message", message), _open("delivery", delivery)), 1)


def zombie(queue: str, *, message: int, after_s: float, delivery: int | None = None) -> Fault:
    """A message comes back so long after it was deleted, up to a minute. Standard queues only.

    Args:
        queue: its name.
        message: the how manieth that came into the queue.
        after_s: seconds, up to 60.
        delivery: by the receipt of which delivery it is deleted; None: of any.
    """
    key = (queue, _count("message", message), _open("delivery", delivery))
    return Late("delete.zombie", key, _time("after_s", after_s))


def stale_delete(queue: str, *, message: int, delivery: int | None = None) -> Fault:
    """An outdated receipt deletes a message all the same. Standard queues only.

    Args:
        queue: its name.
        message: the how manieth that came into the queue.
        delivery: whose receipt; None: of any.
    """
    return Late("delete.stale", (queue, _count("message", message), _open("delivery", delivery)), 1)


def lag(queue: str, *, message: int, for_s: float) -> Fault:
    """A message can be received only some time after it was sent, beyond its delay.

    Args:
        queue: its name.
        message: the how manieth that came into the queue.
        for_s: seconds, up to 2.
    """
    return Late("send.lag", (queue, _count("message", message)), _time("for_s", for_s))


# --- receives -------------------------------------------------------------------------------------------------------


class receive:  # noqa: N801 - reads as the others do: f.receive("orders", nth=3).finds_nothing()
    """What goes wrong with the `nth` receive of a queue, by whomever.

    Args:
        queue: its name.
        nth: counted over all who receive from it; one that waits is one receive.
    """

    def __init__(self, queue: str, *, nth: int) -> None:
        self._queue = queue
        self._nth: int | str = _count("nth", nth)
        self._when: Trigger | None = None

    @classmethod
    def after(cls, trigger: Trigger, queue: str) -> receive:
        """The first one after something has happened: see `when`."""
        made = cls(queue, nth=1)
        made._nth, made._when = ANY, trigger
        return made

    def finds_nothing(self) -> Fault:
        """Although messages are there: a short poll asks only some of the servers."""
        return Late("recv.empty", (self._queue, self._nth), 1, when=self._when)

    def brings_at_most(self, count: int) -> Fault:
        """It brings fewer messages than it could: `count` at most."""
        return Late("recv.fewer", (self._queue, self._nth), _count("count", count), when=self._when)

    def takes_from_behind(self, places: int, *, slot: int = 0) -> Fault:
        """It takes a message so many places behind the first one, for its `slot`-th, from 0. Standard queues only."""
        return Late("recv.pick", (self._queue, self._nth, slot), _count("places", places), when=self._when)

    def duplicates(self) -> Fault:
        """A copy of the first message that it brings stays visible. Standard queues only."""
        nth = None if isinstance(self._nth, str) else self._nth
        return Late("recv.dup", (self._queue, ANY, ANY), 1, nth, self._when)


# --- calls ----------------------------------------------------------------------------------------------------------


class call:  # noqa: N801 - reads as the others do: f.call("api", "send", nth=2).lost_response()
    """What goes wrong with the `nth` call of one kind by one node.

    Args:
        node: who calls, such as `api` or `worker[0]`; over HTTP, the access key. `*` is anybody: the first who does.
        operation: "send", "receive", "settle" or "extend"; over HTTP the name of the action, such as "SendMessage".
        nth: of this node's calls of this operation.
    """

    def __init__(self, node: str, operation: str, *, nth: int) -> None:
        self._key: Key = (node, operation, _count("nth", nth))
        self._when: Trigger | None = None

    @classmethod
    def after(cls, trigger: Trigger, node: str, operation: str) -> call:
        """The first one after something has happened: see `when`."""
        made = cls(node, operation, nth=1)
        made._key, made._when = (node, operation, ANY), trigger
        return made

    def lost_response(self) -> Fault:
        """It takes effect, and the caller sees a broken connection."""
        return self._fails(NetFault.LOST_ANSWER)

    def lost_request(self) -> Fault:
        """The caller sees a broken connection, and nothing happened."""
        return self._fails(NetFault.LOST_REQUEST)

    def throttled(self) -> Fault:
        """Refused: too many requests."""
        return self._fails(NetFault.THROTTLED)

    def unavailable(self) -> Fault:
        """The service answers that it failed; nothing happened."""
        return self._fails(NetFault.UNAVAILABLE)

    def times_out(self) -> Fault:
        """It takes effect, and the caller learns nothing for as long as it waits."""
        return self._fails(NetFault.TIMEOUT)

    def arrives_late(self, after_s: float) -> Fault:
        """The request takes `after_s` seconds, more than 0."""
        return Late("net.request", self._key, _time("after_s", after_s), when=self._when)

    def answers_late(self, after_s: float) -> Fault:
        """The answer takes `after_s` seconds, more than 0; the effect is there before."""
        return Late("net.answer", self._key, _time("after_s", after_s), when=self._when)

    def stands_still(self, for_s: float) -> Fault:
        """From this call on the node makes no progress with its calls for `for_s` seconds, and its leases run on."""
        return Late("node.pause", self._key, _time("for_s", for_s), when=self._when)

    def begins_outage(self, for_s: float) -> Fault:
        """This call and all of its kind by this node are answered with 503 for `for_s` seconds."""
        return Late("net.outage", self._key, _time("for_s", for_s), when=self._when)

    def _fails(self, fault: NetFault) -> Fault:
        return Late("net", self._key, int(fault), when=self._when)


def batch_entry(node: str, *, nth: int, entry: int) -> Fault:
    """One entry of the `nth` batch of a node fails, with nothing done for it; entries count from 0, batches from 1.

    Raises:
        ValueError: `nth` or `entry` is less.
    """
    if entry < 0:
        raise ValueError(f"entry: {entry!r} is not 0 or more")
    return Late("batch.partial", (node, _count("nth", nth), entry), 1)


# --- nodes ----------------------------------------------------------------------------------------------------------


def crash(node: str, *, at_s: float, life: int = 1) -> Fault:
    """A node of a simulation is killed `at_s` seconds after its `life`-th start: its clean-up has no effect."""
    return Late("node.crash", (node, _count("life", life)), _time("at_s", at_s))


def stop(node: str, *, at_s: float, life: int = 1) -> Fault:
    """A node of a simulation is stopped `at_s` seconds after its `life`-th start: its clean-up runs."""
    return Late("node.stop", (node, _count("life", life)), _time("at_s", at_s))


def restart(node: str, *, after_s: float, life: int = 1) -> Fault:
    """A node that died or was stopped, in its `life`-th life, is started again `after_s` seconds later."""
    return Late("node.restart", (node, _count("life", life)), _time("after_s", after_s))


# --- after something has happened -----------------------------------------------------------------------------------


class when:  # noqa: N801 - reads as the others do: f.when("effect", key=5).crash("worker-1")
    """What goes wrong once something has happened; it goes wrong once.

    Args:
        event: the kind of an event (`triggers`): of the broker, such as "sent", "delivered", "deleted", "moved", and
            "emptied" when a queue's last message is gone; in a simulation also "received", "acknowledged", "effect",
            "accepted", "started", "killed" and so on. Or a function of a `Happening` that says whether this is it.
        queue: its name, where the event is of one.
        node: whose doing it is; the broker's events are nobody's.
        message: the how manieth that came into the queue.
        key: of an effect, or of what was accepted.
        nth: of the events that fit.
    """

    def __init__(
        self,
        event: str | Callable[[Happening], object],
        *,
        queue: str | None = None,
        node: str | None = None,
        message: int | None = None,
        key: str | int | None = None,
        nth: int = 1,
    ) -> None:
        kind, test = (event, None) if isinstance(event, str) else (None, event)
        self._trigger = Trigger(kind, queue, node, message, key, nth, test)
        self._trigger.require_sense()

    def crash(self, node: str, *, after_s: float = 0.0) -> Fault:
        """A node of a simulation is killed, at that very moment or so long after it. `*` is the one whose doing it is.

        Nothing it does from then on has any effect, but for what it does in the same step, without awaiting anything.
        """
        return Late("node.crash_on", (node, ANY, ANY), _delay(after_s), when=self._trigger)

    def stop(self, node: str, *, after_s: float = 0.0) -> Fault:
        """A node of a simulation is stopped, at that very moment or `after_s` seconds after it."""
        return Late("node.stop_on", (node, ANY, ANY), _delay(after_s), when=self._trigger)

    def pause(self, node: str, *, for_s: float) -> Fault:
        """A node of a simulation stands still for `for_s` seconds, from its next call on."""
        return Late("node.pause", (node, ANY, ANY), _time("for_s", for_s), when=self._trigger)

    def call(self, node: str, operation: str) -> call:
        """The next call of an operation, such as "SendMessage", by this node: `.lost_response()` and so on."""
        return call.after(self._trigger, node, operation)

    def receive(self, queue: str) -> receive:
        """The next receive of this queue, by whomever: `.finds_nothing()` and so on."""
        return receive.after(self._trigger, queue)

    def batch_entry(self, node: str, *, entry: int) -> Fault:
        """One entry of the next batch of this node fails, with nothing done for it; entries count from 0."""
        return batch_entry(node, nth=1, entry=entry)._replace(key=(node, ANY, entry), when=self._trigger)


# --- arguments ------------------------------------------------------------------------------------------------------


def _is_late(fault: Fault) -> bool:
    return fault.receive is not None or fault.when is not None or ANY in fault.key


def _count(name: str, value: int) -> int:
    if value < 1:
        raise ValueError(f"{name}: {value!r} is not 1 or more")
    return value


def _open(name: str, value: int | None) -> int | str:
    return ANY if value is None else _count(name, value)


def _delay(seconds: float) -> int:
    return _time("after_s", seconds) if seconds else 0


def _time(name: str, seconds: float) -> int:
    if not seconds > 0 or seconds == float("inf"):
        raise ValueError(f"{name}: {seconds!r} is not a positive number of seconds")
    return max(1, round(seconds * _SECOND_US))
