"""The version, kept in one place: labextension/package.json, through the installed metadata."""

from __future__ import annotations


def version() -> str:
    """The installed version, for example "0.1.0"; "unknown" when run without being installed."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("jupyter-energy")
    except PackageNotFoundError:
        return "unknown"


def homepage() -> str | None:
    """The project's address as its metadata has it; None where it names none."""
    from importlib.metadata import PackageNotFoundError, metadata

    try:
        found = metadata("jupyter-energy").get_all("Project-URL") or []
    except PackageNotFoundError:
        return None
    return found[0].partition(",")[2].strip() if found else None
