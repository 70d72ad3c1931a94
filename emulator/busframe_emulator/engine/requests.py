"""What the engine can be asked, and what it answers.

Values arrive here checked as far as they can be without knowing the queue (ranges, names, characters); what needs the
queue (size against its limit, FIFO rules, receipts) the engine checks itself and raises `SqsError`.

Times are integer microseconds on the engine's clock. Not frozen, since a frozen dataclass takes twice as long to make
and one is made per call; nobody changes one all the same. Those of messages may be made with positional arguments,
which takes a third of the time that keywords take.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from busframe_emulator.engine.settings import QueueView

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from busframe_emulator.engine.errors import SqsError
    from busframe_emulator.engine.settings import QueueAddress


DEFAULT_SENDER: Final = "AIDAEXAMPLEBUSFRAME00"
"""`Send.sender` where nobody said who sends; messages do not store it."""


class MessageAttribute(NamedTuple):
    """A message attribute as sent: the type with its label, the text or the raw bytes."""

    data_type: str
    value: str | bytes


# --- queues ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class CreateQueue:
    """Make a queue, or find the one that is there with the same settings.

    Attributes:
        settings: by field name of `QueueSettings`; only what the caller named.
    """

    queue: QueueAddress
    settings: Mapping[str, object] = field(default_factory=dict[str, object])
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(slots=True, kw_only=True)
class DeleteQueue:
    """Remove a queue with its messages. Its waiting receivers are answered empty."""

    queue: QueueAddress


@dataclass(slots=True, kw_only=True)
class PurgeQueue:
    """Remove all messages, in flight and delayed ones included, and forget the deduplication ids."""

    queue: QueueAddress


@dataclass(slots=True, kw_only=True)
class FindQueue:
    """Raise QueueDoesNotExist unless the queue is there."""

    queue: QueueAddress


@dataclass(slots=True, kw_only=True)
class ListQueues:
    """Name queues of one account and region, in alphabetical order.

    Attributes:
        after: only names greater than this.
        limit: at most so many.
    """

    region: str
    account: str
    prefix: str = ""
    after: str = ""
    limit: int = 1000


@dataclass(slots=True, kw_only=True)
class ListSources:
    """Name the queues that send their dead letters to this one, in alphabetical order.

    Attributes:
        after: only names greater than this.
        limit: at most so many.
    """

    queue: QueueAddress
    after: str = ""
    limit: int = 1000


@dataclass(slots=True, kw_only=True)
class GetQueue:
    """Look at a queue: answered with a `QueueView`.

    Attributes:
        approximate: as a client sees it: the chooser may keep changes from it for a while.
    """

    queue: QueueAddress
    approximate: bool = False


@dataclass(slots=True, kw_only=True)
class SetQueue:
    """Change settings: by field name of `QueueSettings`; None removes an optional one."""

    queue: QueueAddress
    settings: Mapping[str, object]


@dataclass(slots=True, kw_only=True)
class TagQueue:
    """Set tags, then remove tags. Removing one that is not there is fine."""

    queue: QueueAddress
    add: Mapping[str, str] = field(default_factory=dict[str, str])
    remove: Sequence[str] = ()


# --- messages -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Send:
    """Append a message.

    Attributes:
        size_bytes: body and attributes as SQS counts them.
        delay_us: None takes the queue's.
        sender: SenderId, as the receiver will see it.
    """

    queue: QueueAddress
    body: str
    size_bytes: int
    attributes: Mapping[str, MessageAttribute] | None = None
    delay_us: int | None = None
    group: str | None = None
    deduplication_id: str | None = None
    trace_header: str | None = None
    sender: str = DEFAULT_SENDER


@dataclass(slots=True)
class Receive:
    """Take messages, waiting for the first if need be.

    Attributes:
        limit: 1 to 10.
        wait_us, visibility_us: None takes the queue's.
        attempt_id: ReceiveRequestAttemptId; a standard queue knows no such thing and ignores it.
    """

    queue: QueueAddress
    limit: int = 1
    wait_us: int | None = None
    visibility_us: int | None = None
    attempt_id: str | None = None


@dataclass(slots=True)
class Delete:
    """Remove the message that was delivered with this receipt."""

    queue: QueueAddress
    receipt: str


@dataclass(slots=True)
class ChangeVisibility:
    """Let the message be hidden for `visibility_us` from now."""

    queue: QueueAddress
    receipt: str
    visibility_us: int


@dataclass(slots=True, kw_only=True)
class Batch:
    """Several `Send`, `Delete` or `ChangeVisibility` on one queue.

    Each has a fate of its own. Waiting receivers are served after the last, so that one of them can take several.
    """

    queue: QueueAddress
    requests: Sequence[Send | Delete | ChangeVisibility]


# --- message move tasks ---------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class StartMove:
    """Begin to move the messages of a dead-letter queue.

    Attributes:
        destination: None sends each to the queue it came from.
        per_s: at most so many messages a second; None leaves it to the emulator.
    """

    source: QueueAddress
    destination: QueueAddress | None = None
    per_s: int | None = None


@dataclass(slots=True, kw_only=True)
class ListMoves:
    """Show the tasks of a queue, the newest first; at most `limit`."""

    source: QueueAddress
    limit: int = 1


@dataclass(slots=True, kw_only=True)
class CancelMove:
    """End a running task."""

    source: QueueAddress
    task_id: str


Request = (
    CreateQueue
    | DeleteQueue
    | PurgeQueue
    | FindQueue
    | ListQueues
    | ListSources
    | GetQueue
    | SetQueue
    | TagQueue
    | Send
    | Receive
    | Delete
    | ChangeVisibility
    | Batch
    | StartMove
    | ListMoves
    | CancelMove
)


# --- answers --------------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Done:
    """It is done, and there is nothing more to say."""


@dataclass(slots=True, kw_only=True)
class QueueNames:
    """The answer to `ListQueues` and `ListSources`."""

    names: Sequence[str]


@dataclass(slots=True)
class Sent:
    """The answer to `Send`.

    Attributes:
        sequence: 20 digits, on a FIFO queue.
        duplicate: a message with the same deduplication id was sent before; this one was not enqueued.
    """

    message_id: str
    sequence: str | None = None
    duplicate: bool = False


@dataclass(slots=True)
class Delivery:
    """One message handed out.

    Attributes:
        sent_us, first_received_us: engine time.
        source: the queue it was dead-lettered from.
    """

    message_id: str
    receipt: str
    body: str
    attributes: Mapping[str, MessageAttribute] | None
    receive_count: int
    sent_us: int
    first_received_us: int
    sender: str = DEFAULT_SENDER
    group: str | None = None
    deduplication_id: str | None = None
    sequence: str | None = None
    trace_header: str | None = None
    source: QueueAddress | None = None


@dataclass(slots=True)
class Deliveries:
    """The answer to `Receive`, at once or through the waiter."""

    deliveries: Sequence[Delivery]


@dataclass(slots=True)
class Parked:
    """The receive waits. `Engine.take_answers` will have its `Deliveries` under this waiter's number."""

    waiter: int


@dataclass(slots=True, kw_only=True)
class Outcomes:
    """The answer to `Batch`: one per request, in order."""

    outcomes: Sequence[Sent | Done | SqsError]


@dataclass(slots=True, kw_only=True)
class MoveStarted:
    """The answer to `StartMove`."""

    task_id: str


@dataclass(slots=True, kw_only=True)
class MoveCancelled:
    """The answer to `CancelMove`."""

    moved: int


@dataclass(slots=True, kw_only=True)
class MoveTaskView:
    """A message move task.

    Attributes:
        destination, per_s: as asked for.
        moved: how many messages, so far.
        to_move: how many could be received when it began.
        failure: the reason, if it failed.
        started_us: engine time.
    """

    task_id: str
    source: QueueAddress
    destination: QueueAddress | None
    per_s: int | None
    status: Literal["RUNNING", "COMPLETED", "CANCELLED", "FAILED"]
    moved: int = 0
    to_move: int
    failure: str | None = None
    started_us: int


@dataclass(slots=True, kw_only=True)
class MoveTaskViews:
    """The answer to `ListMoves`."""

    tasks: Sequence[MoveTaskView]


Reply = (
    Done | QueueNames | Sent | Deliveries | Outcomes | Parked | QueueView | MoveStarted | MoveCancelled | MoveTaskViews
)
