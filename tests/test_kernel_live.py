"""What a real kernel sends to its pages, and when it keeps quiet."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import StartKernel
from harness import LIMIT_S, Kernel, drain

from jupyter_energy.live_message import COMM_ID

# Longer than a message after a cell may come late.
QUIET_S = 1.5
LOAD = "%load_ext jupyter_energy"


def messages(kernel: Kernel, until: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """All messages of the kernel up to the first for which `until` is true."""
    found = []
    deadline = time.monotonic() + LIMIT_S
    while True:
        message = kernel.client.get_iopub_msg(timeout=max(0.1, deadline - time.monotonic()))
        found.append(message)
        if until(message):
            return found


def live(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What of these is ours."""
    return [
        m["content"]["data"]
        for m in found
        if m["msg_type"] == "comm_msg" and m["content"]["comm_id"] == COMM_ID
    ]


def is_state(state: str) -> Callable[[dict[str, Any]], bool]:
    return lambda message: any(m["state"] == state for m in live([message]))


def told(kernel: Kernel, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first message of an idle kernel that is so; one that is late tells of what was before."""
    until = messages(kernel, lambda m: any(d["state"] == "idle" and true(d) for d in live([m])))
    return live(until)[-1]


def is_end_of(request: str) -> Callable[[dict[str, Any]], bool]:
    def found(message: dict[str, Any]) -> bool:
        of_it = message["parent_header"].get("msg_id") == request
        return of_it and message["content"].get("execution_state") == "idle"

    return found


def hello(kernel: Kernel, path: str | None, *cells: str, was: str | None = None) -> dict[str, Any]:
    """A page says hello; the kernel's answer."""
    data = {"op": "hello", "v": 1, "path": path, "was": was, "cells": list(cells)}
    session = kernel.client.session
    message = session.msg("comm_msg", {"comm_id": COMM_ID, "data": data})
    kernel.client.shell_channel.send(message)
    return live(messages(kernel, lambda m: any(d["path"] == path for d in live([m]))))[-1]


def loaded(start_kernel: StartKernel, **more: Any) -> Kernel:
    """A kernel that has loaded the extension and said so."""
    kernel = start_kernel(**more)
    kernel.send(LOAD)
    messages(kernel, is_state("idle"))
    kernel.flush()  # the store is there: a message that it keeps waiting tells no totals
    return kernel


def test_loading_is_told_and_the_comm_is_listed_so_that_a_page_can_ask_for_it(
    start_kernel: StartKernel,
) -> None:
    kernel = loaded(start_kernel)
    kernel.client.comm_info(COMM_ID)
    while True:
        reply = kernel.client.get_shell_msg(timeout=LIMIT_S)
        if reply["msg_type"] == "comm_info_reply":
            break
    assert list(reply["content"]["comms"]) == [COMM_ID]


@pytest.mark.every_kernel
def test_a_running_cell_is_told_with_its_power_and_then_its_end(
    start_kernel: StartKernel, tmp_path: Path
) -> None:
    kernel = loaded(start_kernel)
    heard = tmp_path / "heard"
    request = kernel.send(
        f"import os, time\nwhile not os.path.exists({str(heard)!r}): time.sleep(0.01)"
    )
    found = messages(kernel, is_state("running")) + messages(kernel, is_state("running"))
    heard.touch()
    found += messages(kernel, is_state("idle"))
    *running, idle = live(found)
    assert {m["state"] for m in running} == {"running"}
    for message in running:
        low, mid, high = message["estimated_w"]
        assert 0 < low < mid < high
        assert message["devices"]
        assert message["notebook"]["runs"] == 1
    energies = [m["notebook"]["estimated_j"][1] for m in (*running, idle)]
    assert energies == sorted(energies)
    assert (idle["estimated_w"], idle["notebook"]["runs"]) == (None, 1)
    statuses = [
        m["content"]["execution_state"]
        for m in found
        if m["msg_type"] == "status" and m["parent_header"].get("msg_id") == request
    ]
    assert statuses in (["busy"], ["busy", "idle"])


def test_a_loop_that_keeps_python_busy_does_not_silence_us(
    start_kernel: StartKernel, tmp_path: Path
) -> None:
    kernel = loaded(start_kernel)
    heard = tmp_path / "heard"
    kernel.run("import os")
    kernel.send(f"while not os.path.exists({str(heard)!r}):\n    for _ in range(1_000_000): pass")
    for _ in range(3):
        messages(kernel, is_state("running"))
    heard.touch()
    messages(kernel, is_state("idle"))


def test_our_messages_have_no_parent_so_that_no_cell_takes_them_for_output(
    start_kernel: StartKernel,
) -> None:
    kernel = loaded(start_kernel)
    kernel.send("%energy off\n%energy on")
    found = messages(kernel, is_state("idle"))
    assert [m["parent_header"] for m in found if live([m])] == [{}]


def test_an_idle_kernel_sends_nothing(start_kernel: StartKernel) -> None:
    kernel = loaded(start_kernel)
    kernel.send("1")
    told(kernel, lambda m: bool(m["notebook"]["runs"] == 1))
    time.sleep(QUIET_S)
    drain(kernel.client)
    time.sleep(QUIET_S)
    assert kernel.client.iopub_channel.msg_ready() is False


def test_a_loop_of_short_cells_is_told_a_few_times_and_loses_no_output(
    start_kernel: StartKernel,
) -> None:
    kernel = loaded(start_kernel)
    began_s = time.monotonic()
    for number in range(300):
        request = kernel.send(f"print({number})", silent=False)
    found = messages(kernel, is_end_of(request))
    found += messages(kernel, lambda m: any(d["notebook"]["runs"] == 300 for d in live([m])))
    took_s = time.monotonic() - began_s
    texts = "".join(m["content"]["text"] for m in found if m["msg_type"] == "stream")
    assert texts.split() == [str(number) for number in range(300)]
    assert len(live(found)) <= 4 + took_s + 1


@pytest.mark.every_kernel
def test_a_hello_is_answered_with_the_totals_also_after_a_restart_of_the_page(
    start_kernel: StartKernel,
) -> None:
    kernel = loaded(start_kernel)
    kernel.send("sum(range(10**6))", "0123abcd")
    first = told(kernel, lambda m: bool(m["notebook"]["runs"] == 1))
    for _ in range(2):
        answer = hello(kernel, "a.ipynb", "0123abcd")
        assert answer["path"] == "a.ipynb"
        assert answer["notebook"] == first["notebook"]
        time.sleep(0.3)  # answers are no more than five a second


def test_the_totals_of_a_notebook_survive_a_new_kernel_and_the_session_does_not(
    start_kernel: StartKernel,
) -> None:
    first = loaded(start_kernel)
    (first.folder / "a.ipynb").write_text('{"cells": []}')
    hello(first, "a.ipynb", "0123abcd", "4567cdef")
    first.send("sum(range(10**6))", "0123abcd")
    before = told(first, lambda m: bool(m["notebook"]["runs"] == 1))
    first.flush()
    second = loaded(start_kernel)
    after = hello(second, "a.ipynb", "0123abcd", "4567cdef")
    assert after["notebook"] == before["notebook"]
    assert after["session"]["runs"] == 0


def test_two_notebooks_on_one_kernel_have_each_their_own_totals(
    start_kernel: StartKernel,
) -> None:
    kernel = loaded(start_kernel)
    for name in ("a.ipynb", "b.ipynb"):
        (kernel.folder / name).write_text('{"cells": []}')
    assert hello(kernel, "a.ipynb", "aaaaaaa1", "aaaaaaa2").get("notebooks", 1) == 1
    time.sleep(0.3)
    assert hello(kernel, "b.ipynb", "bbbbbbb1", "bbbbbbb2")["notebooks"] == 2
    for cell, path, runs in (
        ("aaaaaaa1", "a.ipynb", 1),
        ("bbbbbbb1", "b.ipynb", 1),
        ("bbbbbbb2", "b.ipynb", 2),
    ):
        kernel.send("sum(range(1000))", cell)
        told(kernel, lambda m, own=(path, runs): (m["path"], m["notebook"]["runs"]) == own)  # type: ignore[misc]
    summary = kernel.run("%energy summary --json", "bbbbbbb1")
    assert '"runs": 2' in summary.stdout, summary.stdout


def test_a_notebook_that_is_renamed_keeps_its_totals(start_kernel: StartKernel) -> None:
    kernel = loaded(start_kernel)
    (kernel.folder / "a.ipynb").write_text('{"cells": []}')
    hello(kernel, "a.ipynb", "aaaaaaa1", "aaaaaaa2")
    kernel.send("sum(range(1000))", "aaaaaaa1")
    told(kernel, lambda m: bool(m["notebook"]["runs"] == 1))
    (kernel.folder / "a.ipynb").rename(kernel.folder / "z.ipynb")
    answer = hello(kernel, "z.ipynb", "aaaaaaa1", "aaaaaaa2", was="a.ipynb")
    assert (answer["path"], answer["notebook"]["runs"]) == ("z.ipynb", 1)
    assert "z.ipynb" in kernel.run("%energy summary --json").stdout


def test_unloading_is_told_and_nothing_comes_after_it(start_kernel: StartKernel) -> None:
    kernel = loaded(start_kernel)
    kernel.send("%unload_ext jupyter_energy")
    messages(kernel, is_state("gone"))
    request = kernel.send("1")
    assert live(messages(kernel, is_end_of(request))) == []
    time.sleep(QUIET_S)
    assert live(drain(kernel.client)) == []


def test_a_child_process_sends_nothing_of_its_own(start_kernel: StartKernel) -> None:
    kernel = loaded(start_kernel)
    forked = (
        "import os, time\n"
        "if (child := os.fork()) == 0:\n"
        "    get_ipython().events.trigger('post_run_cell', None)\n"
        "    time.sleep(1.2)\n"
        "    os._exit(0)\n"
        "_ = os.waitpid(child, 0)"
    )
    kernel.send(forked)
    found = live(messages(kernel, is_state("idle")))
    assert {m["state"] for m in found[:-1]} == {"running"}


def test_that_cells_are_not_measured_is_told_and_they_send_nothing(
    start_kernel: StartKernel,
) -> None:
    kernel = loaded(start_kernel)
    kernel.send("%energy off")
    told(kernel, lambda m: m["measuring"] is False)
    time.sleep(QUIET_S)
    drain(kernel.client)
    request = kernel.send("import time; time.sleep(0.8)")
    assert live(messages(kernel, is_end_of(request))) == []


def test_restated_grams_are_told_at_once(start_kernel: StartKernel) -> None:
    kernel = loaded(start_kernel, more={"JUPYTER_ENERGY_ZONE": "NO"})

    def grams_after(code: str, true: Callable[[list[float]], bool]) -> list[float]:
        kernel.send(code)
        message = told(kernel, lambda m: true(m["notebook"]["carbon_g"] or [0.0] * 3))
        found: list[float] = message["notebook"]["carbon_g"]
        return found

    grams_after("sum(range(10**7))", lambda grams: grams[1] > 0)
    kernel.send("%energy off")
    before = told(kernel, lambda m: m["measuring"] is False)["notebook"]["carbon_g"]
    low, mid, high = grams_after(
        "%energy recompute --zone PL --pue 2", lambda grams: grams[1] > 10 * before[1]
    )
    assert low < mid < high
    grams_after("%energy recompute --undo", lambda grams: grams == before)
