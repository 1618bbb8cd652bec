"""Which notebook is this? From what a kernel or a user says, and by the rule of `match`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import cell_ids

from jupyter_energy.errors import NoSuchNotebook
from jupyter_energy.identity import (
    Known,
    NotebookRef,
    cells_in,
    from_file,
    from_kernel,
    is_cell_id,
    match,
    shares_cells,
)

KERNEL = "6f1e8b2c-0000-4000-8000-000000000000"


def notebook(path: Path, *ids: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [{"cell_type": "code", "id": cell_id, "source": ""} for cell_id in ids]
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "cells": cells}))
    return path


def ref_to(path: Path | None, *ids: str, kernel: str | None = None) -> NotebookRef:
    name = path.name if path else "unsaved"
    return NotebookRef(str(path) if path else None, name, frozenset(ids), kernel)


def known(path: Path | None, *ids: str, host: str = "here", kernel: str | None = None) -> Known:
    return Known("n1", str(path) if path else None, host, kernel, frozenset(ids))


# --- from a kernel ---------------------------------------------------------------------------


def test_a_kernel_knows_its_notebook_from_the_server(tmp_path: Path) -> None:
    path = notebook(tmp_path / "a.ipynb", "0123abcd", "4567cdef")
    ref = from_kernel({"JPY_SESSION_NAME": str(path)}, {}, KERNEL)
    assert ref == ref_to(path, "0123abcd", "4567cdef", kernel=KERNEL)


def test_our_own_run_command_knows_better_than_the_server_and_vs_code(tmp_path: Path) -> None:
    ours, server, code = (notebook(tmp_path / f"{n}.ipynb") for n in ("ours", "server", "code"))
    environ = {"JUPYTER_ENERGY_NOTEBOOK": str(ours), "JPY_SESSION_NAME": str(server)}
    user_ns = {"__vsc_ipynb_file__": str(code)}
    assert from_kernel(environ, user_ns, KERNEL).name == "ours.ipynb"
    del environ["JUPYTER_ENERGY_NOTEBOOK"]
    assert from_kernel(environ, user_ns, KERNEL).name == "server.ipynb"
    assert from_kernel({}, user_ns, KERNEL).name == "code.ipynb"


def test_the_drive_of_a_shared_document_is_no_part_of_its_path(tmp_path: Path) -> None:
    for said in (f"RTC:{tmp_path}/a.ipynb", f"{tmp_path}/RTC:a.ipynb"):
        assert from_kernel({"JPY_SESSION_NAME": said}, {}, KERNEL).path == f"{tmp_path}/a.ipynb"


def test_a_path_relative_to_the_servers_root_is_found_in_the_kernels_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = notebook(tmp_path / "sub/a.ipynb")
    monkeypatch.chdir(path.parent)
    assert from_kernel({"JPY_SESSION_NAME": "sub/a.ipynb"}, {}, KERNEL).path == str(path)
    assert from_kernel({"JPY_SESSION_NAME": "a.ipynb"}, {}, KERNEL).path == str(path)


def test_a_notebook_in_a_linked_folder_has_one_path(tmp_path: Path) -> None:
    path = notebook(tmp_path / "real/a.ipynb")
    (tmp_path / "link").symlink_to(path.parent)
    assert from_file(tmp_path / "link/a.ipynb").path == str(path)


def test_a_notebook_that_is_itself_a_link_keeps_its_own_name(tmp_path: Path) -> None:
    content = notebook(tmp_path / "objects/4d5e6f")
    (tmp_path / "a.ipynb").symlink_to(content)
    assert from_file(tmp_path / "a.ipynb").path == str(tmp_path / "a.ipynb")


@pytest.mark.parametrize("said", ["", "/srv/console-1-6f1e8b2c", "\0", "x\0.ipynb", 3, None])
def test_what_names_no_notebook_gives_an_unsaved_one(said: object) -> None:
    ref = from_kernel({}, {"__vsc_ipynb_file__": said}, KERNEL)
    assert (ref.path, ref.name) == (None, "unsaved (kernel 6f1e8b2c)")


@given(st.text(), st.text(), st.text())
def test_no_words_of_the_environment_make_a_kernel_fail(one: str, two: str, kernel: str) -> None:
    ref = from_kernel({"JPY_SESSION_NAME": one}, {"__vsc_ipynb_file__": two}, kernel)
    assert ref.path is None or Path(ref.path).is_absolute()


def test_a_kernel_whose_folder_was_deleted_still_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert from_kernel({"JPY_SESSION_NAME": "a.ipynb"}, {}, KERNEL).path is None


# --- from a file -----------------------------------------------------------------------------


def test_the_ids_in_a_file_are_those_that_last(tmp_path: Path) -> None:
    path = notebook(tmp_path / "a.ipynb", "0123abcd", "#3", "vscode-notebook-cell:/a", "x" * 65)
    assert cells_in(path) == {"0123abcd"}


def test_a_notebook_of_format_3_is_a_notebook_without_ids(tmp_path: Path) -> None:
    path = tmp_path / "old.ipynb"
    path.write_text(json.dumps({"nbformat": 3, "worksheets": [{"cells": [{"input": "1"}]}]}))
    ref = from_file(path)
    assert (ref.cell_ids, ref.blank) == (frozenset(), False)


def test_a_notebook_without_any_cell_is_blank(tmp_path: Path) -> None:
    path = notebook(tmp_path / "Untitled.ipynb")
    assert from_file(path).blank
    assert from_kernel({"JPY_SESSION_NAME": str(path)}, {}, KERNEL).blank


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"cells": 3}', b"\xff\xfe\xfd", b"[" * 100_000, b'{"cells": {"id": 1}}'],
)
def test_a_file_that_is_no_notebook_has_no_ids_and_is_refused(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "a.ipynb"
    path.write_bytes(content)
    assert cells_in(path) == frozenset()
    with pytest.raises(NoSuchNotebook, match="is no notebook: give an") as told:
        from_file(path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("cells", [[3], [{"id": 3}], [{"id": None}], [None, {}]])
def test_cells_of_any_shape_are_survived(tmp_path: Path, cells: list[object]) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    assert cells_in(path) == frozenset()


def test_a_script_is_its_path_alone(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text("1 + 1")
    assert from_file(path) == NotebookRef(str(path), "train.py")


def test_a_file_that_is_missing_or_a_folder_or_a_pipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoSuchNotebook, match="there is no such file"):
        from_file(tmp_path / "gone.ipynb")
    with pytest.raises(NoSuchNotebook, match="is not a file"):
        from_file(tmp_path)
    os.mkfifo(tmp_path / "pipe.ipynb")
    with pytest.raises(NoSuchNotebook, match="is not a file"):
        from_file(tmp_path / "pipe.ipynb")


# --- the rule --------------------------------------------------------------------------------


def test_the_same_path_is_the_same_notebook(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    for ids in ((), ("0123abcd",), ("0123abcd", "89ab0123")):
        found = match(ref_to(path, *ids), [known(path, "0123abcd", "4567cdef")], "here")
        assert found.verdict == "same"


def test_a_file_with_none_of_the_known_cells_is_another_notebook(tmp_path: Path) -> None:
    path = tmp_path / "Untitled.ipynb"
    old = known(path, "0123abcd", "4567cdef")
    found = match(ref_to(path, "99999999"), [old], "here")
    assert (found.verdict, found.known, found.replaced) == ("new", None, old)


def test_a_file_that_has_no_cells_yet_is_another_notebook(tmp_path: Path) -> None:
    path = tmp_path / "Untitled.ipynb"
    old = known(path, "0123abcd", kernel="old")
    blank = NotebookRef(str(path), path.name, kernel_id="new", blank=True)
    assert match(blank, [old], "here").replaced == old


def test_a_restart_before_the_first_save_keeps_the_notebook(tmp_path: Path) -> None:
    path = tmp_path / "Untitled.ipynb"
    blank = NotebookRef(str(path), path.name, kernel_id="k", blank=True)
    assert match(blank, [known(path, "0123abcd", kernel="k")], "here").verdict == "same"


def test_the_same_cells_at_a_new_path_are_a_rename_where_the_old_file_is_gone(
    tmp_path: Path,
) -> None:
    old = known(tmp_path / "old.ipynb", "0123abcd", "4567cdef", "89ab0123")
    found = match(ref_to(tmp_path / "new.ipynb", "0123abcd", "4567cdef"), [old], "here")
    assert (found.verdict, found.known) == ("renamed", old)


def test_the_same_cells_at_a_new_path_are_a_copy_where_the_old_file_is_there(
    tmp_path: Path,
) -> None:
    old = known(notebook(tmp_path / "old.ipynb"), "0123abcd", "4567cdef")
    found = match(ref_to(tmp_path / "new.ipynb", "0123abcd", "4567cdef"), [old], "here")
    assert (found.verdict, found.known) == ("copied", old)


def test_one_file_under_two_names_is_not_a_copy(tmp_path: Path) -> None:
    path = notebook(tmp_path / "a.ipynb")
    (tmp_path / "A.ipynb").hardlink_to(path)  # as a file system that ignores case shows it
    old = known(path, "0123abcd", "4567cdef")
    found = match(ref_to(tmp_path / "A.ipynb", "0123abcd", "4567cdef"), [old], "here")
    assert found.verdict == "renamed"


def test_a_path_of_another_machine_is_a_rename_only_if_this_host_saw_it(tmp_path: Path) -> None:
    ids = ("0123abcd", "4567cdef")
    now = ref_to(tmp_path / "new.ipynb", *ids)
    elsewhere = Path("/no/such/folder/old.ipynb")
    assert match(now, [known(elsewhere, *ids, host="here")], "here").verdict == "renamed"
    assert match(now, [known(elsewhere, *ids, host="there")], "here").verdict == "copied"
    windows = Known("n1", r"C:\work\old.ipynb", "there", None, frozenset(ids))
    # A name without a folder that we know is looked for nowhere: it has no folder here.
    assert match(now, [windows], "here").verdict == "copied"


def test_a_notebook_that_lost_its_path_is_found_again_by_its_cells(tmp_path: Path) -> None:
    old = known(None, "0123abcd", "4567cdef")
    found = match(ref_to(tmp_path / "new.ipynb", "0123abcd", "4567cdef"), [old], "here")
    assert found.verdict == "renamed"


def test_a_rename_is_preferred_to_a_copy(tmp_path: Path) -> None:
    ids = ("0123abcd", "4567cdef")
    original = Known("n1", str(notebook(tmp_path / "a.ipynb")), "here", None, frozenset(ids))
    moved = Known("n2", str(tmp_path / "b.ipynb"), "here", None, frozenset(ids[:2]))
    found = match(ref_to(tmp_path / "c.ipynb", *ids), [original, moved], "here")
    assert (found.verdict, found.known) == ("renamed", moved)


def test_a_kernel_that_goes_on_after_a_rename_needs_no_cell_ids(tmp_path: Path) -> None:
    now = ref_to(tmp_path / "new.ipynb", kernel="k")
    assert match(now, [known(tmp_path / "old.ipynb", kernel="k")], "here").verdict == "renamed"
    there = notebook(tmp_path / "old.ipynb")
    assert match(now, [known(there, kernel="k")], "here").verdict == "new"


def test_without_a_path_a_kernel_has_one_notebook() -> None:
    mine = known(None, kernel="k")
    assert match(ref_to(None, kernel="k"), [mine], "here").known == mine
    assert match(ref_to(None, kernel="other"), [mine], "here").verdict == "new"
    assert match(ref_to(None), [known(None)], "here").verdict == "new"


@pytest.mark.parametrize(
    ("one", "other", "enough"),
    [
        ("aaaaaaaa", "aaaaaaaa bbbbbbbb cccccccc", True),
        ("aaaa", "aaaa bbbb cccc", False),
        ("aaaa bbbb", "aaaa bbbb cccc", True),
        ("aaaaaaaa bbbbbbbb", "aaaaaaaa cccccccc", False),
        ("a b c d", "a b x y", True),
        ("a b c d e", "a b v w x y z", False),
        ("", "aaaaaaaa", False),
        ("", "", False),
    ],
)
def test_half_of_the_smaller_notebook_must_be_shared(one: str, other: str, enough: bool) -> None:
    a, b = frozenset(one.split()), frozenset(other.split())
    assert shares_cells(a, b) is shares_cells(b, a) is enough


@given(st.frozensets(cell_ids), st.frozensets(cell_ids))
def test_notebooks_without_a_common_cell_share_none(
    one: frozenset[str], other: frozenset[str]
) -> None:
    assert not shares_cells(one - other, other)


@pytest.mark.parametrize("text", [None, "", "#3", "a b", "vscode-notebook-cell:/a#W0", "é"])
def test_what_changes_from_run_to_run_is_no_cell_id(text: str | None) -> None:
    assert not is_cell_id(text)


def test_a_kernel_does_not_read_a_notebook_that_would_hold_the_interpreter(tmp_path: Path) -> None:
    path = tmp_path / "swollen.ipynb"
    output = "x" * (17 * 2**20)
    cell = {"cell_type": "code", "id": "0123abcd", "source": "", "outputs": [output]}
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "cells": [cell]}))
    found = from_kernel({"JPY_SESSION_NAME": str(path)}, {}, "k")
    assert (found.path, found.cell_ids) == (str(path), frozenset())
    assert from_file(path).cell_ids == {"0123abcd"}
