"""The web application: orders go out at once, and workers get them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from busframe import Live

if TYPE_CHECKING:
    from collections.abc import Generator

FOLDER = Path(__file__).parents[2] / "examples" / "web_application"
TRACEPARENT = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Any, None, None]:
    monkeypatch.setenv("BUS_URL", f"sqlite:///{tmp_path}/shop.db")
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    yield importlib.import_module("web")
    for name in ("web", "shop"):
        sys.modules.pop(name)


def test_an_order_is_accepted_and_reaches_every_group(web: Any, tmp_path: Path) -> None:
    with TestClient(web.app) as client:
        order = {"customer": "ada", "product": "tea", "quantity": 2}
        answer = client.post("/orders", json=order, headers={"traceparent": TRACEPARENT})
        assert answer.status_code == 202
        number = answer.json()["order"]
        assert client.post("/orders", json={**order, "quantity": 0}).status_code == 422
        families = {family.name: family for family in text_string_to_metric_families(client.get("/metrics").text)}
        (sent,) = families["busframe_messages_sent"].samples
        assert (sent.labels, sent.value) == ({"type": "shop.order.placed"}, 1)
        assert client.get("/health").status_code == 200

    packed: list[Any] = []

    async def work() -> None:
        async with web.bus.connect(f"sqlite:///{tmp_path}/shop.db") as live:
            stats = await live.stats()
            assert stats["shop-warehouse"].visible == stats["shop-mail"].visible == 1
            (message,) = await live.backend_as(object).receive("shop-mail", limit=10, wait_s=1, lease_s=30)
            packed.append(message)

    anyio.run(work)
    assert TRACEPARENT in packed[0].attributes["busframe"]
    assert number in packed[0].body


def test_what_cannot_be_published_is_not_accepted(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from busframe.errors import UnavailableError

    async def down(*_: Any, **__: Any) -> None:
        raise UnavailableError("down")

    monkeypatch.setattr(Live, "publish", down)
    with TestClient(web.app) as client:
        answer = client.post("/orders", json={"customer": "ada", "product": "tea", "quantity": 2})
        assert answer.status_code == 503


def test_a_trace_that_is_none_does_not_cost_the_order(web: Any) -> None:
    with TestClient(web.app) as client:
        order = {"customer": "ada", "product": "tea", "quantity": 2}
        assert client.post("/orders", json=order, headers={"traceparent": "nonsense"}).status_code == 202
