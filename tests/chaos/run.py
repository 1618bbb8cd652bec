"""`python tests/chaos/run.py [kills] [writers] [cells]`: the whole experiments, as tables.

Exit status 1 where one found something wrong.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from kernels import kernel_pythons

from chaos.kills import Kills

KILLS = 200


def kills(folder: Path) -> list[str]:
    """Kill 200 kernels, those of all interpreters under test in turn."""
    wrong = []
    pythons = kernel_pythons()
    for name, python in pythons.items():
        began = time.monotonic()
        (folder / name).mkdir()
        number = int(os.environ.get("JUPYTER_ENERGY_TEST_KILLS", KILLS)) // len(pythons)
        told = Kills(folder / name, str(python), seed=5).run(number)
        counts = ", ".join(f"{count} {what}" for what, count in sorted(told.counts.items()))
        print(f"| {name} | {number} | {counts} | {len(told.wrong)} |")
        print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
        wrong += told.wrong
    return wrong


EXPERIMENTS = {"kills": kills}


def main(wanted: list[str]) -> int:
    """Run the experiments that are named, or all."""
    wrong = []
    for name, experiment in EXPERIMENTS.items():
        if not wanted or name in wanted:
            with tempfile.TemporaryDirectory() as folder:
                wrong += experiment(Path(folder))
    print(*wrong, sep="\n", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
