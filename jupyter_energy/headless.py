"""Which notebook a kernel runs for where there is no browser: its parent's command line tells.

papermill, `jupyter execute` and `jupyter nbconvert --execute` tell their kernels nothing: no path,
no cell ids. Their own command line names the notebook.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

NBCONVERT = "jupyter-nbconvert"
EXECUTE = "jupyter-execute"
PAPERMILL = "papermill"
PROGRAMS = {EXECUTE: EXECUTE, NBCONVERT: NBCONVERT, "nbconvert": NBCONVERT, PAPERMILL: PAPERMILL}
# Options behind which so many words are no notebook that is run (papermill 2.7, nbconvert 7.17).
VALUES = {
    "--output": 1,
    **dict.fromkeys(("-p", "--parameters", "-r", "--parameters_raw"), 2),
    **dict.fromkeys(("-f", "--parameters_file", "--cwd", "--template-file"), 1),
}
ARGUMENTS_LOOKED_AT = 8  # among these a program's name stands, behind its interpreter's options


def notebook_of_runner(environ: Mapping[str, str]) -> str | None:
    """The notebook that this kernel's parent was asked to run, or None. Never raises.

    jupyter_client gives every kernel its parent's number, on Windows as a handle.
    """
    if "JPY_PARENT_PID" not in environ:
        return None
    import psutil

    try:
        pid = os.getppid() if os.name == "nt" else int(environ["JPY_PARENT_PID"])
        parent = psutil.Process(pid)
        return notebook_in(parent.cmdline(), parent.cwd())
    except (OSError, ValueError, psutil.Error):
        return None


def notebook_in(words: Sequence[str], folder: str) -> str | None:
    """The notebook that a command line, given in `folder`, runs; None where it is none of ours or
    names several: then nobody can tell which one it has come to.

    What papermill runs is the copy that it makes, and it has written that copy by then.
    """
    found = _program(words)
    if found is None:
        return None
    program, rest = found
    named = [path for word in _positional(rest) if (path := Path(folder, word)).is_file()]
    if program == PAPERMILL:
        return str(named[:2][-1]) if named else None
    return str(named[0]) if len(named) == 1 else None


def _program(words: Sequence[str]) -> tuple[str, Sequence[str]] | None:
    """Which of the programs a command line starts, and the words behind it."""
    for at, word in enumerate(words[:ARGUMENTS_LOOKED_AT]):
        program = PROGRAMS.get(Path(word).name.removesuffix(".exe").removesuffix("-script.py"))
        is_started = at < 2 or words[at - 1] == "-m" or words[1].startswith("-")
        if program is not None and is_started:
            return program, words[at + 1 :]
    return None


def _positional(words: Sequence[str]) -> list[str]:
    """The words that name notebooks: neither options nor their values."""
    found, skipped = [], 0
    for word in words:
        if skipped:
            skipped -= 1
        elif word.startswith("-"):
            skipped = VALUES.get(word, 0)
        elif word.lower().endswith(".ipynb"):
            found.append(word)
    return found
