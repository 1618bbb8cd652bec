"""IPython in a terminal: prompts, outputs, history and exit status as without us."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
from pathlib import Path
from typing import Self

import pytest
from harness import LIMIT_S, LOAD, environment
from shell import IN_A_TERMINAL

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no pseudo-terminal")

# Tells that it runs, and then does until it is interrupted: always at the same place.
ENDLESS = "any(n == 9 and print('he' + 're') for n in __import__('itertools').count())"
LINES = (
    "6 * 7",
    "print('printed')",
    "1 / 0",
    "_ + 1",
    "import asyncio; await asyncio.sleep(0.01)",
    ENDLESS,
    "x = _i1; len(Out)",
    "%history -n 2-4",
)


class Terminal:
    """IPython with a pseudo-terminal, typed into line by line, each when its prompt is there."""

    def __init__(self, python: str, home: Path, *words: str) -> None:
        self.ours, its = os.openpty()
        self.shown, self.seen = "", 0
        environ = environment(home, {"TERM": "dumb", "NO_COLOR": "1"})
        (home / "sys").mkdir(exist_ok=True)
        environ |= {"JUPYTER_ENERGY_SYSFS": str(home / "sys")}
        environ |= {"JUPYTER_ENERGY_STORE": str(home / "energy.sqlite")}
        self.environ = environ
        self.child = subprocess.Popen(
            [
                *(python, "-c", IN_A_TERMINAL),
                *(python, "-m", "IPython", "--simple-prompt", "--no-banner", *words),
            ],
            stdin=its,
            stdout=its,
            stderr=its,
            env=environ,
            cwd=home,
        )
        os.close(its)

    def wait_for(self, text: str) -> None:
        """Read until `text` is shown, or, where it is empty, until the end."""
        # On from what was waited for last: one read may bring more than that.
        while not text or text not in self.shown[self.seen :]:
            ready, _, _ = select.select([self.ours], [], [], LIMIT_S)
            assert ready, self.shown
            try:
                piece = os.read(self.ours, 4096)
            except OSError:  # Linux's word for the end of a terminal
                piece = b""
            if not piece:
                assert not text, self.shown
                return
            self.shown += piece.decode(errors="replace")
        self.seen = self.shown.index(text, self.seen) + len(text)

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self.ours, f"{line}\n".encode())

    def press_ctrl_c(self) -> None:
        """Press Ctrl-C."""
        os.write(self.ours, b"\x03")

    def end(self) -> int:
        """The exit status, after all that is still shown."""
        self.wait_for("")
        return self.child.wait(LIMIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.ours)
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()


def session(python: str, home: Path, first: str, *words: str) -> tuple[list[str], int]:
    """A session of these lines: what was shown, and the exit status."""
    with Terminal(python, home, *words) as terminal:
        for number, line in enumerate((first, *LINES), 1):
            terminal.wait_for(f"In [{number}]: ")
            terminal.type(line)
            if line == ENDLESS:
                terminal.wait_for("here\r\n")
                terminal.press_ctrl_c()
        terminal.wait_for(f"In [{len(LINES) + 2}]: ")
        terminal.type("exit")
        status = terminal.end()
    shown = re.sub(r"0x[0-9a-f]+|\x1b\[[0-9;]*m", "", terminal.shown)
    return shown.replace(LOAD, "pass").splitlines(), status


@pytest.mark.slow
@pytest.mark.parametrize("how", ["%load_ext", "--ext"])
def test_a_session_in_a_terminal_shows_what_it_shows_without_us(
    python: str, tmp_path: Path, how: str
) -> None:
    plain, status = session(python, tmp_path / "plain", "pass")
    loads = {"%load_ext": (LOAD,), "--ext": ("pass", "--ext=jupyter_energy")}
    measured, its_status = session(python, tmp_path / "measured", *loads[how])
    assert measured == plain
    assert its_status == status == 0
    assert any(line.startswith("KeyboardInterrupt") for line in plain)  # Ctrl-C has come


def test_energy_in_a_terminal_is_told_in_plain_text(python: str, tmp_path: Path) -> None:
    with Terminal(python, tmp_path, "--ext=jupyter_energy") as terminal:
        terminal.wait_for("In [1]: ")
        terminal.type("%%energy -n fit\n6 * 7\n")
        terminal.wait_for("Out[1]: 42")
        terminal.wait_for("In [2]: ")
        assert re.search(r"^fit: ≈ .* estimated.* in ", terminal.shown, re.MULTILINE), (
            terminal.shown
        )
        assert "</" not in terminal.shown
        terminal.type("%energy")
        terminal.wait_for("1 run of 1 cell")
        assert "IPython in a terminal: ≈ " in terminal.shown
        terminal.wait_for("In [3]: ")
        terminal.type("exit")
        assert terminal.end() == 0
    assert terminal.shown.splitlines()[-1].endswith("exit")  # nothing is said at the end


SCRIPT = "x = 6 * 7\nprint(x)\nx\n"


def ipython(python: str, home: Path, *words: str, stdin: str = "") -> tuple[int, str, str]:
    """How IPython without a terminal ends, and what it prints."""
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [python, "-m", "IPython", "--no-banner", *words],
        input=stdin,
        env=environment(home / "home", {"JUPYTER_ENERGY_STORE": str(home / "energy.sqlite")}),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return done.returncode, re.sub(r"0x[0-9a-f]+", "", done.stdout), done.stderr


@pytest.mark.parametrize(
    ("words", "stdin"),
    [
        (("-c", "print(1); 6 * 7"), ""),
        (("-c", "1 / 0"), ""),
        (("-c", "import sys; sys.exit(3)"), ""),
        (("a.ipy",), ""),
        (("a.py",), ""),
        (("-i", "a.ipy"), "x\nexit\n"),
        (("--simple-prompt",), "6 * 7\n1 / 0\n_\n"),
    ],
    ids=["code", "code that fails", "code that exits", "ipy", "py", "and on", "piped"],
)
def test_ipython_without_a_terminal_ends_and_prints_as_without_us(
    python: str, tmp_path: Path, words: tuple[str, ...], stdin: str
) -> None:
    (tmp_path / "a.ipy").write_text(SCRIPT)
    (tmp_path / "a.py").write_text(SCRIPT)
    plain = ipython(python, tmp_path, *words, stdin=stdin)
    assert ipython(python, tmp_path, "--ext=jupyter_energy", *words, stdin=stdin) == plain


def test_a_script_that_ipython_runs_has_its_blocks_under_its_path(
    python: str, tmp_path: Path
) -> None:
    script = tmp_path / "train.ipy"
    script.write_text(
        f"{LOAD}\nimport jupyter_energy as je\nwith je.measure('fit'):\n    !echo x\n"
    )
    status, out, err = ipython(python, tmp_path, "train.ipy")
    # IPython 7 and 8 set the title of a terminal that is none.
    assert (status, out[-2:], err) == (0, "x\n", "")
    done = subprocess.run(
        [sys.executable, "-m", "jupyter_energy", "summary", str(script), "--json"],
        env=environment(tmp_path / "home", {"JUPYTER_ENERGY_STORE": f"{tmp_path}/energy.sqlite"}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert [cell["name"] for cell in json.loads(done.stdout)["cells"]] == ["fit"]
