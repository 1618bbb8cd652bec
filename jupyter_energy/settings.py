"""What `%energy zone` and its like remember between kernels: one small JSON file.

The file has the shape of a traitlets configuration, {"Energy": {"zone": "FR", "pue": 1.2}}, and
may be edited by hand. It is the weakest of all places where a setting can be made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import json_file
from .errors import EnergyError, WrongUse

SECTION = "Energy"
# Where a notebook was computed is nobody else's business on a shared machine.
_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Settings:
    """What is remembered, by name; `warning` says why there is nothing, where a file is broken."""

    values: Mapping[str, object] = field(default_factory=dict)
    warning: str | None = None


def default_file() -> Path:
    """Where the settings of this user lie, such as ~/.config/jupyter-energy/settings.json."""
    from platformdirs import user_config_dir

    return Path(user_config_dir("jupyter-energy", appauthor=False)) / "settings.json"


def read(file: Path | None = None) -> Settings:
    """What is remembered. Never raises: a broken file gives no settings and a warning."""
    try:
        return Settings(_section(file or default_file()))
    except EnergyError as error:
        return Settings({}, f"no settings were read: {error}")


def write(key: str, value: object, file: Path | None = None) -> Path:
    """Remember one setting, or forget it (`value` None), and keep all others; gives the file.

    Raises WrongUse where the file is broken (it is left as it is), EnergyError where it cannot be
    written.
    """
    file = file or default_file()
    section = _section(file)
    if value is None:
        if key not in section:
            return file
        del section[key]
    else:
        section[key] = value
    json_file.save(file, json_file.load(file) | {SECTION: section}, _MODE)
    return file


def _section(file: Path) -> dict[str, object]:
    """Our part of the file, as a dictionary that may be changed."""
    section = json_file.load(file).get(SECTION, {})
    if not isinstance(section, dict):
        raise WrongUse(f'{file}: "{SECTION}" holds no JSON object: mend or delete it')
    return section
