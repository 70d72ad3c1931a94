"""Random histories: what a history is made of, and how one is drawn.

A history is a town of queues and a list of steps. Steps name queues and receipts by index, so that any list of steps is
a history and a shorter one still makes sense. Each queue's durations have microseconds of their own: no two queues have
something due at one instant, since nobody says which would come first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random  # noqa: TID251 - seeded, and the seed stands in the failure
from typing import TYPE_CHECKING, Final

from engine.world import address, us

from busframe_emulator.engine import Limits, Redrive
from busframe_emulator.engine.requests import DEFAULT_SENDER, MessageAttribute
from busframe_emulator.engine.settings import RedriveAllow

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMITS: Final = Limits(
    in_flight_max=10,
    fifo_search_max=7,
    visibility_us_max=us(40),
    deduplication_us=us(25),
    purge_interval_us=us(20),
    recreate_after_us=us(10),
    attempts_us=us(12),
    noisy_in_flight_min=2,
    noisy_percent=40,
    moves_per_s=3,
)
"""Small, so that a short history meets them."""

QUEUES: Final = tuple(address(name) for name in ("work", "dead", "work.fifo", "dead.fifo"))

# --- steps ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pass:
    """Time goes by: so long, or (None) until exactly the next instant at which something is due, if that is near."""

    for_us: int | None


@dataclass(frozen=True)
class Put:
    """Send: one, or a batch of several. Body, group and deduplication id are small numbers; None is none."""

    queue: int
    entries: tuple[tuple[int, int | None, int | None, int | None], ...]
    """Body, group, deduplication id, delay in seconds."""


@dataclass(frozen=True)
class Take:
    """Receive. Seconds, or None for the queue's own."""

    queue: int
    limit: int
    visibility_s: int | None
    wait_s: int | None
    attempt: int | None = None
    """A small number that becomes a ReceiveRequestAttemptId."""


@dataclass(frozen=True)
class Settle:
    """Delete (None) or hide for so many seconds the messages with these receipts, counted from the newest."""

    receipts: tuple[int, ...]
    visibility_s: int | None
    abroad: bool = False
    """Ask the wrong queue."""


@dataclass(frozen=True)
class Cancel:
    """The newest waiting caller but so many goes away."""

    waiter: int


@dataclass(frozen=True)
class Manage:
    """Do something to a whole queue."""

    queue: int
    what: str
    """"purge", "remove", "create", "tag", or a setting to change."""
    value: int = 0
    """In seconds, bytes, or as `new_setting` reads it."""


@dataclass(frozen=True)
class Move:
    """Begin a message move task; None sends each message to where it came from, or leaves the rate open."""

    queue: int
    destination: int | None = None
    per_s: int | None = None


@dataclass(frozen=True)
class Stop:
    """Cancel the newest message move task of a queue."""

    queue: int


Step = Pass | Put | Take | Settle | Cancel | Manage | Move | Stop


@dataclass(frozen=True)
class QueuePlan:
    """How a queue is set up, in whole seconds."""

    delay_s: int
    retention_s: int
    wait_s: int
    visibility_s: int
    max_receives: int | None
    to_itself: bool
    by_group: bool


@dataclass(frozen=True)
class History:
    plans: tuple[QueuePlan, ...]
    steps: tuple[Step, ...]
    rehide_expired: bool = False

    @property
    def limits(self) -> Limits:
        """`LIMITS`, and what differs from history to history."""
        return replace(LIMITS, rehide_expired=self.rehide_expired, noisy_memory_us=us(9))


def settings_of(index: int, plan: QueuePlan) -> dict[str, object]:
    """What `CreateQueue` is handed for the queue with this index."""
    settings: dict[str, object] = {
        "delay_us": own_us(index, plan.delay_s),
        "retention_us": own_us(index, plan.retention_s),
        "wait_us": own_us(index, plan.wait_s),
        "visibility_us": own_us(index, plan.visibility_s),
        "message_bytes_max": 3,
    }
    if plan.max_receives is not None:
        # Work goes to dead, dead to work (a circle), or each to itself.
        target = QUEUES[index if plan.to_itself else index ^ 1]
        settings["redrive"] = Redrive(target, plan.max_receives)
    if index >= 2:
        settings |= {
            "fifo": True,
            "content_deduplication": not plan.to_itself,
            "deduplication_scope": "messageGroup" if plan.by_group else "queue",
        }
    return settings


def new_setting(step: Manage) -> dict[str, object]:
    """What `SetQueue` is handed."""
    index, value = step.queue, step.value
    match step.what:
        case "redrive":
            # Mostly its partner, or itself; sometimes a queue of another type, or one that is not there.
            targets = (QUEUES[index ^ 1], QUEUES[index ^ 1], QUEUES[index], QUEUES[index ^ 2], address("nowhere"))
            return {"redrive": Redrive(targets[value % 5], 1 + value % 3) if value else None}
        case "redrive_allow":
            sources = (QUEUES[index ^ value % 2],)
            policies = (None, RedriveAllow("denyAll"), RedriveAllow("byQueue", sources), RedriveAllow("allowAll"))
            return {"redrive_allow": policies[value % 4]}
        case "content_deduplication":
            return {"content_deduplication": value % 2 == 1}
        case "deduplication_scope":
            return {"deduplication_scope": ("queue", "messageGroup")[value % 2]}
        case "message_bytes_max":
            return {"message_bytes_max": 2 + value % 3}
        case duration:
            return {duration: own_us(index, value)}


def company(body: str) -> tuple[Mapping[str, MessageAttribute] | None, str | None, str]:
    """What is sent along with a body: attributes, trace header and sender. Most go alone."""
    number = int(body)
    attributes = {"number": MessageAttribute("Number", body)} if number % 3 == 0 else None
    trace_header = f"Root={body}" if number % 5 == 0 else None
    return attributes, trace_header, f"AIDA{body}" if number % 7 == 0 else DEFAULT_SENDER


def own_us(index: int, seconds: int) -> int:
    """Seconds, and microseconds that tell whose they are."""
    return us(seconds) + 50**index if seconds else 0


# --- chance ---------------------------------------------------------------------------------------------------------


def random_history(seed: int, length: int) -> History:
    """Draw a history: the same for the same seed and length."""
    chance = Random(seed)  # noqa: S311 - not a secret
    plans = tuple(
        QueuePlan(
            delay_s=chance.choice((0, 0, 0, 3)),
            retention_s=chance.choice((60, 60, 90, 400)),
            wait_s=chance.choice((0, 0, 4)),
            visibility_s=chance.choice((0, 2, 5, 5, 30)),
            max_receives=chance.choice((None, 1, 2, 3)),
            to_itself=chance.random() < 0.2,
            by_group=chance.random() < 0.3,
        )
        for _ in QUEUES
    )
    # A town of few busy queues and a town of many quiet ones find different faults.
    busy = chance.choice(((0, 1), (2, 3), (0, 1, 2, 3), (2, 2, 2, 3), (0, 0, 0, 1)))
    steps = tuple(_random_step(chance, busy) for _ in range(length))
    return History(plans, steps, rehide_expired=chance.random() < 0.2)


def _random_step(chance: Random, busy: tuple[int, ...]) -> Step:
    queue = chance.choice(busy)
    kind = chance.random()
    if kind < 0.22:
        return Pass(chance.choice((None, None, None, 1, us(0.3), us(1), us(1), us(2), us(5), us(17))))
    if kind < 0.50:
        return Put(queue, tuple(_random_entry(chance, queue) for _ in range(chance.choice((1, 1, 1, 2, 4)))))
    if kind < 0.73:
        return Take(
            queue,
            limit=chance.choice((1, 1, 2, 3, 10)),
            visibility_s=chance.choice((None, None, 0, 1, 3, 30)),
            wait_s=chance.choice((None, 0, 0, 0, 2, 6)),
            attempt=chance.choice((None, None, 0, 1)),
        )
    if kind < 0.95:
        newest = chance.choice((0, 0, 1, 2, 3, 5, 8, 20))
        return Settle(
            receipts=tuple(newest + i for i in range(chance.choice((1, 1, 1, 3)))),
            visibility_s=chance.choice((None, None, None, 0, 0, 2, 8, 39)),
            abroad=chance.random() < 0.02,
        )
    if kind < 0.965:
        return Cancel(chance.choice((0, 0, 1)))
    return _random_management(chance, queue)


def _random_management(chance: Random, queue: int) -> Step:
    kind = chance.random()
    if kind < 0.4:
        return Move(queue, chance.choice((None, None, None, 0, 1, 2, 3)), chance.choice((None, 1, 7)))
    if kind < 0.45:
        return Stop(queue)
    if kind < 0.55:
        return Manage(queue, "tag", chance.randrange(6))
    if kind < 0.75:
        settings = ["redrive", "redrive", "redrive_allow", "message_bytes_max"]
        if queue >= 2:
            settings += ["content_deduplication", "deduplication_scope"]
        return Manage(queue, chance.choice(settings), chance.randrange(12))
    durations = ("retention_us", "visibility_us", "wait_us", "delay_us", "delay_us")
    what = chance.choice(("purge", "remove", "create", "create", "create", *durations))
    return Manage(queue, what, chance.choice((0, 1, 4) if what != "retention_us" else (60, 61, 120)))


def _random_entry(chance: Random, queue: int) -> tuple[int, int | None, int | None, int | None]:
    fifo = queue >= 2
    odd = chance.random() < 0.03
    return (
        chance.choice((chance.randrange(100), chance.randrange(10_000) if odd else chance.randrange(1000))),
        None if fifo == odd and (fifo or chance.random() < 0.6) else chance.randrange(3),
        chance.randrange(20) if fifo != odd and chance.random() < 0.5 else None,
        chance.choice((0, 2)) if odd else None if fifo else chance.choice((None, None, 0, 2, 7)),
    )
