"""Handlers that never do anything: a search that passes them would say of any program that it is fine."""

from __future__ import annotations

import importlib
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from busframe import Bus, Command, Reject, command
from busframe.simulation import Sim, SimulationFailedError, exactly_once, simulate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from busframe.simulation.running import Backend


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> Backend:
    kind: Backend = request.param
    return kind


@command("never.pay")
@dataclass(frozen=True)
class Pay(Command):
    order: str


def scenario_of(work: Callable[[Sim, Pay], object]) -> Callable[[Sim], Awaitable[None]]:
    async def scenario(sim: Sim) -> None:
        bus = Bus("never")

        @bus.handle(Pay)
        async def pay(command: Pay) -> None:
            work(sim, command)

        sim.check(exactly_once)
        async with bus.connect(sim.url) as live:
            sim.node("payer", bus)
            for order in ("o1", "o2"):
                await live.send(Pay(order))
                sim.accepted(order)
            await sim.quiesce()

    return scenario


def report_of(scenario: Callable[[Sim], Awaitable[None]], backend: Backend) -> str:
    with pytest.raises(SimulationFailedError) as caught:
        simulate(scenario, seeds=3, backend=backend)
    return str(caught.value)


def with_a_typo(sim: Sim, _: Pay) -> None:
    sim.efect()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue] - the handler's bug


def sleeping(_: Sim, __: Pay) -> None:
    time.sleep(1)  # noqa: TID251 - the handler's bug


def in_a_thread(_: Sim, __: Pay) -> None:
    threading.Thread(target=int).start()


def over_a_socket(_: Sim, __: Pay) -> None:
    try:
        with socket.socket() as bank:
            bank.connect(("127.0.0.1", 9))
    except Exception as error:
        raise ConnectionError("the bank is down") from error


def in_a_process(sim: Sim, pay: Pay) -> None:
    try:
        subprocess.run(["true"], check=False)
    except Exception:  # noqa: BLE001 - the handler's bug
        sim.effect(pay.order)


def test_a_handler_that_always_fails_is_found_in_the_calm_world_with_its_reason(backend: Backend) -> None:
    lines = report_of(scenario_of(with_a_typo), backend).splitlines()
    assert lines[0].startswith("busframe: no_dead_letters broken in scenario, in a calm world")
    assert " ends in never-pay-dead, in a calm world: attempt 5 of 5: AttributeError: 'Sim' object" in lines[1]
    assert lines[1].endswith("; 1 more")
    assert "sim.expect_dead_letters()" in lines[2]


@pytest.mark.parametrize(
    ("work", "named"),
    [
        (sleeping, "time.sleep"),
        (in_a_thread, "threading.Thread.start"),
        (over_a_socket, "socket.connect"),
        (in_a_process, "subprocess.Popen"),
    ],
)
def test_an_escape_fails_the_run_by_name_and_place_whatever_becomes_of_its_error(
    backend: Backend, work: Callable[[Sim, Pay], object], named: str
) -> None:
    lines = report_of(scenario_of(work), backend).splitlines()
    assert lines[0].startswith("busframe: SimulationEscapeError in scenario, in a calm world")
    assert f"{named} is not simulated: " in lines[1]
    assert f"; asked for in {work.__name__} (" in lines[1]
    assert lines[2].startswith("  what happened to "), "nothing else is blamed"


def test_an_escape_on_a_path_that_only_the_adversary_takes_is_found_there() -> None:
    async def scenario(sim: Sim) -> None:
        if sim.buggify("the bank is slow"):
            time.sleep(1)  # noqa: ASYNC251, TID251 - that is what is to be found

    with pytest.raises(SimulationFailedError, match=r"SimulationEscapeError in scenario at seed"):
        simulate(scenario, seeds=50)


def test_what_a_module_tries_out_while_it_is_imported_is_no_escape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "tries_ipv6.py").write_text(
        "import socket\ntry:\n    with socket.socket() as one:\n        one.bind(('::1', 0))\n"
        "except Exception:\n    pass\n"
    )
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])

    def importing(sim: Sim, pay: Pay) -> None:
        sys.modules.pop("tries_ipv6", None)
        importlib.import_module("tries_ipv6")
        sim.effect(pay.order)

    simulate(scenario_of(importing), seeds=1, profile="calm")


def refusing(sim: Sim, pay: Pay) -> None:
    if pay.order == "o2":
        raise Reject("no such order")
    sim.effect(pay.order)


@pytest.mark.parametrize("expected", [(), ("o2",)])
def test_dead_letters_that_the_scenario_expects_are_fine(expected: tuple[str, ...]) -> None:
    async def scenario(sim: Sim) -> None:
        sim.expect_dead_letters(*expected)
        await scenario_of(refusing)(sim)

    # A hostile one also delivers `o1` twice, which the handler is not made for.
    assert simulate(scenario, seeds=1, profile="calm").seeds == 1


def test_a_dead_letter_with_another_key_than_those_expected_is_told() -> None:
    async def scenario(sim: Sim) -> None:
        sim.expect_dead_letters("o1")
        await scenario_of(refusing)(sim)

    with pytest.raises(
        SimulationFailedError, match=r"'o2' ends in never-pay-dead, in a calm world: rejected: no such order"
    ):
        simulate(scenario, seeds=1)
