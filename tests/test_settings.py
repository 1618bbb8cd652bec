"""The settings file: what is kept, what is reported, and that nothing of others is lost."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_energy import json_file
from jupyter_energy.errors import EnergyError, WrongUse
from jupyter_energy.settings import default_file, read, write

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_what_is_written_is_read_back_and_other_keys_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "new" / "settings.json"
    assert write("zone", "FR", file) == file
    write("pue", 1.2, file)
    assert read(file).values == {"zone": "FR", "pue": 1.2}
    assert read(file).warning is None
    assert file.read_text() == '{\n  "Energy": {\n    "zone": "FR",\n    "pue": 1.2\n  }\n}\n'


def test_nothing_is_remembered_before_the_first_write(tmp_path: Path) -> None:
    settings = read(tmp_path / "settings.json")
    assert (settings.values, settings.warning) == ({}, None)


def test_none_forgets_a_setting_and_keeps_the_others(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    write("zone", "FR", file)
    write("pue", 1.2, file)
    write("zone", None, file)
    assert read(file).values == {"pue": 1.2}


def test_forgetting_what_was_never_set_makes_no_file(tmp_path: Path) -> None:
    write("zone", None, tmp_path / "settings.json")
    assert list(tmp_path.iterdir()) == []


def test_parts_of_the_file_that_are_not_ours_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{"Other": {"é": [1, 2]}, "Energy": {"zone": "DE"}}')
    write("zone", "FR", file)
    assert file.read_text() == '{"Other": {"é": [1, 2]}, "Energy": {"zone": "FR"}}'


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX matter")
def test_a_new_file_is_for_its_user_only_and_leaves_no_other_file_behind(tmp_path: Path) -> None:
    file = write("zone", "FR", tmp_path / "settings.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{zone: FR}", "is not valid JSON"),
        (b"", "is not valid JSON"),
        (b"[1]", "holds no JSON object"),
        (b'{"Energy": "FR"}', "holds no JSON object"),
        (b"\xff\xfe{}", "is not UTF-8"),
    ],
)
def test_a_broken_file_gives_a_warning_and_is_never_written_over(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    file = tmp_path / "settings.json"
    file.write_bytes(content)
    settings = read(file)
    assert settings.values == {}
    assert settings.warning is not None
    assert reason in settings.warning
    assert str(file) in settings.warning
    with pytest.raises(WrongUse, match="mend or delete it"):
        write("zone", "FR", file)
    assert file.read_bytes() == content


def test_a_folder_that_cannot_be_made_is_reported_with_file_and_remedy(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where a folder should be")
    with pytest.raises(EnergyError, match=r"cannot .*settings\.json .*make it"):
        write("zone", "FR", tmp_path / "home" / "settings.json")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root ignores modes")
def test_a_read_only_home_is_reported(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(EnergyError, match="make it and its folder writable"):
            write("zone", "FR", tmp_path / "settings.json")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(os.name != "posix", reason="links need a right of their own on Windows")
def test_a_file_kept_elsewhere_by_a_link_stays_there(tmp_path: Path) -> None:
    kept = tmp_path / "dotfiles.json"
    kept.write_text("{}")
    link = tmp_path / "settings.json"
    link.symlink_to(kept)
    write("zone", "FR", link)
    assert link.is_symlink()
    assert json.loads(kept.read_text()) == {"Energy": {"zone": "FR"}}


def test_the_default_file_lies_in_the_users_configuration_folder() -> None:
    assert default_file().parts[-2:] == ("jupyter-energy", "settings.json")


@given(
    content=st.dictionaries(st.text(min_size=1), plain, min_size=1, max_size=4),
    indent=st.sampled_from([None, 1, 2, 4, "\t"]),
    escaped=st.booleans(),
    line_end=st.sampled_from(["\n", "\r\n"]),
)
def test_writing_an_object_back_gives_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory,
    content: dict[str, object],
    indent: int | str | None,
    escaped: bool,
    line_end: str,
) -> None:
    text = json.dumps(content, indent=indent, ensure_ascii=escaped) + "\n"
    data = text.replace("\n", line_end).encode()
    file = tmp_path_factory.getbasetemp() / "same.json"
    try:
        file.write_bytes(data)
        json_file.save(file, json_file.load(file), 0o600)
        again = file.read_bytes()
    finally:
        file.unlink(missing_ok=True)
    assert json.loads(again) == content
    assert again == data
