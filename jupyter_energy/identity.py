"""Which notebook is this? A notebook has no lasting id of its own, so one is found by evidence.

The evidence is a path, the ids of its cells, and the kernel. `match` holds the rule; the store
keeps what was known before. Nothing is ever written into the notebook file.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .errors import NoSuchNotebook
from .foreign import loads
from .headless import notebook_of_runner

if TYPE_CHECKING:
    from .schema import NotebookJson

# Notebooks swollen by outputs are common; beyond this, reading one for its ids costs too much.
LARGEST_NOTEBOOK_BYTES = 256 * 2**20
# Reading JSON holds the interpreter (0.56 s for 58 MB), and in a kernel that is the user's.
LARGEST_IN_A_KERNEL_BYTES = 16 * 2**20
SCRIPT_SUFFIXES = (".py", ".ipy")
# nbformat 4.5, "cell id": 1 to 64 letters, digits, hyphens and underscores. VS Code's document
# URIs and our own counters ("#3") change from run to run and do not fit.
_CELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# An id this long is not made by hand or by counting; one such id alone can tell a notebook.
TELLING_ID_LENGTH = 8
# jupyter_server prefixes the path with the drive when documents are shared (RTC:folder/a.ipynb).
_SHARED_DRIVE = re.compile(r"(^|[\\/])RTC:")
_BEST_FIRST: tuple[Literal["renamed"], Literal["copied"]] = ("renamed", "copied")


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook as the store knows it: its lasting id, where it was last seen, its name."""

    id: str
    path: str | None
    name: str

    def to_dict(self) -> NotebookJson:
        """The `notebook` of a summary (schema 1)."""
        return {"id": self.id, "path": self.path, "name": self.name}


@dataclass(frozen=True, slots=True)
class NotebookRef:
    """What is known about a notebook before the store is asked.

    `cell_ids` are those in the file as last read; ids seen at run time reach the store with the
    records. `blank`: the file was read and has no cell at all, as a new notebook before its
    first save. `kernel_id` is None outside a kernel.
    """

    path: str | None
    name: str
    cell_ids: frozenset[str] = frozenset()
    kernel_id: str | None = None
    blank: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """A notebook in the store: last path and kernel, the host that saw it there, all cell ids."""

    id: str
    path: str | None
    host: str
    kernel_id: str | None
    cell_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Match:
    """The verdict of `match`: which known notebook it is ("same", "renamed"), comes from
    ("copied"), or none ("new"); `replaced` is the one whose path this notebook has taken over."""

    verdict: Literal["same", "renamed", "copied", "new"]
    known: Known | None = None
    replaced: Known | None = None


def match(ref: NotebookRef, known: Iterable[Known], host: str) -> Match:
    """Which of the known notebooks `ref` is. The whole rule:

    1. No path: it is the notebook last run by the same kernel, else a new one.
    2. The same path: the same notebook, unless its file was read and shows another one: it has
       cell ids and shares none with those known, or it has no cells yet. That is a new
       "Untitled.ipynb" after the old one was deleted; the old notebook then loses its path.
       The same kernel at the same path is always the same notebook: a restart keeps the totals.
    3. Another path, and enough cell ids in common (`shares_cells`), or the same kernel:
       * the known path is gone, or it has none, or it is this very file: renamed.
       * the known path is there: copied, if cells are shared (a kernel alone proves no copy).
       * its folder is not on this machine (Windows paths, remote machines), so nobody can
         tell: renamed if it was last seen on this host, else copied.
       A renamed notebook is preferred to a copied one, then the one that shares most cells.
    4. Otherwise it is new.
    """
    others = list(known)
    if ref.path is None:
        mine = [k for k in others if _same_kernel(ref, k)]
        return Match("same", mine[0]) if mine else Match("new")
    replaced = None
    for k in others:
        if k.path is not None and os.path.normcase(k.path) == os.path.normcase(ref.path):
            if not _shows_another(ref, k):
                return Match("same", k)
            replaced = k
    moved = [(_moved(ref, k, host), k) for k in others if k is not replaced]
    for verdict in _BEST_FIRST:
        found = [k for how, k in moved if how == verdict]
        if found:
            best = max(found, key=lambda k: len(k.cell_ids & ref.cell_ids))
            return Match(verdict, best, replaced)
    return Match("new", None, replaced)


def shares_cells(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether two sets of cell ids are of one notebook: half of the smaller set, at least 2 ids.

    Where the smaller set has a single id, that id must be shared and long enough to be random.
    """
    shared = one & other
    smaller = min(len(one), len(other))
    if smaller == 1:
        return any(len(cell_id) >= TELLING_ID_LENGTH for cell_id in shared)
    return len(shared) >= 2 and 2 * len(shared) >= smaller


def is_cell_id(text: str | None) -> bool:
    """Whether `text` is a cell id that lasts, as nbformat makes them."""
    return text is not None and _CELL_ID.fullmatch(text) is not None


def _shows_another(ref: NotebookRef, known: Known) -> bool:
    """Whether the file at the known path is now another notebook."""
    if _same_kernel(ref, known) or not known.cell_ids:
        return False
    return ref.blank or (bool(ref.cell_ids) and not ref.cell_ids & known.cell_ids)


def _same_kernel(ref: NotebookRef, known: Known) -> bool:
    return ref.kernel_id is not None and ref.kernel_id == known.kernel_id


def _moved(ref: NotebookRef, known: Known, host: str) -> Literal["renamed", "copied", "new"]:
    """What `ref`, at another path, is to a known notebook (step 3 of the rule)."""
    shares = shares_cells(ref.cell_ids, known.cell_ids)
    if ref.path is None or not (shares or _same_kernel(ref, known)):
        return "new"
    left = "gone" if known.path is None else _whereabouts(Path(known.path), Path(ref.path))
    if left == "gone" or (left == "unknown" and known.host == host):
        return "renamed"
    return "copied" if shares else "new"


def _whereabouts(path: Path, now: Path) -> Literal["there", "gone", "unknown"]:
    """Whether a file still lies at `path`; "gone" too when it is the very file `now`."""
    try:
        if path.exists():
            # A change of case only, on a file system that does not tell them apart.
            return "gone" if now.exists() and path.samefile(now) else "there"
        # A path of another system ("C:\\a.ipynb" on Linux) is not absolute here.
        return "gone" if path.is_absolute() and path.parent.is_dir() else "unknown"
    except (OSError, ValueError):
        return "unknown"


def from_kernel(
    environ: Mapping[str, str], user_ns: Mapping[str, object], kernel_id: str
) -> NotebookRef:
    """The notebook that a kernel runs for, as far as the kernel can know. Never raises.

    In this order: JUPYTER_ENERGY_NOTEBOOK (`jupyter energy run` sets it), JPY_SESSION_NAME
    (jupyter_server), `__vsc_ipynb_file__` (VS Code), the command line of what runs notebooks
    without a browser. A name that is neither a notebook nor a file, such as a console's
    "console-1-…", is no path.
    """
    for said in _said(environ, user_ns):
        path = path_said(said)
        if path is not None:
            ids, blank = _look_inside(path, LARGEST_IN_A_KERNEL_BYTES)
            return NotebookRef(path, Path(path).name, ids, kernel_id, blank)
    return NotebookRef(None, f"unsaved (kernel {kernel_id[:8]})", kernel_id=kernel_id)


def _said(environ: Mapping[str, str], user_ns: Mapping[str, object]) -> Iterator[object]:
    """What may be a notebook's path, the most telling first; the last takes some time to find."""
    yield environ.get("JUPYTER_ENERGY_NOTEBOOK")
    yield environ.get("JPY_SESSION_NAME")
    yield user_ns.get("__vsc_ipynb_file__")
    yield notebook_of_runner(environ)


def from_script(environ: Mapping[str, str], arguments: Sequence[str]) -> NotebookRef:
    """The script that a plain Python process runs, as its `sys.argv` tells; else "unsaved".

    JUPYTER_ENERGY_NOTEBOOK (`jupyter energy run` sets it) wins. Never raises.
    """
    for said in (environ.get("JUPYTER_ENERGY_NOTEBOOK"), *arguments[:1]):
        path = path_said(said)
        if path is not None:
            return NotebookRef(path, file_name(path))
    return NotebookRef(None, "unsaved (a Python process)")


def from_terminal(environ: Mapping[str, str], file: str, kernel_id: str) -> NotebookRef:
    """What IPython in a terminal runs: the script that it was started with, else what is typed."""
    script = from_script(environ, [file])
    if script.path is not None:
        return script
    return NotebookRef(None, "IPython in a terminal", kernel_id=kernel_id)


def from_file(path: str | os.PathLike[str]) -> NotebookRef:
    """The notebook or script in a file that the user named.

    Raises NoSuchNotebook where there is no such file, or it is neither a notebook nor a script.
    """
    try:
        found = normalised(os.fspath(path))
        status = Path(found).stat()
    except (OSError, ValueError, RuntimeError):
        raise NoSuchNotebook(f"{path}: there is no such file") from None
    if stat.S_ISDIR(status.st_mode):  # also one that is called something.py
        raise NoSuchNotebook(f"{path} is not a file: give an .ipynb file or a .py script")
    name = file_name(found)
    if found.lower().endswith(SCRIPT_SUFFIXES) or status.st_size > LARGEST_NOTEBOOK_BYTES:
        return NotebookRef(found, name)
    cells = notebook_cells(read_notebook(found))
    return NotebookRef(found, name, _ids(cells), blank=not cells)


def from_path(path: str) -> NotebookRef | None:
    """What lies, or lay, at a path, whatever it is; None for what is no path."""
    try:
        found = normalised(path)
    except (OSError, ValueError, RuntimeError):
        return None
    return NotebookRef(found, file_name(found))


def file_name(path: str) -> str:
    """What people call a notebook or script: a package that is run by the words "-m package"."""
    file = Path(path)
    if file.name != "__main__.py":
        return file.name
    package, folder = file.parent.name, file.parent.parent
    while (folder / "__init__.py").is_file():
        package, folder = f"{folder.name}.{package}", folder.parent
    return f"-m {package}"


def cells_in(path: str | os.PathLike[str]) -> frozenset[str]:
    """The cell ids in a notebook file; none where it cannot be read or has no ids."""
    return _look_inside(os.fspath(path))[0]


def read_notebook(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of an .ipynb file. Raises NoSuchNotebook, with the reason in one line."""
    try:
        # A named pipe would block for ever, so only regular files are opened.
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise NoSuchNotebook(f"{path} is not a file: give an .ipynb file or a .py script")
        with Path(path).open("rb") as file:
            text = file.read(LARGEST_NOTEBOOK_BYTES + 1)
        if len(text) > LARGEST_NOTEBOOK_BYTES:
            raise NoSuchNotebook(
                f"{path} is larger than {LARGEST_NOTEBOOK_BYTES >> 20} MiB: clear its outputs"
            )
        content = loads(text)
    except OSError as error:
        raise NoSuchNotebook(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        content = None
    if not isinstance(content, dict) or not isinstance(
        content.get("cells", content.get("worksheets")), list
    ):
        raise NoSuchNotebook(f"{path} is no notebook: give an .ipynb file or a .py script")
    return content


def notebook_cells(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The cells of a notebook, also of the old format 3, where they lie in worksheets."""
    sheets = content.get("worksheets") if "cells" not in content else [content]
    cells: list[dict[str, Any]] = []
    for sheet in sheets if isinstance(sheets, list) else []:
        found = sheet.get("cells") if isinstance(sheet, Mapping) else None
        if isinstance(found, list):
            cells += [cell for cell in found if isinstance(cell, dict)]
    return cells


def normalised(path: str) -> str:
    """An absolute path in one spelling: the folder's links are resolved, the file's are not.

    A link to the file itself stays: git-annex and DVC put the content behind such a link, under
    a name that changes whenever the notebook is saved. Raises OSError or ValueError.
    """
    if "\0" in path:
        raise ValueError("no path holds a NUL")
    whole = Path(_SHARED_DRIVE.sub(r"\1", path)).absolute()
    return str(whole.parent.resolve() / whole.name)


def path_said(said: object) -> str | None:
    """The path that somebody names, made absolute; None where it names no file. Never raises."""
    if not isinstance(said, str) or not said:
        return None
    try:
        path = normalised(said)
        if Path(path).exists():
            return path
        # Some servers give it relative to their own root (jupyterlab#18914); the kernel starts
        # in the notebook's folder.
        beside = normalised(Path(said).name)
        if not Path(said).is_absolute() and Path(beside).is_file():
            return beside
        return path if Path(path).suffix.lower() == ".ipynb" else None
    except (OSError, ValueError, RuntimeError):  # RuntimeError: a loop of links, until 3.12
        return None


def _look_inside(
    path: str, most_bytes: int = LARGEST_NOTEBOOK_BYTES
) -> tuple[frozenset[str], bool]:
    """The cell ids in a file, and whether it is a notebook without any cell."""
    try:
        if Path(path).stat().st_size > most_bytes:
            return frozenset(), False
        cells = notebook_cells(read_notebook(path))
    except (NoSuchNotebook, ValueError, OSError):
        return frozenset(), False
    return _ids(cells), not cells


def _ids(cells: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    ids = (cell.get("id") for cell in cells)
    return frozenset(i for i in ids if isinstance(i, str) and is_cell_id(i))
