"""Waits and pauses in a real kernel: one line in place, Ctrl-C at any moment, a record of each."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import StartKernel
from harness import LIMIT_S, LOAD, Kernel
from standins.web_server import Asked, Service, Told


def clean_in_two_hours(_: Asked) -> Told:
    """Energy-Charts: 1500 g CO2e/kWh for two hours, then 15 for a day."""
    now = int(time.time()) // 900 * 900
    starts = range(now - 3600, now + 24 * 3600, 900)
    values = [1500.0 if start < now + 2 * 3600 else 15.0 for start in starts]
    measured = [value if start < now else None for value, start in zip(values, starts, strict=True)]
    return Told(
        200,
        {
            "license_info": "CC BY 4.0",
            "unix_seconds": [*starts],
            "co2eq": measured,
            "co2eq_forecast": values,
            "substitute": False,
            "deprecated": False,
        },
    )


@pytest.fixture
def kernel(start_kernel: StartKernel, tmp_path: Path) -> Iterator[Kernel]:
    # A pause draws what the memory draws, and so it saves next to nothing in a loop of sleeps on a
    # machine with much memory: this one has a GPU at work.
    power = tmp_path / "power.csv"
    power.write_text("t_s,domain,watts\n0,gpu:0,300\n1000,gpu:0,300\n")
    with Service(clean_in_two_hours).running() as served:
        kernel = start_kernel(
            {
                "JUPYTER_ENERGY_REPLAY": str(power),
                "JUPYTER_ENERGY_ZONE": "FR",
                "JUPYTER_ENERGY_PROVIDER": "energy_charts",
                "JUPYTER_ENERGY_PROVIDER_URL": served.url,
                "JUPYTER_ENERGY_CACHE": str(tmp_path / "answers"),
                "no_proxy": "127.0.0.1",
            }
        )
        kernel.run(LOAD)
        kernel.run("%energy on\nimport time, jupyter_energy as je")
        yield kernel


def stopped_in(kernel: Kernel, code: str, when: str) -> tuple[list[str], str, Any]:
    """What a cell shows that is interrupted when it shows `when`: its displays as they were
    replaced, its stdout, its reply."""
    # An older kernel aborts what is run for a while after an error that stops.
    request = kernel.send(code, stop_on_error=False)
    deadline_s = time.monotonic() + LIMIT_S
    shown: list[str] = []
    ids, stdout, is_sent = set(), "", False
    while True:
        left_s = max(0.1, deadline_s - time.monotonic())
        message = kernel.client.get_iopub_msg(timeout=left_s)
        content = message["content"]
        if message["parent_header"].get("msg_id") != request:
            continue
        if message["msg_type"] in ("display_data", "update_display_data"):
            shown.append(content["data"]["text/plain"])
            ids.add(content["transient"]["display_id"])
        if message["msg_type"] == "stream":
            stdout += content["text"]
        if not is_sent and shown and when in shown[-1]:
            is_sent = True
            kernel.manager.interrupt_kernel()
        if content.get("execution_state") == "idle":
            assert len(ids) == 1  # one line, replaced in place
            return shown, stdout, kernel.client.get_shell_msg(timeout=LIMIT_S)["content"]


def rows(kernel: Kernel) -> dict[str | None, Any]:
    cells = json.loads(kernel.run("%energy summary --json").stdout)["cells"]
    return {cell["name"]: cell for cell in cells if cell["shift"] is not None}


def test_ctrl_c_ends_a_wait_and_its_cell_and_the_record_tells_of_it(kernel: Kernel) -> None:
    shown, stdout, reply = stopped_in(
        *(kernel, "je.wait_for_clean_power(hours=0.5, on_anyway=True)\nprint('began')"),
        "waits until",
    )
    assert (reply["status"], reply["ename"], stdout) == ("error", "KeyboardInterrupt", "")
    assert (
        "99 % of the emissions attributed to this run (the machine runs anyway), by the forecast "
        "of Energy-Charts" in (shown[0])
    )
    assert shown[-1] == "jupyter-energy: stopped while it waited"
    assert kernel.run("'alive'").value == {"text/plain": "'alive'"}
    (cell,) = rows(kernel).values()
    assert cell["outcome"] == "interrupted"
    assert cell["shift"]["planned_fraction"] == pytest.approx(0.99)
    assert cell["shift"]["basis"] == "forecast"


def test_ctrl_c_ends_a_pause_and_its_loop_and_the_record_tells_of_it(kernel: Kernel) -> None:
    loop = "for i in je.carbon_aware(range(10**6), extend='6h', hours=2): time.sleep(0.02)"
    shown, _, reply = stopped_in(kernel, f"{loop}\nprint('ended')", "paused until")
    assert (reply["status"], reply["ename"]) == ("error", "KeyboardInterrupt")
    assert any("stopped while it was paused" in line for line in shown)
    assert "planned" in shown[-1]
    assert kernel.run("'alive'").value == {"text/plain": "'alive'"}
    cell = rows(kernel)["carbon_aware"]
    assert cell["outcome"] == "interrupted"
    assert cell["shift"]["planned_fraction"] > 0.2
