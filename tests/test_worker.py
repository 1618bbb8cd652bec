"""One thread that runs calls in order, and is nobody's hostage."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading

import pytest
from standins.sensors import LIMIT_S

from jupyter_energy.answer import Answer
from jupyter_energy.errors import EnergyError
from jupyter_energy.worker import Worker


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def test_calls_run_in_order_on_one_thread_of_that_name() -> None:
    worker = Worker("tested worker")
    seen: list[tuple[int, str]] = []

    def call(number: int) -> int:
        seen.append((number, threading.current_thread().name))
        return number

    futures: list[Answer[int]] = [worker.submit(lambda n=n: call(n)) for n in range(20)]
    assert [future.result(LIMIT_S) for future in futures] == list(range(20))
    assert seen == [(number, "tested worker") for number in range(20)]
    assert worker.close(LIMIT_S)


def test_no_thread_runs_before_the_first_call_and_none_after_the_end() -> None:
    worker = Worker("lazy worker")
    assert "lazy worker" not in names()
    worker.submit(lambda: None).result(LIMIT_S)
    assert "lazy worker" in names()
    assert worker.close(LIMIT_S)
    assert "lazy worker" not in names()


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
def test_what_a_call_raises_reaches_who_waits_and_the_next_call_runs(error: BaseException) -> None:
    worker = Worker("raising")

    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        worker.submit(fail).result(LIMIT_S)
    assert raised.value is error
    assert worker.submit(lambda: "alive").result(LIMIT_S) == "alive"
    assert worker.close(LIMIT_S)


def test_what_was_submitted_before_the_end_is_still_done() -> None:
    worker, gate, done = Worker("ending"), threading.Event(), []
    worker.submit(gate.wait)
    worker.submit(lambda: done.append("written"))
    assert not worker.close(0)  # the thread has not ended: the first call still waits
    (thread,) = (t for t in threading.enumerate() if t.name == "ending")
    gate.set()
    thread.join(LIMIT_S)
    assert done == ["written"]


def test_closing_twice_or_before_any_call_is_no_fault() -> None:
    worker = Worker("idle")
    assert worker.close()
    assert worker.close(LIMIT_S)


def test_a_call_that_hangs_does_not_keep_the_process_from_ending() -> None:
    code = (
        "import threading; from jupyter_energy.worker import Worker; "
        "w = Worker('hanging'); begun = threading.Event(); "
        "w.submit(lambda: (begun.set(), threading.Event().wait())); begun.wait(); print('end')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "end", "")


def test_where_no_thread_is_to_be_had_a_call_is_made_at_once() -> None:
    """In a process that may have no more threads; root is under no such limit, so as nobody."""
    code = (
        "import os, resource, threading\n"
        "from jupyter_energy.worker import Worker\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))\n"
        "try:\n"
        "    threading.Thread(target=print).start()\n"
        "except RuntimeError:\n"
        "    worker = Worker('none')\n"
        "    print(worker.submit(lambda: 6 * 7).result(0), worker.close())\n"
    )
    paths = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("42 True\n", "")


def test_a_call_after_the_end_begins_no_thread_and_says_so() -> None:
    worker = Worker("ended")
    assert worker.submit(lambda: 1).result(LIMIT_S) == 1
    assert worker.close(LIMIT_S)
    with pytest.raises(EnergyError, match="unloaded"):
        worker.submit(lambda: 2).result(0)
    assert "ended" not in names()


def test_of_what_is_to_be_done_later_the_last_is_done_once() -> None:
    worker, seen = Worker("later worker"), []
    done = threading.Event()

    def late() -> None:
        seen.append("late")
        done.set()

    worker.later(0.01, lambda: seen.append("never"))
    worker.later(0.01, late)
    worker.submit(lambda: seen.append("call"))
    assert done.wait(LIMIT_S)
    worker.submit(lambda: seen.append("another")).result(LIMIT_S)
    assert worker.close(LIMIT_S)
    assert sorted(seen) == ["another", "call", "late"]


def test_what_is_to_be_done_later_is_done_while_calls_follow_each_other_without_end() -> None:
    worker, done = Worker("busy worker"), threading.Event()
    worker.later(0.01, done.set)

    def again() -> None:
        if not done.is_set():
            worker.submit(again)

    again()
    assert done.wait(LIMIT_S)
    assert worker.close(LIMIT_S)


def test_what_is_done_later_may_be_done_again_and_again() -> None:
    worker, times = Worker("beating worker"), []
    done = threading.Event()

    def beat() -> None:
        times.append(1)
        if len(times) < 3:
            worker.later(0.0, beat)
        else:
            done.set()

    worker.later(0.0, beat)
    worker.submit(lambda: None)
    assert done.wait(LIMIT_S)
    assert worker.close(LIMIT_S)


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)  # the test's own
def test_what_is_thrown_into_the_thread_from_outside_ends_nothing() -> None:
    """As code in a cell can; its traceback would be printed into that cell, too."""
    worker = Worker("killed worker")
    thread = worker.submit(threading.current_thread).result(LIMIT_S)
    kill = ctypes.pythonapi.PyThreadState_SetAsyncExc
    kill(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))
    worker.submit(lambda: None)  # it wakes up, and is hit
    assert worker.submit(lambda: 3).result(LIMIT_S) == 3
    assert worker.close(LIMIT_S)


def test_what_fails_later_stops_no_call() -> None:
    worker = Worker("failing worker")
    failed = threading.Event()

    def fail() -> None:
        failed.set()
        raise OSError("no")

    worker.later(0.01, fail)
    worker.submit(lambda: None)
    assert failed.wait(LIMIT_S)
    assert worker.submit(lambda: 3).result(LIMIT_S) == 3
    assert worker.close(LIMIT_S)


def test_a_worker_that_has_something_to_do_much_later_ends_at_once() -> None:
    worker = Worker("patient worker")
    worker.later(LIMIT_S * 10, lambda: None)
    worker.submit(lambda: None).result(LIMIT_S)
    assert worker.close(LIMIT_S)
