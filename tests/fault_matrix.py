"""The matrix of what can fail: part by fault by moment, and why some of it cannot exist.

Generated, so that nothing is left out silently: `test_kernel_fault_matrix.py` runs `CASES`, and
`REASONS` says of all other combinations why there is none. How each is made is in
`fault_kernel.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

PARTS = ("sensor", "store", "live channel", "renderer")
FAULTS = (
    *("raises", "hangs", "garbage", "disappears", "permission denied", "disk full"),
    *("read-only home", "no home", "clock jumps", "fork", "spawn", "thread dies"),
    *("recursion limit", "signals"),
)
# Loading, until the first cell has been measured; our code before a cell, and that after it; the
# time of the cell itself; the time between two cells, as long as it lasts.
MOMENTS = ("load", "start", "cell", "end", "between")

# What strikes the process strikes all its parts at once: one run, in which each must go on.
WHOLE_PROCESS = (
    *("read-only home", "no home", "clock jumps", "fork", "spawn", "recursion limit", "signals"),
)
# The ways in which a fault is made, where there is more than one.
WAYS = {
    ("all", "clock jumps"): (
        *("realtime forwards", "realtime backwards", "monotonic forwards", "monotonic backwards"),
    ),
    ("all", "fork"): ("child ends", "child runs cells", "child outlives"),
    ("all", "spawn"): ("subprocess", "multiprocessing"),
    ("all", "recursion limit"): ("some room", "hardly any"),
    ("all", "signals"): ("handled", "storm of alarms", "stopped and continued"),
    ("sensor", "thread dies"): ("exits", "raises"),
    # One on this machine does not hang for long, or everything does.
    ("store", "hangs"): ("on a network",),
    ("store", "thread dies"): ("exits", "raises", "without a trace"),
    ("live channel", "thread dies"): ("exits", "raises"),
}
NO_FILE = "it keeps and reads no file"
REASONS = {
    ("sensor", "disk full"): "a sensor writes nothing",
    ("live channel", "permission denied"): f"{NO_FILE}: it sends by the kernel's own socket",
    ("live channel", "disk full"): f"{NO_FILE}: it sends by the kernel's own socket",
    ("renderer", "permission denied"): f"{NO_FILE}: a result is text",
    ("renderer", "disk full"): f"{NO_FILE}: a result is text",
    ("renderer", "thread dies"): (
        "it has none: a cell's own thread shows results, the sampler's a better one (see sensor)"
    ),
}


@dataclass(frozen=True)
class Case:
    """One run: what fails, how, and when. `part` is "all" for what strikes the whole process."""

    part: str
    fault: str
    way: str
    moment: str

    @property
    def name(self) -> str:
        """How a test calls it."""
        return " - ".join(filter(None, (self.part, self.fault, self.way, self.moment)))

    def covers(self, part: str, fault: str, moment: str) -> bool:
        """Whether it is a case of this combination."""
        return self.part in (part, "all") and (self.fault, self.moment) == (fault, moment)

    @property
    def is_felt(self) -> bool:
        """Whether the user's cells would feel it without us: then that is what to compare with."""
        return self.part in ("all", "renderer")

    @property
    def loses_all(self) -> bool:
        """Whether there is no place at all for records: they are lost with the kernel, as told.
        No journal is begun where the thread that begins it is gone and nobody can know."""
        return self.moment == "load" and (self.fault == "no home" or self.way == "without a trace")

    @property
    def must_tell(self) -> bool:
        """Whether it cannot but be noticed: it strikes when a record is kept, or a result shown."""
        if self.moment != "end":
            return self.loses_all
        in_store = self.part == "store" and self.fault in (
            "raises",
            "permission denied",
            "disk full",
        )
        return in_store or (self.part, self.fault) == ("renderer", "raises")

    @property
    def silent_kinds(self) -> tuple[str, ...]:
        """The kinds of devices that were not read at an edge of a cell, each with its reason."""
        if self.part != "sensor" or self.fault == "thread dies":
            return ()
        if self.moment not in ("start", "end"):
            return ()
        return ("gpu",) if self.fault == "hangs" else ("gpu", "package")


def _cases() -> list[Case]:
    found = []
    for fault in FAULTS:
        for part in ("all",) if fault in WHOLE_PROCESS else PARTS:
            if (part, fault) not in REASONS:
                ways = WAYS.get((part, fault), ("",))
                found += [Case(part, fault, way, m) for way, m in product(ways, MOMENTS)]
    return found


CASES = _cases()
