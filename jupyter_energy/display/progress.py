"""How far a repeated body has got: one line, as text and as HTML, that the result replaces."""

from __future__ import annotations

from .. import units
from ..repeat import AIM, LIMIT_S, Repetition
from .words import counted

# The first line comes after this, so that short repetitions show their result alone.
FIRST_S = 1.0
# At most two lines a second, and fewer of a long one: a server keeps every message for a page that
# is away (jupyter.md 2b), and an hour makes no more than 600 so.
LEAST_S, PART = 0.5, 0.01
_WIDTH = 30


class Progress:
    """When a line is due, and what it says. Told of the time in s since the first run began."""

    def __init__(self, repetition: Repetition) -> None:
        self._repetition = repetition
        self._due_s = FIRST_S

    def due(self, after_s: float) -> dict[str, object] | None:
        """The bundle to show now; None where the last one still does."""
        if after_s < self._due_s:
            return None
        self._due_s = after_s + max(LEAST_S, PART * after_s)
        return bundle(self._repetition, after_s)


def bundle(repetition: Repetition, after_s: float) -> dict[str, object]:
    """How far a repetition has got after a time in s: "run 7 of 20, 12 s"."""
    begun, asked = repetition.begun, repetition.asked
    if asked is not None:
        part = begun / asked
        words = f"{begun} of {counted(asked, 'run')} in {units.duration(after_s)}"
    else:
        part = min(1.0, after_s / LIMIT_S)
        words = f"{counted(begun, 'run')} in {units.duration(after_s)}; ends when the interval is "
        words += f"below ±{units.percent(AIM)}, or after {units.duration(LIMIT_S)}"
    full = round(part * _WIDTH)
    bar = "█" * full + "░" * (_WIDTH - full)
    track = "display:inline-block;width:180px;margin-right:8px;background:rgba(128,128,128,.3)"
    fill = f"width:{part:.0%};height:8px;background:var(--jp-brand-color1, #1976d2)"
    html = f'<div><div style="{track}"><div style="{fill}"></div></div>{words}</div>'
    return {"text/plain": f"{bar} {words}", "text/html": html}
