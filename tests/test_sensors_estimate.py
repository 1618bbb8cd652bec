"""Estimates against a moved procfs and control groups, with a clock that moves when told."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_energy.errors import SensorError
from jupyter_energy.model import Sample
from jupyter_energy.sampler import Sampler
from jupyter_energy.sensors import cgroup, cpu_power, estimate
from jupyter_energy.sensors.base import Discovery, Machine, Sensor
from jupyter_energy.trace import Trace

GB = 2**30


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Host:
    """A machine of files: its threads' CPU time, its memory, its control groups."""

    def __init__(self, root: Path, threads: int = 4, memory_gb: float = 8) -> None:
        if sys.platform == "win32":
            pytest.skip("procfs is read by pread, which Windows lacks")
        self.proc, self.sys = root / "proc", root / "sys"
        (self.proc / "self").mkdir(parents=True)
        self.sys.mkdir()
        self.ticks = [[0] * 10 for _ in range(threads)]
        self.work()
        (self.proc / "meminfo").write_text(
            f"MemTotal: {int(memory_gb * 2**20)} kB\nMemFree: 1 kB\n"
        )
        self.allow(f"0-{threads - 1}")
        self.clock = Clock()
        self.machine = Machine(sysfs=self.sys, procfs=self.proc, environ={})

    def work(self, thread: int = 0, **seconds: float) -> None:
        """Let a thread spend seconds as user, nice, system, idle, iowait, irq, softirq, steal…"""
        names = [
            "user",
            "nice",
            "system",
            "idle",
            "iowait",
            "irq",
            "softirq",
            "steal",
            "guest",
            "guest_nice",
        ]
        for name, spent_s in seconds.items():
            self.ticks[thread][names.index(name)] += round(spent_s * 100)
        rows = [("cpu ", [sum(column) for column in zip(*self.ticks, strict=True)])]
        rows += [(f"cpu{number}", row) for number, row in enumerate(self.ticks)]
        lines = [f"{name} {' '.join(map(str, row))}" for name, row in rows]
        # Written over in place: the sensor holds the file open, as it holds the kernel's.
        (self.proc / "stat").write_text("\n".join([*lines, "intr 7 0 0", "ctxt 9"]) + "\n")

    def allow(self, threads: str) -> None:
        (self.proc / "self/status").write_text(f"Name:\tx\nCpus_allowed_list:\t{threads}\n")

    def group(self, membership: str, folder: str, **files: str) -> None:
        """Put this process into a control group with these files ("cpu_max" is cpu.max)."""
        (self.proc / "self/cgroup").write_text(membership)
        path = self.sys / "fs/cgroup" / folder
        path.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (path / name.replace("_", ".", 1)).write_text(text)

    def processor(self, *lines: str) -> None:
        """Let /proc/cpuinfo say this of each processor."""
        text = "".join(f"{line.replace(': ', chr(9) + ': ', 1)}\n" for line in lines)
        rows = [f"processor\t: {n}\n{text}" for n in range(len(self.ticks))]
        (self.proc / "cpuinfo").write_text("\n".join(rows))

    def dmi(self, maker: str, product: str) -> None:
        """What the firmware says of the machine."""
        folder = self.sys / "class/dmi/id"
        folder.mkdir(parents=True)
        (folder / "sys_vendor").write_text(f"{maker}\n")
        (folder / "product_name").write_text(f"{product}\n")

    def discover(self, cpu_tdp_w: float | None = None) -> Discovery:
        return estimate.discover(replace(self.machine, cpu_tdp_w=cpu_tdp_w), self.clock)

    def cpu(self, cpu_tdp_w: float | None = None) -> Sensor:
        return self.discover(cpu_tdp_w).sensors[0]

    def memory(self) -> Sensor:
        return self.discover().sensors[1]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_the_cpu_draws_a_quarter_of_its_tdp_idle_and_three_quarters_busy(host: Host) -> None:
    sensor = host.cpu(cpu_tdp_w=80.0)
    assert sensor.read() == 0
    host.clock.now_s += 10
    assert sensor.read() == pytest.approx(0.25 * 80 * 10)
    host.clock.now_s += 10
    for thread in range(4):
        host.work(thread, user=10)
    assert sensor.read() == pytest.approx(0.25 * 80 * 10 + 0.75 * 80 * 10)


def test_a_thread_of_an_unknown_processor_is_that_of_the_median_server_with_a_wide_range(
    host: Host,
) -> None:
    sensor = host.cpu()
    host.clock.now_s += 10
    host.work(0, user=4)
    idle_w, busy_w = cpu_power.UNKNOWN_W
    assert sensor.read() == pytest.approx(idle_w * 4 * 10 + busy_w * 4)
    assert sensor.spread == cpu_power.BANDS["unknown"]
    assert host.cpu(cpu_tdp_w=80.0).spread == (0.5, 2.0)


def test_only_work_counts_and_guests_count_once(host: Host) -> None:
    sensor = host.cpu(cpu_tdp_w=40.0)
    host.work(0, idle=100, iowait=100, steal=100)
    assert sensor.read() == 0
    # A guest's second is in user as well: user 1 with guest 1 is one second of work.
    host.clock.now_s += 10
    host.work(1, user=1, guest=1, nice=1, system=1, irq=1, softirq=1)
    assert sensor.read() == pytest.approx(0.25 * 40 * 10 + 10 * 0.50 * 5)


@settings(deadline=None)  # a busy machine is no fault of the arithmetic
@given(
    st.lists(
        st.tuples(st.integers(1, 500), st.lists(st.integers(0, 100), min_size=4, max_size=4)),
        min_size=1,
        max_size=8,
    )
)
def test_any_shape_of_load_gives_the_energy_of_its_sums(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[int, list[int]]],
) -> None:
    host = Host(tmp_path_factory.mktemp("host"))
    sensor = host.cpu(cpu_tdp_w=100.0)
    trace = Trace(sensor)
    sample = trace.add(host.clock.now_s, sensor.read())
    for ticks, shares in steps:
        host.clock.now_s += ticks / 100
        for thread, share in enumerate(shares):
            host.work(thread, user=ticks * share // 100 / 100)
        sample = trace.add(host.clock.now_s, sensor.read())
    seconds = sum(ticks for ticks, _ in steps) / 100
    busy_s = sum(ticks * share // 100 for ticks, shares in steps for share in shares) / 100
    assert sample.energy_j == pytest.approx(100 * (0.25 * seconds + 0.50 * busy_s / 4))
    assert sample.covered_s == pytest.approx(seconds)
    sensor.close()


def test_what_an_estimate_is_called_says_so(host: Host) -> None:
    cpu, memory = host.discover().sensors
    assert {sensor.provenance for sensor in (cpu, memory)} == {"estimated"}
    assert (cpu.domain.key, cpu.domain.name) == ("package:0", "CPU (4 threads)")
    assert (memory.domain.key, memory.domain.name) == ("dram:0", "Memory (8 GB)")
    assert (cpu.source, memory.source) == ("estimate:cpu-time", "estimate:memory-capacity")
    assert all(sensor.spread and sensor.accuracy.gain == 0 for sensor in (cpu, memory))


def test_memory_draws_by_its_size_and_the_time(host: Host) -> None:
    sensor = host.memory()
    host.clock.now_s += 100
    assert sensor.read() == pytest.approx(0.125 * 8 * 100)
    assert sensor.spread == (0.32, 3.2)  # 0.04 to 0.40 W/GB


def test_a_process_bound_to_some_threads_is_counted_by_these(tmp_path: Path) -> None:
    host = Host(tmp_path, threads=8)
    host.allow("1,4-5")
    found = host.discover(cpu_tdp_w=80.0)
    sensor = found.sensors[0]
    assert sensor.domain.name == "CPU (3 of 8 threads)"
    assert "the 3 threads" in found.notes[0]
    host.clock.now_s += 1
    host.work(0, user=1)  # not ours
    host.work(5, user=1)
    assert sensor.read() == pytest.approx(10 * (0.25 * 3 + 0.50))
    (host.proc / "stat").write_text("cpu 1 1 1 1 1 1 1\ncpu1 1 1 1 1 1 1 1\n")
    with pytest.raises(SensorError, match="offline"):
        sensor.read()


def test_a_container_of_version_2_is_counted_by_its_own_quota_and_usage(tmp_path: Path) -> None:
    host = Host(tmp_path, threads=64, memory_gb=1024)
    usage = "usage_usec 5000000\nuser_usec 4000000\n"
    host.group("0::/\n", "", cpu_max="150000 100000\n", cpu_stat=usage, memory_max=f"{4 * GB}\n")
    found = host.discover(cpu_tdp_w=640.0)
    cpu, memory = found.sensors
    assert cpu.domain.name == "CPU (1.5 of 64 threads)"
    assert memory.domain.name == "Memory (4 GB)"
    assert "this container" in found.notes[0]
    host.clock.now_s += 2
    host.work(0, user=100)  # a neighbour's
    host.group("0::/\n", "", cpu_stat="usage_usec 7000000\n")
    assert cpu.read() == pytest.approx(10 * (0.25 * 1.5 * 2 + 0.50 * 2))
    assert memory.read() == pytest.approx(0.125 * 4 * 2)


@pytest.mark.parametrize("accounting", ["cpu,cpuacct", "cpuacct"])
def test_a_container_of_version_1_is_counted_by_its_own_quota_and_usage(
    tmp_path: Path, accounting: str
) -> None:
    host = Host(tmp_path, threads=8, memory_gb=64)
    cpu_mount = accounting if "," in accounting else "cpu"
    memberships = "4:memory:/pod/x\n3:cpu,cpuacct:/pod/x\n1:name=systemd:/\n0::/\n"
    group = "pod/x"
    host.group(
        memberships,
        f"{cpu_mount}/{group}",
        cpu_cfs_quota_us="200000\n",
        cpu_cfs_period_us="100000\n",
    )
    host.group(memberships, f"{accounting}/{group}", cpuacct_usage="1000000000\n")
    host.group(memberships, f"memory/{group}", memory_limit_in_bytes=f"{2 * GB}\n")
    cpu, memory = host.discover(cpu_tdp_w=80.0).sensors
    assert (cpu.domain.name, memory.domain.name) == ("CPU (2 of 8 threads)", "Memory (2.0 GB)")
    host.clock.now_s += 1
    host.group(memberships, f"{accounting}/{group}", cpuacct_usage="1500000000\n")
    assert cpu.read() == pytest.approx(10 * (0.25 * 2 + 0.50 * 0.5))


def test_the_tightest_limit_on_the_way_up_holds(tmp_path: Path) -> None:
    host = Host(tmp_path, threads=16)
    host.group("0::/user/job\n", "user/job", cpu_max="max 100000\n", memory_max="max\n")
    host.group(
        "0::/user/job\n",
        "user",
        cpu_max="400000 100000\n",
        cpu_stat="usage_usec 1\n",
        memory_max=f"{3 * GB}\n",
    )
    host.group("0::/user/job\n", "", cpu_max="800000 100000\n", memory_max=f"{6 * GB}\n")
    found = cgroup.limits(host.machine)
    assert (found.cpus, found.memory_bytes) == (4.0, 3 * GB)
    assert found.usage == host.sys / "fs/cgroup/user/cpu.stat"


@pytest.mark.parametrize(
    ("cpu_max", "memory_max"),
    [("max 100000\n", "max\n"), ("1600000 100000\n", f"{2**63 - 4096}\n"), ("", "")],
    ids=["none", "more than the machine", "empty"],
)
def test_limits_that_do_not_bind_leave_the_machine_as_it_is(
    host: Host, cpu_max: str, memory_max: str
) -> None:
    host.group("0::/\n", "", cpu_max=cpu_max, memory_max=memory_max, cpu_stat="usage_usec 1\n")
    found = host.discover()
    assert [sensor.domain.name for sensor in found.sensors] == ["CPU (4 threads)", "Memory (8 GB)"]
    assert "every process on this machine" in found.notes[0]


def test_a_group_that_is_named_as_the_host_names_it_is_found_at_the_root(host: Host) -> None:
    host.group("0::/docker/3f2a\n", "", cpu_max="100000 100000\n", cpu_stat="usage_usec 1\n")
    assert host.cpu().domain.name == "CPU (1 of 4 threads)"


@pytest.mark.parametrize("text", ["", "cpu\n", "cpu a b c d e f g\n", "intr 5\n"])
def test_a_stat_file_without_cpu_time_is_an_absence_with_a_reason(host: Host, text: str) -> None:
    (host.proc / "stat").write_text(text)
    found = host.discover()
    assert [sensor.domain.kind for sensor in found.sensors] == ["dram"]
    [absence] = found.absences
    assert absence.domain.kind == "package"
    assert absence.reason


def test_cpu_time_that_cannot_be_read_later_is_an_error(host: Host) -> None:
    sensor = host.cpu()
    (host.proc / "stat").write_text("")
    with pytest.raises(SensorError):
        sensor.read()
    sensor.close()
    sensor.close()
    with pytest.raises(SensorError, match="closed"):
        sensor.read()


def test_memory_of_unknown_size_is_an_absence(host: Host) -> None:
    (host.proc / "meminfo").write_text("MemFree: 5 kB\n")
    found = host.discover()
    assert [sensor.domain.kind for sensor in found.sensors] == ["package"]
    assert "does not give the size" in found.absences[0].reason


def test_failed_discoveries_leave_no_descriptor_open(host: Host) -> None:
    (host.proc / "stat").write_text("cpu broken\ncpu0 broken\n")
    before = os.dup(0)
    os.close(before)
    for _ in range(3):
        assert host.discover().absences
    after = os.dup(0)
    os.close(after)
    assert after == before


def test_a_system_without_procfs_is_read_through_psutil(tmp_path: Path) -> None:
    import psutil

    clock = Clock()
    found = estimate.discover(Machine(sysfs=tmp_path, procfs=tmp_path / "no"), clock)
    cpu, memory = found.sensors
    assert str(psutil.cpu_count()) in cpu.domain.name
    clock.now_s += 10
    idle_j = cpu_power.UNKNOWN_W[0] * (psutil.cpu_count() or 1) * 10
    assert cpu.read() >= idle_j
    gigabytes = psutil.virtual_memory().total / GB
    assert memory.read() == pytest.approx(0.125 * gigabytes * 10)


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="needs Linux's /proc")
def test_this_machine_s_own_cpu_time_is_read_anew_each_time() -> None:
    import psutil

    clock = Clock()  # stands still: what rises is CPU time
    cpu = estimate.discover(Machine(sysfs=Path("/nowhere")), clock).sensors[0]
    times = psutil.cpu_times()
    spent_s = times.user + times.system
    while psutil.cpu_times().user + psutil.cpu_times().system < spent_s + 0.05:
        pass  # the work that is counted
    assert cpu.read() > 0
    cpu.close()


# -- virtual machines, laptops, containers ---------------------------------------------------

GENOA = ("vendor_id: AuthenticAMD", "cpu family: 25", "model: 17", "model name: AMD EPYC 9654")


def test_of_a_virtual_machine_only_the_work_counts_and_the_note_says_what_does_not(
    host: Host,
) -> None:
    host.processor(*GENOA, "siblings: 2", "flags: fpu hypervisor lahf_lm")
    host.dmi("QEMU", "Standard PC (Q35 + ICH9, 2009)")
    found = host.discover()
    cpu = found.sensors[0]
    host.clock.now_s += 100
    assert cpu.read() == 0  # waiting costs nothing that the host would not draw anyway
    host.work(0, user=3)
    # W of a busy thread in this family's usual socket: what a virtual socket says is made up.
    busy_w = 0.958 * (192 / 64) ** -0.44
    assert cpu.read() == pytest.approx(busy_w * 3)
    assert cpu.spread == cpu_power.BUSY_BANDS["in_vm"]
    told = found.notes[-1]
    assert "a virtual machine (QEMU/KVM)" in told
    assert "idle power of its host is shared with others and not counted" in told
    assert "4 threads would be about 1.6 W" in told


@pytest.mark.parametrize(
    ("maker", "product", "said"),
    [
        ("Amazon EC2", "m7g.large", "Amazon EC2"),
        ("Amazon EC2", "m7i.metal-24xl", None),
        ("Google", "Google Compute Engine", "Google Compute Engine"),
        ("Google", "Rammus", None),
        ("Microsoft Corporation", "Virtual Machine", "Hyper-V or Azure"),
        ("Microsoft Corporation", "Surface Laptop 5", None),
        ("Dell Inc.", "PowerEdge R760", None),
    ],
)
def test_firmware_tells_a_virtual_machine_from_a_real_one_where_the_processor_does_not(
    host: Host, maker: str, product: str, said: str | None
) -> None:
    host.processor("CPU implementer: 0x41", "CPU part: 0xd4f")  # Arm has no such flag
    host.dmi(maker, product)
    notes = "\n".join(host.discover().notes)
    assert ("virtual machine" in notes) == (said is not None)
    assert said is None or f"({said})" in notes


def test_a_hypervisor_that_hides_its_name_and_wsl_are_virtual_machines_too(tmp_path: Path) -> None:
    hidden, wsl = Host(tmp_path / "hidden"), Host(tmp_path / "wsl")
    hidden.processor("flags: fpu hypervisor")
    assert "of a kind that it does not tell" in hidden.discover().notes[-1]
    (wsl.proc / "version").write_text("Linux version 6.6.87.2-microsoft-standard-WSL2\n")
    assert "virtual machine (WSL)" in wsl.discover().notes[-1]


def test_a_laptop_gets_the_wide_range_since_no_laptop_is_published(host: Host) -> None:
    host.processor(*GENOA, "siblings: 4", "flags: fpu")
    assert host.cpu().spread == cpu_power.BANDS["known"]
    mouse = host.sys / "class/power_supply/hidpp_battery_0"
    mouse.mkdir(parents=True)
    (mouse / "type").write_text("Battery\n")
    (mouse / "scope").write_text("Device\n")
    assert host.cpu().spread == cpu_power.BANDS["known"]
    battery = host.sys / "class/power_supply/BAT0"
    battery.mkdir()
    (battery / "type").write_text("Battery\n")
    assert host.cpu().spread == cpu_power.BANDS["unknown"]


def test_in_a_container_the_note_says_that_others_are_counted_too(host: Host) -> None:
    assert "container" not in host.discover().notes[0]
    (host.proc.parent / ".dockerenv").touch()
    assert "every process on this machine, other containers' too" in host.discover().notes[0]


# -- faults, through the sampler -------------------------------------------------------------


class Family:
    """The estimate of a host, as a family that the sampler asks."""

    __name__ = "estimate"

    def __init__(self, host: Host) -> None:
        self.host = host

    def discover(self, machine: Machine) -> Discovery:
        return estimate.discover(machine, self.host.clock)


def rewrite(host: Host, old: str, new: str) -> None:
    stat = host.proc / "stat"
    stat.write_text(stat.read_text().replace(old, new))


# What happens to /proc/stat, what is said of it, and the threads that the process may run on:
# where these are not all, each thread's own line is read.
FAULTS = {
    "empty": (lambda host: (host.proc / "stat").write_text(""), "is missing", "0-3"),
    "garbage": (lambda host: rewrite(host, "cpu2 ", "cpu2 x"), "could not be read", "1-2"),
    "backwards": (lambda host: host.work(2, user=-10), "fell by 10 s", "0-3"),
    "beyond belief": (lambda host: host.work(2, user=100), "rose by 100 s in 10 s", "0-3"),
    "a thread offline": (lambda host: rewrite(host, "cpu2 ", "gone "), "taken offline", "1-2"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_cpu_time_that_cannot_be_believed_is_absent_with_its_reason_and_invents_nothing(
    host: Host, fault: str
) -> None:
    spoil, reason, allowed = FAULTS[fault]
    host.allow(allowed)
    host.work(2, user=100)
    machine = replace(host.machine, cpu_tdp_w=40.0)
    sampler = Sampler(machine, lambda: [Family(host)], 1.0, host.clock)
    sampler.start()
    try:
        assert sampler.wait_until_found(60.0)
        cpu, memory = sampler.sensors()
        first = sampler.look(lambda _: True).readings[cpu]
        kept = (host.proc / "stat").read_text()
        host.clock.now_s += 10
        spoil(host)
        during = sampler.look(lambda _: True)
        assert reason in str(during.readings[cpu])
        unaffected = during.readings[memory]
        assert isinstance(unaffected, Sample)
        assert unaffected.energy_j > 0
        jumped = fault in ("backwards", "beyond belief")
        if not jumped:
            (host.proc / "stat").write_text(kept)
        host.clock.now_s += 10
        host.work(2, user=5)
        last = sampler.look(lambda _: True).readings[cpu]
        assert isinstance(first, Sample)
        assert isinstance(last, Sample)
        threads = 4 if allowed == "0-3" else 2
        # What was drawn around a jump is not known.
        covered_s, expected_j = (0, 0) if jumped else (20, 10 * (0.25 * threads * 20 + 0.50 * 5))
        assert last.energy_j - first.energy_j == pytest.approx(expected_j)
        assert last.covered_s - first.covered_s == pytest.approx(covered_s)
    finally:
        sampler.close()


def test_a_correction_of_one_tick_is_no_fault_and_no_tick_counts_twice(host: Host) -> None:
    sensor = host.cpu(cpu_tdp_w=40.0)
    host.work(0, user=1)
    before_j = sensor.read()
    host.work(0, user=-0.01)
    assert sensor.read() == before_j
    host.work(0, user=0.02)
    assert sensor.read() - before_j == pytest.approx(10 * 0.50 * 0.01)


def test_the_middle_never_rises_faster_than_the_sensor_says_that_it_can(host: Host) -> None:
    for sensor in (host.cpu(), host.cpu(cpu_tdp_w=80.0), host.memory()):
        before_j = sensor.read()
        host.clock.now_s += 10
        for thread in range(4):
            host.work(thread, user=10)
        assert sensor.max_w is not None
        assert sensor.read() - before_j == pytest.approx(sensor.max_w * 10)
