"""`--devices` and CUDA_VISIBLE_DEVICES choose what counts."""

from __future__ import annotations

import pytest

from jupyter_energy.devices import check, doubts, parse, selector
from jupyter_energy.errors import WrongUse
from jupyter_energy.model import Domain
from jupyter_energy.sensors.base import Absence

GPUS = [Domain("gpu", i, f"GPU {i}", uuid=f"GPU-0000000{i}") for i in range(3)]
CPU, MEMORY = Domain("package", 0, "package-0"), Domain("dram", 0, "dram")


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        (None, {"gpu:0", "gpu:1", "gpu:2", "package:0", "dram:0"}),
        ("gpu", {"gpu:0", "gpu:1", "gpu:2"}),
        ("gpu:1, cpu", {"gpu:1", "package:0"}),
        ("GPU:2", {"gpu:2"}),
        ("memory,cpu:0", {"package:0", "dram:0"}),
    ],
)
def test_a_list_of_devices_names_what_counts(text: str | None, counted: set[str]) -> None:
    choice = parse(text)
    assert {d.key for d in (*GPUS, CPU, MEMORY) if choice.includes(d)} == counted


@pytest.mark.parametrize("text", ["", ",", "gpu:", "gpu:x", "disk", "gpu:-1", "cpu;gpu", "gpu:1.5"])
def test_what_is_no_device_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(WrongUse, match=r"gpu, gpu:0, cpu"):
        parse(text)


def test_a_device_that_is_not_here_is_refused_with_what_is() -> None:
    with pytest.raises(WrongUse, match=r"gpu:7: there is no such device here; seen: cpu:0, gpu:0"):
        check(parse("gpu:7"), [GPUS[0], CPU])
    check(parse("gpu:0,cpu"), [GPUS[0], CPU])


@pytest.mark.parametrize(
    ("value", "counted"),
    [(None, [0, 1, 2]), ("2", [2]), ("", []), ("1,0", [0, 1]), ("GPU-00000001", [1])],
)
def test_gpus_that_cuda_does_not_see_do_not_count(value: str | None, counted: list[int]) -> None:
    environ = {} if value is None else {"CUDA_VISIBLE_DEVICES": value}
    absences = [Absence(d, "nvml", "a test") for d in GPUS]
    counts = selector(parse(None), list, lambda: absences, environ)
    assert [d.index for d in GPUS if counts(d)] == counted
    assert counts(CPU)


BOARD = Domain("gpu", 1, "A100", uuid="GPU-00000001", scope="board")


class Sliced:
    """A sensor as far as choosing goes."""

    domain = BOARD
    slices = ("MIG-aa", "MIG-bb")


@pytest.mark.parametrize(
    ("value", "counted"), [("MIG-bb", [1]), ("MIG-unknown", [1, 2]), ("0", [0]), ("-1", [])]
)
def test_a_slice_counts_as_the_board_that_it_lies_on(value: str, counted: list[int]) -> None:
    other = Domain("gpu", 2, "A100", uuid="GPU-00000002", scope="board")
    absences = [Absence(d, "nvml", "a test") for d in (GPUS[0], other)]
    environ = {"CUDA_VISIBLE_DEVICES": value}
    counts = selector(parse(None), lambda: [Sliced()], lambda: absences, environ)  # type: ignore[list-item]
    assert [d.index for d in (GPUS[0], BOARD, other) if counts(d)] == counted


def test_a_module_counts_where_its_gpu_does() -> None:
    modules = [Domain("module", i, "GH200", f"GPU-0000000{i}") for i in range(2)]
    absences = [Absence(d, "nvml", "a test") for d in modules]
    counts = selector(parse(None), list, lambda: absences, {"CUDA_VISIBLE_DEVICES": "1"})
    assert [d.index for d in modules if counts(d)] == [1]


def test_a_gpu_that_was_named_counts_whatever_cuda_sees() -> None:
    absences = [Absence(d, "nvml", "a test") for d in GPUS]
    counts = selector(parse("gpu:2"), list, lambda: absences, {"CUDA_VISIBLE_DEVICES": "0"})
    assert [d.index for d in GPUS if counts(d)] == [2]
    assert not counts(CPU)


def test_numbers_of_unlike_gpus_are_doubted_where_nobody_says_how_cuda_counts() -> None:
    unlike = [Domain("gpu", 0, "NVIDIA T4"), Domain("gpu", 1, "NVIDIA H100")]
    named = {"CUDA_VISIBLE_DEVICES": "1"}
    (doubt,) = doubts(unlike, named)
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in doubt
    assert doubts(unlike, {**named, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}) == []
    assert doubts(unlike, {}) == []
    assert doubts([unlike[1], unlike[1]], named) == []


@pytest.mark.parametrize("value", ["", "-1", "7", "abc", "NoDevFiles"])
def test_that_every_gpu_is_hidden_is_told(value: str) -> None:
    gpus = [Domain("gpu", 0, "NVIDIA T4"), Domain("gpu", 1, "NVIDIA T4")]
    (told,) = doubts(gpus, {"CUDA_VISIBLE_DEVICES": value})
    assert told == f"CUDA_VISIBLE_DEVICES={value!r} hides every GPU, so none is counted"
    assert doubts([], {"CUDA_VISIBLE_DEVICES": value}) == []
