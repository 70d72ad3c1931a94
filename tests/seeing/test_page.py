"""docs/observability.md says what there is, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest
from bus.connected import running
from bus.orders import OrderPlaced
from prometheus_client.parser import text_string_to_metric_families

from busframe import Bus
from busframe.logs import FIELDS
from busframe.observing import Event

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE = (Path(__file__).parents[2] / "docs" / "observability.md").read_text()
SOURCE = Path(__file__).parents[2] / "busframe"


@pytest.mark.anyio
async def test_the_page_names_every_metric_with_its_kind_and_labels() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(_: OrderPlaced) -> None: ...

    async with running(bus) as live:
        await live.publish(OrderPlaced("o1"))
        families = list(text_string_to_metric_families(await live.metrics()))

    def labels(names: Iterable[str]) -> str:
        return ", ".join(name for name in ("queue", "group", "type", "action") if name in names)

    told = {
        (name, kind, with_labels)
        for names, kind, with_labels in re.findall(r"^\| (`busframe_.*?) \| (\w+) \| ([\w, ]+) \|$", PAGE, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }
    assert told == {
        (
            family.name + ("_total" if family.type == "counter" else ""),
            family.type,
            labels(family.samples[0].labels),
        )
        for family in families
    }


def test_the_texts_of_the_log_are_those_in_the_code() -> None:
    texts = re.findall(r"^\| (?:DEBUG|INFO|WARNING|ERROR|CRITICAL) \| `(.+?)` \|", PAGE, re.MULTILINE)
    assert len(texts) == 13
    code = "".join(path.read_text() for path in SOURCE.rglob("*.py"))
    assert [text for text in texts if f'"{text}"' not in code] == []


def test_every_field_and_every_event_is_named() -> None:
    assert [name for name in FIELDS if f"`{name}`" not in PAGE] == []
    assert [event.__name__ for event in get_args(Event) if f"`{event.__name__}`" not in PAGE] == []
