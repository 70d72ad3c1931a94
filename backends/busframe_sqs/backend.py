"""The backend contract on Amazon SQS."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

import anyio

from busframe.backend import Capabilities, QueueStats
from busframe.errors import BackendError, MessageTooLargeError, QueueNotFoundError
from busframe.limits import check_extend, check_receive, check_send, check_settle
from busframe.message import Acknowledge, Failed, QueueName
from busframe_sqs.connection import SqsConnection
from busframe_sqs.polls import Polls, Wish
from busframe_sqs.provisioning import MESSAGE_BYTES_MAX, Provisioner
from busframe_sqs.settings import WAIT_S_MAX
from busframe_sqs.translate import outcomes, receipt_entry, received, send_entry, sent, settled, whole_seconds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from anyio.abc import TaskGroup

    from busframe.backend import Plan, QueueSpec
    from busframe.ledger import Ledger
    from busframe.message import (
        Extension,
        Outgoing,
        Received,
        SendOutcome,
        Sent,
        Settled,
        Settlement,
        SettleOutcome,
    )
    from busframe_sqs.client import BatchAnswer, ReceiptEntry, SqsClient
    from busframe_sqs.settings import SqsSettings

T = TypeVar("T")

# Amazon SQS, quotas and the actions' parameters.
CAPABILITIES: Final = Capabilities(
    ordered=True,
    fair_groups=True,
    deduplication_window_s=300,
    delay_s_max=900,
    lease_s_max=43_200,
    retention_s_max=1_209_600,
    wait_s_max=WAIT_S_MAX,
    message_bytes_max=MESSAGE_BYTES_MAX,
    batch_bytes_max=MESSAGE_BYTES_MAX,
    batch_entries_max=10,
    receive_entries_max=10,
    dead_letters=True,
    topics=False,
    durable=True,
    shared=True,
    # The counts are approximate, and settle a minute after the senders have stopped.
    exact_stats=False,
)

_COUNTS: Final = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
_LIST_PAGE: Final = 1000


class SqsBackend:
    """Implements `busframe.backend.Backend`. Make one with `open_sqs`.

    SQS counts in whole seconds: leases, delays and waits are rounded up.
    """

    def __init__(self, client: SqsClient, settings: SqsSettings, tasks: TaskGroup, ledger: Ledger) -> None:
        self.capabilities: Final = replace(CAPABILITIES, wait_s_max=settings.wait_s)
        self.ledger: Final = ledger
        self._connection = SqsConnection(client, settings, tasks)
        self._polls = Polls(self._connection)
        self._provisioner = Provisioner(self._connection)

    @property
    def client(self) -> SqsClient:
        """The boto3 client, for what the bus has no word for.

        It is typed as the calls used here; cast it to your own stubs' type for others. It blocks: call it in a
        thread. It makes no retries, and its errors are botocore's. Queue names there include the prefix.
        """
        return self._connection.client

    @property
    def receiving(self) -> bool:
        """SQS has yet to answer some receive; closing will wait for it."""
        return self._polls.under_way

    def close(self) -> None:
        """Refuse every later call, and send waiting receivers away with `ClosedError`."""
        self._connection.close()
        self._polls.close()

    async def provision(self, plan: Plan) -> None:
        """See `Backend.provision`.

        A role that only checks needs GetQueueUrl, GetQueueAttributes and ListQueueTags; where nothing is missing and
        nothing differs, "create" needs no more. What is there besides the plan is left alone, save labels (tags)
        and a dead-letter queue that the plan does not have.

        Raises:
            UnavailableError: also for a queue that was removed less than 60 seconds ago.
        """
        self._connection.require_open()
        await self._provisioner.apply(plan)

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        """See `Backend.send`. One call."""
        self._connection.require_open()
        check_send(self.capabilities, queue, batch)
        fates: dict[int, Sent | Failed] = {
            index: Failed(error=MessageTooLargeError(f"message of {message.size_bytes} bytes; {MESSAGE_BYTES_MAX} fit"))
            for index, message in enumerate(batch)
            if message.size_bytes > MESSAGE_BYTES_MAX
        }
        entries = [send_entry(index, message) for index, message in enumerate(batch) if index not in fates]
        if entries:
            answer = await self._connection.ask(
                queue, lambda client, url: client.send_message_batch(QueueUrl=url, Entries=entries), doing="send"
            )
            fates |= outcomes(queue, answer, [int(entry["Id"]) for entry in entries], sent, "send")
        return [fates[index] for index in range(len(batch))]

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        """See `Backend.receive`. `wait_s` 0 is a short poll, which may miss messages that are there.

        A receive that waits occupies one of the URL's `polls` until SQS answers, cancelled or not. A later receive
        of the same queue, limit and lease takes over a cancelled one.
        """
        self._connection.require_open()
        check_receive(self.capabilities, limit=limit, wait_s=wait_s, lease_s=lease_s)
        messages = await self._polls.receive(Wish(queue, limit, whole_seconds(lease_s)), wait_s)
        return [received(message, self._connection.logical_name) for message in messages]

    async def settle(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        """See `Backend.settle`. One call for all that is acknowledged, and one beside it for all that is released.

        If one of the two fails as a whole, its entries fail; if both do, that is raised.
        """
        self._connection.require_open()
        check_settle(self.capabilities, batch)
        deletions: list[ReceiptEntry] = []
        releases: list[ReceiptEntry] = []
        for index, settlement in enumerate(batch):
            if isinstance(settlement, Acknowledge):
                deletions.append(receipt_entry(index, settlement.receipt))
            else:
                releases.append(receipt_entry(index, settlement.receipt, settlement.delay_s))
        if not releases:
            return _in_order(await self._delete(queue, deletions))
        if not deletions:
            return _in_order(await self._hide(queue, releases))
        return _in_order(await self._both(queue, deletions, releases))

    async def extend(self, queue: QueueName, batch: Sequence[Extension]) -> Sequence[SettleOutcome]:
        """See `Backend.extend`. One call."""
        self._connection.require_open()
        check_extend(self.capabilities, batch)
        entries = [receipt_entry(index, extension.receipt, extension.lease_s) for index, extension in enumerate(batch)]
        return _in_order(await self._hide(queue, entries))

    async def stats(self, queue: QueueName) -> QueueStats:
        """See `Backend.stats`. Approximate; SQS does not tell the age of the oldest message here."""
        self._connection.require_open()
        answer = await self._connection.ask(
            queue, lambda client, url: client.get_queue_attributes(QueueUrl=url, AttributeNames=_COUNTS)
        )
        visible, in_flight, delayed = (int(answer.get("Attributes", {}).get(name, "0")) for name in _COUNTS)
        return QueueStats(visible=visible, in_flight=in_flight, delayed=delayed, oldest_age_s=None)

    async def describe(self, queue: QueueName) -> QueueSpec | None:
        """See `Backend.describe`. A dead-letter queue outside the prefix is told with its whole name."""
        self._connection.require_open()
        return await self._provisioner.describe(queue)

    async def list_queues(self, prefix: str = "") -> Sequence[QueueName]:
        """See `Backend.list_queues`. For some seconds SQS may tell queues that were removed, and not tell new ones."""
        start = self._connection.prefix + prefix

        def read(client: SqsClient) -> list[str]:
            page = client.list_queues(QueueNamePrefix=start, MaxResults=_LIST_PAGE)
            urls = list(page.get("QueueUrls", ()))
            while token := page.get("NextToken"):
                page = client.list_queues(QueueNamePrefix=start, MaxResults=_LIST_PAGE, NextToken=token)
                urls += page.get("QueueUrls", ())
            return urls

        urls = await self._connection.call(QueueName(f"{start}*"), read)
        return sorted(self._connection.logical_name(url.rpartition("/")[2]) for url in urls)

    async def purge(self, queue: QueueName) -> None:
        """See `Backend.purge`.

        Raises:
            ThrottledError: the last purge of this queue was less than 60 seconds ago.
        """
        await self._connection.ask(queue, lambda client, url: client.purge_queue(QueueUrl=url))

    async def remove(self, queue: QueueName) -> None:
        """See `Backend.remove`. For 60 seconds SQS refuses to make the queue again."""
        try:
            await self._connection.ask(queue, lambda client, url: client.delete_queue(QueueUrl=url))
        except QueueNotFoundError:
            return
        self._connection.forget(queue)
        self._provisioner.forget(queue)

    async def _delete(self, queue: QueueName, entries: Sequence[ReceiptEntry]) -> dict[int, SettleOutcome]:
        return await self._settle(
            queue, entries, lambda client, url: client.delete_message_batch(QueueUrl=url, Entries=entries)
        )

    async def _hide(self, queue: QueueName, entries: Sequence[ReceiptEntry]) -> dict[int, SettleOutcome]:
        return await self._settle(
            queue, entries, lambda client, url: client.change_message_visibility_batch(QueueUrl=url, Entries=entries)
        )

    async def _settle(
        self, queue: QueueName, entries: Sequence[ReceiptEntry], request: Callable[[SqsClient, str], BatchAnswer]
    ) -> dict[int, SettleOutcome]:
        answer = await self._connection.ask(queue, request)
        indexes = [int(entry["Id"]) for entry in entries]
        fates: dict[int, Settled | Failed] = outcomes(queue, answer, indexes, settled, "settle")
        return fates

    async def _both(
        self, queue: QueueName, deletions: Sequence[ReceiptEntry], releases: Sequence[ReceiptEntry]
    ) -> dict[int, SettleOutcome]:
        fates: dict[int, SettleOutcome] = {}
        failures: list[BackendError] = []

        async def part(
            call: Callable[[QueueName, Sequence[ReceiptEntry]], Awaitable[dict[int, SettleOutcome]]],
            entries: Sequence[ReceiptEntry],
        ) -> None:
            try:
                fates.update(await call(queue, entries))
            except BackendError as error:
                failures.append(error)
                fates.update({int(entry["Id"]): Failed(error=error) for entry in entries})

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(part, self._delete, deletions)
            tasks.start_soon(part, self._hide, releases)
        if len(failures) == 2:  # noqa: PLR2004 - both
            raise next((error for error in failures if error.effect == "unknown"), failures[0])
        return fates


def _in_order(fates: Mapping[int, T]) -> list[T]:
    return [fates[index] for index in range(len(fates))]
