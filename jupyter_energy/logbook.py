"""This process's journal: opened off the cell's thread, followed by a new one when it is long."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from errno import EACCES, EDQUOT, EFBIG, ENOSPC, EPERM, EROFS
from pathlib import Path

from .answer import Answer
from .filesystem import mount_of
from .identity import NotebookRef
from .journal import Entry, Journal
from .journals import notebook_entry
from .signals import raise_if_users
from .worker import Worker

# Where the journal is not open yet, or lies on another machine, a cell's reply waits this long for
# its record to be safe, and no longer.
DEADLINE_S = 0.25
# The first entry waits this long for the journal: on a busy machine the thread that opens it may
# not have begun.
OPENING_DEADLINE_S = 1.0
# A journal as long as this is followed by a new one, once the database has all of it.
LONGEST_BYTES = 2**20
# The one thing to do, by what the system says.
REMEDIES: dict[int | None, str] = {
    **dict.fromkeys((ENOSPC, EDQUOT), "free disk space"),
    **dict.fromkeys((EACCES, EPERM, EROFS), "make its folder writable"),
    EFBIG: "raise the limit of file sizes (ulimit -f)",
}


class Logbook:
    """Appends to a journal; `start`, `describe`, `tend` and `end` belong to the store's thread.

    `begin` makes a journal and raises OSError; `tell` takes a topic and a plain line for the user.
    """

    def __init__(
        self, store: Path, begin: Callable[[], Journal], tell: Callable[[str, str], None]
    ) -> None:
        self._store, self._begin, self._tell = store, begin, tell
        self.journal: Journal | None = None
        self._opened: Answer[None] | None = None
        self._described: dict[str | None, Entry] = {}
        # Appends to a file on another machine may take as long as they like: then on this thread.
        self._carrier: Worker | None = None
        self._late: Answer[None] | None = None  # what was waited for in vain

    def start(self, submit: Callable[[Callable[[], None]], Answer[None]]) -> None:
        """Have the journal opened on the store's thread."""
        self._opened = submit(self._open)

    def append(self, entry: Entry) -> bool:
        """Whether an entry is safe now. Waits no longer than `DEADLINE_S`, `OPENING_DEADLINE_S` for
        the journal, and only once for what hangs."""
        if self.journal is None and self._opened is not None and not self._is_late():
            self._wait_for(self._opened, OPENING_DEADLINE_S)
        if self._carrier is None:
            return self.write(entry)
        if self._is_late():
            return False
        safe: list[bool] = []
        self._wait_for(self._carrier.submit(lambda: safe.append(self.write(entry))))
        return safe == [True]

    def write(self, entry: Entry) -> bool:
        """Whether an entry is safe now; where the file hangs this does too."""
        journal = self.journal
        if journal is None:
            return False
        try:
            journal.append(entry)
        except FileNotFoundError:  # somebody has deleted it: `tend` begins another
            return False
        except OSError as error:
            raise_if_users(error)
            self._tell_unsafe(error.strerror or str(error), error.errno)
            return False
        return True

    def sync(self) -> None:
        """Wait until what was written survives a loss of power."""
        if self.journal is not None:
            with suppress(OSError):
                self.journal.sync()

    def describe(self, key: str | None, ref: NotebookRef, notebook_id: str = "") -> None:
        """Say which notebook a key stands for, and its id once that is known."""
        entry = notebook_entry(key, notebook_id, ref)
        if self._described.get(key) != entry:
            self._described[key] = entry
            self.write(entry)

    def says(self, key: str | None) -> bool:
        """Whether the journal tells which notebook a key stands for."""
        return key in self._described

    def tend(self, waits: Callable[[], bool], again: Callable[[], bool]) -> bool:
        """See to it that there is a journal; whether it still holds what was appended to it.

        A long one is followed by a new one and deleted once the database has everything in it,
        which it has while nothing `waits`. `again` writes what has come to wait meanwhile into the
        new one, and says whether nothing lies in the old one alone.
        """
        journal = self.journal
        is_there = journal is not None and _is_there(journal.path)
        if journal is not None and is_there and (journal.size_bytes < LONGEST_BYTES or waits()):
            return True
        with suppress(OSError):
            made = self._made()
            old, self.journal = self.journal, made
            # Who has taken the old one to append to has put what it appends where `again` finds it.
            if old is not None and is_there and again():
                old.remove()
            elif old is not None:
                old.close()
        return is_there

    def end(self, waits: Callable[[], bool]) -> None:
        """Let go of the journal. Where the database has everything, and nothing `waits` for it, it
        is deleted; else it stays, and says that nothing more will come."""
        journal, self.journal = self.journal, None
        if journal is not None and waits():
            with suppress(OSError):
                journal.append(Entry("end", "{}"))
            journal.close()
        elif journal is not None:
            journal.remove()
        if self._carrier is not None:
            self._carrier.close(DEADLINE_S)

    def _open(self) -> None:
        self.journal = self._made()

    def _made(self) -> Journal:
        """A new journal, which says of the notebooks what the last one did. Raises OSError."""
        mount = mount_of(self._store.parent)
        if self._carrier is None and mount is not None and mount.is_network:
            self._carrier = Worker("jupyter-energy-journal")
        made = None
        try:
            made = self._begin()
            for entry in list(self._described.values()):
                made.append(entry)
        except OSError as error:
            if made is not None:
                made.remove()
            self._tell_unsafe(error.strerror or str(error), error.errno)
            raise
        return made

    def _wait_for(self, future: Answer[None], deadline_s: float = DEADLINE_S) -> None:
        if not future.wait(deadline_s):
            self._late = future
            self._tell_unsafe(f"no answer within {deadline_s:g} s")

    def _is_late(self) -> bool:
        return self._late is not None and not self._late.done()

    def _tell_unsafe(self, why: str, number: int | None = None) -> None:
        remedy = REMEDIES.get(number, "jupyter energy doctor tells more")
        self._tell(
            "store: journal",
            f"the store {self._store} cannot be written ({why}): {remedy}. Until then records wait "
            "in memory, and are lost with this process; what it runs is not affected.",
        )


def _is_there(path: Path) -> bool:
    """Whether a file is where it was; where nobody can tell, it is."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
