#!/usr/bin/env python3
"""Check everything, on a machine that has only Python 3.11 or newer: `python3 tests/all.py`.

It needs the standard library alone. What it makes lies in `.venv-test/` and serves again the
next time: only what changed is made anew. Each part prints what it runs; the table at the end
says which passed, which failed, and which were left out and why. Status 1 if a part failed.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from environments import (
    DEADLINE_S,
    ROOT,
    WORK,
    find_python,
    install_wheel,
    make_environment,
    run,
    say,
    wheel_stamp,
)

PYTHON = WORK / "bin" / "python"
DIST = WORK / "dist"
FRONT_END = ROOT / "labextension"
BUILT_FRONT_END = ROOT / "jupyter_energy" / "labextension"

# What a kernel meets in the field. The first is what hosted services pin, with ipywidgets 7,
# where the `comm` package is absent; the last is the newest of everything.
KERNELS = {
    "ipython7": ["ipython==7.34.0", "ipykernel==6.17.*", "ipywidgets==7.7.*"],
    "ipython8": ["ipython==8.*", "ipykernel==6.*"],
    "ipython9": ["ipython>=9", "ipykernel>=7"],
}
NEWEST_KERNEL = "ipython9"
SECOND_PYTHON = "3.13"

# The oldest JupyterLab that the front end promises to work in, and one in between; the newest
# lies in the test environment itself. As there, a jsonschema that is imported fast.
LABS = {
    "lab40": ["jupyterlab==4.0.*", "ipykernel>=6.17", "jsonschema<4.25"],
    "lab44": ["jupyterlab==4.4.*", "ipykernel>=6.17", "jsonschema<4.25"],
}

# What the callbacks of `jupyter_energy.callbacks` are for, each in the newest release. torch of one
# series, because one that is new may exist with libraries for GPUs alone, which are 4 GB; pytest,
# because their tests run in there.
FRAMEWORKS = [
    *("torch==2.13.*", "transformers>=4.56", "accelerate>=1", "lightning>=2.5", "keras>=3.10"),
    *("pytest>=8.3", "pytest-timeout>=2.3"),
]

# A Debian package and how to see that it is not needed: the browser is for the browser tests,
# the compiler builds stand-ins for C libraries.
DEBIAN: dict[str, Callable[[], bool]] = {
    "chromium": lambda: shutil.which("chromium") is not None,
    "gcc": lambda: shutil.which("gcc") is not None,
    "libc6-dev": lambda: Path("/usr/include/stdio.h").exists(),
    "python3-venv": lambda: importlib.util.find_spec("ensurepip") is not None,
}


class LeftOutError(Exception):
    """A part that cannot or need not run here; the message says why."""


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    python: str
    fast: bool
    whole: bool = False
    patient: bool = False


@dataclass(frozen=True)
class Part:
    """One line of the table: `needs` must have passed, `refreshes` only runs first.

    After `limit_s` it has hung: it is ended and has failed, and the others run. `aside`: the parts
    after it do not wait for it, unless they name it.
    """

    name: str
    check: Callable[[Options], None]
    limit_s: float
    needs: tuple[str, ...] = ()
    refreshes: tuple[str, ...] = ()
    aside: bool = False


def project() -> dict[str, Any]:
    """Return the contents of pyproject.toml."""
    import tomllib  # here, so that an older Python gets main's message instead of a traceback

    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def debian(options: Options) -> None:
    """Install the Debian packages the tests use, where that is possible."""
    missing = [name for name, is_there in DEBIAN.items() if not is_there()]
    if not missing:
        return
    if options.fast:
        raise LeftOutError("--fast")
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise LeftOutError(f"no {', '.join(missing)}, and only root with apt-get may install them")
    run(["apt-get", "update", "-q"], quiet=True)
    install = ["apt-get", "install", "-q", "-y", "--no-install-recommends", *missing]
    run(install, quiet=True, DEBIAN_FRONTEND="noninteractive")


def venv(options: Options) -> None:
    """Make the environment of the tests: the project's dependencies, all extras, the builders."""
    settings = project()
    extras = settings["project"]["optional-dependencies"].values()
    requirements = {
        *settings["build-system"]["requires"],
        *settings["project"]["dependencies"],
        *(requirement for extra in extras for requirement in extra),
    }
    make_environment(WORK, options.python, sorted(requirements))


def ruff(_options: Options) -> None:
    """Lint, and look whether the formatter would change anything."""
    run(["ruff", "check", "."])
    run(["ruff", "format", "--check", "."])


def mypy(_options: Options) -> None:
    """Check the types."""
    run(["mypy"])


def typescript(_options: Options) -> None:
    """Install what the lock file names, then lint, type-check and test the front end."""
    run(["jlpm", "install", "--immutable"], cwd=FRONT_END, quiet=True)
    run(["jlpm", "lint"], cwd=FRONT_END)
    run(["jlpm", "test"], cwd=FRONT_END)


def wheel(_options: Options) -> None:
    """Build sdist and wheel if a source changed, install the wheel, look into both."""
    digest = hashlib.sha256()
    for path in sources():
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    stamp = DIST / "sources.sha256"
    if not stamp.exists() or stamp.read_text() != digest.hexdigest():
        shutil.rmtree(DIST, ignore_errors=True)
        # the build would take one that is there for good, older or made for development
        shutil.rmtree(BUILT_FRONT_END, ignore_errors=True)
        run([PYTHON, "-m", "build", "--no-isolation", "--outdir", DIST, ROOT], quiet=True)
        stamp.write_text(digest.hexdigest())
    (built,) = DIST.glob("*.whl")
    install_wheel(PYTHON, built)
    run(["pytest", "tests/test_wheel.py"], JUPYTER_ENERGY_TEST_DIST=str(DIST))


def sources() -> Iterator[Path]:
    """Yield every file the wheel is made of, in a fixed order."""
    made = {"__pycache__", "node_modules", "lib", ".yarn"}
    yield from (ROOT / name for name in ("LICENSE", "README.md", "pyproject.toml"))
    for folder in (ROOT / "jupyter_energy", FRONT_END):
        for parent, folders, files in os.walk(folder):
            folders[:] = sorted(set(folders) - made)
            if Path(parent) == BUILT_FRONT_END.parent:
                folders[:] = [name for name in folders if name != BUILT_FRONT_END.name]
            yield from (
                Path(parent, name) for name in sorted(files) if not name.endswith(".tsbuildinfo")
            )


def matrix(options: Options) -> dict[str, tuple[str, list[str]]]:
    """Return which python and which pins make each kernel environment, by its name."""
    wanted = {name: (options.python, pins) for name, pins in KERNELS.items()}
    if other := find_python(SECOND_PYTHON):
        name = f"{NEWEST_KERNEL}-py{SECOND_PYTHON.replace('.', '')}"
        wanted[name] = (other, KERNELS[NEWEST_KERNEL])
    return wanted


def kernels(options: Options) -> None:
    """Make an environment for each kernel we promise to work in, with the wheel installed."""
    if options.fast:
        raise LeftOutError("--fast")
    make_with_wheel("kernels", matrix(options))


def labs(options: Options) -> None:
    """Make an environment for each older JupyterLab we promise to work in, with the wheel."""
    if options.fast:
        raise LeftOutError("--fast")
    make_with_wheel("labs", {name: (options.python, pins) for name, pins in LABS.items()})


def frameworks(options: Options) -> None:
    """Make an environment of the training frameworks, and run the tests of our callbacks in it."""
    if options.fast:
        raise LeftOutError("--fast")
    wanted = [*FRAMEWORKS, *project()["project"]["dependencies"]]
    try:
        inside = make_environment(WORK / "frameworks", options.python, wanted)
    except subprocess.CalledProcessError as error:
        raise LeftOutError("the frameworks cannot be installed here") from error
    (built,) = DIST.glob("*.whl")
    install_wheel(inside, built)
    # in one process, since importing them all takes ten seconds; without the fixtures of the
    # other tests, which need more than this environment holds
    tests = ["--confcutdir=tests/frameworks", "tests/frameworks"]
    run([inside.parent / "pytest", *tests], quiet=True)


def make_with_wheel(kind: str, wanted: dict[str, tuple[str, list[str]]]) -> None:
    """Make environments of a kind, by name: which python and pins; the wheel is installed."""
    dependencies = project()["project"]["dependencies"]
    (built,) = DIST.glob("*.whl")

    def make(name: str, python: str, pins: list[str]) -> None:
        inside = make_environment(WORK / kind / name, python, [*pins, *dependencies])
        install_wheel(inside, built)

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        # each in a copy of this thread's context, so that the part's deadline is theirs too
        made = [
            pool.submit(copy_context().run, partial(make, name, python, pins))
            for name, (python, pins) in wanted.items()
        ]
    for one in made:
        one.result()


def ready(kind: str, names: Iterable[str]) -> str:
    """Return those environments of a kind that hold a wheel, as the tests are told of them."""
    pythons = {name: WORK / kind / name / "bin" / "python" for name in names}
    return ",".join(
        f"{name}={path}" for name, path in pythons.items() if wheel_stamp(path).exists()
    )


def pytest(options: Options) -> None:
    """Run the Python tests against the installed wheel, with the kernels that are ready."""
    run(
        # the wheel's own tests ran when it was built; those in a browser, and those of the
        # frameworks, are parts of their own
        [
            *("pytest", "--ignore=tests/test_wheel.py", "--ignore=tests/browser"),
            "--ignore=tests/frameworks",
            # more than two cores: a test waits for its kernels a good part of the time
            *("-n", "3", "--dist=worksteal"),
            *(["-m", "not slow"] if options.fast else []),
        ],
        JUPYTER_ENERGY_TEST_KERNELS=ready("kernels", [] if options.fast else matrix(options)),
        JUPYTER_ENERGY_TEST_DIST=str(DIST),
        JUPYTER_ENERGY_TEST_WHOLE="1" if options.whole else "",
    )


def browser(options: Options) -> None:
    """Drive the installed wheel in Chromium: JupyterLab, Notebook 7, and what `labs` made."""
    run(
        [
            # two: each has servers of its own to start, and waits for them half of the time
            *("pytest", "tests/browser", "-n", "2", "--dist=worksteal"),
            *(["-m", "not slow"] if options.fast else []),
        ],
        JUPYTER_ENERGY_TEST_LABS=ready("labs", [] if options.fast else LABS),
    )


# The limits bound what hangs: each is twice what the part takes on two cores, or more.
PARTS = (
    Part("debian", debian, 180),
    Part("venv", venv, 300),
    Part("wheel", wheel, 240, needs=("venv",)),
    Part("kernels", kernels, 420, needs=("venv", "wheel"), aside=True),
    Part("labs", labs, 420, needs=("venv", "wheel"), aside=True),
    Part("frameworks", frameworks, 420, needs=("venv", "wheel"), aside=True),
    Part("ruff", ruff, 60, needs=("venv",)),
    Part("mypy", mypy, 180, needs=("venv",)),
    Part("typescript", typescript, 240, needs=("venv",)),
    Part("pytest", pytest, 1000, needs=("venv", "wheel"), refreshes=("kernels",)),
    Part("browser", browser, 600, needs=("venv", "wheel"), refreshes=("labs",)),
)
# Continuous integration gives up after half an hour, and would show no table then.
ALL_PARTS_S = 27 * 60


def chosen_parts(only: str | None) -> list[Part]:
    """Return the parts to run, in order: all, or one with what it builds on."""
    by_name = {part.name: part for part in PARTS}
    names = set(by_name)
    if only is not None:
        names = {only, *by_name[only].needs, *by_name[only].refreshes}
    return [part for part in PARTS if part.name in names]


def check_part(
    part: Part, options: Options, results: dict[str, str], left_s: float = math.inf
) -> tuple[str, str]:
    """Run one part within its limit and `left_s`; return its result and, if not passed, why."""
    if broken := [name for name in part.needs if results[name] != "passed"]:
        return "left out", f"needs {', '.join(broken)}"
    limit_s = math.inf if options.patient else min(part.limit_s, left_s)
    deadline = DEADLINE_S.set(time.monotonic() + limit_s)
    try:
        part.check(options)
    except LeftOutError as reason:
        return "left out", str(reason)
    except subprocess.CalledProcessError as error:
        return "failed", f"status {error.returncode}: {' '.join(error.cmd)}"
    except subprocess.TimeoutExpired as error:
        return "failed", f"not over after {limit_s:.0f} s: {' '.join(error.cmd)}"
    except OSError as error:
        return "failed", str(error)
    finally:
        DEADLINE_S.reset(deadline)
    return "passed", ""


@dataclass(frozen=True)
class Outcome:
    """What came of a part, and the s that it took."""

    result: str
    why: str
    took_s: float


def check_parts(parts: list[Part], options: Options) -> dict[str, Outcome]:
    """Run the parts one after the other, those that are `aside` beside them; what came of each."""
    end_s = time.monotonic() + ALL_PARTS_S
    outcomes: dict[str, Outcome] = {}

    def check(part: Part) -> None:
        say(f"\n=== {part.name}: {part.check.__doc__}")
        begin_s = time.monotonic()
        results = {name: outcome.result for name, outcome in list(outcomes.items())}
        came = check_part(part, options, results, end_s - begin_s)
        outcomes[part.name] = Outcome(*came, time.monotonic() - begin_s)

    begun: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(max_workers=1) as aside:
        for part in parts:
            if part.aside:
                begun[part.name] = aside.submit(check, part)
                continue
            for name in {*part.needs, *part.refreshes} & set(begun):
                begun[name].result()
            check(part)
    for one in begun.values():
        one.result()
    return {part.name: outcomes[part.name] for part in parts}


def main() -> int:
    """Run the parts, print the table, return the exit status."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this file is what an older Python gets to run
        print("tests/all.py needs Python 3.11 or newer; this is " + sys.version.split()[0])
        return 2
    parser = argparse.ArgumentParser(description=__doc__)
    names = [part.name for part in PARTS]
    parser.add_argument("--only", choices=names, help="this part, and what it builds on")
    parser.add_argument("--python", default=sys.executable, help="makes the test environment")
    parser.add_argument(
        "--fast",
        action="store_true",
        help="no Debian packages, other kernels or labs, frameworks, or slow tests",
    )
    parser.add_argument(
        "--whole", action="store_true", help="every test in every kernel, not a seeded slice"
    )
    parser.add_argument(
        "--patient", action="store_true", help="no time limits: on a machine that others use too"
    )
    arguments = parser.parse_args()
    options = Options(
        python=arguments.python,
        fast=arguments.fast,
        whole=arguments.whole,
        patient=arguments.patient or arguments.whole,
    )

    os.umask(0o022)  # tests run children as another user, who has to be able to read this
    outcomes = check_parts(chosen_parts(arguments.only), options)
    say(f"\n{'part':<12}{'result':<10}{'s':>5}")
    for name, outcome in outcomes.items():
        say(f"{name:<12}{outcome.result:<10}{outcome.took_s:5.0f}  {outcome.why}".rstrip())
    return 1 if "failed" in {outcome.result for outcome in outcomes.values()} else 0


if __name__ == "__main__":
    sys.exit(main())
