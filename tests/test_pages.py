"""Which notebook a page speaks of, and which one a cell lies in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_energy.identity import NotebookRef, from_kernel
from jupyter_energy.pages import MOST_PAGES, Pages

A, B = ["aaaaaaa1", "aaaaaaa2", "aaaaaaa3"], ["bbbbbbb1", "bbbbbbb2"]


def notebook(folder: Path, name: str, ids: list[str]) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [{"id": i, "cell_type": "code", "source": ""} for i in ids]
    path.write_text(json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5}))
    return str(path)


def hello(path: str | None, cells: list[str], was: str | None = None) -> dict[str, object]:
    return {"op": "hello", "v": 1, "path": path, "was": was, "cells": cells}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The server's root, with a notebook in a folder below it."""
    notebook(tmp_path, "work/a.ipynb", A)
    return tmp_path


@pytest.fixture
def pages(root: Path) -> Pages:
    """The pages of a kernel that a server started for work/a.ipynb."""
    environ = {"JPY_SESSION_NAME": str(root / "work/a.ipynb")}
    return Pages(lambda: from_kernel(environ, {}, "kernel-1"))


def test_before_any_page_has_spoken_there_is_the_notebook_of_the_environment(
    pages: Pages, root: Path
) -> None:
    assert pages.ref().path == str(root / "work/a.ipynb")
    assert (pages.said(), len(pages), pages.of("anything")) == (None, 1, None)


def test_the_page_of_that_notebook_gives_it_the_path_that_pages_use(pages: Pages) -> None:
    assert pages.hello(hello("work/a.ipynb", A)) == (None, False)
    assert pages.said() == "work/a.ipynb"
    assert len(pages) == 1


def test_a_notebook_that_was_renamed_in_a_page_is_still_the_same(pages: Pages, root: Path) -> None:
    pages.hello(hello("work/a.ipynb", A))
    (root / "work/a.ipynb").rename(root / "work/z.ipynb")
    assert pages.hello(hello("work/z.ipynb", A, was="work/a.ipynb")) == (None, True)
    assert pages.ref().path == str(root / "work/z.ipynb")
    assert (pages.said(), len(pages)) == ("work/z.ipynb", 1)


@pytest.mark.parametrize("cells", [A, []], ids=["with its cells", "with cells nobody has seen"])
def test_a_notebook_that_was_renamed_before_any_page_spoke_is_the_same(
    pages: Pages, root: Path, cells: list[str]
) -> None:
    pages.ref()
    (root / "work/a.ipynb").rename(root / "work/z.ipynb")
    assert pages.hello(hello("work/z.ipynb", cells)) == (None, True)
    assert pages.ref().path == str(root / "work/z.ipynb")


def test_another_notebook_on_the_same_kernel_is_another_one(pages: Pages, root: Path) -> None:
    pages.hello(hello("work/a.ipynb", A))
    path = notebook(root, "b.ipynb", B)
    key, moved = pages.hello(hello("b.ipynb", B))
    assert (key, moved) == (path, True)
    assert pages.ref(key).path == path
    assert (pages.said(key), len(pages)) == ("b.ipynb", 2)
    assert pages.ref(key).kernel_id is None  # else a restart would give it the first one's totals


def test_another_notebook_that_speaks_first_is_another_one_too(pages: Pages, root: Path) -> None:
    path = notebook(root, "b.ipynb", B)
    assert pages.hello(hello("b.ipynb", B))[0] == path
    assert pages.hello(hello("work/a.ipynb", A))[0] is None


def test_a_cell_lies_in_the_notebook_whose_page_said_so(pages: Pages, root: Path) -> None:
    pages.hello(hello("work/a.ipynb", A))
    key, _ = pages.hello(hello(notebook(root, "b.ipynb", B).removeprefix(f"{root}/"), B))
    assert [pages.of(cell) for cell in (*A, *B)] == [None] * 3 + [key] * 2


def test_a_cell_that_no_page_named_lies_in_the_notebook_that_spoke_last(
    pages: Pages, root: Path
) -> None:
    pages.hello(hello("work/a.ipynb", A))
    key, _ = pages.hello(hello(notebook(root, "b.ipynb", B).removeprefix(f"{root}/"), B))
    assert pages.of("brandnew1") == key
    pages.hello(hello("work/a.ipynb", A))
    assert pages.of("brandnew1") is None
    assert pages.of(None) is None


def test_a_console_speaks_for_the_notebook_of_its_kernel(pages: Pages) -> None:
    pages.hello(hello("work/a.ipynb", A))
    assert pages.hello(hello(None, ["ccccccc1"])) == (None, False)
    assert (pages.said(), len(pages)) == ("work/a.ipynb", 1)


def test_behind_a_gateway_the_page_alone_says_which_notebook_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pages = Pages(lambda: from_kernel({}, {}, "kernel-1"))
    assert pages.ref().path is None
    assert pages.hello(hello("nb/far.ipynb", A)) == (None, True)
    assert (pages.ref().path, pages.ref().name) == (str(tmp_path / "nb/far.ipynb"), "far.ipynb")
    assert pages.ref().kernel_id == "kernel-1"
    assert pages.hello(hello("nb/far.ipynb", A)) == (None, False)
    other, moved = pages.hello(hello("nb/other.ipynb", B))
    assert (other, moved) == (str(tmp_path / "nb/other.ipynb"), True)


def test_the_drive_of_shared_documents_is_no_part_of_the_path(pages: Pages) -> None:
    assert pages.hello(hello("RTC:work/a.ipynb", A)) == (None, False)
    assert pages.said() == "RTC:work/a.ipynb"


def test_no_more_notebooks_are_kept_than_a_kernel_can_have(pages: Pages, root: Path) -> None:
    for number in range(3 * MOST_PAGES):
        pages.hello(hello(f"{number}.ipynb", B))
    assert len(pages) <= MOST_PAGES + 1
    assert pages.ref().path == str(root / "work/a.ipynb")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.fixed_dictionaries({}, optional={"path": anything, "was": anything, "cells": anything}))
def test_nothing_that_a_page_can_say_raises_or_moves_the_kernels_notebook(
    message: dict[str, object],
) -> None:
    pages = Pages(lambda: NotebookRef("/nowhere/a.ipynb", "a.ipynb", frozenset(A), "k"))
    pages.hello(hello("nowhere/a.ipynb", A))
    before = pages.ref()
    key, _ = pages.hello(message)
    assert key is None or key.startswith("/")
    if key is not None:
        assert pages.ref() == before
