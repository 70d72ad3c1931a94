"""Names for things: message identifiers, receipt handles, sequence numbers.

All are computed from a salt and counters, so nothing has to be stored to recognise a receipt, and the same salt gives
the same names. Production draws the salt at random; a simulation sets it.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from struct import Struct
from typing import Final
from zlib import crc32

from busframe_emulator.engine.errors import SqsError

_M64: Final = (1 << 64) - 1
_M40: Final = (1 << 40) - 1
# The odd constant of splitmix64 (Steele, Lea, Flood 2014): multiplying by it permutes the numbers of any word size.
_GOLDEN: Final = 0x9E37_79B9_7F4A_7C15
_BLOCK_BITS: Final = 8
_BLOCK_MASK: Final = (1 << _BLOCK_BITS) - 1
_BLOCK: Final = tuple(f"{low:02x}" for low in range(_BLOCK_MASK + 1))

_RECEIPT: Final = Struct(">QQI")
_RECEIPT_BYTES: Final = 24
# What the CRC-32 of anything with its own CRC-32 behind it comes to, the least byte first, whatever they began with.
_CHECKED: Final = 0x2144_DF1C

# AWS prints 20 digits, growing but not by one (Amazon SQS API, SendMessage; the guide's examples).
_SEQUENCE_BASE: Final = 18_850_000_000_000_000_000
_SEQUENCE_STEP: Final = 256


class Ids:
    """The names of one engine.

    Args:
        salt: 64 bits; two engines with different salts do not know each other's receipts.
    """

    __slots__ = ("_salt",)

    def __init__(self, salt: int) -> None:
        self._salt = salt & _M64

    def for_queue(self, number: int) -> QueueIds:
        """The names in the `number`-th queue of this engine."""
        mixed = (self._salt + number * _GOLDEN) & _M64
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58_476D_1CE4_E5B9) & _M64
        return QueueIds(mixed ^ (mixed >> 31), (self._salt ^ (self._salt >> 32)) & 0xFFFF_FFFF)

    def task_id(self, number: int) -> str:
        """Name the `number`-th message move task: it is named like a message of a queue that there is not."""
        return self.for_queue(-number).message_id(number)


class QueueIds:
    """The names in one queue. A queue of the same name before or after has others.

    Args:
        uid: 64 bits that no other queue has.
        check_seed: 32 bits, the same for all queues of an engine.
    """

    __slots__ = ("_block", "_block_prefix", "_check_seed", "_id_prefix", "_uid")

    def __init__(self, uid: int, check_seed: int) -> None:
        self._uid = uid
        self._check_seed = check_seed
        high = f"{uid:016x}"
        mixed = f"{uid * _GOLDEN & _M64:016x}"
        self._id_prefix = f"{high[:8]}-{high[8:12]}-4{high[12:15]}-a{mixed[:3]}-"
        self._block, self._block_prefix = -1, ""

    def message_id(self, ordinal: int) -> str:
        """Name a message: the form of a random UUID, unique by arithmetic rather than by luck."""
        # Twice per message, so in blocks: the last two digits count, and only those before them take arithmetic.
        block = ordinal >> _BLOCK_BITS
        if block != self._block:
            self._block, self._block_prefix = block, f"{self._id_prefix}{(block * _GOLDEN + self._uid) & _M40:010x}"
        return self._block_prefix + _BLOCK[ordinal & _BLOCK_MASK]

    def receipt(self, ordinal: int, delivery: int) -> str:
        """Name one delivery: 32 characters of base64."""
        raw = _RECEIPT.pack(self._uid, ordinal, delivery)
        return b2a_base64(raw + crc32(raw, self._check_seed).to_bytes(4, "little"), newline=False).decode("ascii")

    def read_receipt(self, receipt: str) -> tuple[int, int]:
        """Take a receipt apart: which message of the queue, and which of its deliveries.

        Raises:
            SqsError: ReceiptHandleIsInvalid: this engine never issued it, or issued it for another queue.
        """
        try:
            data = a2b_base64(receipt, strict_mode=True)
        except (Base64Error, ValueError):  # ValueError: characters beyond ASCII
            data = b""
        if len(data) == _RECEIPT_BYTES and crc32(data, self._check_seed) == _CHECKED:
            uid, ordinal, delivery = _RECEIPT.unpack_from(data)
            if uid == self._uid:
                return ordinal, delivery
            reason = f'The receipt handle "{receipt}" is not valid for this queue.'
            raise SqsError("ReceiptHandleIsInvalid", reason)
        raise SqsError("ReceiptHandleIsInvalid", f'The input receipt handle "{receipt}" is not a valid receipt handle.')


def sequence_number(nth: int) -> str:
    """Number the `nth` message of a FIFO queue."""
    return str(_SEQUENCE_BASE + nth * _SEQUENCE_STEP)
