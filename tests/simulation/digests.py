"""What some seeds come to, as numbers: the same on every Python, event loop by event loop, and hash seed.

`python tests/simulation/digests.py` prints them; what is printed stands in `digests.json`, and is to be written there
anew when the simulation, the engine or the scenario is changed: seeds are not promised to outlive that.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from zlib import crc32

from busframe.simulation.schedule import Trace
from busframe.simulation.trying import Setting, try_calmly, try_seed
from busframe_emulator.delivery.profiles import PROFILES

FILE = Path(__file__).with_name("digests.json")
CASES = [
    (backend, profile, seed)
    for backend in ("asyncio", "trio")
    for profile, seed in (("hostile", 0), ("hostile", 1), ("hostile", 7), ("swarm", 3), ("swarm", 11))
]


def digest(backend: str, profile: str, seed: int) -> list[int]:
    """The steps that tasks took, and what happened."""
    from simulation.apps import careful

    assert backend in ("asyncio", "trio")
    setting = Setting(scenario=careful, backend="trio" if backend == "trio" else "asyncio")
    trace = Trace()
    run = try_seed(setting, PROFILES[profile], seed, calm=try_calmly(setting).outcome, trace=trace)
    assert not run.violations
    return [trace.count, trace.digest, len(run.entries), crc32(repr([tuple(entry) for entry in run.entries]).encode())]


def digests() -> dict[str, list[int]]:
    """All of them, by what they are of."""
    return {f"{backend} {profile} {seed}": digest(backend, profile, seed) for backend, profile, seed in CASES}


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    print(json.dumps(digests(), indent=4))  # noqa: T201 - a command's output
