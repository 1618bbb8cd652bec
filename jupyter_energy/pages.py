"""Which notebooks run in this kernel: what the environment tells, then what pages say.

The environment names the notebook that the kernel was started for, and never learns of a rename
(jupyter.md 3). A page says hello with the path and the cells of its document. A notebook is known
here by a key: None for the first one, its path for another one that shares the kernel.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from .identity import NotebookRef, is_cell_id, normalised, path_said, shares_cells

Key = str | None
# What one page may say: notebooks with more cells exist, but half of them tell it too.
MOST_CELLS = 5000
LONGEST_PATH = 4096
# Notebooks of one kernel; of more, those that said nothing for longest are forgotten.
MOST_PAGES = 16


@dataclass(slots=True)
class Page:
    """A notebook of this kernel: `said` is its path as its page gave it, None before that."""

    ref: NotebookRef
    said: str | None = None
    cells: frozenset[str] = frozenset()


class Pages:
    """The notebooks of a kernel. `first` is asked, once, for the one it was started for.

    Any thread may ask; pages speak on the main thread, or on a subshell's.
    """

    def __init__(self, first: Callable[[], NotebookRef]) -> None:
        self._first = first
        self._lock = threading.RLock()  # a signal handler in here may measure, which asks as well
        self._pages: dict[Key, Page] = {}  # the last to have spoken is the last in it
        self._folder: Path | None = None  # what the pages' paths start from, once that is known

    def __len__(self) -> int:
        """How many notebooks are known to run here."""
        return max(1, len(self._pages))

    def ref(self, key: Key = None) -> NotebookRef:
        """What is known of a notebook; of the first one where there is none of this key."""
        with self._lock:
            return (self._pages.get(key) or self._home()).ref

    def said(self, key: Key = None) -> str | None:
        """A notebook's path as its page said it; None where none did."""
        with self._lock:
            page = self._pages.get(key)
            return None if page is None else page.said

    def of(self, cell_id: str | None) -> Key:
        """The notebook that a cell lies in: whose page said so, else the last to have spoken."""
        if len(self._pages) <= 1:
            return None
        with self._lock:
            for key in reversed(self._pages):
                if cell_id in self._pages[key].cells:
                    return key
            return next(reversed(self._pages))

    def hello(self, message: Mapping[str, object]) -> tuple[Key, bool]:
        """Take what a page says (IHello of protocol.ts): the notebook's key, and whether what is
        known of where it lies has changed. A console, or nonsense, speaks for the first one."""
        path, was, cells = message.get("path"), message.get("was"), message.get("cells")
        if not isinstance(path, str) or not 0 < len(path) <= LONGEST_PATH:
            return None, False
        ids = _cell_ids(cells)
        with self._lock:
            home = self._home()
            at = self._place_of(path, home)
            if at is None:
                return None, False
            key = self._key_of(at, was, ids)
            page = self._pages.pop(key, None) or Page(NotebookRef(None, ""))
            moved = page.ref.path != at
            if moved:
                # The kernel was started for the first one, and tells nothing about another.
                kernel_id = home.ref.kernel_id if key is None else None
                page.ref = NotebookRef(at, Path(at).name, ids, kernel_id)
            elif ids:
                page.ref = replace(page.ref, cell_ids=page.ref.cell_ids | ids, blank=False)
            page.said, page.cells = path, ids
            self._pages[key] = page  # as the last one
            for extra in [k for k in self._pages if k is not None][:-MOST_PAGES]:
                del self._pages[extra]
            return key, moved

    def _home(self) -> Page:
        """The notebook that the kernel was started for."""
        if None not in self._pages:
            self._pages = {None: Page(self._first()), **self._pages}
        return self._pages[None]

    def _place_of(self, path: str, home: Page) -> str | None:
        """Where the page's document lies on this machine; None where it is no notebook.

        The page's path starts at the server's root, which nobody tells: it is what the path that
        the kernel was started with has before it.
        """
        plain = path.removeprefix("RTC:")
        if ".." in Path(plain).parts or "\0" in plain or not _is_unicode(plain):
            return None  # no path of a server's looks so
        if self._folder is None and home.ref.path is not None:
            above = Path(home.ref.path).parents
            ends_there = [f for f in above if str(f / plain) == home.ref.path]
            # Renamed before this page came, or another notebook: then its file tells.
            self._folder = next(iter(ends_there + [f for f in above if _exists(f / plain)]), None)
        if self._folder is None or not plain.lower().endswith(".ipynb"):
            return path_said(path)
        try:
            return normalised(str(self._folder / plain))
        except (OSError, ValueError, RuntimeError):
            return None

    def _key_of(self, at: str, was: object, ids: frozenset[str]) -> Key:
        """Which known notebook a page speaks of; `at` where it is none of them."""
        for key, page in self._pages.items():
            if page.ref.path == at:
                return key
        for key, page in self._pages.items():
            if page.said is not None and page.said == was:
                return key
        home = self._home()
        if home.ref.path is None:
            return None
        # Renamed while no page of ours looked.
        is_known = home.said is not None
        moved = not is_known or shares_cells(ids, home.cells | home.ref.cell_ids)
        return None if moved and not _exists(Path(home.ref.path)) else at


def _cell_ids(cells: object) -> frozenset[str]:
    if not isinstance(cells, Iterable) or isinstance(cells, str | bytes | Mapping):
        return frozenset()
    texts = (cell for cell, _ in zip(cells, range(MOST_CELLS), strict=False))
    return frozenset(cell for cell in texts if isinstance(cell, str) and is_cell_id(cell))


def _is_unicode(text: str) -> bool:
    """Whether a text can be sent: JSON can write half of a surrogate pair, and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
