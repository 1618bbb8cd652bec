"""The matrix of kernels is what its names say, so that a green test in it means something."""

from __future__ import annotations

import json
import subprocess
from importlib import metadata

import pytest
from jupyter_client.manager import KernelManager
from kernels import VARIABLE, kernel_pythons

KERNELS = kernel_pythons()


def ask(name: str, code: str) -> object:
    """Return what the code prints in that environment, read as JSON."""
    command = [KERNELS[name], "-I", "-c", f"import json; from importlib import metadata; {code}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


@pytest.mark.skipif("this" in KERNELS, reason="needs the kernels tests/all.py makes")
def test_every_environment_has_the_ipython_its_name_promises():
    majors = {name: name.removeprefix("ipython").partition("-")[0] for name in KERNELS}
    found = {name: ask(name, "print(json.dumps(metadata.version('ipython')))") for name in KERNELS}
    assert {name: str(full).split(".")[0] for name, full in found.items()} == majors


@pytest.mark.parametrize("name", KERNELS)
def test_every_environment_holds_the_package_under_test(name):
    found = ask(name, "print(json.dumps(metadata.version('jupyter-energy')))")
    assert found == metadata.version("jupyter-energy")


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_of_every_environment_starts_and_runs_a_cell(name):
    manager = KernelManager()
    manager.kernel_spec.argv = [
        str(KERNELS[name]),
        *("-m", "ipykernel_launcher", "-f", "{connection_file}"),
    ]
    printed = []

    def keep(message):
        if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
            printed.append(message["content"]["text"])

    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        code = "import jupyter_energy; print(jupyter_energy.__name__)"
        reply = client.execute_interactive(code, output_hook=keep, timeout=60)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert reply["content"]["status"] == "ok"
    assert "".join(printed) == "jupyter_energy\n"


@pytest.mark.skipif("ipython7" not in KERNELS, reason="needs the kernels tests/all.py makes")
def test_the_oldest_environment_lacks_comm_as_hosted_services_do():
    code = "from importlib.util import find_spec; print(json.dumps(find_spec('comm') is None))"
    assert ask("ipython7", code) is True


def test_without_the_variable_the_kernel_is_the_python_that_runs_the_tests(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert list(kernel_pythons()) == ["this"]


def test_the_variable_names_environments_and_their_pythons(monkeypatch):
    monkeypatch.setenv(VARIABLE, "ipython7=/a/python,ipython8=/b=c/python")
    assert {name: str(path) for name, path in kernel_pythons().items()} == {
        "ipython7": "/a/python",
        "ipython8": "/b=c/python",
    }
