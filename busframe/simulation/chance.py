"""What a program leaves to chance, from a stream of its own for each life of each node, and one for the scenario.

From one stream for all they would draw in another order whenever anything happens otherwise: a retry on one node would
change the prices that a producer on another makes up, and a run could not be compared with the calm one.
"""

from __future__ import annotations

import random  # noqa: TID251 - whose global generator is exchanged here
from typing import TYPE_CHECKING, Any, Final, cast

from busframe import runtime
from busframe.simulation.world import acting

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

_SEED: Final = random.Random.seed

_GLOBAL: Final = cast("random.Random", cast("Any", random.getstate).__self__)
"""The generator whose methods `random` gives out as functions: programs may have taken them before the run."""

_TAKEN_AS_THEY_ARE: Final = ("random", "getrandbits", "seed", "getstate", "setstate", "gauss")
"""Those of its methods that keep a state themselves. The others ask these."""


class Streams:
    """Generators by what they are for and by who asks.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._streams: dict[tuple[str, object], random.Random] = {}
        self._ids: dict[object, runtime.Ids] = {}

    def of(self, what: str) -> random.Random:
        """The stream of whoever asks."""
        incarnation = acting.get(None)
        stream = self._streams.get((what, incarnation))
        if stream is None:
            life = "" if incarnation is None else f"{incarnation.name} {incarnation.number}"
            stream = self._streams[what, incarnation] = random.Random(f"{self._seed} {what} {life}")  # noqa: S311 # for tests
        return stream

    def random_bytes(self, size: int) -> bytes:
        """As `os.urandom`."""
        return self.of("bytes").randbytes(size)

    def random(self) -> float:
        """As `runtime.random`: the bus's own jitter."""
        return self.of("bus").random()

    def new(self) -> str:
        """As `runtime.Ids.new`: the bus's identifiers."""
        incarnation = acting.get(None)
        ids = self._ids.get(incarnation)
        if ids is None:
            ids = self._ids[incarnation] = runtime.Ids(self.of("ids"))
        return ids.new()


class _Global(random.Random):
    """What the global generator is for the time of a run: that of whoever asks."""

    streams: Streams

    def own(self) -> random.Random:
        return self.streams.of("program")

    def random(self) -> float:
        return self.own().random()

    def getrandbits(self, k: int, /) -> int:
        return self.own().getrandbits(k)

    def seed(self, a: Any = None, version: int = 2) -> None:
        self.own().seed(a, version)

    def getstate(self) -> tuple[Any, ...]:
        return self.own().getstate()

    def setstate(self, state: tuple[Any, ...]) -> None:
        self.own().setstate(state)

    def gauss(self, mu: float = 0.0, sigma: float = 1.0) -> float:
        return self.own().gauss(mu, sigma)


def exchange_chance(exchange: Callable[[Any, str, object], None], patches: ExitStack, seed: int) -> Streams:
    """Let everything that is random follow a seed.

    Args:
        exchange: an attribute of an object or module, until the end of the run.
        patches: what is to be done at the end of the run.
        seed: of the run.
    """
    streams = Streams(seed)

    def seeded(generator: random.Random, a: Any = None, version: int = 2) -> None:
        _SEED(generator, streams.of("seeds").getrandbits(64) if a is None else a, version)

    # Who took `random.random` itself before the run draws from here, with all others who did.
    patches.callback(random.setstate, random.getstate())
    random.seed(seed)
    patches.callback(setattr, _GLOBAL, "__class__", random.Random)
    exchange(_GLOBAL, "streams", streams)
    _GLOBAL.__class__ = _Global
    for name in _TAKEN_AS_THEY_ARE:
        exchange(random, name, getattr(_GLOBAL, name))
    exchange(random, "_urandom", streams.random_bytes)  # of SystemRandom, and so of secrets
    exchange(random.Random, "seed", seeded)  # a generator that is given no seed asks the system
    exchange(runtime, "_ids", streams)
    exchange(runtime, "random", streams.random)
    return streams
