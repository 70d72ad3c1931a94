"""The checksums that SDKs verify. Algorithm: Amazon SQS developer guide, "Calculating the MD5 message digest"."""

from __future__ import annotations

from hashlib import md5
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from busframe_emulator.engine.requests import MessageAttribute

TEXT: Final = b"\x01"
BINARY: Final = b"\x02"
"""The byte that says how a value is transported."""


def md5_of_body(encoded: bytes) -> str:
    """MD5 of a body's UTF-8, in lower-case hexadecimal."""
    return md5(encoded, usedforsecurity=False).hexdigest()


def md5_of_attributes(attributes: Mapping[str, MessageAttribute]) -> str:
    """MD5 over name, type (with its label) and value of each attribute, sorted by name.

    Names sort by their UTF-8 bytes, which is also the order of their code points, and so Python's.
    """
    digest = md5(usedforsecurity=False)
    for name in sorted(attributes):
        data_type, value = attributes[name]
        digest.update(_counted(name.encode()))
        digest.update(_counted(data_type.encode()))
        if isinstance(value, str):
            digest.update(TEXT)
            digest.update(_counted(value.encode()))
        else:
            digest.update(BINARY)
            digest.update(_counted(value))
    return digest.hexdigest()


def _counted(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part
