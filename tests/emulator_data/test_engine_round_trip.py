"""An engine that is put back from its records goes on as if it had never been away."""

from __future__ import annotations

from random import Random  # noqa: TID251 - seeded, and the seed stands in the failure

import pytest
from emulator_data.twins import run_twins


@pytest.mark.parametrize("seed", [*range(60), 98, 373, 397, 711])  # those that found something, too
def test_an_engine_put_back_does_what_the_old_one_would_have_done(seed: int) -> None:
    run_twins(seed, 300, Random(seed))  # noqa: S311 - not a secret
