"""`python long_session.py CELLS EVERY`: so many cells in one shell with our hooks; what the process
takes, after every so many, is printed as JSON. The store comes by the environment."""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from pathlib import Path


def taken(store: Path) -> dict[str, int]:
    """What this process takes now, when the store's thread has nothing to do."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    rss_kb = int(status.partition("VmRSS:")[2].split()[0])
    journals = Path(f"{store}.journals").glob("*.journal")
    return {
        "rss_kb": rss_kb,
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        "journal_kb": sum(path.stat().st_size for path in journals) // 1024,
    }


def main(cells: int, every: int) -> None:
    """Run the cells in an IPython shell, which keeps no outputs and no history of its own."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    store = Path(os.environ["JUPYTER_ENERGY_STORE"])
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.cache_size = 0
    shell = InteractiveShell.instance(config=config)
    shell.run_line_magic("load_ext", "jupyter_energy")
    for cell in range(cells):
        shell.run_cell("x = 1", store_history=False)
        if (cell + 1) % every == 0:
            time.sleep(1.0)  # what the store's thread is at, it ends
            print(json.dumps({"cells": cell + 1, **taken(store)}), flush=True)
    shell.run_line_magic("unload_ext", "jupyter_energy")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
