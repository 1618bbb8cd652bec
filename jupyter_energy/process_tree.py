"""CPU time of this kernel's processes and of the whole machine, exactly, from procfs.

A process's own count holds its threads, ended ones too; that of the children it has waited for
holds their children in turn. Added over all processes of the tree that are alive, every child
counts once, whether it still runs or has ended (proc(5); measuring.md 5.2). What started and was
given away within one window (a daemon that lets its parent end) is in nobody's count and is lost.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .errors import SensorError
from .sensors.base import Machine
from .sensors.cgroup import own_group
from .sensors.cpu_time import STAT_LINE, TICK_S, stat_busy_s
from .signals import raise_if_users

# A process that ends while the tree is read is in no count of that reading: then it is read again.
MOST_TRIES = 4
# Where the fields of /proc/<pid>/stat stand behind the name, which may hold anything (proc(5)).
UTIME, STIME, CUTIME, CSTIME, STARTTIME = 11, 12, 13, 14, 19
WHOLE_MACHINE = frozenset({b"cpu"})

# A number can be given to another process later; with the tick it started at, it is one process.
Process = tuple[int, int]
# CPU time in s: the process's own, and that of the children it has waited for.
Spent = tuple[float, float]


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """CPU time at one moment, None where it was not read or cannot be.

    `machine_s` is what the whole machine was busy; `group_s` the count of the kernel's own control
    group; `processes` what each process of the tree has spent.
    """

    machine_s: float | None = None
    group_s: float | None = None
    processes: Mapping[Process, Spent] | None = None


def machine_s(start: CpuTimes, stop: CpuTimes) -> float | None:
    """CPU time in s that the whole machine spent between two readings, or None."""
    if start.machine_s is None or stop.machine_s is None:
        return None
    return max(0.0, stop.machine_s - start.machine_s)  # a kernel may correct it by a tick


def kernel_s(start: CpuTimes, stop: CpuTimes) -> float | None:
    """CPU time in s that the tree spent between two readings, or None.

    Of processes that have gone, what they had spent before is taken off what was waited for since:
    it is in there again. Where nobody waited for them, nothing is taken off.
    """
    if start.group_s is not None and stop.group_s is not None:
        return max(0.0, stop.group_s - start.group_s)
    if start.processes is None or stop.processes is None:
        return None
    own_s = waited_s = 0.0
    for process, (own, waited) in stop.processes.items():
        own_before, waited_before = start.processes.get(process, (0.0, 0.0))
        own_s += own - own_before
        waited_s += waited - waited_before
    gone_s = sum(sum(s) for p, s in start.processes.items() if p not in stop.processes)
    return max(0.0, own_s + max(0.0, waited_s - gone_s))


class ProcessTree:
    """This process and all that came of it. `close()` once; nothing here raises.

    Where the process has a control group of its own, that counts for it: to the microsecond, and
    with all that was given away.
    """

    def __init__(self, machine: Machine) -> None:
        self._procfs = machine.procfs
        self._root = str(machine.procfs)
        self._pid = _own_pid(machine.procfs)
        self._has_lists = any(self._procfs.glob(f"{self._pid}/task/*/children"))
        self._stat = _opened(self._procfs / "stat")
        self.threads = _threads(self._procfs / "stat")  # of the machine; 0 where unknown
        self._group = -1
        group = own_group(machine)
        if group is not None and self._is_alone_in(group):
            self._group = _opened(group / "cpu.stat")

    def close(self) -> None:
        """Let go of the files."""
        for descriptor in (self._stat, self._group):
            if descriptor >= 0:
                with suppress(OSError):
                    os.close(descriptor)
        self._stat = self._group = -1

    def read(self, walk: bool, since: CpuTimes | None = None) -> CpuTimes:
        """CPU times now: of the machine (8 µs), and of the tree's own group where it has one.

        Where it has none the tree is walked, if that is asked for (32 µs for one process, 258 µs
        for nine). `since` is the reading to be compared with: processes that were in it are counted
        also where they have been given away since.
        """
        busy_s = group_s = None
        if self._stat >= 0:
            try:
                busy_s = stat_busy_s(self._stat, WHOLE_MACHINE, STAT_LINE)
            except SensorError as error:
                raise_if_users(error)
        if self._group >= 0:
            group_s = _group_s(self._group)
        processes = None
        if walk and group_s is None:
            processes = self._walk((since and since.processes) or {})
        return CpuTimes(busy_s, group_s, processes)

    def _walk(self, known: Mapping[Process, Spent]) -> dict[Process, Spent] | None:
        """What each process of the tree has spent; None where it cannot be known."""
        for _ in range(MOST_TRIES):
            found: dict[Process, Spent] = {}
            try:
                self._add(self._pid, found)
                for process in known:
                    if process not in found:
                        self._add_if_alive(process, found)
            except FileNotFoundError:
                continue
            except (OSError, ValueError, IndexError, ImportError) as error:
                raise_if_users(error)
                return None
            return found
        return None

    def _add(self, root: int, found: dict[Process, Spent]) -> None:
        """A process and all below it. Raises FileNotFoundError where one ends meanwhile.

        Its children are listed before its own count is read: one that is waited for in between is
        in the count and cannot be read any more.
        """
        seen, waiting = {pid for pid, _ in found}, [root]
        while waiting:
            pid = waiting.pop()
            if pid in seen:
                continue
            seen.add(pid)
            below = self._children(pid)
            process, spent = self._spent(pid)
            found[process] = spent
            waiting += below

    def _add_if_alive(self, process: Process, found: dict[Process, Spent]) -> None:
        try:
            now, _ = self._spent(process[0])
        except FileNotFoundError:
            return
        if now == process:
            self._add(process[0], found)

    def _spent(self, pid: int) -> tuple[Process, Spent]:
        try:
            text = _whole(f"{self._root}/{pid}/stat")
        except ProcessLookupError as error:  # it ended between open and read
            raise FileNotFoundError(*error.args) from error
        fields = _fields(text)
        own, waited = (
            (fields[user] + fields[system]) * TICK_S
            for user, system in ((UTIME, STIME), (CUTIME, CSTIME))
        )
        return (pid, fields[STARTTIME]), (own, waited)

    def _children(self, pid: int) -> list[int]:
        """The children of a process; on a kernel without that list, of all below it."""
        if not self._has_lists:
            return self._below(pid)
        tasks = f"{self._root}/{pid}/task"
        found: list[int] = []
        for task in os.listdir(tasks):  # noqa: PTH208  pathlib takes three times as long
            with suppress(FileNotFoundError, ProcessLookupError):  # a thread ended: it has none
                found += map(int, _whole(f"{tasks}/{task}/children").split())
        return found

    def _below(self, pid: int) -> list[int]:
        if pid != self._pid:
            return []  # the first call has found them all
        import psutil

        if self._root != psutil.PROCFS_PATH:
            raise ValueError("psutil reads another procfs")
        try:
            return [child.pid for child in psutil.Process(pid).children(recursive=True)]
        except psutil.NoSuchProcess as error:
            raise FileNotFoundError(str(error)) from error
        except psutil.Error as error:
            raise ValueError(str(error)) from error

    def _is_alone_in(self, group: Path) -> bool:
        """Whether a control group holds this tree and nobody else, nor groups of its own."""
        tree = self._walk({})
        try:
            members = set(map(int, (group / "cgroup.procs").read_bytes().split()))
            has_groups = any(entry.is_dir() for entry in group.iterdir())
        except (OSError, ValueError):
            return False
        pids = {pid for pid, _ in tree or {}}
        return not has_groups and self._pid in members and members <= pids


def began_at(pid: int, procfs: Path = Path("/proc")) -> int | None:
    """The tick at which a process began, which with its number tells it from all others; None
    where there is none, or no procfs. One that has ended and was not waited for is none."""
    # Who asks has it from a file that may be anybody's: "../.." (a ValueError here) is no number.
    with suppress(OSError, ValueError, IndexError, TypeError):
        text = _whole(f"{procfs}/{pid:d}/stat")
        return None if text.rpartition(b")")[2].split()[0] in b"ZX" else _fields(text)[STARTTIME]
    return None


def _fields(text: bytes) -> list[int]:
    """The fields of /proc/<pid>/stat behind the name and the state, at the places named above."""
    return [0, *map(int, text.rpartition(b")")[2].split()[1:])]


def _own_pid(procfs: Path) -> int:
    """This process's number in that procfs: a host's, mounted in a container, has its own."""
    with suppress(OSError, ValueError):
        return int((procfs / "self").readlink().name)
    return os.getpid()


def _threads(stat: Path) -> int:
    with suppress(OSError):
        return len(re.findall(rb"^cpu\d", stat.read_bytes(), re.MULTILINE))
    return 0


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _whole(path: str) -> bytes:
    """What a small file of procfs holds. A descriptor costs a third of what a file object does."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, 4096):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _group_s(descriptor: int) -> float | None:
    """CPU time in s of a control group, whose first line is "usage_usec N" (cgroup-v2.rst)."""
    try:
        name, _, count = os.pread(descriptor, 64, 0).partition(b"\n")[0].partition(b" ")
        if name == b"usage_usec":
            return int(count) / 1e6
    except (OSError, ValueError) as error:
        raise_if_users(error)
    return None
