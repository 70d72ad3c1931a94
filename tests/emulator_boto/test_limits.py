"""Limits that a test sets small: what they are called, what they do, and what is refused."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest

from busframe_emulator.boto import EmulatedSqs, emulated_sqs
from busframe_emulator.engine import Limits
from busframe_emulator.limits import DEFAULTS, make_limits, parse_limits
from busframe_emulator.server.command import main
from busframe_emulator.server.configuration import ConfigurationError, read_configuration
from busframe_emulator.server.emulator import EmulatorServer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from busframe_emulator.limits import LimitValue
    from busframe_emulator.pytest_plugin import SqsEmulator


@pytest.fixture
def sqs_limits() -> Mapping[str, LimitValue]:
    """What a test module defines to have its own."""
    return {"in_flight_max": 2}


def check_in_flight_limit(client: Any) -> None:
    url = client.create_queue(QueueName="orders")["QueueUrl"]
    for body in "abc":
        client.send_message(QueueUrl=url, MessageBody=body)
    assert len(client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]) == 2
    with pytest.raises(client.exceptions.OverLimit, match="Too many messages"):
        client.receive_message(QueueUrl=url)


def test_the_fixture_limits_the_sqs_in_process(sqs_client: Any) -> None:
    check_in_flight_limit(sqs_client)


def test_the_fixture_limits_the_sqs_behind_http(sqs_emulator: SqsEmulator) -> None:
    check_in_flight_limit(sqs_emulator.client())


def test_a_server_takes_limits_by_name_and_refuses_others() -> None:
    with pytest.raises(ValueError, match="there is no limit 'in_flight'; there are in_flight_max"):
        EmulatorServer(limits={"in_flight": 2})


def test_windows_that_only_slow_tests_down_are_switched_off_by_name() -> None:
    with emulated_sqs(limits={"purge_interval_s": 0, "recreate_after_s": 0}) as sqs:
        client = sqs.client()
        for _ in range(2):
            url = client.create_queue(QueueName="orders")["QueueUrl"]
            client.purge_queue(QueueUrl=url)
            client.purge_queue(QueueUrl=url)
            client.delete_queue(QueueUrl=url)


def test_every_limit_can_be_set_by_name_and_read_back() -> None:
    given: dict[str, LimitValue] = {
        name: not value if isinstance(value, bool) else value + 1 for name, value in DEFAULTS.items()
    }
    limits, standard = make_limits(given), Limits()
    assert len(given) == len(fields(Limits))
    for field in fields(Limits):
        assert getattr(limits, field.name) != getattr(standard, field.name), field.name
    assert make_limits({}) == make_limits(DEFAULTS) == standard


def test_durations_are_seconds_and_may_have_fractions() -> None:
    assert make_limits({"deduplication_s": 1.5}).deduplication_us == 1_500_000
    assert make_limits({"visibility_s_max": 60}).visibility_us_max == 60_000_000


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"in_flight": 1}, ["no limit 'in_flight'", "in_flight_max", "purge_interval_s"]),
        ({"in_flight_max": 0}, ["in_flight_max: 0", "from 1"]),
        ({"in_flight_max": 1.5}, ["in_flight_max: 1.5", "whole number"]),
        ({"in_flight_max": True}, ["in_flight_max: True", "whole number"]),
        ({"noisy_percent": -1}, ["noisy_percent: -1", "from 0"]),
        ({"attempts_s": -1}, ["attempts_s: -1", "seconds"]),
        ({"attempts_s": float("inf")}, ["attempts_s: inf", "seconds"]),
        ({"attempts_s": "5"}, ["attempts_s: '5'", "seconds"]),
        ({"rehide_expired": 1}, ["rehide_expired: 1", "true"]),
    ],
)
def test_a_limit_that_cannot_be_is_refused_by_name(given: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ValueError, match="limit") as caught:
        EmulatedSqs(limits=given)
    for word in words:
        assert word in str(caught.value)


def test_a_clock_that_is_none_is_refused() -> None:
    wrong: Any = "virtual"
    with pytest.raises(ValueError, match="'virtual'"):
        EmulatedSqs(clock=wrong)


# --- the command line and the file ----------------------------------------------------------------------------------


def test_a_command_line_has_them_as_text() -> None:
    assert parse_limits(["in_flight_max=5", "attempts_s=0.5", "rehide_expired=true", "in_flight_max=6"]) == {
        "in_flight_max": 6,
        "attempts_s": 0.5,
        "rehide_expired": True,
    }


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("in_flight_max", "'in_flight_max' is no limit: NAME=VALUE is expected"),
        ("in_flight_max=many", "limit in_flight_max: 'many' is neither a number"),
        ("in_flight_max=0", "limit in_flight_max: 0 is no whole number from 1"),
    ],
)
def test_the_command_refuses_a_limit_before_it_listens(
    argument: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--port", "0", "--limit", argument]) == 1
    assert said in capsys.readouterr().err


def test_the_file_has_a_table_of_limits(tmp_path: Path) -> None:
    file = tmp_path / "queues.toml"
    file.write_text("[limits]\nin_flight_max = 10\npurge_interval_s = 0\nrehide_expired = true\n")
    limits = make_limits(read_configuration(file).limits)
    assert limits == Limits(in_flight_max=10, purge_interval_us=0, rehide_expired=True)


def test_a_limit_that_cannot_be_is_named_with_its_file(tmp_path: Path) -> None:
    file = tmp_path / "queues.toml"
    file.write_text("[limits]\nin_flight_max = 0\n")
    with pytest.raises(ConfigurationError, match=r"queues\.toml: limit in_flight_max: 0"):
        read_configuration(file)
