"""What is wrong with a batch as a whole. Texts: the service's own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from busframe_emulator.engine.errors import SqsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe_emulator.api.actions import Entry

ENTRIES_MAX: Final = 10
"""Amazon SQS API, SendMessageBatch and its likes."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,80}").fullmatch


def check_entries(entries: Sequence[Entry], name: str) -> None:
    """Check number and ids of the entries of a batch.

    Args:
        entries: of the batch.
        name: what the Query protocol calls an entry; SQS uses it in the text of both.
    """
    if not entries:
        raise SqsError("EmptyBatchRequest", f"There should be at least one {name} in the request.")
    if len(entries) > ENTRIES_MAX:
        raise SqsError(
            "TooManyEntriesInBatchRequest",
            f"Maximum number of entries per request are {ENTRIES_MAX}. You have sent {len(entries)}.",
        )
    seen: set[str] = set()
    for entry in entries:
        if _ID(entry.id) is None:
            raise SqsError(
                "InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most "
                "80 letters long.",
            )
        if entry.id in seen:
            raise SqsError("BatchEntryIdsNotDistinct", f"Id {entry.id} repeated.")
        seen.add(entry.id)
