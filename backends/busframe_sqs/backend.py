"""The backend contract on Amazon SQS."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import anyio

from busframe.backend import Capabilities, QueueStats
from busframe.errors import BackendError, MessageRefusedError, MessageTooLargeError, QueueNotFoundError, ThrottledError
from busframe.limits import check_extend, check_receive, check_send, check_settle
from busframe.message import Acknowledge, Failed, QueueName, Settled, is_ordered
from busframe_sqs.claims import LARGE_ATTRIBUTES_MAX, LARGE_BYTES_MAX, Claims, key_in
from busframe_sqs.connection import SqsConnection
from busframe_sqs.errors import code_of
from busframe_sqs.polls import Polls, Wish
from busframe_sqs.provisioning import MESSAGE_BYTES_MAX, Provisioner
from busframe_sqs.repeating import repeated
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
        Settlement,
        SettleOutcome,
    )
    from busframe_sqs.client import BatchAnswer, Clients, ListAnswer, Message, ReceiptEntry, SendEntry, SqsClient
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
_DONE: Final = Settled()


class SqsBackend:
    """Implements `busframe.backend.Backend`. Make one with `open_sqs`.

    SQS counts in whole seconds: leases, delays and waits are rounded up.
    """

    def __init__(self, clients: Clients, settings: SqsSettings, tasks: TaskGroup, ledger: Ledger) -> None:
        self._connection = SqsConnection(clients.sqs, settings, tasks)
        self._claims = Claims(clients.s3, settings, self._connection) if clients.s3 is not None else None
        self.capabilities: Final = replace(
            CAPABILITIES,
            wait_s_max=settings.wait_s,
            message_bytes_max=LARGE_BYTES_MAX if self._claims else MESSAGE_BYTES_MAX,
        )
        self.ledger: Final = ledger
        self._polls = Polls(self._connection)
        self._provisioner = Provisioner(self._connection)

    @property
    def client(self) -> SqsClient:
        """The boto3 client, for what the bus has no word for.

        It is typed as the calls used here; cast it to your own stubs' type for others. It blocks: call it in a
        thread. It makes no retries, and its errors are botocore's. Queue names there include the prefix. It does not
        look at parameters before it sends them: what is wrong with them SQS says.
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
        """See `Backend.send`. One call, and before it one of S3 for each body that is too large for SQS."""
        self._connection.require_open()
        check_send(self.capabilities, queue, batch)
        fates: dict[int, SendOutcome] = {
            index: Failed(error=error)
            for index, message in enumerate(batch)
            if message.size_bytes > MESSAGE_BYTES_MAX and (error := self._unfit(queue, message)) is not None
        }
        entries = {index: send_entry(index, message) for index, message in enumerate(batch) if index not in fates}
        keys: dict[int, str] = {}
        for index in [index for index in entries if batch[index].size_bytes > MESSAGE_BYTES_MAX]:
            try:
                keys[index] = await self._deposit(queue, entries[index])
            except BackendError as error:
                fates[index] = Failed(error=error)
                del entries[index]
        if entries:
            fates |= await self._send(queue, entries, keys)
        return [fates[index] for index in range(len(batch))]

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        """See `Backend.receive`. `wait_s` 0 is a short poll, which may miss messages that are there.

        A receive that waits occupies one of the URL's `polls` until SQS answers, cancelled or not. A later receive
        of the same queue, limit and lease takes over a cancelled one.
        """
        self._connection.require_open()
        check_receive(self.capabilities, limit=limit, wait_s=wait_s, lease_s=lease_s)
        messages = await self._polls.receive(Wish(queue, limit, whole_seconds(lease_s)), wait_s)
        if self._claims is not None and messages:
            messages = await self._redeem(self._claims, queue, messages)
        return [received(message, self._connection.logical_name) for message in messages]

    async def settle(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        """See `Backend.settle`. One call for all that is acknowledged, and one beside it for all that is released.

        If one of the two fails as a whole, its entries fail; if both do, that is raised. Where the body of an
        acknowledged message lies in S3, it is removed afterwards, in the background.
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
            fates = await self._delete(queue, deletions)
        elif not deletions:
            fates = await self._hide(queue, releases)
        else:
            fates = await self._both(queue, deletions, releases)
        if self._claims is not None:
            acknowledged = [s.receipt for i, s in enumerate(batch) if isinstance(s, Acknowledge) and fates[i] == _DONE]
            self._claims.withdraw(queue, [key for receipt in acknowledged if (key := key_in(receipt))])
        return _in_order(fates)

    async def extend(self, queue: QueueName, batch: Sequence[Extension]) -> Sequence[SettleOutcome]:
        """See `Backend.extend`. One call."""
        self._connection.require_open()
        check_extend(self.capabilities, batch)
        entries = [receipt_entry(index, extension.receipt, extension.lease_s) for index, extension in enumerate(batch)]
        return _in_order(await self._hide(queue, entries))

    async def stats(self, queue: QueueName) -> QueueStats:
        """See `Backend.stats`. Approximate; SQS does not tell the age of the oldest message here."""
        self._connection.require_open()
        answer = await self._connection.insist_about(
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

        def read(client: SqsClient, token: str | None) -> ListAnswer:
            if token is None:
                return client.list_queues(QueueNamePrefix=start, MaxResults=_LIST_PAGE)
            return client.list_queues(QueueNamePrefix=start, MaxResults=_LIST_PAGE, NextToken=token)

        urls: list[str] = []
        token: str | None = None
        while True:
            page = await self._connection.insist(QueueName(f"{start}*"), partial(read, token=token))
            urls += page.get("QueueUrls", ())
            if (token := page.get("NextToken")) is None:
                break
        return sorted(self._connection.logical_name(url.rpartition("/")[2]) for url in urls)

    async def purge(self, queue: QueueName) -> None:
        """See `Backend.purge`.

        Raises:
            ThrottledError: the last purge of this queue was less than 60 seconds ago.
        """
        unanswered = False

        async def attempt() -> None:
            nonlocal unanswered
            try:
                await self._connection.ask(queue, lambda client, url: client.purge_queue(QueueUrl=url))
            except ThrottledError as error:
                # The purge that is going on is the one whose answer was lost.
                if not (unanswered and code_of(error) == "PurgeQueueInProgress"):
                    raise
            except BackendError as error:
                unanswered = unanswered or error.effect == "unknown"
                raise

        await repeated(queue, attempt)

    async def remove(self, queue: QueueName) -> None:
        """See `Backend.remove`. For 60 seconds SQS refuses to make the queue again."""
        try:
            await self._connection.insist_about(queue, lambda client, url: client.delete_queue(QueueUrl=url))
        except QueueNotFoundError:
            return
        self._connection.forget(queue)
        self._provisioner.forget(queue)

    def _unfit(self, queue: QueueName, message: Outgoing) -> BackendError | None:
        """Why a message that is too large for SQS cannot be sent by way of S3, if so: known before anything is done."""
        largest = self.capabilities.message_bytes_max
        if message.size_bytes > largest:
            return MessageTooLargeError(f"message of {message.size_bytes} bytes; {largest} fit")
        if len(message.attributes) > LARGE_ATTRIBUTES_MAX:
            return MessageRefusedError(
                f"queue {queue}: {len(message.attributes)} attributes on a message of {message.size_bytes} bytes: "
                f"{LARGE_ATTRIBUTES_MAX} fit beside the one that says that its body is in S3"
            )
        return None

    async def _deposit(self, queue: QueueName, entry: SendEntry) -> str:
        assert self._claims is not None  # noqa: S101 - no message is larger than SQS takes without them
        return await self._claims.deposit(queue, entry)

    async def _send(
        self, queue: QueueName, entries: Mapping[int, SendEntry], keys: Mapping[int, str]
    ) -> dict[int, SendOutcome]:
        """Send entries by their index in the batch; `keys` has the objects in which bodies of theirs lie."""
        fates: dict[int, SendOutcome] = {}
        kept = set(keys)
        try:
            answer = await self._connection.ask(
                queue,
                lambda client, url: client.send_message_batch(QueueUrl=url, Entries=list(entries.values())),
                doing="send",
            )
            fates |= outcomes(queue, answer, list(entries), sent, "send")
            kept = {index for index in keys if not _surely_not_sent(fates[index])}
        except BackendError as error:
            if error.effect == "none":
                kept.clear()
            raise
        finally:
            if self._claims is not None:
                self._claims.withdraw(queue, [key for index, key in keys.items() if index not in kept])
        return fates

    async def _redeem(self, claims: Claims, queue: QueueName, messages: Sequence[Message]) -> Sequence[Message]:
        """Fetch the bodies that lie in S3. Messages whose body cannot be fetched now are given back."""
        url = await self._connection.url(queue)
        try:
            redeemed = await claims.redeem(queue, messages)
        except BaseException:
            self._polls.give_back(queue, url, messages)
            raise
        if redeemed.error is None:
            return redeemed.messages
        # On an ordered queue what lies behind a message that is given back must not be handled before it.
        rest = [] if is_ordered(queue) else redeemed.messages
        self._polls.give_back(queue, url, redeemed.failed if rest else messages)
        if not rest:
            raise redeemed.error
        return rest

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


def _surely_not_sent(outcome: SendOutcome) -> bool:
    return isinstance(outcome, Failed) and outcome.error.effect == "none"


def _in_order(fates: Mapping[int, T]) -> list[T]:
    return [fates[index] for index in range(len(fates))]
