"""The bus: a registry that can connect."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, get_args

from busframe import runtime
from busframe._consume.once import needs_inbox
from busframe.backend import KeepsRecipients, ProvisionMode
from busframe.checks import check_one_of, check_text
from busframe.config import BackendUrl, backend_factory, has_inbox, inbox_factory, recipients_factory
from busframe.connecting import Connecting
from busframe.errors import BackendError, MissingStoreError, QueueNotFoundError, UnsupportedError
from busframe.message import is_ordered
from busframe.observing import Connection, observers_of
from busframe.registry import Registry
from busframe.session import Live
from busframe.topology.drift import left_by_owners
from busframe.topology.plan import plan_for
from busframe.topology.registration import (
    register,
    remark_on_doubles,
    remark_on_one_process,
    require_own_queues,
    subscriptions_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from busframe.backend import Backend
    from busframe.inbox import Inbox
    from busframe.recipients import RecipientList

_log = logging.getLogger("busframe")


class Bus(Registry):
    """A named set of subscriptions. Making one does no I/O; `connect` does.

    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing")
    async def charge(order: OrderPlaced) -> None: ...

    async with bus.connect("sqlite:///shop.db") as live, live.running():
        await live.publish(OrderPlaced("o1", "ada"))
    """

    def connect(
        self,
        url: str,
        *,
        recipients: str | None = None,
        inbox: str | None = None,
        provision: ProvisionMode = "create",
    ) -> Connecting:
        """Open the backend the URL names, see to it that the queues are there, and give a live connection.

        All of that happens where `async with` is entered, and what is raised is raised there.

        Args:
            url: `memory://`, `sqlite:///file.db`, `sqs://region`, or whatever else is installed.
            recipients: URL of the recipient list, the same for publishers and subscribers; None takes the one the
                backend keeps, if it keeps one. Several systems may share one list: each sees its own space of it,
                which is the backend's prefix, or `space=` in this URL.
            inbox: URL of the inbox for subscriptions with `once=True`, the same for all consumers of a group; None is
                where `memory://` and `sqlite://` keep the messages, and none elsewhere, which does for programs that
                only publish. It may be the application's own SQLite file, so
                that handlers can write to it in the transaction that marks their message as done.
            provision: "create" makes what is missing; "check" raises where something is missing or differs; "assume"
                makes no call, for roles that may only send and receive. The same goes for this program's rows in
                the recipient list.

        Raises:
            ConfigurationError: the URL, or something the registry needs and the backend cannot do.
            BackendError: the broker cannot be reached, or refused.
        """
        return Connecting(self._open(url, recipients, inbox, provision))

    @asynccontextmanager
    async def _open(
        self, url: str, recipients: str | None, inbox: str | None, provision: ProvisionMode
    ) -> AsyncGenerator[Live, None]:
        check_one_of("provision", provision, get_args(ProvisionMode))
        check_text("recipients", recipients, "the URL of a recipient list", or_none=True)
        check_text("inbox", inbox, "the URL of an inbox", or_none=True)
        parsed = BackendUrl.parse(url)
        open_backend = backend_factory(parsed.scheme)
        async with AsyncExitStack() as stack:
            backend = await stack.enter_async_context(open_backend(parsed))
            listed = await _open_recipients(backend, parsed, recipients, stack)
            prepare = partial(_prepare, backend=backend, listed=listed, url=url, mode=provision)
            await prepare(self)
            tasks = await stack.enter_async_context(runtime.background_tasks())
            opened = await self._open_inbox(parsed, inbox, stack)
            observers = observers_of(self.observers, Connection(bus=self.name, scheme=parsed.scheme))
            live = Live(self, backend, listed, tasks, inbox=opened, prepare=prepare, observers=observers)
            stack.push_async_callback(live.aclose)
            yield live

    async def _open_inbox(self, backend_url: BackendUrl, url: str | None, stack: AsyncExitStack) -> Inbox | None:
        if url is not None:
            parsed = BackendUrl.parse(url)
            return await stack.enter_async_context(inbox_factory(parsed.scheme)(parsed))
        # Publishers import the same subscriptions and have no use for it: that it is missing, consumers are told.
        if not any(map(needs_inbox, self.groups.values())) or not has_inbox(backend_url.scheme):
            return None
        return await stack.enter_async_context(inbox_factory(backend_url.scheme)(backend_url))


async def _prepare(
    registry: Registry, *, backend: Backend, listed: RecipientList | None, url: str, mode: ProvisionMode
) -> None:
    """See to it that what a registry needs is there, and that its groups get what they subscribe to."""
    _require_capabilities(registry, backend, url)
    plan = plan_for(registry, backend.capabilities, mode=mode)
    wanted = subscriptions_of(registry.groups.values())
    remark_on_doubles(registry.groups.values())
    remark_on_one_process(registry.groups.values())
    if wanted and listed is None and mode == "create":
        raise MissingStoreError(
            "recipients",
            f"{url} keeps no recipient list, and without the one that publishers name too nothing would ever reach "
            f"{wanted[0].queue}",
        )
    try:
        if listed is None:
            await backend.provision(plan)
        else:
            if mode != "assume":
                await require_own_queues(listed, [group for group in registry.groups.values() if not group.name])
            await register(backend, listed, plan, wanted, by=runtime.who(registry.name))
        if mode != "assume":
            await _remark_on_left_queues(registry, backend)
    except QueueNotFoundError as error:
        if mode != "check":
            raise
        raise QueueNotFoundError(
            f"{error}; `busframe topology apply` makes what is missing, and so does connect(url, provision='create')"
        ) from error


async def _remark_on_left_queues(registry: Registry, backend: Backend) -> None:
    try:
        left = await left_by_owners(backend, registry.groups.values())
    except BackendError:
        return  # Not everybody may ask.
    for owner, queue in left:
        _log.warning(
            "queue %s is left from before its owner was ordered and read %s: nobody handles what is on it, and other "
            "programs cannot tell which to send to. `busframe topology apply APP --remove` removes it when it is empty",
            *(queue, owner),
        )


def _require_capabilities(registry: Registry, backend: Backend, url: str) -> None:
    capabilities = backend.capabilities
    for queue, group in registry.groups.items():
        if is_ordered(queue) and not capabilities.ordered:
            raise UnsupportedError(f"queue {queue} is ordered, and {url} has no ordered queues")
        if group.lease_s > capabilities.lease_s_max:
            raise UnsupportedError(
                f"queue {queue} needs leases of {group.lease_s:g} s; {url} has {capabilities.lease_s_max:g} at most"
            )


async def _open_recipients(
    backend: Backend, backend_url: BackendUrl, url: str | None, stack: AsyncExitStack
) -> RecipientList | None:
    if url is None:
        return backend.recipients if isinstance(backend, KeepsRecipients) else None
    parsed = BackendUrl.parse(url)
    # Systems that tell their queues apart by a prefix tell their subscriptions apart by it too.
    space = parsed.parameters.get("space", backend_url.parameters.get("prefix", ""))
    without = {name: value for name, value in parsed.parameters.items() if name != "space"}
    open_list = recipients_factory(parsed.scheme)
    return await stack.enter_async_context(open_list(replace(parsed, parameters=without), space=space))
