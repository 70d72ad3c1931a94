"""One run of a scenario under one chooser: what happened, what it came to, and what was wrong with that."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from busframe.simulation.errors import SimulationError, SimulationEscapeError
from busframe.simulation.escapes import hearing
from busframe.simulation.nodes import breakable_shields
from busframe.simulation.places import is_library
from busframe.simulation.running import Conditions, run_in_virtual_time
from busframe.simulation.sim import Sim, entered
from busframe.simulation.verdicts import DEFAULT_CHECKS, Outcome, Violation, raised_text
from busframe.simulation.world import open_world
from busframe_emulator.delivery import CALM
from busframe_emulator.delivery.choosers import Adversary, Recording, Scripted
from busframe_emulator.delivery.scripts import Script
from busframe_emulator.delivery.sites import ON_EVENTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable, Sequence

    from busframe.simulation.nodes import Node
    from busframe.simulation.record import Entry
    from busframe.simulation.running import Backend
    from busframe.simulation.schedule import Trace
    from busframe.simulation.sealing import Threads
    from busframe.simulation.verdicts import Check
    from busframe_emulator.delivery import Chooser
    from busframe_emulator.delivery.chooser import Key
    from busframe_emulator.delivery.profiles import Profile

    Scenario = Callable[[Sim], Awaitable[object]]

NO_SCRIPT: Final = Script()
_BUSFRAME: Final = str(Path(__file__).parents[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all runs of a search have in common.

    Attributes:
        scenario: an async function of a `Sim`.
        backend: the event loop.
        checks: asked of every run, besides those that the scenario asks for.
        threads: what becomes of functions that are to run in threads.
        logs: let the program log.
    """

    scenario: Scenario
    backend: Backend = "asyncio"
    checks: Sequence[Check] = DEFAULT_CHECKS
    threads: Threads = "forbid"
    logs: bool = False


@dataclass(slots=True, kw_only=True)
class Run:
    """One run.

    Attributes:
        seed: of what is random to the program itself, and of the adversary if there was one.
        fired: the deviations that came up.
        unused: entries of its script that did not.
        entries: what happened.
        bodies: of all messages, by queue and ordinal.
        outcome: what it came to.
        violations: what was wrong with that.
        sometimes: see `Sim.sometimes`.
        unread: in a calm world: batch calls whose outcomes nobody has looked at.
        reads_keys: see `Sim.read_keys`; None if the scenario says nothing.
        is_calm: it is of a calm world.
    """

    seed: int
    fired: Script = NO_SCRIPT
    unused: Script = NO_SCRIPT
    entries: list[Entry] = field(default_factory=list["Entry"])
    bodies: dict[tuple[str, int], str] = field(default_factory=dict[tuple[str, int], str])
    outcome: Outcome = field(default_factory=Outcome)
    violations: list[Violation] = field(default_factory=list[Violation])
    sometimes: dict[str, bool] = field(default_factory=dict[str, bool])
    unread: list[Entry] = field(default_factory=list["Entry"])
    reads_keys: Callable[[str], Collection[Hashable]] | None = None
    is_calm: bool = False


def try_calmly(setting: Setting, seed: int = 0) -> Run:
    """Run in a calm world; the seed is of what is random to the program itself."""
    return _try(setting, CALM, Run(seed=seed, is_calm=True), calm=None, trace=None)


def try_seed(
    setting: Setting,
    profile: Profile,
    seed: int,
    *,
    calm: Outcome | None,
    first: Script = NO_SCRIPT,
    trace: Trace | None = None,
) -> Run:
    """Run against chance, with a script before it."""
    adversary = Adversary(profile.for_seed(seed), seed, first)
    run = _try(setting, adversary, Run(seed=seed), calm=calm, trace=trace, scripted=adversary.scripted)
    run.fired, run.unused = adversary.fired, adversary.unused
    return run


def try_script(setting: Setting, script: Script, seed: int, *, calm: Outcome | None, trace: Trace | None = None) -> Run:
    """Run exactly as a script says."""
    scripted = Scripted(script)
    recording = Recording(scripted)
    run = _try(setting, recording, Run(seed=seed), calm=calm, trace=trace, scripted=scripted)
    run.fired, run.unused = recording.fired, scripted.unused
    return run


def asked_sites(setting: Setting, seed: int = 0) -> list[tuple[str, Key]]:
    """Run calmly, and tell at which sites and keys something could have been chosen, in order."""
    listening = _Listening()
    _try(setting, listening, Run(seed=seed), calm=None, trace=None, scripted=listening)
    return list(listening.asked)


class _Listening(Scripted):
    """Answers calmly, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(NO_SCRIPT)
        self.asked: dict[tuple[str, Key], None] = {}
        self._events: set[tuple[str, Key]] = set()

    @property
    def listens(self) -> bool:
        """Whatever happens, a node may die of it."""
        return True

    def ask(self, site: str, key: Key) -> int | None:
        """See `Chooser`."""
        if site in ON_EVENTS:
            # All nodes are asked. The first one is whose doing it was: when others die is told by what they do.
            event = (site, key[1:])
            if event in self._events:
                return None
            self._events.add(event)
        self.asked[site, key] = None
        return None


def _try(
    setting: Setting,
    chooser: Chooser,
    run: Run,
    *,
    calm: Outcome | None,
    trace: Trace | None,
    scripted: Scripted | None = None,
) -> Run:
    raised: list[Violation] = []
    nodes: list[Sequence[Node]] = []

    async def main() -> None:
        async with open_world(chooser, seed=run.seed, scripted=scripted) as world, entered(Sim(world, calm)) as sim:
            run.entries, run.bodies = world.record.entries, world.bodies
            nodes.append(world.nodes)
            try:
                with breakable_shields():
                    await setting.scenario(sim)
            except Exception as error:  # noqa: BLE001 - found, as what a check finds
                raised.append(Violation(check=type(error).__name__, text=raised_text(error)))
            run.outcome = await sim.outcome()
            run.sometimes, run.reads_keys = sim.sometimes_seen, sim.reads_keys
            run.unread = world.unread_batches()
            if calm is None:
                raised.extend(sim.node_violations())
            for check in (*sim.checks, *setting.checks):
                run.violations += check(run.outcome, calm)
            raised.extend(world.broker_violations())
            if world.escaped is not None:
                raised.insert(0, world.escaped)

    ask = None if chooser is CALM else chooser.ask
    conditions = Conditions(backend=setting.backend, ask=ask, seed=run.seed, threads=setting.threads)
    # A world that fails on purpose makes thousands of warnings, and the record has it all.
    logs_from = logging.root.manager.disable
    if not setting.logs:
        logging.disable(logging.CRITICAL)
    with hearing() as heard:
        try:
            run_in_virtual_time(main, conditions, trace=trace)
        except SimulationError as error:
            raised.append(Violation(check=type(error).__name__, text=str(error)))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - found, as what a check finds
            raised.append(_ended_by(error, nodes))
        finally:
            logging.disable(logs_from)
        if heard:
            # A handler that fails of it looks like any other, is tried again, and given up: all else follows from it.
            run.violations.clear()
            told = Violation(check=SimulationEscapeError.__name__, text=str(heard[0]))
            raised[:] = [next((one for one in raised if one.check == told.check), told)]
    # What was raised explains what is wrong with the rest.
    run.violations[:0] = raised
    return run


def _ended_by(error: BaseException, nodes: Iterable[Sequence[Node]]) -> Violation:
    """What to say of an error that ended the whole run: no node that fails should be able to."""
    first = error
    while isinstance(first, BaseExceptionGroup):
        first = cast("BaseExceptionGroup[BaseException]", first).exceptions[0]
    failed = [(node.name, node.failures[-1]) for one in nodes for node in one if node.failures]
    name, cause = failed[-1] if failed else ("the program", first)
    text = f"{name} raised {cause!r}{_where(cause)}, and the run could not go on"
    if isinstance(first, RuntimeError) and "cancel scope" in str(first).lower():
        text += (
            "\ncancel scopes and task groups are to be left in the opposite order in which they were entered; "
            "`async with delivery` holds one: entered inside of move_on_after or fail_after, it must be left there"
        )
    return Violation(check=f"{type(cause).__name__} in a node" if failed else type(cause).__name__, text=text)


def _where(error: BaseException) -> str:
    """The innermost line of the program itself that an error came through."""
    place = ""
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not is_library(code.co_filename) and not code.co_filename.startswith(_BUSFRAME):
            place = f" in {code.co_qualname} ({code.co_filename}:{traceback.tb_lineno})"
        traceback = traceback.tb_next
    return place
