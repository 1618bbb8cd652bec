"""`python tests/benchmarks/run.py [coverage] [load] [edges] [gpus] [history] [live] [pacing] [page]
[plan] [power] [reads] [store]`: prints a table, and keeps the figures."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import edges
import gpus
import history
import intervals
import live
import load
import pacing
import page
import plan
import power
import reads
import store

RESULTS = Path(__file__).parent / "results"
BENCHMARKS = (intervals, load, edges, gpus, history, live, pacing, page, plan, power, reads, store)


def main(wanted: list[str]) -> int:
    """Run the benchmarks that are named, or all; exit status 2 for a name that is none."""
    unknown = set(wanted) - {benchmark.NAME for benchmark in BENCHMARKS}
    if unknown:
        print(f"no benchmark {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    machine = {
        "python": platform.python_version(),
        "ipython": version("ipython"),
        "system": platform.system(),
        "cpus": os.cpu_count(),
    }
    RESULTS.mkdir(exist_ok=True)
    for benchmark in BENCHMARKS:
        if wanted and benchmark.NAME not in wanted:
            continue
        print(f"\n{benchmark.NAME}: {(benchmark.__doc__ or '').splitlines()[0]}")
        rows = benchmark.run()
        for row in rows:
            print(row.text)
        result = {
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine,
            "rows": [asdict(row) for row in rows],
        }
        file = RESULTS / f"{benchmark.NAME}.json"
        file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
