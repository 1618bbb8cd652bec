"""`%energy plan` in a real kernel: from what it has just measured, in words, HTML and a picture."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import StartKernel
from harness import LOAD


def test_a_kernel_plans_the_cells_that_it_has_just_run(
    start_kernel: StartKernel, tmp_path: Path
) -> None:
    (tmp_path / "sys").mkdir()
    kernel = start_kernel(
        {
            "JUPYTER_ENERGY_SYSFS": str(tmp_path / "sys"),  # whatever cloud the tests run on
            "JUPYTER_ENERGY_ZONE": "gcp:us-east4",
        }
    )
    assert kernel.run(LOAD).status == "ok"
    before = kernel.run("%energy plan")
    assert "nothing is recorded to plan from: run a cell first" in before.stderr + before.stdout
    assert "--hours 6" in before.stderr + before.stdout
    assert kernel.run("%energy plan --hours 6 --json").status == "ok"
    assert kernel.run("n = sum(i * i for i in range(10**6))").status == "ok"
    done = kernel.run("%energy plan --json")
    plan = json.loads(done.stdout)
    # Every cell counts, those that ask for a plan too.
    assert plan["job"]["said"].startswith("the 3 cells of this session")
    assert plan["rankings"][0]["of"] == "regions of Google Cloud"
    assert plan["advice"][0]["what"] == "region"
    (small,) = kernel.run("%energy plan").displays  # and no picture of next to nothing
    assert "too small for any change to matter" in small["text/plain"]
    shown = kernel.run("%energy plan --hours 2000")
    assert (shown.status, shown.stderr) == ("ok", "")
    words, picture = shown.displays
    assert words["text/plain"].startswith("Plan for ")
    assert "attributed to this run" in words["text/html"]
    assert "image/png" in picture
    # What the picture shows, in words, where nbconvert looks for it.
    assert shown.metadata == [{}, {"image/png": {"alt": picture["text/plain"]}}]
    assert shown.ids == [None, None]
    (alone,) = kernel.run("%energy plan --hours 2000 --no-figure").displays
    assert "image/png" not in alone
    assert kernel.run("print(n)").stdout == "333332833333500000\n"
