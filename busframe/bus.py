"""The bus: a registry that can connect."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from busframe import runtime
from busframe.backend import KeepsRecipients
from busframe.config import BackendUrl, backend_factory, recipients_factory
from busframe.errors import ConfigurationError, UnsupportedError
from busframe.message import is_ordered
from busframe.registry import Registry
from busframe.session import Live
from busframe.topology.plan import plan_for, recipients_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from busframe.backend import Backend, ProvisionMode
    from busframe.recipients import RecipientList


class Bus(Registry):
    """A named set of subscriptions. Making one does no I/O; `connect` does.

    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing")
    async def charge(order: OrderPlaced) -> None: ...

    async with bus.connect("sqlite:///shop.db") as live, live.running():
        await live.publish(OrderPlaced("o1", "ada"))
    """

    @asynccontextmanager
    async def connect(
        self, url: str, *, recipients: str | None = None, provision: ProvisionMode = "create"
    ) -> AsyncGenerator[Live, None]:
        """Open the backend the URL names, see to it that the queues are there, and give a live connection.

        Args:
            url: `memory://`, `sqlite:///file.db`, `sqs://region`, or whatever else is installed.
            recipients: URL of the recipient list, the same for publishers and subscribers; None takes the one the
                backend keeps, if it keeps one.
            provision: "create" makes what is missing; "check" raises where something is missing or differs; "assume"
                makes no call, for roles that may only send and receive. With "check" and "assume" the recipient list
                is not written either.

        Raises:
            ConfigurationError: the URL, or something the registry needs and the backend cannot do.
            BackendError: the broker cannot be reached, or refused.
        """
        parsed = BackendUrl.parse(url)
        open_backend = backend_factory(parsed.scheme)
        async with AsyncExitStack() as stack:
            backend = await stack.enter_async_context(open_backend(parsed))
            self._require_capabilities(backend, url)
            listed = await _open_recipients(backend, recipients, stack)
            await backend.provision(plan_for(self, backend.capabilities, mode=provision))
            if provision == "create" and (lines := recipients_for(self.groups.values())):
                if listed is None:
                    raise ConfigurationError(
                        f"{url} keeps no recipient list, and without one nothing would ever reach {lines[0].queue}: "
                        "name one that publishers name too, such as "
                        "connect(url, recipients='sqlite:///subscriptions.db')"
                    )
                # After the queues: a publisher must not find a line whose queue is not there yet.
                await listed.add(lines)
            tasks = await stack.enter_async_context(runtime.background_tasks())
            yield Live(self, backend, listed, tasks)

    def _require_capabilities(self, backend: Backend, url: str) -> None:
        capabilities = backend.capabilities
        for queue, group in self.groups.items():
            if is_ordered(queue) and not capabilities.ordered:
                raise UnsupportedError(f"queue {queue} is ordered, and {url} has no ordered queues")
            if group.lease_s > capabilities.lease_s_max:
                raise UnsupportedError(
                    f"queue {queue} needs leases of {group.lease_s:g} s; {url} has {capabilities.lease_s_max:g} at most"
                )


async def _open_recipients(backend: Backend, url: str | None, stack: AsyncExitStack) -> RecipientList | None:
    if url is not None:
        parsed = BackendUrl.parse(url)
        return await stack.enter_async_context(recipients_factory(parsed.scheme)(parsed))
    return backend.recipients if isinstance(backend, KeepsRecipients) else None
