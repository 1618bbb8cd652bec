"""Windows as records: what was drawn, above idle and by whom, and what it stands for in CO2e."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from .accounts import Accounts, Whose
from .attribution import ranks_on_this_node
from .carbon.emissions import emissions
from .errors import EnergyError
from .factors import Factors
from .finding import failed
from .model import Emissions, Measurement, Record
from .open_window import Ending, OpenWindow, own, still_open, utc_of
from .outbox import Outbox
from .readers import LEAST_SLEEP_S
from .repeat import with_repeats
from .sensors.base import Absence
from .signals import raise_if_users
from .units import duration
from .window import Edge, measure


class Records:
    """Makes records of one session on one host."""

    def __init__(
        self,
        factors: Factors,
        absences: Callable[[], Sequence[Absence]],
        accounts: Accounts,
        outbox: Outbox,
        session: tuple[str, str],
        environ: Mapping[str, str],
    ) -> None:
        """`session` is its id and the name of the host, `absences` what cannot be read here."""
        self._factors = factors
        self._absences = absences
        self._accounts = accounts
        self._outbox = outbox
        self._session_id, self._host = session
        self._outer = environ.get("JUPYTER_ENERGY_WITHIN")
        self._ranks = ranks_on_this_node(environ)

    def measured(
        self, window: OpenWindow, since: Edge, now: Edge, settled: Edge | None = None
    ) -> Measurement:
        """What has been drawn from one edge to another within a window; `settled` is what was
        read a moment after the second one."""
        absences = [a for a in self._absences() if window.counts(a.domain)]
        return measure(window.start_utc, since, now, absences, settled)

    def made(self, window: OpenWindow, ending: Ending, settled: Edge | None = None) -> Record:
        """The record of a window. Whatever fails is a warning in it."""
        # Of two that overlap, as tasks and threads may, neither lies within the other.
        outer = still_open(window.outer)
        stop, warnings = ending.stop, [*window.warnings, *_slept(window.start, ending.stop)]
        try:
            measurement = self.measured(window, window.start, stop, settled)
        except Exception as error:  # noqa: BLE001  a record that says so is better than none
            raise_if_users(error)
            duration_s = max(0.0, stop.t_s - window.start.t_s)
            measurement = Measurement(window.start_utc, duration_s, ())
            warnings.append(failed(error))
        whose = Whose(measurement)
        try:
            whose = self._accounts.whose(measurement, window.times, ending.times, stop.t_s)
        except Exception as error:  # noqa: BLE001  the energy is known without it
            raise_if_users(error)
            warnings.append(failed(error))
        warnings += [self._ranks] if self._ranks else []
        emitted = None
        try:
            emitted = self._emitted(window, stop, measurement)
        except EnergyError as error:
            warnings.append(f"CO2e is not known: {error}")
        except Exception as error:  # noqa: BLE001  the energy is known without it
            raise_if_users(error)
            warnings.append(failed(error))
        shift = None
        try:
            shift = None if window.shifted is None else window.shifted(stop)
        except Exception as error:  # noqa: BLE001  the record is wanted more than what was saved
            raise_if_users(error)
            warnings.append(failed(error))
        notebook = self._outbox.notebook(window.notebook)
        record = Record(
            run_id=window.run_id,
            notebook_id="" if notebook is None else notebook.id,
            session_id=self._session_id,
            host=self._host,
            cell_id=ending.cell_id,
            name=window.options.name,
            execution_count=ending.execution_count,
            within=self._outer if outer is None else outer.run_id,
            outcome=ending.outcome,
            measurement=whose.measurement,
            emissions=emitted,
            synced=window.options.sync,
            warnings=tuple(dict.fromkeys(warnings)),
            kernel_cpu_s=whose.kernel_cpu_s,
            machine_cpu_s=whose.machine_cpu_s,
            baseline=whose.baseline,
            waited_s=window.waited_s or None,
            shift=shift,
        )
        if record.energy_j is not None:
            record = replace(record, peak_w=ending.peak_w)
        return self._repeated(record, window, stop, settled)

    def _repeated(
        self, record: Record, window: OpenWindow, stop: Edge, settled: Edge | None
    ) -> Record:
        """The record with the figures of one run, where the body was repeated."""
        if window.repetition is None:
            return record

        def between(since: Edge, now: Edge) -> Measurement:
            return self.measured(window, since, now, settled if now is stop else None)

        try:
            return with_repeats(record, window.repetition, window.start, stop, between)
        except Exception as error:  # noqa: BLE001  the figures of the whole window stand
            raise_if_users(error)
            return replace(record, warnings=(*record.warnings, failed(error)))

    def note_course(self, windows: Iterable[OpenWindow], now: Edge) -> None:
        """Note what open windows have drawn by now; live values of their time are still wanted."""
        from .carbon.weighting import drawn, noted

        for window in windows:
            try:
                self._factors.runs(window.options.zone)
                so_far = self.measured(window, window.start, own(window, now))
                noted(window.course, drawn(so_far, utc_of(window, now)))
            except Exception as error:  # noqa: BLE001  a later look may succeed; a record that ends now says why
                raise_if_users(error)

    def _emitted(
        self, window: OpenWindow, stop: Edge, measurement: Measurement
    ) -> Emissions | None:
        """The grams of a window, by the factor of its place and time. Raises UnknownZone."""
        option = window.options.zone
        if self._factors.is_live():
            from .carbon.weighting import Drawn, drawn

            last = drawn(measurement, utc_of(window, stop))
            seen = [one for one in list(window.course) if one.at < last.at]
            course = [Drawn(window.start_utc, {}), *seen, last]
            found, spans = self._factors.of_run(course, option)
        else:
            found, spans = self._factors.yearly(option), ()
        return emissions(measurement, found, *self._factors.pue(found), spans)


def _slept(start: Edge, stop: Edge) -> list[str]:
    """That the machine was suspended in a window, which its duration leaves out."""
    slept_s = stop.asleep_s - start.asleep_s
    if slept_s <= LEAST_SLEEP_S:
        return []
    return [f"the machine slept for {duration(slept_s)} within it, which is not counted"]
