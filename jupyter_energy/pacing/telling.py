"""The one line that tells how a shifted run stands: replaced in place wherever that is possible."""

from __future__ import annotations

import sys
import uuid
from contextlib import suppress
from datetime import datetime

from .. import units
from ..plain_text import NAME_LIMIT, clean, message
from ..plan.nouns import Outlook
from ..signals import raise_if_users

# How a user stops a run that is held, wherever it runs.
TO_STOP = "Ctrl-C (interrupt the kernel) stops it"


class Line:
    """A line that stands for the last thing said: in a notebook a display that is updated, on a
    terminal one that is written over; elsewhere, as in a log, a line of each."""

    def __init__(self) -> None:
        self._display_id: str | None = None
        self._width = 0
        self._last = ""

    def say(self, text: str, is_last: bool = False) -> None:
        """Show a text in place of the last one; never raises for what is wrong with the output.

        Called when there is something new, which is rarely: a server keeps all messages for a page
        that is away.
        """
        if text == self._last and not is_last:
            return
        shown, self._last = f"jupyter-energy: {message(text)}", text
        try:
            if in_notebook():
                self._display(shown)
            else:
                self._print(shown, is_last)
        except Exception as error:  # noqa: BLE001  a closed stderr, a front end that is gone
            raise_if_users(error)

    def _display(self, shown: str) -> None:
        from ..display.bundle import show

        display_id, is_new = self._display_id or uuid.uuid4().hex, self._display_id is None
        self._display_id = display_id
        bundle = {"text/plain": shown, "text/html": _html(shown)}
        show(bundle, display_id, update=not is_new)

    def _print(self, shown: str, is_last: bool) -> None:
        if sys.stderr is None:
            return
        if not sys.stderr.isatty():
            print(shown, file=sys.stderr, flush=True)
            return
        end = "\n" if is_last else ""
        print(f"\r{shown:<{self._width}}", end=end, file=sys.stderr, flush=True)
        self._width = 0 if is_last else len(shown)


def _html(shown: str) -> str:
    """The line as a page shows it: what happens, and below it a line for each thing to know."""
    from ..display import markup

    first, *others = clauses(shown)
    return markup.box([markup.text(first), *map(markup.faint, others)], ())


def clauses(shown: str) -> list[str]:
    """What semicolons part, but for those within brackets."""
    found, depth = [""], 0
    for letter in shown:
        depth += (letter == "(") - (letter == ")")
        if letter == ";" and depth <= 0:
            found.append("")
        else:
            found[-1] += letter
    return [part.strip() for part in found if part.strip()] or [""]


def in_notebook() -> bool:
    """Whether what runs is a kernel's, whose outputs can be replaced."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def until(moment: datetime, now: datetime) -> str:
    """A moment as the user's clock shows it, and how far it is: "14:35 CET (in 1 h 12 min)"."""
    local = moment
    with suppress(OverflowError, OSError, ValueError):
        local = moment.astimezone()
    day = "" if local.date() == now.astimezone(local.tzinfo).date() else f"{local:%Y-%m-%d} "
    left = units.duration(max(0.0, (moment - now).total_seconds()))
    return f"{day}{local:%H:%M %Z} (in {left})"


def by(outlook: Outlook) -> str:
    """Over what it was planned: "by the forecast of Energy-Charts for France, average"."""
    of = clean(outlook.source.partition(" (")[0], NAME_LIMIT)
    place = clean(outlook.place, NAME_LIMIT)
    where = f" for {place}" if place and place not in of else ""  # a file names no place
    return f"by the {outlook.basis} of {of}{where}, {outlook.kind}"
