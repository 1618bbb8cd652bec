"""A journal gives back exactly the whole lines that were written, wherever it was cut."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jupyter_energy.journal import KINDS, LONGEST_LINE_BYTES, Entry, Journal, entries

names = st.text(max_size=8)  # lone surrogates too: a key may be anything that JSON can hold
found_entries = st.builds(
    Entry,
    st.sampled_from(sorted(KINDS)),
    st.text(st.characters(max_codepoint=126, exclude_characters="\n\r"), max_size=40),
    names,
    st.none() | names,
    names,
)
many_entries = st.lists(found_entries, max_size=5)
garbage = st.binary(max_size=30).map(lambda some: some.replace(b"\n", b" ") + b"\n")


@pytest.fixture
def journal(tmp_path: Path):
    journal = Journal(tmp_path / "of/one.journal")
    journal.open()
    yield journal
    journal.close()


def read(path: Path, offset: int = 0) -> list[Entry]:
    return [entry for entry, _ in entries(path, offset)]


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@given(many_entries)
def test_what_was_appended_is_read_in_order(made: list[Entry]) -> None:
    with TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "one.journal")
        journal.open()
        for entry in made:
            journal.append(entry)
        journal.close()
        assert read(journal.path) == made
        assert journal.size_bytes == journal.path.stat().st_size


@given(many_entries, st.data())
def test_cut_at_any_byte_it_gives_exactly_the_whole_lines(
    made: list[Entry], data: st.DataObject
) -> None:
    lines = [entry.line() for entry in made]
    content = b"".join(lines)
    cut = data.draw(st.integers(0, len(content)))
    ends = [sum(map(len, lines[: n + 1])) for n in range(len(lines))]
    with TemporaryDirectory() as folder:
        path = written(Path(folder) / "one.journal", content[:cut])
        found = list(entries(path))
        whole = sum(end <= cut for end in ends)
        assert [entry for entry, _ in found] == made[:whole]
        assert [end for _, end in found] == ends[:whole]
        # What comes later is read from where one was.
        path.write_bytes(content)
        assert read(path, ends[whole - 1] if whole else 0) == made[whole:]


@given(many_entries, garbage, st.data())
@example([Entry("record", "{}"), Entry("record", "{}")], b"00000000 \n", None)
def test_a_line_that_is_not_ours_is_passed_over(
    made: list[Entry], line: bytes, data: st.DataObject | None
) -> None:
    at = 1 if data is None else data.draw(st.integers(0, len(made)))
    lines = [entry.line() for entry in made]
    content = b"".join([*lines[:at], line, *lines[at:]])
    with TemporaryDirectory() as folder:
        assert read(written(Path(folder) / "one.journal", content)) == made


@given(found_entries, st.data())
def test_a_line_with_any_byte_changed_is_passed_over(entry: Entry, data: st.DataObject) -> None:
    line = bytearray(entry.line())
    at = data.draw(st.integers(0, len(line) - 2))
    line[at] ^= 1 << data.draw(st.integers(0, 7))
    with TemporaryDirectory() as folder:
        path = written(Path(folder) / "one.journal", bytes(line))
        # A checksum's letters may be of either case: they say the same.
        assert read(path) in ([], [entry])
        assert read(path) == [] or bytes(line).lower() == entry.line().lower()


def test_what_follows_a_write_that_was_cut_short_is_read(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / "one.journal"
    child = os.fork()
    if child == 0:
        status = 1
        try:
            journal = Journal(path)
            journal.open()
            journal.append(Entry("record", "1"))
            _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (journal.size_bytes + 7, most))
            for _ in range(2):  # the first is cut short, and no byte of the second is taken
                with pytest.raises(OSError):  # noqa: PT011  ENOSPC of ours, EFBIG of the system
                    journal.append(Entry("record", "2"))
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
            journal.append(Entry("record", "3"))
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert [entry.document for entry in read(path)] == ["1", "3"]


def test_a_line_of_20_mb_is_passed_over_in_parts(journal: Journal) -> None:
    journal.append(Entry("record", "1"))
    with journal.path.open("ab") as file:
        file.write(b"x" * 20_000_000 + b"\n")
    journal.append(Entry("record", "2"))
    assert [entry.document for entry in read(journal.path)] == ["1", "2"]


def test_an_entry_that_nobody_would_read_is_not_taken(journal: Journal) -> None:
    with pytest.raises(OSError, match="too long"):
        journal.append(Entry("record", "x" * LONGEST_LINE_BYTES))
    journal.append(Entry("record", "1"))
    assert [entry.document for entry in read(journal.path)] == ["1"]


def test_only_its_owner_may_read_it(journal: Journal) -> None:
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (journal.path, journal.path.parent)]
    assert modes == [0o600, 0o700]


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    real = written(tmp_path / "real", Entry("record", "1").line())
    (tmp_path / "link.journal").symlink_to(real)
    (tmp_path / "endless.journal").symlink_to("/dev/zero")
    (tmp_path / "folder.journal").mkdir()
    os.mkfifo(tmp_path / "pipe.journal")
    for path in sorted(tmp_path.glob("*.journal")):
        with pytest.raises(OSError):  # noqa: PT011  ELOOP, EISDIR, EINVAL
            read(path)


def test_a_deleted_journal_takes_nothing(journal: Journal) -> None:
    journal.path.unlink()
    with pytest.raises(FileNotFoundError):
        journal.append(Entry("record", "1"))


def test_a_forked_child_neither_writes_nor_deletes_its_parents_journal(journal: Journal) -> None:
    journal.append(Entry("record", "1"))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with pytest.raises(OSError, match="forked"):
                journal.append(Entry("record", "2"))
            journal.remove()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    journal.append(Entry("record", "3"))
    assert [entry.document for entry in read(journal.path)] == ["1", "3"]
