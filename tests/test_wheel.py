"""What the wheel and the sdist hold, as `tests/all.py` built them."""

from __future__ import annotations

import email
import json
import os
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent
DIST = os.environ.get("JUPYTER_ENERGY_TEST_DIST")
VERSION = json.loads((ROOT / "labextension" / "package.json").read_text())["version"]
FRONT_END = f"jupyter_energy-{VERSION}.data/data/share/jupyter/labextensions/jupyter-energy"

pytestmark = pytest.mark.skipif(
    DIST is None, reason="nothing was built: tests/all.py sets JUPYTER_ENERGY_TEST_DIST"
)


@pytest.fixture(scope="module")
def wheel() -> dict[str, bytes]:
    """Return the files of the wheel by their path in it."""
    (path,) = Path(str(DIST)).glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def sdist() -> set[str]:
    """Return the paths of the sdist, as they are in the repository."""
    (path,) = Path(str(DIST)).glob("*.tar.gz")
    with tarfile.open(path) as archive:
        return {str(PurePosixPath(*PurePosixPath(name).parts[1:])) for name in archive.getnames()}


def package_files() -> set[str]:
    """Return every source file of the package, data and licences included."""
    package = ROOT / "jupyter_energy"
    made = {package / "labextension"}
    return {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not made & set(path.parents)
    }


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel):
    assert {name for name in wheel if name.startswith("jupyter_energy/")} == package_files()


def test_the_sdist_holds_every_file_of_the_package(sdist):
    assert package_files() - sdist == set()


def test_the_wheel_holds_the_package_its_shared_data_its_description_and_nothing_beside(wheel):
    assert {name.split("/")[0] for name in wheel} == {
        "jupyter_energy",
        f"jupyter_energy-{VERSION}.data",
        f"jupyter_energy-{VERSION}.dist-info",
    }


def test_the_front_end_lies_once_in_the_wheel_where_jupyterlab_looks_for_it(wheel):
    entries = [name for name in wheel if "/remoteEntry." in name]
    assert entries == [f"{FRONT_END}/static/{PurePosixPath(entry).name}" for entry in entries]
    assert len(entries) == 1
    assert {f"{FRONT_END}/package.json", f"{FRONT_END}/install.json"} <= set(wheel)


def test_the_front_end_names_the_entry_that_is_in_the_wheel(wheel):
    package = json.loads(wheel[f"{FRONT_END}/package.json"])
    assert f"{FRONT_END}/{package['jupyterlab']['_build']['load']}" in wheel


def test_the_settings_and_the_toolbars_item_are_described_where_jupyterlab_looks(wheel):
    schema = json.loads(wheel[f"{FRONT_END}/schemas/jupyter-energy/plugin.json"])
    assert [item["name"] for item in schema["jupyter.lab.toolbars"]["Notebook"]] == ["energy"]


def test_all_that_a_page_loads_of_the_front_end_is_under_60_kb(wheel):
    scripts = [name for name in wheel if name.startswith(FRONT_END) and name.endswith(".js")]
    # all of it is loaded at the start: the front end holds nothing back for later
    assert 0 < sum(len(wheel[name]) for name in scripts) < 60_000


def test_the_wheel_holds_no_source_maps_and_no_typescript(wheel):
    assert [name for name in wheel if name.endswith((".map", ".ts", ".tsx"))] == []


def test_the_version_is_the_one_in_package_json(wheel):
    described = email.message_from_bytes(wheel[f"jupyter_energy-{VERSION}.dist-info/METADATA"])
    assert described["Version"] == VERSION


def test_the_sdist_holds_nothing_that_was_installed(sdist):
    assert [path for path in sdist if {"node_modules", ".yarn", "lib"} & set(path.split("/"))] == []


def test_the_sdist_holds_the_lock_and_the_sources_of_the_front_end(sdist):
    front_end = {"yarn.lock", ".yarnrc.yml", "package.json", "src/index.ts"}
    assert {f"labextension/{name}" for name in front_end} <= sdist
