"""The pieces that HTML in notebooks is made of: escaped text, figures with their look, tables.

No script, no class, no outside resource. Colours come from JupyterLab's variables where there are
any and else from the page, so both themes read well. Every text is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .words import Figure

NONE = "–"
FAINT = "var(--jp-content-font-color2, inherit)"
LINE = "1px solid var(--jp-border-color2, rgba(128,128,128,.35))"
_BOX = (
    "font-family:var(--jp-ui-font-family, system-ui, sans-serif);font-size:13px;line-height:1.5;"
    "padding:4px 0 4px 10px;border-left:3px solid "
)
_MEASURED_EDGE = "var(--jp-success-color1, #388e3c)"
_ESTIMATED_EDGE = "var(--jp-warn-color1, #f57c00)"
_UNKNOWN_EDGE = "var(--jp-border-color1, #8888)"
_TABLE = "border-collapse:collapse;margin:4px 0;font-size:13px;font-variant-numeric:tabular-nums"
_ROW = "background:none"
_CELL = f"padding:2px 14px 2px 0;vertical-align:baseline;border-bottom:{LINE};text-align:"
RIGHT, LEFT, NAME = "right", "left", "left;white-space:nowrap"
# An estimate is set apart by slant and tint, not by a text colour: no one colour reads well on
# both white and black.
LOOKS = {
    "measured": "font-weight:600;white-space:nowrap",
    "estimated": (
        "font-style:italic;white-space:nowrap;padding:0 4px;border-radius:3px;"
        "background:rgba(245,140,0,.16);border-bottom:1px dashed rgba(245,140,0,.8)"
    ),
    "computed": "white-space:nowrap",
    "unknown": f"color:{FAINT}",
}


def joined(figures: Sequence[Figure]) -> str:
    """Figures in one sentence."""
    return " and ".join(figure(one) for one in figures)


def figure(one: Figure | None) -> str:
    """A figure in its look; a dash for None."""
    if one is None:
        return span(NONE, LOOKS["unknown"])
    return span(one.text, LOOKS[one.look], one.detail)


def faint(said: str) -> str:
    """What is not the main thing."""
    return span(said, LOOKS["unknown"])


def span(said: str, style: str, detail: str = "") -> str:
    """Words with a style; `detail` is told to a pointer that rests on them."""
    title = f' title="{text(detail)}"' if detail else ""
    return f'<span style="{style}"{title}>{text(said)}</span>'


def td(content: str, align: str = RIGHT) -> str:
    """A cell of a table, its HTML given."""
    return f'<td style="{_CELL}{align}">{content}</td>'


def table(rows: Sequence[str]) -> str:
    """A table of rows of cells."""
    lines = "".join(f'<tr style="{_ROW}">{row}</tr>' for row in rows)
    return f'<table style="{_TABLE}">{lines}</table>'


def box(parts: Sequence[str], energies: Sequence[Figure]) -> str:
    """The block, its edge in the colour of what its headline holds."""
    looks = {f.look for f in energies}
    edge = _UNKNOWN_EDGE
    if "measured" in looks:
        edge = _MEASURED_EDGE
    elif "estimated" in looks:
        edge = _ESTIMATED_EDGE
    inner = "".join(p if p.startswith(("<table", "<d")) else f"<div>{p}</div>" for p in parts)
    return f'<div style="{_BOX}{edge}">{inner}</div>'


def text(said: str) -> str:
    """Any text, escaped."""
    return escape(said, quote=True)
