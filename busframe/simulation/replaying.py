"""A failure once more: from the word that its report ends with, from the file it was kept in, or from a script."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from busframe.simulation import failure_file
from busframe.simulation.reporting import Replay, read_token
from busframe.simulation.trying import Setting, try_calmly, try_script
from busframe.simulation.verdicts import DEFAULT_CHECKS
from busframe_emulator.delivery.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.simulation.running import Backend
    from busframe.simulation.sealing import Threads
    from busframe.simulation.trying import Run, Scenario
    from busframe.simulation.verdicts import Check


def replay(
    scenario: Scenario,
    script: Script | str | Path,
    *,
    seed: int | None = None,
    backend: Backend | None = None,
    checks: Sequence[Check] = DEFAULT_CHECKS,
    threads: Threads = "forbid",
) -> Run:
    """Run a scenario once, exactly as is told, and give back the run, whatever came of it. The bus logs.

    Args:
        scenario: an async function of a `Sim`: the one that failed.
        script: what is to happen. Or what a report says after `replay:`, a token; or the path of a failure file.
        seed: of what is random to the program itself; None: that of the token or the file, or 0.
        backend: the event loop; None: that of the token or the file, or asyncio.
        checks: asked of the run, besides those that the scenario asks for.
        threads: see `simulate`.

    Raises:
        ValueError: this is no token of this version, or no file of a failure.
        OSError: the file cannot be read.
    """
    told = script if isinstance(script, Script) else read_replay(script)
    if isinstance(told, Replay):
        seed = told.seed if seed is None else seed
        backend = told.backend if backend is None else backend
        told = told.script
    setting = Setting(scenario=scenario, backend=backend or "asyncio", checks=checks, threads=threads)
    calm = try_calmly(setting, seed or 0)
    setting = replace(setting, logs=True)
    if calm.violations and not told and not isinstance(script, Script):
        # Found there, and more is asked of a calm run than of one that is compared with it.
        return try_calmly(setting, seed or 0)
    return try_script(setting, told, seed or 0, calm=calm.outcome)


def read_replay(text: str | Path) -> Replay:
    """What a token says, with or without the command before it, or a failure file.

    Raises:
        ValueError: it is neither.
        OSError: the file cannot be read.
    """
    if str(text).endswith(".json"):
        return read_token(failure_file.load(Path(text)).token)
    return read_token(str(text).strip().rpartition("--busframe-replay=")[2])
