"""The tour notebook, and what Binder needs to run it."""

from __future__ import annotations

import ast
import builtins
import json
import os
import re
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
BINDER = ROOT / "binder"
TOUR: dict[str, Any] = json.loads((BINDER / "tour.ipynb").read_text(encoding="utf-8"))
CODE = [cell for cell in TOUR["cells"] if cell["cell_type"] == "code"]
CELL_OPTIONS = {"-n", "-v", "-q", "--zone", "--devices", "--no-sync"}
COMMANDS = {"on", "off", "summary", "zone", "doctor", "plot", "plan"}


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def python(cell: dict[str, Any]) -> str:
    return "\n".join(line for line in source(cell).splitlines() if not line.startswith("%"))


def measured_cells() -> list[tuple[dict[str, Any], list[str]]]:
    """The cells that start with %%energy, with the words of that line."""
    lines = [(cell, source(cell).splitlines()[0].split()) for cell in CODE]
    return [(cell, words[1:]) for cell, words in lines if words[0] == "%%energy"]


def project() -> dict[str, Any]:
    file = ROOT / "pyproject.toml"
    if not file.exists():
        pytest.skip("there is no pyproject.toml beside the sources")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def requirements() -> dict[str, str]:
    """The packages of environment.yml with their versions, such as {"nodejs": ">=22"}."""
    yaml = pytest.importorskip("yaml")
    environment = yaml.safe_load((BINDER / "environment.yml").read_text(encoding="utf-8"))
    assert environment["channels"] == ["conda-forge"]
    return {name: rest for name, _, rest in (d.partition(" ") for d in environment["dependencies"])}


def lowest(versions: str) -> tuple[int, ...]:
    found = re.search(r">=\s*([\d.]+)", versions)
    assert found, versions
    return tuple(int(part) for part in found[1].split("."))


def test_the_tour_is_a_valid_notebook_of_format_4_5() -> None:
    assert (TOUR["nbformat"], TOUR["nbformat_minor"]) == (4, 5)
    nbformat.validate(nbformat.from_dict(TOUR))


def test_the_tour_is_committed_without_outputs_or_counts() -> None:
    assert [c["id"] for c in CODE if c["outputs"] or c["execution_count"] is not None] == []


def test_the_tour_has_no_metadata_but_its_kernel() -> None:
    assert TOUR["metadata"]["kernelspec"]["name"] == "python3"
    assert set(TOUR["metadata"]) == {"kernelspec", "language_info"}
    assert [cell["id"] for cell in TOUR["cells"] if cell["metadata"]] == []


def test_every_cell_has_an_id_of_its_own_that_says_what_it_is() -> None:
    ids = [cell["id"] for cell in TOUR["cells"]]
    assert len(set(ids)) == len(ids)
    assert [i for i in ids if not re.fullmatch(r"[a-z]+(-[a-z]+)*", i)] == []


def test_every_measured_cell_is_named_like_its_id_and_keeps_its_result() -> None:
    assert len(measured_cells()) >= 8
    for cell, words in measured_cells():
        assert words[words.index("-n") + 1] == cell["id"]
        assert words[words.index("-v") + 1].isidentifier()
        assert {w for w in words if w.startswith("-")} <= CELL_OPTIONS


def test_a_newcomer_comes_to_a_decision_in_the_first_two_cells_and_is_told_so() -> None:
    assert "In two minutes" in source(TOUR["cells"][0])
    assert [cell["id"] for cell in CODE[:2]] == ["load", "plan-later"]
    assert {"--zone", "--trace", "--start"} <= set(source(CODE[1]).split())  # where and when


def test_every_command_of_the_tour_exists() -> None:
    lines = [line for cell in CODE for line in source(cell).splitlines()]
    used = [line.split()[1:] for line in lines if re.match(r"%energy\b", line)]
    assert {words[0] for words in used if words} <= COMMANDS
    assert {words[0] for words in used if words} >= {"doctor", "zone", "summary", "plot", "plan"}


def test_every_name_is_assigned_in_a_cell_above_the_one_that_reads_it() -> None:
    known = set(dir(builtins))
    for cell in CODE:
        tree = ast.parse(python(cell))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                known |= {a.asname or a.name for a in node.names}
            elif isinstance(node, ast.FunctionDef):
                known.add(node.name)
            elif isinstance(node, ast.arg):
                known.add(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                known.add(node.id)
        read = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        assert read <= known, (cell["id"], read - known)
        known |= set(re.findall(r"^%%energy .*-v (\w+)", source(cell)))


def test_the_tour_reads_only_data_that_comes_with_scikit_learn() -> None:
    modules = set()
    for cell in CODE:
        for node in ast.walk(ast.parse(python(cell))):
            if isinstance(node, ast.ImportFrom):
                modules.add(str(node.module).split(".")[0])
            elif isinstance(node, ast.Import):
                modules |= {a.name.split(".")[0] for a in node.names}
    assert modules == {"jupyter_energy", "sklearn", "threadpoolctl", "time"}
    assert not re.search(r"fetch_|https?:", json.dumps(TOUR))


def test_the_files_that_the_tour_plans_over_lie_beside_it_with_their_licence() -> None:
    text = "\n".join(source(cell) for cell in CODE)
    [trace] = set(re.findall(r"--trace (\S+)", text))
    [start] = re.findall(r"--start (\S+)", text)
    first, *_, last = (BINDER / trace).read_text(encoding="utf-8").splitlines()[1:]
    begin = datetime.fromisoformat(start).astimezone(UTC).replace(tzinfo=None)
    # 24 h of waiting and the job itself are in it
    assert datetime.fromisoformat(first[:19]) <= begin
    assert begin + timedelta(hours=27) <= datetime.fromisoformat(last[:19])
    assert "ODbL" in (BINDER / f"LICENSE-{Path(trace).stem}.md").read_text(encoding="utf-8")


def test_the_tour_leaves_the_place_that_a_user_has_set_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "jupyter-energy" / "settings.json"
    file.parent.mkdir()
    file.write_text('{"Energy": {"zone": "NO"}}', encoding="utf-8")
    before = file.read_bytes()
    lines = [line for cell in CODE for line in source(cell).splitlines()]
    setting = [line for line in lines if re.match(r"%load_ext|%config|%energy zone", line)]
    assert any("CISO" in line for line in setting)  # it plans in California
    code = f"""
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for line in {[*setting, "%energy zone"]!r}:
    assert shell.run_cell(line).success, line
"""
    moved = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(tmp_path))
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, env={**os.environ, **moved}, check=True, capture_output=True)
    assert b"CAISO, USA" in ran.stdout
    assert file.read_bytes() == before


def test_binder_installs_what_the_package_needs() -> None:
    needed = requirements()
    assert set(needed) == {"python", "jupyterlab", "nodejs", "pip"}
    assert lowest(needed["nodejs"]) >= (22,)
    assert lowest(needed["python"]) >= (3, 11)


def test_binder_agrees_with_pyproject_about_python_and_jupyterlab() -> None:
    metadata, needed = project()["project"], requirements()
    assert lowest(needed["python"]) >= lowest(metadata["requires-python"])
    lab = next(r for r in metadata["optional-dependencies"]["lab"] if r.startswith("jupyterlab"))
    assert needed["jupyterlab"] == lab.removeprefix("jupyterlab")


def test_post_build_is_an_executable_script_that_bash_can_read() -> None:
    script = BINDER / "postBuild"
    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")
    subprocess.run(["bash", "-n", script], check=True)


def test_post_build_installs_extras_that_pyproject_has() -> None:
    found = re.search(r'"\.\[([a-z,]+)\]"', (BINDER / "postBuild").read_text(encoding="utf-8"))
    assert found
    assert set(found[1].split(",")) <= set(project()["project"]["optional-dependencies"])
