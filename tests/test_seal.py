"""A sealed document comes back as it was, and a damaged one does not come back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import a_record, records

from jupyter_energy.documents import record_from_document, record_to_document, to_json
from jupyter_energy.model import Record
from jupyter_energy.seal import opened, sealed

ONE = sealed(to_json(record_to_document(a_record(name="déjà vu"))))


@given(record=records())
def test_what_was_sealed_comes_back_as_it_was(record: Record) -> None:
    document = record_to_document(record)
    assert json.loads(json.dumps(document)) == opened(sealed(to_json(document)))
    assert record_from_document(opened(sealed(to_json(document)))) == record


def test_a_sealed_document_is_json_that_a_version_of_before_reads() -> None:
    document = json.loads(ONE)
    assert {"crc32", "bytes"} < document.keys()
    assert record_from_document(document) == a_record(name="déjà vu")


def test_a_document_of_before_the_seal_is_read() -> None:
    text = to_json(record_to_document(a_record()))
    assert record_from_document(opened(text)) == a_record()


@given(at=st.integers(0, len(ONE) - 1), to=st.integers(0, 255))
def test_a_byte_that_has_changed_is_told_wherever_it_is(at: int, to: int) -> None:
    torn = bytearray(ONE.encode("ascii"))
    if torn[at] == to:
        return
    torn[at] = to
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds, and all mean the same
        opened(torn.decode("utf-8", "replace"))


@given(end=st.integers(0, len(ONE) - 1))
def test_a_document_that_was_cut_short_is_told(end: int) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds, and all mean the same
        opened(ONE[:end])


@pytest.mark.parametrize("column", [None, 3, 1.5, b"{}", ONE.encode()])
def test_a_column_that_holds_no_text_any_more_is_refused(column: object) -> None:
    with pytest.raises(ValueError, match="it is no text"):
        opened(column)


@given(text=st.text(max_size=40) | st.sampled_from(["{}", "[]", "null", sealed("{" + "[" * 99999)]))
def test_what_is_none_of_ours_is_refused_in_one_way(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds, and all mean the same
        opened(text)
