"""The actions on queues themselves."""

from __future__ import annotations

import re
from base64 import b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Final

from busframe_emulator.api import actions, results
from busframe_emulator.api.attributes import check_throughput_limit, read_settings, show_settings
from busframe_emulator.api.errors import invalid_parameter, missing_parameter
from busframe_emulator.api.policies import show_redrive
from busframe_emulator.api.tags import check_tags
from busframe_emulator.engine import requests
from busframe_emulator.engine.errors import SqsError, invalid_value
from busframe_emulator.engine.settings import Redrive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from busframe_emulator.api.caller import Caller
    from busframe_emulator.engine.engine import Engine
    from busframe_emulator.engine.settings import QueueAddress

LIST_MAX: Final = 1000
"""Amazon SQS API, ListQueues: at most so many in one answer."""

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}").fullmatch
_FIFO_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,75}\.fifo").fullmatch


def create_queue(engine: Engine, caller: Caller, now_us: int, request: actions.CreateQueue) -> results.QueueUrl:
    """Make a queue, or name the one that is there with the same settings."""
    given = request.attributes or {}
    # "false" is no way to say that a queue is not FIFO: `read_settings` then refuses the attribute as unknown.
    fifo = given.get("FifoQueue", "").lower() == "true"
    _check_name(request.queue_name, fifo=fifo)
    settings = read_settings(given, fifo=fifo)
    if fifo:
        check_throughput_limit(settings.get("throughput_limit"), settings.get("deduplication_scope"))
    check_tags(request.tags or {})
    queue = caller.own_queue(request.queue_name)
    _check_neighbours(queue, settings)
    engine.apply(now_us, requests.CreateQueue(queue=queue, settings=settings, tags=request.tags or {}))
    return results.QueueUrl(queue_url=caller.queue_url(queue))


def get_queue_url(engine: Engine, caller: Caller, now_us: int, request: actions.GetQueueUrl) -> results.QueueUrl:
    """Find a queue by its name."""
    queue = caller.own_queue(request.queue_name)
    if request.queue_owner_account:
        queue = queue._replace(account=request.queue_owner_account)
    engine.apply(now_us, requests.FindQueue(queue=queue))
    return results.QueueUrl(queue_url=caller.queue_url(queue))


def list_queues(engine: Engine, caller: Caller, now_us: int, request: actions.ListQueues) -> results.QueueUrls:
    """Name queues in alphabetical order. A token for more is given only to those who asked for pages."""
    limit = request.max_results or LIST_MAX
    reply = engine.apply(
        now_us,
        requests.ListQueues(
            region=caller.region,
            account=caller.account,
            prefix=request.queue_name_prefix or "",
            after=_read_token(request.next_token) if request.next_token else "",
            limit=limit + 1,
        ),
    )
    names = reply.names[:limit]
    more = request.max_results is not None and len(reply.names) > limit
    return results.QueueUrls(
        queue_urls=[caller.queue_url(caller.own_queue(name)) for name in names] or None,
        next_token=_token(names[-1]) if more else None,
    )


def list_dead_letter_sources(
    engine: Engine, caller: Caller, now_us: int, request: actions.ListDeadLetterSourceQueues
) -> results.SourceQueueUrls:
    """Name the queues that send their dead letters here."""
    target = caller.address(request.queue_url)
    limit = request.max_results or LIST_MAX
    reply = engine.apply(
        now_us,
        requests.ListSources(
            queue=target, after=_read_token(request.next_token) if request.next_token else "", limit=limit + 1
        ),
    )
    names = reply.names[:limit]
    more = request.max_results is not None and len(reply.names) > limit
    return results.SourceQueueUrls(
        queue_urls=[caller.queue_url(target._replace(name=name)) for name in names] or None,
        next_token=_token(names[-1]) if more else None,
    )


def delete_queue(engine: Engine, caller: Caller, now_us: int, request: actions.DeleteQueue) -> None:
    """Remove a queue with its messages."""
    engine.apply(now_us, requests.DeleteQueue(queue=caller.address(request.queue_url)))


def purge_queue(engine: Engine, caller: Caller, now_us: int, request: actions.PurgeQueue) -> None:
    """Remove a queue's messages."""
    engine.apply(now_us, requests.PurgeQueue(queue=caller.address(request.queue_url)))


def get_queue_attributes(
    engine: Engine, caller: Caller, now_us: int, request: actions.GetQueueAttributes
) -> results.QueueAttributes:
    """Look at a queue."""
    view = engine.apply(now_us, requests.GetQueue(queue=caller.address(request.queue_url), approximate=True))
    return results.QueueAttributes(attributes=show_settings(view, request.attribute_names or ()) or None)


def set_queue_attributes(engine: Engine, caller: Caller, now_us: int, request: actions.SetQueueAttributes) -> None:
    """Change a queue."""
    if not request.attributes:
        raise missing_parameter("Attribute.Name")
    queue = caller.address(request.queue_url)
    view = engine.apply(now_us, requests.GetQueue(queue=queue))
    settings = read_settings(request.attributes, fifo=view.settings.fifo)
    if settings.pop("fifo", True) is False:
        raise SqsError(
            "InvalidAttributeValue",
            "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.",
        )
    check_throughput_limit(
        settings.get("throughput_limit", view.settings.throughput_limit),
        settings.get("deduplication_scope", view.settings.deduplication_scope),
    )
    _check_neighbours(queue, settings)
    engine.apply(now_us, requests.SetQueue(queue=queue, settings=settings))


def _check_name(name: str, *, fifo: bool) -> None:
    if fifo and not _FIFO_NAME(name):
        raise invalid_parameter(
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with "
            ".fifo suffix and be 1 to 80 in length."
        )
    if not fifo and not _NAME(name):
        raise invalid_parameter("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")


def _check_neighbours(queue: QueueAddress, settings: Mapping[str, object]) -> None:
    """A dead-letter queue is of the same account and region; all else about it the engine knows better."""
    redrive = settings.get("redrive")
    if isinstance(redrive, Redrive) and redrive.target[:2] != queue[:2]:
        reason = "Dead-letter queue must be in the same account and region as the source."
        raise invalid_value("RedrivePolicy", show_redrive(redrive), reason)


def _token(last: str) -> str:
    """What to ask with for what comes after a name."""
    return urlsafe_b64encode(last.encode()).decode()


def _read_token(token: str) -> str:
    try:
        return b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise invalid_parameter("Invalid or expired next token.") from None
