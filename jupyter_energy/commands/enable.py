"""Load the extension in every new kernel of this Python environment, without `%load_ext`.

Writes one entry into the IPython configuration of the environment, or, where that folder is not
writable, into your own default profile. Kernels that run already are left alone. `disable` takes
the entry back.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .. import json_file
from ..errors import EnergyError, WrongUse

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from .base import Context

EXTENSION = "jupyter_energy"
FILE_NAME = "ipython_kernel_config.json"
SECTION = "InteractiveShellApp"
# IPython (7.10 and later) loads both lists, but a list in one file replaces the list of the same
# name in a weaker file. "extensions" here would undo what a user set in ipython_config.py, and a
# user's own would undo ours; "extra_extensions" is for tools, so we write there.
OURS, USERS = "extra_extensions", "extensions"
_MODE = 0o644


IN_NOTEBOOK, IN_SHELL = False, True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None: there is one thing to do."""


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Add the entry where it can be written, once.

    Raises WrongUse for a broken file, EnergyError where nothing can be written.
    """
    environment, profile = files(context.environ)
    for file in (environment, profile):
        if lists_with_us(file):
            context.out(f"Already enabled in {file}.")
            return 0
    file = environment
    try:
        _add(file)
    except WrongUse:
        raise
    except EnergyError as refused:
        file = profile
        context.err(f"{refused}. Writing to your default profile instead.")
        _add(file)
    context.out(f"Enabled: every new kernel loads {EXTENSION} ({file}).")
    return 0


def files(environ: Mapping[str, str], prefix: str | None = None) -> tuple[Path, Path]:
    """The configuration of this Python environment, and that of the user's default profile.

    `prefix` is the environment's folder, that of this Python unless given.
    IPython reads both, the second one as the stronger (IPython.core.application).
    """
    ipython_dir = Path(environ.get("IPYTHONDIR") or Path.home() / ".ipython").expanduser()
    return (
        Path(prefix or sys.prefix) / "etc" / "ipython" / FILE_NAME,
        ipython_dir / "profile_default" / FILE_NAME,
    )


def remove(file: Path) -> None:
    """Take our entry out of `file` and keep the rest.

    Parts that are left empty go too, and so does the file. Raises WrongUse, EnergyError.
    """
    content = json_file.load(file)
    section = _section(file, content)
    for name in lists_with_us(file):
        section[name] = [entry for entry in _entries(file, section, name) if entry != EXTENSION]
        if not section[name]:
            del section[name]
    if not section:
        del content[SECTION]
    if content:
        json_file.save(file, content, _MODE)
    else:
        json_file.delete(file)


def other_files_with_us(environ: Mapping[str, str]) -> list[Path]:
    """Configuration in Python beside ours that names the extension, for a person to look at."""
    folders = [file.parent for file in files(environ)]
    candidates = [
        folder / name
        for folder in folders
        for name in ("ipython_config.py", "ipython_kernel_config.py")
    ]
    found = []
    for candidate in candidates:
        try:
            text = candidate.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if re.search(rf"^[^#\n]*['\"]{EXTENSION}['\"]", text, re.MULTILINE):
            found.append(candidate)
    return found


def _add(file: Path) -> None:
    """Put our entry into `file` behind what is there."""
    content = json_file.load(file)
    section = _section(file, content)
    section[OURS] = [*_entries(file, section, OURS), EXTENSION]
    content[SECTION] = section
    json_file.save(file, content, _MODE)


def lists_with_us(file: Path) -> list[str]:
    """The names of the lists in `file` that our entry is in. Raises WrongUse."""
    section = _section(file, json_file.load(file))
    return [name for name in (OURS, USERS) if EXTENSION in _entries(file, section, name)]


def _section(file: Path, content: dict[str, object]) -> dict[str, object]:
    """The part of a configuration that lists extensions; empty where there is none."""
    section = content.get(SECTION, {})
    if not isinstance(section, dict):
        raise WrongUse(f'{file}: "{SECTION}" holds no JSON object: mend it')
    return section


def _entries(file: Path, section: dict[str, object], name: str) -> list[object]:
    """One list of extensions; empty where there is none."""
    entries = section.get(name, [])
    if not isinstance(entries, list):
        raise WrongUse(f'{file}: "{name}" holds no list: mend it')
    return entries
