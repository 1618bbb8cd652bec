"""Reads the HTML that is shown, as a browser would: what it is made of, and what it says."""

from __future__ import annotations

from html.parser import HTMLParser


class Reader(HTMLParser):
    """Tags, attributes, spans with their style, and text; fails where a tag is not closed."""

    def __init__(self, source: str, whole_page: bool = False) -> None:
        super().__init__(convert_charrefs=True)
        self.whole_page = whole_page
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.spans: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.open.append(tag)
        self.attributes += [(k, v or "") for k, v in attrs]
        if tag == "span":
            self.spans.append((dict(attrs).get("style") or "", ""))

    def handle_endtag(self, tag: str) -> None:
        if not self.whole_page:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data
        if self.open and self.open[-1] == "span":
            style, said = self.spans[-1]
            self.spans[-1] = (style, said + data)
