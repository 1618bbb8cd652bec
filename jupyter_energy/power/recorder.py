"""Starts the process that reads power over time as a traced cell begins, and ends it with it."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from ..errors import EnergyError
from ..model import APART, CONTAINED_IN
from ..sensors.base import Sensor
from ..signals import raise_if_users
from ..units import duration
from .document import PowerTrace, of_window

INTERVAL_S = 0.1
# As many as a figure of the width of a notebook has room for, twice over.
MOST_POINTS = 2000
# CPU time comes in ticks of 10 ms: over a shorter stretch they make a power of their own.
ESTIMATE_POINT_S = 0.5
# A traced cell begins when the process reads, so that its start lies before the cell: after some
# 30 ms. On a machine so busy that it takes longer, the cell goes first.
READY_S = 0.25
# What the process says takes some ms, where it is not still to begin on a machine that is busy; one
# that says nothing is ended.
ANSWER_S = 4.0
# Readings further apart than this are told of with the result.
TOLD_GAP_S = 1.0
# The package's folder goes last, so that no module of ours or of others hides a standard one.
CODE = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from jupyter_energy.power.sampler import main; main()"
)


class NoTraceError(EnergyError):
    """There is no trace of a run; the text says why."""


class Recording:
    """A process that reads the power of some sensors, until `end` or `drop`."""

    def __init__(self, sensors: Iterable[Sensor], ready_s: float = READY_S) -> None:
        """Starts it, and waits until it reads, up to `ready_s`.

        Raises NoTraceError where it cannot be started, or has nothing to read.
        """
        plan = _plan(sensors)
        self._sensors = [(sensor, source["name"]) for sensor, source in plan]
        if not plan:
            raise NoTraceError("no sensor here tells its power to a second process")
        executable = Path(sys.executable or "")
        if not executable.name.lower().startswith(("python", "pypy")):
            # In a program that embeds Python this is the program, which one must not start again.
            raise NoTraceError("there is no Python interpreter to run beside this one")
        words = ["-S", "-E", "-P", "-c", CODE, str(Path(__file__).resolve().parents[2])]
        try:
            self._process = subprocess.Popen(
                [str(executable), *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=[source["descriptor"] for _, source in plan if "descriptor" in source],
                start_new_session=True,  # Ctrl-C is sent to the whole group of the kernel
                creationflags=_no_window(),
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise NoTraceError(f"the process that reads it did not start ({error})") from None
        try:
            self._begin([source for _, source in plan], ready_s)
        except BaseException:
            self.drop()
            raise

    def _begin(self, sources: Sequence[Mapping[str, Any]], ready_s: float) -> None:
        plan = {
            "parent": os.getpid(),
            "interval_s": INTERVAL_S,
            "most": MOST_POINTS,
            "sources": sources,
        }
        stdin, stdout = _pipe(self._process.stdin), _pipe(self._process.stdout)
        with suppress(OSError):  # one that has ended is noticed at the end, with its last words
            stdin.write(json.dumps(plan).encode() + b"\n")
        if sys.platform == "win32":
            return  # where a pipe cannot be waited for
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            selector.select(ready_s)

    def end(self, start_s: float, stop_s: float) -> PowerTrace:
        """Ends the process; the power between two moments (monotonic s). Raises NoTraceError."""
        try:
            if self._process.poll() is not None:  # it is not written to: some users let that kill
                _, said = self._process.communicate(timeout=ANSWER_S)
                raise NoTraceError(f"the process that reads it ended ({_last_line(said)})")
            answer, said = self._process.communicate(b"e", timeout=ANSWER_S)
        except (subprocess.TimeoutExpired, OSError, ValueError):
            raise NoTraceError("the process that reads it did not answer") from None
        finally:
            self.drop()
        ready, _, seen = answer.partition(b"\n")
        try:
            return of_window(json.loads(seen), self._sensors, start_s, stop_s, INTERVAL_S)
        except (KeyError, TypeError, ValueError, AttributeError):
            why = _last_line(said or ready)
            raise NoTraceError(f"the process that reads it told nothing ({why})") from None

    def drop(self) -> None:
        """Ends the process without a trace."""
        if self._process.poll() is None:
            with suppress(OSError):
                self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(ANSWER_S)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


class Recorders:
    """The recordings that run, by the id of their run. No method raises but what stops the
    user's code, as Ctrl-C does."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._running: dict[str, Recording] = {}

    def begin(self, run_id: str, sensors: Iterable[Sensor]) -> list[str]:
        """Begins to read the power of these sensors for a run; what the user is to be told."""
        if os.getpid() != self._pid:
            return ["no power trace: not in a forked process"]
        try:
            self._running[run_id] = Recording(sensors)
        except Exception as error:  # noqa: BLE001  ours or a third party's
            raise_if_users(error)
            return [_told(error)]
        return []

    def end(
        self, run_id: str, start_s: float, stop_s: float
    ) -> tuple[PowerTrace | None, list[str]]:
        """The trace of a run between its edges (monotonic s), and what the user is to be told."""
        recording = self._running.pop(run_id, None)
        if recording is None or os.getpid() != self._pid:
            return None, []
        try:
            trace = recording.end(start_s, stop_s)
        except Exception as error:  # noqa: BLE001  as above
            raise_if_users(error)
            return None, [_told(error)]
        told = []
        if trace.longest_gap_s > TOLD_GAP_S:
            told.append(f"the power trace has a gap of {duration(trace.longest_gap_s)}")
        if trace.suspended_s > TOLD_GAP_S:
            told.append(f"the machine slept for {duration(trace.suspended_s)} during the trace")
        return trace, told

    def drop(self, run_id: str) -> None:
        """Ends what reads for a run, without a trace."""
        recording = self._running.pop(run_id, None)
        if recording is not None and os.getpid() == self._pid:
            with suppress(Exception):
                recording.drop()

    def close(self) -> None:
        """Ends all that still read."""
        for run_id in list(self._running):
            self.drop(run_id)


def _plan(sensors: Iterable[Sensor]) -> list[tuple[Sensor, dict[str, Any]]]:
    """What the process is to read of each sensor that tells it, by its `trace_source()`.

    An estimate is left out where a sensor measures a domain of its kind, as in window.py.
    """
    everything = list(sensors)
    kinds = {sensor.domain.kind for sensor in everything if sensor.spread is None}
    plan = [
        (sensor, source)
        for sensor in everything
        if (sensor.spread is None or sensor.domain.kind not in kinds)
        and (source := _source(sensor)) is not None
    ]
    counted = {sensor for sensor in everything if _counts(sensor, kinds)}
    # The peak of a part of them would be too low.
    all_seen = counted <= {sensor for sensor, _ in plan}
    for sensor, source in plan:
        source["counted"] = all_seen and sensor in counted
    return plan


def _counts(sensor: Sensor, kinds: Set[str]) -> bool:
    """Whether a sensor's power is part of the measured total, as in `Measurement.counted`."""
    kind = sensor.domain.kind
    inside = kinds & set(CONTAINED_IN.get(kind, ()))
    return sensor.spread is None and kind not in APART and not inside


def _source(sensor: Sensor) -> dict[str, Any] | None:
    """What is to be read of a sensor, in numbers and names that JSON can hold, or None."""
    ask = getattr(sensor, "trace_source", None)  # no part of the protocol: not all can be read
    told = ask() if callable(ask) else None
    if told is None:
        return None
    return {
        "name": sensor.source,
        "step_j": sensor.step_j,
        "wraps_at_j": sensor.wraps_at_j,
        "max_w": sensor.max_w,
        "j_per_unit": 0.0,
        "idle_w": 0.0,
        "least_s": 0.0 if sensor.spread is None else ESTIMATE_POINT_S,
        **told,
    }


def _told(error: Exception) -> str:
    text = str(error) if isinstance(error, EnergyError) else f"{type(error).__name__}: {error}"
    return f"no power trace: {text}"


def _last_line(said: bytes) -> str:
    lines = said.decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "without a word")


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # all three were asked for
    return pipe


def _no_window() -> int:
    """Flags for a child without a console of its own and without the kernel's Ctrl-C; 0 where
    the system is not Windows."""
    names = ("CREATE_NO_WINDOW", "CREATE_NEW_PROCESS_GROUP")
    return sum(getattr(subprocess, name, 0) for name in names)
