"""Fixtures shared by all tests: real kernels, each with a home of its own."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness import Kernel, running
from kernels import kernel_pythons

StartKernel = Callable[..., Kernel]

# A run in the background inherits an ignored SIGINT, and so would every child that a test presses
# Ctrl-C in; a handler of Python's is set back to the default when a child begins.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that takes `python` runs once in each interpreter under test."""
    if "python" in metafunc.fixturenames:
        found = kernel_pythons()
        pythons = [str(path) for path in found.values()]
        metafunc.parametrize("python", pythons, ids=list(found), scope="session")


@pytest.fixture
def start_kernel(python: str, tmp_path: Path) -> Iterator[StartKernel]:
    """Starts kernels of the interpreter under test; they end with the test."""
    with ExitStack() as stack:

        def start(more: Mapping[str, str] | None = None, home: str = "home") -> Kernel:
            return stack.enter_context(running(python, tmp_path / home, more))

        yield start


@pytest.fixture
def kernel(start_kernel: StartKernel) -> Kernel:
    """A kernel that has the extension loaded, with a store of its own."""
    started = start_kernel()
    loaded = started.run("%load_ext jupyter_energy")
    assert (loaded.status, loaded.stdout, loaded.stderr) == ("ok", "", ""), loaded
    return started
