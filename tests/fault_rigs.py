"""Every sensor with every fault at every moment: run as a child process, one sensor at a time.

`python tests/fault_rigs.py RIG FOLDER LIBRARY` prints a line of JSON for each fault and moment:
what a window said of the sensor's domain, and of those beside it. The sampler, its traces and
windows are the library's own, on a clock that moves when told; faults are made in what lies below
a sensor: a driver's library, a file of the kernel's, an event of the kernel's, a plug-in's code.
"""

from __future__ import annotations

import fcntl
import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from faulty_sensor import steered
from standins import FakeNvml, NvmlClock
from standins.nvml_child import NO_COUNTER
from standins.perf_pmu import FakePowerPmu
from standins.rapl import machine as machine_at
from standins.sensors import LIMIT_S, Clock

from jupyter_energy import sensors as registry
from jupyter_energy.display.bundle import cell_bundle
from jupyter_energy.documents import record_from_document, record_to_document, to_json
from jupyter_energy.model import Record
from jupyter_energy.sampler import Sampler
from jupyter_energy.schema import MIME_TYPE, cell_from_records
from jupyter_energy.sensors import estimate, nvml, rapl, replay
from jupyter_energy.sensors.base import Family, Machine, Sensor
from jupyter_energy.sensors.nvml_sensor import Clocks
from jupyter_energy.window import Edge, measure

PLACES = ("discovery", "opening", "midst", "closing", "settle")
TARGET_W, BESIDE_W = 250.0, 40.0
BESIDE = "gpu:7"  # measured by a file, beside whatever fails
WINDOW_S, STEP_S = 5.0, 0.25


class World(Clock):
    """The clock of a sampler, and of the NVIDIA stand-in where there is one."""

    def __init__(self, nvml_clock: NvmlClock | None) -> None:
        super().__init__()
        self._nvml = nvml_clock
        self._rests = threading.Condition()
        self._rest_number = 0
        self.jump(0.0)

    def jump(self, seconds: float) -> None:
        """Move the clock and wake nobody."""
        self.now_s += seconds
        if self._nvml is not None:
            self._nvml.set(self.now_s)

    def wait(self, condition: threading.Condition, pause_s: float | None) -> None:
        with self._rests:
            self._rest_number += 1
            self._rests.notify_all()
        super().wait(condition, pause_s)

    def calm(self) -> None:
        """Wait until the sampler's thread sleeps, and nobody has woken it."""
        while True:
            with self._rests:
                before = self._rest_number
            if self._condition is not None:
                with self._condition:
                    # Who has been notified waits no more, though it may not have gone on yet.
                    if self._condition._waiters:  # type: ignore[attr-defined]
                        return
            with self._rests:
                went_on = self._rests.wait_for(lambda: self._rest_number > before, LIMIT_S)  # noqa: B023
                assert went_on, "the sampler's thread is gone, or hangs"

    def step(self, seconds: float) -> None:
        """Let time pass; done when the sampler's thread has nothing to do before more passes."""
        self.calm()
        self.jump(seconds)
        self.advance(0.0)
        self.calm()


class Rig:
    """A sensor whose `faults` can be made; `watts` is what its domain truly draws, by its key."""

    target = "gpu:1"
    watts: float | None = TARGET_W  # None: known only as `most_j`
    neighbours: dict[str, float] = {}  # noqa: RUF012  read behind the same driver
    source = ""

    def __init__(self, folder: Path, library: Path) -> None:
        self.folder = folder
        self.world: World = World(None)

    @property
    def faults(self) -> dict[str, Callable[[], None]]:
        """What strikes, by its name."""
        raise NotImplementedError

    def mend(self) -> None:
        """All is well (again)."""
        raise NotImplementedError

    def families(self) -> list[Family]:
        """The families that the sampler is to ask."""
        raise NotImplementedError

    def found(self, sampler: Sampler) -> None:
        """The sampler has found its sensors."""

    def closed(self) -> None:
        """The sampler has let go of its sensors."""

    def settle_down(self, sampler: Sampler) -> None:
        """Wait until no driver is at work any more, where none hangs."""
        for worker in sampler._finder.workers.values():
            worker.submit(lambda: None).result(LIMIT_S)


class Nvml(Rig):
    """A GPU behind NVIDIA's library, and another one that is read before it."""

    neighbours = {"gpu:0": 100.0}  # noqa: RUF012
    part = ""
    source = "nvml-counter"

    def __init__(self, folder: Path, library: Path) -> None:
        super().__init__(folder, library)
        self.fake = FakeNvml(library, folder)
        os.environ.update(self.fake.environ)
        self.clock = NvmlClock(library)
        self.world = World(self.clock)
        self.epoch_s = self.clock.realtime() - self.clock()
        self.reloads = 0

    def line(self, number: int, more: str) -> str:
        uuid, bus = f"GPU-{number}", f"00000000:0{number + 1}:00.0"
        return f'gpu {number} uuid={uuid} name="NVIDIA H100" pci={bus} limit_mw=700000 ' + more

    def say(self, more: str = "", profile: str = "profile=0:250 ", library: str = "") -> None:
        """What the driver says of the target from now on."""
        first = self.line(0, f"{self.part} profile=0:100")
        lines = [first, self.line(1, f"{self.part} energy_mj=10000000 {profile}{more}")]
        self.fake.set(*([f"library {library}"] if library else []), *lines)

    def mend(self) -> None:
        self.clock.set_epoch(self.epoch_s)
        self.say()

    def reload(self) -> None:
        self.reloads += 1
        self.say(library=f"reload={self.reloads}")

    @property
    def faults(self) -> dict[str, Callable[[], None]]:
        all_ones = "energy_mj=18446744073709551615 power_mw=4294967295"
        return {
            "raises": lambda: self.say("fault=Unknown@*"),
            "hangs": lambda: self.say("hang=10000@*"),
            "no value": lambda: self.say(all_ones, profile=""),
            "disappears": lambda: self.say("fault=GpuIsLost@*"),
            **self.own_faults,
            # The last, since it resets the counter of all GPUs for good.
            "driver reloaded": self.reload,
        }

    @property
    def own_faults(self) -> dict[str, Callable[[], None]]:
        return {
            "huge": lambda: self.say("energy_mj=1000000000000000"),
            "goes backwards": lambda: self.say("energy_mj=1000000"),
            "stuck": lambda: self.say("power_mw=250000", profile=""),
        }

    def families(self) -> list[Family]:
        clocks = Clocks(self.world, self.clock.realtime)
        here = Machine(sysfs=self.folder / "sys", procfs=self.folder / "proc")
        asked = SimpleNamespace(
            __name__="nvml", WORKER=nvml.WORKER, discover=lambda _: nvml.discover(here, clocks)
        )
        return [asked]


class NvmlPower(Nvml):
    """A GPU that tells its power alone."""

    part = NO_COUNTER
    source = "nvml-power-integrated"

    @property
    def own_faults(self) -> dict[str, Callable[[], None]]:
        return {
            "huge": lambda: self.say("power_mw=4000000000", profile=""),
            "negative": lambda: self.say("value_type=5 power_mw=4294900000", profile=""),
            "wrong type": lambda: self.say("value_type=99"),
            "realtime goes backwards": lambda: self.clock.set_epoch(self.epoch_s - 1000),
        }


class NvmlRing(NvmlPower):
    """A GPU whose driver keeps its last samples."""

    part = NO_COUNTER + " brand=5 architecture=4 usage=instant boxcar_ms=0 ring_ms=20"


class Estimated(Rig):
    """The estimate of the processor, from a /proc/stat that a test writes."""

    target = "package:0"
    watts = None
    source = "estimate:cpu-time"
    STAT = "cpu  {} 0 0 9 9 0 0 7 0 0\ncpu0 {} 0 0 9 9 0 0 7 0 0\n"

    def __init__(self, folder: Path, library: Path) -> None:
        super().__init__(folder, library)
        self.stat = folder / "proc/stat"
        self.stat.parent.mkdir(exist_ok=True)
        (folder / "proc/meminfo").write_text("MemTotal: 8000000 kB\n")

    def mend(self) -> None:
        self.write(self.STAT.format(5000, 5000))

    def write(self, text: str) -> None:
        """Written in place: the sensor holds the file open."""
        if not self.stat.exists():
            self.stat.touch()
        descriptor = os.open(self.stat, os.O_WRONLY)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, text.encode())
        os.close(descriptor)

    @property
    def faults(self) -> dict[str, Callable[[], None]]:
        return {
            "no value": lambda: self.write("cpu  x y z\ncpu0 \0\n"),
            "negative": lambda: self.write(self.STAT.format(-5000, -5000)),
            "huge": lambda: self.write(self.STAT.format(10**30, 10**30)),
            "disappears": lambda: self.write(""),
            "goes backwards": lambda: self.write(self.STAT.format(4000, 4000)),
            "resets": lambda: self.write(self.STAT.format(0, 0)),
        }

    def families(self) -> list[Family]:
        here = Machine(sysfs=self.folder / "sys", procfs=self.folder / "proc", cpu_tdp_w=100.0)
        world = self.world
        return [
            SimpleNamespace(__name__="estimate", discover=lambda _: estimate.discover(here, world))
        ]


class Perf(Rig):
    """An event of the kernel's `power` PMU; the event itself is real, and its time too."""

    target = "package:0"
    watts = None
    source = "perf"
    EVENT_W = 5000.0  # much, since a window takes some ms of its time
    ENABLE, DISABLE, RESET = 0x2400, 0x2401, 0x2403  # uapi/linux/perf_event.h

    def __init__(self, folder: Path, library: Path) -> None:
        super().__init__(folder, library)
        self.pmu = FakePowerPmu(folder / "sys", {"energy-pkg": self.EVENT_W})
        self.descriptor = -1

    def mend(self) -> None:
        self.pmu.write("energy-pkg.unit", "Joules")
        self.ask(self.ENABLE)

    def ask(self, request: int) -> None:
        if self.descriptor >= 0:
            fcntl.ioctl(self.descriptor, request, 0)
        elif request != self.ENABLE:
            self.pmu.write("energy-pkg.unit", "Calories")

    @property
    def faults(self) -> dict[str, Callable[[], None]]:
        return {
            "disappears": lambda: self.ask(self.DISABLE),
            "resets": lambda: self.ask(self.RESET),
        }

    def families(self) -> list[Family]:
        self.descriptor = -1
        here = machine_at(self.folder / "sys")
        return [SimpleNamespace(__name__="rapl", discover=lambda _: rapl.discover(here))]

    def found(self, sampler: Sampler) -> None:
        for sensor in sampler.sensors():
            if sensor.source == self.source:
                self.descriptor = sensor._descriptor  # type: ignore[attr-defined]

    def closed(self) -> None:
        self.descriptor = -1


class Replayed(Rig):
    """A recording: once found it is a curve in memory, so nothing that befalls its file counts."""

    target = "gpu:1"
    source = "replay:target.csv"

    def __init__(self, folder: Path, library: Path) -> None:
        super().__init__(folder, library)
        self.file = folder / "target.csv"

    def mend(self) -> None:
        self.write("0,gpu:1,250\n60,gpu:1,250\n")

    def write(self, rows: str) -> None:
        """The whole file anew."""
        self.file.write_text(f"t_s,domain,watts\n{rows}")

    @property
    def faults(self) -> dict[str, Callable[[], None]]:
        def write(rows: str) -> Callable[[], None]:
            return partial(self.write, rows)

        return {
            "disappears": self.file.unlink,
            "no value": write("0,gpu:1,nan\n60,gpu:1,many\n"),
            "negative": write("0,gpu:1,-5\n60,gpu:1,-5\n"),
            "goes backwards": write("60,gpu:1,5\n0,gpu:1,5\n"),
        }

    def families(self) -> list[Family]:
        return [replayed(self.file, self.world)]


class PlugIn(Rig):
    """A third party's sensor, found by its entry point; it says that any thread may read it."""

    target = "gpu:1"
    neighbours = {"gpu:0": 100.0}  # noqa: RUF012
    source = "steered"

    def mend(self) -> None:
        steered.go_on.set()
        steered.clock = self.world
        steered.acts.clear()
        steered.acts |= {0: lambda t_s: 100 * t_s, 1: lambda t_s: TARGET_W * t_s}

    @property
    def faults(self) -> dict[str, Callable[[], None]]:
        def fail(error: BaseException) -> Callable[[float], object]:
            def act(t_s: float) -> object:
                raise error

            return act

        def hang() -> None:
            steered.go_on.clear()
            steered.acts[1] = steered.hang

        def give(act: Callable[[float], object]) -> Callable[[], None]:
            return lambda: steered.acts.update({1: act})

        def strange(t_s: float) -> object:
            return object()

        return {
            "raises": give(fail(ZeroDivisionError("a bug"))),
            "exits": give(fail(SystemExit(3))),
            "hangs": hang,
            "NaN": give(lambda t_s: float("nan")),
            "infinite": give(lambda t_s: float("-inf")),
            "negative": give(lambda t_s: -5.0),
            "huge": give(lambda t_s: 1e12 + TARGET_W * t_s),
            "wrong type": give(strange),
            "no value": give(lambda t_s: None),
            "disappears": give(fail(OSError("no such device"))),
            "goes backwards": give(lambda t_s: TARGET_W * (t_s - 500)),
            "resets": lambda: steered.acts.update({1: steered.Counter(self.world.now_s)}),
        }

    def families(self) -> list[Family]:
        nothing = Machine(sysfs=self.folder / "sys", procfs=self.folder / "proc")
        found = [f for f in registry.families(nothing) if isinstance(f, registry.PlugIn)]
        return [f for f in found if f.point.name == "steered"]


RIGS: dict[str, type[Rig]] = {
    "nvml counter": Nvml,
    "nvml power": NvmlPower,
    "nvml ring": NvmlRing,
    "estimate": Estimated,
    "perf": Perf,
    "replay": Replayed,
    "plug-in": PlugIn,
}


def replayed(file: Path, clock: Clock) -> Family:
    """The family of one recording, by the clock of the test."""
    here = Machine(replay=file)
    return SimpleNamespace(
        __name__=f"replay {file.stem}", discover=lambda _: replay.discover(here, clock)
    )


def everything(sensor: Sensor) -> bool:
    return True


class Scenario:
    """One fault at one place. `lasting`: it is not mended before its window has ended."""

    def __init__(self, rig: Rig, fault: str, place: str) -> None:
        self.rig, self.fault, self.place = rig, fault, place
        self.lasting = fault == "disappears"
        self.hangs = False

    def run(self) -> dict[str, Any]:
        """What the windows say: of the fault, and of the time after it."""
        rig, world = self.rig, self.rig.world
        os.environ["XDG_CACHE_HOME"] = str(rig.folder / f"{self.fault} {self.place}")
        beside = rig.folder / "beside.csv"
        rows = f"0,{BESIDE},{BESIDE_W}\n60,{BESIDE},{BESIDE_W}\n"
        beside.write_text(f"t_s,domain,watts\n{rows}")
        rig.mend()
        families = [*rig.families(), replayed(beside, world)]
        sampler = Sampler(Machine(), lambda: families, 1.0, world, world.wait, lambda: 0.0)
        try:
            self.strike("discovery")
            sampler.start()
            # What hangs is not found; that beside it is.
            while BESIDE not in {s.domain.key for s in sampler.sensors()}:
                sampler.wait_until_found(0.001)
            if not self.hangs:
                assert sampler.wait_until_found(LIMIT_S)
            rig.found(sampler)
            said = self.window(sampler)
            self.mended(sampler)
            if not sampler.wait_until_found(LIMIT_S):
                raise AssertionError("what hung is never found")
            rig.found(sampler)
            for _ in range(30):
                world.step(STEP_S)
            after = self.window(sampler)
        finally:
            self.fault = ""
            rig.mend()
            sampler.close()
            rig.closed()
        return {"said": said, "after": after}

    def window(self, sampler: Sampler) -> dict[str, Any]:
        """What a window of 5 s says in the midst and at its end."""
        world, began_s = self.rig.world, time.monotonic()
        self.step(sampler)
        world.jump(0.02)  # a moment at which nothing was polled
        with self.at("opening", sampler):
            start = sampler.opening_edge(everything, shown=True)
        for _ in range(8):
            self.step(sampler)
        with self.at("midst", sampler):
            self.step(sampler)
            world.jump(0.02)
            midst = sampler.look(everything)
            self.step(sampler)
        while world.now_s < start.t_s + WINDOW_S - 1e-9:
            self.step(sampler)
        world.jump(0.02)
        with self.at("closing", sampler):
            stop = sampler.closing_edge(everything, shown=True)
        told: queue.Queue[Edge | None] = queue.Queue()
        settled = None
        with self.at("settle", sampler):
            if sampler.settle(stop, told.put, shown=True):
                for _ in range(4):
                    world.step(0.05)
                settled = told.get(timeout=LIMIT_S)
        figures = {
            "midst": self.cell(sampler, start, midst, None),
            "plain": self.cell(sampler, start, stop, None),
            "settled": self.cell(sampler, start, stop, settled),
        }
        return figures | {
            "was_settled": settled is not None,
            "real_s": time.monotonic() - began_s,
            "seconds": {"midst": midst.t_s - start.t_s, "plain": stop.t_s - start.t_s},
        }

    def cell(
        self, sampler: Sampler, start: Edge, stop: Edge, settled: Edge | None
    ) -> dict[str, Any]:
        """A record's cell, as the store gives it back and as people see it."""
        begun = datetime(2026, 1, 1, tzinfo=UTC)
        measurement = measure(begun, start, stop, sampler.absences(), settled)
        record = Record(
            "run", "notebook", "session", "host", None, None, 1, None, "ok", measurement, None,
            False,
        )  # fmt: skip
        document = json.loads(to_json(record_to_document(record)))
        bundle = cell_bundle(cell_from_records([record_from_document(document)]))
        cell: Any = bundle[MIME_TYPE]
        return {
            "domains": {f"{d['kind']}:{d['index']}": d for d in cell["domains"]},
            "text": bundle["text/plain"],
            "html": bundle["text/html"],
            "same": record_from_document(document) == record,
        }

    # -- the fault -------------------------------------------------------------------------

    def at(self, place: str, sampler: Sampler) -> Any:
        """A block in which the fault is there, if this is its place."""
        return _At(self, place, sampler)

    def strike(self, place: str) -> None:
        if place == self.place and self.fault:
            self.rig.faults[self.fault]()
            self.hangs = self.fault == "hangs"

    def mended(self, sampler: Sampler) -> None:
        """All is well from here on, and whoever hung goes on."""
        self.rig.mend()
        self.fault, self.hangs = "", False
        self.rig.settle_down(sampler)

    def step(self, sampler: Sampler) -> None:
        self.rig.world.step(STEP_S)
        if not self.hangs:
            self.rig.settle_down(sampler)


class _At:
    def __init__(self, scenario: Scenario, place: str, sampler: Sampler) -> None:
        self._scenario, self._place, self._sampler = scenario, place, sampler

    def __enter__(self) -> None:
        self._scenario.strike(self._place)

    def __exit__(self, *_: object) -> None:
        scenario = self._scenario
        if self._place == scenario.place and scenario.fault and not scenario.lasting:
            scenario.mended(self._sampler)


def outcomes(name: str, folder: Path, library: Path) -> Iterator[dict[str, Any]]:
    """What becomes of each fault at each place."""
    rig = RIGS[name](folder, library)
    for fault in list(rig.faults):
        for place in PLACES:
            told: dict[str, Any] = {"rig": name, "fault": fault, "place": place}
            try:
                told |= Scenario(rig, fault, place).run()
            except Exception:  # noqa: BLE001  told to the test, which fails with it
                told["error"] = traceback.format_exc()
            yield told


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        for outcome in outcomes(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])):
            print(json.dumps(outcome), flush=True)
