"""Registering on Amazon SQS when any one of its calls fails: several of them make one queue."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest
from topology.test_faults import Fuse, System, at_every_call, program

from busframe.config import BackendUrl
from busframe_emulator.engine import Limits
from busframe_emulator.server.thread import run_in_thread
from busframe_memory.backend import open_memory
from busframe_sqs import client, opening
from busframe_sqs.opening import open_sqs

if TYPE_CHECKING:
    from busframe_sqs.client import Clients, SqsClient

pytestmark = pytest.mark.anyio


class FusedClient:
    """boto3's client, each call of which passes a fuse: the calls that one `provision` is made of."""

    def __init__(self, inner: Any, fuse: Fuse) -> None:
        self._inner = inner
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        return partial(self._call, name)

    def _call(self, name: str, **members: Any) -> Any:
        method = getattr(self._inner, name)
        if name == "close":
            return method()
        fails = self._fuse.fails()
        if fails and not self._fuse.after:
            raise ConnectionError(name)
        result = method(**members)
        if fails:
            raise ConnectionError(name)
        return result


@pytest.mark.slow
async def test_whichever_call_of_sqs_fails_connecting_again_completes_a_registration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with run_in_thread(limits=Limits(purge_interval_us=0, recreate_after_us=0)) as server:

        async def trial(fuse: Fuse) -> None:
            def connect_fused(*arguments: Any) -> Clients:
                clients = client.connect(*arguments)
                return clients._replace(sqs=cast("SqsClient", FusedClient(clients.sqs, fuse)))

            monkeypatch.setattr(opening, "connect", connect_fused)
            prefix = f"{'after' if fuse.after else 'before'}{fuse.at}-"
            url = BackendUrl.parse(f"sqs://us-east-1?endpoint_url={server.url}&prefix={prefix}&wait_s=1")
            async with open_sqs(url) as backend, open_memory(BackendUrl.parse("memory://")) as memory:
                it = System(program(), backend, memory.recipients, Fuse(0, after=False))
                try:
                    await it.register_for_good()
                except Exception:  # noqa: BLE001 - whatever it is, connecting again is what helps
                    assert fuse.blown
                fuse.repair()
                await it.require_every_row_has_its_queue()
                await it.register_for_good()
                await it.require_every_row_has_its_queue()
                assert await it.topology_for_good().check() == []

        assert await at_every_call(trial) >= 8
