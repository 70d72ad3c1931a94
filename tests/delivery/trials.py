"""An engine on trial: a random history under one profile, then a search for whatever is left, then the checkers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.histories import LIMITS, QUEUES, Take, random_history
from engine.solo import Solo
from engine.world import us

from busframe_emulator.delivery.checkers import EngineChecks
from busframe_emulator.delivery.choosers import Guarded, Random
from busframe_emulator.engine import SqsError
from busframe_emulator.engine.requests import GetQueue

if TYPE_CHECKING:
    from busframe_emulator.delivery.checkers import Report
    from busframe_emulator.delivery.profiles import Profile
    from busframe_emulator.engine.events import Event


def run_trial(seed: int, profile: Profile, *, length: int = 200) -> Solo:
    """Two standard and two FIFO queues, with whatever clients do to them."""
    history = random_history(seed, length)
    solo = Solo(history.plans, chooser=Guarded(Random(profile.for_seed(seed), seed)))
    for step in history.steps:
        solo.take(step)
    _search(solo)
    _look(solo)
    return solo


def judge(solo: Solo) -> Report:
    """Let the checkers see all that happened."""
    checks = EngineChecks(limits=LIMITS)
    for event in solo.events:
        checks.event(event)
    return checks.finish(solo.now_us)


def events_of(seed: int, profile: Profile, *, length: int = 200) -> list[Event]:
    return run_trial(seed, profile, length=length).events


def _search(solo: Solo) -> None:
    """Leases and lags end; then receives wait for whatever is there, until long after all of it was seen."""
    _pass(solo, us(40))
    for _ in range(8):
        for queue in range(len(QUEUES)):
            solo.take(Take(queue, limit=10, visibility_s=1, wait_s=2))
        _pass(solo, us(2.2))


def _look(solo: Solo) -> None:
    """Counts must be true by now."""
    _pass(solo, us(61))
    for queue in QUEUES:
        try:
            solo.engine.apply(solo.now_us, GetQueue(queue=queue, approximate=True))
        except SqsError:
            continue  # it was deleted


def _pass(solo: Solo, for_us: int) -> None:
    solo.now_us += for_us
    solo.engine.advance(solo.now_us)
    solo.take(Take(0, limit=1, visibility_s=0, wait_s=0))
