"""Why nothing can be kept beside a store, and the one thing to do: told where there is nothing."""

from __future__ import annotations

import tempfile
from errno import EACCES, EDQUOT, ENOSPC, EPERM, EROFS
from pathlib import Path

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
    return f"the store {path} cannot be written ({error.strerror or error}): {_remedy(error)}"


def _remedy(error: OSError) -> str:
    if error.errno in (ENOSPC, EDQUOT):
        return "free disk space"
    if error.errno in (EACCES, EPERM, EROFS):
        return "make its folder writable"
    return "set JUPYTER_ENERGY_STORE to another file"
