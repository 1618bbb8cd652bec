"""A `power` PMU in a moved sysfs whose events are the kernel's own software clocks.

The files say what the kernel's arch/x86/events/rapl.c says, but for the type, which is that of
the software PMU, and the event, which is the clock of one CPU: perf_event_open and the counter
behind it are real, and count ns. At a scale of 1e-9·W they count what a part draws at W.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SOFTWARE, CPU_CLOCK = 1, 0  # uapi/linux/perf_event.h: PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK


class FakePowerPmu:
    """The PMU's files under `root`, a sysfs; `watts` by event, such as {"energy-pkg": 50.0}.

    `places` are the CPUs that it counts on, each with its package and die. Linux has few CPUs in
    a test machine, so several packages may have to share one: CPU numbers are given as they are.
    """

    def __init__(
        self,
        root: Path,
        watts: Mapping[str, float],
        places: Mapping[int, tuple[int, int]] | None = None,
    ) -> None:
        self.root = root
        self.folder = root / "bus/event_source/devices/power"
        (self.folder / "events").mkdir(parents=True)
        (self.folder / "type").write_text(f"{SOFTWARE}\n")
        places = {0: (0, 0)} if places is None else places
        (self.folder / "cpumask").write_text(",".join(map(str, places)) + "\n")
        for cpu, (package, die) in places.items():
            topology = root / f"devices/system/cpu/cpu{cpu}/topology"
            topology.mkdir(parents=True)
            (topology / "physical_package_id").write_text(f"{package}\n")
            (topology / "die_id").write_text(f"{die}\n")
        for event, power_w in watts.items():
            self.write(event, f"event=0x{CPU_CLOCK:02x}")
            self.write(f"{event}.unit", "Joules")
            self.write(f"{event}.scale", repr(power_w * 1e-9))

    def write(self, name: str, text: str) -> None:
        """What a file of `events` says."""
        (self.folder / "events" / name).write_text(f"{text}\n")
