"""What `%energy baseline` found out about a machine, kept in one small JSON file of the user's.

Idle power is kept by host and device; a calibration of the CPU estimate by what the machine is,
so that two machines that share a home folder (a cluster's) do not take each other's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from . import foreign, json_file
from .errors import EnergyError

How = Literal["plug", "RAPL"]
# The file says what runs where, which on a shared machine is nobody else's business.
_MODE = 0o600
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class IdlePower:
    """What one device drew while nothing ran: W, their standard uncertainty, when (UTC), and for
    how long it was measured. `device` is its key, such as "gpu:0"."""

    device: str
    name: str
    uuid: str | None
    source: str
    idle_w: float
    u_w: float
    measured_s: float
    date: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """The package's power in W at rest and at full load of all threads, how far it may be off
    (multiples of the middle), what told it, and when (UTC)."""

    rest_w: float
    full_w: float
    low: float
    high: float
    how: How
    date: str


@dataclass(frozen=True, slots=True)
class Baselines:
    """Idle power of one host's devices."""

    host: str
    idle: tuple[IdlePower, ...] = ()

    def of(self, device: str) -> IdlePower | None:
        """The idle power of a device by its key, or None."""
        return next((found for found in self.idle if found.device == device), None)


def default_file() -> Path:
    """Where this user's baselines lie, such as ~/.local/share/jupyter-energy/baselines.json."""
    from platformdirs import user_data_dir

    return Path(user_data_dir("jupyter-energy", appauthor=False)) / "baselines.json"


def load(host: str, file: Path | None = None) -> Baselines:
    """The idle power that is kept of a host. Never raises: a broken file holds nothing."""
    kept = _section(_content(file), "idle").get(host)
    items = kept if isinstance(kept, list) else []
    return Baselines(host, tuple(x for x in (_made(IdlePower, i) for i in items) if x is not None))


def save(baselines: Baselines, file: Path | None = None) -> Path:
    """Keep a host's idle power, instead of what was kept of the same devices; gives the file.

    Raises WrongUse where the file is broken, EnergyError where it cannot be written.
    """
    file = file or default_file()
    renewed = {found.device for found in baselines.idle}
    others = [found for found in load(baselines.host, file).idle if found.device not in renewed]
    rows = [asdict(found) for found in (*others, *baselines.idle)]
    return _put(file, "idle", baselines.host, rows)


def calibration(identity: str, file: Path | None) -> Calibration | None:
    """The calibration of the machine of this identity, or None; never raises."""
    return _made(Calibration, _section(_content(file), "calibrations").get(identity))


def calibrate(identity: str, found: Calibration | None, file: Path | None = None) -> Path:
    """Keep a machine's calibration (None: forget it); gives the file.

    Raises WrongUse where the file is broken, EnergyError where it cannot be written.
    """
    return _put(
        file or default_file(), "calibrations", identity, None if found is None else asdict(found)
    )


def now() -> str:
    """This moment as the file has it: UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _put(file: Path, section: str, key: str, value: object) -> Path:
    content = json_file.load(file)
    kept = _section(content, section)
    kept.pop(key, None)
    if value is not None:
        kept[key] = value
    json_file.save(file, content | {section: kept}, _MODE)
    return file


def _content(file: Path | None) -> Mapping[str, object]:
    try:
        return json_file.load(file or default_file())
    except EnergyError:
        return {}


def _section(content: Mapping[str, object], name: str) -> dict[str, Any]:
    found = content.get(name)
    return dict(found) if isinstance(found, dict) else {}


def _made(kind: type[T], found: object) -> T | None:
    """A dataclass of ours from JSON that anyone may have edited; None where it does not fit."""
    wanted: Iterable[Any] = fields(kind)  # type: ignore[arg-type]  # all callers give dataclasses
    if not isinstance(found, dict):
        return None
    values: dict[str, object] = {}
    for one in wanted:
        value = found.get(one.name)
        if one.type == "float":
            value = foreign.number(value)
            if value is None or value < 0:
                return None
        elif not isinstance(value, str) and not (value is None and one.type == "str | None"):
            return None
        values[one.name] = value
    return kind(**values)
