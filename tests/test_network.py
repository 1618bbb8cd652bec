"""Without a provider no byte leaves the machine: processes that note whatever reaches out."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import IS_UNPLUGGED
from standins.network import build_network, cut_off

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not IS_UNPLUGGED, reason="a stand-in for Linux")

REACHES_OUT = """
import socket
for reach in (
    lambda: socket.create_connection(("192.0.2.1", 80), 1),
    lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"", ("192.0.2.2", 53)),
    lambda: socket.socket(type=socket.SOCK_DGRAM).sendmsg([b""], [], 0, ("192.0.2.3", 53)),
    lambda: socket.getaddrinfo("www.example.org", 80),
    lambda: socket.create_connection(("127.0.0.1", 9), 1),
):
    try:
        reach()
        print("reached")
    except OSError as error:
        print(type(error).__name__)
"""
# Everything a session does without a provider: cells measured and shown, the zone guessed, set,
# forgotten, what was drawn told in every way.
SESSION = """
import io, sys
from contextlib import redirect_stdout
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
said = io.StringIO()
with redirect_stdout(said):
    for cell in (
        "%load_ext jupyter_energy", "%%energy\\nsum(range(10**6))", "%energy", "%energy zone",
        "%energy zone FR", "%energy zone auto", "%energy doctor", "%energy history",
        "%energy plan --no-figure",
    ):
        result = shell.run_cell(cell)
        assert result.success, (cell, result.error_in_exec)
    import jupyter_energy as je
    with je.measure("block"):
        pass
    shell.run_cell("%unload_ext jupyter_energy")
sys.exit(0 if "CO2e" in said.getvalue() else said.getvalue())
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_network(tmp_path_factory.mktemp("network"))


def ran(code: str, library: Path, folder: Path) -> tuple[str, list[str]]:
    """What a process without any network prints, and the tries that it made."""
    log = folder / "network.log"
    own = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **own, **cut_off(library, log)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    tries = log.read_text().splitlines() if log.exists() else []
    return done.stdout, [line.partition(" ")[2] for line in tries]


def test_what_reaches_out_is_refused_and_noted(library: Path, tmp_path: Path) -> None:
    said, tries = ran(REACHES_OUT, library, tmp_path)
    assert "reached" not in said
    assert tries == [
        "connect 192.0.2.1",
        "sendto 192.0.2.2",
        "sendmsg 192.0.2.3",
        "getaddrinfo www.example.org",
        "connect 127.0.0.1",
    ]


def test_a_session_without_a_provider_reaches_for_no_machine_at_all(
    library: Path, tmp_path: Path
) -> None:
    assert ran(SESSION, library, tmp_path)[1] == []


def test_no_test_of_this_process_reaches_another_machine() -> None:
    with pytest.raises(OSError, match="no network in these tests"):
        socket.create_connection(("192.0.2.1", 80), 1)
    with pytest.raises(OSError, match="no network in these tests"):
        socket.getaddrinfo("www.example.org", 80)
    with socket.create_server(("127.0.0.1", 0)) as here:
        socket.create_connection(here.getsockname()).close()
