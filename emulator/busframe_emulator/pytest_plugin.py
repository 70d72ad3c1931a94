"""pytest fixtures: an SQS for each test, in process or behind HTTP.

- `sqs_client`: a boto3 client of an SQS in this process.
- `sqs`: that SQS itself, an `EmulatedSqs`: more clients, and its clock.
- `sqs_emulator`: an SQS behind HTTP on a free port of 127.0.0.1, for whatever else speaks to SQS.
- `sqs_clock`: "real"; define it anew to return "manual", and the time of `sqs` stands still until it is advanced.
- `sqs_limits`: empty; define it anew to return such as `{"in_flight_max": 10}`, and both kinds of SQS keep to it.

pytest loads this in every run of whoever has the package installed, so nothing is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from busframe_emulator.boto import EmulatedSqs
    from busframe_emulator.boto.emulated import ClockKind
    from busframe_emulator.limits import LimitValue
    from busframe_emulator.server.thread import ThreadedServer


class SqsEmulator:
    """An SQS behind HTTP, running. Its methods are for any thread."""

    def __init__(self, server: ThreadedServer) -> None:
        self._server = server
        self._clients: list[Any] = []

    @property
    def url(self) -> str:
        """The endpoint URL to give to an SDK."""
        return self._server.url

    def client(self, *, region_name: str = "us-east-1", account: str = "000000000000") -> Any:
        """A new boto3 client of it."""
        from busframe_emulator.boto.sessions import make_client

        client = make_client(region_name=region_name, account=account, endpoint_url=self.url)
        self._clients.append(client)
        return client

    def advance(self, seconds: float) -> None:
        """Move its clock on."""
        self._server.advance(seconds)

    def close(self) -> None:
        """Close the connections of its clients. A client made elsewhere closes its own."""
        for client in self._clients:
            client.close()


@pytest.fixture
def sqs_clock() -> ClockKind:
    """How time goes in `sqs`: "real", unless a test module defines a fixture of this name that returns "manual"."""
    return "real"


@pytest.fixture
def sqs_limits() -> Mapping[str, LimitValue]:
    """Limits by name, where they are not to be those of AWS: none, unless a test module defines this fixture anew."""
    return {}


@pytest.fixture
def sqs(sqs_clock: ClockKind, sqs_limits: Mapping[str, LimitValue]) -> Iterator[EmulatedSqs]:
    """An SQS in this process, with no queues yet."""
    from busframe_emulator.boto import emulated_sqs

    with emulated_sqs(clock=sqs_clock, limits=sqs_limits) as emulated:
        yield emulated


@pytest.fixture
def sqs_client(sqs: EmulatedSqs) -> Any:
    """A boto3 client of `sqs`."""
    return sqs.client()


@pytest.fixture
def sqs_emulator(sqs_limits: Mapping[str, LimitValue]) -> Iterator[SqsEmulator]:
    """An SQS behind HTTP, with no queues yet."""
    from busframe_emulator.server.thread import run_in_thread

    with run_in_thread(limits=sqs_limits) as server:
        emulator = SqsEmulator(server)
        yield emulator
        emulator.close()
