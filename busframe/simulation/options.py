"""What a test run says of all its simulations: its command line and its configuration file, set by the pytest plugin.

What is said on the command line goes before what a test says, which goes before the configuration file. Without the
plugin nobody says anything.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from busframe.simulation.running import Backend
    from busframe_emulator.delivery.profiles import Profile

SEEDS: Final = 100
PROFILE: Final = "hostile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Of a test run; None where nobody has said.

    Attributes:
        seeds, first_seed, profile, backend: from the command line.
        seeds_by_default, profile_by_default: from the configuration file.
        replay: a token, or the path of a failure file: run that alone.
        shrink: look for the smallest script.
        artifacts: where failures are written; None: nowhere.
        test: which one runs.
    """

    seeds: int | None = None
    first_seed: int = 0
    profile: str | None = None
    backend: Backend | Literal["both"] | None = None
    seeds_by_default: int = SEEDS
    profile_by_default: str = PROFILE
    replay: str | None = None
    shrink: bool = True
    artifacts: Path | None = None
    test: str | None = None

    def choose_seeds(self, asked: int | Iterable[int] | None) -> int | Iterable[int]:
        """How many seeds are tried, or which, where a test asks for these."""
        seeds = self.seeds if self.seeds is not None else self.seeds_by_default if asked is None else asked
        if self.first_seed and isinstance(seeds, int):
            return range(self.first_seed, self.first_seed + seeds)
        return seeds

    def choose_profile(self, asked: str | Profile | None) -> str | Profile:
        """How hostile the world is, where a test asks for this."""
        return self.profile or (self.profile_by_default if asked is None else asked)

    @property
    def replay_by(self) -> str:
        """What stands before a replay token in a report: the command, up to it."""
        return "" if self.test is None else f"pytest '{self.test}' --busframe-replay="


NOTHING_SAID: Final = Options()
options: ContextVar[Options] = ContextVar("busframe_simulation_options", default=NOTHING_SAID)


class OtherReplayError(Exception):
    """The test run replays another test."""
