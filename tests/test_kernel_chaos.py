"""Kernels that are killed in a cell, at a reply or in the middle of a write lose nothing that was
finished: a seeded slice of `tests/chaos/run.py kills`."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos.kills import Kills
from conftest import SEED, WHOLE


@pytest.mark.slow
def test_what_killed_kernels_have_finished_is_there_once_and_the_rest_is_lost(
    python: str, tmp_path: Path
) -> None:
    told = Kills(tmp_path, python, int(SEED)).run(40 if WHOLE else 4)
    assert told.wrong == []
    assert told.counts["finished"] > 0
