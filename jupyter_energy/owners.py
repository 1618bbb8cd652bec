"""Which notebook of the store the records of this kernel belong to, by its key (see pages.py)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from .errors import StoreError
from .identity import Notebook, NotebookRef
from .logbook import Logbook
from .store import Store


class Owners:
    """The notebooks that the store has been asked for; `known` and `beside` belong to its thread.

    `find` tells of a notebook by its key when it is first needed, off the cell's thread.
    """

    def __init__(
        self, store: Store, find: Callable[[str | None], NotebookRef], logbook: Logbook
    ) -> None:
        self._store, self._find, self._logbook = store, find, logbook
        self._notebooks: dict[str | None, Notebook] = {}
        # Those that the database could not be asked for, and has no row of.
        self._beside: dict[str | None, Notebook] = {}

    def get(self, key: str | None) -> Notebook | None:
        """A notebook as the store knows it; None before the store has been asked."""
        return self._notebooks.get(key)

    def forget(self) -> None:
        """The database is another file: it has to be asked anew."""
        self._notebooks = {}

    def known(self, key: str | None, again: bool = False) -> Notebook:
        """A notebook as the database knows it, asked for once, or `again`. Raises StoreError."""
        if again or key not in self._notebooks or key in self._beside:
            ref = self._find(key)
            self._notebooks[key] = self._store.notebook_for(ref)
            self._beside.pop(key, None)
            self._logbook.describe(key, ref, self._notebooks[key].id)
        return self._notebooks[key]

    def beside(self, key: str | None, again: bool) -> None:
        """Find a notebook where only journals can say which it is."""
        if key in self._notebooks and not again:
            return
        with suppress(StoreError):
            ref = self._find(key)
            known = self._beside.get(key) or self._store.notebook_beside(ref)
            found = Notebook(known.id, ref.path or known.path, ref.name)
            self._beside[key] = self._notebooks[key] = found
            self._logbook.describe(key, ref, found.id)

    def describe(self, key: str | None) -> None:
        """Have the journal say which notebook it is, unless it does."""
        if not self._logbook.says(key):
            self._logbook.describe(key, self._find(key))
