"""Which GPUs CUDA_VISIBLE_DEVICES lets a process see, and what CUDA then numbers them: pure.

The rules come from two places. NVIDIA's CUDA programming guide (appendix on environment
variables): indices, UUIDs or a UUID's unique beginning; the order of the list is CUDA's order;
an invalid entry hides itself and all after it; of MIG devices only one is enumerated. And
PyTorch's own reading of the variable (torch/cuda/__init__.py), which was checked against CUDA:
the kind of the first entry rules the list, a number is read up to its first character that is
no digit, and a device named twice hides them all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from ..model import Domain

_NUMBER = re.compile(r"\s*\+?(\d+)")


def cuda_order(
    gpus: Sequence[Domain], value: str | None, mig_parents: Mapping[str, int] | None = None
) -> tuple[int, ...]:
    """The NVML indices of the GPUs that CUDA sees, in the order in which CUDA numbers them.

    `gpus` are the domains of kind "gpu" on this machine, `value` is CUDA_VISIBLE_DEVICES or
    None where it is not set, `mig_parents` gives the NVML index of the board that a MIG UUID
    lies on. A MIG UUID that it does not name may lie on any board that is cut into slices
    (scope "board"), so all of those are returned.

    Numbers are taken in PCI order, which is NVML's. CUDA counts the fastest GPU first unless
    CUDA_DEVICE_ORDER=PCI_BUS_ID, so the two differ only on a machine with unlike GPUs; there
    the pairing has to be made by UUID. Never raises.
    """
    if value is None:
        return tuple(sorted(gpu.index for gpu in gpus))
    entries = [entry.strip() for entry in value.split(",")]
    if entries[0].startswith("MIG-"):
        return _boards_of_slice(entries[0], gpus, mig_parents or {})
    if entries[0].startswith("GPU-"):
        return _in_order(entries, lambda entry: _by_uuid(entry, gpus))
    return _in_order(entries, lambda entry: _by_number(entry, gpus))


def visible(
    gpus: Sequence[Domain], value: str | None, mig_parents: Mapping[str, int] | None = None
) -> frozenset[int]:
    """The NVML indices of the GPUs that CUDA_VISIBLE_DEVICES=`value` lets CUDA see.

    As `cuda_order`, without the order. Never raises.
    """
    return frozenset(cuda_order(gpus, value, mig_parents))


def paired(
    gpus: Sequence[Domain], uuids: Sequence[str], mig_parents: Mapping[str, int] | None = None
) -> tuple[int, ...] | None:
    """As `cuda_order`, from the UUIDs that CUDA itself gives (32 hexadecimal digits each).

    A board is named once, however many of its slices are. None where a device of CUDA's is none of
    these: then nothing is known of the order.
    """
    by_uuid = {bare(gpu.uuid): gpu.index for gpu in gpus if gpu.uuid}
    by_uuid |= {bare(uuid): index for uuid, index in (mig_parents or {}).items()}
    found = [by_uuid.get(uuid) for uuid in uuids]
    if None in found:
        return None
    return tuple(dict.fromkeys(index for index in found if index is not None))


def numbers_are_sure(gpus: Sequence[Domain], value: str | None, order: str | None) -> bool:
    """Whether numbers in CUDA_VISIBLE_DEVICES=`value` are NVML's, CUDA_DEVICE_ORDER=`order`.

    Else CUDA counts unlike GPUs by a speed of its own reckoning, the fastest first (CUDA
    programming guide), and only CUDA can tell, once it is initialised.
    """
    if order == "PCI_BUS_ID" or value is None or not _NUMBER.match(value):
        return True
    return len({gpu.name for gpu in gpus}) <= 1


def bare(uuid: str) -> str:
    """The 32 hexadecimal digits of "GPU-0a1b…" or "MIG-0a1b…", which is what CUDA gives."""
    return uuid.partition("-")[2].replace("-", "").lower()


def _in_order(entries: list[str], find: Callable[[str], int | None]) -> tuple[int, ...]:
    """The devices that the entries name, up to the first one that names none."""
    found: list[int] = []
    for entry in entries:
        index = find(entry)
        if index is None:
            break
        if index in found:
            return ()
        found.append(index)
    return tuple(found)


def _by_number(entry: str, gpus: Sequence[Domain]) -> int | None:
    """The GPU of that number, or None: "-1" and "NoDevFiles" are the usual ways to say none."""
    number = _NUMBER.match(entry)
    # Ten digits hold any index; a longer number is no index, and int() refuses very long ones.
    if number is None or len(number[1]) > 10:
        return None
    index = int(number[1])
    return index if any(gpu.index == index for gpu in gpus) else None


def _by_uuid(entry: str, gpus: Sequence[Domain]) -> int | None:
    """The one GPU whose UUID begins so, or None where there is none or more than one."""
    if not entry.startswith("GPU-"):
        return None
    found = [gpu.index for gpu in gpus if gpu.uuid and gpu.uuid.startswith(entry)]
    return found[0] if len(found) == 1 else None


def _boards_of_slice(
    entry: str, gpus: Sequence[Domain], mig_parents: Mapping[str, int]
) -> tuple[int, ...]:
    """The board that a MIG device lies on; all boards with slices where it is not known."""
    if entry in mig_parents:
        return (mig_parents[entry],)
    if entry.startswith("MIG-GPU-"):
        # Drivers before 470 name a slice by its board: MIG-GPU-<uuid>/<instance>/<part>.
        index = _by_uuid(entry.removeprefix("MIG-").partition("/")[0], gpus)
        return () if index is None else (index,)
    return tuple(sorted(gpu.index for gpu in gpus if gpu.scope == "board"))
