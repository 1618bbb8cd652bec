"""By a typical day, days without a pattern are hardly ever advised, and promises come true.

The series are random and published in typical_days.py, which prints the whole table.
"""

from __future__ import annotations

import pytest
from conftest import WHOLE
from typical_days import NOISE, SERIES, STRONG, WEAK, Kind, row_of

FEW = 60
# Of 5 in 100, so many may be advised by chance where no more than FEW are drawn.
MOST_BY_CHANCE, MOST_OF_FEW = 0.08, 0.12
LEAST_WITHIN, LEAST_OF_FEW = 0.84, 0.8
NEAR = 0.02


@pytest.mark.parametrize("kind", NOISE, ids=lambda kind: kind.name)
def test_days_without_a_pattern_give_advice_by_chance_alone(kind: Kind) -> None:
    row = row_of(kind, SERIES if WHOLE else FEW)
    assert row.advised <= (MOST_BY_CHANCE if WHOLE else MOST_OF_FEW)


@pytest.mark.parametrize("kind", STRONG, ids=lambda kind: kind.name)
def test_a_strong_pattern_gives_advice_and_what_it_promises_comes_true(kind: Kind) -> None:
    row = row_of(kind, SERIES if WHOLE else FEW)
    assert row.advised >= 0.95
    assert row.came_true == pytest.approx(row.promised, abs=NEAR + 1.96 * row.error)
    assert row.within >= (LEAST_WITHIN if WHOLE else LEAST_OF_FEW)


@pytest.mark.skipif(not WHOLE, reason="of few series too few are advised; tests/typical_days.py")
@pytest.mark.parametrize("kind", WEAK, ids=lambda kind: kind.name)
def test_what_a_weak_pattern_promises_is_not_far_from_what_comes_true(kind: Kind) -> None:
    row = row_of(kind, SERIES)
    assert row.came_true == pytest.approx(row.promised, abs=NEAR + 1.96 * row.error)
