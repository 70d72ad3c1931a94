"""One process that runs handlers: alone, or one of several that `busframe.cli.supervisor` watches over."""

from __future__ import annotations

import logging
import os
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import anyio
import msgspec
from anyio.from_thread import BlockingPortal

from busframe import runtime
from busframe.cli.connecting import connected, require_shared
from busframe.cli.endpoint import parse_address, serving
from busframe.cli.finding import find_bus
from busframe.cli.link import GRACE_S, Link, as_json, report
from busframe.cli.output import say_json, say_table
from busframe.cli.running import DONE, FOUND
from busframe.cli.seeing import Pages
from busframe.cli.status import StatusFile
from busframe.errors import ConfigurationError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Mapping, Sequence

    from anyio.abc import TaskStatus

    from busframe.cli.seeing import Row
    from busframe.cli.watchdog import Watchdog
    from busframe.message import QueueName
    from busframe.samples import Family
    from busframe.session import Live

_log = logging.getLogger("busframe.run")

REPORT_S: Final = 1.0
"""How often a process says how it is."""

QUEUES_S: Final = 5.0
"""How long the broker may take to say how full the queues are; then the page is made without."""

BAD: Final = ("retried", "dead_lettered", "lost", "unsettled")
"""What may become of a message besides being handled."""


class Worker:
    """Runs the handlers of a program.

    Args:
        arguments: of `busframe run`.
        watchdog: sees to it that this process ends when told to stop; None if another process does.
    """

    def __init__(self, arguments: Namespace, watchdog: Watchdog | None = None) -> None:
        self._arguments = arguments
        self._watchdog = watchdog
        self._link = Link.inherited()
        self._started_s = runtime.wall_s()
        self._queues: set[QueueName] = set()
        self._live: Live | None = None
        self._handles = False
        self._status = StatusFile(arguments.status) if arguments.status and self._link is None else None

    async def run(self) -> int:
        """Run until told to stop or an end is reached; returns the exit code."""
        # Where there are several processes, the one that watches tells of all.
        metrics = self._arguments.metrics if self._link is None else None
        async with (
            runtime.background_tasks() as tasks,
            serving(None if metrics is None else parse_address(metrics), Pages(self)),
        ):
            if self._link is not None:
                await tasks.start(self._listen, self._link)
            return await self._run()

    async def _run(self) -> int:
        arguments = self._arguments
        bus = find_bus(arguments.app)
        if not bus.groups:
            raise ConfigurationError(
                f"{arguments.app} has no handlers to run: the module has to import those that register some with "
                "@bus.subscribe or @bus.handle"
            )
        self._queues = {group.queue for group in bus.select(arguments.group)}
        inbox = arguments.inbox or os.environ.get("BUSFRAME_INBOX") or None
        async with (
            connected(arguments, bus, inbox=inbox, provision=arguments.provision) as live,
            runtime.background_tasks() as tasks,
        ):
            if arguments.workers > 1:
                require_shared(shared=live.capabilities.shared)
            self._live = live
            try:
                tasks.start_soon(self._report, live)
                stopped_by = await self._work(live)
                if self._link is not None:
                    ended = report(live, self._queues, started_s=self._started_s)
                    self._link.tell(ended=ended, signal=stopped_by, **self._measured(live))
            finally:
                self._live = None
            if self._status is not None:
                self._status.remove()
            return self._conclude(live)

    async def _work(self, live: Live) -> str | None:
        arguments = self._arguments
        alone = self._link is None
        one = arguments.once or arguments.isolate
        stopped_by = await live.work(
            groups=arguments.group,
            concurrency=1 if arguments.isolate else arguments.concurrency,
            until_empty=arguments.drain or arguments.once,
            deliveries_max=1 if one else arguments.max_messages,
            # Where there are several processes, the time is for the one that watches.
            time_max_s=arguments.max_time if alone else None,
            signals=True,
            drain_s=arguments.drain_s,
            task_status=self,
        )
        return None if stopped_by is None else stopped_by.name

    def started(self, value: object = None) -> None:
        """Pass on that handlers run now: see `anyio.abc.TaskStatus`."""
        del value  # there is none
        self._handles = True
        if self._link is not None:
            self._link.tell(ready=True)
        elif not self._arguments.drain and not self._arguments.once:
            # A sign of life for who started it. A timer's job says nothing: cron sends what it says by mail.
            _log.info("handling messages of %s", ", ".join(sorted(self._queues)))
        if self._watchdog is not None:
            self._watchdog.watch(self._running)

    def _running(self) -> str:
        """Name the handlers that run, by queue."""
        if (live := self._live) is None:
            return ""
        return ", ".join(
            f"{queue}: {name} ({counts.running})"
            for queue, of in live.counts.items()
            for name, counts in of.handlers.items()
            if counts.running
        )

    # --- telling ----------------------------------------------------------------------------------------------------

    def rows(self) -> Sequence[Row]:
        """How this process is; see `seeing.Told`."""
        current = None if self._live is None else report(self._live, self._queues, started_s=self._started_s)
        return [{"worker": 1, "state": self._state(current), "restarts": 0, "report": current}]

    def _state(self, current: Mapping[str, Any] | None) -> str:
        if not self._handles:
            return "starting"
        polling = current is not None and any(of["state"] != "stopped" for of in current["consumers"])
        return "running" if polling else "draining"

    async def samples(self) -> Sequence[Family]:
        """The metrics of this process; see `seeing.Told`."""
        if (live := self._live) is None:
            return ()
        queues: Sequence[Family] = ()
        with anyio.move_on_after(QUEUES_S):  # a slow broker must not hide what is known here
            queues = await live.queue_samples()
        return (*queues, *live.samples())

    async def _report(self, live: Live) -> None:
        """Keep telling how it is, and whether it is time to be replaced."""
        while True:
            if self._link is not None:
                current = report(live, self._queues, started_s=self._started_s)
                self._link.tell(report=current, tired=self._tired(current), **self._measured(live))
            elif self._status is not None:
                await self._status.write(self.rows())
            await runtime.sleep(REPORT_S)

    def _measured(self, live: Live) -> dict[str, Any]:
        """The metrics, if anybody wants to see them."""
        return {} if self._arguments.metrics is None else {"samples": msgspec.to_builtins(live.samples())}

    # --- the process that watches over this one ---------------------------------------------------------------------

    async def _listen(self, link: Link, *, task_status: TaskStatus[None]) -> None:
        async with BlockingPortal() as portal:

            def heard() -> None:
                with suppress(RuntimeError):  # it is over: nobody waits for the answer
                    portal.start_task_soon(self._tell_queues, link)

            threading.Thread(target=self._end_with_the_other, args=(link, heard), daemon=True).start()
            task_status.started()
            await anyio.sleep_forever()

    async def _tell_queues(self, link: Link) -> None:
        if (live := self._live) is not None:
            link.tell(queues=msgspec.to_builtins(await live.queue_samples()))

    def _end_with_the_other(self, link: Link, heard: Callable[[], None]) -> None:
        """Drain and end when the process is gone that watches over this one: nobody would stop it any more.

        In a thread, since a handler may hold up the event loop for ever.
        """
        link.wait_until_gone(heard)
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(self._arguments.drain_s + GRACE_S)
        os.kill(os.getpid(), signal.SIGKILL)

    def _tired(self, current: Mapping[str, Any]) -> str | None:
        """Why it is time to be replaced; None if it is not."""
        arguments = self._arguments
        received = sum(counts["received"] for counts in current["counts"].values())
        if arguments.recycle_messages is not None and received >= arguments.recycle_messages:
            return f"{received} messages"
        age_s = current["reported_at_s"] - self._started_s
        if arguments.recycle_s is not None and age_s >= arguments.recycle_s:
            return f"{age_s:.0f} s"
        if arguments.recycle_rss_mb is not None and current["rss_mb"] >= arguments.recycle_rss_mb:
            return f"{current['rss_mb']:.0f} MiB"
        return None

    def _conclude(self, live: Live) -> int:
        arguments = self._arguments
        ends = arguments.drain or arguments.once or arguments.max_messages is not None or arguments.max_time is not None
        if not ends:
            return DONE
        counts = {queue: as_json(of) for queue, of in live.counts.items() if queue in self._queues}
        if self._link is None:
            say_summary(counts, as_json=arguments.json)
        return FOUND if failed(counts) else DONE


def failed(counts: Mapping[str, Mapping[str, int]]) -> bool:
    """Tell whether a message was not simply handled."""
    return any(of[what] for of in counts.values() for what in BAD)


def add(counts: Mapping[str, Mapping[str, int]], sums: dict[str, dict[str, int]]) -> None:
    """Add what one process did to what others did, by queue."""
    for queue, of in counts.items():
        into = sums.setdefault(queue, dict.fromkeys(of, 0))
        for what, count in of.items():
            into[what] += count


def say_summary(counts: Mapping[str, Mapping[str, int]], *, as_json: bool) -> None:
    """Say what became of the messages, by queue."""
    if as_json:
        say_json(counts)
        return
    shown = ("received", "handled", *BAD)
    say_table(
        ("queue", *(name.replace("_", "-") for name in shown)),
        [(queue, *(of[name] for name in shown)) for queue, of in counts.items()],
    )
