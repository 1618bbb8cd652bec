"""Why nothing can be kept beside a store, and the one thing to do: told where there is nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..logbook import REMEDIES
from ..store import Store

BLOCK_BYTES = 4096  # a full disk may still have room for an empty file


def why_nothing(store: Store) -> str | None:
    """What keeps a store from being used, where something does; changes nothing."""
    if store.trouble is not None:
        return store.trouble
    folder = next((p for p in store.path.absolute().parents if p.exists()), Path("/"))
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(BLOCK_BYTES))
    except OSError as error:
        return explained(store.path, error)
    return None


def explained(path: Path, error: OSError) -> str:
    """That a store cannot be written, why, and the one thing to do."""
    remedy = REMEDIES.get(error.errno, "set JUPYTER_ENERGY_STORE to another file")
    return f"the store {path} cannot be written ({error.strerror or error}): {remedy}"
