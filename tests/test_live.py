"""When messages to the page are due, and what the channel does with what it hears."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standins.sensors import LIMIT_S, Clock

from jupyter_energy.config import Energy
from jupyter_energy.identity import NotebookRef
from jupyter_energy.live import AGAIN_S, ANSWERS_S, BURST, FIRST_S, QUIET_S, Comm, Live, Pace
from jupyter_energy.live_message import COMM_ID
from jupyter_energy.monitor import Monitor
from jupyter_energy.open_window import Options
from jupyter_energy.pages import Pages

HOUR_S = 3600.0
# jupyter_server passes on at most 1000 messages/s over 3 s when a page is back.
REPLAY_LIMIT = 3000


class Script:
    """Runs a pace through cells as the channel's thread would, and notes what it sends when."""

    def __init__(self) -> None:
        self.pace = Pace()
        self.now_s = 50.0
        self.sent: list[tuple[float, str]] = []

    def pass_time(self, seconds: float) -> None:
        """Let time pass; messages that fall due are sent when they do."""
        until_s = self.now_s + seconds
        while (due_s := self.pace.due_s(self.now_s)) is not None and due_s <= until_s:
            self.now_s = max(self.now_s, due_s)
            self.sent.append((self.now_s, "running" if self.pace.running else "idle"))
            self.pace.sent(self.now_s)
        self.now_s = until_s

    def cell(self, duration_s: float) -> None:
        """A cell that runs so long."""
        self.pace.begin(self.now_s)
        self.pass_time(duration_s)
        self.pace.end(self.now_s)


cells = st.lists(st.tuples(st.floats(0.001, 30), st.floats(0, 20)), min_size=1, max_size=30)


@given(cells)
def test_nothing_is_sent_once_a_cell_has_ended_and_been_told(
    cells: list[tuple[float, float]],
) -> None:
    script = Script()
    for duration_s, gap_s in cells:
        script.cell(duration_s)
        script.pass_time(gap_s)
    script.pass_time(QUIET_S)
    assert script.sent[-1][1] == "idle"
    told = len(script.sent)
    assert script.pace.due_s(script.now_s) is None
    script.pass_time(10 * HOUR_S)
    assert len(script.sent) == told


@given(cells)
def test_the_end_of_a_cell_is_told_within_a_second_unless_another_begins(
    cells: list[tuple[float, float]],
) -> None:
    script = Script()
    for duration_s, gap_s in cells:
        script.cell(duration_s)
        ended_s = script.now_s
        script.pass_time(gap_s)
        if gap_s > QUIET_S:
            last_s, state = script.sent[-1]
            assert state == "idle"
            assert last_s <= ended_s + QUIET_S + 1e-9


@given(cells)
def test_no_more_than_one_message_a_second_goes_out_apart_from_a_few_at_once(
    cells: list[tuple[float, float]],
) -> None:
    script = Script()
    for duration_s, gap_s in cells:
        script.cell(duration_s)
        script.pass_time(gap_s)
    times = [t for t, _ in script.sent]
    for first, last in itertools.combinations(range(len(times)), 2):
        span_s = times[last] - times[first]
        # What a quiet second after a burst adds is one more, at most every other second.
        assert last - first + 1 <= BURST + 1 + 1.5 * span_s


def test_a_cell_by_hand_is_told_at_once_and_a_long_one_every_second() -> None:
    script = Script()
    script.cell(0.1)
    script.pass_time(60)
    assert script.sent == [(pytest.approx(50.1), "idle")]
    script.sent.clear()
    began_s = script.now_s
    script.cell(3.2)
    script.pass_time(60)
    after_s = [round(t - began_s, 6) for t, _ in script.sent]
    assert after_s == [FIRST_S, FIRST_S + 1, FIRST_S + 2, 3.2]


def test_a_thousand_short_cells_cost_one_message_a_second() -> None:
    script = Script()
    for _ in range(1000):
        script.cell(0.03)
        script.pass_time(0.002)
    script.pass_time(60)
    assert 30 <= len(script.sent) <= 32 + BURST
    # Who looks on sees cells that run, and not an idle kernel between two of them.
    *while_it_runs, last = (state for _, state in script.sent[1:])
    assert set(while_it_runs) == {"running"}
    assert last == "idle"


def test_ten_hours_stay_below_what_a_server_replays_to_a_page_that_comes_back() -> None:
    script = Script()
    script.cell(10 * HOUR_S)
    assert 2000 < len(script.sent) < REPLAY_LIMIT


def test_ten_hours_of_short_cells_stay_below_it_too() -> None:
    script = Script()
    while script.now_s < 10 * HOUR_S:
        script.cell(1.7)
        script.pass_time(0.01)
    assert len(script.sent) < REPLAY_LIMIT


def test_a_hello_is_answered_at_once_and_many_are_answered_together() -> None:
    script = Script()
    for _ in range(50):
        script.pace.ask()
        script.pass_time(0.001)
    script.pass_time(10)
    assert [t for t, _ in script.sent] == [50.0, pytest.approx(50.0 + ANSWERS_S)]


def test_a_hello_as_a_cell_begins_is_answered_once_there_is_a_power_to_tell() -> None:
    script = Script()
    script.pace.begin(script.now_s)
    script.pace.ask()
    script.pass_time(0.9)
    assert script.sent == [(pytest.approx(50.0 + FIRST_S), "running")]


def test_an_end_without_a_beginning_is_harmless() -> None:
    pace = Pace()
    pace.end(1.0)
    assert pace.running == 0


# -- the channel ------------------------------------------------------------------------------


class Kernel:
    """What the channel needs of a kernel: it keeps what is sent, and its comms."""

    def __init__(self) -> None:
        self.sent: Queue[dict[str, Any]] = Queue()
        self.refuses = 0  # so many messages
        self.iopub_socket = object()
        self.session = SimpleNamespace(send=self._send)
        self.comms: dict[str, Comm] = {}
        self.comm_manager = SimpleNamespace(
            register_comm=lambda comm: self.comms.__setitem__(comm.comm_id, comm),
            unregister_comm=lambda comm: self.comms.pop(comm.comm_id),
        )

    def _send(self, socket: object, kind: str, content: dict[str, Any], **how: Any) -> None:
        assert socket is self.iopub_socket
        assert (kind, content["comm_id"], how["parent"]) == ("comm_msg", COMM_ID, {})
        if self.refuses:
            self.refuses -= 1
            raise OSError("the socket is busy")
        self.sent.put(content["data"])

    def message(self) -> dict[str, Any]:
        """The next message, waited for."""
        return self.sent.get(timeout=LIMIT_S)

    def hear(self, data: object) -> None:
        """A page's message arrives."""
        self.comms[COMM_ID].handle_msg({"content": {"comm_id": COMM_ID, "data": data}})


class Channel(SimpleNamespace):
    """A live channel on a clock that a test moves, with its monitor and its kernel."""

    live: Live
    monitor: Monitor
    kernel: Kernel
    clock: Clock
    measuring: bool
    running: int

    def cell(self, notebook: str | None = None) -> Callable[[], None]:
        """Begins a cell; what it gives ends it."""
        window = self.monitor.open_window(Options(), notebook=notebook)
        self.running += 1
        self.live.begin(notebook)

        def end() -> None:
            self.running -= 1
            self.monitor.close_window(window, "ok")
            self.live.end(notebook)

        return end


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[Channel]:
    with a_channel(tmp_path) as made:
        yield made


@contextmanager
def a_channel(tmp_path: Path) -> Iterator[Channel]:
    """A channel that is open, with a store in `tmp_path`."""
    environ = {
        "JUPYTER_ENERGY_STORE": str(tmp_path / "energy.sqlite"),
        "JUPYTER_ENERGY_SYSFS": str(tmp_path / "sys"),
    }
    path = tmp_path / "fit.ipynb"
    path.write_text('{"cells": [{"id": "0123abcd", "cell_type": "code", "source": ""}]}')
    pages = Pages(lambda: NotebookRef(str(path), path.name, kernel_id="k"))
    monitor = Monitor(Energy(environ=environ), pages.ref, environ)
    kernel, clock = Kernel(), Clock()
    made = Channel(
        monitor=monitor, kernel=kernel, clock=clock, measuring=True, running=0, pages=pages
    )
    made.live = Live(
        kernel,
        monitor,
        pages,
        lambda: made.measuring,
        lambda: made.running > 0,
        clock,
        clock.wait,
    )
    monitor.start()
    made.live.open()
    assert clock.next_pause() is None
    yield made
    made.live.close(say=False)
    monitor.close()


def test_an_open_channel_says_nothing_of_its_own_accord(channel: Channel) -> None:
    channel.clock.advance(HOUR_S)
    assert channel.kernel.sent.empty()


def test_a_running_cell_is_told_and_its_end_with_the_same_totals(channel: Channel) -> None:
    end = channel.cell()
    assert channel.clock.next_pause() == pytest.approx(FIRST_S)
    channel.clock.advance(FIRST_S)
    running = channel.kernel.message()
    assert (running["state"], running["notebook"]["runs"]) == ("running", 1)
    assert channel.clock.next_pause() == pytest.approx(1.0)
    end()
    idle = channel.kernel.message()
    assert (idle["state"], idle["notebook"]["runs"], idle["measured_w"]) == ("idle", 1, None)
    assert idle["notebook"]["duration_s"] >= running["notebook"]["duration_s"]
    assert idle["notebook"] == idle["session"]
    assert channel.clock.next_pause() is None


def test_the_end_of_a_cell_that_could_not_be_told_is_told_once_more_and_no_more_than_once(
    channel: Channel,
) -> None:
    def rests() -> None:
        while (pause_s := channel.clock.next_pause()) is not None:
            channel.clock.advance(pause_s)

    channel.kernel.refuses = 1
    channel.cell()()
    rests()
    assert channel.kernel.message()["notebook"]["runs"] == 1
    channel.kernel.refuses = 3
    channel.cell()()
    rests()
    assert (channel.kernel.refuses, channel.kernel.sent.empty()) == (1, True)


def test_totals_that_the_store_could_not_be_asked_for_are_told_again_until_they_are_whole(
    tmp_path: Path,
) -> None:
    others = sqlite3.connect(tmp_path / "energy.sqlite", isolation_level=None)
    others.execute("BEGIN EXCLUSIVE")
    with closing(others), a_channel(tmp_path) as channel:
        channel.cell()()
        assert channel.kernel.message()["note"]
        others.execute("ROLLBACK")
        channel.monitor.flush(LIMIT_S)
        channel.clock.advance(AGAIN_S[0])
        whole = channel.kernel.message()
        assert (whole["notebook"]["runs"], whole.get("note")) == (1, None)


def test_the_end_of_a_cell_is_told_again_however_often_totals_were_lacking_while_it_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_energy.figures.STORE_DEADLINE_S", 0.01)
    others = sqlite3.connect(tmp_path / "energy.sqlite", isolation_level=None)
    others.execute("BEGIN EXCLUSIVE")
    with closing(others), a_channel(tmp_path) as channel:
        end = channel.cell()
        for _ in range(len(AGAIN_S) + 2):
            pause_s = channel.clock.next_pause()
            assert pause_s is not None
            channel.clock.advance(pause_s)
            message = channel.kernel.message()
            assert (message["state"], bool(message["note"])) == ("running", True)
        end()
        assert channel.kernel.message()["note"]
        others.execute("ROLLBACK")
        channel.monitor.flush(LIMIT_S)
        channel.clock.advance(AGAIN_S[0])
        whole = channel.kernel.message()
        assert (whole["state"], whole["notebook"]["runs"]) == ("idle", 1)
        assert whole.get("note") is None


def test_totals_of_a_store_that_does_not_answer_are_told_again_a_few_times_only() -> None:
    script = Script()
    script.cell(0.1)
    script.pass_time(1)
    before = len(script.sent)
    script.pace.again(script.now_s + AGAIN_S[0])
    script.pass_time(HOUR_S)
    assert len(script.sent) == before + 1


def test_a_hello_is_answered_with_the_totals_and_the_path_as_the_page_said_it(
    channel: Channel,
) -> None:
    channel.cell()()
    channel.kernel.message()
    hello = {"op": "hello", "v": 1, "path": "fit.ipynb", "was": None, "cells": ["0123abcd"]}
    channel.clock.advance(1)
    channel.kernel.hear(hello)
    answer = channel.kernel.message()
    assert (answer["state"], answer["path"]) == ("idle", "fit.ipynb")
    assert answer["notebook"]["runs"] == 1


@pytest.mark.parametrize(
    "data",
    [None, 3, "hello", [], {}, {"op": "bye"}, {"op": ["hello"]}, {"op": {"hello": 1}}],
    ids=repr,
)
def test_what_is_no_hello_is_not_answered(channel: Channel, data: object) -> None:
    channel.kernel.hear(data)
    channel.kernel.hear({"op": "hello", "path": "fit.ipynb"})
    assert channel.kernel.message()["path"] == "fit.ipynb"
    assert channel.kernel.sent.empty()


@pytest.mark.parametrize("path", [None, "", 7, "a\0b.ipynb", "x" * 10_000, "../" * 50 + "etc"])
def test_a_hello_with_a_strange_path_is_answered_for_the_kernels_own_notebook(
    channel: Channel, path: object
) -> None:
    channel.kernel.hear({"op": "hello", "v": 99, "path": path, "cells": {"a": 1}, "was": []})
    assert channel.kernel.message()["path"] is None
    assert len(channel.pages) == 1


def test_two_notebooks_that_ask_together_are_both_answered(channel: Channel) -> None:
    channel.live.tell()
    channel.kernel.message()
    assert channel.clock.next_pause() is None
    # So soon after the last message both wait.
    channel.live.tell()
    channel.kernel.hear({"op": "hello", "path": "other.ipynb", "cells": ["4567cdef"]})
    assert channel.clock.next_pause() == pytest.approx(ANSWERS_S)
    channel.clock.advance(ANSWERS_S)
    paths = {channel.kernel.message()["path"] for _ in range(2)}
    assert paths == {None, "other.ipynb"}


def test_unloading_says_that_nothing_more_will_come(channel: Channel) -> None:
    channel.live.close(say=True)
    assert channel.kernel.message()["state"] == "gone"
    assert channel.kernel.comms == {}
    channel.live.begin(None)
    channel.live.end(None)
    channel.clock.advance(10)
    assert channel.kernel.sent.empty()


def test_a_kernel_whose_socket_is_gone_stops_nobody(channel: Channel) -> None:
    del channel.kernel.session.send
    channel.cell()()
    channel.kernel.session.send = channel.kernel._send
    channel.clock.advance(1)
    channel.live.tell()
    assert channel.kernel.message()["notebook"]["runs"] == 1


def test_that_measuring_is_off_is_told(channel: Channel) -> None:
    channel.measuring = False
    channel.live.tell()
    assert channel.kernel.message()["measuring"] is False


def test_a_cell_whose_end_was_never_told_is_not_told_to_run_for_ever(channel: Channel) -> None:
    channel.cell()
    assert channel.clock.next_pause() == pytest.approx(FIRST_S)
    channel.running = 0
    channel.clock.advance(FIRST_S)
    assert channel.kernel.message()["state"] == "idle"
    assert channel.clock.next_pause() is None
