"""Ctrl-C ends what is held in code that awaits too, where kernels put it off to the next await."""

from __future__ import annotations

import re
import time

import pytest
from harness import LIMIT_S, Kernel
from test_kernel_pacing import kernel, rows, stopped_in

__all__ = ["kernel"]  # a fixture
pytestmark = pytest.mark.every_kernel
BEGIN = "import asyncio, signal\nhandler = signal.getsignal(signal.SIGINT)\n"
WAIT = "je.wait_for_clean_power(hours=0.5, on_anyway=True)\n"
PAUSED = """\
async def train():
    for i in je.carbon_aware(range(10**6), extend='6h', hours=2):
        await asyncio.sleep(0.02)
"""
IS_AS_BEFORE = "print(signal.getsignal(signal.SIGINT) is handler)\n"
AWAIT = "await asyncio.sleep(0)\n"


def test_ctrl_c_ends_a_wait_in_a_cell_that_awaits(kernel: Kernel) -> None:
    code = f"{BEGIN}try: {WAIT}finally:\n    {IS_AS_BEFORE}print('began')\n{AWAIT}"
    shown, stdout, reply = stopped_in(kernel, code, "waits until")
    assert (reply["status"], reply["ename"], stdout) == ("error", "KeyboardInterrupt", "True\n")
    assert shown[-1] == "jupyter-energy: stopped while it waited"
    assert kernel.run(f"{AWAIT}'alive'").value == {"text/plain": "'alive'"}
    (cell,) = rows(kernel).values()
    assert cell["outcome"] == "interrupted"


@pytest.mark.slow
def test_ctrl_c_ends_a_pause_in_a_cell_that_awaits(kernel: Kernel) -> None:
    code = f"{BEGIN}{PAUSED}await train()\nprint('ended')"
    shown, stdout, reply = stopped_in(kernel, code, "paused until")
    assert (reply["status"], reply["ename"], stdout) == ("error", "KeyboardInterrupt", "")
    assert any("stopped while it was paused" in line for line in shown)
    assert kernel.run(f"{AWAIT}'alive'").value == {"text/plain": "'alive'"}
    assert rows(kernel)["carbon_aware"]["outcome"] == "interrupted"


def test_ctrl_c_ends_a_wait_in_a_task_of_a_cell_and_the_cell_and_not_the_kernel(
    kernel: Kernel,
) -> None:
    code = f"{BEGIN}async def train():\n    {WAIT}\nawait asyncio.gather(train())\nprint('ended')"
    shown, stdout, reply = stopped_in(kernel, code, "waits until")
    # What ipykernel gives wherever a cell is interrupted that awaits.
    assert (reply["status"], reply["ename"], stdout) == ("error", "CancelledError", "")
    assert shown[-1] == "jupyter-energy: stopped while it waited"
    assert kernel.run(f"{AWAIT}'alive'").value == {"text/plain": "'alive'"}


def test_ctrl_c_ends_a_wait_in_a_task_whose_cell_is_over(kernel: Kernel) -> None:
    code = (
        f"{BEGIN}go = asyncio.Event()\n"
        f"async def train():\n    await go.wait()\n    {WAIT}\n"
        "task = asyncio.ensure_future(train())\n"
        "asyncio.get_event_loop().call_later(0.3, go.set)"
    )
    request = kernel.send(code, stop_on_error=False)
    deadline_s = time.monotonic() + LIMIT_S
    while True:
        left_s = max(0.1, deadline_s - time.monotonic())
        content = kernel.client.get_iopub_msg(timeout=left_s)["content"]
        if "waits until" in content.get("data", {}).get("text/plain", ""):
            break
    kernel.manager.interrupt_kernel()
    assert kernel.client.get_shell_msg(timeout=LIMIT_S)["parent_header"]["msg_id"] == request
    assert kernel.value("[task.done(), task.cancelled()]") == [True, True]


def test_a_handler_of_the_users_that_raises_nothing_lets_the_cell_go_on(kernel: Kernel) -> None:
    mine = "handler = lambda *_: came.append(1)\ncame = []\n"
    code = (
        f"import asyncio, signal\n{mine}before = signal.signal(signal.SIGINT, handler)\n"
        f"waited = {WAIT}{IS_AS_BEFORE}print(len(came), waited)\n"
        f"signal.signal(signal.SIGINT, before);\n{AWAIT}"
    )
    shown, stdout, reply = stopped_in(kernel, code, "waits until")
    assert reply["status"] == "ok"
    assert re.fullmatch(r"True\n1 waited [0-9.]+ m?s: its wait was stopped\n", stdout), stdout
    assert shown[-1] == "jupyter-energy: stopped while it waited"
    (cell,) = rows(kernel).values()
    assert (cell["outcome"], cell["shift"]["planned_fraction"]) == ("ok", pytest.approx(0.99))
