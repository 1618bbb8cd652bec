"""What somebody else may have written: read in bounded time, and each value checked.

A saved notebook, a store, a settings file or a page's message is anybody's. What is not what it
should be is None here, and what a caller makes of that is its own.
"""

from __future__ import annotations

import re
import stat
import sys
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import json

# No energy, power, time or mass of ours comes near; sums and squares of less stay finite.
LARGEST = 1e30
# Nor any of our counts; JavaScript's numbers hold as much (RFC 8259, section 6).
LARGEST_COUNT = 2**53
# A century: with it no date below leaves the calendar.
LONGEST_S = 3.2e9
# A machine without a clock begins in 1970.
FIRST_YEAR, LAST_YEAR = 1970, 2999
# Ours nest ten deep, and notebooks' outputs seldom fifty.
DEEPEST = 500
MOST_ITEMS = 1000
# int() takes time with the square of the number of digits: this is Python's own bound, which users
# can lift (sys.set_int_max_str_digits).
_MOST_DIGITS = 4300
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)


def loads(text: object) -> Any:
    """What a JSON text says, to the letter: settings of others are written back.

    Raises ValueError for what is no JSON, is nested deeper than any that is ours, or holds an
    integer of more than 4300 digits.
    """
    import json

    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text), "surrogatepass")
    if not isinstance(text, str):  # a database's column holds anything
        raise ValueError(f"it is {type(text).__name__}, no text")
    # json recurses on the C stack, in CPython 3.11 as deep as a user's sys.setrecursionlimit lets
    # it: with a large one, "[[[[…" ends the process.
    if sys.getrecursionlimit() > 2 * DEEPEST and _depth(text) > DEEPEST:
        raise ValueError("it is nested too deeply")
    try:
        return _decoder().decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def file_text(file: Path, most_bytes: int) -> str:
    """The UTF-8 text in a file of at most so many bytes.

    Raises OSError, and ValueError for what is no file, larger, or (UnicodeDecodeError) no UTF-8.
    """
    # A named pipe would be waited for, and a device be read for ever.
    if not stat.S_ISREG(file.stat().st_mode):
        raise ValueError("is no file")
    with file.open("rb") as opened:
        found = opened.read(most_bytes + 1)
    if len(found) > most_bytes:
        raise ValueError(f"is larger than {most_bytes >> 20} MiB")
    return found.decode("utf-8")


def number(found: object) -> float | None:
    """A finite number of a size that ours can have."""
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    # An integer may be too large for a float; NaN is below nothing.
    return float(found) if -LARGEST <= found <= LARGEST else None


def seconds(found: object) -> float | None:
    """A duration in s that a date can be moved by."""
    duration_s = number(found)
    return duration_s if duration_s is not None and 0 <= duration_s <= LONGEST_S else None


def share(found: object) -> float | None:
    """A part of a whole, 0 to 1."""
    part = number(found)
    return part if part is not None and 0 <= part <= 1 else None


def whole(found: object) -> int | None:
    """An integer."""
    if isinstance(found, bool) or not isinstance(found, int):
        return None
    return found if abs(found) <= LARGEST_COUNT else None


def text(found: object) -> str | None:
    """A text, whatever is in it."""
    return found if isinstance(found, str) else None


def moment(found: object) -> datetime | None:
    """A moment in UTC, of a text that says its zone."""
    if not isinstance(found, str):
        return None
    try:
        said = datetime.fromisoformat(found)
        utc = said.astimezone(UTC) if said.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
    return utc if utc is not None and FIRST_YEAR <= utc.year <= LAST_YEAR else None


def items(found: object, most: int = MOST_ITEMS) -> list[Any]:
    """The first items of a list; none of what is no list."""
    return found[:most] if isinstance(found, list) else []


@cache
def _decoder() -> json.JSONDecoder:
    """Made once: `json.loads` makes one at each call, which takes as long as a record's JSON."""
    import json

    return json.JSONDecoder(parse_int=_int)


def _int(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"it holds a number of {len(digits)} digits")
    return int(digits)


def _depth(text: str) -> int:
    """How deep the brackets of a JSON text go."""
    deepest = depth = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        sign = found[0]
        if sign in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in "]}":
            depth -= 1
    return deepest
