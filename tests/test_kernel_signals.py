"""Signals of the user's that come while our hooks run reach the user's cell (promise 5.1)."""

from __future__ import annotations

from pathlib import Path

from conftest import StartKernel
from harness import LOAD, Kernel
from test_kernel_lifecycle import INTERRUPTING_SENSOR, third_party_sensor

# A limit to the time of a cell, as notebooks have it; the sensor sends its signal in our hooks.
HANDLER = """\
import os, signal, time
class Late(Exception): pass
came = []
def late(*_):
    came.append(1)
    raise Late("of the user")
signal.signal(signal.SIGALRM, late)
"""
ARM_BEFORE = """\
class Arm:
    def __call__(self, info):
        if "sleep" in info.raw_cell: os.environ["ARMED"] = str(os.getpid())
get_ipython().events.callbacks["pre_run_cell"].insert(0, Arm())
"""
SENSOR = INTERRUPTING_SENSOR.replace("SIGINT", "SIGALRM")


def prepared(start_kernel: StartKernel, folder: Path) -> Kernel:
    """A kernel whose sensors are found, with a handler of the user's."""
    kernel = start_kernel(third_party_sensor(folder / "site", SENSOR))
    kernel.run(LOAD)
    kernel.run(f"%%energy -q\n{HANDLER}")
    return kernel


def test_an_alarm_of_the_users_that_hits_our_hook_before_a_cell_stops_the_cell(
    start_kernel: StartKernel, tmp_path: Path
) -> None:
    kernel = prepared(start_kernel, tmp_path)
    kernel.run(ARM_BEFORE)
    result = kernel.run("time.sleep(600)")
    assert result.error is not None
    assert result.error[:2] == ("Late", "of the user")
    assert result.stderr == ""
    assert kernel.run("'alive'").value == {"text/plain": "'alive'"}


def test_an_alarm_of_the_users_that_hits_our_hook_after_a_cell_costs_no_record(
    start_kernel: StartKernel, tmp_path: Path
) -> None:
    kernel = prepared(start_kernel, tmp_path)
    result = kernel.run("%%energy\nos.environ['ARMED'] = str(os.getpid())\n'done'")
    assert result.value == {"text/plain": "'done'"}
    assert (result.stdout, result.stderr) == ("", "")
    (cell,) = result.energy
    assert cell["warnings"] == []
    (counter,) = [d for d in cell["domains"] if d["source"] == "interrupting"]
    assert counter["energy_j"] > 0  # read again, since a first reading was stopped
    assert kernel.value("came") == [1]
    assert kernel.run("'alive'").value == {"text/plain": "'alive'"}
