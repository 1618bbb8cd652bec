"""Which notebook a kernel runs for, as the command line of its parent tells."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jupyter_energy.headless import notebook_in, notebook_of_runner


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("python /bin/papermill a.ipynb b.ipynb", "b.ipynb"),
        ("python -m papermill a.ipynb b.ipynb -p x 1 --no-progress-bar", "b.ipynb"),
        ("python -m papermill -p data c.ipynb a.ipynb b.ipynb", "b.ipynb"),
        ("python /bin/papermill a.ipynb s3://bucket/b.ipynb", "a.ipynb"),
        ("python /bin/papermill a.ipynb - --cwd c.ipynb", "a.ipynb"),
        ("python /bin/jupyter-execute a.ipynb --output b.ipynb", "a.ipynb"),
        ("/opt/env/bin/jupyter-execute --inplace folder/d.ipynb", "folder/d.ipynb"),
        ("python -m nbconvert --execute --to html a.ipynb --output=b.ipynb", "a.ipynb"),
        ("python -X dev -m nbconvert --execute a.ipynb", "a.ipynb"),
        (r"python.exe -m nbconvert --execute a.ipynb", "a.ipynb"),
        ("jupyter-nbconvert.exe --execute A.ipynb", None),  # there is none of this name
        ("python /bin/jupyter-execute a.ipynb b.ipynb", None),
        ("python /bin/jupyter-lab a.ipynb", None),
        ("python -m ipykernel_launcher -f a.ipynb", None),
        ("python mine.py papermill a.ipynb", None),
        ("python mine.py a.ipynb", None),
        ("python -m papermill", None),
        ("", None),
    ],
)
def test_the_notebook_is_the_one_that_the_command_runs(
    tmp_path: Path, words: str, found: str | None
) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("a.ipynb", "b.ipynb", "c.ipynb", "folder/d.ipynb"):
        (tmp_path / name).touch()
    expected = None if found is None else str(tmp_path / found)
    assert notebook_in(words.split(), str(tmp_path)) == expected


@pytest.mark.parametrize("pid", [None, "", "no number", "-1", "0", "999999999", "ours"])
def test_a_parent_that_tells_nothing_is_no_error(pid: str | None) -> None:
    pid = str(os.getpid()) if pid == "ours" else pid
    assert notebook_of_runner({} if pid is None else {"JPY_PARENT_PID": pid}) is None
