"""TagQueue, UntagQueue and ListQueueTags. Rules: Amazon SQS developer guide, "Cost allocation tags"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busframe_emulator.api import actions, results
from busframe_emulator.api.errors import invalid_parameter, missing_parameter
from busframe_emulator.engine import requests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from busframe_emulator.api.caller import Caller
    from busframe_emulator.engine.engine import Engine

TAGS_MAX: Final = 50
KEY_CHARACTERS_MAX: Final = 128
VALUE_CHARACTERS_MAX: Final = 256

_PUNCTUATION: Final = str.maketrans("", "", " _.:/=+-@")


def tag_queue(engine: Engine, caller: Caller, now_us: int, request: actions.TagQueue) -> None:
    """Add tags; those that are there get the new value."""
    if not request.tags:
        raise missing_parameter("Tags")
    check_tags(request.tags)
    queue = caller.address(request.queue_url)
    there = engine.apply(now_us, requests.GetQueue(queue=queue)).tags
    if len({*there, *request.tags}) > TAGS_MAX:
        raise invalid_parameter(f"Too many tags added for queue {queue.name}.")
    engine.apply(now_us, requests.TagQueue(queue=queue, add=request.tags))


def untag_queue(engine: Engine, caller: Caller, now_us: int, request: actions.UntagQueue) -> None:
    """Remove tags; those that are not there are ignored."""
    if not request.tag_keys:
        raise missing_parameter("TagKeys")
    for key in request.tag_keys:
        _check_key(key)
    engine.apply(now_us, requests.TagQueue(queue=caller.address(request.queue_url), remove=request.tag_keys))


def list_queue_tags(engine: Engine, caller: Caller, now_us: int, request: actions.ListQueueTags) -> results.Tags:
    """Name the tags."""
    view = engine.apply(now_us, requests.GetQueue(queue=caller.address(request.queue_url)))
    return results.Tags(tags=dict(view.tags) or None)


def check_tags(tags: Mapping[str, str]) -> None:
    """Check number, lengths and characters of tags."""
    if len(tags) > TAGS_MAX:
        raise invalid_parameter(f"A queue can have at most {TAGS_MAX} tags.")
    for key, value in tags.items():
        _check_key(key)
        if len(value) > VALUE_CHARACTERS_MAX:
            raise invalid_parameter(f"Tag values must be between 0 and {VALUE_CHARACTERS_MAX} characters in length.")
        if key.lower().startswith("aws:"):
            raise invalid_parameter("Tag keys must not start with aws:, which is reserved.")
        for text in (key, value):
            letters = text.translate(_PUNCTUATION)
            if letters and not letters.isalnum():
                raise invalid_parameter(f"Tag '{text}' has characters other than letters, digits, spaces and _.:/=+-@")


def _check_key(key: str) -> None:
    if not 1 <= len(key) <= KEY_CHARACTERS_MAX:
        raise invalid_parameter(f"Tag keys must be between 1 and {KEY_CHARACTERS_MAX} characters in length.")
