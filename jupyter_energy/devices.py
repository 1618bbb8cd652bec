"""Which devices count: `--devices gpu:0,cpu` and CUDA_VISIBLE_DEVICES."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .errors import WrongUse
from .model import Domain
from .sensors.base import Absence, Sensor

# The words people use, and the kinds of domain that they stand for.
WORDS = {
    "gpu": ("gpu", "module"),
    "cpu": ("package",),
    "package": ("package",),
    "memory": ("dram",),
    "dram": ("dram",),
    "psys": ("psys",),
}
DOUBT = (
    "the numbers in CUDA_VISIBLE_DEVICES were taken in PCI order, and CUDA may count these "
    "unlike GPUs otherwise; set CUDA_DEVICE_ORDER=PCI_BUS_ID to be sure"
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The devices that were asked for; an empty choice is all of them."""

    wanted: frozenset[tuple[str, int | None]] = frozenset()

    def includes(self, domain: Domain) -> bool:
        """Whether a domain was asked for."""
        return (
            not self.wanted
            or (domain.kind, None) in self.wanted
            or (domain.kind, domain.index) in self.wanted
        )


EVERYTHING = Choice()


def parse(text: str | None) -> Choice:
    """The choice that "gpu:0,cpu" means; None chooses everything. Raises WrongUse."""
    if text is None:
        return EVERYTHING
    wanted: set[tuple[str, int | None]] = set()
    for item in filter(None, (part.strip().lower() for part in text.split(","))):
        word, colon, index = item.partition(":")
        if word not in WORDS or (colon and re.fullmatch("[0-9]{1,9}", index) is None):
            raise WrongUse(
                f"--devices {item!r:.60} is no device: write gpu, gpu:0, cpu, cpu:0 or memory, "
                "several with commas"
            )
        wanted |= {(kind, int(index) if colon else None) for kind in WORDS[word]}
    if not wanted:
        raise WrongUse("--devices names no device: write gpu, gpu:0, cpu, cpu:0 or memory")
    return Choice(frozenset(wanted))


def check(choice: Choice, domains: Sequence[Domain]) -> None:
    """Raises WrongUse when a chosen device is not among the `domains` of this machine."""
    for kind, index in choice.wanted:
        if index is not None and not any(d.kind == kind and d.index == index for d in domains):
            if kind == "module":
                continue  # "gpu:0" stands for either kind; the gpu half is checked
            seen = ", ".join(sorted({d.key.replace("package", "cpu") for d in domains})) or "none"
            word = {"package": "cpu", "dram": "memory"}.get(kind, kind)
            raise WrongUse(f"--devices {word}:{index}: there is no such device here; seen: {seen}")


def selector(
    choice: Choice,
    sensors: Callable[[], Sequence[Sensor]],
    absences: Callable[[], Sequence[Absence]],
    environ: Mapping[str, str],
) -> Callable[[Domain], bool]:
    """Says of a domain whether it counts, by choice and by CUDA_VISIBLE_DEVICES as it is now.

    The variable is read anew at each cell, because people set it in a cell (promises.md 2.1).
    GPUs that were named by --devices count whatever the variable says.
    """
    value = environ.get("CUDA_VISIBLE_DEVICES")
    named = any(kind == "gpu" for kind, _ in choice.wanted)
    # By how many devices are known: found once, so that both edges of a cell choose alike though
    # CUDA may be initialised between them, and eight GPUs do not ask it eight times.
    seen: dict[tuple[int, int], frozenset[int]] = {}

    def counts(domain: Domain) -> bool:
        if not choice.includes(domain):
            return False
        if domain.kind not in WORDS["gpu"] or named or value is None:
            return True
        # Asked for at each edge: a GPU may be found in between.
        known, missing = sensors(), absences()
        number = len(known), len(missing)
        if number not in seen:
            seen[number] = frozenset(cuda_numbers(known, missing, value))
        return domain.index in seen[number]

    return counts


def cuda_numbers(
    sensors: Sequence[Sensor], absences: Sequence[Absence], value: str | None
) -> tuple[int, ...]:
    """The NVML indices of the GPUs that CUDA sees, in the order in which CUDA numbers them.

    From CUDA itself where somebody has initialised it in this process, because it then no longer
    looks at CUDA_VISIBLE_DEVICES; else from that variable's `value`. Never raises.
    """
    from .cuda_library import device_uuids
    from .sensors.cuda_devices import cuda_order, paired

    domains = [*(s.domain for s in sensors), *(a.domain for a in absences)]
    gpus = [d for d in domains if d.kind in WORDS["gpu"]]
    parents: dict[str, int] = {}
    for sensor in sensors:
        # Of our own sensors only NVIDIA's boards have slices.
        parents |= dict.fromkeys(getattr(sensor, "slices", ()), sensor.domain.index)
    uuids = device_uuids()
    order = None if uuids is None else paired(gpus, uuids, parents)
    return cuda_order(gpus, value, parents) if order is None else order


def doubts(domains: Sequence[Domain], environ: Mapping[str, str]) -> list[str]:
    """What must be known of which GPUs count, in words: that none does, or that CUDA may number
    unlike GPUs in an order of its own, which it tells only once it is initialised."""
    from .cuda_library import device_uuids
    from .sensors.cuda_devices import numbers_are_sure, visible

    value, order = environ.get("CUDA_VISIBLE_DEVICES"), environ.get("CUDA_DEVICE_ORDER")
    gpus = [d for d in domains if d.kind in WORDS["gpu"]]
    if value is None or device_uuids() is not None:
        return []
    if gpus and not visible(gpus, value):
        return [f"CUDA_VISIBLE_DEVICES={value!r:.60} hides every GPU, so none is counted"]
    return [] if numbers_are_sure(gpus, value, order) else [DOUBT]
