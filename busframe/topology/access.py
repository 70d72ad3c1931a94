"""Which queues each role of a system needs, and for what: from this a backend writes policies for its broker.

Four roles, so that no process may do what it does not do. What handlers send makes their worker a publisher too.

    worker         runs a program's handlers, after looking that their queues are there as they should be
    publisher      sends
    provisioner    compares program, recipient list and queues, and makes and changes queues, when a program is rolled
                   out; it removes nothing, and sees no message
    operator       does that too, and all else: looks at queues, moves and unsubscribes groups, removes queues that are
                   drained or nobody's, replays and drops dead letters
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol, cast

from busframe.errors import ConfigurationError
from busframe.queue_names import dead_queue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from busframe.config import BackendUrl
    from busframe.message import QueueName
    from busframe.recipients import Subscription
    from busframe.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Queues by what is done with them.

    Attributes:
        consumed: by the program's workers; they also look how full these are.
        buried_in: the dead-letter queues of these, which workers send to, and operators read, refill from and empty.
        published_to: by publishers.
        provisioned: made and changed, dead-letter queues included.
        listed: of all rows of the recipient list, whichever program's, with their dead-letter queues; comparing looks
            at these too.
        own_prefix: what names of the program's queues begin with, as far as they are not named by hand. Comparing looks
            for more of them, operators remove those, and move groups to new ones.
    """

    consumed: Sequence[QueueName]
    buried_in: Sequence[QueueName]
    published_to: Sequence[QueueName]
    provisioned: Sequence[QueueName]
    listed: Sequence[QueueName]
    own_prefix: str


class WritesPolicies(Protocol):
    """What an entry point in the group `busframe.policies` must be; its name is the backend's URL scheme."""

    def __call__(self, url: BackendUrl, access: Access, *, account: str) -> Mapping[str, Any]:
        """Write a policy for each role, by the role's name, as JSON has it. Without asking the broker.

        Raises:
            InvalidArgumentError: the URL or the account is not so.
        """
        ...


def access_of(registry: Registry, rows: Sequence[Subscription], topics: Sequence[str] | None = None) -> Access:
    """Name the queues.

    Args:
        registry: the program.
        rows: of the recipient list, for what is published to.
        topics: the names of events and commands that publishers send; None: all that the list and the program know.
    """
    groups = registry.groups.values()
    targets = [row.queue for row in rows if topics is None or row.topic in topics]
    # The program's own as well: they are not in the list before the first rollout, which is when policies are written.
    targets += [group.queue for group in groups if any(topics is None or name in topics for name in group.handlers)]
    queues = [group.queue for group in groups]
    return Access(
        consumed=sorted(set(queues)),
        buried_in=sorted({dead_queue(queue) for queue in queues}),
        published_to=sorted(set(targets)),
        provisioned=_with_dead(queues),
        listed=_with_dead([row.queue for row in rows]),
        own_prefix=f"{registry.name}-",
    )


def _with_dead(queues: Sequence[QueueName]) -> list[QueueName]:
    return sorted({name for queue in queues for name in (queue, dead_queue(queue))})


def policy_writer(scheme: str) -> WritesPolicies:
    """Find what writes the policies of a backend.

    Raises:
        ConfigurationError: the backend has none: access to it is not by policy.
    """
    writers = entry_points(group="busframe.policies")
    if scheme not in writers.names:
        have = ", ".join(f"{name}://" for name in sorted(writers.names)) or "no backend that is installed"
        raise ConfigurationError(f"{scheme}:// has no access policies; these have: {have}")
    return cast("WritesPolicies", writers[scheme].load())
