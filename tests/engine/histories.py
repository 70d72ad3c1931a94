"""Random histories: what a history is made of, and how one is drawn.

A history is a town of queues and a list of steps. Steps name queues and receipts by index, so that any list of steps is
a history and a shorter one still makes sense. Each queue's durations have microseconds of their own: no two queues have
something due at one instant, since nobody says which would come first.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random  # noqa: TID251 - seeded, and the seed stands in the failure
from typing import Final

from engine.world import address, us

from busframe_emulator.engine import Limits, Redrive

LIMITS: Final = Limits(
    in_flight_max=6,
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
    """"purge", "remove", "create", or a setting to change."""
    value: int = 0


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
    return History(plans, tuple(_random_step(chance, busy) for _ in range(length)))


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
        newest = chance.choice((0, 0, 1, 2, 5, 20))
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
    if kind < 0.5:
        return Stop(queue)
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
