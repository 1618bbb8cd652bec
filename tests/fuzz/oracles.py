"""What must be true of everything that leaves: HTML, text for a terminal, JSON, a picture's words.

None of these knows what went in. Each raises AssertionError with the piece that is wrong.
"""

from __future__ import annotations

import json
import re
import unicodedata
from html import unescape
from html.parser import HTMLParser

from jupyter_energy.display import markup
from jupyter_energy.plain_text import MESSAGE_LIMIT, message

TAGS = frozenset({"div", "table", "tr", "td", "b", "span"})
EDGES = markup._MEASURED_EDGE, markup._ESTIMATED_EDGE, markup._UNKNOWN_EDGE
# Every style of ours is made of constants: no other text may ever stand in one.
STYLES = frozenset(
    {
        *(markup._BOX + e for e in EDGES),
        *(markup._CELL + align for align in (markup.RIGHT, markup.LEFT, markup.NAME)),
        *markup.LOOKS.values(),
        markup._TABLE,
        markup._ROW,
    }
)
# No parser is asked: a `<`, `>` or quote that is not one of these is text that came through.
OURS = re.compile(
    r'(?:</?(?:div|table|tr|td|b|span)(?: style="[^"<>]*")?(?: title="[^"<>]*")?>|[^<>"])*'
)


class Reader(HTMLParser):
    """What a parser makes of some HTML: the words, and that nothing in it is foreign."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.words, self.titles = "", []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        self._open.append(tag)
        for name, value in attrs:
            assert name in ("style", "title"), name
            if name == "style":
                assert value in STYLES, value
            else:
                self.titles.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    handle_decl = handle_pi = unknown_decl = handle_comment


def safe_html(source: str) -> Reader:
    """HTML has our tags and attributes only, closed in order; its words are fit for a terminal."""
    assert OURS.fullmatch(source), re.split(OURS, source, maxsplit=1)[1][:80]
    found = Reader(source)
    safe_text(found.words)
    for title in found.titles:
        safe_text(title, 400)
        assert unescape(title) == title or "&" in title
    return found


def safe_text(text: str, most: int | None = None) -> None:
    """Nothing that a terminal obeys or that turns a line around, and no more than `most`."""
    for c in text:
        wrong = unicodedata.category(c)[0] == "C" or unicodedata.category(c) in ("Zl", "Zp")
        assert not wrong or c == "\n", f"U+{ord(c):04X} in {text[:200]!r}"
    assert most is None or len(text) <= most, f"{len(text)} characters: {text[:80]!r}…"


def safe_message(error: BaseException) -> None:
    """What a user is told of a mistake: plain, and short."""
    safe_text(message(error), MESSAGE_LIMIT)
    assert str(error).strip(), "it says nothing"


def safe_json(document: object) -> None:
    """JSON as programs read it: no NaN, and it survives a round trip."""
    text = json.dumps(document, allow_nan=False)
    assert text.isascii()
    assert json.loads(text) == json.loads(json.dumps(document, allow_nan=False))
