"""Where, when and how to run what this notebook ran: what each change would save.

The job is what the last session measured (in a notebook: this one), its cells one after the other,
or what `--hours` and `--kwh` say. Places are ranked by yearly figures in this package, without any
network. For a start time or pauses something has to be known ahead: the forecast of a provider
that you chose, or `--trace FILE.csv`. Savings are shares of what is attributed to the run.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from ..errors import StoreError, WrongUse
from ..frameworks import float32_products
from ..plan import document, idling, machine
from ..plan.document import Parts
from ..plan.job import given_j, job_from_records, job_of, last_session
from ..plan.nouns import Job
from ..version import version
from . import power_limit
from .base import Context
from .gathered import Gathered, asked_for, gather, what_first
from .plan_options import Options, add_options, read
from .plan_parts import became, costing_only, factors_for, keep, when, where

if TYPE_CHECKING:
    from datetime import tzinfo
    from pathlib import Path

    from ..model import Record
    from ..plan.shapes import PlanJson

IN_NOTEBOOK = IN_SHELL = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("notebook", nargs="?", help="a notebook or script; default: this one")
    add_options(parser)
    power_limit.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document (schema 1)")
    parser.add_argument("--figure", metavar="FILE", help="write the picture (png, svg or pdf)")
    parser.add_argument("--no-figure", action="store_true", help="show no picture")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Show the plan; 0, or 1 where nothing could be told over the trace that was given.

    Raises WrongUse where there is no job and what is given makes none.
    """
    from ..display.plan_notes import is_small
    from .plot import target_of

    made = datetime.now(UTC)
    options = read(arguments, made)
    settings = context.settings
    if options.zone is not None:
        settings = settings.elsewhere(options.zone)
    target = None if arguments.figure is None else target_of(arguments.figure)
    parts = Parts()
    found, own = _found(arguments.notebook, context, options, parts)
    runs, recorded = _recorded(found, own, context, parts)
    _set_job(parts, options, recorded)
    swept = power_limit.sweep(arguments, context)
    if parts.job is None and parts.energy_j is None:
        if swept is not None and not arguments.json:
            return 0  # its table is told, and there is nothing else to plan
        raise WrongUse(_first(found, context))
    in_them = {run.session_id for run in runs}
    idles = [] if found is None else [i for i in found.idles if i.session_id in in_them]
    with factors_for(context, settings) as factors:
        where(parts, options, runs, factors, context)
        if parts.job is not None:
            paused = idling.paused(runs, idles)
            when(parts, parts.job, options, factors, settings, paused)
        if options.zone is None:
            became(parts, found, made, factors, context)
    with costing_only(parts, "how to run"):
        float32 = float32_products() if own else None
        advice = machine.items(runs, idles, parts.job, parts.here, parts.pue, float32)
        # What was measured here takes the place of what others found.
        parts.items += [i for i in advice if swept is None or i["what"] != "power_limit"]
        parts.items += swept or []
    plan = document.plan_json(parts, made, version())
    # What is asked of another place, or not told, is no promise.
    if options.zone is None and not is_small(plan):
        keep(plan, parts, context)
    if arguments.json:
        context.out(json.dumps(plan, indent=2, allow_nan=False))
    else:
        _show(plan, context, options.clocks, picture=not (arguments.no_figure or target))
    status = 0
    if target is not None:
        status = _written(plan, context, target, arguments.json, options.clocks)
    # Its notes say why; a script that goes by the status must not take it for an answer.
    return 1 if options.trace is not None and parts.outlook is None else status


# -- the job -----------------------------------------------------------------------------------


def _found(
    notebook: str | None, context: Context, options: Options, parts: Parts
) -> tuple[Gathered | None, bool]:
    """What is recorded, and whether of the notebook that this is typed in.

    None in a shell where no notebook is named and the job is given. Raises WrongUse,
    NoSuchNotebook, StoreError where nothing is given either.
    """
    given = options.hours is not None or options.kwh is not None
    if notebook is None and context.notebook() is None:
        if given:
            return None, False
        raise WrongUse(
            "plan what? jupyter energy plan NOTEBOOK.ipynb, for what was measured of it, or "
            "jupyter energy plan --hours 6"
        )
    ref, own = asked_for(notebook, context, "plan")
    try:
        found = gather(context, ref, own=own)
    except StoreError as error:
        if not given:
            raise
        parts.notes.append(f"what was recorded cannot be read: {error}")
        return None, own
    parts.notebook = found.summary["notebook"]
    return found, own


def _recorded(
    found: Gathered | None, own: bool, context: Context, parts: Parts
) -> tuple[list[Record], Job | None]:
    """The runs of the session that is planned again, those within others too, and their job."""
    if found is None:
        return [], None
    outer, session = last_session(found.records, context.session_id() if own else None)
    if not outer:
        return [], None
    runs = [r for r in found.records if r.session_id == outer[0].session_id]
    from .traced import all_of

    traces = {}
    with costing_only(parts, "power over time"):
        traces = all_of(context, own, outer)
    # with those within them, which tell what pauses they made
    job = job_from_records([*outer, *(r for r in runs if r.within is not None)], traces, session)
    return runs, job


def _set_job(parts: Parts, options: Options, recorded: Job | None) -> None:
    """The job, or its energy alone where nobody knows how long it takes."""
    if options.hours is None and options.kwh is None:
        parts.job = recorded
    elif options.hours is None and recorded is None:
        assert options.kwh is not None
        parts.energy_j = given_j(options.kwh)
        parts.outlook_notes.append("how long it takes is not known: add it, such as --hours 6")
    else:
        parts.job = job_of(options.hours, options.kwh, recorded)


def _first(found: Gathered | None, context: Context) -> str:
    """What to run first."""
    assert found is not None  # else a time or an energy is given
    why = what_first(found, context)
    return f"nothing is recorded to plan from: {why}, or give the time: --hours 6"


# -- showing -------------------------------------------------------------------------------------


def _show(plan: PlanJson, context: Context, clocks: tzinfo | None, picture: bool) -> None:
    """The plan in words, and in a notebook the picture below them; times are those of `clocks`."""
    from ..display.bundle import plan_bundle, plan_figure_bundle
    from ..display.plan_notes import is_small
    from ..display.text import WIDTH

    width = None if context.in_notebook else get_terminal_size((WIDTH, 24)).columns
    context.show(plan_bundle(plan, context.command, clocks, width))
    if context.in_notebook and picture and not is_small(plan):
        drawn = plan_figure_bundle(plan, clocks)
        if drawn is not None:
            context.show(*drawn)


def _written(
    plan: PlanJson, context: Context, target: Path, beside_json: bool, clocks: tzinfo | None
) -> int:
    """Write the picture; 0. Raises WrongUse where there is nothing to draw."""
    from ..display.plan_plots import figure
    from .plot import write

    drawn = figure(plan, clocks)
    if drawn is None:
        raise WrongUse("there is nothing to draw in this plan")
    return write(context, drawn, target, beside_json)
