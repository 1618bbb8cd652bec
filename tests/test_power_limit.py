"""The sweep of power limits, on work with a knee that is known: found, told, and put back."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standins import build_nvml
from standins.nvml_child import H100, NvmlChild

from jupyter_energy.power_limit import Point, both, knee
from jupyter_energy.uncertainty import Uncertain

elf = pytest.mark.skipif(sys.platform != "linux", reason="the stand-in is an ELF library")
# Its least energy a step is at 80 % of the limits that are tried (see `model_j`).
IDLE_W, FULL_W, COMPUTES_S = 360.0, 340.0, 5.0
WORK = H100 + f"min_mw=200000 work={IDLE_W}:{FULL_W}:0:{COMPUTES_S} "
LIMITS_W = (700, 630, 560, 490)
SECOND = WORK.replace("gpu 0 uuid=GPU-0a", "gpu 1 uuid=GPU-0b").replace(":0A:", ":0B:")
DENIED = "fault=NoPermission@nvmlDeviceSetPowerManagementLimit "
# A monitor whose sampler lives by the stand-in's clock: a step of 5 s takes no time.
PROGRAM = """
import os, signal
from argparse import Namespace
from types import SimpleNamespace
from jupyter_energy.config import Energy
from jupyter_energy.errors import EnergyError, SensorDenied
from jupyter_energy.identity import NotebookRef
from jupyter_energy.monitor import Monitor
from jupyter_energy.limiter import Limiter, candidates, others
from jupyter_energy.power_limit import knee, shares, swept, timed
from jupyter_energy.sampler import Sampler
from jupyter_energy.sensors import nvml
from standins.sensors import LIMIT_S, everything
from standins.stepped import SteppedClock
environ = {
    "JUPYTER_ENERGY_STORE": str(folder / "data/energy.sqlite"),
    "JUPYTER_ENERGY_SYSFS": str(folder / "sys"),
    "JUPYTER_ENERGY_PROCFS": str(folder / "proc"),
    "JUPYTER_ENERGY_ZONE": "FR",
}
own = NvmlClock(library)
clock = SteppedClock(own.set, 1000.0)
family = SimpleNamespace(
    __name__="nvml", WORKER=nvml.WORKER,
    discover=lambda machine: discover(machine, Clocks(clock, own.realtime)),
)
monitor = Monitor(Energy(environ=environ), lambda _: NotebookRef(None, "tested", "k"), environ)
families = lambda: [family]
monitor.sampler = sampler = Sampler(machine, families, 1.0, clock, clock.wait, lambda: 0.0, 60.0)
monitor.start()
assert sampler.wait_until_found(LIMIT_S)
steps = []
def step():
    steps.append(1)
    begin_s = own()
    own.step()
    end_s = own()
    own.set(begin_s)
    clock.go_to(end_s)  # with all that is read meanwhile
told = []
gpus = candidates(monitor, everything)
limiter = Limiter(monitor, gpus, told.append)
clock.at_rest = lambda: sampler.ask(gpus[0].sensor, gpus[0].sensor.read, 60.0)
def sweep(step=step, block_s=20.0):
    return swept(monitor, gpus, limiter, step, timed(monitor, step), block_s)
"""


def model_j(limit_w: float) -> float:
    """The energy of a step at a limit, as the head of standins/nvml.c says."""
    f = min(1.0, math.cbrt((limit_w - IDLE_W) / FULL_W))
    return (IDLE_W + FULL_W * f**3) * COMPUTES_S / f


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_nvml(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def child(library: Path, tmp_path: Path) -> NvmlChild:
    made = NvmlChild(library, tmp_path)
    made.first = [WORK]
    return made


@elf
def test_the_knee_that_is_found_is_the_models(child: NvmlChild) -> None:
    seen: Any = child.run(
        PROGRAM
        + """
points = sweep()
found = knee(points)
print(json.dumps({
    "points": [[p.limits_w[0], p.share, p.energy_j.value, p.energy_j.u95_repeat, p.step_s]
               for p in points],
    "knee_w": found.point.limits_w[0],
    "saved": [found.saved.low, found.saved.mid, found.saved.high],
    "slower": found.slower,
    "set": fake.limits_w,
    "told": told,
}))
monitor.close()
"""
    )
    model = {limit_w: model_j(limit_w) for limit_w in LIMITS_W}
    best_w = min(model, key=lambda limit_w: model[limit_w])
    assert best_w == 560, "the model has its knee within the limits that are tried"
    assert seen["knee_w"] == best_w
    for (limit_w, share, energy_j, u95_j, step_s), expected_w in zip(
        seen["points"], LIMITS_W, strict=True
    ):
        assert limit_w == expected_w
        assert share == pytest.approx(expected_w / 700)
        assert abs(energy_j - model[expected_w]) <= u95_j
        assert u95_j < 0.02 * energy_j
        f = math.cbrt((expected_w - IDLE_W) / FULL_W)
        assert step_s == pytest.approx(COMPUTES_S / f, rel=1e-6)
    low, mid, high = seen["saved"]
    truth = 1 - model[best_w] / model[700]
    assert low <= truth <= high
    assert mid == pytest.approx(truth, abs=0.01)
    assert seen["slower"] == pytest.approx(1 / math.cbrt(200 / 340) - 1, rel=1e-6)
    assert seen["set"] == [[0, w] for w in (630, 560, 490, 700, 700)]
    assert seen["told"] == []


@elf
def test_whatever_ends_the_sweep_the_limit_is_as_it_was(child: NvmlChild) -> None:
    stopped_by = ["ValueError", "KeyboardInterrupt", "SystemExit"]
    seen: Any = child.run(
        PROGRAM
        + f"""
found = []
for stop in ({", ".join(stopped_by)}):
    before = len(fake.limits_w)
    def fails():
        step()
        if fake.limits_w[before:] and fake.limits_w[-1][1] < 600:
            raise stop("stop")
    try:
        sweep(fails, block_s=1.0)
    except BaseException as error:
        found.append([type(error).__name__, fake.limits_w[before:]])
print(json.dumps([found, told]))
monitor.close()
"""
    )
    assert seen == [[[name, [[0, 630], [0, 560], [0, 700]]] for name in stopped_by], []]


@elf
def test_sigterm_puts_the_limit_back_and_goes_on_to_whoever_handles_it(child: NvmlChild) -> None:
    seen: Any = child.run(
        PROGRAM
        + """
theirs = []
signal.signal(signal.SIGTERM, lambda number, _: theirs.append([number, fake.limits_w[-1]]))
mine = signal.getsignal(signal.SIGTERM)
def hit():
    step()
    if fake.limits_w:
        os.kill(os.getpid(), signal.SIGTERM)
try:
    sweep(hit, block_s=1.0)
except SystemExit as error:
    status = error.code
print(json.dumps([status, theirs, fake.limits_w, signal.getsignal(signal.SIGTERM) is mine]))
monitor.close()
"""
    )
    assert seen == [143, [[15, [0, 700]]], [[0, 630], [0, 700]], True]


@elf
def test_ctrl_c_while_a_slow_driver_puts_the_limit_back_waits_until_it_has(
    child: NvmlChild,
) -> None:
    seen: Any = child.run(
        PROGRAM
        + f"""
import threading
def fails():
    step()
    if fake.limits_w:
        fake.set({WORK + "hang=400@nvmlDeviceSetPowerManagementLimit"!r})
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        raise ValueError
try:
    sweep(fails, block_s=1.0)
except KeyboardInterrupt:
    print(json.dumps([fake.limits_w[-1], told]))
monitor.close()
"""
    )
    assert seen == [[0, 700], []]


@elf
def test_a_limit_that_cannot_be_put_back_is_told_with_what_to_type(child: NvmlChild) -> None:
    seen: Any = child.run(
        PROGRAM
        + f"""
def lost():
    step()
    if fake.limits_w:
        fake.set({WORK + "fault=GpuIsLost@nvmlDeviceSetPowerManagementLimit"!r})
        raise ValueError
try:
    sweep(lost, block_s=1.0)
except ValueError:
    print(json.dumps([told, fake.limits_w]))
monitor.close()
"""
    )
    line = (
        "the power limit of GPU 0 could not be put back (GPU is lost): as administrator type "
        "nvidia-smi -i 0 -pl 700"
    )
    assert seen == [[line], [[0, 630]]]


@elf
def test_where_the_user_cannot_be_told_either_the_sweep_ends_all_the_same(
    child: NvmlChild,
) -> None:
    """Their standard error may be a pipe that nobody reads any more."""
    seen: Any = child.run(
        PROGRAM
        + f"""
def gone(text):
    told.append(text)
    if len(told) > 9:
        os._exit(9)  # it would go on for ever
    raise BrokenPipeError("nobody reads this")
limiter = Limiter(monitor, gpus, gone)
def lost():
    step()
    if fake.limits_w:
        fake.set({WORK + "fault=GpuIsLost@nvmlDeviceSetPowerManagementLimit"!r})
        raise ValueError
try:
    sweep(lost, block_s=1.0)
except ValueError:
    print(json.dumps(len(told)))
monitor.close()
"""
    )
    assert seen == 1


@elf
def test_without_the_rights_nothing_is_set_and_no_step_is_run(child: NvmlChild) -> None:
    child.first = [WORK + DENIED]
    seen: Any = child.run(
        PROGRAM
        + """
try:
    limiter.check()
except SensorDenied as error:
    print(json.dumps([str(error), fake.limits_w, len(steps)]))
monitor.close()
"""
    )
    assert seen == ["the NVIDIA driver refuses this user", [], 0]


@elf
def test_no_limit_is_tried_below_what_the_gpu_takes_or_above_what_is_in_force(
    child: NvmlChild,
) -> None:
    settings = ["", "min_mw=600000 ", "min_mw=700000 ", "default_mw=500000 min_mw=100000 "]
    seen: Any = child.run(
        PROGRAM
        + f"""
found = []
for settings in {settings!r}:
    fake.set({WORK!r} + settings)
    found.append(shares(candidates(monitor, everything)))
fake.set({WORK!r})
limiter.put({{0: 600}})
lowered = candidates(monitor, everything)
found.append([shares(lowered), lowered[0].limits.now_w, lowered[0].way_back])
print(json.dumps(found))
monitor.close()
"""
    )
    assert seen == [
        *([1, 0.9, 0.8, 0.7], [1, 0.9], [1], [1, 0.9, 0.8, 0.7]),
        [[1, 0.8, 0.7], 600, "nvidia-smi -i 0 -pl 600"],
    ]


@elf
def test_of_several_gpus_those_that_this_kernel_computes_on_are_swept(child: NvmlChild) -> None:
    child.first = [WORK + "pids=999999 ", SECOND]
    seen: Any = child.run(
        PROGRAM
        + f"""
none_is_ours = [g.index for g in gpus]
fake.set({WORK + "pids=999999 "!r}, {SECOND!r} + f"pids={{os.getpid()}},77 ")
ours = candidates(monitor, everything)
print(json.dumps([none_is_ours, [g.index for g in ours], others(monitor, ours)]))
monitor.close()
"""
    )
    assert seen == [[0, 1], [1], ["GPU 1 is shared with 1 other process"]]


@elf
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("mig=1 ", "has no power limit of its own to try"),
        ("fault=NotSupported@nvmlDeviceGetPowerManagementLimit ", "not supported by this GPU"),
    ],
)
def test_a_gpu_without_a_limit_of_its_own_is_named(
    child: NvmlChild, settings: str, reason: str
) -> None:
    child.first = [WORK + settings]
    program = PROGRAM.replace(
        "gpus = candidates(monitor, everything)",
        """
try:
    gpus = candidates(monitor, everything)
except EnergyError as error:
    print(json.dumps(str(error)))
    monitor.close()
    sys.exit()
""",
    )
    assert reason in str(child.run(program))


@elf
def test_a_step_that_is_too_long_is_refused_before_a_limit_is_touched(child: NvmlChild) -> None:
    child.first = [WORK.replace(f":{COMPUTES_S}", ":60.0")]
    seen: Any = child.run(
        PROGRAM
        + """
try:
    sweep()
except EnergyError as error:
    print(json.dumps([str(error), fake.limits_w]))
monitor.close()
"""
    )
    assert seen[0].startswith("one step took 60 s: give a piece of the work")
    assert seen[1] == []


energies = st.floats(1e-3, 1e6)
points = st.lists(
    st.builds(
        lambda limit_w, value_j, share, step_s: Point(
            {0: limit_w}, limit_w / 700, Uncertain(value_j, share * value_j), step_s
        ),
        st.floats(100, 700),
        energies,
        st.floats(0, 0.2),
        st.floats(1e-3, 10),
    ),
    min_size=1,
    max_size=6,
)


@given(points)
def test_the_knee_takes_the_least_energy_and_its_saving_lies_in_its_range(
    tried: list[Point],
) -> None:
    found = knee(tried)
    assert found.point.energy_j.value == min(p.energy_j.value for p in tried)
    assert 0 <= found.saved.mid < 1
    assert found.saved.low <= found.saved.mid <= found.saved.high
    assert found.is_last == (found.point is tried[-1])
    if found.point is tried[0]:
        assert (found.saved.low, found.saved.high, found.slower) == (0, 0, 0)


measured = st.builds(Uncertain, energies, st.floats(1e-3, 1e5), st.floats(0, 1e5))


@given(measured, measured)
def test_what_drifted_between_two_measurements_is_unsure(
    first: Uncertain, again: Uncertain
) -> None:
    found = both(first, again)
    low, high = sorted([first.value, again.value])
    assert low <= found.value <= high
    assert found.u95_repeat >= 0.95 * (high - low) / 2 * (1 - 1e-9)
    assert found.u_random >= min(first.u_random, again.u_random) / 2**0.5 * (1 - 1e-9)
    assert found.u_systematic == pytest.approx(first.u_systematic)


@given(points)
def test_of_limits_alike_the_highest_is_the_knee(tried: list[Point]) -> None:
    """The first one is the limit in force: what gains nothing is left alone."""
    alike = [Point(p.limits_w, p.share, tried[0].energy_j, p.step_s) for p in tried]
    assert knee(alike).point is alike[0]


# -- as a command ------------------------------------------------------------------------------

COMMAND = (
    PROGRAM
    + """
from IPython.core.interactiveshell import InteractiveShell
from jupyter_energy.commands.kernel_context import KernelContext
from jupyter_energy.commands.power_limit import sweep as sweep_command
shell = InteractiveShell.instance()
shell.user_ns["train_step"] = step
said = {"out": [], "err": []}
class Context(KernelContext):
    def out(self, text):
        said["out"].append(text)
    def err(self, text):
        said["err"].append(text)
context = Context(monitor)
def asked(code, yes=False, json=False):
    said.update(out=[], err=[])
    items = sweep_command(Namespace(sweep_power_limit=code, yes=yes, json=json), context)
    return [items, said["out"], said["err"]]
def settings(*lines):
    fake.set(*lines)
"""
)


@elf
def test_the_command_tells_a_table_and_gives_the_item(child: NvmlChild) -> None:
    seen: Any = child.run(
        COMMAND
        + """
first = asked("train_step()")
monitor.close()
print(json.dumps(first))
"""
    )
    (item,), (table,), (before,) = seen
    assert item["command"] == "nvidia-smi -i 0 -pl 560"
    assert item["change"] == "Limit GPU 0 to 560 W (80 % of the default)"
    truth = 1 - model_j(560) / model_j(700)
    assert item["saved_fraction"]["low"] <= truth <= item["saved_fraction"]["high"]
    assert item["saved_g"] is None
    rows = table.splitlines()
    assert rows[0].startswith("Energy a step by power limit of GPU 0, of all measured devices")
    assert [row.split("  ")[0] for row in rows[2:6]] == [
        *("700 W (100 %)", "630 W (90 %)", "560 W (80 %)", "490 W (70 %)")
    ]
    assert [row.endswith("least") for row in rows[2:6]] == [False, False, True, False]
    assert rows[-1].startswith("The least, ")
    assert rows[-1].endswith("takes +19 % time. The limit is as it was.")
    assert "nvidia-smi -i 0 -pl 700" in before


@elf
def test_limits_are_tried_of_those_gpus_alone_that_the_step_turns_out_to_use(
    child: NvmlChild,
) -> None:
    """Before its first step, a kernel computes on none: no process of its own is listed."""
    child.first = [WORK + "pids=999999 ", SECOND]
    seen: Any = child.run(
        COMMAND
        + f"""
plain = step
def begins_to_compute():
    fake.set({WORK + "pids=999999 "!r}, {SECOND!r} + f"pids={{os.getpid()}} ")
    plain()
shell.user_ns["train_step"] = begins_to_compute
_, (table,), before = asked("train_step()")
monitor.close()
print(json.dumps([fake.limits_w, table, before]))
"""
    )
    limits, table, (before,) = seen
    assert {w for gpu, w in limits if gpu == 0} <= {700}, "it is what it is"
    assert {w for gpu, w in limits if gpu == 1} == {700, *LIMITS_W}
    assert table.startswith("Energy a step by power limit of GPU 1, of all")
    assert "of GPU 1," in before


@elf
def test_where_none_of_several_gpus_is_seen_to_be_used_it_is_said_that_all_are_limited(
    child: NvmlChild,
) -> None:
    child.first = [WORK, SECOND]
    seen: Any = child.run(
        COMMAND
        + """
_, _, (before,) = asked("train_step()")
monitor.close()
print(json.dumps(before))
"""
    )
    assert "of GPU 0, 1 (which of them the step uses, the driver does not tell)" in seen


@elf
def test_who_comes_while_limits_are_tried_is_slowed_no_longer_than_until_the_next(
    child: NvmlChild,
) -> None:
    seen: Any = child.run(
        COMMAND
        + f"""
plain = step
def someone_comes():
    plain()
    if fake.limits_w and fake.limits_w[-1][1] == 630:
        fake.set({WORK!r} + f"pids={{os.getpid()}},888 ")
shell.user_ns["train_step"] = someone_comes
refused = asked("train_step()"), list(fake.limits_w)
agreed = asked("train_step()", yes=True), list(fake.limits_w)
monitor.close()
print(json.dumps([refused, agreed]))
"""
    )
    ((items, _, told), limits), ((agreed, _, _), _) = seen
    assert items is None
    assert limits == [[0, 700], [0, 630], [0, 700]]
    assert "GPU 0 is shared with 1 other process, whom" in told[-1]
    assert "--yes" in told[-1]
    assert agreed is not None


@elf
def test_each_reason_not_to_sweep_is_told_and_costs_the_plan_nothing(child: NvmlChild) -> None:
    crowded = WORK + "pids=999999"
    seen: Any = child.run(
        COMMAND
        + f"""
found = {{"not asked": asked(None), "no code": asked(""), "no python": asked("for")}}
found["fails"] = asked("train_stp()")
settings({WORK + DENIED!r})
found["denied"] = asked("train_step()")
found["denied, as JSON"] = asked("train_step()", json=True)
settings({crowded!r})
found["crowded"] = asked("train_step()")
found["steps"] = len(steps)
found["set"] = fake.limits_w
monitor.close()
print(json.dumps(found))
"""
    )
    steps, limits = seen.pop("steps"), seen.pop("set")
    assert steps == 0, "nothing was run where nothing was to be tried"
    assert all(limit == [0, 700] for limit in limits), "the rights are tried with what is in force"
    assert {name: items for name, (items, _, _) in seen.items()} == dict.fromkeys(seen)
    assert seen["not asked"][1:] == [[], []]
    assert '%energy plan --sweep-power-limit "train_step()"' in seen["no code"][2][0]
    assert "for is no Python code" in seen["no python"][2][0]
    assert "train_stp() failed: NameError" in seen["fails"][2][-1]
    (told,) = seen["denied"][1]
    assert "nvidia-smi -i 0 -pl 560    (and to undo it: nvidia-smi -i 0 -pl 700)" in told
    assert seen["denied, as JSON"][1:] == [[], [told]]
    assert "GPU 0 is shared with 1 other process" in seen["crowded"][2][0]
    assert "--yes" in seen["crowded"][2][0]


@elf
def test_work_that_no_lower_limit_makes_cheaper_has_no_gain(child: NvmlChild) -> None:
    # All but 50 W are drawn whatever the clocks are, so that slower is only longer.
    child.first = [H100 + "min_mw=200000 work=650:50:0:5.0 "]
    seen: Any = child.run(
        COMMAND
        + """
found = asked("train_step()")
monitor.close()
print(json.dumps([found, fake.limits_w[-1]]))
"""
    )
    (items, (table,), _), last = seen
    assert items == []
    assert "No gain: none of the lower limits takes less energy." in table
    assert last == [0, 700]
