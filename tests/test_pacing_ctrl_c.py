"""Ctrl-C on a terminal ends what is held in a script at once, whoever else handles it."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from shell import IN_A_TERMINAL, LIMIT_S, Shell
from standins.web_server import Service
from test_kernel_pacing import clean_in_two_hours

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no pseudo-terminal")

BEGIN = """
import asyncio, signal, sys, threading, time
import jupyter_energy as je

def hold():
    waited = je.wait_for_clean_power(hours=0.5, on_anyway=True)
    print("began:", waited, flush=True)

def pause():
    for i in je.carbon_aware(range(10**6), extend="6h", hours=2):
        time.sleep(0.02)
        if came:
            break

came = []
def mine(number, frame):
    came.append(number)
"""
# How an uncaught KeyboardInterrupt ends Python, as a shell sees it.
BY_CTRL_C = -signal.SIGINT


class Script:
    """A script on a pseudo-terminal of its own."""

    def __init__(self, path: Path, environ: dict[str, str]) -> None:
        self.ours, its = os.openpty()
        self.shown = ""
        command = [sys.executable, "-c", IN_A_TERMINAL, sys.executable, str(path)]
        self.child = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environ)
        os.close(its)

    def wait_for(self, text: str) -> None:
        """Read until a text is shown; where it is empty, until the end."""
        while not text or text not in self.shown:
            ready, _, _ = select.select([self.ours], [], [], LIMIT_S)
            assert ready, self.shown
            try:
                piece = os.read(self.ours, 4096)
            except OSError:  # Linux's word for the end of a terminal
                piece = b""
            if not piece:
                assert not text, self.shown
                return
            self.shown += piece.decode(errors="replace")

    def press_ctrl_c(self) -> None:
        os.write(self.ours, b"\x03")

    def end(self) -> int:
        self.wait_for("")
        return self.child.wait(LIMIT_S)


class Rig:
    """Scripts that are held for two hours."""

    def __init__(self, folder: Path, url: str) -> None:
        self.shell = Shell(folder)
        power = folder / "power.csv"
        power.write_text("t_s,domain,watts\n0,gpu:0,300\n1000,gpu:0,300\n")
        self.environ = self.shell.environ | {
            "JUPYTER_ENERGY_REPLAY": str(power),
            "JUPYTER_ENERGY_ZONE": "FR",
            "JUPYTER_ENERGY_PROVIDER": "energy_charts",
            "JUPYTER_ENERGY_PROVIDER_URL": url,
            "JUPYTER_ENERGY_CACHE": str(folder / "answers"),
            "no_proxy": "127.0.0.1",
        }
        self.path = folder / "train.py"
        self.scripts: list[Script] = []

    def begin(self, body: str) -> Script:
        self.path.write_text(BEGIN + body)
        self.scripts.append(Script(self.path, self.environ))
        return self.scripts[-1]

    def stopped(self, body: str, when: str = "waits until") -> tuple[int, str]:
        """How a script ends in which Ctrl-C is pressed once when it shows `when`, and all that it
        shows."""
        script = self.begin(body)
        script.wait_for(when)
        script.press_ctrl_c()
        return script.end(), script.shown


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Service(clean_in_two_hours).running() as served:
        rig = Rig(tmp_path, served.url)
        try:
            yield rig
        finally:
            for script in rig.scripts:
                if script.child.poll() is None:
                    script.child.kill()
                script.child.wait()
                os.close(script.ours)


ASYNC = {
    "its main task": "async def main():\n    hold()\n",
    "a task of it": "async def f(): hold()\nasync def main():\n    await asyncio.gather(f())\n",
    "a callback": (
        "async def main():\n"
        "    asyncio.get_running_loop().call_soon(hold)\n    await asyncio.sleep(600)\n"
    ),
}


@pytest.mark.parametrize("main", ASYNC.values(), ids=ASYNC)
def test_the_first_ctrl_c_ends_a_wait_under_asyncio_run(rig: Rig, main: str) -> None:
    status, shown = rig.stopped(f"{main}asyncio.run(main())\n")
    assert status == BY_CTRL_C, shown
    assert "stopped while it waited" in shown
    assert shown.rstrip().endswith("KeyboardInterrupt")
    assert "began:" not in shown


def test_what_a_task_does_at_its_end_is_done_in_peace_after_ctrl_c(rig: Rig) -> None:
    status, shown = rig.stopped(
        "async def main():\n"
        "    try: hold()\n"
        "    finally:\n"
        "        await asyncio.sleep(0.1)\n"
        "        print('saved', flush=True)\n"
        "asyncio.run(main())\n"
    )
    assert status == BY_CTRL_C, shown
    assert "saved" in shown


def test_asyncio_hears_ctrl_c_as_ever_once_nothing_is_held(rig: Rig) -> None:
    script = rig.begin(
        "async def main():\n"
        "    before = signal.getsignal(signal.SIGINT)\n"
        "    try: hold()\n"
        "    except KeyboardInterrupt: pass\n"
        "    print(signal.getsignal(signal.SIGINT) is before, flush=True)\n"
        "    try: await asyncio.sleep(600)\n"
        "    except asyncio.CancelledError:\n"
        "        print('cancelled', flush=True)\n"
        "        raise\n"
        "asyncio.run(main())\n"
    )
    script.wait_for("waits until")
    script.press_ctrl_c()
    script.wait_for("True")
    script.press_ctrl_c()
    assert script.end() == BY_CTRL_C, script.shown
    assert "cancelled" in script.shown


def test_a_handler_of_the_users_that_raises_nothing_is_called_and_the_run_begins(rig: Rig) -> None:
    status, shown = rig.stopped(
        "signal.signal(signal.SIGINT, mine)\n"
        "hold()\n"
        "print(came, signal.getsignal(signal.SIGINT) is mine)\n"
    )
    assert status == 0, shown
    assert re.search(r"began: waited [0-9.]+ m?s: its wait was stopped", shown), shown
    assert "[2] True" in shown


@pytest.mark.slow
def test_a_handler_of_the_users_that_raises_nothing_lets_a_loop_run_on_without_pauses(
    rig: Rig,
) -> None:
    status, shown = rig.stopped(
        "signal.signal(signal.SIGINT, mine)\n"
        "pause()\n"
        "print(came, signal.getsignal(signal.SIGINT) is mine)\n",
        "paused until",
    )
    assert status == 0, shown
    assert "runs on without pauses: Ctrl-C has stopped one" in shown
    assert "[2] True" in shown


def test_what_a_handler_of_the_users_raises_goes_through(rig: Rig) -> None:
    status, shown = rig.stopped(
        "class Late(Exception): pass\n"
        "def late(*_): raise Late('of the user')\n"
        "signal.signal(signal.SIGINT, late)\n"
        "try: hold()\n"
        "except Late as error: print(error, signal.getsignal(signal.SIGINT) is late)\n"
    )
    assert status == 0, shown
    assert "of the user True" in shown
    assert "began:" not in shown


def test_a_handler_that_gives_way_to_another_is_not_put_back(rig: Rig) -> None:
    status, shown = rig.stopped(
        "def once(*_): signal.signal(signal.SIGINT, mine)\n"
        "signal.signal(signal.SIGINT, once)\n"
        "hold()\n"
        "print(signal.getsignal(signal.SIGINT) is mine)\n"
    )
    assert status == 0, shown
    assert "True" in shown


def test_ctrl_c_that_the_user_ignores_is_ignored(rig: Rig) -> None:
    script = rig.begin(
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "signal.signal(signal.SIGUSR1, signal.default_int_handler)\n"
        "try: hold()\n"
        "except KeyboardInterrupt: print('by the other')\n"
    )
    script.wait_for("waits until")
    script.press_ctrl_c()
    script.wait_for("^C")  # the terminal shows it once it is sent
    os.kill(script.child.pid, signal.SIGUSR1)
    assert script.end() == 0, script.shown
    assert "by the other" in script.shown


def test_ctrl_c_reaches_the_main_thread_while_another_one_is_held(rig: Rig) -> None:
    status, shown = rig.stopped(
        "threading.Thread(target=hold, daemon=True).start()\n"
        "try: time.sleep(600)\n"
        "except KeyboardInterrupt: print('heard', flush=True)\n"
    )
    assert status == 0, shown
    assert "heard" in shown
