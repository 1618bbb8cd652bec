"""Who else uses a GPU: its processes, its slices, and our share of its multiprocessors.

The calls can take some ms (4.5 ms were measured on a laptop, measuring.md 1.5), so they are made
at most once a cell, and only for a cell that is shown.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .nvml_library import text

# The inode of the first PID namespace (PROC_PID_INIT_INO in the kernel's proc_ns.h): the numbers
# that NVIDIA's driver gives are of that one.
FIRST_NAMESPACE = "pid:[4026531836]"
UNTOLD = "shared with other processes, or not: in a container their numbers are not ours"


def shared_with(pynvml: Any, handle: Any, ours: Collection[int], procfs: Path) -> str | None:
    """In words, how many processes beside ours compute on the GPU; None where none do.

    Raises NVMLError where the driver does not list them.
    """
    pids = {process.pid for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)}
    if not pids:
        return None
    others = len(pids.difference(ours))
    if others == len(pids) and _in_container(procfs):
        return UNTOLD
    if others == 0:
        return None
    return f"shared with {others} other process{'' if others == 1 else 'es'}"


def gpu_share(
    pynvml: Any, handle: Any, ours: Collection[int], since_us: int, procfs: Path
) -> float | None:
    """The share, 0 to 1, of the multiprocessors' busy time that our processes had since a moment
    (µs since 1970); None where nobody was busy, or where it cannot be told.

    It leaves out what memory and copies draw (sustainable-computing-io/kepler issue 1215). Raises
    NVMLError where the driver tells none: slices, WSL, and when nothing ran.
    """
    samples = pynvml.nvmlDeviceGetProcessUtilization(handle, since_us)
    busy = [(s.pid, s.smUtil) for s in samples if s.timeStamp > since_us and s.smUtil <= 100]
    total = sum(percent for _, percent in busy)
    if total == 0:
        return None
    mine = sum(percent for pid, percent in busy if pid in ours)
    if mine == 0 and not any(pid in ours for pid, _ in busy) and _in_container(procfs):
        return None
    return float(mine / total)


def slices(pynvml: Any, handle: Any, visible: str | None) -> tuple[str, ...]:
    """The UUIDs of the MIG devices that a board is cut into, in NVML's order; none of a whole GPU.

    `visible` is CUDA_VISIBLE_DEVICES: a slice that it names is looked up where the list lacks it.
    Never raises NVMLError: a driver that hides them leaves the board.
    """
    found = []
    try:
        for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
            try:
                one = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
                found.append(text(pynvml.nvmlDeviceGetUUID(one)))
            except pynvml.NVMLError:
                continue  # places that hold no slice are "not found"
    except pynvml.NVMLError:
        pass
    mine = first_of(visible)
    if mine.startswith("MIG-") and mine not in found:
        with suppress(pynvml.NVMLError):
            one = pynvml.nvmlDeviceGetHandleByUUID(mine)
            board = pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(one)
            if pynvml.nvmlDeviceGetUUID(board) == pynvml.nvmlDeviceGetUUID(handle):
                found.append(mine)
    return tuple(found)


def first_of(visible: str | None) -> str:
    """The first entry of CUDA_VISIBLE_DEVICES; CUDA enumerates no second slice."""
    return (visible or "").partition(",")[0].strip()


def slice_words(uuids: Sequence[str], visible: str | None) -> str:
    """What a board with slices is called: its energy is never that of one slice (AC-2.2)."""
    mine = first_of(visible)
    if mine in uuids:
        if len(uuids) == 1:
            return "whole GPU, which is one MIG slice"
        return f"whole GPU, MIG slice {uuids.index(mine) + 1} of {len(uuids)}"
    if not uuids:
        return "whole GPU, cut into MIG slices"
    return f"whole GPU, shared by {len(uuids)} MIG slice{'' if len(uuids) == 1 else 's'}"


def _in_container(procfs: Path) -> bool:
    """Whether our process numbers are other ones than the driver's."""
    try:
        return str((procfs / "self/ns/pid").readlink()) != FIRST_NAMESPACE
    except OSError:
        return False
