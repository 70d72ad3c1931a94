"""What every store of a recipient list does alike."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import pytest

from busframe.config import BackendUrl, recipients_factory
from busframe.errors import ConfigurationError, InvalidArgumentError
from busframe.message import QueueName
from busframe.recipients import Subscription

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Sequence
    from pathlib import Path

    from busframe.recipients import RecipientList

pytestmark = pytest.mark.anyio

BILLING, SHIPPING = QueueName("billing"), QueueName("shipping")


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/list.db"


@pytest.fixture
async def recipients(url: str) -> AsyncGenerator[RecipientList]:
    parsed = BackendUrl.parse(url)
    async with recipients_factory(parsed.scheme)(parsed, space="") as recipients:
        yield recipients


def row(topic: str, queue: QueueName) -> Subscription:
    return Subscription(topic=topic, queue=queue, group=f"shop/{queue}")


async def add(recipients: RecipientList, *rows: Subscription) -> None:
    await recipients.change(lambda known: [*known, *rows], by="ada")


async def names(recipients: RecipientList, topics: Collection[str] | None = None) -> list[tuple[str, QueueName]]:
    return [row.name for row in (await recipients.load(topics)).subscriptions]


async def test_rows_are_kept_in_the_order_they_were_added(recipients: RecipientList) -> None:
    await add(recipients, row("t", SHIPPING), row("t", BILLING))
    await add(recipients, row("u", BILLING))
    assert await names(recipients) == [("t", SHIPPING), ("t", BILLING), ("u", BILLING)]
    assert await names(recipients, ["u", "nowhere"]) == [("u", BILLING)]
    assert await names(recipients, []) == []


async def test_a_row_is_kept_whole(recipients: RecipientList) -> None:
    written = Subscription(
        topic="t", queue=BILLING, group="shop/billing", filter='{"a":["ä"]}', filter_on="payload", state="paused"
    )
    await add(recipients, written)
    (read,) = (await recipients.load()).subscriptions
    assert replace(read, created_at_s=0, changed_at_s=0, changed_by="") == written
    assert read.created_at_s == read.changed_at_s > 0
    assert read.changed_by == "ada"


async def test_a_changed_row_keeps_its_place_and_its_beginning(recipients: RecipientList) -> None:
    await add(recipients, row("t", SHIPPING), row("t", BILLING))
    before = (await recipients.load()).subscriptions[0]

    def pause(rows: Sequence[Subscription]) -> Sequence[Subscription]:
        return [replace(row, state="paused") if row.queue == SHIPPING else row for row in rows]

    (change,) = await recipients.change(pause, by="bob")
    assert (change.what, change.queue, change.by) == ("state active -> paused", SHIPPING, "bob")
    after = (await recipients.load()).subscriptions[0]
    assert (after.queue, after.state, after.changed_by) == (SHIPPING, "paused", "bob")
    assert after.created_at_s == before.created_at_s


async def test_what_an_edit_leaves_out_is_removed_and_topics_bound_what_it_sees(recipients: RecipientList) -> None:
    await add(recipients, row("t", SHIPPING), row("t", BILLING), row("u", BILLING))
    changes = await recipients.change(lambda rows: rows[1:], by="ada", topics=["t"])
    assert [(change.topic, change.queue, change.what) for change in changes] == [("t", SHIPPING, "unsubscribed")]
    assert await names(recipients) == [("t", BILLING), ("u", BILLING)]


async def test_the_version_grows_with_every_change_and_with_nothing_else(recipients: RecipientList) -> None:
    async def version() -> int:
        return (await recipients.load(())).version

    first = await version()
    await add(recipients, row("t", BILLING), row("u", BILLING))
    second = await version()
    assert second > first
    assert not await recipients.change(lambda rows: rows, by="ada")
    assert await version() == second
    await add(recipients, row("v", BILLING))
    changed = await recipients.changed_since(second)
    assert (changed.version, set(changed.topics)) == (await version(), {"v"})
    assert set((await recipients.changed_since(first)).topics) == {"t", "u", "v"}
    assert not (await recipients.changed_since(changed.version)).topics


async def test_an_edit_that_raises_changes_nothing(recipients: RecipientList) -> None:
    await add(recipients, row("t", BILLING))

    def refuse(_: Sequence[Subscription]) -> Sequence[Subscription]:
        raise ConfigurationError("not so")

    with pytest.raises(ConfigurationError, match="not so"):
        await recipients.change(refuse, by="ada")
    assert await names(recipients) == [("t", BILLING)]


async def test_changes_at_once_are_all_kept(recipients: RecipientList) -> None:
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(add, recipients, row(f"t{number}", BILLING))
    assert len(await names(recipients)) == 20
    assert (await recipients.load()).version == 20


async def test_listeners_hear_of_a_change_before_it_returns(recipients: RecipientList) -> None:
    heard: list[set[str]] = []
    recipients.listen(lambda topics: heard.append(set(topics)))
    await add(recipients, row("t", BILLING), row("u", BILLING))
    assert heard == [{"t", "u"}]
    await recipients.change(lambda rows: rows, by="ada")
    assert heard == [{"t", "u"}]


async def test_the_history_tells_who_did_what_the_newest_first(recipients: RecipientList) -> None:
    await add(recipients, row("t", BILLING))
    await recipients.change(lambda rows: [replace(row, filter='{"a":[1]}') for row in rows], by="bob")
    await recipients.change(lambda _: [], by="eve")
    history = await recipients.history(limit=10)
    assert [(change.by, change.what) for change in history] == [
        ("eve", "unsubscribed"),
        ("bob", 'filter none -> {"a":[1]} on headers'),
        ("ada", "subscribed"),
    ]
    assert {(change.topic, change.queue, change.group) for change in history} == {("t", BILLING, "shop/billing")}
    assert await recipients.history(limit=1) == history[:1]


async def test_more_topics_than_one_question_can_hold_are_read(recipients: RecipientList) -> None:
    topics = [f"t{number}" for number in range(1_200)]
    await add(recipients, *(row(topic, BILLING) for topic in topics))
    assert len(await names(recipients, topics)) == 1_200


async def test_a_wrong_space_is_refused_by_name(url: str) -> None:
    parsed = BackendUrl.parse(url)
    with pytest.raises(InvalidArgumentError, match="space='a b'"):
        async with recipients_factory(parsed.scheme)(parsed, space="a b"):
            pass


async def test_spaces_in_one_file_do_not_see_each_other(tmp_path: Path) -> None:
    parsed = BackendUrl.parse(f"sqlite:///{tmp_path}/list.db")
    factory = recipients_factory("sqlite")
    async with factory(parsed, space="dev-") as dev, factory(parsed, space="prod-") as prod:
        await add(dev, row("t", BILLING))
        await add(prod, row("t", BILLING), row("t", SHIPPING))
        await dev.change(lambda _: [], by="ada")
        assert await names(dev) == []
        assert await names(prod) == [("t", BILLING), ("t", SHIPPING)]
        assert [change.what for change in await prod.history(limit=9)] == ["subscribed"] * 2
        assert (await prod.load()).version == 1
