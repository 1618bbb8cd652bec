"""The CPU time of a kernel's processes: each child once, whether it runs, has ended, or moved."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standins.procfs import INIT, ROOT, FakeProcfs

from jupyter_energy.process_tree import CpuTimes, ProcessTree, kernel_s, machine_s
from jupyter_energy.sensors.base import Machine

TICK_S = 0.01


@pytest.fixture
def fake(tmp_path: Path) -> FakeProcfs:
    return FakeProcfs(tmp_path / "proc")


@contextmanager
def tree_of(fake: FakeProcfs, sysfs: Path | None = None) -> Iterator[ProcessTree]:
    machine = Machine(procfs=fake.root, sysfs=sysfs or fake.root / "no sysfs")
    tree = ProcessTree(machine)
    try:
        yield tree
    finally:
        tree.close()


def spent_ticks(tree: ProcessTree, start: CpuTimes) -> int | None:
    """What was spent since a reading, by the kernel, in ticks."""
    spent_s = kernel_s(start, tree.read(walk=True, since=start))
    return None if spent_s is None else round(spent_s / TICK_S)


# -- real processes --------------------------------------------------------------------------

# Spends as much CPU time as it is told, after a child of its own has spent the rest.
SPEND = """
import os, subprocess, sys
code, own, *rest = sys.argv[1:]
if rest:
    subprocess.run([sys.executable, "-S", "-c", code, code, *rest], check=True)
def spent():
    return sum(os.times()[:2])
while spent() < float(own):
    pass
"""


def spend(*seconds: float) -> list[str]:
    """A process that spends CPU time, with a child that spends the rest."""
    return [sys.executable, "-S", "-c", SPEND, SPEND, *map(str, seconds)]


def test_children_count_once_whether_they_were_waited_for_or_still_run() -> None:
    tree = ProcessTree(Machine())
    start, own_before_s = tree.read(walk=True), sum(os.times()[:4])
    subprocess.run(spend(0.3, 0.2), check=True)
    with subprocess.Popen(
        [sys.executable, "-S", "-c", "import sys; print('up', flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as alive:
        assert alive.stdout is not None
        assert alive.stdout.readline() == b"up\n"
        stop, own_after_s = tree.read(walk=True, since=start), sum(os.times()[:4])
        assert alive.stdin is not None
        alive.stdin.close()
    tree.close()
    spent_s, busy_s = kernel_s(start, stop), machine_s(start, stop)
    assert spent_s is not None
    assert busy_s is not None
    waited_s = own_after_s - own_before_s  # ours and theirs, as the system tells the parent
    assert waited_s >= 0.5
    # The one that still runs is in nobody's count but its own: the time to start Python.
    assert waited_s - 3 * TICK_S <= spent_s <= waited_s + 1.0
    assert spent_s > sum(os.times()[:2]) - own_before_s


def test_a_process_that_was_given_away_still_counts_where_it_was_seen_before() -> None:
    daemon = (
        "import os, sys\n"
        "if os.fork():\n"
        "    sys.stdin.readline(); os._exit(0)\n"
        "print(os.getpid(), flush=True)\n"
        "open(sys.argv[1]).read()\n"
        "while sum(os.times()[:2]) < 0.3: pass\n"
        "print('done', flush=True); open(sys.argv[1]).read()\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        gate = Path(folder) / "gate"
        os.mkfifo(gate)
        tree = ProcessTree(Machine())
        with subprocess.Popen(
            [sys.executable, "-S", "-c", daemon, gate],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as parent:
            assert parent.stdin is not None
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            start = tree.read(walk=True)
            parent.stdin.write(b"end\n")
            parent.stdin.flush()
            parent.wait()
            gate.write_text("")
            assert parent.stdout.readline() == b"done\n"
            walked = tree.read(walk=True)
            followed = tree.read(walk=True, since=start)
            gate.write_text("")
        tree.close()
    assert walked.processes is not None
    assert followed.processes is not None
    assert pid not in {number for number, _ in walked.processes}
    assert pid in {number for number, _ in followed.processes}
    found_s = kernel_s(start, followed)
    assert found_s is not None
    assert found_s >= 0.25


# -- made processes --------------------------------------------------------------------------


def test_the_machines_time_is_all_that_was_busy_and_not_what_was_idle_or_stolen(
    fake: FakeProcfs,
) -> None:
    with tree_of(fake) as tree:
        start = tree.read(walk=False)
        fake.burn(INIT, 40)
        fake.burn(ROOT, 10)
        fake.write()
        stop = tree.read(walk=False)
        assert machine_s(start, stop) == pytest.approx(0.5)
        assert stop.processes is None
        assert kernel_s(start, stop) is None


def test_a_number_that_was_given_to_another_process_is_another_process(fake: FakeProcfs) -> None:
    child = fake.fork(ROOT)
    fake.burn(child, 50)
    fake.write()
    with tree_of(fake) as tree:
        start = tree.read(walk=True)
        fake.end(child)
        fake.processes[child] = type(fake.processes[ROOT])(INIT, started=10**6, own=7)
        fake.write()
        assert spent_ticks(tree, start) == 0


def test_a_child_that_nobody_waited_for_takes_nothing_away(fake: FakeProcfs) -> None:
    child = fake.fork(ROOT)
    fake.burn(child, 50)
    fake.write()
    with tree_of(fake) as tree:
        start = tree.read(walk=True)
        del fake.processes[child]  # SIGCHLD ignored: nobody gets its time
        fake.burn(ROOT, 3)
        fake.write()
        assert spent_ticks(tree, start) == 3


events = st.lists(
    st.tuples(st.sampled_from(["fork", "burn", "end"]), st.integers(0, 30), st.integers(1, 400)),
    max_size=40,
)


def play(fake: FakeProcfs, made: list[tuple[str, int, int]], ours: set[int]) -> tuple[int, bool]:
    """Let things happen; the ticks that our processes spent, and whether one was given away."""
    spent, given_away = 0, False
    for what, which, ticks in made:
        alive = sorted(ours & fake.processes.keys())
        pid = alive[which % len(alive)]
        if what == "fork":
            ours.add(fake.fork(pid))
        elif what == "burn":
            fake.burn(pid, ticks)
            spent += ticks
        elif pid != ROOT:
            given_away |= any(p.parent == pid for p in fake.processes.values())
            fake.end(pid)
    fake.write()
    return spent, given_away


@settings(max_examples=150)
@given(before=events, within=events)
def test_every_tick_counts_once_whatever_begins_and_ends(
    before: list[tuple[str, int, int]], within: list[tuple[str, int, int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fake = FakeProcfs(Path(folder) / "proc")
        ours = {ROOT}
        _, given_before = play(fake, before, ours)
        with tree_of(fake) as tree:
            start = tree.read(walk=True)
            spent, given_within = play(fake, within, ours)
            found = spent_ticks(tree, start)
    assert found is not None
    if given_before or given_within:
        assert found >= 0  # some of it may be lost
    else:
        assert found == spent


# -- what cannot be known --------------------------------------------------------------------


def test_without_a_procfs_nothing_is_known(tmp_path: Path) -> None:
    tree = ProcessTree(Machine(procfs=tmp_path / "none", sysfs=tmp_path))
    assert tree.read(walk=True) == CpuTimes()
    tree.close()
    assert kernel_s(CpuTimes(), CpuTimes()) is None
    assert machine_s(CpuTimes(), CpuTimes()) is None


@pytest.mark.parametrize("text", ["", "100 (python", "100 (python) S 1 2", "x (y) z " + "a " * 40])
def test_a_count_that_cannot_be_read_is_unknown(fake: FakeProcfs, text: str) -> None:
    with tree_of(fake) as tree:
        (fake.root / str(ROOT) / "stat").write_text(text)
        assert tree.read(walk=True).processes is None


def test_a_closed_tree_reads_no_file_of_its_own(fake: FakeProcfs) -> None:
    with tree_of(fake) as tree:
        tree.close()
        assert tree.read(walk=False) == CpuTimes()


def test_a_moved_procfs_without_lists_of_children_is_not_mixed_with_the_real_one(
    fake: FakeProcfs,
) -> None:
    for lists in fake.root.glob("*/task/*/children"):
        lists.unlink()
    with tree_of(fake) as tree:
        assert tree.read(walk=True).processes is None


def test_on_a_kernel_without_lists_of_children_psutil_finds_them(
    fake: FakeProcfs, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = fake.fork(ROOT)
    grandchild = fake.fork(child)
    fake.fork(INIT)
    fake.burn(grandchild, 9)
    fake.write()
    for lists in fake.root.glob("*/task/*/children"):
        lists.unlink()
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(fake.root))  # a setting that psutil offers
    with tree_of(fake) as tree:
        found = tree.read(walk=True).processes
    assert found is not None
    assert {pid for pid, _ in found} == {ROOT, child, grandchild}
    assert found[grandchild, grandchild] == (pytest.approx(0.09), 0.0)


# -- a control group of one's own -------------------------------------------------------------


def group(fake: FakeProcfs, tmp_path: Path, members: list[int]) -> Path:
    """The version 2 group of the root process, as systemd or a container manager makes it."""
    folder = tmp_path / "sys/fs/cgroup/kernels/one"
    folder.mkdir(parents=True)
    (folder / "cgroup.procs").write_text("".join(f"{n}\n" for n in members))
    (folder / "cpu.stat").write_text("usage_usec 1000000\nuser_usec 1\n")
    shutil.rmtree(fake.root / str(ROOT))
    fake.write()
    (fake.root / str(ROOT) / "cgroup").write_text("9:pids:/other\n0::/kernels/one\n")
    return folder


def test_a_group_of_the_kernels_own_counts_also_without_a_walk(
    fake: FakeProcfs, tmp_path: Path
) -> None:
    child = fake.fork(ROOT)
    folder = group(fake, tmp_path, [ROOT, child])
    with tree_of(fake, tmp_path / "sys") as tree:
        start = tree.read(walk=False)
        (folder / "cpu.stat").write_text("usage_usec 3500000\nuser_usec 1\n")
        stop = tree.read(walk=True)
    assert kernel_s(start, stop) == pytest.approx(2.5)
    assert stop.processes is None


@pytest.mark.parametrize("others", [[INIT], [0], [77]])
def test_a_group_that_others_are_in_does_not_count(
    fake: FakeProcfs, tmp_path: Path, others: list[int]
) -> None:
    group(fake, tmp_path, [ROOT, *others])
    with tree_of(fake, tmp_path / "sys") as tree:
        found = tree.read(walk=True)
    assert found.group_s is None
    assert found.processes is not None


def test_a_group_with_groups_inside_does_not_count(fake: FakeProcfs, tmp_path: Path) -> None:
    (group(fake, tmp_path, [ROOT]) / "app.slice").mkdir()
    with tree_of(fake, tmp_path / "sys") as tree:
        assert tree.read(walk=True).group_s is None


def test_a_group_without_a_count_does_not_count(fake: FakeProcfs, tmp_path: Path) -> None:
    folder = group(fake, tmp_path, [ROOT])
    (folder / "cpu.stat").write_text("nr_periods 3\n")
    with tree_of(fake, tmp_path / "sys") as tree:
        found = tree.read(walk=True)
    assert found.group_s is None
    assert found.processes is not None
