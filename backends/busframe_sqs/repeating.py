"""Calls that nobody above would repeat: about queues as a whole, not about messages.

The bus repeats what it sends, receives and settles, each in its own way, and has to see each failure for that. Whoever
connects, looks or tidies up does not: one throttled call of a hundred would be the end of a rollout. So these calls are
repeated here, as often and with the same waits as a send is (`busframe.sending`): a random time up to a bound that
doubles, so that programs that were throttled together do not come back together.

All of them may be made twice. Making a queue, setting what it is set to, tagging and looking come to the same the
second time; of the two that do not, removing tells that the queue is not there, and purging that one is going on, and
after an answer that was lost that is success. Neither of the errors that ask for a minute's patience is tried again:
that is longer than anybody should wait without being told why.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeVar

from busframe import runtime
from busframe.errors import BackendError
from busframe.sending import ATTEMPTS_MAX, FIRST_WAIT_S
from busframe_sqs.errors import code_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from busframe.message import QueueName

R = TypeVar("R")

_PATIENCE: Final = frozenset({"QueueDeletedRecently", "PurgeQueueInProgress"})
"""Amazon SQS, DeleteQueue and PurgeQueue: once in 60 seconds."""

_log = logging.getLogger("busframe")


async def repeated(queue: QueueName, attempt: Callable[[], Awaitable[R]]) -> R:
    """Make a call up to `ATTEMPTS_MAX` times, as long as its error says that this may help. Safe to cancel.

    Raises:
        BackendError: the last attempt's. Its effect is unknown if that of any attempt was.
    """
    unknown = False
    number = 1
    while True:
        try:
            return await attempt()
        except BackendError as error:
            unknown = unknown or error.effect == "unknown"
            if number == ATTEMPTS_MAX or not error.retryable or code_of(error) in _PATIENCE:
                error.effect = "unknown" if unknown else error.effect
                raise
            _log.warning("a call about %s failed, attempt %d of %d: %s", queue, number, ATTEMPTS_MAX, error)
        await runtime.sleep(runtime.random() * FIRST_WAIT_S * 2**number)
        number += 1
