"""Fixtures shared by all tests: real kernels, each with a home of its own."""

from __future__ import annotations

import os
import random
import signal
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from subprocess import CalledProcessError

import hypothesis
import pytest
from harness import Kernel, running
from kernels import kernel_pythons
from standins.network import unplug_everything

StartKernel = Callable[..., Kernel]

# A busy machine is no fault of what is tested: Hypothesis times nothing. A whole run looks for
# examples of its own; any other has the same ones each time.
hypothesis.settings.register_profile(
    "ours",
    deadline=None,
    derandomize=os.environ.get("JUPYTER_ENERGY_TEST_WHOLE") != "1",
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("ours")

# A run in the background inherits an ignored SIGINT, and so would every child that a test presses
# Ctrl-C in; a handler of Python's is set back to the default when a child begins.
signal.signal(signal.SIGINT, signal.default_int_handler)
# The same of SIGHUP, which is ignored under nohup.
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, lambda *_: os._exit(128 + signal.SIGHUP))


# No test, and nothing that one starts, reaches another machine. The folder lives as long as this
# process: what it starts is to find the library in it.
_NETWORK = tempfile.TemporaryDirectory(prefix="jupyter-energy-tests-")
IS_UNPLUGGED = unplug_everything(Path(_NETWORK.name))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that takes `python` runs once in each interpreter under test."""
    if "python" in metafunc.fixturenames:
        found = kernel_pythons()
        pythons = [str(path) for path in found.values()]
        metafunc.parametrize("python", pythons, ids=list(found), scope="session")


# Of the long matrix of tests by kernels, each test runs in so many of them, chosen by the seed;
# those marked `every_kernel` run in all, and so does everything in a whole run.
SLICE = 1
SEED = os.environ.get("JUPYTER_ENERGY_TEST_SEED", "1")
WHOLE = os.environ.get("JUPYTER_ENERGY_TEST_WHOLE") == "1"
if WHOLE:
    os.environ.setdefault("PYTEST_TIMEOUT", "0")  # pytest-timeout: a whole run takes what it takes


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what a process that failed a test has said."""
    if call.excinfo is not None and isinstance(call.excinfo.value, CalledProcessError):
        item.add_report_section(call.when, "stderr of the process", str(call.excinfo.value.stderr))
    return (yield)


def pytest_report_header() -> str:
    """Say which part of the matrix runs, and that no test has a network."""
    network = "no network" if IS_UNPLUGGED else "with the network as it is"
    part = "all for each test" if WHOLE else f"{SLICE} for each test, seed {SEED}"
    return f"{network}; kernels: {part}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take the slice of the matrix that is asked for."""
    found = kernel_pythons()
    if WHOLE or len(found) <= SLICE:
        return

    def is_in(item: pytest.Item) -> bool:
        call = getattr(item, "callspec", None)
        if call is None or "python" not in call.params or item.get_closest_marker("every_kernel"):
            return True
        (kernel,) = (name for name, path in found.items() if str(path) == call.params["python"])
        of_all = f"{SEED} {item.nodeid.replace(kernel, '')}"  # the same for every kernel
        return kernel in random.Random(of_all).sample(sorted(found), SLICE)

    left_out = [item for item in items if not is_in(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if is_in(item)]


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


@pytest.fixture(scope="module")
def _kernel_of_a_module(python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with running(python, tmp_path_factory.mktemp("home")) as kernel:
        assert kernel.run("%load_ext jupyter_energy").status == "ok"
        yield kernel


@pytest.fixture
def shared_kernel(_kernel_of_a_module: Kernel) -> Kernel:
    """As `kernel`, but one for all tests of a file, with none of the names that they have made.

    Not for a test that changes anything else, the notebook's totals included.
    """
    _kernel_of_a_module.value("__import__('IPython').get_ipython().reset(new_session=False)")
    return _kernel_of_a_module
