"""What stops the user's code may hit ours anywhere: nothing of ours hangs, leaks, or swallows it.

The signals are real, and come where CPython looks for them: as a function of Python begins, and as
one of C returns. One at each of these places in turn, by a profile function that counts them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from shell import Shell
from test_measure import Program

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

HEAD = """
import faulthandler, signal
from jupyter_energy.blocks import current

class Late(Exception): pass

faulthandler.dump_traceback_later(120, exit=True)  # where it hangs
for _ in range(3):
    with je.measure("block"): pass
current().sampler.wait_until_found(60)
"""

EVERYWHERE = """
WAYS = (KeyboardInterrupt, Late, TimeoutError)
way = left = ran = swallowed = 0

def stop(*_):
    raise WAYS[way]

def count(frame, event, _):
    global left
    if event in ("call", "c_return") and counts(frame.f_code):
        left -= 1
        if left == 0:
            signal.raise_signal(signal.SIGUSR1)

signal.signal(signal.SIGUSR1, stop)
places = 1
while True:
    left, way = places, places % len(WAYS)
    sys.setprofile(count)
    try:
        with je.measure("block"):
            ran += 1
        sys.setprofile(None)
        if left > 0:
            break
        swallowed += 1
    except WAYS[way]:
        sys.setprofile(None)
    places += STEP
with je.measure("after") as m: pass
threads = [thread.name for thread in threading.enumerate()]
left_over = len(threads) - len(set(threads)) + len(current().outermost())
print(json.dumps([places, swallowed, ran + 3, left_over, m.result.outcome]))
"""


# Every seventeenth place, in the three ways in turn; and each of those in Python's own code of
# locks, where what stops it leaves a lock taken.
WHERE = {
    "anywhere": "STEP = 17\ncounts = lambda code: True\n",
    "where a lock is taken": (
        "STEP = 1\nimport queue, concurrent.futures._base as base\n"
        "LOCKS = {threading.__file__, queue.__file__, base.__file__}\n"
        "counts = lambda code: code.co_filename in LOCKS\n"
    ),
}

# A handler that measures, or a generator that the garbage collector ends: within our own code.
WITHIN = """
left = inner = 0

def measures(*_):
    global inner
    with je.measure("inner"): inner += 1

def generator():
    with je.measure("generator"): yield

def ends_one(*_):
    global inner, unfinished
    inner += 1
    unfinished = None

unfinished = None
signal.signal(signal.SIGUSR1, HANDLER)

def count(frame, event, _):
    global left
    if event in ("call", "c_return"):
        left -= 1
        if left == 0:
            signal.raise_signal(signal.SIGUSR1)

left, places, outer = -1, 1, 0
while left < 0:
    if HANDLER is ends_one:
        unfinished = generator()
        next(unfinished)
    left = places
    sys.setprofile(count)
    with je.measure("block"):
        outer += 1
    sys.setprofile(None)
    places += 29
unfinished = None
threads = [thread.name for thread in threading.enumerate()]
left_over = len(threads) - len(set(threads)) + len(current().outermost())
print(json.dumps([inner, outer + 3, left_over]))
"""


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(Shell(tmp_path))


@pytest.mark.parametrize("where", WHERE)
def test_ctrl_c_or_a_limit_of_time_that_hits_us_reaches_the_user_and_costs_nothing(
    program: Program, where: str
) -> None:
    ((places, swallowed, ran, left_over, outcome),) = program.run(HEAD + WHERE[where] + EVERYWHERE)
    assert places > (100 if where == "anywhere" else 1)
    assert (swallowed, left_over, outcome) == (0, 0, "ok")
    assert program.rows()["block"]["runs"] == ran


@pytest.mark.parametrize("handler", ["measures", "ends_one"])
def test_a_measurement_within_our_own_code_hangs_nothing_and_each_has_its_record(
    program: Program, handler: str
) -> None:
    code = WITHIN.replace("HANDLER", handler)
    ((inner, outer, left_over),) = program.run(HEAD + code)
    assert inner > 50
    assert left_over == 0
    kept: dict[str, int] = {}
    for cell in program.shell.summary(program.path)["cells"]:
        kept[cell["name"]] = kept.get(cell["name"], 0) + cell["runs"]
    assert kept.pop("block") == outer
    (within,) = kept.values()
    assert within in (inner, inner + 1)  # one more generator than was ended within
