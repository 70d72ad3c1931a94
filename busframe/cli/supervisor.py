"""Several worker processes, kept going by one that does nothing else.

    slot:  start ──> ready ──> ended ──┬─ told to, recycled, or by itself at exit 0 ──> start
                       │               ├─ an end was asked for and is reached ────────> done
                     tired             ├─ wrong use, before it was ready ─────────────> all stop, exit 2
                       └─> told to     └─ died ──> wait, longer each time ────────────> start
                                                   FAILURES_MAX in a row, each soon ──> all stop, exit 1 or 3

A worker is a process of its own session, so that Ctrl-C reaches this process only, which passes it on once. It holds
one end of a `Link`: if this process dies, however, its workers learn of it, drain and end. If a worker dies, the broker
delivers again what it had in hand when the leases end. So neither loses a message.

A worker that wants to be replaced goes on until it is told to stop, and one at a time is told: the next when the
substitute is ready.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import anyio

from busframe import runtime
from busframe._consume.polling import is_outage
from busframe._consume.signals import first_of
from busframe.cli.changes import changed_files
from busframe.cli.endpoint import serving
from busframe.cli.fleet import Fleet
from busframe.cli.link import GRACE_S, LINK_VARIABLE, WORKER_VARIABLE, Link
from busframe.cli.running import DONE, FAILED, FOUND, MISUSED
from busframe.cli.seeing import Pages
from busframe.cli.slot import Slot
from busframe.cli.status import StatusFile
from busframe.cli.worker import add, failed, say_summary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anyio.abc import TaskGroup, TaskStatus

    from busframe.cli.endpoint import Address

_log = logging.getLogger("busframe.run")

FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 30.0

SOON_S: Final = 10.0
"""A worker that died earlier than this after its start has hardly worked."""

FAILURES_MAX: Final = 5
"""So many that die soon, one after the other, and the trouble is not theirs."""

LAST_LINES_S: Final = 1.0
STATUS_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is to be kept going.

    Attributes:
        workers: how many.
        ends: a worker that ends by itself is done, since nothing is left for it; else it is replaced.
        isolate: with `ends`, it is done only if it found no message.
        time_max_s: stop all after so many seconds; None: not.
        drain_s: how long handlers may go on when told to stop.
        reload: replace workers when the program's files change, and wait for that when they die.
        status: path of the file in which to tell how they are; None: nowhere.
        as_json: at an end, say what became of messages as JSON.
        metrics: where to tell how they are over HTTP; None: nowhere.
    """

    workers: int
    ends: bool = False
    isolate: bool = False
    time_max_s: float | None = None
    drain_s: float = 25.0
    reload: bool = False
    status: str | None = None
    as_json: bool = False
    metrics: Address | None = None


class Supervisor:
    """Keeps workers going.

    Args:
        command: starts one.
        policy: how many, and until when.
    """

    def __init__(self, command: Sequence[str], policy: Policy) -> None:
        self._command = command
        self._policy = policy
        self._slots = [Slot(number) for number in range(1, policy.workers + 1)]
        self._stopping = anyio.Event()
        self._changed = anyio.Event()  # of the program's files
        self._someone_is_tired = anyio.Event()
        self._code = DONE
        self._sums: dict[str, dict[str, int]] = {}
        self._status = None if policy.status is None else StatusFile(policy.status)
        self._fleet = Fleet(self._slots)

    async def run(self) -> int:
        """Run until told to stop, an end is reached, or it is hopeless; returns the exit code."""
        async with serving(self._policy.metrics, Pages(self._fleet)), runtime.background_tasks() as tasks:
            await tasks.start(self._pass_signals_on, tasks)
            tasks.start_soon(self._replace_the_tired)
            tasks.start_soon(self._keep_status)
            if self._policy.reload:
                await tasks.start(self._replace_after_changes)
            if self._policy.time_max_s is not None:
                tasks.start_soon(self._stop_after, self._policy.time_max_s, tasks)
            try:
                async with anyio.create_task_group() as slots:
                    for slot in self._slots:
                        slots.start_soon(self._keep, slot, tasks)
            finally:
                for slot in self._slots:
                    slot.tell(signal.SIGKILL)  # those that are left after a failure in here
        if self._status is not None:
            self._status.remove()
        return self._conclude()

    # --- one slot ---------------------------------------------------------------------------------------------------

    async def _keep(self, slot: Slot, tasks: TaskGroup) -> None:
        while not self._stopping.is_set():
            slot.clear()
            slot.state = "starting"
            began_s = runtime.now_s()
            code = await self._live_and_die(slot)
            slot.state = "ended"
            if (last := slot.ended or slot.report) is not None:
                add(last["counts"], self._sums)
            self._fleet.bury(slot)
            if self._stopping.is_set():
                if code not in {DONE, FOUND, -signal.SIGTERM}:
                    _log.error("worker %d ended badly: %s", slot.number, _cause(code))
                    self._note(FOUND)
                break
            if self._is_done(slot, code):
                break
            if not self._died(slot, code):
                slot.failures = 0
                slot.restarts += 1
                continue
            slot.died_with = code
            slot.failures = slot.failures + 1 if runtime.now_s() - began_s < SOON_S else 1
            if not await self._may_start_again(slot, code, tasks):
                break
            slot.restarts += 1
        slot.state = "done"
        slot.renewed.set()  # nobody comes any more

    async def _live_and_die(self, slot: Slot) -> int:
        """Start a worker, listen to it, and return the exit code it ends with."""
        ours, theirs = socket.socketpair()
        link = slot.link = Link(ours)
        try:
            with theirs:
                environment = {
                    **os.environ,
                    LINK_VARIABLE: str(theirs.fileno()),
                    WORKER_VARIABLE: f"{slot.number}/{self._policy.workers}",
                }
                process = await anyio.open_process(
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=None,
                    stderr=None,
                    env=environment,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            slot.process = process
            if self._stopping.is_set():
                slot.tell(signal.SIGTERM)
            _log.info("worker %d is process %d", slot.number, process.pid)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._listen, slot, link)
                await process.wait()
                # The line is read to its end; but a process the worker has left behind may keep it open.
                tasks.cancel_scope.deadline = runtime.now_s() + LAST_LINES_S
        finally:
            slot.link = slot.process = None
            link.close()
        assert process.returncode is not None  # noqa: S101 - it has ended
        return process.returncode

    async def _listen(self, slot: Slot, link: Link) -> None:
        async for line in link.lines():
            self._hear(slot, line)

    def _hear(self, slot: Slot, line: Mapping[str, Any]) -> None:
        if "ready" in line:
            slot.state = "running"
            slot.died_with = None
            slot.ready.set()
        if "report" in line:
            slot.report = line["report"]
            if line["tired"] is not None and slot.tired is None:
                slot.tired = line["tired"]
                self._someone_is_tired.set()
        if "ended" in line:
            slot.ended = {**line["ended"], "signal": line["signal"]}
        self._fleet.hear(slot, line)

    def _is_done(self, slot: Slot, code: int) -> bool:
        """Tell whether nothing is left for the slot to do, by what its worker said and how it ended."""
        if not self._policy.ends or slot.ended is None or slot.ended["signal"] is not None:
            return False
        if code == FOUND:
            self._note(FOUND)
        received = sum(of["received"] for of in slot.ended["counts"].values())
        return not (self._policy.isolate and received)

    @staticmethod
    def _died(slot: Slot, code: int) -> bool:
        """Tell whether the worker ended otherwise than by being told to, or by what it was made for."""
        return not (slot.told or (code in {DONE, FOUND} and slot.ready.is_set()))

    async def _may_start_again(self, slot: Slot, code: int, tasks: TaskGroup) -> bool:
        """After a death: wait until another may be started. False if there shall be no other."""
        cause = _cause(code)
        if self._policy.reload:
            _log.error("worker %d died: %s; waiting for a change of the program", slot.number, cause)
            slot.state = "waiting for a change"
            await first_of(self._changed, self._stopping)
            return not self._stopping.is_set()
        hopeless = code == MISUSED and not slot.ready.is_set()
        if hopeless or slot.failures >= FAILURES_MAX:
            again = "" if hopeless else f", {slot.failures} times in a row, each within {SOON_S:g} s of its start"
            _log.critical("worker %d died: %s%s: giving up, and stopping all others", slot.number, cause, again)
            self._note(code if code in {MISUSED, FAILED} else FOUND)
            self._stop(tasks)
            return False
        wait_s = min(FIRST_WAIT_S * 2 ** (slot.failures - 1), LONGEST_WAIT_S)
        _log.error("worker %d died: %s; starting another in %.1f s", slot.number, cause, wait_s)
        slot.state = "waiting after a death"
        with anyio.move_on_after(wait_s):
            await self._stopping.wait()
        return not self._stopping.is_set()

    # --- stopping ---------------------------------------------------------------------------------------------------

    async def _pass_signals_on(self, tasks: TaskGroup, *, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            first = await anext(signals)
            _log.info("%s: draining %d workers", first.name, sum(slot.process is not None for slot in self._slots))
            self._stop(tasks)
            second = await anext(signals)
            _log.warning("%s again: ending the drain", second.name)
            for slot in self._slots:
                slot.tell(signal.SIGTERM)
            with anyio.move_on_after(GRACE_S):
                await anext(signals)
            _log.warning("killing the workers that are left")
            for slot in self._slots:
                slot.tell(signal.SIGKILL)

    async def _stop_after(self, seconds: float, tasks: TaskGroup) -> None:
        await runtime.sleep(seconds)
        _log.info("%g s are over: draining", seconds)
        for slot in self._slots:
            self._note_outage(slot)
        self._stop(tasks)

    def _note_outage(self, slot: Slot) -> None:
        """Take care that a run whose time is over does not end well if nothing could be received."""
        if slot.died_with is not None:  # and nobody has begun to work in its place
            self._note(FAILED if slot.died_with == FAILED else FOUND)
        for consumer in () if slot.report is None else slot.report["consumers"]:
            if is_outage(consumer["failures"], ever_good=consumer["good_poll_s"] is not None):
                _log.error("worker %d: %s: polls fail: %s", slot.number, consumer["queue"], consumer["error"])
                self._note(FAILED)

    def _stop(self, tasks: TaskGroup) -> None:
        """Tell all workers to drain, those excepted that have been told: a second signal would end their drain."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        for slot in self._slots:
            if not slot.told:
                slot.tell(signal.SIGTERM)
        tasks.start_soon(self._kill_late)

    async def _kill_late(self) -> None:
        await runtime.sleep(self._policy.drain_s + GRACE_S)
        _log.critical(
            "workers are still there that should have drained within %g s: killing them", self._policy.drain_s
        )
        for slot in self._slots:
            slot.tell(signal.SIGKILL)

    # --- replacing --------------------------------------------------------------------------------------------------

    async def _replace_the_tired(self) -> None:
        while True:
            await self._someone_is_tired.wait()
            self._someone_is_tired = anyio.Event()
            for slot in self._slots:
                if slot.tired is not None and not slot.told and not self._stopping.is_set():
                    _log.info("worker %d after %s: replacing it", slot.number, slot.tired)
                    await self._replace(slot, math.inf)
                    with anyio.move_on_after(GRACE_S):  # one that cannot start must not keep the others waiting
                        await first_of(slot.ready, self._stopping)

    async def _replace_after_changes(self, *, task_status: TaskStatus[None]) -> None:
        async for files in changed_files(task_status):
            _log.info("%s changed: replacing workers", ", ".join(files))
            changed, self._changed = self._changed, anyio.Event()
            changed.set()
            async with anyio.create_task_group() as tasks:
                for slot in self._slots:
                    if slot.process is not None and not self._stopping.is_set():
                        # Whoever develops does not want to wait for handlers of the old program. Nor is it waited
                        # until the new one is ready: it may be broken, and then waits for the next change itself.
                        tasks.start_soon(self._replace, slot, 1.0)

    async def _replace(self, slot: Slot, hasten_after_s: float) -> None:
        """Have a worker drain, and wait until another starts in its place, or all stop.

        Args:
            slot: whose.
            hasten_after_s: when to end its drain; infinite leaves it all its time.
        """
        process, renewed = slot.process, slot.renewed
        if process is None:
            return
        slot.tell(signal.SIGTERM)
        with anyio.move_on_after(min(hasten_after_s, self._policy.drain_s + GRACE_S)):
            await process.wait()
        if process.returncode is None and not self._stopping.is_set():
            slot.tell(signal.SIGTERM)
            with anyio.move_on_after(GRACE_S):
                await process.wait()
        if process.returncode is None and not self._stopping.is_set():
            _log.error("worker %d does not end: killing it", slot.number)
            slot.tell(signal.SIGKILL)
        await first_of(renewed, self._stopping)

    # --- telling ----------------------------------------------------------------------------------------------------

    async def _keep_status(self) -> None:
        while self._status is not None:
            await self._status.write(self._fleet.rows())
            await runtime.sleep(STATUS_S)

    def _note(self, code: int) -> None:
        self._code = max(self._code, code)

    def _conclude(self) -> int:
        if self._policy.ends or self._policy.time_max_s is not None:
            say_summary(self._sums, as_json=self._policy.as_json)
            if failed(self._sums):
                self._note(FOUND)
        return self._code


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
