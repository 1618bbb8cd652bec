"""`jupyter energy` as a user types it: a process with a home of its own, and notebooks for it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
from harness import environment

LIMIT_S = 120.0  # bounds a hang, measures nothing
PROGRAM = [sys.executable, "-m", "jupyter_energy"]
# Root passes over file modes by two capabilities; without them it is told no as anybody is.
OBEYING_MODES = [
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
]

# Becomes the leader of a session whose terminal is its stdin, then the program.
IN_A_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Shell:
    """A shell whose home, settings and store lie in `folder`, on a machine without sensors.

    `environ` is what every command gets beyond that; tests add to it. `within` comes before the
    interpreter: a program that runs it with fewer rights, say.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.within: list[str] = []
        self.sysfs = folder / "sys"
        self.sysfs.mkdir()
        self.store = folder / "store" / "energy.sqlite"
        self.environ = environment(
            folder / "home",
            {"JUPYTER_ENERGY_SYSFS": str(self.sysfs), "JUPYTER_ENERGY_STORE": str(self.store)},
        )

    def __call__(
        self,
        *words: str | Path,
        cwd: Path | None = None,
        more: Mapping[str, str] | None = None,
        stdin: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run `jupyter energy WORDS`; no traceback of ours may ever reach the user."""
        done = self.python(*PROGRAM[1:], *words, cwd=cwd, more=more, stdin=stdin)
        assert "Traceback" not in done.stdout, done.stdout
        return done

    def python(
        self,
        *words: str | Path,
        cwd: Path | None = None,
        more: Mapping[str, str] | None = None,
        stdin: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run the interpreter under test with these arguments."""
        return subprocess.run(
            [*self.within, sys.executable, *map(str, words)],
            cwd=cwd or self.folder,
            env={**self.environ, **(more or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    def run_json(self, path: Path, *words: str | Path, status: int = 0, **how: Any) -> Any:
        """What `jupyter energy run --json` printed, which is one JSON document and no more."""
        done = self("run", path, "--json", *words, **how)
        assert done.returncode == status, done.stderr
        return json.loads(done.stdout)

    def summary(self, path: Path) -> Any:
        """What `jupyter energy summary --json` prints for a notebook or script."""
        done = self("summary", path, "--json")
        assert (done.returncode, done.stderr) == (0, ""), done
        return json.loads(done.stdout)


class Here:
    """Where code says that it is there, so that a signal can be sent then: `code` is its line.

    By a pipe that has a name. At a port that was free a client of another test's kernel may call,
    whose kernel was to have it: then the signal came before anything could hear it.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "here"
        os.mkfifo(path)
        self.code = f"__import__('pathlib').Path({str(path)!r}).write_text('.')"
        # Open for writing as well, so that it has no end.
        self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def wait(self) -> None:
        """Wait until the code has said so once more."""
        found, _, _ = select.select([self._pipe], [], [], LIMIT_S)
        assert found, "the code did not come there"
        assert os.read(self._pipe, 1)

    def close(self) -> None:
        """Let go of the pipe."""
        os.close(self._pipe)


def code(source: str, cell_id: str, *tags: str) -> Any:
    """A code cell with an id of one's own."""
    cell = nbformat.v4.new_code_cell(source, id=cell_id)
    if tags:
        cell.metadata["tags"] = list(tags)
    return cell


def notebook(path: Path, cells: Sequence[Any], **metadata: Any) -> Path:
    """A notebook file of these cells; strings become code cells named cell-0001, cell-0002, …"""
    made = [
        code(cell, f"cell-{number:04}") if isinstance(cell, str) else cell
        for number, cell in enumerate(cells, 1)
    ]
    content = nbformat.v4.new_notebook(cells=made, metadata=metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(content, path)
    return path


def by_id(summary: Any) -> dict[str, Any]:
    """The rows of a summary by cell id."""
    return {cell["cell_id"]: cell for cell in summary["cells"]}


def domains(cell: Any) -> dict[tuple[str, int], Any]:
    """The devices of a cell by kind and index."""
    return {(d["kind"], d["index"]): d for d in cell["domains"]}


def one_line(text: str) -> str:
    """The text, which must be one clear line: no traceback, nothing around it."""
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    assert "Traceback" not in text
    return lines[0]
