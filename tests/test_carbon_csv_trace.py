"""A file of the user's as a signal: what is recognised, what is left out, what is refused."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standins.carbon_services import feed_of

from jupyter_energy.carbon import provider
from jupyter_energy.carbon.answers import MOST_INTERVALS
from jupyter_energy.carbon.base import Query, Signal
from jupyter_energy.carbon.csv_trace import file_reader
from jupyter_energy.carbon.feed import Feed
from jupyter_energy.config import Energy
from jupyter_energy.errors import ProviderError

NOW = datetime(2026, 11, 23, 12, 5, tzinfo=UTC)
START = datetime(2026, 1, 1, tzinfo=UTC)
# The columns of a download from electricitymaps.com/datasets; the figures are ours.
DOWNLOAD = """\
Datetime (UTC),Country,Zone name,Zone id,Carbon intensity gCO₂eq/kWh (direct),\
Carbon intensity gCO₂eq/kWh (Life cycle),Carbon-free energy percentage (CFE%),\
Renewable energy percentage (RE%),Data source,Data estimated,Data estimation method
2026-01-01 00:00:00,France,France,FR,11.5,31.25,95.1,30.2,rte.fr,false,
2026-01-01 01:00:00,France,France,FR,12.5,32.25,95.0,30.1,rte.fr,true,TIME_SLICER_AVERAGE
2026-01-01 03:00:00,France,France,FR,13.5,33.25,95.0,30.1,rte.fr,false,
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "trace.csv"


def read(file: Path, text: str | bytes, region: str = "") -> Signal:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    query = Query(region, NOW - timedelta(days=1), NOW, NOW, {})
    return provider("csv_trace").fetch(query, file_reader(str(file)))


def why(file: Path, text: str | bytes, region: str = "") -> str:
    with pytest.raises(ProviderError) as raised:
        read(file, text, region)
    return str(raised.value)


def values(signal: Signal) -> list[tuple[float, float]]:
    """Hours since the start, and g/kWh."""
    return [((i.start - START) / timedelta(hours=1), i.g_per_kwh) for i in signal.intervals]


def test_a_download_of_electricity_maps_is_read_with_its_zone_and_the_life_cycles_column(
    file: Path,
) -> None:
    signal = read(file, DOWNLOAD)
    assert values(signal) == [(0, 31.25), (1, 32.25), (3, 33.25)]
    assert [i.quality for i in signal.intervals] == ["measured", "estimated", "measured"]
    # The gap from two to three stays one.
    assert [i.end - i.start for i in signal.intervals] == [timedelta(hours=1)] * 3
    assert (signal.zone, signal.place, signal.step_s) == ("FR", "France", 3600)
    assert (signal.kind, signal.boundary, signal.scope) == ("average", "consumption", "lifecycle")
    assert signal.source == "Electricity Maps, trace.csv"


def test_where_a_download_has_the_direct_column_alone_it_is_called_direct(file: Path) -> None:
    rows = [line.split(",") for line in DOWNLOAD.splitlines()]
    signal = read(file, "\n".join(",".join(row[:5] + row[6:]) for row in rows))
    assert values(signal)[0] == (0, 11.5)
    assert signal.scope == "direct"
    assert "taken as" not in signal.source


def test_an_older_download_names_its_columns_another_way(file: Path) -> None:
    text = DOWNLOAD.replace("(Life cycle)", "(LCA)").replace("Carbon intensity", "Carbon Intensity")
    assert values(read(file, text.replace("Zone id", "Zone Id")))[0] == (0, 31.25)


def test_of_a_file_with_several_zones_one_must_be_named(file: Path) -> None:
    both = DOWNLOAD + "2026-01-01 00:00:00,Germany,Germany,DE,300,340,50,50,x,false,\n"
    assert "several zones" in why(file, both)
    assert "fewer than two values" in why(file, both, "de")
    assert [g for _, g in values(read(file, both, "FR"))] == [31.25, 32.25, 33.25]


@pytest.mark.parametrize(
    "text",
    [
        "time (UTC),g_per_kwh\n2026-01-01 00:00,100\n2026-01-01 01:00,200\n",
        "datetime_utc,g per kWh\n2026-01-01 00:00,100\n2026-01-01 01:00,200\n",
        "Datetime (UTC) - start,gCO₂eq/kWh\n2026-01-01 00:00,100\n2026-01-01 01:00,200\n",
        "timestamp,intensity g/kWh\n2026-01-01T00:00:00Z,100\n2026-01-01T01:00:00Z,200\n",
        "datetime;gCO2/kWh\n2026-01-01T00:00+00:00;100,0\n2026-01-01T02:00+01:00;200,0\n",
        "start\tintensity g/kWh\n1767225600\t100\n1767229200\t200\n",
        "\ufefftime (UTC),g_per_kwh\r\n2026-01-01 00:00,100\r\n\r\n2026-01-01 01:00,200\r\n",
        "g_per_kwh,time (UTC)\n200,2026-01-01 01:00\n100,2026-01-01 00:00\n",
        "time (UTC),g_per_kwh\n2026-01-01 00:00,100\n2026-01-01 00:00,100\n2026-01-01 01:00,200\n",
    ],
)
def test_times_and_figures_are_found_by_the_names_of_their_columns(file: Path, text: str) -> None:
    signal = read(file, text)
    assert values(signal) == [(0, 100), (1, 200)]
    assert signal.step_s == 3600
    # No column said what the figures mean, and so the line does.
    said = "taken as average, lifecycle, consumption based: its column does not say"
    assert signal.source == f"trace.csv ({said})"


@pytest.mark.parametrize(
    ("column", "means", "said"),
    [
        ("moer g/kWh", "marginal, production, direct", ""),
        ("marginal_direct_g_per_kwh", "marginal, consumption, direct", "consumption based"),
        (
            "marginal gCO2/kWh, production",
            "marginal, production, lifecycle",
            "lifecycle",
        ),
        (
            "indirect and direct, g/kWh (LCA), consumption",
            "average, consumption, lifecycle",
            "",
        ),
        (
            "g/kWh, indirect",
            "average, consumption, lifecycle",
            "average, lifecycle, consumption based",
        ),
        (
            "carbon_intensity",
            "average, consumption, lifecycle",
            "g/kWh, average, lifecycle, consumption based",
        ),
        (
            "direct carbon intensity",
            "average, consumption, direct",
            "g/kWh, consumption based",
        ),
        # natio-nalCa-rbon is no LCA.
        (
            "directNationalCarbon g/kWh",
            "average, consumption, direct",
            "consumption based",
        ),
        (
            "nationalCarbonIntensity_g_per_kwh",
            "average, consumption, lifecycle",
            "average, lifecycle, consumption based",
        ),
        (
            "lca_g_per_kwh",
            "average, consumption, lifecycle",
            "consumption based",
        ),
    ],
)
def test_what_a_column_does_not_say_of_its_figures_the_line_does(
    file: Path, column: str, means: str, said: str
) -> None:
    signal = read(file, f'time (UTC),"{column}"\n2026-01-01 00:00,100\n2026-01-01 00:05,200\n')
    assert ", ".join((signal.kind, signal.boundary, signal.scope)) == means
    assert signal.step_s == 300
    told = f" (taken as {said}: its column does not say)" if said else ""
    assert signal.source == f"trace.csv{told}"


def test_a_column_of_forecasts_holds_forecasts(file: Path) -> None:
    text = "time (UTC),direct forecast (g/kWh)\n2026-01-01 00:00,100\n2026-01-01 01:00,200\n"
    assert {i.quality for i in read(file, text).intervals} == {"forecast"}


def hours(*figures: str) -> str:
    rows = [f"2026-01-01 {hour:02}:00,{figure}" for hour, figure in enumerate(figures)]
    return "\n".join(["time (UTC),g_per_kwh (direct by consumption)", *rows])


def test_a_row_without_a_figure_is_a_gap_and_one_that_cannot_be_is_counted(file: Path) -> None:
    signal = read(file, hours("100", "", "-5", "abc", "9000", "nan", "200", "300", "400", "500"))
    assert values(signal) == [(0, 100), (6, 200), (7, 300), (8, 400), (9, 500)]
    why = "2 without a number, 1 below 0, 1 above 3000 g/kWh"
    assert signal.source == f"trace.csv (4 of 9 rows left out: {why})"


def test_of_two_figures_for_one_moment_the_later_counts_and_the_line_says_so(file: Path) -> None:
    text = hours("100", "200", "300") + "\n2026-01-01 01:00,250\n"
    signal = read(file, text)
    assert values(signal) == [(0, 100), (1, 250), (2, 300)]
    assert signal.source.endswith("(1 of 4 rows left out: 1 with another value in a later row)")


def test_a_file_that_seems_to_be_in_kilograms_is_read_and_doubted(file: Path) -> None:
    text = "time (UTC),g_per_kwh lifecycle\n2026-01-01 00:00,0.1\n2026-01-01 01:00,0.5\n"
    doubt = "figures of 0.1 to 0.5 g/kWh are of no grid: are they kg/kWh?"
    assert doubt in read(file, text).source
    # What leaves the stacks of a grid of hydropower may be next to nothing.
    assert doubt not in read(file, text.replace("lifecycle", "direct")).source
    assert "no grid" not in read(file, text.replace("0.5", "5")).source


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no column of times"),
        ("a,b\n1,2\n", "no column of times"),
        ("time (UTC),price\n2026-01-01,3\n", "no column of figures in g/kWh"),
        ("time (UTC),intensity lbs/MWh\n2026-01-01,3\n", "not in g/kWh"),
        *(
            (f"time (UTC),intensity {unit}\n2026-01-01,3\n", "not in g/kWh")
            for unit in (
                *("kg/kWh", "mg/kWh", "(mgCO2/kWh)", "gCO2/MJ", "g/MWh", "g per MWh", "t/GWh"),
                *("g_per_mj", "g/Wh", "lb/kWh", "kgCO2eq/kWh"),
            )
        ),
        ("time (UTC),MOER\n2026-01-01 00:00,900\n2026-01-01 00:05,910\n", "lb/MWh"),
        *(
            (f"time ({zone}),g_per_kwh\n2026-01-01 00:00,3\n2026-01-01 01:00,3\n", "do not say")
            for zone in ("UTC+1", "UTC+01:00", "UTC -5", "UTC\u22125", "utc_offset", "CET")
        ),
        ("date,g/kWh\n20260131,300\n20260201,310\n", "2 of 2 rows cannot be read"),
        ("time (UTC),a g/kWh,b g/kWh\n2026-01-01,3,4\n", "2 columns of figures"),
        ("time,g_per_kwh\n2026-01-01 00:00,3\n2026-01-01 01:00,3\n", "do not say their zone"),
        ("time (UTC),g_per_kwh\n2026-01-01 00:00,3\n", "fewer than two values"),
        (hours("x", "y", "z", "100", "200"), "3 of 5 rows cannot be read: 3 without a number"),
        (b"time (UTC),g_per_kwh\n\xff\xfe\n", "no UTF-8 text: save it as CSV in UTF-8"),
        ('time (UTC),g_per_kwh\n"' + "x" * 200_000, "no CSV"),
    ],
)
def test_a_file_that_is_none_is_refused_with_what_is_wrong(
    file: Path, text: str | bytes, says: str
) -> None:
    assert says in why(file, text)


@pytest.mark.parametrize(
    "column",
    [
        *("lbs/MWh", "kg_per_kwh", "kg CO2/kWh", "lb_co2_per_mwh", "tCO2/MWh", "g/MWh", "co2_g/MJ"),
        *("kgco2e per kwh", "emissions (tonnes/GWh)", "pounds CO2 per MWh"),
    ],
)
def test_a_column_in_another_unit_is_to_be_converted_and_never_to_be_renamed(
    file: Path, column: str
) -> None:
    said = why(file, f"time (UTC),{column}\n2026-01-01 00:00,3\n2026-01-01 01:00,4\n")
    assert said == f"trace.csv: {column.casefold()!r} is not in g/kWh: convert it"


@pytest.mark.parametrize("column", ["EUR/MWh", "price per kWh", "cost/kWh", "load MW", "g_kwh"])
def test_of_a_column_that_is_no_mass_it_is_not_said_that_it_can_be_converted(
    file: Path, column: str
) -> None:
    said = why(file, f"time (UTC),{column}\n2026-01-01 00:00,3\n2026-01-01 01:00,4\n")
    assert "has no column of figures in g/kWh" in said


def test_figures_that_are_all_0_are_doubted_and_not_taken_for_kilograms(file: Path) -> None:
    text = "time (UTC),g_per_kwh lifecycle\n2026-01-01 00:00,0\n2026-01-01 01:00,0\n"
    source = read(file, text).source
    assert "all its figures are 0, which are of no grid" in source
    assert "kg" not in source.replace("g/kWh", "")


def rows(number: int, text: str = "") -> str:
    """Minutes in UTC since 2026, one figure each."""
    first = int(START.timestamp())
    made = [f"{first + 60 * n},100{text}" for n in range(number)]
    return "\n".join(["time,g_per_kwh,zone id", *made])


def test_a_file_with_too_many_rows_is_refused_after_those_that_a_year_has(file: Path) -> None:
    # What comes long behind is not read: it is no text.
    said = why(file, rows(MOST_INTERVALS + 1000, ",FR").encode() + b"\n\xff")
    assert f"holds too many rows: {MOST_INTERVALS} are read at once" in said


def test_a_file_that_has_not_changed_is_not_read_anew(file: Path) -> None:
    made, get = provider("csv_trace"), file_reader(str(file))

    def told(region: str = "FR") -> Signal:
        return made.fetch(Query(region, NOW - timedelta(days=1), NOW, NOW, {}), get)

    file.write_text(DOWNLOAD)
    first = told()
    at = file.stat().st_mtime_ns
    # As long as before, and written at the same moment: whoever looked inside would see it.
    file.write_text(DOWNLOAD.replace("31.25", "99.25"))
    os.utime(file, ns=(at, at))
    assert told().intervals == first.intervals
    os.utime(file, ns=(at, at + 10**9))
    assert told().intervals[0].g_per_kwh == 99.25
    with pytest.raises(ProviderError, match="no rows of 'DE'"):
        told("DE")
    file.unlink()
    with pytest.raises(ProviderError, match="cannot be read"):
        told()


def test_a_file_that_is_not_there_is_told(file: Path) -> None:
    with pytest.raises(ProviderError, match=r"trace\.csv cannot be read"):
        file_reader(str(file))("", {})
    with pytest.raises(ProviderError, match="no file is named"):
        file_reader("")("", {})


@given(st.text(max_size=200))
def test_no_text_does_harm(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.csv"
    for head in ("", "time (UTC),g_per_kwh\n2026-01-01,1\n"):
        try:
            signal = read(file, (head + text).encode(errors="replace"))
        except ProviderError:
            continue
        assert all(i.start < i.end and 0 <= i.g_per_kwh <= 3000 for i in signal.intervals)


def test_a_row_that_the_user_takes_out_of_the_file_counts_no_more(file: Path) -> None:
    now = [NOW]
    feed = Feed(
        provider("csv_trace"), file_reader(str(file)), place=lambda _: "FR", now=lambda: now[0]
    )
    at_one = START + timedelta(hours=1)
    for text, is_known in ((DOWNLOAD, True), (DOWNLOAD.replace(" 01:00", " 02:00"), False)):
        file.write_text(text)
        feed.refresh("FR")
        assert (feed.between("FR", at_one, at_one)[0] is not None) == is_known
        now[0] += timedelta(hours=2)


def test_a_file_is_of_the_users_own_place_and_of_no_other(file: Path) -> None:
    file.write_text(DOWNLOAD)
    said = {"ZONE": "FR", "PROVIDER": "csv_trace", "CSV_TRACE": str(file)}
    settings = Energy(environ={f"JUPYTER_ENERGY_{name}": value for name, value in said.items()})
    feed = feed_of(settings)
    assert feed is not None
    feed.refresh("FR")
    signal, _ = feed.between("FR", START, START + timedelta(minutes=1))
    assert signal is not None
    assert signal.intervals[0].g_per_kwh == 31.25
    none, said_why = feed.between("DE", START, START + timedelta(minutes=1))
    assert none is None
    assert said_why == "the file of Energy.csv_trace is not of DE, but of your own zone"
    # What the file does not reach is not known, and not the last value of the year.
    assert feed.between("FR", NOW, NOW)[0] is None


@pytest.mark.parametrize(
    ("zone", "ids", "chosen", "g_per_kwh"),
    [
        ("FR", "FR", "", 31.25),
        ("EM:FR", "FR", "", 31.25),
        ("aws:eu-west-3", "FR", "", 31.25),
        ("FR", "DE", "", None),
        ("EM:DK-DK1", "DK-DK2", "", None),
        # Of a state, or where nothing is set, nobody but the user can tell which file is right.
        ("US-CA", "US-CAL-CISO", "", None),
        ("US-CA", "US-CAL-CISO", "US-CAL-CISO", 31.25),
        ("WORLD", "FR", "", None),
        ("WORLD", "FR", "FR", 31.25),
    ],
)
def test_a_file_that_names_another_place_is_refused_and_says_what_makes_it_count(
    file: Path, zone: str, ids: str, chosen: str, g_per_kwh: float | None
) -> None:
    file.write_text(DOWNLOAD.replace(",FR,", f",{ids},"))
    said = {"ZONE": zone, "PROVIDER": "csv_trace", "CSV_TRACE": str(file), "PROVIDER_ZONE": chosen}
    settings = Energy(environ={f"JUPYTER_ENERGY_{name}": value for name, value in said.items()})
    assert settings.complaints == []
    feed = feed_of(settings)
    assert feed is not None
    feed.refresh(zone)
    signal, why_not = feed.between(zone, START, START + timedelta(minutes=1))
    assert (signal and signal.intervals[0].g_per_kwh) == g_per_kwh
    if g_per_kwh is None:
        assert f"but of '{ids}'" in str(why_not)
        trouble = feed.known(zone).trouble
        assert trouble is not None
        assert trouble.remedy == f"if '{ids}' is your place, set Energy.provider_zone to it"


def test_a_file_that_names_no_place_is_of_the_place_that_is_set(file: Path) -> None:
    file.write_text(hours("100", "200"))
    said = {"ZONE": "WORLD", "PROVIDER": "csv_trace", "CSV_TRACE": str(file)}
    feed = feed_of(Energy(environ={f"JUPYTER_ENERGY_{k}": v for k, v in said.items()}))
    assert feed is not None
    feed.refresh("WORLD")
    assert feed.between("WORLD", START, START + timedelta(minutes=1))[0] is not None
