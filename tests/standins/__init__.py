"""Real shared libraries that stand in for a driver, and what a test needs to steer them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent


def compile_library(source: str, target: Path, *flags: str) -> Path:
    """The shared library `target`, compiled from a C file beside this one.

    Its name is also its soname, so that a loader finds it again under that name. Raises
    RuntimeError without a C compiler, or with the compiler's words where it fails.
    """
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise RuntimeError("these tests need a C compiler: install gcc or clang, or set CC")
    target.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [
            *(compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-pthread"),
            *(f"-Wl,-soname,{target.name}", *flags, "-o", str(target), str(HERE / source), "-lm"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{compiler} could not build {source}:\n{done.stderr}")
    return target


def preloaded(library: Path, environ: Mapping[str, str] = os.environ) -> str:
    """What LD_PRELOAD has to be for `library` to come first, before what is preloaded already."""
    return " ".join(filter(None, [str(library), environ.get("LD_PRELOAD")]))


def build_nvml(folder: Path, *, empty: bool = False) -> Path:
    """`libnvidia-ml.so.1` in `folder`, with a known energy; `empty`: without any symbol."""
    flags = ["-DEMPTY"] if empty else []
    return compile_library("nvml.c", folder / "libnvidia-ml.so.1", *flags)


class NvmlClock:
    """The clock of the NVIDIA stand-in in this process, and the energy that it knows to be true.

    Making one loads the library; pynvml then finds it under its soname, also where
    LD_LIBRARY_PATH does not name it.
    """

    def __init__(self, library: Path) -> None:
        import ctypes  # a child that only writes settings is to load nothing of the sort

        self._number = ctypes.c_double
        self._library = ctypes.CDLL(str(library))
        self._library.fake_nvml_clock.restype = ctypes.c_double
        self._library.fake_nvml_epoch.restype = ctypes.c_double
        self._library.fake_nvml_true_j.restype = ctypes.c_double

    def __call__(self) -> float:
        """The clock in s: CLOCK_MONOTONIC until it is set."""
        return float(self._library.fake_nvml_clock())

    def set(self, t_s: float) -> None:
        """The clock stands at this moment until it is set again."""
        self._library.fake_nvml_set_clock(self._number(t_s))

    def run(self) -> None:
        """The clock runs again, as CLOCK_MONOTONIC does."""
        self._library.fake_nvml_run_clock()

    def realtime(self) -> float:
        """Seconds since 1970 as the stamps of samples tell them."""
        return self() + float(self._library.fake_nvml_epoch())

    def set_epoch(self, offset_s: float) -> None:
        """What the stamps of samples add to the clock from now on: a step of the system's clock."""
        self._library.fake_nvml_set_epoch(self._number(offset_s))

    def step(self, gpu: int = 0) -> None:
        """A step of the GPU's work, at its power limit: it takes its time on the clock."""
        self._library.fake_nvml_step(gpu)

    def true_j(self, gpu: int, from_s: float, to_s: float) -> float:
        """The energy in J that a GPU with a profile truly draws between two moments."""
        begin, end = self._number(from_s), self._number(to_s)
        return float(self._library.fake_nvml_true_j(gpu, begin, end))


def build_cuda(folder: Path) -> Path:
    """`libcuda.so.1` in `folder`, whose work takes a known time."""
    return compile_library("cuda.c", folder / "libcuda.so.1")


class FakeNvml:
    """A machine's NVIDIA driver, told what to answer through a file.

    `library` is what `build_nvml` gave; `folder` is the test's own.
    """

    def __init__(self, library: Path, folder: Path) -> None:
        self._library = library
        self._config = folder / "nvml.txt"
        self._log = folder / "nvml.log"
        self.set()

    def set(self, *lines: str) -> None:
        """Answer by these lines from the next call on (the head of nvml.c explains them)."""
        new = self._config.with_suffix(".new")
        new.write_text("".join(f"{line}\n" for line in lines))
        new.replace(self._config)

    @property
    def environ(self) -> dict[str, str]:
        """What a child process needs in its environment to meet this driver."""
        return {
            "LD_LIBRARY_PATH": str(self._library.parent),
            "FAKE_NVML_CONFIG": str(self._config),
            "FAKE_NVML_LOG": str(self._log),
        }

    @property
    def calls(self) -> list[str]:
        """The names of the NVML functions called so far, in order."""
        return [line.split()[0] for line in self._lines() if not line.startswith("set ")]

    @property
    def limits_w(self) -> list[tuple[int, float]]:
        """The power limits that were set so far, in order: which GPU, and W."""
        lines = (line.split() for line in self._lines())
        return [(int(words[1]), int(words[3]) / 1e3) for words in lines if words[0] == "set"]

    @property
    def threads(self) -> set[str]:
        """The operating system's numbers of the threads that called NVML."""
        return {line.split()[2] for line in self._lines() if not line.startswith("set ")}

    def _lines(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []
