"""What anybody may have written costs bounded time and memory, and is refused in plain words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC
from pathlib import Path

import pytest
from fuzz import inputs, oracles
from hypothesis import given
from hypothesis import strategies as st

from jupyter_energy import foreign, json_file, units
from jupyter_energy.carbon.zones import Zones
from jupyter_energy.cli import main
from jupyter_energy.devices import parse
from jupyter_energy.errors import EnergyError, UnknownZone, WrongUse
from jupyter_energy.plain_text import clean, printable
from jupyter_energy.sensors import replay
from jupyter_energy.sensors.base import Machine
from jupyter_energy.settings import read
from jupyter_energy.uncertainty import Range, Uncertain

# Of a size that an attacker's file can have, any sign, next to nothing too.
sizes = st.floats(-foreign.LARGEST, foreign.LARGEST) | st.floats(-1e-300, 1e-300)
plain_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)  # fmt: skip


def run_alone(code: str) -> subprocess.CompletedProcess[str]:
    """Run some code in a process of its own, which may die of it."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@given(plain_json)
def test_plain_json_is_read_as_it_was_written(found: object) -> None:
    assert foreign.loads(json.dumps(found)) == found
    assert foreign.loads(json.dumps(found).encode()) == found


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_json_that_is_nested_without_end_is_refused(opening: str) -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        foreign.loads(opening * 100_000)


def test_nested_json_ends_no_process_whose_user_raised_the_recursion_limit() -> None:
    """Such users exist, and the reader recurses on the C stack, which has an end."""
    code = (
        "import sys; from jupyter_energy.foreign import loads\n"
        "sys.setrecursionlimit(10**6)\n"
        "assert loads('[\"' + '[' * 10**6 + '\\\\\"]\"]') is not None\n"
        "try: loads('[' * 10**6)\n"
        "except ValueError as error: print(error)\n"
    )
    ended = run_alone(code)
    assert (ended.returncode, ended.stdout) == (0, "it is nested too deeply\n"), ended.stderr


def test_a_number_of_ten_million_digits_is_refused_at_once_also_without_a_limit_of_digits() -> None:
    code = (
        "import sys; from jupyter_energy.foreign import loads\n"
        "sys.set_int_max_str_digits(0)\n"
        "print(loads('1.' + '9' * 10**7))\n"
        "try: loads('9' * 10**7)\n"
        "except ValueError as error: print(error)\n"
    )
    ended = run_alone(code)
    assert (ended.returncode, ended.stdout) == (0, "2.0\nit holds a number of 10000000 digits\n"), (
        ended.stderr
    )


@pytest.mark.parametrize("found", inputs.HOSTILE)
def test_a_value_is_what_it_should_be_or_unknown(found: object) -> None:
    for reader in (foreign.number, foreign.seconds, foreign.share, foreign.whole):
        read_number = reader(found)
        assert read_number is None or abs(read_number) <= foreign.LARGEST
        assert read_number is None or not isinstance(found, bool)
    moment = foreign.moment(found)
    assert moment is None or (moment.tzinfo is UTC and 1970 <= moment.year < 3000)
    assert foreign.text(found) is None or isinstance(found, str)
    assert len(foreign.items(found)) <= foreign.MOST_ITEMS


@given(sizes, sizes, st.sampled_from([units.ENERGY_J, units.POWER_W, units.MASS_G]))
def test_every_number_of_such_a_size_can_be_written(
    value: float, u: float, scale: units.Scale
) -> None:
    shown = [
        units.quantity(value, scale),
        units.measured(Uncertain(value, 0.0, abs(u)), scale),
        units.measured_alone(Uncertain(value, 0.0, abs(u)), scale),
        units.estimated(Range(0.0, abs(value), abs(value) + abs(u)), scale),
        units.about(value, scale),
        units.percent(value),
        units.plain(value),
        units.duration(abs(value)),
        units.intensity(value),
    ]
    for text in shown:
        assert "nan" not in text
        assert "inf" not in text
        oracles.safe_text(text, 1400)


@pytest.mark.parametrize("kind", ["a device", "a pipe", "a folder", "a long file"])
@pytest.mark.parametrize("name", ["settings.json", "replay.csv"])
def test_what_is_no_file_of_ours_is_told_and_not_waited_for(
    tmp_path: Path, name: str, kind: str
) -> None:
    file = tmp_path / name
    if kind == "a device":
        file.symlink_to("/dev/zero")
    elif kind == "a pipe":
        os.mkfifo(file)
    elif kind == "a folder":
        file.mkdir()
    else:
        with file.open("wb") as made:  # with a hole in it: it takes no room on the disk
            made.truncate(10**12)
    if name == "settings.json":
        said = str(read(file).warning)
    else:
        (absence,) = replay.discover(Machine(replay=file)).absences
        said = absence.reason
    assert str(file) in said
    assert "is no file" in said or "larger than" in said
    oracles.safe_text(said, 300)


@pytest.mark.parametrize("text", ["gpu:²", "gpu:０", "gpu:" + "9" * 5000, "gpu:1_0", "gpu:+1"])
def test_a_device_has_a_plain_number_or_is_none(text: str) -> None:
    with pytest.raises(WrongUse, match="is no device") as refused:
        parse(text)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "text",
    ["1e400Wh", "9" * 5000 + "g", "０Wh", "1_000Wh", "infWh", "nanJ", "0x10J", "Wh", " " * 9],
)
def test_a_limit_that_nothing_could_pass_is_none(text: str) -> None:
    with pytest.raises(WrongUse, match="is no limit") as refused:
        units.parse_limit(text)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("piece", ["ﷺ", "\u0327\u0301", "-", "("])
def test_a_zone_of_a_megabyte_is_refused_at_once(piece: str) -> None:
    with pytest.raises(UnknownZone) as refused:
        Zones().at("a" + piece * 10**6)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("text", ["x" * 10**7, inputs.STEERING * 10**5, "\u0300" * 10**7])
def test_ten_megabytes_of_text_become_one_short_line(text: str) -> None:
    oracles.safe_text(clean(text), 40)
    oracles.safe_text(printable(text, 200), 200)


@given(st.text())
def test_what_is_printed_keeps_its_lines_and_every_letter(text: str) -> None:
    shown = printable(text)
    oracles.safe_text(shown)
    assert shown.count("\n") == text.count("\n")
    assert len(shown) == len(text)
    assert all(a == b for a, b in zip(text, shown, strict=True) if a.isalnum() and a.isprintable())


@pytest.mark.parametrize(
    "words",
    [
        ["summary", "FILE"],
        ["plot", "FILE", "--output", "x.png"],
        ["run", "FILE"],
        ["run", "FILE", "--assert-under", inputs.STEERING],
        ["zone", inputs.STEERING],
        ["zone", "--pue=--"],
        ["zone", f"--{inputs.STEERING}"],
        ["baseline", "--plug", "1e400", "nan"],
        [inputs.STEERING],
    ],
)
def test_no_command_hands_a_terminal_what_it_would_obey(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "a\x1b[31m\u202eb\x9b.ipynb"
    file.write_text("[", encoding="utf-8")
    words = [str(file) if word == "FILE" else word.replace("\0", "") for word in words]
    status = main(words)
    said = capfd.readouterr()
    assert status in (1, 2)
    assert said.err.startswith("jupyter energy: ")
    oracles.safe_text(said.out + said.err, 3000)


def test_a_broken_settings_file_is_told_in_plain_words(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    for content in (b"[" * 10**5, b"\xff\xfe", b'{"Energy": 1', b"9" * 5000, b""):
        file.write_bytes(content)
        with pytest.raises(EnergyError, match="mend or delete it") as refused:
            json_file.load(file)
        oracles.safe_message(refused.value)


def test_a_notebook_from_elsewhere_is_summed_up_in_plain_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JUPYTER_ENERGY_STORE", str(tmp_path / "energy.sqlite"))
    file = tmp_path / "a\x1b[31m\u202eb\x9b.ipynb"
    file.write_text(json.dumps(inputs.example("notebook")), encoding="utf-8")
    assert main(["summary", str(file)]) == 0
    said = capfd.readouterr()
    assert "from the outputs saved in" in said.err
    assert "train" in said.out
    oracles.safe_text(said.out + said.err, 5000)
