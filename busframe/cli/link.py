"""The line between a worker process and the process that watches over it.

A pair of connected sockets, of which the worker inherits one. On it the worker says, in lines of JSON, when it is
ready, how it is, when it wants to be replaced, and what it has done. The other asks on it, now and then, how full the
queues are; and by its end the worker learns that the other is gone: however a process dies, the kernel closes its
sockets.
"""

from __future__ import annotations

import json
import os
import select
import socket
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import anyio

from busframe import runtime

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Mapping

    from busframe._consume.counts import Counts
    from busframe.session import Live

LINK_VARIABLE: Final = "BUSFRAME_LINK"
"""The inherited socket's number, in a worker's environment."""

WORKER_VARIABLE: Final = "BUSFRAME_WORKER"
"""The worker's number, from 1, for logs."""

COUNTED: Final = ("received", "redelivered", "handled", "retried", "dead_lettered", "lost", "unsettled")

GRACE_S: Final = 15.0
"""What a worker may take beyond its drain time, to give messages back and to leave Python, before it is killed."""

_READ_BYTES: Final = 65_536


class Link:
    """One end of the line."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._unsent = b""
        self._socket.settimeout(0)  # never wait

    @classmethod
    def inherited(cls) -> Link | None:
        """The end that this process was born with; None if nobody watches over it."""
        number = os.environ.pop(LINK_VARIABLE, None)
        if number is None:
            return None
        end = socket.socket(fileno=int(number))
        # Programs that a handler starts must not keep the line open when this process is gone.
        end.set_inheritable(False)
        return cls(end)

    def tell(self, **message: Any) -> None:
        """Say something. A peer that does not listen misses it; one that is gone is noticed by `lines`."""
        with suppress(BlockingIOError, ConnectionError):
            # Of a line that it had no room for to the end it gets the rest first: half a line would spoil the next.
            self._flush()
            line = json.dumps(message).encode() + b"\n"
            self._unsent = line[self._socket.send(line) :]
            self._flush()

    def _flush(self) -> None:
        while self._unsent:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]

    async def lines(self) -> AsyncGenerator[Mapping[str, Any]]:
        """What the other end says, until it is gone. Read to the end, by one task."""
        rest = b""
        while True:
            await anyio.wait_readable(self._socket)
            try:
                read = self._socket.recv(_READ_BYTES)
            except BlockingIOError:
                continue
            except ConnectionError:
                return
            if not read:
                return
            *whole, rest = (rest + read).split(b"\n")
            for line in whole:
                yield json.loads(line)

    def wait_until_gone(self, heard: Callable[[], object]) -> None:
        """Block until the other end is gone: for a thread.

        Args:
            heard: is called when the other end has said something. It can only ask for one thing, so the words are
                not read.
        """
        while True:
            select.select([self._socket], [], [])
            try:
                if not self._socket.recv(_READ_BYTES):
                    return
            except BlockingIOError:
                continue
            except ConnectionError:
                return
            heard()

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


def report(live: Live, queues: Collection[str], *, started_s: float) -> dict[str, Any]:
    """How a process is that runs handlers.

    Args:
        live: its connection.
        queues: whose messages it handles.
        started_s: when it was started, in seconds since 1970.
    """
    return {
        "pid": os.getpid(),
        "started_at_s": started_s,
        "reported_at_s": runtime.wall_s(),
        "rss_mb": round(rss_mb(), 1),
        "consumers": [asdict(consumer) for consumer in live.health().consumers],
        "counts": {queue: as_json(counts) for queue, counts in live.counts.items() if queue in queues},
    }


def as_json(counts: Counts) -> dict[str, int]:
    """What the consumers of a queue have done, for another process."""
    return {what: getattr(counts, what) for what in COUNTED}


def rss_mb() -> float:
    """How much memory this process has in use, in MiB."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - read each second, before much else
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1_048_576
    except OSError:
        import resource
        import sys

        # Where there is no /proc: the most it ever had, in bytes on macOS.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1_048_576 if sys.platform == "darwin" else 1_024)
