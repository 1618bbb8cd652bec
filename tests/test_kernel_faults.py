"""Whatever breaks on our side, the user's cell is never hurt, and the record says what is missing
(promises 5.1, 5.2)."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from conftest import StartKernel
from faults import FAULTS, IN_MID_CELL, STOP_EVENTS, Fault, Place
from faulty_sensor import readings
from harness import LIMIT_S, LOAD, Kernel, Result, running
from standins import build_nvml

PLAIN = (
    "6 * 7",
    "import sys\nprint('out')\nprint('err', file=sys.stderr)",
    "def f():\n    return 1 / 0\n\nf()",
    "import asyncio\nawait asyncio.sleep(0.01)\n'awaited'",
)
# Bodies that run under %%energy; without the extension a comment stands in its line.
UNDER_THE_MAGIC = (
    "x = 5\nx + 1",
    "print('out')\nprint('err', file=sys.stderr)",
    "raise ValueError('of the user')",
    "await asyncio.sleep(0.01)\n'awaited too'",
)
OURS = re.compile(r"^jupyter-energy: .*\n", re.MULTILINE)
# Root passes over file modes by two capabilities; without them it is told no as anybody is.
OBEYING_MODES = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"]


def seen(result: Result, same_source: bool) -> dict[str, object]:
    """All that the user's code gave, without our line and what no two runs share.

    With `same_source` the traceback counts to the letter; under `%%energy` the first line of the
    cell is another one, so only the exception counts.
    """
    found = result.seen() | {"execution_count": result.execution_count}
    found["stderr"] = OURS.sub("", result.stderr)
    if result.error is not None and not same_source:
        found["error"] = result.error[:2]
    text = re.sub(r"0x[0-9a-f]+|pid=\d+", "", repr(found))
    return {"text": re.sub(r"ipykernel_\d+/\d+\.py", "cell.py", text)}


def run_alone(kernel: Kernel, cell: str) -> Result:
    """Run a cell whose failure aborts none that comes shortly after it."""
    return kernel.run(cell, stop_on_error=False)


def all_cells(kernel: Kernel, magic: str) -> list[tuple[Result, dict[str, object]]]:
    """Every cell's result, and what of it counts."""
    results = [(run_alone(kernel, cell), True) for cell in PLAIN]
    results += [(run_alone(kernel, f"{magic}\n{body}"), False) for body in UNDER_THE_MAGIC]
    return [(result, seen(result, same_source)) for result, same_source in results]


@pytest.fixture(scope="session")
def nvml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nvml")
    build_nvml(folder / "empty", empty=True)
    return build_nvml(folder)


@pytest.fixture
def place(tmp_path: Path, nvml: Path) -> Place:
    return Place(tmp_path, nvml)


@pytest.fixture(scope="session")
def without_us(python: str, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """What the cells give in a kernel that never heard of us."""
    with running(python, tmp_path_factory.mktemp("plain")) as kernel:
        for _ in range(2):  # as many cells as come before with us
            kernel.run("pass")
        return [counted for _, counted in all_cells(kernel, "# nothing")]


@pytest.fixture
def obeying(python: str, tmp_path: Path) -> str:
    """The interpreter under test, refused by a file's mode as any user is."""
    if os.geteuid() != 0:
        return python
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nexec {" ".join(OBEYING_MODES)} "{python}" "$@"\n')
    wrapper.chmod(0o755)
    return str(wrapper)


def names_in(store: Path) -> list[str | None]:
    """The names of the records in a store, in their order."""
    with closing(sqlite3.connect(store)) as connection:
        rows = connection.execute(
            "SELECT json_extract(document, '$.name') FROM record ORDER BY started"
        )
        return [name for (name,) in rows]


def wait_for_records(store: Path, count: int) -> None:
    """Wait until a store holds that many. A call that hung when the trouble ended writes them when
    it goes on, which may be after the cell's reply: a cell never waits for it twice."""
    deadline_s = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline_s:
        with suppress(sqlite3.OperationalError):
            if len(names_in(store)) >= count:
                return
        time.sleep(0.05)  # another process's commit is no event that is handed out


def assert_no_figure_is_made_up(cell: dict[str, object]) -> None:
    domains = cell["domains"]
    assert isinstance(domains, list)
    for domain in domains:
        figures = [domain[name] for name in ("energy_j", "u95_j", "low_j", "high_j")]
        if domain["provenance"] == "none":
            assert figures == [None] * 4, domain
            assert domain["reason"], domain
        # A counter that did not move in a short cell is 0 within what it may have missed.
        assert figures[0] != 0 or figures[1], domain


def step(steps: Iterator[object]) -> None:
    """Let a fault go on; one that has nothing left to do has ended."""
    next(steps, None)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_ours_changes_nothing_that_the_users_cells_give(
    name: str, obeying: str, place: Place, without_us: list[dict[str, object]]
) -> None:
    fault: Fault = FAULTS[name]
    steps = fault.make(place)
    environ = next(steps)
    with running(obeying, place.folder / "home", environ) as kernel:
        first = [kernel.run(LOAD), kernel.run("%%energy -n first\npass")]
        step(steps)
        cells = all_cells(kernel, "%%energy -n later")
        assert [counted for _, counted in cells] == without_us
        step(steps)
        last = kernel.run("%%energy -n last\nsum(range(10**5))")
        if fault.kept:
            wait_for_records(place.store, 1 + len(cells) + 1)
            assert names_in(place.store).count("later") == len(UNDER_THE_MAGIC)
            assert len(names_in(place.store)) == 1 + len(cells) + 1
    results = [*first, *(result for result, _ in cells), last]
    told = OURS.findall("".join(result.stderr for result in results))
    assert len(told) == bool(fault.told), told
    assert fault.told in "".join(told)
    shown = [result.energy for result in results]
    # Load and the plain cells show nothing; every other cell shows its own.
    expected = [0, 1, *[0] * len(PLAIN), *[1] * len(UNDER_THE_MAGIC), 1]
    assert [len(energy) for energy in shown] == expected
    for (cell,) in filter(None, shown):
        assert_no_figure_is_made_up(cell)
        assert fault.warns in " ".join(cell["warnings"])
    (after,) = shown[-2]
    for kind, reason in fault.reasons:
        said = [d["reason"] or "" for d in after["domains"] if d["kind"] == kind]
        assert said, after["domains"]
        assert all(reason in text for text in said), said
    step(steps)


# They wait in their midst, where a fault strikes.
IN_MID_CELL_WAITS = f"""\
import fcntl, os, pathlib, time
print("begun", flush=True)
while not pathlib.Path("go").exists():
    time.sleep(0.01)
pathlib.Path("go").unlink()
for number in os.listdir("/proc/self/fd") if os.path.exists({STOP_EVENTS!r}) else ():
    if os.path.islink(link := "/proc/self/fd/" + number) and "perf_event" in os.readlink(link):
        fcntl.ioctl(int(number), 0x2401, 0)  # uapi/linux/perf_event.h: PERF_EVENT_IOC_DISABLE
"""
ENDS = (
    "print('out')\n6 * 7",
    "import sys\nprint('err', file=sys.stderr)\nraise ValueError('of the user')",
)


def struck_in_midst(kernel: Kernel, magic: str, strike: Callable[[], object]) -> list[Result]:
    """Cells that wait, the first of them until a fault has struck."""
    results = []
    for number, end in enumerate(ENDS):
        message = kernel.send(f"{magic}\n{IN_MID_CELL_WAITS}{end}", stop_on_error=False)
        kernel.wait_for_output(message, "begun")
        if number == 0:
            strike()
        kernel.touch("go")
        results.append(kernel.collect(message))
    return results


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("name", IN_MID_CELL)
def test_a_fault_in_mid_cell_changes_nothing_that_the_cell_gives(
    name: str, python: str, place: Place
) -> None:
    fault: Fault = IN_MID_CELL[name]
    with running(python, place.folder / "plain") as kernel:
        for _ in range(2):
            kernel.run("pass")
        plain = [seen(result, False) for result in struck_in_midst(kernel, "# nothing", tuple)]
    steps = fault.make(place)
    with running(python, place.folder / "home", next(steps)) as kernel:
        first = [kernel.run(LOAD), kernel.run("%%energy -n first\npass")]
        results = struck_in_midst(kernel, "%%energy", lambda: step(steps))
        last = kernel.run("%%energy\nsum(range(10**5))")
        assert [seen(result, False) for result in results] == plain
    assert OURS.findall("".join(result.stderr for result in (*first, *results, last))) == []
    cells = [result.energy for result in (*results, last)]
    assert [len(found) for found in cells] == [1, 1, 1]
    for (cell,) in cells:
        assert_no_figure_is_made_up(cell)
    ((struck,), *_) = cells
    for kind, reason in fault.reasons:
        (domain,) = (d for d in struck["domains"] if d["kind"] == kind)
        assert reason in domain["reason"], domain
        assert domain["coverage"] < 1
    step(steps)


def test_each_broken_sensor_is_unknown_with_its_reason_and_the_good_one_beside_it_counts(
    python: str, place: Place
) -> None:
    steps = FAULTS["third parties' sensors"].make(place)
    with running(python, place.folder / "home", next(steps)) as kernel:
        kernel.run(LOAD)
        kernel.run("%%energy -q\npass")
        (cell,) = kernel.run("%%energy\nimport time\ntime.sleep(0.2)").energy
        doctor = kernel.run("%energy doctor")
        ended = kernel.run("%unload_ext jupyter_energy")
    found = {d["name"]: d for d in cell["domains"] if d["source"] == "faulty"}
    assert set(found) == set(readings.READINGS)
    works = found.pop("works")
    assert works["energy_j"] > 0
    assert {d["energy_j"] for d in found.values()} == {None}
    assert all(d["reason"] for d in found.values())
    assert "the bus is stuck" in found["raises"]["reason"]
    assert "SystemExit" in found["exits"]["reason"]
    for reason in ("the vendor tool is missing", "made for another Python", "no licence"):
        assert reason in doctor.stdout
    assert (ended.status, ended.stderr) == ("ok", "")


def test_a_setting_that_cannot_be_written_is_not_set(
    start_kernel: StartKernel, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("a file where the folder should be")
    kernel = start_kernel({"XDG_CONFIG_HOME": str(tmp_path / "config")})
    kernel.run(LOAD)
    before = kernel.run("%energy zone").stdout
    refused = kernel.run("%energy zone DE")
    assert refused.stderr.startswith("UsageError: ")
    assert refused.stderr.count("\n") == 1
    assert kernel.run("%energy zone").stdout == before
    assert "Germany" not in before
