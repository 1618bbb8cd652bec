"""`enable` and `disable`: a new kernel has the extension, and then has it no more."""

from __future__ import annotations

import argparse
import json
import os
import sys
import sysconfig
import venv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from jupyter_energy.commands import disable, dispatch, enable
from jupyter_energy.errors import EnergyError, WrongUse

NOTHING = argparse.Namespace()


@dataclass
class Shell:
    """A shell with a Python environment and a home of its own, and what was printed."""

    prefix: Path
    home: Path
    in_notebook: bool = False
    printed: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)

    @property
    def environ(self) -> Mapping[str, str]:
        return {"IPYTHONDIR": str(self.home / "ipython")}

    @property
    def shared(self) -> Path:
        return self.prefix / "etc" / "ipython" / "ipython_kernel_config.json"

    @property
    def profile(self) -> Path:
        return self.home / "ipython" / "profile_default" / "ipython_kernel_config.json"

    def out(self, text: str) -> None:
        self.printed.append(text)

    def err(self, text: str) -> None:
        self.warned.append(text)

    def zone(self) -> tuple[str | None, str]:
        return None, ""

    def pue(self) -> float:
        return 1.0

    def remember(self, key: str, value: object) -> Path:
        raise AssertionError(key)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A moved Python environment: IPython, too, looks below sys.prefix."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    return Shell(tmp_path / "prefix", tmp_path / "home")


def put(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_enable_writes_one_entry_for_the_environment_and_names_the_file(shell: Shell) -> None:
    assert enable.run(NOTHING, shell) == 0
    assert json.loads(shell.shared.read_text()) == {
        "InteractiveShellApp": {"extra_extensions": ["jupyter_energy"]}
    }
    assert str(shell.shared) in shell.printed[0]
    assert not shell.profile.exists()


def test_enabling_twice_is_enabling_once(shell: Shell) -> None:
    enable.run(NOTHING, shell)
    once = shell.shared.read_bytes()
    assert enable.run(NOTHING, shell) == 0
    assert shell.shared.read_bytes() == once
    assert shell.printed[-1] == f"Already enabled in {shell.shared}."


def test_disable_leaves_no_file_where_nothing_else_is_in_it(shell: Shell) -> None:
    enable.run(NOTHING, shell)
    assert disable.run(NOTHING, shell) == 0
    assert not shell.shared.exists()
    assert list(shell.shared.parent.iterdir()) == []


def test_disabling_what_is_not_enabled_changes_nothing(shell: Shell) -> None:
    assert disable.run(NOTHING, shell) == 0
    assert shell.printed == ["Nothing to disable: it was not enabled."]
    assert not shell.prefix.exists()


@pytest.mark.parametrize(
    "text",
    [
        '{\n  "IPKernelApp": {\n    "quiet": false\n  }\n}\n',
        '{\n    "InteractiveShellApp": {\n        "extensions": ["a", "b"]\n    }\n}'.replace(
            '["a", "b"]', '[\n            "a",\n            "b"\n        ]'
        ),
        '{"InteractiveShellApp": {"extra_extensions": ["other"], "gui": "qt"}, "Z": {"a": 1.5}}',
    ],
)
def test_what_others_wrote_is_kept_and_comes_back_byte_by_byte(shell: Shell, text: str) -> None:
    put(shell.shared, text)
    enable.run(NOTHING, shell)
    enabled = json.loads(shell.shared.read_text())
    assert enabled["InteractiveShellApp"]["extra_extensions"][-1] == "jupyter_energy"
    for key, value in json.loads(text).items():
        if key != "InteractiveShellApp":
            assert enabled[key] == value
    disable.run(NOTHING, shell)
    assert shell.shared.read_text() == text


def test_an_entry_in_the_users_own_list_counts_and_is_taken_out_as_well(shell: Shell) -> None:
    put(shell.profile, '{"InteractiveShellApp": {"extensions": ["a", "jupyter_energy"]}}')
    enable.run(NOTHING, shell)
    assert shell.printed == [f"Already enabled in {shell.profile}."]
    disable.run(NOTHING, shell)
    assert shell.profile.read_text() == '{"InteractiveShellApp": {"extensions": ["a"]}}'


@pytest.mark.parametrize(
    "text",
    ["{broken", "[]", '{"InteractiveShellApp": 1}', '{"InteractiveShellApp": {"extensions": "a"}}'],
)
def test_a_broken_file_is_named_and_left_as_it_is(shell: Shell, text: str) -> None:
    put(shell.shared, text)
    for command in (enable, disable):
        with pytest.raises(WrongUse, match=r"ipython_kernel_config\.json.*mend"):
            command.run(NOTHING, shell)
    assert shell.shared.read_text() == text
    assert not shell.profile.exists()


def test_disable_does_nothing_by_halves_when_one_file_is_broken(shell: Shell) -> None:
    enable.run(NOTHING, shell)
    put(shell.profile, "{broken")
    with pytest.raises(WrongUse):
        disable.run(NOTHING, shell)
    assert "jupyter_energy" in shell.shared.read_text()


def test_where_the_environment_takes_no_file_the_users_profile_does(shell: Shell) -> None:
    put(shell.prefix / "etc", "a file where a folder should be: refused for root as well")
    enable.run(NOTHING, shell)
    assert "jupyter_energy" in shell.profile.read_text()
    assert "your default profile instead" in shell.warned[0]
    disable.run(NOTHING, shell)
    assert not shell.profile.exists()


def test_where_nothing_can_be_written_the_last_file_is_named(shell: Shell) -> None:
    put(shell.prefix / "etc", "")
    put(shell.home / "ipython", "")
    with pytest.raises(
        EnergyError, match=r"cannot write .*profile_default.*make it and its folder writable"
    ):
        enable.run(NOTHING, shell)


def test_disable_points_at_a_configuration_in_python_that_names_us(shell: Shell) -> None:
    config = shell.profile.with_name("ipython_config.py")
    put(config, "c.InteractiveShellApp.extensions = ['jupyter_energy']\n")
    disable.run(NOTHING, shell)
    assert shell.warned == [
        f"{config} names jupyter_energy as well: if it loads it, remove that line."
    ]
    put(config, "# c.InteractiveShellApp.extensions = ['jupyter_energy']\n")
    shell.warned.clear()
    disable.run(NOTHING, shell)
    assert shell.warned == []


def test_both_are_refused_in_a_notebook_with_what_to_type_in_a_shell(shell: Shell) -> None:
    shell.in_notebook = True
    for command in ("enable", "disable"):
        with pytest.raises(WrongUse, match=f"jupyter energy {command}"):
            dispatch([command], shell)
    assert not shell.prefix.exists()


def loaded_in_a_new_kernel(shell: Shell, modules: Path) -> set[str]:
    """The extensions that a kernel of the environment has after its start."""
    from jupyter_client.manager import KernelManager

    python = shell.prefix / ("Scripts" if os.name == "nt" else "bin") / "python"
    manager = KernelManager()
    assert manager.kernel_spec is not None
    manager.kernel_spec.argv = [
        str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"
    ]  # fmt: skip
    environ = {**os.environ, "IPYTHONDIR": shell.environ["IPYTHONDIR"], "HOME": str(shell.home)}
    manager.start_kernel(env={**environ, "PYTHONPATH": str(modules)})
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=60)
        asked = {"loaded": "sorted(get_ipython().extension_manager.loaded)"}
        reply = client.execute_interactive(
            "", user_expressions=asked, timeout=60, output_hook=lambda _: None
        )
        answer = reply["content"]["user_expressions"]["loaded"]["data"]["text/plain"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
        manager.context.term()
    return set(json.loads(answer.replace("'", '"')))


def test_a_new_kernel_has_the_extension_after_enable_and_not_after_disable(shell: Shell) -> None:
    pytest.importorskip("ipykernel")
    pytest.importorskip("jupyter_client")
    venv.create(shell.prefix, symlinks=os.name != "nt", with_pip=False)
    for folder in shell.prefix.rglob("site-packages"):
        (folder / "outer.pth").write_text(sysconfig.get_path("purelib"))
    # Stand-ins: what is tested is whether IPython loads what we wrote down, not the extension.
    modules = shell.home / "modules"
    for name in ("jupyter_energy", "of_the_user"):
        put(modules / f"{name}.py", "def load_ipython_extension(shell): pass\n")
    # A user's own list, in the file that a terminal's IPython reads as well, must go on working.
    put(
        shell.profile.with_name("ipython_config.py"),
        "c.InteractiveShellApp.extensions = ['of_the_user']\n",
    )

    enable.run(NOTHING, shell)
    assert {"jupyter_energy", "of_the_user"} <= loaded_in_a_new_kernel(shell, modules)
    disable.run(NOTHING, shell)
    found = loaded_in_a_new_kernel(shell, modules)
    assert "of_the_user" in found
    assert "jupyter_energy" not in found
