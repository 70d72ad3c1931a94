"""The bus: a registry that can connect."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from busframe import runtime
from busframe.backend import KeepsRecipients
from busframe.config import BackendUrl, backend_factory, recipients_factory
from busframe.errors import ConfigurationError, UnsupportedError
from busframe.message import is_ordered
from busframe.registry import Registry
from busframe.session import Live
from busframe.topology.plan import plan_for
from busframe.topology.registration import register, subscriptions_of

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
                backend keeps, if it keeps one. Several systems may share one list: each sees its own space of it,
                which is the backend's prefix, or `space=` in this URL.
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
            listed = await _open_recipients(backend, parsed, recipients, stack)
            plan = plan_for(self, backend.capabilities, mode=provision)
            wanted = subscriptions_of(self.groups.values()) if provision == "create" else []
            if wanted and listed is None:
                raise ConfigurationError(
                    f"{url} keeps no recipient list, and without one nothing would ever reach {wanted[0].queue}: name "
                    "one that publishers name too, such as connect(url, recipients='sqlite:///subscriptions.db')"
                )
            if listed is None:
                await backend.provision(plan)
            else:
                await register(backend, listed, plan, wanted, by=runtime.who(self.name))
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
