"""`je.measure` and `@je.measured` in plain Python: real processes, real stores."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from shell import LIMIT_S, Shell

HEAD = """
import json, os, sys, threading, time
import jupyter_energy as je

def work():
    return sum(i * i for i in range(10**5))

"""


class Program:
    """A script in a process of its own, and what the store holds after it."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.path = shell.folder / "train.py"

    def run(self, body: str, status: int = 0, said: str | None = "", **more: str) -> list[Any]:
        """What it printed, a JSON document a line. `said`: all of its stderr; None: any."""
        self.path.write_text(HEAD + body)
        done = self.shell.python("-W", "error", self.path, more=more)
        self.stderr = done.stderr
        assert done.returncode == status, done.stderr
        assert said is None or done.stderr == said, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def rows(self) -> dict[str, Any]:
        """The rows in the store by name."""
        return {cell["name"]: cell for cell in self.shell.summary(self.path)["cells"]}

    def totals(self) -> Any:
        """The totals in the store."""
        return self.shell.summary(self.path)["totals"]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(Shell(tmp_path))


# -- the result ----------------------------------------------------------------------------


def test_a_result_has_the_fields_people_rely_on(program: Program) -> None:
    (before, during, fields, document) = program.run(
        "block = je.measure('epoch 3')\n"
        "print(json.dumps(block.result))\n"
        "with block as m:\n"
        "    print(json.dumps(m.result))\n"
        "    work()\n"
        "r = m.result\n"
        "print(json.dumps({'name': r.name, 'energy_j': r.energy_j, 'outcome': r.outcome,\n"
        "    'estimate': [type(r.estimated_j).__name__, r.estimated_j.low, r.estimated_j.mid,\n"
        "                 r.estimated_j.high], 'average_w': r.average_w,\n"
        "    'duration_s': r.duration_s, 'carbon_g': [r.carbon_g.low, r.carbon_g.high],\n"
        "    'zone': r.emissions.intensity.zone, 'kinds': [d.domain.kind for d in r.domains]}))\n"
        "print(json.dumps(r.to_dict()))\n"
    )
    assert (before, during) == (None, None)
    assert (fields["name"], fields["outcome"], fields["energy_j"]) == ("epoch 3", "ok", None)
    kind, low_j, mid_j, high_j = fields["estimate"]
    assert kind == "Range"
    assert 0 < low_j < mid_j < high_j
    assert fields["average_w"] * fields["duration_s"] == pytest.approx(mid_j)
    assert 0 < fields["carbon_g"][0] < fields["carbon_g"][1]
    assert fields["zone"] == "FR"
    assert fields["kinds"] == ["package", "dram"]
    assert document["estimated_j"] == {"low": low_j, "mid": mid_j, "high": high_j}
    assert document == program.rows()["epoch 3"]


def test_a_block_is_named_by_whatever_its_user_counts_with(program: Program) -> None:
    (names,) = program.run(
        "class Epoch:\n"
        "    def __str__(self): return 'epoch'\n"
        "names = []\n"
        "for name in (3, 2.5, Epoch(), 'x' * 10**6, 'half \\ud800', None):\n"
        "    with je.measure(name) as m: work()\n"
        "    names.append(m.result.name)\n"
        "@je.measured(name=7)\n"
        "def fit(): work()\n"
        "fit()\n"
        "print(json.dumps([*names, fit.result.name]))\n"
    )
    assert names == ["3", "2.5", "epoch", "x" * 199 + "…", "half ?", None, "7"]
    assert set(names) == set(program.rows())


def test_the_block_itself_is_not_changed_and_may_be_used_again(program: Program) -> None:
    (runs,) = program.run(
        "block = je.measure('again')\n"
        "ids = set()\n"
        "for _ in range(3):\n"
        "    with block as m:\n"
        "        pass\n"
        "    ids.add(m.result.run_id)\n"
        "print(len(ids))"
    )
    assert runs == 3
    assert program.rows()["again"]["runs"] == 3


def test_the_public_names_stay_what_they_are_however_often_they_are_used(
    program: Program,
) -> None:
    (same,) = program.run(
        "first = [getattr(je, name) for name in je.__all__]\n"
        "with je.measure(): pass\n"
        "import jupyter_energy, jupyter_energy.blocks, jupyter_energy.magics\n"
        "from jupyter_energy import measure, measured\n"
        "print(json.dumps([getattr(je, n) for n in je.__all__] == first and je.measure is measure))"
    )
    assert same is True


# -- what lies within what -----------------------------------------------------------------


def test_nested_blocks_have_rows_and_count_once(program: Program) -> None:
    program.run(
        "with je.measure('outer'):\n"
        "    for _ in range(2):\n"
        "        with je.measure('inner'):\n"
        "            work()\n"
    )
    rows, totals = program.rows(), program.totals()
    assert {name: row["runs"] for name, row in rows.items()} == {"outer": 1, "inner": 2}
    assert (totals["runs"], totals["duration_s"]) == (1, rows["outer"]["duration_s"])
    assert totals["estimated_j"] == rows["outer"]["estimated_j"]
    assert rows["inner"]["duration_s"] < rows["outer"]["duration_s"]


THREADS = (
    "meet = threading.Barrier(4)\n"
    "seen = []\n"
    "def one(number):\n"
    "    with je.measure(f'thread {number}') as m:\n"
    "        meet.wait()\n"  # all four blocks are open now
    "        work()\n"
    "        meet.wait()\n"
    "    seen.append([m.result.outcome, m.result.within])\n"
    "def all_of_them():\n"
    "    threads = [threading.Thread(target=one, args=[n]) for n in range(4)]\n"
    "    for t in threads: t.start()\n"
    "    for t in threads: t.join()\n"
)


def test_threads_that_measure_at_the_same_time_each_have_their_record(program: Program) -> None:
    (seen,) = program.run(THREADS + "all_of_them()\nprint(json.dumps(seen))")
    assert seen == [["ok", None]] * 4
    assert set(program.rows()) == {f"thread {n}" for n in range(4)}


def test_threads_that_a_block_has_started_lie_within_it(program: Program) -> None:
    (outer, seen) = program.run(
        THREADS + "with je.measure('outer') as m:\n    all_of_them()\n"
        "print(json.dumps(m.result.run_id))\nprint(json.dumps(seen))"
    )
    assert seen == [["ok", outer]] * 4
    rows, totals = program.rows(), program.totals()
    assert len(rows) == 5
    assert (totals["runs"], totals["duration_s"]) == (1, rows["outer"]["duration_s"])


def test_a_thread_that_outlives_its_block_counts_on_its_own(program: Program) -> None:
    (within,) = program.run(
        "begun, end = threading.Event(), threading.Event()\n"
        "def one():\n"
        "    with je.measure('outlives') as m:\n"
        "        begun.set(); end.wait()\n"
        "    print(json.dumps(m.result.within))\n"
        "thread = threading.Thread(target=one)\n"
        "with je.measure('short'):\n"
        "    thread.start(); begun.wait()\n"
        "end.set(); thread.join()\n"
    )
    assert within is None
    assert program.totals()["runs"] == 2


def test_tasks_that_overlap_are_not_inside_of_one_another_but_inside_of_what_made_them(
    program: Program,
) -> None:
    (found,) = program.run(
        "import asyncio\n"
        "async def main():\n"
        "    first_open, second_open, first_ended = (asyncio.Event() for _ in range(3))\n"
        "    async def first():\n"
        "        with je.measure('first') as m:\n"
        "            first_open.set(); await second_open.wait()\n"
        "        first_ended.set()\n"
        "        return m.result\n"
        "    async def second():\n"
        "        await first_open.wait()\n"
        "        with je.measure('second') as m:\n"
        "            second_open.set(); await first_ended.wait()\n"
        "            with je.measure('third') as inner:\n"
        "                await asyncio.sleep(0)\n"
        "        assert inner.result.within == m.result.run_id\n"
        "        return m.result\n"
        "    alone = await asyncio.gather(first(), second())\n"
        "    for event in (first_open, second_open, first_ended): event.clear()\n"
        "    with je.measure('outer') as m:\n"
        "        within = await asyncio.gather(first(), second())\n"
        "    return [[r.within for r in alone], [r.within == m.result.run_id for r in within]]\n"
        "print(json.dumps(asyncio.run(main())))"
    )
    assert found == [[None, None], [True, True]]
    # A block on its own and one within another have rows of their own.
    cells = program.shell.summary(program.path)["cells"]
    assert sorted((cell["name"], cell["runs"]) for cell in cells) == [
        *(("first", 1), ("first", 1), ("outer", 1), ("second", 1), ("second", 1), ("third", 2)),
    ]
    assert program.totals()["runs"] == 3


def test_a_generator_that_nobody_finished_takes_no_later_block_into_itself_once_it_is_closed(
    program: Program,
) -> None:
    found = program.run(
        "def steps():\n"
        "    with je.measure('steps'):\n"
        "        yield 1\n"
        "        yield 2\n"
        "with je.measure('outer'):\n"
        "    left = steps()\n"
        "    next(left)\n"
        "with je.measure('later') as m:\n"  # the outer block has ended, and `left` never will
        "    work()\n"
        "print(json.dumps(m.result.within))\n"
        "left.close()\n"
        "with je.measure('last') as m:\n"
        "    work()\n"
        "print(json.dumps(m.result.within))"
    )
    assert found == [None, None]
    assert program.rows()["steps"]["outcome"] == "error"  # it was closed in mid-block


def test_a_generator_measures_from_its_first_step_to_its_last(program: Program) -> None:
    (values,) = program.run(
        "def steps():\n"
        "    with je.measure('steps') as m:\n"
        "        yield 1\n"
        "        yield 2\n"
        "    yield m.result.outcome\n"
        "print(json.dumps(list(steps())))\n"
    )
    assert values == [1, 2, "ok"]
    assert program.rows()["steps"]["runs"] == 1


# -- exceptions ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raised", "outcome"),
    [
        ("ValueError('mine')", "error"),
        ("KeyboardInterrupt()", "interrupted"),
        ("SystemExit(3)", "error"),
    ],
)
def test_what_the_block_raises_goes_on_unchanged_and_is_its_outcome(
    program: Program, raised: str, outcome: str
) -> None:
    (found,) = program.run(
        f"raised = {raised}\n"
        "try:\n"
        "    with je.measure('block') as m:\n"
        "        raise raised\n"
        "except BaseException as caught:\n"
        "    frames, at = [], caught.__traceback__\n"
        "    while at: frames.append(at.tb_frame.f_code.co_filename); at = at.tb_next\n"
        "    print(json.dumps([caught is raised, caught.__context__ is None,\n"
        "                      m.result.outcome, set(frames) == {__file__}]))"
    )
    assert found == [True, True, outcome, True]
    assert program.rows()["block"]["outcome"] == outcome


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_real_ctrl_c_in_a_block_is_kept_as_interrupted(program: Program) -> None:
    program.path.write_text(
        HEAD + "with je.measure('long'):\n    print('begun', flush=True)\n    time.sleep(600)\n"
    )
    running = subprocess.Popen(
        [sys.executable, str(program.path)],
        env=program.shell.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "begun\n"
    running.send_signal(signal.SIGINT)
    _, stderr = running.communicate(timeout=LIMIT_S)
    assert stderr.rstrip().endswith("KeyboardInterrupt")
    assert "jupyter_energy" not in stderr
    assert running.returncode in (-signal.SIGINT, 130, 1)
    assert program.rows()["long"]["outcome"] == "interrupted"


# -- @je.measured --------------------------------------------------------------------------


def test_a_measured_function_gives_its_own_result_and_keeps_its_name(program: Program) -> None:
    (found,) = program.run(
        "@je.measured\n"
        "def train(x: int, *, y: int = 2) -> int:\n"
        "    'Trains.'\n"
        "    return x * y\n"
        "before = train.result\n"
        "value = train(3, y=5)\n"
        "import inspect\n"
        "print(json.dumps([before, value, train.result.name, train.__name__, train.__doc__,\n"
        "    str(inspect.signature(train))]))"
    )
    assert found == [None, 15, "train", "train", "Trains.", "(x: int, *, y: int = 2) -> int"]
    assert program.rows()["train"]["runs"] == 1


def test_a_measured_function_takes_options_methods_recursion_and_errors(program: Program) -> None:
    (found,) = program.run(
        "class Model:\n"
        "    @je.measured(zone='SE')\n"
        "    def fit(self, depth):\n"
        "        return 0 if depth == 0 else 1 + self.fit(depth - 1)\n"
        "    @je.measured()\n"
        "    def fails(self):\n"
        "        raise ValueError('mine')\n"
        "model = Model()\n"
        "depth = model.fit(3)\n"
        "try:\n"
        "    model.fails()\n"
        "except ValueError as error:\n"
        "    print(json.dumps([depth, Model.fit.result.emissions.intensity.zone, str(error),\n"
        "        Model.fails.result.outcome]))"
    )
    assert found == [3, "SE", "mine", "error"]
    rows = program.rows()
    assert rows["Model.fit"]["runs"] == 1  # the calls inside are part of the one outside
    assert rows["Model.fails"]["outcome"] == "error"


def test_a_measured_coroutine_is_measured_while_it_runs_and_not_while_it_is_made(
    program: Program,
) -> None:
    (found,) = program.run(
        "import asyncio, inspect\n"
        "@je.measured\n"
        "async def train():\n"
        "    await asyncio.sleep(0.2)\n"
        "    return 'trained'\n"
        "value = asyncio.run(train())\n"
        "print(json.dumps([value, inspect.iscoroutinefunction(train), train.result.duration_s]))"
    )
    assert found[:2] == ["trained", True]
    assert found[2] >= 0.2


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_generator_function_is_refused_with_what_to_write_instead(
    program: Program, kind: str
) -> None:
    program.run(f"@je.measured\n{kind} steps():\n    yield 1\n", status=1, said=None)
    last = program.stderr.splitlines()[-1]
    assert last.startswith("jupyter_energy.errors.WrongUse: steps is a generator")
    assert "with je.measure(...)" in last


# -- wrong use, and our own failures -------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ("zone='Atlantis'", "no zone 'Atlantis'"),
        ("devices='toaster'", "'toaster' is no device"),
        ("devices='gpu:7'", "gpu:7: there is no such device here"),
        ("devices=''", "names no device"),
    ],
)
@pytest.mark.parametrize("form", ["with", "decorator"])
def test_a_wrong_zone_or_device_is_raised_before_the_block_begins(
    program: Program, keywords: str, said: str, form: str
) -> None:
    body = {
        "with": f"    with je.measure({keywords}):\n        ran.append(1)\n",
        "decorator": f"    je.measured({keywords})(lambda: ran.append(1))()\n",
    }[form]
    (found,) = program.run(
        "from jupyter_energy.errors import WrongUse\nran = []\ntry:\n"
        + body
        + "except WrongUse as error:\n    print(json.dumps([ran, str(error)]))"
    )
    assert found[0] == []
    assert said in found[1]
    assert "--zone" not in found[1]  # nobody wrote an option
    done = program.shell("summary", program.path)
    assert done.returncode == 2
    assert "was never measured" in done.stderr


def test_what_was_asked_for_is_what_counts(program: Program) -> None:
    (found,) = program.run(
        "with je.measure(devices='cpu', zone='Sweden') as m:\n    work()\n"
        "r = m.result\n"
        "print(json.dumps([[d.domain.kind for d in r.domains], r.emissions.intensity.zone]))"
    )
    assert found == [["package"], "SE"]


def test_a_store_that_cannot_be_written_is_said_once_and_the_results_are_there(
    program: Program,
) -> None:
    # A file where the folder should be stops root as well.
    program.shell.store.parent.write_text("no folder")
    found = program.run(
        "for _ in range(3):\n"
        "    with je.measure('block') as m:\n"
        "        work()\n"
        "    print(json.dumps([m.result.outcome, m.result.estimated_j.mid > 0]))",
        said=None,
    )
    assert found == [["ok", True]] * 3
    (line,) = program.stderr.splitlines()
    assert line.startswith(f"jupyter-energy: the store {program.shell.store} cannot be ")


def test_settings_and_machines_that_make_no_sense_never_stop_the_block(program: Program) -> None:
    found = program.run(
        "with je.measure('block') as m:\n    print(json.dumps(work() > 0))\n"
        "print(json.dumps(m.result.outcome))\n",
        said=None,
        JUPYTER_ENERGY_ZONE="Atlantis",
        JUPYTER_ENERGY_PUE="many",
        JUPYTER_ENERGY_REPLAY=str(program.shell.folder / "missing.csv"),
        JUPYTER_ENERGY_SYSFS="/no/such",
        JUPYTER_ENERGY_PROCFS="/no/such",
    )
    assert found == [True, "ok"]
    assert "Traceback" not in program.stderr
    assert "JUPYTER_ENERGY_PUE" in program.stderr
    row = program.rows()["block"]
    assert row["measured_j"] is None
    assert any("Atlantis" in text for text in row["warnings"])


def test_a_closed_stderr_is_no_reason_to_fail(program: Program) -> None:
    program.shell.store.parent.write_text("no folder")
    (found,) = program.run(
        "sys.stderr.close()\nwith je.measure() as m:\n    work()\n"
        "print(json.dumps(m.result.outcome))",
        said=None,
    )
    assert found == "ok"


# -- processes -----------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_measures_on_its_own(program: Program) -> None:
    (child, parent) = program.run(
        "with je.measure('before'): pass\n"
        "import warnings; warnings.simplefilter('ignore')\n"  # Python warns of fork with threads
        "child = os.fork()\n"
        "if child == 0:\n"
        "    with je.measure('in the child') as m: work()\n"
        "    print(json.dumps([m.result.outcome, m.result.estimated_j.mid > 0]), flush=True)\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)\n"
        "with je.measure('after') as m: work()\n"
        "print(json.dumps([m.result.outcome, m.result.estimated_j.mid > 0]))"
    )
    assert child == parent == ["ok", True]
    assert {name: row["runs"] for name, row in program.rows().items()} == {
        "before": 1,
        "in the child": 1,
        "after": 1,
    }


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_that_leaves_its_parents_block_says_and_keeps_nothing(program: Program) -> None:
    (child, parent) = program.run(
        "import warnings; warnings.simplefilter('ignore')\n"
        "with je.measure('block') as m:\n"
        "    child = os.fork()\n"
        "if child == 0:\n"
        "    print(json.dumps(m.result), flush=True)\n"
        "    sys.exit(0)\n"
        "os.waitpid(child, 0)\n"
        "print(json.dumps(m.result.outcome))"
    )
    assert (child, parent) == (None, "ok")
    assert program.totals()["runs"] == 1


def test_records_are_in_the_store_before_the_next_line_runs(program: Program) -> None:
    (names,) = program.run(
        "import sqlite3\n"
        "for n in range(3):\n"
        "    with je.measure(f'n{n}'): pass\n"
        "read = sqlite3.connect(os.environ['JUPYTER_ENERGY_STORE'])\n"
        "sql = \"select json_extract(document, '$.name') from record order by started\"\n"
        "print(json.dumps([name for name, in read.execute(sql)]))\n"
        "read.close()\n"
        "sys.stdout.flush()\n"
        "os._exit(0)\n"  # no handler of ours runs at such an end
    )
    assert names == ["n0", "n1", "n2"]
    assert set(program.rows()) == {"n0", "n1", "n2"}


def test_many_processes_may_keep_their_records_at_the_same_time(program: Program) -> None:
    program.path.write_text(
        HEAD + "sys.stdin.readline()\nfor n in range(5):\n    with je.measure(f'block {n}'): pass\n"
    )
    running = [
        subprocess.Popen(
            [sys.executable, str(program.path)],
            env=program.shell.environ,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=LIMIT_S)[1] for process in running]
    assert not [text for text in said if "Traceback" in text]
    assert {name: row["runs"] for name, row in program.rows().items()} == {
        f"block {n}": 3 for n in range(5)
    }


def test_a_process_ends_by_itself_and_leaves_only_daemons_behind(program: Program) -> None:
    (threads,) = program.run(
        "with je.measure(): work()\n"
        "print(json.dumps([[t.name, t.daemon] for t in threading.enumerate()\n"
        "                  if t is not threading.main_thread()]))"
    )
    assert threads
    assert all(daemon for _, daemon in threads), threads
    assert all(re.match("jupyter-energy", name) for name, _ in threads), threads


def test_what_is_no_function_cannot_be_decorated_and_a_name_can_stand_first(
    program: Program,
) -> None:
    refused, name = program.run(
        "refused = []\n"
        "for wrong in (5, int, classmethod(lambda cls: 1)):\n"
        "    try:\n"
        "        je.measured(wrong)\n"
        "    except Exception as error:\n"
        "        refused.append(type(error).__name__)\n"
        "@je.measured('fit')\n"
        "def f():\n"
        "    return 1\n"
        "f()\n"
        "print(json.dumps(refused))\n"
        "print(json.dumps(f.result.name))"
    )
    assert refused == ["WrongUse"] * 3
    assert name == "fit"
