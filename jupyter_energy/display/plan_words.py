"""The words of a plan that its pictures, its HTML and its text share: times, shares, places."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta, tzinfo

from .. import units
from ..json_shapes import RangeJson
from ..plain_text import clean, printable
from ..plan import LEAST_SAVING
from ..plan.document import file_and_notes
from ..plan.shapes import (
    BasisJson,
    ItemJson,
    PauseJson,
    PlanJson,
    RankingJson,
    RegionJson,
    StartJson,
)
from . import words

# Of a ranking: this many of the cleanest, then here, then the last.
BEST_SHOWN = 5
BEST_OF_OTHERS = 3  # of each ranking but the first
CHANGE_LIMIT = 400  # with an example, and why the place is assumed
TEXT_LIMIT = 300  # of a sentence that other parts wrote, names of files and zones in it
# What is cut cannot be typed: a path may take 4096 bytes, and each ten characters to write down.
TYPED_LIMIT = 50_000
NAME_LIMIT = 40
ZONE_LIMIT = 28  # no cloud's region is longer, and what is cut cannot be typed

# A provider's PUE over all its sites, or one of a plan (carbon/regions.py says whose it is).
_NOT_ITS_OWN = re.compile("over all sites|design value")

# The next full slot of a plan (plan/nouns.py) is at most so far from when it was made.
_AT_ONCE = timedelta(minutes=10)
NO_GAIN = "No gain: of what could be looked at, nothing would save 2 % or more."
EACH_ALONE = "Each is alone, against changing nothing: savings do not add up."
_SETTING = re.compile(r"^%config Energy\.([a-z_]{1,40}) =", re.MULTILINE)
OF_THIS_RUN = "of what is attributed to this run"
OF_ALL = "of what is attributed to this notebook, the time between its cells included"
EMITS = "emits CO2e"


def local(moment: str, zone: tzinfo | None = None) -> datetime:
    """A time of the JSON in the time zone `zone`, by default the reader's own."""
    return datetime.fromisoformat(moment).astimezone(zone)


def clock(moment: datetime, beside: datetime) -> str:
    """A local time: "18:05" on the day of `beside`, else "Tue 24 Nov, 18:05", and of another year
    "Tue 26 Apr 2022, 18:05": nobody is told to start in the past without a word of it."""
    if moment.date() == beside.date():
        return f"{moment:%H:%M}"
    year = "" if moment.year == beside.year else f" {moment.year}"
    return f"{moment:%a} {moment.day} {moment:%b}{year}, {moment:%H:%M}"


def zone_name(moment: datetime) -> str:
    """What the time zone of a local time is called: "CET", or "UTC-03" where it has no name."""
    name = moment.tzname() or "local time"
    return f"UTC{name}" if name[:1] in "+-" else name


def zone_names(begin: datetime, end: datetime) -> str:
    """The same of a stretch of time, in which clocks may change."""
    first, last = zone_name(begin), zone_name(end)
    return first if first == last else f"{first}, then {last}"


def at(moment: str, beside: datetime, zone: tzinfo | None = None) -> str:
    """A time of the JSON with its zone: "18:05 CET"."""
    then = local(moment, zone)
    return f"{clock(then, beside)} {zone_name(then)}"


def asked_start(plan: PlanJson, zone: tzinfo | None = None) -> str | None:
    """When the job was asked to begin, with its zone; None where that is at once."""
    begin = plan["basis"]["from"]
    made = local(plan["made"], zone)
    if begin is None or abs(local(begin, zone) - made) < _AT_ONCE:
        return None
    return at(begin, made, zone)


def change(item: ItemJson, plan: PlanJson, zone: tzinfo | None = None) -> str:
    """What a piece of advice says to do, in the reader's time: the JSON's is UTC."""
    start, pause, made = plan["flexible_start"], plan["pause_resume"], local(plan["made"], zone)
    if item["what"] == "start" and start is not None:
        return f"Start at {at(start['start'], made, zone)}"
    if item["what"] == "pause" and pause is not None and pause["run"]:
        times = words.counted(pause["pauses"], "pause")
        done = at(pause["run"][-1][1], made, zone)
        return f"Pause while the grid is dirty: {times}, done at {done}"
    said = clean(item["change"], CHANGE_LIMIT).rstrip(".")
    return said[:1].upper() + said[1:]


def share(value: RangeJson) -> str:
    """A saving with its range: "≈ 27 % (21–32 %)"; without one where it has none."""
    low, mid, high = (_percent(value["low"]), _percent(value["mid"]), _percent(value["high"]))
    if low == high:
        return f"{mid} %"
    between = f"{low} to {high}" if value["low"] < 0 else f"{low}–{high}"
    return f"≈ {mid} % ({between} %)"


def compared(row: RegionJson) -> str:
    """What is attributed less, or more, than at the place it is compared with: "91 % less".

    Empty where it is compared with none.
    """
    saved = row["saved_fraction"]
    if saved is None:
        return ""
    if abs(saved) < 0.005:
        return "the same"
    if saved <= -1:
        return f"{units.two_digits(1 - saved)} times as much"
    return f"{_percent(abs(saved))} % {'less' if saved > 0 else 'more'}"


def grams(value: RangeJson) -> str:
    """Predicted CO2e with its range: "≈ 320 g (250–390 g)"; without one where it has none."""
    low, high = (units.about(value[bound], units.MASS_G) for bound in ("low", "high"))
    if low == high:
        return units.about(value["mid"], units.MASS_G)
    return units.estimated(words.range_of(value), units.MASS_G)


def setup(item: ItemJson) -> tuple[str, list[str]]:
    """What is said above the lines to type before a piece of advice's command, and these lines,
    whole, with all their spaces; none where there are none."""
    found = printable(item["setup"] or "", TYPED_LIMIT)
    names = [f"JUPYTER_ENERGY_{name.upper()}" for name in _SETTING.findall(found)]
    of_script = f" (for a script, set {', '.join(names)})" if names else ""
    return f"type first{of_script}:", found.split("\n") if found else []


def of_what(item: ItemJson) -> str:
    """What a saving is a share of: an idle kernel's is of no run."""
    return OF_ALL if item["what"] == "idle" else OF_THIS_RUN


def by_what(item: ItemJson, plan: PlanJson) -> str:
    """What a saving is reckoned by, to stand in its line: "by the forecast, average"; nothing for
    what was measured here."""
    basis = plan["basis"]
    if item["what"] == "region":
        scopes = {ranking["scope"] for ranking in rankings(plan)[:1]}
        return "by yearly averages" + (", direct emissions only" if "direct" in scopes else "")
    if item["what"] not in ("start", "pause") or basis["kind"] == "none":
        return ""
    by = f"by the {clean(basis['kind'], 20)}"
    if basis["hindsight"]:
        by = "by hindsight, an upper bound"
    elif basis["kind"] == "typical day":
        by = "by a typical day, no forecast"
    return f"{by}, {signal(basis)}" if basis["signal"] else by


def signal(basis: BasisJson) -> str:
    """What kind of figures: "average"; "marginal, direct emissions only"."""
    only = ", direct emissions only" if basis["scope"] == "direct" else ""
    return f"{clean(basis['signal'] or '', 12)}{only}"


def sources(item: ItemJson, plan: PlanJson) -> str:
    """Whose findings a piece of advice rests on, by name: what they found is told by the HTML and
    the JSON, and where a ranking's figures are from by its table."""
    tables = {ranking["said"].partition(";")[0] for ranking in plan["rankings"]}
    parts = clean(item["evidence"], 2 * CHANGE_LIMIT).rstrip(".").split("; ")
    if item["what"] in ("start", "pause"):  # by_what has it
        tables |= {part for part in parts if part.startswith(("by the ", "an upper bound, "))}
    told = (part.partition(": ")[0].partition(" found ")[0] for part in parts if part not in tables)
    return "; ".join(dict.fromkeys(told))


def saved(share_saved: RangeJson, carbon: RangeJson | None) -> str:
    """What a start or pauses save, and what is left: "saves ≈ 27 % (21–32 %), then emits CO2e
    ≈ 430 g …"."""
    left = "" if carbon is None else f", then {EMITS} {grams(carbon)}"
    return f"saves {share(share_saved)}{left}"


def of_start(start: StartJson) -> str:
    """Whose saving that of a start is, where a kernel that waits draws something."""
    return ", for a machine started then" if start["wait_fraction"] > 0 else ""


def of_pauses(pause: PauseJson) -> str:
    """What the saving of pauses counts, where they draw anything."""
    return ", what pauses draw counted" if pause["idle_fraction"] > 0 else ""


def is_gain(saved_fraction: float) -> bool:
    """Whether so much is worth telling."""
    return saved_fraction >= LEAST_SAVING


def pauses(count: int) -> str:
    """How often the job is interrupted: "with 2 pauses"."""
    return f"with {words.counted(count, 'pause')}"


def subject(plan: PlanJson) -> str:
    """What is planned, by name: the notebook, else "a job"."""
    return clean(plan["notebook"]["name"], NAME_LIMIT) if plan["notebook"] else "a job"


def outlook(basis: BasisJson) -> str:
    """What was planned over: "Forecast for Great Britain, NESO (average)"."""
    place = basis["place"] or basis["zone"]
    parts = [basis["kind"][:1].upper() + basis["kind"][1:]]
    if place:
        parts.append(f" for {clean(place, NAME_LIMIT)}")
    if basis["source"]:
        name = file_and_notes(basis["source"])[0]
        parts.append(f", {clean(name if len(name) <= 60 else name.partition(' (')[0], 60)}")
    if basis["signal"]:
        parts.append(f" ({signal(basis)})")
    return "".join(parts)


def place_name(row: RegionJson) -> str:
    """A place with what to set for it: "Europe (Paris), aws:eu-west-3"."""
    name, zone = clean(row["name"], NAME_LIMIT), clean(row["zone"], NAME_LIMIT)
    return name if zone in ("", name) else f"{name}, {zone}"


def doubted(ranking: RankingJson) -> frozenset[str]:
    """The zones of those rows whose PUE is not the place's own, where others have their own."""
    found = [r["zone"] for r in ranking["rows"] if _NOT_ITS_OWN.search(r["pue_source"][:500])]
    return frozenset(found if len(found) < len(ranking["rows"]) else ())


def rankings(plan: PlanJson) -> list[RankingJson]:
    """The rankings that have rows; first the one that the advice names a place of."""
    told = advised(plan)

    def is_advised(ranking: RankingJson) -> bool:
        others = (row for row in ranking["rows"] if not is_reference(row, ranking))
        return any(row["zone"] in told for row in others)

    found = [ranking for ranking in plan["rankings"] if ranking["rows"]]
    return sorted(found, key=lambda ranking: not is_advised(ranking))


def advised(plan: PlanJson) -> frozenset[str]:
    """The words of the advice on a place, that place's zone among them."""
    change = next((item["change"] for item in plan["advice"] if item["what"] == "region"), "")
    return frozenset(re.findall(r"[^\s,;]+", change[:CHANGE_LIMIT]))


def ranked(ranking: RankingJson) -> list[RegionJson]:
    """Its rows, with the one that they are compared with in its place, if that is none of them."""
    rows, reference = list(ranking["rows"]), ranking["reference"]
    if reference is not None and not any(is_reference(row, ranking) for row in rows):
        rows.append(reference)
        rows.sort(key=lambda row: row["g_per_kwh"] * row["pue"])
    return rows


def best_shown(number: int) -> int:
    """How many of the cleanest rows are shown of the ranking of this number, from 0 on."""
    return BEST_OF_OTHERS if number else BEST_SHOWN


def shown_rows(
    ranking: RankingJson, best: int = BEST_SHOWN, advised: Collection[str] = ()
) -> Sequence[RegionJson | int]:
    """The cleanest rows, those of the zones that are `advised`, the one it is compared with and the
    last; numbers of those left out."""
    rows = ranked(ranking)
    here = [i for i, row in enumerate(rows) if is_reference(row, ranking)]
    named = [i for i, row in enumerate(rows) if row["zone"] in advised][:1]
    last = [len(rows) - 1] if rows else []
    kept = sorted({*range(min(best, len(rows))), *named, *here[:1], *last})
    found: list[RegionJson | int] = []
    for number, index in enumerate(kept):
        between = index - kept[number - 1] - 1 if number else 0
        # In the room of the line that counts one row, the row itself fits.
        if between == 1:
            found.append(rows[index - 1])
        elif between:
            found.append(between)
        found.append(rows[index])
    return found


def is_reference(row: RegionJson, ranking: RankingJson) -> bool:
    """Whether the others are compared with this row."""
    return ranking["reference"] is not None and row["zone"] == ranking["reference"]["zone"]


def _percent(fraction: float) -> str:
    """A number of per cent, with a minus that is as long as a plus."""
    return f"{fraction * 100:.0f}".replace("-0", "0").replace("-", "−")
