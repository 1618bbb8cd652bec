"""Somebody else's text, made fit to be shown: nothing in it that a terminal or a page obeys."""

from __future__ import annotations

import unicodedata

NAME_LIMIT = 40
# Of a message: longer than any of ours, shorter than what drowns the line that matters.
MESSAGE_LIMIT = 2000
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_ELLIPSIS = "…"


def clean(text: str, limit: int = NAME_LIMIT) -> str:
    """Somebody else's text on one line, at most `limit` characters, safe to lay out.

    Control and format characters (among them U+202E, which turns the rest of a line around),
    line ends and lone surrogates become U+FFFD, so that one sees that something was there.
    """
    line = " ".join(_visible(text[: 8 * limit]).split())
    if len(line) > limit or len(text) > 8 * limit:
        return line[: limit - 1].rstrip() + _ELLIPSIS
    return line


def printable(text: str, limit: int | None = None) -> str:
    """Text of several lines as a terminal may have it: as `clean` has one, its lines kept.

    Of what is longer than `limit`, the beginning.
    """
    if limit is not None and len(text) > limit:
        text = text[: limit - 1].rstrip() + _ELLIPSIS
    lines = text.split("\n")
    return "\n".join(line if line.isprintable() else _visible(line) for line in lines)


def message(error: object) -> str:
    """What an exception says, as it may be shown: whatever was typed may stand in it."""
    return printable(str(error), MESSAGE_LIMIT)


def _visible(text: str) -> str:
    # Category C holds control, format, surrogate, private and unassigned characters (UAX 44).
    return "".join(
        " " if c.isspace() else _REPLACEMENT if unicodedata.category(c)[0] == "C" else c
        for c in text
    )
