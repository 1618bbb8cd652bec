"""What lets one in at a service: from the environment, or a file that only its owner may read.

A secret is shown nowhere, and written nowhere by us.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from .. import foreign
from ..errors import ProviderError
from .base import Provider, Secret

FILE = "tokens.json"
_PREFIX = "JUPYTER_ENERGY_"
_MOST_BYTES = 2**16
_SHARED = stat.S_IRWXG | stat.S_IRWXO


def variable(provider: str, secret: str) -> str:
    """The environment variable of a secret, such as JUPYTER_ENERGY_WATTTIME_PASSWORD."""
    return f"{_PREFIX}{provider}_{secret}".upper()


def secrets_of(provider: Provider, environ: Mapping[str, str], file: Path) -> Mapping[str, Secret]:
    """All that a provider named, by name. Raises ProviderError, which says what to do.

    Each comes from its variable, else from `file`, {"watttime": {"user": …, "password": …}}. The
    file is read only where it is the user's own and closed to everybody else (mode 0600).
    """
    found: dict[str, Secret] = {}
    kept: Mapping[str, object] | None = None
    for name in provider.secrets:
        said: object = environ.get(variable(provider.name, name)) or None
        if said is None:
            if kept is None:
                kept = _kept(file, provider)
            said = kept.get(name)
        if said is None:
            raise _problem(
                provider,
                f"wants a {name}",
                f"set {variable(provider.name, name)}, or write it into {file} "
                f'as {{"{provider.name}": {{"{name}": "…"}}}}, mode 0600',
            )
        # What a header cannot hold would come back in the text of an exception of http.client's.
        text = said.strip() if isinstance(said, str) else ""
        if not text or not text.isascii() or not text.isprintable():
            raise _problem(
                provider, f"was not asked: its {name} is no plain text", f"mend the {name}"
            )
        found[name] = Secret(text)
    return found


def _kept(file: Path, provider: Provider) -> Mapping[str, object]:
    """What the file holds for a provider. Raises ProviderError."""
    try:
        # A link is followed, and what it leads to is what is checked.
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise _problem(
            provider,
            f"was not asked: {file} cannot be read ({error.strerror})",
            f"chmod 600 {file}",
        ) from None
    with os.fdopen(descriptor, "rb") as opened:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _problem(provider, f"was not asked: {file} is no file", f"delete {file}")
        if hasattr(os, "geteuid"):  # Windows has other rights
            if status.st_uid != os.geteuid():
                raise _problem(
                    provider, f"was not asked: {file} belongs to another user", f"delete {file}"
                )
            if stat.S_IMODE(status.st_mode) & _SHARED:
                raise _problem(
                    provider, f"was not asked: others may read {file}", f"chmod 600 {file}"
                )
        content = opened.read(_MOST_BYTES)
    try:
        document: object = foreign.loads(content)
    except ValueError:
        document = None  # what json says holds a part of the file
    section = document.get(provider.name, {}) if isinstance(document, dict) else None
    if not isinstance(section, dict):
        raise _problem(
            provider,
            f"was not asked: {file} is no JSON object of objects",
            f'write it as {{"{provider.name}": {{"{provider.secrets[0]}": "…"}}}}',
        )
    return section


def _problem(provider: Provider, what: str, remedy: str) -> ProviderError:
    return ProviderError(f"{provider.title} {what}", "no token", remedy=remedy)
