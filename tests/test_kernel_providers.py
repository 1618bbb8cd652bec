"""A live provider in a real kernel: its values reach a cell's figures, its token nothing at all."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import StartKernel
from harness import LIMIT_S, Kernel
from standins.carbon_services import TOKEN
from standins.web_server import Asked, Service, Told

# Until the service has answered: what came of it lies in the cache.
WAIT = """
import pathlib, time
while not any(p.stat().st_size for p in pathlib.Path({cache!r}).glob("*.json")):
    time.sleep(0.01)
"""


def hours(asked: Asked) -> Told:
    """Electricity Maps: 77 g CO2e/kWh in this hour and the one before."""
    if asked.headers.get("auth-token") != TOKEN or not asked.path.endswith("/history"):
        return Told(403, {"message": f"no {asked.headers.get('auth-token')}"})
    this = int(time.time()) // 3600 * 3600
    values = [
        {
            "carbonIntensity": 77,
            "datetime": datetime.fromtimestamp(start, UTC).isoformat(),
            "emissionFactorType": "lifecycle",
            "isEstimated": False,
        }
        for start in (this - 3600, this)
    ]
    return Told(200, {"zone": "FR", "history": values})


def careless(asked: Asked) -> Told:
    """Refuses, and sends back what it was sent."""
    letter = asked.headers.get("auth-token", "")
    return Told(401, {"message": letter}, {"X-Token": letter, "Retry-After": letter})


def of_run(kernel: Kernel, code: str) -> list[dict[str, Any]]:
    """All that a kernel says while it runs code, to whomever."""
    request = kernel.send(code)
    found = []
    deadline = time.monotonic() + LIMIT_S
    while True:
        message = kernel.client.get_iopub_msg(timeout=max(0.1, deadline - time.monotonic()))
        found.append(message)
        content = message["content"]
        of_it = message["parent_header"].get("msg_id") == request
        if of_it and content.get("execution_state") == "idle":
            reply = kernel.client.get_shell_msg(timeout=LIMIT_S)
            return [*found, reply]


@pytest.mark.parametrize(("answer", "works"), [(hours, True), (careless, False)])
def test_a_cell_has_the_live_figure_and_no_message_and_no_file_has_the_token(
    start_kernel: StartKernel, answer: Callable[[Asked], Told], works: bool, tmp_path: Path
) -> None:
    cache = tmp_path / "answers"
    with Service(answer).running() as served:
        kernel = start_kernel(
            {
                "JUPYTER_ENERGY_ZONE": "FR",
                "JUPYTER_ENERGY_PROVIDER": "electricity_maps",
                "JUPYTER_ENERGY_PROVIDER_URL": served.url,
                "JUPYTER_ENERGY_CACHE": str(cache),
                "JUPYTER_ENERGY_ELECTRICITY_MAPS_TOKEN": TOKEN,
                "no_proxy": "127.0.0.1",
            }
        )
        said = of_run(kernel, "%load_ext jupyter_energy")
        assert served.asked == []  # no cell has run yet
        said += of_run(kernel, WAIT.format(cache=str(cache)))
        said += of_run(kernel, "%%energy -n live\nsum(range(10**6))")
        for command in ("%energy", "%energy doctor --json", "%energy zone", "%config Energy"):
            said += of_run(kernel, command)
        kernel.flush()
    assert served.asked
    shown = json.dumps(said, default=str)
    if works:
        assert "77 g CO2e/kWh" in shown
        assert "Electricity Maps" in shown
    else:
        assert "Electricity Maps does not know this token (HTTP 401)" in shown
    assert TOKEN not in shown
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.parent == cache for path in files)
    assert any(path.name == "energy.sqlite" for path in files)
    for path in files:
        assert TOKEN.encode() not in path.read_bytes(), path
