"""What passes between a page and its kernel, read from the websocket itself."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

from playwright.sync_api import Page, WebSocket

from browser.server import LIMIT_S

COMM_ID = "jupyter-energy"


@dataclass(frozen=True)
class Frame:
    """One message of the kernel's protocol, as it passed."""

    way: Literal["sent", "received"]
    channel: str
    kind: str
    content: dict[str, Any]
    parent_kind: str | None
    id: str = ""
    parent_id: str | None = None
    at_s: float = 0.0  # when it passed, on the monotonic clock
    socket: int = 0  # the number of its connection, from 1

    def __str__(self) -> str:
        """One line of a log."""
        told = json.dumps(self.content, default=str)[:300]
        return (
            f"{self.at_s:.3f} #{self.socket} {self.way} {self.channel} {self.kind} "
            f"(of {self.parent_kind}) {told}"
        )

    @property
    def ours(self) -> Any:
        """What jupyter-energy says in it, if it is a message of ours."""
        is_ours = self.kind == "comm_msg" and self.content.get("comm_id") == COMM_ID
        return self.content["data"] if is_ours else None

    def tells(self, state: str) -> bool:
        """Whether it is the kernel's message of this state."""
        return self.way == "received" and (self.ours or {}).get("state") == state


class Frames:
    """All messages of a page's kernels, from the moment that this is made.

    They come while the test waits in Playwright, in order: `page.evaluate` brings what passed.
    """

    def __init__(self, page: Page) -> None:
        self.all: list[Frame] = []
        self.log: list[str] = []  # all that passed, and when connections began and ended
        self._sockets = 0
        self._page = page
        page.on("websocket", self._follow)

    def clear(self) -> None:
        """Forget what passed."""
        self.all.clear()

    def ours(self, way: Literal["sent", "received"] = "received") -> list[dict[str, Any]]:
        """What jupyter-energy's halves said to each other."""
        return [f.ours for f in self.all if f.way == way and f.ours is not None]

    def wait_for(self, is_it: Callable[[Frame], bool], count: int = 1) -> None:
        """Wait until so many messages of a kind have passed, those before this call included."""
        deadline_s = time.monotonic() + LIMIT_S
        while sum(map(is_it, self.all)) < count:
            assert time.monotonic() < deadline_s, self.all[-20:]
            self._page.wait_for_timeout(20)  # only then does Playwright hand on what passed

    def wait_for_ours(self, count: int, state: str) -> None:
        """Wait until the kernel has told its state so many times."""
        self.wait_for(lambda frame: frame.tells(state), count)

    def wait_until_done(self) -> None:
        """Wait until the kernel has told that it is through with all that it was asked to run, and
        with all that our page said to it: nothing comes of that any more."""
        asked = {
            frame.id
            for frame in self.all
            if frame.way == "sent" and (frame.kind == "execute_request" or frame.ours is not None)
        }
        self.wait_for(
            lambda f: f.content.get("execution_state") == "idle" and f.parent_id in asked,
            len(asked),
        )

    def asked(self) -> list[str]:
        """The types of the messages by which our page asked the kernel something."""
        return [
            frame.kind
            for frame in self.all
            if frame.way == "sent"
            and (frame.ours is not None or frame.content.get("target_name") == COMM_ID)
        ]

    def sent(self) -> list[str]:
        """The types of the messages that the page sent."""
        return [frame.kind for frame in self.all if frame.way == "sent"]

    def _follow(self, socket: WebSocket) -> None:
        if "/api/kernels/" not in socket.url:  # JupyterLab has others, for its own events
            return
        self._sockets += 1
        number = self._sockets
        self._note(number, f"opens {socket.url}")
        socket.on("framesent", lambda data: self._keep("sent", data, number))
        socket.on("framereceived", lambda data: self._keep("received", data, number))
        socket.on("close", lambda _: self._note(number, "is closed"))

    def _note(self, number: int, text: str) -> None:
        self.log.append(f"{time.monotonic():.3f} #{number} {text}")

    def _keep(self, way: Literal["sent", "received"], data: str | bytes, number: int) -> None:
        read = _from_text if isinstance(data, str) else _from_parts
        frame = replace(read(way, data), at_s=time.monotonic(), socket=number)
        self.all.append(frame)
        self.log.append(str(frame))


def _from_text(way: Literal["sent", "received"], data: str) -> Frame:
    """A message as JSON, which is how a server sends it that has its kernels on a gateway."""
    message = json.loads(data)
    return _frame(
        way,
        message["channel"],
        message["header"],
        message["parent_header"],
        message["content"],
    )


def _from_parts(way: Literal["sent", "received"], data: bytes) -> Frame:
    """A message of the websocket protocol v1.kernel.websocket.jupyter.org: offsets, then parts."""
    count = int.from_bytes(data[:8], "little")
    offsets = [int.from_bytes(data[8 * n : 8 * n + 8], "little") for n in range(1, count + 1)]
    parts = [data[start:end] for start, end in pairwise(offsets)]
    channel, header, parent, _metadata, content, *_buffers = parts
    return _frame(way, channel.decode(), *map(json.loads, (header, parent, content)))


def _frame(
    way: Literal["sent", "received"], channel: str, header: Any, parent: Any, content: Any
) -> Frame:
    return Frame(
        way,
        channel,
        header["msg_type"],
        content,
        parent.get("msg_type"),
        header["msg_id"],
        parent.get("msg_id"),
    )
