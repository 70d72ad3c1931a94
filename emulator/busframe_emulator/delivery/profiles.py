"""How hostile the world is: for each site the odds that it does not answer calmly.

calm        nothing unexpected
realistic   rare events are rare: for long runs
hostile     everything that may happen happens often: finds most in few runs
swarm       for each seed half of the sites are calm, the others hostile by a random degree: finds what hides
            behind other faults
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from busframe_emulator.delivery.sites import SITES

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Odds.

    Attributes:
        odds: by site, from 0 (always calm, and so is every site not named) to 1.
        swarms: for each seed every site is calm with a probability of one half, and else has `odds` times the square
            of a random number.
    """

    name: str
    odds: Mapping[str, float]
    swarms: bool = False

    def __post_init__(self) -> None:
        for site, odds in self.odds.items():
            if site not in SITES:
                raise ValueError(f"odds of {site!r}: there is no such site; there are {', '.join(SITES)}")
            if not 0 <= odds <= 1:
                raise ValueError(f"odds of {site!r}: {odds!r} is not from 0 to 1")

    def but(self, odds: Mapping[str, float]) -> Profile:
        """The same with other odds at some sites: `hostile.but({"recv.dup": 0})`."""
        return replace(self, name=f"{self.name}*", odds={**self.odds, **odds})

    def for_seed(self, seed: int) -> Mapping[str, float]:
        """The odds in one run."""
        if not self.swarms:
            return self.odds
        return {site: odds * _degree(seed, site) for site, odds in self.odds.items()}


def _degree(seed: int, site: str) -> float:
    drawn = blake2b(f"{seed} swarm {site}".encode(), digest_size=8).digest()
    if drawn[0] & 1:
        return 0.0
    return (int.from_bytes(drawn[1:], "big") / (1 << 56)) ** 2


CALM_PROFILE: Final = Profile(name="calm", odds={})

REALISTIC: Final = Profile(
    name="realistic",
    odds={
        "send.lag": 0.02,
        "recv.empty": 0.1,
        "recv.fewer": 0.3,
        "recv.pick": 0.2,
        "recv.dup": 0.002,
        "delete.zombie": 0.001,
        "delete.stale": 0.001,
        "counts.stale": 0.1,
        "net": 0.002,
        "net.outage": 0.0002,
        "net.request": 1,
        "net.answer": 1,
        "batch.partial": 0.001,
        "node.crash": 0.1,
        "node.stop": 0.05,
        "node.restart": 1,
        "node.pause": 0.0005,
        "sched": 0.3,
        "app": 0.05,
    },
)

HOSTILE: Final = Profile(
    name="hostile",
    odds={
        "send.lag": 0.1,
        "recv.overlimit": 0.3,
        "recv.empty": 0.3,
        "recv.fewer": 0.5,
        "recv.pick": 0.8,
        "recv.dup": 0.05,
        "delete.zombie": 0.05,
        "delete.stale": 0.3,
        "counts.stale": 0.3,
        "attr.lag": 0.3,
        "purge.lag": 0.5,
        "purge.reach": 0.3,
        "queue.lag": 0.1,
        "net": 0.05,
        "net.outage": 0.02,
        "net.request": 0.5,
        "net.answer": 0.5,
        "batch.partial": 0.02,
        "node.crash": 0.4,
        "node.stop": 0.2,
        "node.restart": 1,
        "node.pause": 0.01,
        "sched": 0.5,
        "app": 0.3,
    },
)

SWARM: Final = Profile(
    name="swarm",
    swarms=True,
    odds={
        "send.lag": 0.3,
        "recv.overlimit": 0.6,
        "recv.empty": 0.6,
        "recv.fewer": 0.8,
        "recv.pick": 1,
        "recv.dup": 0.5,
        "delete.zombie": 0.5,
        "delete.stale": 0.6,
        "counts.stale": 0.6,
        "attr.lag": 0.6,
        "purge.lag": 0.8,
        "purge.reach": 0.6,
        "queue.lag": 0.3,
        "net": 0.2,
        "net.outage": 0.05,
        "net.request": 1,
        "net.answer": 1,
        "batch.partial": 0.2,
        "node.crash": 0.8,
        "node.stop": 0.5,
        "node.restart": 1,
        "node.pause": 0.1,
        "sched": 0.7,
        "app": 0.7,
    },
)

PROFILES: Final = {profile.name: profile for profile in (CALM_PROFILE, REALISTIC, HOSTILE, SWARM)}
