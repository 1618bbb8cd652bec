"""`python writers.py STORE WRITERS CELLS`: so many processes put so many records each into a store,
at once, as kernels do; what that cost their executing threads is printed as JSON, in ms."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from strategies import a_record

from jupyter_energy.identity import NotebookRef
from jupyter_energy.outbox import Outbox
from jupyter_energy.store import Store
from jupyter_energy.uncertainty import Uncertain

HOST = "here"
ENERGIES = {kind: Uncertain(12.5, 0.1, 0.3) for kind in ("gpu", "package", "dram")}
# A cell that takes no time: less than any that does anything.
CELL_S = 0.002


def notebook_of(store: Path, number: int) -> NotebookRef:
    """The notebook of a writer, which lies beside the store."""
    path = store.parent.parent / f"notebook-{number}.ipynb"
    return NotebookRef(str(path), path.name, kernel_id=f"kernel-{number}")


def write(store: Path, number: int, cells: int) -> list[tuple[float, float]]:
    """Put the records of so many cells; of each the time it took, and the thread's own, in ms."""
    told: list[str] = []
    outbox = Outbox(
        Store(store, host=HOST),
        lambda _: notebook_of(store, number),
        lambda _, text: told.append(text),
        f"session-{number}",
    )
    outbox.start()
    times_ms = []
    for cell in range(cells):
        time.sleep(CELL_S)  # what the user's cell does
        made = a_record(f"{number}-{cell}", "", cell_id=f"{cell:08x}", energies=ENERGIES)
        start = datetime.now(UTC)
        record = replace(
            made,
            session_id=f"session-{number}",
            measurement=replace(made.measurement, start=start, duration_s=CELL_S),
        )
        wall_s, thread_s = time.perf_counter(), time.thread_time()
        outbox.put(record)
        thread_s, wall_s = time.thread_time() - thread_s, time.perf_counter() - wall_s
        times_ms.append((1e3 * wall_s, 1e3 * thread_s))
    outbox.close()
    return times_ms


def main(store: Path, writers: int, cells: int) -> None:
    """Fork the writers, which begin together, and print what all have measured."""
    gate_out, gate_in = os.pipe()
    pipes = []
    for number in range(writers):
        result_out, result_in = os.pipe()
        if os.fork() == 0:
            status = 1
            try:
                os.close(gate_in)
                os.read(gate_out, 1)  # until the parent closes it
                result = json.dumps(write(store, number, cells)).encode()
                with os.fdopen(result_in, "wb") as file:
                    file.write(result)
                status = 0
            finally:
                os._exit(status)
        os.close(result_in)
        pipes.append(result_out)
    os.close(gate_in)
    times_ms = []
    for pipe in pipes:
        with os.fdopen(pipe, "rb") as file:
            times_ms += json.loads(file.read())
    for _ in pipes:
        _, status = os.wait()
        assert status == 0, "a writer failed"
    print(json.dumps(times_ms))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
