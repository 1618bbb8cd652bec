"""What IPython and the kernel tell about the cell that runs, whatever their version."""

from __future__ import annotations

import hashlib
import linecache
import sys
import uuid
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from .magic_line import BEGIN, MAGIC
from .model import Outcome

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell


def request_of(shell: InteractiveShell) -> str:
    """What tells one execution request from the next: nested cells share it."""
    parent = getattr(shell, "parent_header", None) or {}
    message = parent.get("header", {}).get("msg_id")
    return str(message or shell.execution_count)


def cell_id_of(shell: InteractiveShell, info: ExecutionInfo) -> str | None:
    """Jupyter's id of the cell: from IPython where it tells it, else from the request."""
    found = getattr(info, "cell_id", None)
    if found is None:
        parent = getattr(shell, "parent_header", None) or {}
        found = parent.get("metadata", {}).get("cellId")
    return None if found is None else str(found)


def outcome_of(result: ExecutionResult | None) -> Outcome:
    """How a cell ended."""
    if result is None:  # ipykernel's word for an interrupted async cell
        return "interrupted"
    if result.success:
        return "ok"
    return "interrupted" if isinstance(result.error_in_exec, KeyboardInterrupt) else "error"


def depth() -> int:
    """In how many cells, one within another, IPython runs this code, and catches all it raises."""
    found, frame = 0, sys._getframe()
    while (outer := frame.f_back) is not None:
        frame = outer
        name, module = frame.f_code.co_name, frame.f_globals.get("__name__")
        found += (name, module) == ("run_code", "IPython.core.interactiveshell")
    return found


def kernel_id_of(shell: InteractiveShell) -> str:
    """What a kernel keeps when it is restarted; made up where there is no kernel.

    The process and `kernel.ident` are new ones after a restart; the connection file and the
    session's key in it stay. A file's name alone may be as common as "kernel-7.json"; the key is
    secret, so only a hash of it is kept.
    """
    kernel = getattr(shell, "kernel", None)
    file = str(getattr(getattr(kernel, "parent", None), "connection_file", "") or "")
    if not file:
        return uuid.uuid4().hex
    name = Path(file).stem.removeprefix("kernel-").encode(errors="replace").decode()
    key = getattr(getattr(kernel, "session", None), "key", b"")
    return f"{name}-{hashlib.sha256(key).hexdigest()[:16]}"


def quote(asked: str) -> None:
    """Let tracebacks of the running cell quote the user's line, not the call that stands for it.

    As a comment, so that the cell's text is still the program that runs, line by line.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        entry = linecache.cache.get(frame.f_code.co_filename)
        if entry is not None and len(entry) == 4 and entry[2] and BEGIN in entry[2][0]:
            entry[2][0] = f"# {MAGIC} {asked}".rstrip() + "\n"
            return
        frame = frame.f_back
