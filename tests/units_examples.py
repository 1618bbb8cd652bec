"""Numbers as text, as both halves must write them: `PYTHONPATH=. python tests/units_examples.py`
writes tests/golden/units.json again, from which the page's tests take what `units.py` gives.
"""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

from jupyter_energy import units
from jupyter_energy.uncertainty import COVERAGE_FACTOR_95, Range, Uncertain

GOLDEN = Path(__file__).parent / "golden" / "units.json"
SCALES = {"energy": units.ENERGY_J, "power": units.POWER_W, "mass": units.MASS_G}
# Where roundings carry, where units change, and what is small, large, nothing.
NUMBERS = (
    0.0, 1e-9, 4.996e-4, 9.99e-4, 0.00151, 0.0995, 0.5, 0.9994, 0.9996, 0.99951, 1.0, 1.005, 2.5,
    9.94, 9.95, 9.96, 12.345, 99.4, 99.96, 128.4, 312.4, 999.4, 999.6, 1000.0, 3599.0, 3600.0,
    5123.0, 23_456.0, 1_234_567.0, 3.6e6, 1.84e8, 2.5e11,
)  # fmt: skip


def numbers() -> list[float]:
    """The numbers above and, from a fixed seed, some of every size."""
    seeded = random.Random(20251122)
    return [*NUMBERS, *(float(f"{10 ** seeded.uniform(-7, 9):.6g}") for _ in range(16))]


def examples() -> list[dict[str, object]]:
    """Each a function's name in units.py, its scale, its arguments and the text it gives."""
    found: list[dict[str, object]] = []
    for scale_name, scale in SCALES.items():
        for number in numbers():
            for share in (0.0, 0.05, 2.0):
                half = float(f"{number * share:.6g}")
                text = units.measured(Uncertain(number, 0.0, half / COVERAGE_FACTOR_95), scale)
                found.append(_example("measured", scale_name, [number, half], text))
            for low in (0.0, 1e-5, 0.4):
                bounds = [float(f"{number * f:.6g}") for f in (low, 1.0, 2.5)]
                text = units.estimated(Range(*bounds), scale)
                found.append(_example("estimated", scale_name, bounds, text))
            high = float(f"{number * 1.7:.6g}")
            text = units.estimated(Range(0.0, 0.0, high), scale)
            found.append(_example("estimated", scale_name, [0.0, 0.0, high], text))
            text = units.quantity(number, scale)
            found.append(_example("quantity", scale_name, [number], text))
            found.append(_example("about", scale_name, [number], units.about(number, scale)))
    for number in numbers():
        if number > 0 and math.isfinite(number):
            found.append(_example("duration", None, [number], units.duration(number)))
            found.append(_example("intensity", None, [number], units.intensity(number)))
    shares = (0.0, 0.001, 0.0049, 0.005, 0.08, 0.125, 0.5, 0.995, 1.0)
    found.extend(_example("percent", None, [x], units.percent(x)) for x in shares)
    found.extend(_example("plain", None, [x], units.plain(x)) for x in (1.0, 1.2, 1.125, 1.56))
    return [x for i, x in enumerate(found) if x not in found[:i]]


def _example(call: str, scale: str | None, arguments: list[float], text: str) -> dict[str, object]:
    return {"call": call, "scale": scale, "arguments": arguments, "text": text}


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(example, ensure_ascii=False) for example in examples())
    GOLDEN.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
