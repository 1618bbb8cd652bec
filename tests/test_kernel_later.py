"""What a run saved, where its provider tells the values of its time only afterwards: looked up by
the user's own next plan, in a real kernel and in a shell, and by nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import StartKernel
from shell import Shell
from standins.late_values import LateValues
from test_kernel_pacing import rows, stopped_in
from test_script_waits import WAITS

NOT_YET = "a forecast alone for 100 % of it; a later plan asks again"
# A run of less than 3 s after a wait is none that a plan tells of.
WORK = """
import time
ends_s = time.monotonic() + 4
while time.monotonic() < ends_s:
    sum(i * i for i in range(10**5))
"""
RUN = f"""
try:
    je.wait_for_clean_power(hours=0.01, max_wait="6h", on_anyway=True)
except KeyboardInterrupt:
    pass
{WORK}
"""


def chosen(late_url: str, folder: Path) -> dict[str, str]:
    return {
        "JUPYTER_ENERGY_ZONE": "GB",
        "JUPYTER_ENERGY_PROVIDER": "uk_grid",
        "JUPYTER_ENERGY_PROVIDER_URL": late_url,
        "JUPYTER_ENERGY_CACHE": str(folder / "answers1"),
        "no_proxy": "127.0.0.1",
    }


@pytest.mark.slow
def test_a_kernel_tells_what_a_run_saved_once_the_user_plans_again(
    start_kernel: StartKernel, tmp_path: Path
) -> None:
    power = tmp_path / "power.csv"
    power.write_text("t_s,domain,watts\n0,gpu:0,300\n1000,gpu:0,300\n")
    late = LateValues()
    with late.service.running() as served:
        environ = chosen(served.url, tmp_path) | {"JUPYTER_ENERGY_REPLAY": str(power)}
        kernel = start_kernel(environ)
        kernel.run("%load_ext jupyter_energy\nimport jupyter_energy as je")
        kernel.run("%energy on")
        _, _, reply = stopped_in(kernel, RUN, "waits until")
        assert reply["status"] == "ok"

        def shift() -> Any:
            (cell,) = rows(kernel).values()
            return cell["shift"]

        def asked_anew(number: int) -> None:
            """As a half hour later: until then it is not asked again."""
            kernel.run(f"%config Energy.cache = {str(tmp_path / f'answers{number}')!r}")

        at_end = shift()
        assert at_end["realised_fraction"] is None
        assert NOT_YET in at_end["note"]
        assert at_end["planned_fraction"] > 0.5

        asked_anew(2)
        late.is_down = True
        planned = kernel.run("%energy plan --no-figure --hours 1")
        assert planned.status == "ok"
        assert "what it saved is not known yet: " in said(planned)
        assert shift() == at_end

        asked_anew(3)
        late.is_down, late.is_there = False, True
        assert [shift(), shift()] == [at_end, at_end]  # a summary looks up nothing
        planned = kernel.run("%energy plan --no-figure --hours 1")
        assert "as measured it saved 0 %" in said(planned)
        told = shift()
        assert told["realised_fraction"] == 0  # it ran in the half hour that it could begin in
        assert told["note"] is None
        assert "got 0 % of the emissions attributed to this run" in said(kernel.run("%energy"))

        undone = kernel.run("%energy recompute --undo")
        assert NOT_YET in undone.stdout
        assert shift() == at_end
        again = kernel.run("%energy recompute")
        assert "got 0 % of the emissions attributed to this run" in again.stdout
        assert shift() == told


def said(done: Any) -> str:
    return " ".join("\n".join([done.stdout, *(d["text/plain"] for d in done.displays)]).split())


@pytest.mark.slow
def test_in_a_shell_the_next_plan_tells_what_a_script_saved(tmp_path: Path) -> None:
    late, shell = LateValues(), Shell(tmp_path)
    path = tmp_path / "train.py"
    path.write_text(WAITS.replace("hours=1", "hours=0.01") + WORK)

    def shift() -> Any:
        cells = json.loads(shell("summary", path, "--json").stdout)["cells"]
        (found,) = [cell["shift"] for cell in cells if cell["shift"] is not None]
        return found

    with late.service.running() as served:
        shell.environ |= chosen(served.url, tmp_path)
        shell.run_json(path)
        at_end = shift()
        assert NOT_YET in at_end["note"]

        shell.environ["JUPYTER_ENERGY_CACHE"] = str(tmp_path / "answers2")
        late.is_down = True
        failed = shell("plan", path)
        assert failed.returncode == 0
        assert "what it saved is not known yet: " in " ".join(failed.stdout.split())
        assert shift() == at_end

        shell.environ["JUPYTER_ENERGY_CACHE"] = str(tmp_path / "answers3")
        late.is_down, late.is_there = False, True
        planned = shell("plan", path)
        assert planned.returncode == 0
        assert "as measured it saved 0 %" in " ".join(planned.stdout.split())
        assert shift()["realised_fraction"] == 0
        assert "got 0 % of the emissions" in shell("summary", path).stdout
