"""Programs that end in a way that no node should: told as any failure, with a name and a place."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from busframe import Bus, Event, event
from busframe.errors import InvalidArgumentError
from busframe.simulation import Sim, SimulationFailedError, replay, simulate
from busframe_emulator.delivery.scripts import Script

if TYPE_CHECKING:
    from busframe.simulation.nodes import Incarnation
    from busframe.simulation.running import Backend


@event("crash.measured")
@dataclass(frozen=True)
class Measured(Event):
    number: int


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> Backend:
    kind: Backend = request.param
    return kind


def test_scopes_left_in_the_wrong_order_are_told_by_node_and_with_what_to_do() -> None:
    async def scenario(sim: Sim) -> None:
        async def worker(_: Incarnation) -> None:
            async with Bus("c").connect(sim.url) as live, live.stream(Measured, group="g") as deliveries:
                each = aiter(deliveries)
                while True:
                    async with AsyncExitStack() as stack:
                        with anyio.move_on_after(2):
                            await stack.enter_async_context(await anext(each))

        sim.node("loader", worker)
        await anyio.sleep(1)
        async with Bus("p").connect(sim.url) as live:
            await live.publish(Measured(1))
        await sim.quiesce()

    with pytest.raises(SimulationFailedError) as caught:
        simulate(scenario, seeds=2)
    report = str(caught.value)
    assert report.startswith("busframe: RuntimeError in a node of scenario, in a calm world")
    assert "loader raised RuntimeError(" in report
    assert "in the opposite order" in report


async def exits(_: Incarnation) -> None:
    await anyio.sleep(1)
    sys.exit(3)


async def exits_in_a_task(me: Incarnation) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(exits, me)


@pytest.mark.parametrize("program", [exits, exits_in_a_task])
def test_a_program_that_exits_is_reported(backend: Backend, program: Any) -> None:
    async def scenario(sim: Sim) -> None:
        sim.node("leaver", program)
        await sim.quiesce()

    with pytest.raises(SimulationFailedError, match=r"raised SystemExit\(3\)"):
        simulate(scenario, seeds=1, backend=backend)


def test_a_node_that_exits_is_started_again(backend: Backend) -> None:
    async def scenario(sim: Sim) -> None:
        sim.node("leaver", exits)
        await anyio.sleep(4.5)

    run = replay(scenario, Script(), backend=backend)
    assert [entry.text for entry in run.entries if entry.kind == "started"] == ["life 1", "life 2", "life 3"]


@pytest.mark.parametrize(
    "mistake", [{"backend": "uv"}, {"threads": "x"}, {"determinism": "perhaps"}, {"profile": "angry"}, {"seeds": 0}]
)
def test_a_mistaken_argument_is_refused_by_name_before_anything_runs(mistake: dict[str, Any]) -> None:
    ran: list[int] = []

    async def scenario(_: Sim) -> None:
        ran.append(1)

    (name,) = mistake
    with pytest.raises(InvalidArgumentError, match=name):
        simulate(scenario, **mistake)
    if name in ("backend", "threads"):
        with pytest.raises(InvalidArgumentError, match=name):
            replay(scenario, Script(), **mistake)
    assert not ran
