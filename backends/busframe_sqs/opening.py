"""Opening and closing."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio

from busframe import runtime
from busframe.ledger import Ledger
from busframe_sqs.backend import SqsBackend
from busframe_sqs.client import connect
from busframe_sqs.settings import SqsSettings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager

    from busframe.config import BackendUrl
    from busframe_sqs.client import Clients


_log = logging.getLogger("busframe")


def open_sqs(url: BackendUrl) -> AbstractAsyncContextManager[SqsBackend]:
    """Open `sqs://region?prefix=&endpoint_url=&profile=&polls=&calls=`. See `busframe.backend.BackendFactory`.

    Nothing is sent before the first call, so wrong credentials show there.

    Raises:
        InvalidArgumentError: see `SqsSettings.from_url`; on entering: there is no such profile or host.
        MissingExtraError: on entering: boto3 is not installed.
        BackendError: on entering: the AWS configuration files cannot be used.
    """
    return _open(SqsSettings.from_url(url))


@asynccontextmanager
async def _open(settings: SqsSettings) -> AsyncGenerator[SqsBackend, None]:
    ledger = Ledger()
    clients = await runtime.run_blocking(partial(connect, settings, ledger))
    async with serve(clients, settings, ledger) as backend:
        yield backend


@asynccontextmanager
async def serve(clients: Clients, settings: SqsSettings, ledger: Ledger) -> AsyncGenerator[SqsBackend, None]:
    """Run the backend on clients whose calls the ledger counts, and close the clients at the end.

    Leaving waits for calls under way, also when it is cancelled: until they have ended it is not known which messages
    SQS has handed out, and those have to be released. Most calls end in milliseconds; a receive that was cancelled
    ends with its wait, so leaving takes at most what is left of the longest, and never longer than the client's
    read timeout and three attempts at releasing.
    """
    failure: BaseException | None = None
    try:
        async with anyio.create_task_group() as tasks:
            backend = SqsBackend(clients, settings, tasks, ledger)
            try:
                yield backend
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as error:  # noqa: BLE001 - raised again below, as it was: the task group would wrap it
                failure = error
            finally:
                receiving = backend.receiving
                backend.close()
                if receiving:
                    _log.warning(
                        "closing sqs://%s: waiting up to %d s for receives under way, to give back what they bring; "
                        "wait_s= in the URL makes it shorter",
                        settings.region,
                        settings.wait_s,
                    )
    finally:
        with anyio.CancelScope(shield=True):
            for client in clients:
                if client is not None:
                    await runtime.run_blocking(client.close)
    if failure is not None:
        raise failure
