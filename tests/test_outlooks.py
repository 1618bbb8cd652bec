"""The outlook for a command: a file's, a provider's, a typical day; else why, and what to do."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standins.web_server import Service, Told

from jupyter_energy import outlooks
from jupyter_energy.carbon.base import Interval, Quality, Signal
from jupyter_energy.carbon.cache import Cache
from jupyter_energy.carbon.known import Known, to_text
from jupyter_energy.config import Energy
from jupyter_energy.factors import Factors
from jupyter_energy.plan.nouns import SLOT_S, Outlook

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = datetime.now(UTC)
TODAY = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
ZONED = "Datetime (UTC),Zone id,Carbon intensity gCO₂eq/kWh (Life cycle)"

Find = Callable[..., tuple[Outlook | None, list[str]]]


@pytest.fixture
def find(tmp_path: Path) -> Iterator[Find]:
    """What `outlooks.find` finds with these settings."""
    made: list[Factors] = []

    def found(
        begin: datetime = NOW, hours: float = 30, trace: Path | None = None, **environ: str
    ) -> tuple[Outlook | None, list[str]]:
        names = {
            "zone": "FR",
            "cache": f"{tmp_path}/cache",
            "store": f"{tmp_path}/energy.sqlite",
        } | environ
        environ = {f"JUPYTER_ENERGY_{name.upper()}": value for name, value in names.items()}
        settings = Energy(environ=environ)
        assert not settings.complaints
        made.append(Factors(settings, environ))
        return outlooks.find(made[-1], settings, begin, hours * 3600, trace)

    yield found
    for factors in made:
        factors.close()


def hourly(start: datetime, hours: int, zone: str | None = None) -> list[str]:
    """Rows of a file: hour by hour, cleanest at noon UTC."""
    rows = []
    for n in range(hours):
        moment = start + n * HOUR
        g = 300 + 200 * math.cos(moment.hour / 12 * math.pi)
        place = f",{zone}" if zone else ""
        rows.append(f"{moment:%Y-%m-%dT%H:%M}Z{place},{g:.2f}")
    return rows


@pytest.fixture
def trace(tmp_path: Path) -> Callable[..., Path]:
    def written(*rows: str, header: str = "time,g_per_kwh") -> Path:
        file = tmp_path / "trace.csv"
        file.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
        return file

    return written


def quarter_hours(forecast: int, missing: int = 0) -> Callable[[object], Told]:
    """An hour of values up to now, and so many quarters of an hour ahead, of which some first ones
    are missing."""

    def answer(_: object) -> Told:
        now = int(time.time()) // 900 * 900
        before, after = range(now - 3600, now, 900), range(now, now + 900 * forecast, 900)
        return Told(
            200,
            {
                "license_info": "CC BY 4.0 from us",
                "unix_seconds": [*before, *after],
                "co2eq": [50.0] * len(before) + [None] * len(after),
                "co2eq_forecast": [None] * (len(before) + missing)
                + [*range(40 + missing, 40 + len(after))],
            },
        )

    return answer


# -- a file --------------------------------------------------------------------------------


def test_a_file_of_the_planned_time_is_planned_over_from_any_moment(
    find: Find, trace: Callable[..., Path]
) -> None:
    begin = TODAY - 20 * DAY + timedelta(minutes=3)
    found, said = find(begin, 30, trace(*hourly(TODAY - 21 * DAY, 24 * 5)))
    assert said == []
    assert found is not None
    assert (found.basis, found.begin, len(found.g_per_kwh)) == ("trace", begin, 360)
    assert found.hindsight
    assert any("upper bound" in note for note in found.notes)


def test_a_file_of_past_days_makes_a_typical_day(find: Find, trace: Callable[..., Path]) -> None:
    found, said = find(NOW, 30, trace(*hourly(TODAY - 30 * DAY, 24 * 20)))
    assert said == []
    assert found is not None
    assert found.basis == "typical day"
    cleanest = found.g_per_kwh.index(min(found.g_per_kwh))
    assert (NOW + cleanest * timedelta(seconds=SLOT_S)).hour == 12


def test_a_file_of_another_time_names_its_own_and_the_option_that_plans_within_it(
    find: Find, trace: Callable[..., Path]
) -> None:
    found, (why, nor) = find(NOW, 30, trace("2022-04-24T00:00Z,155", "2022-04-24T01:00Z,220"))
    assert found is None
    assert "has values from 2022-04-24 00:00 to 2022-04-24 02:00 UTC" in why
    assert why.endswith("plan from within it, --start 2022-04-24T00:00Z")
    assert "takes 7 past days" in nor


def test_of_a_file_with_many_zones_your_own_is_taken(
    find: Find, trace: Callable[..., Path]
) -> None:
    rows = [*hourly(TODAY, 30, "DE"), *hourly(TODAY, 40, "FR"), *hourly(TODAY, 30, "ES")]
    file = trace(*rows, header=ZONED)
    found, said = find(TODAY, 48, file)
    assert found is not None
    assert (found.zone, len(found.g_per_kwh), said) == ("FR", 480, [])
    found, (why,) = find(TODAY, 48, file, zone="US-CA")
    assert found is None
    assert "several zones" in why


def test_a_file_of_another_zone_alone_is_taken_and_said_to_be(
    find: Find, trace: Callable[..., Path]
) -> None:
    file = trace(*hourly(TODAY, 48, "US-CAL-CISO"), header=ZONED)
    found, said = find(TODAY, 30, file)
    assert found is not None
    assert found.zone == "US-CAL-CISO"
    assert said == ["the file is of US-CAL-CISO, your own zone is FR"]


def test_the_tours_file_is_planned_over(find: Find) -> None:
    file = Path(__file__).parents[1] / "binder" / "california.csv"
    begin = datetime(2022, 4, 25, 1, tzinfo=UTC)
    found, _ = find(begin, 30, file)
    assert found is not None
    assert (found.zone, len(found.g_per_kwh), found.hindsight) == ("US-CAL-CISO", 360, True)


def test_a_file_that_cannot_be_read_is_a_line_and_no_error(find: Find, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)) * 40)
    for name, why in (
        ("nowhere.csv", "nowhere.csv cannot be read"),
        (".", "cannot be read (it is no file)"),
        ("empty.csv", "empty.csv has no column of times"),
        ("binary.csv", "binary.csv is no UTF-8 text"),
    ):
        found, (said,) = find(NOW, 30, tmp_path / name)
        assert found is None
        assert why in said


# -- a provider ----------------------------------------------------------------------------


def test_a_providers_forecast_is_asked_for_and_planned_over(find: Find) -> None:
    with Service(quarter_hours(96)).running() as service:
        chosen = {"provider": "energy_charts", "provider_url": service.url}
        found, said = find(datetime.now(UTC), 30, **chosen)
    assert said == []
    assert found is not None
    assert (found.basis, found.hindsight, found.kind) == ("forecast", False, "average")
    assert 280 <= len(found.g_per_kwh) <= 288
    assert found.g_per_kwh[0] == pytest.approx(40, abs=1)
    assert "assumed" in found.error_source


def test_a_forecast_that_ends_soon_is_planned_over_as_far_as_it_goes(find: Find) -> None:
    with Service(quarter_hours(4)).running() as service:
        chosen = {"provider": "energy_charts", "provider_url": service.url}
        found, (said,) = find(datetime.now(UTC), 30, **chosen)
    assert found is not None
    assert 9 <= len(found.g_per_kwh) <= 12
    assert "the forecast of Energy-Charts ends at" in said


def test_the_last_value_is_held_until_the_forecast_begins_two_steps_at_most(
    find: Find, tmp_path: Path
) -> None:
    for missing in (1, 2, 3):
        with Service(quarter_hours(96, missing)).running() as service:
            chosen = {"provider": "energy_charts", "provider_url": service.url}
            found, _ = find(datetime.now(UTC), 30, cache=str(tmp_path / str(missing)), **chosen)
        assert found is not None
        assert math.isnan(found.g_per_kwh[0]) is (missing == 3)
        if missing < 3:
            assert found.g_per_kwh[0] == pytest.approx(50, abs=9)


def test_a_forecast_for_later_is_no_old_one(find: Find) -> None:
    with Service(quarter_hours(192)).running() as service:
        chosen = {"provider": "energy_charts", "provider_url": service.url}
        found, said = find(datetime.now(UTC) + 9 * HOUR, 30, **chosen)
    assert found is not None
    assert (len(found.g_per_kwh), said) == (360, [])


def test_a_provider_that_is_down_is_a_line_with_another_one_to_choose(find: Find) -> None:
    with Service(lambda _: Told(503)).running() as service:
        chosen = {"provider": "eco2mix", "provider_url": service.url}
        found, said = find(datetime.now(UTC), 30, **chosen)
    assert found is None
    assert "503" in said[0] or "not" in said[0]
    assert 'Energy.provider = "energy_charts"' in said[-1]
    assert 'Energy.csv_trace = "FILE.csv"' in said[-1]


def test_the_only_service_for_a_place_is_not_denied_to_have_a_forecast_where_it_is_down(
    find: Find,
) -> None:
    with Service(lambda _: Told(500)).running() as service:
        chosen = {"provider": "energy_charts", "provider_url": service.url}
        found, said = find(datetime.now(UTC), 30, **chosen)
    assert found is None
    assert said[-1].startswith("without it no start is planned: try again later, as no other")
    assert "no service without a key" not in said[-1]


def test_a_trace_that_is_not_named_is_told_in_words_that_hold_together(find: Find) -> None:
    found, said = find(provider="csv_trace")
    assert found is None
    assert re.fullmatch("no file is named since [0-9:]{5} UTC: set Energy.csv_trace", said[0])


def keep(folder: Path, days: int, quality: Quality = "measured") -> None:
    """What eco2mix told of France in so many past days, as this machine keeps it."""
    first = NOW.replace(minute=0, second=0, microsecond=0) - days * DAY
    held = tuple(
        Interval(start, start + HOUR, 30 + 20 * math.cos(start.hour / 12 * math.pi), quality, NOW)
        for start in (first + n * HOUR for n in range(24 * days))
    )
    known = Signal(
        "FR", "France", "average", "consumption", "direct", 900.0, "eCO2mix (RTE), a licence",
        "", NOW, held,
    )  # fmt: skip
    folder.mkdir()
    Cache(folder, "eco2mix").write("FR", to_text(Known(known, datetime.now(UTC), NOW)))


def test_where_a_provider_has_no_forecast_its_kept_values_make_a_typical_day(
    find: Find, tmp_path: Path
) -> None:
    keep(tmp_path / "cache", 13)
    found, said = find(NOW, 30, provider="eco2mix")
    assert found is not None
    assert (found.basis, found.scope) == ("typical day", "direct")
    assert said == ["eCO2mix tells no forecast for France"]
    assert len(found.rehearsals) >= 10


def test_where_too_little_is_kept_for_that_a_provider_with_a_forecast_is_named(
    find: Find, tmp_path: Path
) -> None:
    keep(tmp_path / "cache", 3)
    found, (lacks, short) = find(NOW, 30, provider="eco2mix")
    assert found is None
    assert 'no forecast for France: %config Energy.provider = "energy_charts"' in lacks
    assert "a typical day takes 7 past days with values" in short


def test_an_old_forecast_of_a_provider_that_is_down_is_planned_over_and_said_to_be_old(
    find: Find, tmp_path: Path
) -> None:
    made = NOW - 5 * HOUR
    held = tuple(
        Interval(start, start + HOUR, 40.0, "forecast", made)
        for start in (made + n * HOUR for n in range(40))
    )
    known = Signal(
        "fr", "France", "average", "production", "lifecycle", 900.0, "Energy-Charts (a licence)",
        "", made, held,
    )  # fmt: skip
    with Service(lambda _: Told(503)).running() as service:
        folder = tmp_path / "cache"
        folder.mkdir()
        Cache(folder, "energy_charts", service.url).write("fr", to_text(Known(known, made, made)))
        found, (down, old) = find(NOW, 30, provider="energy_charts", provider_url=service.url)
    assert found is not None
    assert (found.basis, len(found.g_per_kwh)) == ("forecast", 360)
    assert "503" in down
    assert old.startswith(f"the forecast of Energy-Charts is of {made:%Y-%m-%d %H:%M} UTC")


# -- none ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "named"),
    [
        ("GB", '"uk_grid"'),
        ("FR", '"energy_charts"'),
        ("EM:DE", '"energy_charts"'),
        ("aws:eu-west-3", '"energy_charts"'),
        ("US-CA", None),
        ("WORLD", None),
    ],
)
def test_without_a_provider_the_one_without_a_key_for_this_place_is_named(
    find: Find, zone: str, named: str | None
) -> None:
    found, (said,) = find(zone=zone)
    assert found is None
    assert said.startswith("no provider of carbon intensity is chosen")
    assert 'Energy.csv_trace = "FILE.csv"' in said  # as a run that is held can be told of one
    assert "--trace" not in said
    assert (f"Energy.provider = {named}" in said) if named else ("Energy.provider" not in said)


def test_a_provider_that_cannot_be_is_told_of(find: Find) -> None:
    found, said = find(provider="csv_trace", csv_trace="/nowhere/grid.csv")
    assert found is None
    assert "grid.csv cannot be read" in said[0]


@pytest.mark.slow
@pytest.mark.parametrize("ago", [0, 300])
def test_a_file_as_provider_is_planned_over_as_the_same_file_given_to_the_plan(
    find: Find, trace: Callable[..., Path], ago: int
) -> None:
    # More rows than are read at once, and over ten days more ahead than are looked at while cells
    # run.
    first = TODAY - 500 * DAY
    rows = (first + n * timedelta(minutes=5) for n in range(288 * 516))
    file = trace(*(f"{m:%Y-%m-%dT%H:%MZ},{200 + m.hour + m.day}" for m in rows))
    begin, hours = NOW - ago * DAY, 24.0 * 14
    given, no_words = find(begin, hours, file)
    found, said = find(begin, hours, provider="csv_trace", csv_trace=str(file))
    assert found is not None
    assert (found, said) == (given, no_words)
    assert len(found.g_per_kwh) == hours * 12


# -- bad input -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "row", "why"),
    [
        ("time,carbon intensity (lb/MWh)", "2026-01-01T00:00Z,900", "is not in g/kWh: convert it"),
        ("time,carbon intensity kg/MWh", "2026-01-01T00:00Z,400", "is not in g/kWh: convert it"),
        ("time,carbon-free percent", "2026-01-01T00:00Z,40", "no column of figures in g/kWh"),
        ("time,carbon intensity index %", "2026-01-01T00:00Z,4", "no column of figures in g/kWh"),
        ("time,g_per_kwh", "2026-10-25T02:30,100", "its times do not say their zone"),
        ("time,g_per_kwh", "2026-01-01T00:00Z,-5", "1 of 1 rows cannot be read"),
        ("time,g_per_kwh", "2026-01-01T00:00Z,99999", "1 of 1 rows cannot be read"),
        ("time,g_per_kwh", "2026-01-01T00:00Z,", "fewer than two values"),
        ("time,g_per_kwh", "yesterday,100", "1 of 1 rows cannot be read"),
        ("hello,world", "1,2", "no column of times"),
    ],
)
def test_a_file_that_could_be_misread_is_refused_with_what_is_wrong_with_it(
    find: Find, trace: Callable[..., Path], header: str, row: str, why: str
) -> None:
    found, (said,) = find(TODAY, 30, trace(row, header=header))
    assert found is None
    assert why in said


def test_gaps_and_rows_that_cannot_be_are_left_out_and_told(
    find: Find, trace: Callable[..., Path]
) -> None:
    rows = hourly(TODAY - 9 * DAY, 48)
    rows[5] = rows[5].replace(",", ",-")  # negative
    rows[6] = rows[6].partition(",")[0] + ","  # empty
    del rows[7]
    rows.insert(20, rows[20])  # twice the same
    rows.insert(30, rows[30].partition(",")[0] + ",1.0")  # twice, with another value
    found, said = find(TODAY - 9 * DAY, 30, trace(*rows))
    assert found is not None
    assert said == []
    missing = [n for n, value in enumerate(found.g_per_kwh) if math.isnan(value)]
    assert missing == list(range(60, 96))
    assert found.notes[0] == "no value for 3 h 00 min of that time, which is not planned over"
    why = "1 below 0, 1 with another value in a later row"
    assert f"2 of 47 rows left out: {why}" in found.source


def test_summer_time_ends_and_begins_without_a_trace_where_times_have_their_offset(
    find: Find, trace: Callable[..., Path]
) -> None:
    # Berlin, 2026-10-25: the hour from two to three comes twice; 2026-03-29: it is not there.
    for rows, begin in (
        (("T01:00+02:00", "T02:00+02:00", "T02:00+01:00", "T03:00+01:00"), "2026-10-25"),
        (("T00:00+01:00", "T01:00+01:00", "T03:00+02:00", "T04:00+02:00"), "2026-03-29"),
    ):
        file = trace(*(f"{begin}{text},{100 + n}" for n, text in enumerate(rows)))
        found, _ = find(datetime.fromisoformat(f"{begin}{rows[0]}"), 4, file)
        assert found is not None
        assert [*found.g_per_kwh] == [100.0] * 12 + [101.0] * 12 + [102.0] * 12 + [103.0] * 12
