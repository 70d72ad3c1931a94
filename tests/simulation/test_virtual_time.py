"""Programs in virtual time: the clock, the order, what is refused, and how a program that cannot go on is told of."""

from __future__ import annotations

import asyncio  # noqa: TID251 - what a program may use of it is what is tried
import os
import random  # noqa: TID251 - the same
import secrets
import socket
import subprocess
import sys
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from busframe.simulation.errors import DeadlockError, LivelockError, SimulationEscapeError
from busframe.simulation.running import Conditions, run_in_virtual_time
from busframe.simulation.schedule import Trace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from busframe.simulation.running import Backend

Program = "Callable[[], Awaitable[Any]]"


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> Backend:
    kind: Backend = request.param
    return kind


def shuffled(seed: int) -> Callable[[str, tuple[str | int, ...]], int | None]:
    """A schedule that deviates about every second time."""

    def ask(site: str, key: tuple[str | int, ...]) -> int | None:
        drawn = random.Random(f"{seed} {site} {key}").randrange(6)  # noqa: S311 # chance for tests
        return drawn if drawn < 3 else None

    return ask


async def crowd() -> list[str]:
    """Cancellation by deadline, scopes that end together, streams, events, locks: what sets and addresses decide."""
    log: list[str] = []
    lock = anyio.Lock()
    event = anyio.Event()
    send, receive = anyio.create_memory_object_stream[int](2)

    async def sleeper(name: int) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            log.append(f"sleeper {name}")

    async def worker(name: int) -> None:
        with anyio.move_on_after(1):
            async with lock:
                await anyio.sleep(0.1)
                log.append(f"worker {name}")
            await event.wait()
        log.append(f"worker {name} ends")

    async def sender(name: int) -> None:
        await send.send(name)
        log.append(f"sent {name}")

    async def receiver(name: int) -> None:
        log.append(f"{name} received {await receive.receive()}")

    with anyio.move_on_after(2):
        async with anyio.create_task_group() as tasks:
            for name in range(6):
                for part in (sleeper, worker, sender, receiver):
                    tasks.start_soon(part, name)
    send.close()
    receive.close()
    log.append(f"{anyio.current_time() < 3}")
    return log


def test_a_week_passes_in_no_time_and_the_clock_starts_at_nought(backend: Backend) -> None:
    async def program() -> tuple[float, float]:
        start_s = anyio.current_time()
        for _ in range(7):
            await anyio.sleep(86_400)
        return start_s, anyio.current_time()

    assert run_in_virtual_time(program, Conditions(backend=backend)) == (0, 7 * 86_400)


def test_deadlines_come_when_they_are_due(backend: Backend) -> None:
    async def program() -> float:
        with anyio.move_on_after(5) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        return anyio.current_time()

    assert run_in_virtual_time(program, Conditions(backend=backend)) == 5


def test_one_seed_gives_one_trace_however_memory_lies(backend: Backend) -> None:
    outcomes: set[tuple[int, int, str]] = set()
    junk: list[list[object]] = []
    for size in range(10):
        junk.append([object() for _ in range(size * 997)])
        trace = Trace()
        log = run_in_virtual_time(crowd, Conditions(backend=backend, ask=shuffled(7)), trace=trace)
        outcomes.add((trace.digest, trace.count, repr(log)))
    assert len(outcomes) == 1


def test_one_seed_gives_one_trace_whatever_the_hash_seed() -> None:
    program = (
        "import sys; from simulation.test_virtual_time import *\n"
        "for backend in ('asyncio', 'trio'):\n"
        "    trace = Trace()\n"
        "    conditions = Conditions(backend=backend, ask=shuffled(3))\n"
        "    print(run_in_virtual_time(crowd, conditions, trace=trace), trace.digest)\n"
    )
    outputs: set[str] = set()
    for hash_seed in ("0", "1", "random"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", program]
        outputs.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(outputs) == 1


def test_other_seeds_give_other_schedules(backend: Backend) -> None:
    logs = {repr(run_in_virtual_time(crowd, Conditions(backend=backend, ask=shuffled(seed)))) for seed in range(20)}
    assert len(logs) > 10


def test_a_deviation_beyond_the_ready_tasks_is_the_last_of_them(backend: Backend) -> None:
    async def program() -> list[int]:
        log: list[int] = []

        async def step(name: int) -> None:
            await anyio.lowlevel.checkpoint()
            log.append(name)

        async with anyio.create_task_group() as tasks:
            for name in range(3):
                tasks.start_soon(step, name)
        return log

    calm = run_in_virtual_time(program, Conditions(backend=backend))
    wild = run_in_virtual_time(program, Conditions(backend=backend, ask=lambda _site, _key: 10**9))
    assert sorted(calm) == sorted(wild) == [0, 1, 2]
    assert calm != wild


def test_a_deadlock_says_where_each_task_waits(backend: Backend) -> None:
    async def wait_for_godot() -> None:
        await anyio.Event().wait()

    async def program() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait_for_godot, name="vladimir")
            await anyio.sleep(3)

    with pytest.raises(DeadlockError, match=r"t=3\.000000") as caught:
        run_in_virtual_time(program, Conditions(backend=backend))
    (line,) = [line for line in caught.value.waiting if line.startswith("vladimir")]
    assert "wait_for_godot" in line
    assert "test_virtual_time.py" in line


def test_a_livelock_says_who_is_busy(backend: Backend) -> None:
    async def spin() -> None:
        while True:
            await anyio.lowlevel.checkpoint()

    with pytest.raises(LivelockError, match="spin"):
        run_in_virtual_time(spin, Conditions(backend=backend, steps_max=500))


def test_many_steps_are_no_livelock_as_long_as_time_passes(backend: Backend) -> None:
    async def program() -> None:
        for _ in range(1000):
            await anyio.sleep(0.001)

    run_in_virtual_time(program, Conditions(backend=backend, steps_max=500))


def test_what_a_program_raises_comes_out_as_it_is(backend: Backend) -> None:
    async def program() -> None:
        await anyio.sleep(1)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run_in_virtual_time(program, Conditions(backend=backend))


def test_clocks_and_chance_follow_the_run_and_are_put_back(backend: Backend) -> None:
    async def program() -> list[object]:
        await anyio.sleep(10)
        return [  # what is exchanged
            time.time(),  # noqa: TID251
            time.time_ns(),  # noqa: TID251
            time.monotonic(),  # noqa: TID251
            time.perf_counter(),  # noqa: TID251
            datetime.now(UTC),  # noqa: TID251
            time.gmtime()[:6],
            time.strftime("%Y"),
            random.random(),  # noqa: S311
            random.Random().random(),  # noqa: S311 - without a seed of its own
            uuid.uuid4(),  # noqa: TID251
            uuid.uuid1(),
            secrets.token_hex(),
            os.urandom(4),
        ]

    def real() -> datetime:
        return datetime.now(UTC)  # noqa: TID251

    assert real().year < 2030, "what the interpreter remembers of the real one is not what a run sees"

    before = random.getstate()
    first, second = (run_in_virtual_time(program, Conditions(backend=backend, seed=1)) for _ in range(2))
    other = run_in_virtual_time(program, Conditions(backend=backend, seed=2))
    assert first == second
    date = datetime(2030, 3, 17, 17, 46, 50, tzinfo=UTC)
    clocks = [1_900_000_010, 1_900_000_010 * 10**9, 10, 10, date, date.timetuple()[:6], "2030"]
    assert first[:7] == other[:7] == clocks
    assert not set(first[7:]) & set(other[7:])
    assert random.getstate() == before
    assert time.time() < 1_900_000_000  # noqa: TID251 - the real one; simulated runs begin there
    assert real().year < 2030


async def in_anyios_thread() -> None:
    await anyio.to_thread.run_sync(int)


async def in_a_thread() -> None:
    threading.Thread(target=int).start()


async def blocking_sleep() -> None:
    time.sleep(1)  # noqa: ASYNC251, TID251 - that is what is to be refused


async def over_a_socket() -> None:
    with socket.socket() as one:
        one.connect(("127.0.0.1", 9))


async def over_anyios_socket() -> None:
    await anyio.connect_tcp("127.0.0.1", 9)


async def in_a_process() -> None:
    subprocess.run(["true"], check=False)  # noqa: ASYNC221 - that is what is to be refused


@pytest.mark.parametrize(
    ("program", "named"),
    [
        (in_anyios_thread, "anyio.to_thread.run_sync"),
        (in_a_thread, "threading.Thread.start"),
        (blocking_sleep, "time.sleep"),
        (over_a_socket, "socket.connect"),
        (in_a_process, "subprocess.Popen"),
    ],
)
def test_an_escape_is_refused_by_name(backend: Backend, program: Callable[[], Awaitable[Any]], named: str) -> None:
    with pytest.raises(SimulationEscapeError, match=named):
        run_in_virtual_time(program, Conditions(backend=backend))


def test_a_loops_own_ways_out_are_refused_by_name() -> None:
    async def resolve() -> None:
        await asyncio.get_running_loop().getaddrinfo("localhost", 80)

    async def executor() -> None:
        await asyncio.get_running_loop().run_in_executor(None, int)

    for program, named in ((resolve, "loop.getaddrinfo"), (executor, "loop.run_in_executor")):
        with pytest.raises(SimulationEscapeError, match=named):
            run_in_virtual_time(program)


def test_threads_may_be_run_in_place(backend: Backend) -> None:
    async def program() -> int:
        return await anyio.to_thread.run_sync(threading.get_ident, abandon_on_cancel=True)

    assert run_in_virtual_time(program, Conditions(backend=backend, threads="inline")) == threading.get_ident()


def test_two_traces_tell_where_they_first_differ() -> None:
    traces: list[Trace] = []
    for last_s in (1, 2):

        async def program(last_s: int = last_s) -> None:
            await anyio.sleep(1)
            await anyio.sleep(last_s)

        trace = Trace(keep=True)
        run_in_virtual_time(program, trace=trace)
        traces.append(trace)
    one, two = traces
    assert one.digest != two.digest
    assert "t=2.000000" in (one.difference(two) or "")
    assert "t=3.000000" in (one.difference(two) or "")
    assert one.difference(one) is None
