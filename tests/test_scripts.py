"""Scripts, run plainly or by `jupyter energy run`: as without us, and their blocks are in the store
under the script's path."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Literal

import pytest
from conftest import SEED, WHOLE
from shell import Shell, notebook, one_line

Way = Literal["python", "python -m", "jupyter energy run", "jupyter energy run -m"]
WAYS: tuple[Way, ...] = ("python", "python -m", "jupyter energy run", "jupyter energy run -m")
BEGINNING = """
import os, sys
if os.environ.get("MEASURED") == "1":
    from jupyter_energy import measure, measured
else:
    from contextlib import nullcontext as measure
    def measured(function):
        return function

def work(n):
    with measure("part"):
        return sum(i * i for i in range(n))

"""
POOL = """
from {module} import {pool}
if __name__ == "__main__":
    with measure("whole"):
        with {pool}({how}) as pool:
            print(list(pool.map(work, [1000, 2000])))
"""


def processes(method: str) -> str:
    """A pool of processes that are started this way; one that imports what it runs again."""
    context = f"2, mp_context=__import__('multiprocessing').get_context({method!r})"
    return POOL.format(module="concurrent.futures", pool="ProcessPoolExecutor", how=context)


# What a script does, and how often each of its blocks runs in it.
SCRIPTS: dict[str, tuple[str, dict[str, int]]] = {
    "blocks, one in another": (
        "with measure('whole'):\n    for n in range(3):\n        print(work(n))\n",
        {"whole": 1, "part": 3},
    ),
    "a decorated function": (
        "@measured\ndef train():\n    return 7\nprint(train(), train())\n",
        {"train": 2},
    ),
    "an exception": (
        "with measure('whole'):\n    work(9)\n    raise ValueError('its own')\n",
        {"whole": 1, "part": 1},
    ),
    "an exit": (
        "with measure('whole'):\n    work(9)\nsys.exit(7)\n",
        {"whole": 1, "part": 1},
    ),
    "an exit without a word": ("work(9)\nos._exit(7)\n", {"part": 1}),
    "a signal": (
        "work(9)\nimport signal\nos.kill(os.getpid(), signal.SIGTERM)\n",
        {"part": 1},
    ),
    "a subprocess": (
        (
            "import subprocess\n"
            "if len(sys.argv) == 1:\n"
            "    with measure('whole'):\n"
            "        subprocess.run([sys.executable, sys.argv[0], 'again'], check=True)\n"
            "else:\n    print(work(9))\n"
        ),
        {"whole": 1, "part": 1},
    ),
    "threads": (
        POOL.format(module="concurrent.futures", pool="ThreadPoolExecutor", how="2"),
        {"whole": 1, "part": 2},
    ),
    "tasks": (
        (
            "import asyncio\n"
            "async def one(n):\n"
            "    with measure('part'):\n        await asyncio.sleep(0.01)\n        return n\n"
            "async def main():\n    print(await asyncio.gather(one(1), one(2)))\n"
            "with measure('whole'):\n    asyncio.run(main())\n"
        ),
        {"whole": 1, "part": 2},
    ),
    "processes that are spawned": (processes("spawn"), {"whole": 1, "part": 2}),
    "processes of a fork server": (processes("forkserver"), {"whole": 1, "part": 2}),
    "forked processes": (processes("fork"), {"whole": 1, "part": 2}),
    "a child that stays behind": (
        (
            "work(9)\nsys.stdout.flush()\n"
            "if os.fork() == 0:\n"
            "    os.setsid()\n"
            "    for stream in (0, 1, 2):\n        os.close(stream)\n"
            "    work(9)\n    os._exit(0)\n"
            "os.wait()\nprint('left')\n"
        ),
        {"part": 2},
    ),
    "standard input and much output": (
        "text = sys.stdin.read()\nwork(9)\nprint(text.upper() * 20000)\n",
        {"part": 1},
    ),
}
POSIX_ONLY = {"forked processes", "processes of a fork server", "a child that stays behind"}


def possible() -> list[tuple[str, Way]]:
    names = [n for n in SCRIPTS if os.name == "posix" or n not in POSIX_ONLY]
    return [(name, way) for name in names for way in WAYS]


def chosen() -> list[tuple[str, Way]]:
    """All of the matrix in a whole run; else each script in one way, by the seed."""
    if WHOLE:
        return possible()
    dice = random.Random(f"scripts {SEED}")
    return [(name, dice.choice(WAYS)) for name in SCRIPTS if (name, WAYS[0]) in possible()]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def written(shell: Shell, source: str) -> Path:
    """The script as a file that runs by its path, and as a module by its name."""
    path = shell.folder / "train.py"
    path.write_text(BEGINNING + source)
    return path


def words(way: Way, path: Path) -> list[str | Path]:
    """The command line behind the interpreter."""
    ours = ["-m", "jupyter_energy", "run"] if way.startswith("jupyter") else []
    return [*ours, *(["-m", path.stem] if way.endswith("-m") else [path])]


@pytest.mark.parametrize(("name", "way"), chosen())
def test_a_script_runs_as_without_us_and_its_blocks_are_in_the_store_under_its_path(
    shell: Shell, name: str, way: Way
) -> None:
    source, blocks = SCRIPTS[name]
    path = written(shell, source)
    plainly: Way = "python -m" if way.endswith("-m") else "python"
    plain = shell.python(*words(plainly, path), stdin="text\n")
    done = shell.python(*words(way, path), more={"MEASURED": "1"}, stdin="text\n")
    if way == plainly:
        assert (done.returncode, done.stdout, done.stderr) == (
            plain.returncode,
            plain.stdout,
            plain.stderr,
        )
    else:
        assert done.returncode == (1 if plain.returncode else 0)
        assert done.stdout.startswith(plain.stdout)
        assert done.stderr.startswith(plain.stderr)
        assert len(done.stderr.removeprefix(plain.stderr).splitlines()) == (done.returncode != 0)
    summary = shell.summary(path)
    rows = {cell["name"]: cell for cell in summary["cells"]}
    whole = {} if way == plainly else {"train" if way.endswith("-m") else path.name: 1}
    assert {row: cell["runs"] for row, cell in rows.items()} == {**blocks, **whole}
    assert summary["totals"]["duration_s"] > 0


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_script_that_a_signal_ended_is_told_with_the_signals_name(shell: Shell) -> None:
    path = shell.folder / "train.py"
    path.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    done = shell("run", path)
    assert (done.returncode, one_line(done.stderr)) == (1, f"{path} was ended by SIGKILL")
    (row,) = shell.summary(path)["cells"]
    assert row["outcome"] == "error"


def test_a_module_that_is_not_there_is_wrong_use(shell: Shell) -> None:
    for name in ("no_such_module", "email.no_such", "jupyter_energy.display"):
        done = shell("run", "-m", name)
        assert (done.returncode, done.stdout) == (2, "")
        assert name in one_line(done.stderr)


def test_a_package_that_is_run_is_called_as_the_user_did(shell: Shell) -> None:
    path = shell.folder / "train" / "big" / "__main__.py"
    path.parent.mkdir(parents=True)
    for folder in (path.parent, path.parent.parent):
        (folder / "__init__.py").write_text("")
    path.write_text("import jupyter_energy as je\nwith je.measure('x'):\n    pass\n")
    done = shell("run", "-m", "train.big")
    assert "\n-m train.big: ≈" in done.stdout, done.stdout
    assert shell.python("-m", "train.big").returncode == 0
    history = shell("history").stdout.splitlines()
    assert len([line for line in history if line.startswith("-m train.big ")]) == 1
    assert shell.summary(path)["totals"]["runs"] == 2


def test_a_modules_arguments_go_behind_two_dashes(shell: Shell) -> None:
    path = shell.folder / "train" / "__main__.py"
    path.parent.mkdir()
    path.write_text("import sys\nprint(sys.argv[1:])")
    done = shell("run", "-m", "train", "--", "--epochs", "3", "-m")
    assert done.stdout.startswith("['--epochs', '3', '-m']\n"), done.stderr
    assert shell.summary(path)["totals"]["runs"] == 1


def test_either_a_file_or_a_module_is_run(shell: Shell) -> None:
    path = notebook(shell.folder / "a.ipynb", ["1"])
    for wrong in ([], ["-m", "train", path]):
        done = shell("run", *wrong)
        assert done.returncode == 2
        assert "NOTEBOOK_OR_SCRIPT" in done.stderr


def test_the_summary_of_an_installed_program_is_found_by_its_path(shell: Shell) -> None:
    """A program that pip installs has no suffix, and may be gone when its totals are asked for."""
    program = shell.folder / "train"
    program.write_text("import jupyter_energy as je\nwith je.measure('fit'):\n    pass\n")
    done = shell.python(program)
    assert (done.returncode, done.stderr) == (0, "")
    for is_there in (True, False):
        if not is_there:
            program.unlink()
        (row,) = shell.summary(program)["cells"]
        assert row["name"] == "fit"


@pytest.mark.parametrize("asked", [["-c"], ["-"]])
def test_a_process_without_a_file_measures_as_well(shell: Shell, asked: list[str]) -> None:
    code = "import jupyter_energy as je\nwith je.measure('x') as m:\n    pass\nprint(m.result.name)"
    given = {"stdin": code} if asked == ["-"] else {}
    done = shell.python(*asked, *([] if given else [code]), **given)
    assert (done.returncode, done.stdout, done.stderr) == (0, "x\n", "")


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_in_a_block_of_a_plain_script_is_its_own_and_the_block_is_kept(
    shell: Shell,
) -> None:
    path = shell.folder / "train.py"
    path.write_text(
        "import jupyter_energy as je, os, signal\n"
        "with je.measure('fit'):\n    os.kill(os.getpid(), signal.SIGINT)\n"
    )
    done = shell.python(path)
    assert done.returncode == -signal.SIGINT
    assert done.stderr.splitlines()[-1] == "KeyboardInterrupt"
    (row,) = shell.summary(path)["cells"]
    assert (row["name"], row["outcome"]) == ("fit", "interrupted")


def test_the_package_runs_as_a_module_and_by_its_name(shell: Shell) -> None:
    by_name = shell.python(
        "-c", "import sys; from jupyter_energy.cli import main; sys.exit(main())"
    )
    by_module = shell()
    assert by_name.returncode == by_module.returncode == 2
    assert by_name.stdout == by_module.stdout
    assert "usage: jupyter energy COMMAND" in by_module.stdout
