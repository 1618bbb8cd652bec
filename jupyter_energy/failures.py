"""What an error of the store's file means: what happened, to which file, the one thing to do."""

from __future__ import annotations

import os
from errno import EACCES, EDQUOT, EFBIG, ENOSPC, EPERM, EROFS
from pathlib import Path

from .errors import StoreError
from .filesystem import FULL_DISK, no_room

# SQLite's primary result codes (sqlite.org/rescode.html). Only database.py imports sqlite3.
ERROR, BUSY, LOCKED, READONLY, INTERRUPT, IOERR, CORRUPT = 1, 5, 6, 8, 9, 10, 11
FULL, CANTOPEN, SCHEMA, CONSTRAINT, MISMATCH, FORMAT, NOTADB = 13, 14, 17, 19, 20, 24, 26
# Another try may work.
IN_USE = (BUSY, LOCKED)
IS_DAMAGED = (CORRUPT, NOTADB)
# What SQLite may say of damage that it does not see, such as a letter in the name of a column.
PERHAPS_DAMAGED = (ERROR, READONLY, SCHEMA, CONSTRAINT, MISMATCH, FORMAT)
# What it may say where the disk is full: it cannot make the files that lie beside the database.
PERHAPS_FULL = (FULL, IOERR, CANTOPEN)
NOT_ALLOWED = (EACCES, EPERM, EROFS)
NO_ROOM = (ENOSPC, EDQUOT, EFBIG)

# With these kinds the file stays as it is on purpose, and records lie in journals.
UNWRITTEN = ("locks", "forked")
FORKED = (
    "a forked process keeps its records in a journal beside the store {path}; nothing is lost, and "
    "nothing needs to be done"
)
NO_LOCKS = (
    "the file locks of {folder} do not keep writers apart, so the store {path} is only read, and "
    "records stay in {path}.journals; nothing is lost, and nothing needs to be done"
)


def code_of(error: BaseException) -> int:
    """SQLite's primary result code: the low byte; 0 of other errors."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def explained(error: Exception, path: Path) -> tuple[str, str]:
    """What happened, to which file, and the one thing to do; and its kind in a StoreError."""
    if isinstance(error, StoreError):
        return (str(error) if error.kind in UNWRITTEN else f"the store {path} {error}"), error.kind
    code, errno = code_of(error), getattr(error, "errno", None)
    if code in IN_USE:
        return f"the store {path} is being written by another program; try again", "busy"
    if code in PERHAPS_FULL or errno in NO_ROOM:
        why = no_room(path)
        if why is not None or code == FULL or errno in NO_ROOM:
            return f"the store {path} cannot grow: {why or FULL_DISK}", "full"
    if code == CORRUPT:
        return f"the store {path} is damaged and could not be set aside; move it away", "damaged"
    if (code in (READONLY, CANTOPEN) or errno in NOT_ALLOWED) and os.access(path, os.R_OK):
        remedy = "set JUPYTER_ENERGY_STORE to a file in a folder that you may write"
        return f"the store {path} may not be written, only read; {remedy}", "read-only"
    why = error.strerror if isinstance(error, OSError) else str(error)
    if code == NOTADB:
        why = "it is no database"
    remedy = "set JUPYTER_ENERGY_STORE to another file"
    return f"the store {path} cannot be used: {why}; {remedy}", "unusable"
