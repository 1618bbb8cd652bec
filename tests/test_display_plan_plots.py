"""The pictures of a plan: marks at the plan's own times, places in order, words that fit."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import plan_examples as examples
import pytest

from jupyter_energy.display import plan_marks, plan_plots, plots
from jupyter_energy.display import plan_words as words
from jupyter_energy.plan.shapes import PlanJson

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CET = timezone(timedelta(hours=1), "CET")
DRAWN = [name for name in examples.PLANS if name != "nothing"]


def drawn(plan: PlanJson, zone: Any = CET) -> Figure:
    figure = plan_plots.figure(plan, zone)
    assert figure is not None
    return figure


@cache
def shown(name: str) -> Figure:
    """The picture of an example, drawn once."""
    return drawn(examples.PLANS[name])


def panels(figure: Figure) -> list[list[Any]]:
    """The axes of each panel."""
    return [list(panel.axes) for panel in figure.subfigs]


def hours(moment: str, begin: str) -> float:
    first, then = datetime.fromisoformat(begin), datetime.fromisoformat(moment)
    return (then - first).total_seconds() / 3600


def lanes(axes: Any) -> dict[str, list[tuple[float, float]]]:
    """What stands in the lanes below the outlook: by name, from when to when, in hours."""
    names = [label.get_text() for label in axes.get_yticklabels()]
    spans = [
        [(path.vertices[:, 0].min(), path.vertices[:, 0].max()) for path in found.get_paths()]
        for found in axes.collections
    ]
    return dict(zip(names, spans, strict=True))


def test_the_runs_are_drawn_at_the_times_of_the_plan() -> None:
    made = examples.PLANS["pauses"]
    slots, start, pause, job = (
        made[k]  # type: ignore[literal-required]
        for k in ("slots", "flexible_start", "pause_resume", "job")
    )
    begin, length_h = slots["begin"], job["duration_s"] / 3600
    upper, lower = panels(shown("pauses"))[0]
    found = lanes(lower)
    at_h = hours(start["start"], begin)
    assert found["at once"] == [pytest.approx((0, length_h))]
    assert found["best start"] == [pytest.approx((at_h, at_h + length_h))]
    runs = [(hours(a, begin), hours(b, begin)) for a, b in pause["run"]]
    assert found["with 3 pauses"] == [pytest.approx(run) for run in runs]
    shaded = [(p.get_x(), p.get_x() + p.get_width()) for p in upper.patches]
    assert shaded == [pytest.approx(run) for run in runs]


def test_what_saves_less_than_two_percent_has_no_lane() -> None:
    _, lower = panels(shown("no_gain"))[0]
    assert list(lanes(lower)) == ["at once"]


def test_a_gap_in_the_outlook_is_a_gap_in_the_line() -> None:
    made = examples.PLANS["pauses"]
    upper, _ = panels(shown("pauses"))[0]
    [line] = upper.lines
    assert made["slots"] is not None
    values = [math.nan if v is None else v for v in made["slots"]["g_per_kwh"]]
    assert line.get_ydata()[:-1] == pytest.approx(values, nan_ok=True)
    assert sum(map(math.isnan, line.get_ydata())) == 24


@pytest.mark.parametrize("name", DRAWN)
def test_the_outlook_is_named_as_what_it_is(name: str) -> None:
    made = examples.PLANS[name]
    titles = [axes.get_title(loc="left") for panel in panels(shown(name)) for axes in panel]
    if made["slots"] is None:
        assert not titles[0].startswith(("Forecast", "Trace", "Typical day"))
    else:
        assert titles[0].startswith(made["basis"]["kind"].capitalize())
        assert plan_marks.alt(made).startswith(made["basis"]["kind"].capitalize())


def test_an_error_is_a_band_and_where_none_is_told_there_is_none() -> None:
    upper, _ = panels(shown("cloud"))[0]
    [band] = upper.collections
    assert made_of(band) == pytest.approx((110 * 0.95, 321.5 * 1.05), rel=0.01)
    upper, _ = panels(shown("hours_only"))[0]
    assert not list(upper.collections)
    assert "shaded" not in upper.get_title(loc="left")
    made = deepcopy(examples.PLANS["cloud"])
    made["basis"]["hindsight"] = True  # what has happened is what it is
    upper, _ = panels(drawn(made, CET))[0]
    assert not list(upper.collections)


def made_of(band: Any) -> tuple[float, float]:
    [path] = band.get_paths()
    return path.vertices[:, 1].min(), path.vertices[:, 1].max()


def places(axes: Any) -> list[tuple[str, float]]:
    """The names and lengths of the bars, from the top."""
    names = [label.get_text() for label in axes.get_yticklabels()]
    lengths = {round(bar.get_y() + bar.get_height() / 2): bar.get_width() for bar in axes.patches}
    return [(name, lengths.get(row, math.nan)) for row, name in enumerate(names)]


def test_places_are_ranked_from_the_cleanest_with_here_and_the_worst_among_them() -> None:
    made = examples.PLANS["cloud"]
    [axes] = panels(shown("cloud"))[1]
    found = places(axes)
    assert [name for name, _ in found] == [
        "Europe (Stockholm)",
        "Europe (Paris) †",
        "Canada (Central) †",
        "Europe (Zurich)",
        "South America (São Paulo)",
        "… 2 others …",
        "US West (N. California)",
        "… 6 others …",
        "Asia Pacific (Jakarta)",
    ]
    known = [length for _, length in found if not math.isnan(length)]
    assert known == sorted(known)
    grams = [row["carbon_g"]["mid"] for row in made["rankings"][0]["rows"] if row["carbon_g"]]
    assert known[0] * 1000 == pytest.approx(grams[0])
    assert known[-1] * 1000 == pytest.approx(grams[-1])
    assert [t.get_text().strip() for t in axes.texts if "here" in t.get_text()] == ["≈ 660 g, here"]
    what, source = axes.get_xlabel().split("\n", 1)
    assert what.endswith("† with a PUE that is not the place's own")
    # Every figure names its source; the words may be on two lines.
    assert source.replace("\n", " ") == made["rankings"][0]["said"].partition(";")[0]


def test_without_an_energy_places_are_compared_by_grams_a_kwh() -> None:
    [axes] = panels(shown("hours_only"))[1]
    assert axes.get_xlabel().split("\n")[0] == "g/kWh, times PUE, average"
    assert places(axes)[0] == ("North Sweden", pytest.approx(15))


def test_a_place_that_is_none_of_the_ranked_ones_stands_among_them() -> None:
    [axes] = panels(shown("kwh_only"))[0]
    names = [name for name, _ in places(axes)]
    assert names.index("South America (São Paulo)") < names.index("Germany") < len(names) - 1


def test_each_change_has_its_range() -> None:
    made = examples.PLANS["sweep"]
    [axes] = panels(shown("sweep"))[1]
    spans = [line.get_xdata() for line in axes.lines]
    for number, item in enumerate(made["advice"]):
        saved = item["saved_fraction"]
        assert list(spans[2 * number]) == pytest.approx([100 * saved["low"], 100 * saved["high"]])
        assert list(spans[2 * number + 1]) == pytest.approx([100 * saved["mid"]])


def test_only_what_has_something_to_show_has_a_panel() -> None:
    counts = {name: len(panels(shown(name))) for name in ("cloud", "no_gain")}
    assert counts == {"cloud": 3, "no_gain": 2}
    assert len(panels(shown("assumed_place"))) == 1
    assert plan_plots.figure(examples.PLANS["nothing"]) is None
    assert plan_marks.alt(examples.PLANS["nothing"]) == ""


def test_the_words_for_it_say_when_where_and_how_much() -> None:
    said = plan_marks.alt(examples.PLANS["cloud"], CET)
    assert "110 g/kWh to 322 g/kWh, from Mon 23 Nov, 15:05 to Tue 24 Nov, 21:05 CET." in said
    assert "at once: 15:05 to 21:05." in said
    assert "best start: 18:05 to Tue 24 Nov, 00:05." in said
    assert "Europe (Stockholm), aws:eu-north-1 ≈ 53 g, 92 % less" in said
    assert "Start at 18:05 CET: ≈ 27 % (21–32 %)" in said


def test_hours_are_the_readers_own_also_where_clocks_change() -> None:
    made = deepcopy(examples.PLANS["cloud"])
    assert made["slots"] is not None
    made["slots"]["begin"] = "2026-10-24T20:05:00Z"
    _, lower = panels(drawn(made, ZoneInfo("Europe/Berlin")))[0]
    texts = [label.get_text() for label in lower.get_xticklabels()]
    hours_of = (text.partition("\n")[0] for text in texts[:8])
    at_h = dict(zip(hours_of, lower.get_xticks(), strict=False))
    # 20:05 UTC is 22:05 in summer; at 03:00 the clocks go back to 02:00.
    assert at_h["00:00"] == pytest.approx(2 - 5 / 60)
    assert at_h["06:00"] - at_h["00:00"] == pytest.approx(7)
    assert lower.get_xlabel() == "local time, CEST, then CET"


def test_values_of_another_year_are_said_to_be() -> None:
    made = deepcopy(examples.PLANS["cloud"])
    assert made["slots"] is not None
    made["slots"]["begin"] = "2022-04-25T20:05:00Z"
    _, lower = panels(drawn(made, CET))[0]
    assert lower.get_xlabel() == "local time, CET, 2022"
    assert "CET, 2022." in plan_marks.alt(made, CET)


def test_a_zone_of_half_hours_has_its_own_whole_hours() -> None:
    _, lower = panels(drawn(examples.PLANS["cloud"], ZoneInfo("Asia/Kolkata")))[0]
    assert all(":00" in label.get_text() for label in lower.get_xticklabels())
    assert lower.get_xticks()[0] * 60 % 60 == pytest.approx(25)  # begins at 19:35


@pytest.mark.parametrize("length_h", [1, 30, 24 * 8, 24 * 366])
def test_few_times_are_written_however_long_the_outlook_is(length_h: int) -> None:
    begin = datetime(2026, 11, 23, 14, 5, tzinfo=UTC)
    ticks = plan_marks.ticks(begin, begin + timedelta(hours=length_h), CET)
    assert 1 <= len(ticks) <= 11
    assert all(a < b for (a, _), (b, _) in pairwise(ticks))


def words_of(figure: Figure) -> Iterator[list[Any]]:
    """The boxes of the words of each panel, as they are drawn."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    for panel in panels(figure):
        texts = [t for axes in panel for t in (*axes.texts, *axes.get_yticklabels())]
        for axes in panel:
            low, high = axes.get_xlim()
            # an axis that shares its labels with the one below has none
            at = zip(axes.get_xticks(), axes.get_xticklabels(), strict=False)
            texts += [text for x, text in at if low <= x <= high]
            texts += [axes.xaxis.label, axes._left_title]
        yield [t.get_window_extent(renderer) for t in texts if t.get_text().strip()]


@pytest.mark.parametrize("name", ["pauses", "hostile", "idle_gpu", "sweep"])
def test_no_words_overlap_or_leave_the_picture(name: str) -> None:
    figure = shown(name)
    width, height = figure.get_size_inches() * figure.dpi
    for boxes in words_of(figure):
        for box in boxes:
            assert box.x0 >= -1
            assert box.x1 <= width + 1
            assert -1 <= box.y0 <= box.y1 <= height + 1
        for one, other in combinations(boxes, 2):
            assert not one.shrunk(0.95, 0.8).overlaps(other.shrunk(0.95, 0.8))


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_picture_can_be_written_in_each_form(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"plan.{suffix}"
    shown("sweep").savefig(target)
    assert target.stat().st_size > 2000


def test_a_dollar_in_a_name_is_no_formula_and_no_style_makes_it_unreadable() -> None:
    import matplotlib as mpl

    made = deepcopy(examples.PLANS["kwh_only"])
    for row in made["rankings"][0]["rows"]:
        row["name"] = "$\\frac{"
    made["rankings"][0]["of"] = made["advice"][0]["change"] = "$\\frac{"
    with mpl.rc_context({"text.color": "white", "axes.facecolor": "black"}):
        figure = drawn(made)
        assert plots.png(figure).startswith(b"\x89PNG")
    for axes in (a for panel in panels(figure) for a in panel):
        assert axes.get_facecolor() == (1, 1, 1, 1)
        assert all(t.get_color() == "#222222" for t in axes.texts)


def luminance(colour: str) -> float:
    """Of sRGB, as WCAG 2.2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_on_a_page_it_has_no_paper_and_reads_on_white_as_on_black() -> None:
    figure = plan_plots.figure(examples.PLANS["cloud"], CET, plan_plots.ON_PAGE)
    assert figure is not None
    every = [axes for panel in panels(figure) for axes in panel]
    for one in (figure, *figure.subfigs, *every):
        assert one.get_facecolor()[3] == 0
    texts = (t for axes in every for t in (*axes.texts, *axes.get_yticklabels(), axes.xaxis.label))
    inks = {text.get_color() for text in texts if text.get_text()}
    assert inks == {plan_plots.ON_PAGE.ink}
    for colour in (*inks, plan_marks.NOW, plan_marks.START):
        for page in ("#ffffff", "#111111"):  # JupyterLab's
            light, dark = sorted((luminance(colour), luminance(page)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 3.5, (colour, page)


def test_no_axis_of_shares_goes_on_behind_all_of_it() -> None:
    for name in ("cloud", "sweep"):
        axes = panels(shown(name))[-1][0]
        end = axes.spines["bottom"].get_bounds()[1]
        assert max(axes.get_xticks()) <= end <= 100


def test_drawing_never_imports_pyplot_and_importing_it_imports_nothing_heavy() -> None:
    code = (
        "import sys; from jupyter_energy.display import plan_marks, plan_plots, plots, plan_html; "
        "heavy = [m for m in ('matplotlib', 'numpy') if m in sys.modules]; "
        "import plan_examples as e; plots.png(plan_plots.figure(e.PLANS['sweep'])); "
        "print(heavy, 'matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(examples.__file__).parent,
        env={"PYTHONPATH": ":".join(p for p in sys.path if p)},
    )
    assert done.stdout.strip() == "[] False"


def test_the_advice_of_a_row_that_is_compared_with_none_is_only_its_figure() -> None:
    [axes] = panels(shown("assumed_place"))[0]
    assert axes.texts[0].get_text().strip() == "≈ 750 mg"
    row = examples.PLANS["assumed_place"]["rankings"][0]["rows"][0]
    assert words.compared(row) == ""


def test_the_ranking_that_the_advice_is_from_comes_first_in_pictures_and_words() -> None:
    made = examples.PLANS["kwh_only"]
    assert [ranking["of"] for ranking in made["rankings"]] == ["grid zones", "AWS regions"]
    assert [ranking["of"] for ranking in words.rankings(made)] == ["AWS regions", "grid zones"]
    [axes] = panels(shown("kwh_only"))[0]
    assert axes.get_title(loc="left") == "The same job elsewhere: AWS regions"
    # Where no place is named, nothing moves.
    assert words.rankings(examples.PLANS["pauses"]) == examples.PLANS["pauses"]["rankings"]
