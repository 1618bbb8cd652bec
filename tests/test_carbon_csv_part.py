"""The rows of a large file that a plan needs: found by halving, the same as all rows would give."""

from __future__ import annotations

import os
import timeit
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jupyter_energy.carbon.base import Query, Reply, Signal
from jupyter_energy.carbon.csv_part import EVER, LARGE_BYTES, part_reader
from jupyter_energy.carbon.csv_trace import CsvTrace
from jupyter_energy.carbon.feed import Feed
from jupyter_energy.errors import ProviderError

FIRST = datetime(2024, 3, 1, tzinfo=UTC)
STEP = timedelta(minutes=1)
ROWS = 125_000  # more than are read of a file at once
LAST = FIRST + (ROWS - 1) * STEP


def row(number: int) -> str:
    """Every hundredth row is one that cannot be read, every thousandth has no value."""
    if number % 100 == 7:
        return "---,maintenance"
    value = "" if number % 1000 == 11 else f"{100 + number % 500}"
    return f"{FIRST + number * STEP:%Y-%m-%dT%H:%M:%SZ},{value}"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("traces") / "large.csv"
    file.write_text("time,g_per_kwh\n" + "\n".join(map(row, range(ROWS))), encoding="utf-8")
    assert file.stat().st_size > LARGE_BYTES
    return file


def read(file: Path, begin: datetime, end: datetime) -> Signal:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return CsvTrace().fetch(Query("", begin, now, end, {}), part_reader(str(file)))


@pytest.mark.parametrize(("where", "minutes"), [(-0.01, 2000), (0.4, 1), (0.999, 3000)])
def test_all_rows_of_the_planned_time_are_there_wherever_it_lies(
    large: Path, where: float, minutes: int
) -> None:
    begin = FIRST + where * (LAST - FIRST)
    end = begin + timedelta(minutes=minutes)
    found = {i.start: i.g_per_kwh for i in read(large, begin, end).intervals}
    expected = {
        FIRST + number * STEP: 100 + number % 500
        for number in range(ROWS)
        if number % 100 != 7
        if number % 1000 != 11
        if begin - STEP < FIRST + number * STEP < end
    }
    assert expected
    assert expected.items() <= found.items()


def test_the_month_before_is_there_too_for_a_typical_day(large: Path) -> None:
    intervals = read(large, LAST + 9 * STEP, LAST + 99 * STEP).intervals
    assert intervals[-1].start == LAST
    assert LAST - intervals[0].start >= timedelta(days=31)


def test_of_a_file_that_begins_later_is_told_from_when_to_when_it_has_values(large: Path) -> None:
    intervals = read(large, FIRST - timedelta(days=9), FIRST - timedelta(days=8)).intervals
    assert (intervals[0].start, intervals[-1].start) == (FIRST, LAST)


def test_a_large_file_that_is_not_in_the_order_of_time_is_refused_with_what_to_do(
    large: Path, tmp_path: Path
) -> None:
    lines = large.read_text(encoding="utf-8").splitlines()
    mixed = tmp_path / "mixed.csv"
    mixed.write_text("\n".join([lines[0], *lines[60_000:], *lines[1:60_000]]), encoding="utf-8")
    with pytest.raises(ProviderError, match="leave years or zones out"):
        read(mixed, FIRST + timedelta(days=10), FIRST + timedelta(days=11))


def test_a_large_file_without_the_zone_of_its_times_is_refused_as_a_small_one_is(
    large: Path, tmp_path: Path
) -> None:
    local = tmp_path / "local.csv"
    local.write_text(large.read_text(encoding="utf-8").replace("Z,", ","), encoding="utf-8")
    with pytest.raises(ProviderError, match="do not say their zone"):
        read(local, FIRST, LAST)


def test_a_large_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    noise = tmp_path / "noise.csv"
    noise.write_bytes(b"\x00\xff\n" * LARGE_BYTES)
    with pytest.raises(ProviderError, match="is no UTF-8 text"):
        read(noise, FIRST, LAST)


def test_rows_that_lie_an_hour_out_of_their_order_are_found_too(
    large: Path, tmp_path: Path
) -> None:
    lines = large.read_text(encoding="utf-8").splitlines()
    blocks = [lines[n : n + 60] for n in range(1, len(lines), 60)]
    for n in range(0, len(blocks) - 1, 2):
        blocks[n], blocks[n + 1] = blocks[n + 1], blocks[n]
    mixed = tmp_path / "mixed.csv"
    mixed.write_text("\n".join([lines[0], *(row for b in blocks for row in b)]), encoding="utf-8")
    for hours in (960, 961):
        begin = FIRST + timedelta(hours=hours, minutes=30)
        end = begin + timedelta(hours=20)
        wanted = {i.start for i in read(large, begin, end).intervals if begin <= i.start < end}
        found = {i.start for i in read(mixed, begin, end).intervals}
        assert len(wanted) > 1000
        assert wanted <= found


# -- as the provider's file ----------------------------------------------------------------------


def test_of_a_file_with_more_rows_than_are_read_at_once_what_is_around_now_is_known(
    large: Path,
) -> None:
    now = LAST - timedelta(days=2)
    feed = Feed(CsvTrace(), part_reader(str(large), EVER), place=lambda _: "", now=lambda: now)
    feed.refresh("FR")
    assert feed.known("FR").trouble is None
    signal, said = feed.between("FR", now, now + timedelta(minutes=20))
    assert said is None
    assert signal is not None
    number = (now - FIRST) // STEP
    assert signal.intervals[0].g_per_kwh in {100 + (number + n) % 500 for n in (-1, 0)}
    # Of far from now it is not known, and is read where it is wanted.
    begin = FIRST + timedelta(days=3)
    assert feed.between("FR", begin, begin + STEP)[0] is None
    over = feed.over("FR", begin, begin + timedelta(hours=1)).signal
    assert over == replace(read(large, begin, begin + timedelta(hours=1)), fetched=now)
    assert feed.between("FR", now, now + STEP)[0] is not None  # as before
    fastest_s = min(timeit.repeat(lambda: feed.between("FR", now, now + STEP), number=20, repeat=9))
    assert fastest_s / 20 < 200e-6


def test_of_a_file_whose_rows_can_all_be_read_at_once_nothing_measured_is_left_out(
    tmp_path: Path,
) -> None:
    file = tmp_path / "long.csv"
    step = timedelta(hours=1)
    rows = (f"{FIRST + n * step:%Y-%m-%dT%H:%M:%SZ},100{' ' * 30}" for n in range(50_000))
    file.write_text("time,g_per_kwh\n" + "\n".join(rows), encoding="utf-8")
    assert file.stat().st_size > LARGE_BYTES
    now = FIRST + 40_000 * step
    feed = Feed(CsvTrace(), part_reader(str(file), EVER), place=lambda _: "", now=lambda: now)
    feed.refresh("FR")
    signal = feed.known("FR").signal
    assert signal is not None
    assert signal.intervals[0].start == FIRST  # a run of then can be recomputed
    assert signal.intervals[-1].start > now + timedelta(days=2)


def test_a_large_file_that_has_not_changed_is_not_read_anew(large: Path) -> None:
    asked: list[int] = []
    reader = part_reader(str(large), EVER)

    def get(days: str, headers: Mapping[str, str]) -> Reply:
        reply = reader(days, headers)
        asked.append(reply.status)
        return reply

    now = [FIRST + timedelta(days=9)]
    feed = Feed(CsvTrace(), get, place=lambda _: "", now=lambda: now[0])
    begin = FIRST + timedelta(days=30)
    for _ in range(3):  # a plan between does not make the values of now be read again
        feed.refresh("FR")
        feed.over("FR", begin, begin + timedelta(days=1))
        now[0] += timedelta(hours=2)
    assert asked == [200, 200, 304, 304, 304, 304]
    at = large.stat().st_mtime_ns
    os.utime(large, ns=(at, at + 10**9))
    feed.refresh("FR")
    assert asked[-1] == 200
