"""Receipts: which queue, which message, which of its deliveries, and a mark that this file gave it out.

The mark is a checksum over the rest and the file's own secret. It guards against mix-ups (a receipt of another queue,
of another file, of a test), not against an enemy, who could read the file just as well.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

from busframe.message import Receipt


class ReceiptContent(NamedTuple):
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
        self._start = crc32(secret)

    def write(self, queue_id: int, number: int, delivery: int) -> Receipt:
        """Make the receipt of one delivery."""
        said = f"{queue_id:x}-{number:x}-{delivery:x}"
        return Receipt(f"{said}-{crc32(said.encode(), self._start):08x}")

    def read(self, receipt: Receipt) -> ReceiptContent | None:
        """Tell what a receipt says, or None if it is not one that this file gave out."""
        said, _, mark = receipt.rpartition("-")
        try:
            if mark != f"{crc32(said.encode(), self._start):08x}":
                return None
            queue_id, number, delivery = said.split("-")
            return ReceiptContent(int(queue_id, 16), int(number, 16), int(delivery, 16))
        except ValueError:  # no such text can be written, or it has other parts: somebody's who knows the mark
            return None
