"""Every place where somebody else's text or numbers come in, and what must hold of what comes out.

A target takes bytes. It may refuse them with the exceptions that the code documents, each with a
plain message; whatever it accepts must leave harmless by every way out. Anything else that is
raised is a finding.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC
from functools import cache
from pathlib import Path

from fuzz import inputs, live, oracles
from jupyter_energy import calibration, foreign, json_file, settings, units
from jupyter_energy.carbon import factor
from jupyter_energy.carbon.weighting import energy_shares
from jupyter_energy.carbon.zones import zones
from jupyter_energy.config import Energy
from jupyter_energy.devices import DOUBT, WORDS, doubts
from jupyter_energy.devices import parse as parse_devices
from jupyter_energy.display import html, markup, power, text
from jupyter_energy.documents import (
    idle_from_document,
    idle_to_document,
    record_from_document,
    record_to_document,
    to_json,
)
from jupyter_energy.errors import NoSuchNotebook, SensorError, WrongUse
from jupyter_energy.identity import NotebookRef, from_file, is_cell_id
from jupyter_energy.journal import entries
from jupyter_energy.journals import Described
from jupyter_energy.live_message import fitted
from jupyter_energy.magic_line import parse as parse_line
from jupyter_energy.model import Domain
from jupyter_energy.pages import Pages
from jupyter_energy.plain_text import clean, printable
from jupyter_energy.power.document import PowerTrace
from jupyter_energy.restating import course_of, first_said, restated, taken_back
from jupyter_energy.run_rows import record_row
from jupyter_energy.saved import cell_from_output
from jupyter_energy.schema import CellJson, SummaryJson, cell_from_records, idle_json
from jupyter_energy.sensors import replay
from jupyter_energy.sensors.base import Machine
from jupyter_energy.sensors.cuda_devices import cuda_order
from jupyter_energy.summary import from_notebook_file, summarise

REFUSED = (KeyError, TypeError, ValueError)  # what readers of documents say they raise
GPUS = [Domain("gpu", i, f"GPU {i}", f"GPU-{i}abc") for i in range(3)]
# The most characters of a block: its devices, warnings and parts are counted.
LONGEST_CELL = 1_500_000


# -- what is typed, or set -----------------------------------------------------------------------


def magic_line(data: bytes) -> None:
    """The line of `%%energy`."""
    try:
        options, shown = parse_line(inputs.text_of(data), sync=True)
    except WrongUse as error:
        return oracles.safe_message(error)
    assert shown.variable is None or shown.variable.isidentifier()
    assert shown.runs is None or 0 < shown.runs < 10**12
    assert all(index is None or 0 <= index < 10**9 for _, index in options.choice.wanted)
    return None


def devices(data: bytes) -> None:
    """`--devices` and CUDA_VISIBLE_DEVICES."""
    said = inputs.text_of(data)
    try:
        choice = parse_devices(said)
        known = {kind for kinds in WORDS.values() for kind in kinds}
        assert {kind for kind, _ in choice.wanted} <= known
    except WrongUse as error:
        oracles.safe_message(error)
    assert set(cuda_order(GPUS, said, {})) <= {gpu.index for gpu in GPUS}
    for doubt in doubts(GPUS, {"CUDA_VISIBLE_DEVICES": said}):
        oracles.safe_text(printable(doubt), len(DOUBT))


def zone(data: bytes) -> None:
    """A zone, from wherever."""
    try:
        found = zones().at(inputs.text_of(data))
    except WrongUse as error:
        return oracles.safe_message(error)
    assert 0 < found.g_per_kwh < 3000
    return oracles.safe_text(found.place, 80)


def limit(data: bytes) -> None:
    """`--assert-under` and budgets."""
    try:
        size, unit = units.parse_limit(inputs.text_of(data))
    except WrongUse as error:
        return oracles.safe_message(error)
    assert unit in ("J", "g")
    assert 0 <= size < math.inf
    return None


def settings_file(data: bytes) -> None:
    """The settings file."""
    file = _file("settings.json", inputs.bytes_of(data, "settings"))
    found = settings.read(file)
    if found.warning is not None:
        oracles.safe_text(printable(found.warning))
    made = Energy(file=found.values)
    for complaint in made.complaints:
        oracles.safe_text(printable(complaint, 2000), 2000)
    assert made.store_path().name
    assert 1 <= made.pue < math.inf
    assert 0.1 <= made.interval_s <= 1.6
    style = json_file._style(inputs.text_of(data))
    assert isinstance(style[1], str)


def baselines_file(data: bytes) -> None:
    """What `baseline` keeps."""
    file = _file("baselines.json", inputs.bytes_of(data, "baselines"))
    for found in calibration.load("here", file).idle:
        assert max(found.idle_w, found.u_w) < math.inf
        assert min(found.idle_w, found.u_w) >= 0
    kept = calibration.calibration("id", file)
    assert kept is None or 0 <= kept.rest_w < math.inf


def recording(data: bytes) -> None:
    """The file of the replay sensor, as CSV and as JSON lines."""
    for name in ("replay.csv", "replay.jsonl"):
        found = replay.discover(Machine(replay=_file(name, data)), clock=lambda: 0.0)
        for absence in found.absences:
            oracles.safe_text(printable(absence.reason, 2000), 2000)
        for sensor in found.sensors:
            oracles.safe_text(clean(sensor.domain.name, 28), 28)
            sensor._clock = lambda: 1e6
            try:
                assert 0 <= sensor.read() < math.inf
            except SensorError:
                continue


# -- what is read back ---------------------------------------------------------------------------


def cell(data: bytes) -> None:
    """The JSON of one saved output."""
    try:
        found = cell_from_output(inputs.document_of(data, "cell"))
    except ValueError:  # no JSON
        return
    if found is not None:
        _shown(found)


def notebook(data: bytes) -> None:
    """A notebook file."""
    file = _file("a\u202e<b>.ipynb", inputs.bytes_of(data, "notebook"))
    try:
        ref = from_file(file)
        assert all(map(is_cell_id, ref.cell_ids))
        _summary_shown(from_notebook_file(file))
    except NoSuchNotebook as error:
        oracles.safe_message(error)


def record(data: bytes) -> None:
    """A record in the store."""
    try:
        found = record_from_document(inputs.document_of(data, "record"))
    except REFUSED:
        return
    assert record_from_document(json.loads(to_json(record_to_document(found)))) == found
    row = record_row(found)
    assert len(row) == 8
    with suppress(ValueError, ArithmeticError):  # as run_rows.restate does
        again = restated(found, (factor("FR"), 1.0, "", ()), found.start)
        assert first_said(again) == first_said(found) == taken_back(again).emissions
        assert record_from_document(json.loads(to_json(record_to_document(again)))) == again
        course = course_of(found)
        assert energy_shares(course, [course[0].at, course[-1].at]) == [1.0]
    _shown(cell_from_records([found, found]))
    named = {"id": "n", "path": None, "name": str(found.name)}
    _summary_shown(summarise(named, [found], "0", ()))  # type: ignore[arg-type]  # a NotebookJson


def idle(data: bytes) -> None:
    """What was drawn between cells, in the store."""
    try:
        found = idle_from_document(inputs.document_of(data, "idle"))
    except REFUSED:
        return
    assert idle_from_document(json.loads(to_json(idle_to_document(found)))) == found
    oracles.safe_json(idle_json([found, found]))


def power_trace(data: bytes) -> None:
    """A power trace in the store."""
    try:
        trace = PowerTrace.from_document(inputs.document_of(data, "power"))
    except REFUSED:
        return
    run = cell_from_records([record_from_document(inputs.example("record"))])
    said = power.text(run, trace)
    oracles.safe_text(said, LONGEST_CELL)
    oracles.safe_text(power.alt(run, trace), LONGEST_CELL)
    oracles.safe_json(trace.to_document())


def hello(data: bytes) -> None:
    """What a page says of its document."""
    try:
        said = inputs.document_of(data, "hello")
    except ValueError:
        return
    if not isinstance(said, dict):
        return
    home = _folder() / "home.ipynb"
    pages = Pages(lambda: NotebookRef(str(home), "home.ipynb", frozenset({"0123abcd"}), "k"))
    for message in (said, {**said, "was": said.get("path")}, said):
        key, _ = pages.hello(message)
        path = pages.ref(key).path
        assert path is None or Path(path).is_absolute()
        assert path is None or ("\0" not in path and ".." not in Path(path).parts)
        assert all(map(is_cell_id, pages.ref(key).cell_ids))
        assert len(pages) <= 18
        if isinstance(shown := pages.said(key), str):
            sent = fitted({**_quiet(), "path": shown})  # type: ignore[typeddict-item]
            json.dumps(sent, ensure_ascii=False, allow_nan=False).encode()


# -- text itself ---------------------------------------------------------------------------------


def words(data: bytes) -> None:
    """Any text, on its way to a page or a terminal."""
    said = inputs.text_of(data)
    line = clean(said)
    oracles.safe_text(line, 40)
    assert "\n" not in line
    oracles.safe_text(printable(said))
    found = oracles.safe_html(markup.span(line, markup.LOOKS["unknown"], line))
    assert found.words == line
    assert found.titles == ([line] if line else [])


def any_json(data: bytes) -> None:
    """JSON of anybody's."""
    try:
        found = foreign.loads(data)
    except ValueError:
        return
    for read in (foreign.number, foreign.seconds, foreign.share, foreign.whole):
        number = read(found)
        assert number is None or abs(number) <= foreign.LARGEST
    moment = foreign.moment(found)
    assert moment is None or moment.tzinfo is UTC


def journal(data: bytes) -> None:
    """A journal beside the store."""
    described = Described()
    for entry, offset in entries(_file("1-a.journal", data)):
        assert 0 < offset <= len(data)
        described.take(entry)
        assert isinstance(described.notebook_id(entry), str)


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        *(magic_line, devices, zone, limit, settings_file, baselines_file, recording),
        *(cell, notebook, record, idle, power_trace, hello, words, any_json, journal),
        *(live.live_answers, live.live_cache, live.csv_trace),
    )
}
# Those that read documents: bytes behind a NUL are changes to one of ours.
STRUCTURED = frozenset(
    "settings_file baselines_file cell notebook record idle power_trace hello "
    "live_answers live_cache".split()
)


# -- helpers -------------------------------------------------------------------------------------


def _shown(cell: CellJson) -> None:
    """One cell, by every way out."""
    oracles.safe_json(cell)
    oracles.safe_text(text.cell(cell), LONGEST_CELL)
    oracles.safe_text(text.run_row(cell), 2000)
    oracles.safe_html(html.cell(cell))


def _summary_shown(summary: SummaryJson) -> None:
    oracles.safe_json(summary)
    oracles.safe_text(text.summary(summary, "jupyter energy"), LONGEST_CELL)
    oracles.safe_html(html.summary(summary))
    for row in summary["cells"]:
        _shown(row)


@cache
def _folder() -> Path:
    made = tempfile.TemporaryDirectory(prefix="jupyter-energy-fuzz-")
    _KEPT.append(made)
    return Path(made.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []  # deleted when the process ends


def _file(name: str, data: bytes) -> Path:
    file = _folder() / name
    file.write_bytes(data)
    return file


@cache
def _quiet() -> dict[str, object]:
    golden = Path(__file__).parents[1] / "golden" / "live" / "idle.json"
    found: dict[str, object] = json.loads(golden.read_text(encoding="utf-8"))
    return found
