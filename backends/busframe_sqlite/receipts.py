"""Receipts: which queue, which message, which of its deliveries, and a mark that this file gave it out.

The mark is a keyed digest with the file's own secret. It guards against mix-ups (a receipt of another queue, of another
file, of a test), not against an enemy, who could read the file just as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from busframe.message import Receipt

_MARK_BYTES: Final = 6
_RECEIPT: Final = re.compile(r"([0-9a-f]{1,16})-([0-9a-f]{1,16})-([0-9a-f]{1,16})-([0-9a-f]{12})")


@dataclass(frozen=True, slots=True)
class ReceiptContent:
    """What a receipt says.

    Attributes:
        queue_id: the queue it was given out by.
        number: the message.
        delivery: the message's receive count at that delivery.
    """

    queue_id: int
    number: int
    delivery: int


class Receipts:
    """Writes and reads the receipts of one file."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def write(self, queue_id: int, number: int, delivery: int) -> Receipt:
        """Make the receipt of one delivery."""
        said = f"{queue_id:x}-{number:x}-{delivery:x}"
        return Receipt(f"{said}-{self._mark(said)}")

    def read(self, receipt: Receipt) -> ReceiptContent | None:
        """Tell what a receipt says, or None if it is not one that this file gave out."""
        match = _RECEIPT.fullmatch(receipt)
        if match is None or self._mark(receipt[: match.start(4) - 1]) != match.group(4):
            return None
        queue_id, number, delivery = (int(match.group(part), 16) for part in (1, 2, 3))
        return ReceiptContent(queue_id, number, delivery)

    def _mark(self, said: str) -> str:
        return blake2b(said.encode(), digest_size=_MARK_BYTES, key=self._secret).hexdigest()
