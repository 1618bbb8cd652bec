"""A powercap tree that looks like the kernel's, and counters in it that run at a known power.

```python
fake = FakePowercap(tmp_path / "sys")                # what Machine(sysfs=...) takes
fake.zone("package-0")                               # intel-rapl:0, an Intel range
fake.zone("dram", "intel-rapl:0:0", max_range_uj=65_712_999_613)
with fake.run({"intel-rapl:0": 65.0, "intel-rapl:0:0": 4.0}) as counters:
    ...                                              # 65 W and 4 W, in real time, with wraps
counters.energy_j["intel-rapl:0"]                    # what it really was, in J
```

A kernel under test that holds the interpreter lock stops a thread, so the same counters can run
in a process of their own: `python tests/standins/powercap.py SYSFS intel-rapl:0=65` prints
"running" and runs until its standard input is closed.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

INTEL_RANGE_UJ = 262_143_328_850
AMD_RANGE_UJ = 65_532_610_987
SERVER_DRAM_RANGE_UJ = 65_712_999_613
# As wide as the longest count, so that a reader never sees half of a shorter one.
_WIDTH = 20


class FakePowercap:
    """A sysfs root with a powercap folder: zones nested as the devices are, linked as the class is.

    `linked=False` leaves out the class folder and nests the zones right under `root`, as a bare
    mount of the device folder shows them.
    """

    def __init__(self, root: Path, linked: bool = True) -> None:
        self.root = root
        self._devices = root / "devices/virtual/powercap" if linked else root
        self._class = root / "class/powercap" if linked else None
        self._devices.mkdir(parents=True, exist_ok=True)
        if self._class:
            self._class.mkdir(parents=True, exist_ok=True)

    def zone(
        self,
        name: str,
        path: str = "intel-rapl:0",
        energy_uj: int = 0,
        max_range_uj: int | None = INTEL_RANGE_UJ,
        **limits_uw: int,
    ) -> Path:
        """A zone's folder; `limits_uw` are files such as `constraint_0_power_limit_uw=28000000`."""
        folder = self.folder(path)
        folder.mkdir(parents=True)
        self._link(self._devices / path.partition(":")[0], folder)
        (folder / "name").write_text(f"{name}\n")
        self.set(path, energy_uj)
        if max_range_uj is not None:
            (folder / "max_energy_range_uj").write_text(f"{max_range_uj}\n")
        for file, limit_uw in limits_uw.items():
            (folder / file).write_text(f"{limit_uw}\n")
        return folder

    def folder(self, path: str) -> Path:
        """Where "intel-rapl:0:2" lies: in intel-rapl/intel-rapl:0/intel-rapl:0:2."""
        parts = path.split(":")
        names = [":".join(parts[:length]) for length in range(1, len(parts) + 1)]
        return self._devices.joinpath(*names)

    def file(self, path: str) -> Path:
        """The counter's file of a zone."""
        return self.folder(path) / "energy_uj"

    def set(self, path: str, energy_uj: int) -> None:
        """Put a counter at a height in µJ."""
        self.file(path).touch()
        descriptor = os.open(self.file(path), os.O_WRONLY)
        try:
            _write(descriptor, energy_uj)
        finally:
            os.close(descriptor)

    @contextmanager
    def run(self, watts_by_zone: Mapping[str, float]) -> Iterator[Counters]:
        """Let counters run at these powers in W, from a thread, until the block ends."""
        with Counters(self, watts_by_zone) as counters:
            yield counters

    def _link(self, control_type: Path, folder: Path) -> None:
        if self._class is None:
            return
        for target in (control_type, folder):
            link = self._class / target.name
            if not link.is_symlink():
                link.symlink_to(os.path.relpath(target, self._class))


class Counters:
    """Counters that rise in real time. `energy_j` is what each was given so far, in J."""

    def __init__(
        self,
        fake: FakePowercap,
        watts_by_zone: Mapping[str, float],
        clock: Callable[[], float] = time.monotonic,
        period_s: float = 0.001,
    ) -> None:
        self._clock = clock
        self._period_s = period_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fake powercap", daemon=True)
        self._zones = []
        for zone, watts in watts_by_zone.items():
            range_uj = int((fake.folder(zone) / "max_energy_range_uj").read_text())
            start_uj = int(fake.file(zone).read_text())
            descriptor = os.open(fake.file(zone), os.O_WRONLY)
            self._zones.append((zone, watts, range_uj, start_uj, descriptor))
        self.energy_j = dict.fromkeys(watts_by_zone, 0.0)

    def __enter__(self) -> Counters:
        self._started_s = self._clock()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for *_rest, descriptor in self._zones:
            os.close(descriptor)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stop.wait(self._period_s)  # and once more after the end
            elapsed_s = self._clock() - self._started_s
            for zone, watts, range_uj, start_uj, descriptor in self._zones:
                gained_uj = int(watts * elapsed_s * 1e6)
                _write(descriptor, (start_uj + gained_uj) % (range_uj + 1))
                self.energy_j[zone] = gained_uj / 1e6


def _write(descriptor: int, energy_uj: int) -> None:
    """Write in place: a reader that holds the file open sees the old count or the new one."""
    os.pwrite(descriptor, f"{energy_uj:0{_WIDTH}d}\n".encode(), 0)


def main(arguments: list[str]) -> None:
    """Run the counters of a tree that is there already until standard input ends."""
    root, *zones = arguments
    pairs = (zone.rsplit("=", 1) for zone in zones)
    linked = (Path(root) / "devices/virtual/powercap").is_dir()
    with FakePowercap(Path(root), linked).run({zone: float(watts) for zone, watts in pairs}):
        print("running", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])
