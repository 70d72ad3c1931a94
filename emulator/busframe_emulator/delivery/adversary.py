"""An adversary by name: a profile, a seed, and a script before it, within the budgets, written down as it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busframe_emulator.delivery.choosers import Guarded, Layered, Random, Recording, Scripted
from busframe_emulator.delivery.profiles import PROFILES, Profile
from busframe_emulator.delivery.scripts import Script

if TYPE_CHECKING:
    from busframe_emulator.delivery.chooser import Key
    from busframe_emulator.delivery.triggers import Happening

_NOTHING: Final = Script()


class Adversary:
    """A chooser. The same seed answers the same, to the same questions.

    Args:
        profile: how hostile: the name of one, or odds of your own.
        seed: of all chance.
        script: what is to happen besides, before chance.

    Attributes:
        profile, seed, script: as above.
        listens: the script has entries that wait for something to happen.

    Raises:
        ValueError: there is no such profile.
    """

    def __init__(self, *, profile: str | Profile = "calm", seed: int = 0, script: Script = _NOTHING) -> None:
        if isinstance(profile, str):
            if profile not in PROFILES:
                raise ValueError(f"profile: {profile!r} is none of {', '.join(PROFILES)}")
            profile = PROFILES[profile]
        self.profile = profile
        self.seed = seed
        self.begin_anew(script)

    def begin_anew(self, script: Script) -> None:
        """Do as another script says from now on; what was written down is forgotten, and so are the budgets."""
        self.script = script
        self._scripted = Scripted(script)
        self.listens = self._scripted.listens
        chance = Random(self.profile.for_seed(self.seed), self.seed)
        self._recording = Recording(Guarded(Layered(self._scripted, chance)))
        self.ask_for = self._recording.ask

    def ask(self, site: str, key: Key) -> int | None:
        """See `Chooser`."""
        return self.ask_for(site, key)

    def happened(self, happening: Happening) -> None:
        """Something happened that an entry of the script may wait for. Only where it `listens`."""
        self._scripted.happened(happening)

    @property
    def fired(self) -> Script:
        """Every answer that was not calm, in order: as a script it is the same once more, and no more."""
        return self._recording.fired

    @property
    def unused(self) -> Script:
        """What of the script has not come up."""
        return self._scripted.unused
