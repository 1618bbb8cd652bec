"""The figure of energy by cell."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import display_examples as examples
import pytest

from jupyter_energy.display import plots
from jupyter_energy.schema import CellJson

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle


def measured(count: int) -> list[CellJson]:
    return [
        examples.cell(f"step {i}", measured_j=examples.value(1000.0 / (i + 1), 30.0 / (i + 1)))
        for i in range(count)
    ]


def bars_of(figure: Figure) -> list[Rectangle]:
    from matplotlib.patches import Rectangle

    return [bar for bar in figure.axes[0].patches if isinstance(bar, Rectangle)]


def lengths(figure: Figure) -> list[float]:
    return [bar.get_width() for bar in bars_of(figure)]


def names(figure: Figure) -> list[str]:
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


@pytest.mark.parametrize(("count", "bars"), [(1, 1), (20, 20), (21, 21), (200, 21)])
def test_the_twenty_most_expensive_cells_have_a_bar_and_the_rest_one(count: int, bars: int) -> None:
    figure = plots.energy_by_cell(examples.summary(measured(count)))
    assert len(lengths(figure)) == len(names(figure)) == bars
    if count > 20:
        assert names(figure)[-1] == f"{count - 20} others"


def test_the_bars_hold_all_the_energy_in_the_unit_of_the_axis() -> None:
    made = measured(200)
    figure = plots.energy_by_cell(examples.summary(made))
    total = sum(c["measured_j"]["value"] for c in made if c["measured_j"])
    assert figure.axes[0].get_xlabel() == "energy (kJ)"
    assert sum(lengths(figure)) * 1e3 == pytest.approx(total)


def test_a_block_inside_a_cell_is_marked_and_never_among_the_others() -> None:
    block = examples.cell("epoch", inside=True, measured_j=examples.value(40.0, 1.0))
    figure = plots.energy_by_cell(examples.summary([*measured(20), block]))
    assert len(names(figure)) == 20
    figure = plots.energy_by_cell(examples.summary([block, *measured(21), block]))
    assert (names(figure)[0], names(figure)[-1]) == ("↳ epoch", "2 others")
    others_j = sum(c["measured_j"]["value"] for c in measured(21)[19:] if c["measured_j"])
    assert lengths(figure)[-1] * 1e3 == pytest.approx(others_j)
    assert figure.axes[0].get_xlabel() == "energy (kJ); ↳ is part of another bar"


def test_estimates_are_hatched_and_measurements_solid_and_never_stacked() -> None:
    figure = plots.energy_by_cell(examples.SUMMARIES["summary_mixed"])
    bars = bars_of(figure)
    assert [bool(b.get_hatch()) for b in bars] == [False] * 4 + [True] * 2
    assert all(b.get_x() == 0 for b in bars)
    spans = sorted((b.get_y(), b.get_y() + b.get_height()) for b in bars)
    assert all(a[1] <= b[0] + 1e-9 for a, b in pairwise(spans))
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [
        "measured, 95 % interval",
        "estimated, range",
    ]


def test_the_range_of_an_estimate_is_its_error_bar() -> None:
    import numpy as np

    made = examples.cell(estimated_j=examples.estimate(6.0, 12.0, 24.0))
    figure = plots.energy_by_cell(examples.summary([made]))
    [bar] = figure.axes[0].collections
    [path] = bar.get_paths()
    assert [float(point[0]) for point in np.asarray(path.vertices)] == pytest.approx([6.0, 24.0])


def test_a_cell_without_energy_has_no_bar() -> None:
    figure = plots.energy_by_cell(examples.summary([examples.UNKNOWN, *measured(1)]))
    assert names(figure) == ["step 0"]


def test_without_any_energy_the_figure_says_so() -> None:
    figure = plots.energy_by_cell(examples.SUMMARIES["summary_empty"])
    assert "no energy is known yet" in [t.get_text() for t in figure.axes[0].texts]
    assert plots.png(figure).startswith(b"\x89PNG")


def test_a_dollar_in_a_name_is_no_formula() -> None:
    made = examples.cell("$\\frac{", measured_j=examples.value(1.0, 0.1))
    assert plots.png(plots.energy_by_cell(examples.summary([made]))).startswith(b"\x89PNG")


def test_drawing_never_imports_pyplot() -> None:
    code = (
        "import sys; import display_examples as e; from jupyter_energy.display import plots; "
        "plots.png(plots.energy_by_cell(e.SUMMARIES['summary_mixed'])); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=examples.GOLDEN.parent,
        env={"PYTHONPATH": ":".join(p for p in sys.path if p)},
    )
    assert done.stdout.strip() == "False"
