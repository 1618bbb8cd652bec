"""What attackers and accidents send, through the same targets as the fuzzers (tests/fuzz).

The corpus is what they once found, and stays; beside it runs a seeded slice of new inputs, a whole
run's worth with JUPYTER_ENERGY_TEST_WHOLE=1. `python tests/fuzz/run.py` is the search itself.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fuzz import inputs, targets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CORPUS = Path(__file__).parent / "fuzz" / "corpus"
WHOLE = os.environ.get("JUPYTER_ENERGY_TEST_WHOLE") == "1"
HOSTILE_TEXTS = [found for found in inputs.HOSTILE if isinstance(found, str)]
every_target = pytest.mark.parametrize("name", targets.TARGETS)

pieces = st.sampled_from(HOSTILE_TEXTS) | st.text(max_size=20) | st.sampled_from(" \"'-:,{}[]\n=0")
# Text with hostile pieces in it, or anything at all.
raw = st.binary(max_size=200) | st.lists(pieces, max_size=6).map(
    lambda found: "".join(found).encode("utf-8", "surrogatepass")
)
changes = st.lists(
    st.tuples(st.integers(0, 2**16 - 1), st.integers(0, 255)), min_size=1, max_size=4
)
structured = changes.map(
    lambda found: b"\0" + b"".join(n.to_bytes(2, "big") + bytes([w]) for n, w in found)
)


@every_target
def test_what_was_once_found_does_no_harm_any_more(name: str) -> None:
    for file in sorted((CORPUS / name).glob("*")):
        targets.TARGETS[name](file.read_bytes())


@every_target
def test_no_hostile_text_is_more_than_refused_or_shown_as_text(name: str) -> None:
    for found in HOSTILE_TEXTS:
        targets.TARGETS[name](found.encode("utf-8", "surrogatepass"))
        targets.TARGETS[name](f'"{found}"'.encode("utf-8", "surrogatepass"))


@every_target
@settings(
    max_examples=5000 if WHOLE else 60,
    derandomize=not WHOLE,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(data=st.data())
def test_whatever_comes_in_leaves_harmless(name: str, data: st.DataObject) -> None:
    target = targets.TARGETS[name]
    target(data.draw(structured | raw if name in targets.STRUCTURED else raw))
