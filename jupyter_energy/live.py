"""The channel to the front end: when a message is sent, and how pages are heard.

Messages are bare `comm_msg` on a well-known id, from a thread of their own, only while a cell runs
(jupyter.md 2): pages that come late, reload, or lie behind a gateway all hear them, and an idle
kernel sends nothing, so that it can be culled. A page's hello is answered once.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .live_message import COMM_ID
from .pages import Key, Pages

if TYPE_CHECKING:
    from .figures import Figures
    from .live_message import LiveJson, State
    from .monitor import Monitor

# A cell shorter than this sends one message, at its end.
FIRST_S = 0.5
# A server keeps all messages for a page that is away and replays them when it is back; of more
# than 3000 at once it drops some, the user's output among them (jupyter.md 2b).
INTERVALS_S = ((600.0, 1.0), (3600.0, 5.0))
LONGEST_INTERVAL_S = 30.0
# Cells that follow on one another within this are one stretch: a loop of short ones backs off too.
STRETCH_ENDS_S = 10.0
# Cells that follow on one another within this run, to those who look on, without a pause.
GAP_S = 0.3
# A few cells by hand are told at once; of a burst, one message per interval.
BURST = 3
# The end of a burst is told within this.
QUIET_S = 1.0
# Pages that say hello over and over are answered this often.
ANSWERS_S = 0.2
# Totals that the store could not be asked for, busy as another kernel made it, are told again after
# each of these, and then with the next cell only.
AGAIN_S = (1.0, 5.0, 30.0)


class Pace:
    """When the next message is due, in s of one clock. Pure: told what happens, and when."""

    def __init__(self) -> None:
        self.running = 0
        self._stretch_s = float("-inf")  # when the stretch began
        self._began_s = float("-inf")  # when the cells without a pause began
        self._cells = 0  # how many they are
        self._ended_s = float("-inf")
        self._sent_s = float("-inf")
        self._paid_until_s = float("-inf")
        self._owed = False  # whether a run has ended that no message told of
        self._asked = False
        self._again_s = float("inf")  # when what was told is to be told again

    def begin(self, now_s: float) -> None:
        """A cell begins."""
        self.running += 1
        if self.running == 1:
            if now_s - self._ended_s > GAP_S:
                self._began_s, self._cells = now_s, 0
            self._cells += 1
            if now_s - self._ended_s > STRETCH_ENDS_S:
                self._stretch_s = now_s

    def end(self, now_s: float) -> None:
        """A cell has ended."""
        self.running = max(0, self.running - 1)
        self._owed = True
        self._ended_s = now_s

    def stop(self, now_s: float) -> None:
        """No cell runs, whatever was said before."""
        self.running = 0
        self.end(now_s)

    def ask(self) -> None:
        """A page has said hello, or is to be told at once for another reason."""
        self._asked = True

    def again(self, at_s: float) -> None:
        """What was told last is to be told again then, unless a message goes out before."""
        self._again_s = at_s

    def interval_s(self, now_s: float) -> float:
        """The time between two messages while cells run."""
        over = not self.running and now_s - self._ended_s > STRETCH_ENDS_S
        lasted_s = 0.0 if over else now_s - self._stretch_s
        found = (step for limit, step in INTERVALS_S if lasted_s < limit)
        return next(found, LONGEST_INTERVAL_S)

    def due_s(self, now_s: float) -> float | None:
        """When the next message is due; None where nothing is to be said."""
        interval_s = self.interval_s(now_s)
        self._sent_s = min(self._sent_s, now_s)  # a clock that went back must not silence us
        due = [] if self._again_s == float("inf") else [self._again_s]
        if self._asked:
            # Power over less than that is mostly the age of the sensors' values.
            known_s = self._began_s + FIRST_S if self.running else now_s
            due.append(max(self._sent_s + ANSWERS_S, known_s))
        if self.running:
            due.append(max(self._began_s + FIRST_S, self._sent_s + interval_s))
        elif self._owed:
            free_s = self._paid_until_s - (BURST - 1) * interval_s
            pause_s = self._ended_s + (GAP_S if self._cells > 1 else 0.0)
            due.append(min(max(pause_s, free_s), self._ended_s + QUIET_S))
        return max(now_s, min(due)) if due else None

    def sent(self, now_s: float) -> None:
        """A message has been sent."""
        self._paid_until_s = max(self._paid_until_s, now_s) + self.interval_s(now_s)
        self._sent_s = now_s
        self._asked = False
        self._again_s = float("inf")
        if not self.running:
            self._owed = False


class Live:
    """Sends messages from one kernel; `open()` once, `close()` once.

    `measuring` says whether cells are measured, `running` whether one runs now. `clock` and `wait`
    are moved in tests.
    """

    def __init__(
        self,
        kernel: Any,  # ipykernel has no types that hold over its versions
        monitor: Monitor,
        pages: Pages,
        measuring: Callable[[], bool],
        running: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Condition, float | None], object] = threading.Condition.wait,
    ) -> None:
        self._kernel = kernel
        self._monitor = monitor
        self._pages = pages
        self._measuring = measuring
        self._is_running = running
        self._clock = clock
        self._wait = wait
        self._pid = os.getpid()
        # Taken by itself: `with` a Condition runs Python code that takes it and lets go of it, and
        # where Ctrl-C hits that, it stays taken. RLock: a handler may run a cell in here.
        self._lock = threading.RLock()
        self._wake = threading.Condition(self._lock)
        self._pace = Pace()
        self._wakes_at_s = math.inf
        self._closing = False
        self._running: list[Key] = []  # the notebooks of the cells that run
        self._news: dict[Key, None] = {}  # the notebooks of which there is something to say
        self._unsaid: dict[Key, None] = {}  # those that the last message was of
        self._behind = 0  # how many messages since the last news lacked totals
        self._thread: threading.Thread | None = None
        self._figures: Figures | None = None
        self._comm = Comm(self._heard)

    def open(self) -> None:
        """Listen to pages, and tell those that are there already."""
        with suppress(Exception):  # a kernel without comms is only not heard
            self._kernel.comm_manager.register_comm(self._comm)
        thread = threading.Thread(target=self._run, name="jupyter-energy-live", daemon=True)
        with suppress(RuntimeError):  # no thread is to be had, as in Pyodide: then none is told
            thread.start()
            self._thread = thread

    def close(self, say: bool) -> None:
        """Stop; where `say`, tell the pages that nothing more will come."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._closing = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(0.5)
        with suppress(Exception):
            self._kernel.comm_manager.unregister_comm(self._comm)
        if say:
            from .figures import Figures

            with suppress(Exception):
                self._send(Figures(self._monitor, self._pages).gone())

    def begin(self, notebook: Key) -> None:
        """A measured cell of a notebook begins."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._running.append(notebook)
            self._pace.begin(self._clock())
            self._reckon()

    def end(self, notebook: Key) -> None:
        """A measured cell has ended, and its record is kept."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            with suppress(ValueError):
                self._running.remove(notebook)
            self._news[notebook] = None
            self._behind = 0  # what was told in vain before says nothing of this
            self._pace.end(self._clock())
            self._reckon()

    def tell(self, notebook: Key = None) -> None:
        """Send a message now: something has changed, or a page has asked."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._news[notebook] = None
            self._behind = 0
            self._pace.ask()
            self._reckon()

    def _reckon(self) -> None:
        """Wake the thread where it would sleep too long: most cells need not."""
        due_s = self._pace.due_s(self._clock())
        if due_s is not None and due_s < self._wakes_at_s:
            self._wakes_at_s = due_s
            self._wake.notify_all()

    # -- hearing ---------------------------------------------------------------------------

    def _heard(self, data: object) -> None:
        """A page's message. Whoever it is from, nothing in it is more than a claim."""
        if not isinstance(data, dict) or data.get("op") != "hello":
            return
        notebook, moved = self._pages.hello(data)
        if moved:
            self._monitor.notebook_moved(notebook)
        self.tell(notebook)

    # -- sending ---------------------------------------------------------------------------

    def _run(self) -> None:
        # A fault here must not print a traceback into whatever cell runs then; and any code of the
        # process may throw an exception into this thread (PyThreadState_SetAsyncExc), as what
        # stops the threads of a notebook does. It is not meant for us.
        while not self._closing:
            with suppress(BaseException):
                self._send_until_closed()
        if self._figures is not None:
            self._figures.close()

    def _send_until_closed(self) -> None:
        failed = False
        while self._rest():
            try:
                self._say()
                failed = False
            except Exception:  # noqa: BLE001  whatever it is, cells are not affected
                # What it was to say is said once more, and no more than once: that a cell has
                # ended would else be told with the next one only.
                failed = not failed
                if failed:
                    self._owe()

    def _owe(self) -> None:
        """Nothing has been said yet of what was to be said last."""
        with self._lock:
            self._news |= self._unsaid
            self._pace.ask()

    def _rest(self) -> bool:
        """Wait until a message is due; False when all is over."""
        with self._lock:
            while not self._closing:
                now_s = self._clock()
                due_s = self._pace.due_s(now_s)
                if due_s is not None and due_s <= now_s:
                    return True
                self._wakes_at_s = math.inf if due_s is None else due_s
                # A clock that went back would have it wait for what that clock has lost.
                pause_s = None if due_s is None else min(due_s - now_s, LONGEST_INTERVAL_S)
                self._wait(self._wake, pause_s)
            return False

    def _say(self) -> None:
        with self._lock:
            now_s = self._clock()
            if self._pace.running and not self._is_running():
                # A Ctrl-C has hit the call that would have told us. An idle kernel is quiet.
                self._news |= dict.fromkeys(self._running)
                self._running = []
                self._pace.stop(now_s)
            self._pace.sent(now_s)
            every_s = self._pace.interval_s(now_s)
            state: State = "running" if self._pace.running else "idle"
            notebooks = list(self._news | dict.fromkeys(self._running))
            self._news, self._unsaid = {}, dict.fromkeys(notebooks)
        if self._figures is None:
            from .figures import Figures  # what it needs is slow to import

            self._figures = Figures(self._monitor, self._pages)
        for message in self._figures.messages(state, notebooks, every_s, self._measuring()):
            self._send(message)
        with self._lock:
            self._behind = self._behind + 1 if self._figures.lacking else 0
            if 0 < self._behind <= len(AGAIN_S):
                self._news |= dict.fromkeys(self._figures.lacking)
                self._pace.again(self._clock() + AGAIN_S[self._behind - 1])

    def _send(self, message: LiveJson) -> None:
        # Not through a Comm: its messages carry the running cell as their parent, and are not
        # sent before a comm was opened, which pages that come late would have missed.
        self._kernel.session.send(
            self._kernel.iopub_socket,
            "comm_msg",
            {"comm_id": COMM_ID, "data": message},
            parent={},
            ident=b"comm-" + COMM_ID.encode(),
        )


class Comm:
    """What a kernel's comm manager needs to hand messages on: no comm that anybody opened.

    Of this shape rather than a class of the package `comm`, which ipykernel 6.17 does not have.
    """

    comm_id = target_name = COMM_ID
    primary = False

    def __init__(self, heard: Callable[[object], None]) -> None:
        self._heard = heard

    def handle_msg(self, message: dict[str, Any]) -> None:
        """Take a message; what cannot be read is dropped."""
        with suppress(Exception):  # hostile or of another version: the kernel logs tracebacks
            self._heard(message["content"]["data"])

    def handle_close(self, message: object) -> None:
        """A page cannot close what it has not opened."""

    def close(self, *_: object, **__: object) -> None:
        """The kernel ends."""
