"""A document with the checksum of its own text, by which it is told from a damaged one.

SQLite does not notice a byte that has changed within a value, and a digit that has changed makes
another figure. The seal stands first, so that a document can be found and checked in the bytes of
a file whose tables cannot be read any more (carving.py).
"""

from __future__ import annotations

import re
from typing import Any
from zlib import crc32

from .foreign import loads

# The checksum is CRC-32 (zlib's) of what follows the seal, which is `bytes` long.
MARK = '{"crc32": "'
_SEAL = re.compile(r'\{"crc32": "([0-9a-f]{8})", "bytes": ([0-9]{1,8}), ')
LONGEST_SEAL = len(MARK) + 8 + len('", "bytes": 12345678, ')
# How documents of before the seal began. What begins otherwise is no document of ours.
_UNSEALED = ('{"run_id": ', '{"idle_id": ', '{"schema": ')


def sealed(text: str) -> str:
    """A JSON object, in plain ASCII, with its seal as the first members."""
    body = text[1:]
    return f'{MARK}{crc32(body.encode("ascii")):08x}", "bytes": {len(body)}, {body}'


def opened(text: object) -> dict[str, Any]:
    """The document that was sealed, without its seal; one of before the seal as it is.

    Raises ValueError where it is not as it was written.
    """
    if not isinstance(text, str):  # a column that is damaged holds anything
        raise ValueError("it is no text")
    if not text.startswith(_UNSEALED):
        seal = seal_of(text)
        if seal is None:
            raise ValueError("it is no document of ours")
        length, checksum, end = seal
        body = text[end:].encode("ascii")
        if len(body) != length or crc32(body) != checksum:
            raise ValueError("its checksum is that of another text")
    document = loads(text)
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")
    document.pop("crc32", None)
    document.pop("bytes", None)
    return document


def seal_of(text: str) -> tuple[int, int, int] | None:
    """The length in bytes and the checksum of what follows the seal that `text` begins with, and
    where that begins; None where there is no seal."""
    found = _SEAL.match(text)
    return None if found is None else (int(found[2]), int(found[1], 16), found.end())
