"""Third parties' sensors that fail in every way Python lets them, and a good one among them.

`install` puts this folder on a kernel's path as a package that adds sensors by entry points.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

# One entry point each; those without a module here cannot be imported.
FAMILIES = (
    *("readings", "raises", "exits", "interrupts", "gives_none", "unhashable", "no_sensors"),
    *("fails_at_import", "exits_at_import", "not_there", "rapl"),
)
HANGING = ("hangs_at_import", "hangs_when_asked", "hangs_when_read")


def install(folder: Path, families: Sequence[str] = FAMILIES) -> dict[str, str]:
    """Make `folder` a place with these families installed; the environment to see them."""
    info = folder / "faulty_sensor-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty-sensor\nVersion: 1.0\n")
    points = "".join(f"{name} = faulty_sensor.{name}\n" for name in families)
    (info / "entry_points.txt").write_text(f"[jupyter_energy.sensors]\n{points}")
    (folder / "faulty_sensor").symlink_to(Path(__file__).parent)
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
