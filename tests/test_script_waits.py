"""A script under `jupyter energy run` that waits for clean power: what became of it is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from shell import Shell

WAITS = """
import signal, sys
import jupyter_energy as je

class Enough(BaseException):
    pass

def stop(*_):
    raise Enough

class Told:
    def write(self, text):
        if "waits until" in text:  # from now on it does
            signal.setitimer(signal.ITIMER_REAL, 1.2)
        return sys.__stderr__.write(text)

    def __getattr__(self, name):
        return getattr(sys.__stderr__, name)

signal.signal(signal.SIGALRM, stop)
sys.stderr = Told()
try:
    print(je.wait_for_clean_power(hours=1, max_wait="6h", on_anyway=True))
except Enough:
    pass
sum(i * i for i in range(3 * 10**6))
"""


# Ctrl-C is the shell's, which gets it first.
STOPPED = WAITS.replace("import signal", "import os, signal").replace(
    "    raise Enough", "    os.kill(os.getppid(), signal.SIGINT)"
)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def script(shell: Shell, g_per_kwh: list[int], text: str = WAITS) -> Path:
    """One that waits where figures from this hour on are so."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    rows = [f"{now + timedelta(hours=n):%Y-%m-%dT%H:%MZ},{g}" for n, g in enumerate(g_per_kwh)]
    trace = shell.folder / "trace.csv"
    trace.write_text("\n".join(["time,g_per_kwh", *rows]))
    shell.environ |= {
        "JUPYTER_ENERGY_PROVIDER": "csv_trace",
        "JUPYTER_ENERGY_CSV_TRACE": str(trace),
    }
    path = shell.folder / "train.py"
    path.write_text(text)
    return path


def test_what_became_of_a_wait_outside_of_any_block_is_told_and_counts_once(shell: Shell) -> None:
    path = script(shell, [500, 500, 500, 100, 100, 100, 100, 100, 100, 100])
    summary = shell.run_json(path)
    rows = {cell["name"]: cell for cell in summary["cells"]}
    assert list(rows) == ["train.py", "wait_for_clean_power"]
    waited = rows["wait_for_clean_power"]
    assert waited["shift"]["planned_fraction"] == pytest.approx(0.8)
    ((began, ended),) = [(s["start"], s["end"]) for s in waited["shift"]["waits"]]
    waited_s = datetime.fromisoformat(ended) - datetime.fromisoformat(began)
    assert waited_s >= timedelta(seconds=1)
    assert waited["shift"]["runs"][-1]["end"] > ended  # what follows the wait is the run
    totals, whole = summary["totals"], rows["train.py"]
    assert (totals["runs"], totals["duration_s"]) == (1, whole["duration_s"])
    told = shell("summary", path).stdout
    assert "wait_for_clean_power: planned 80 %" in told


def test_a_script_that_begins_at_once_has_no_row_of_a_wait(shell: Shell) -> None:
    path = script(shell, [100] * 10)
    (row,) = shell.run_json(path)["cells"]
    assert (row["name"], row["shift"]) == ("train.py", None)


def test_a_script_whose_wait_would_add_more_than_it_saves_begins_at_once_and_says_so(
    shell: Shell,
) -> None:
    path = script(shell, [500] * 6 + [100] * 4, WAITS.replace(", on_anyway=True", ""))
    done = shell("run", path)
    assert "would save 80 % of the emissions attributed to this run" in done.stdout
    assert "start the notebook then instead, or give on_anyway=True" in done.stdout
    assert "waits until" not in done.stderr


def test_ctrl_c_in_a_wait_is_told_as_that_of_the_wait_and_of_its_script(shell: Shell) -> None:
    path = script(shell, [500, 500, 500, 100, 100, 100, 100, 100, 100, 100], STOPPED)
    rows = shell.run_json(path, status=1)["cells"]
    assert {row["name"]: row["outcome"] for row in rows} == {
        "train.py": "interrupted",
        "wait_for_clean_power": "interrupted",
    }
    (shift,) = (row["shift"] for row in rows if row["shift"] is not None)
    assert shift["realised_fraction"] is None
    assert shift["note"] == "the wait was stopped, and no run followed"
