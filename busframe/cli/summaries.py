"""A line for each command, for `busframe --help`: to look for it in the commands themselves would import them all."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

SUMMARIES: Final = {
    "check": "judge a recorded history: did the broker keep the delivery contract?",
    "dead": "list, show, replay and drop dead letters",
    "emulator": "serve Amazon SQS on this machine",
    "peek": "show messages of a queue without receiving them",
    "ps": "show which process of a `busframe run` does what",
    "publish": "publish an event to the groups that have subscribed to it",
    "purge": "remove all messages of a queue",
    "run": "run a program's handlers, in one process or several",
    "send": "send a command to its owner, or a body to a queue",
    "stats": "tell how full queues are",
    "tail": "show messages as they come onto a queue",
    "timeline": "show what happened in a failed simulation",
    "topology": "see, check and change who subscribed to what",
}


def summary(command: EntryPoint) -> str:
    """Of a command of another package, the first line of its function's docstring."""
    if command.name in SUMMARIES:
        return SUMMARIES[command.name]
    try:
        text = inspect.getdoc(command.load()) or ""
    except Exception as error:  # noqa: BLE001 - one broken command must not keep the others from being listed
        return f"(cannot be loaded: {error})"
    return text.partition("\n")[0]
