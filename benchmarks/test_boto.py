"""boto3 in process: send, receive and delete. `benchmarks.emulator` has the same beside moto."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.emulator.in_process import MESSAGES, in_tens, one_by_one
from busframe_emulator.boto import emulated_sqs

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture


@pytest.mark.parametrize("work", [one_by_one, in_tens])
def test_in_process(benchmark: BenchmarkFixture, work: Callable[[Any], Callable[[], None]]) -> None:
    with emulated_sqs() as sqs:
        untyped: Any = benchmark
        untyped.extra_info["messages"] = MESSAGES
        benchmark(work(sqs.client()))


def test_a_new_client(benchmark: BenchmarkFixture) -> None:
    with emulated_sqs() as sqs:
        sqs.client()
        benchmark(sqs.client)
