"""The tables of day totals, and the triggers that keep them true: a step of migrations.py.

A day of a host is marked `stale` in the same transaction in which a run of it is added, changed or
deleted, whoever does so; history computes it again from its records when it is asked next. A run
that lasted over midnight makes all days stale that it reaches into: what it shares with their runs
counts once. A `closed` day is one whose records were pruned; its totals stay as they are.
"""

from __future__ import annotations

# Where a run lies in time: the hour, day or month that all of it is in, as the beginning of its
# date, or '' for more. A stretch of time meets the runs of few of these (as in the R-tree bins of
# Kent et al. 2002, doi 10.1101/gr.229102), where an index on one end of the runs has to be walked
# for as far as the longest of them could reach.
SPAN = (
    "CASE WHEN substr(started, 1, 13) = substr(ended, 1, 13) THEN substr(started, 1, 13) "
    "WHEN substr(started, 1, 10) = substr(ended, 1, 10) THEN substr(started, 1, 10) "
    "WHEN substr(started, 1, 7) = substr(ended, 1, 7) THEN substr(started, 1, 7) ELSE '' END"
)
# The first day that has not been pruned; '' where none has.
PRUNED = "coalesce((SELECT max(before) FROM pruned), '')"


def _stale(row: str) -> str:
    """Statements of a trigger: the days of a run of its `new` or `old` row are to be computed."""
    first = f"max(substr({row}.started, 1, 10), {PRUNED})"
    last = f"max(substr(coalesce({row}.ended, {row}.started), 1, 10), {PRUNED})"
    host = f"coalesce({row}.host, '')"
    return (
        f"INSERT INTO day (host, day, changes, state) SELECT {host}, {first}, 0, 'stale' "
        f"WHERE NOT EXISTS (SELECT 1 FROM day WHERE host = {host} AND day = {first}); "
        f"UPDATE day SET changes = changes + 1, state = 'stale' WHERE host = {host} "
        f"AND day BETWEEN {first} AND {last} AND state <> 'closed';"
    )


_BOTH = f"{_stale('old')} {_stale('new')}"
STATEMENTS = (
    # `changes` counts how often a day was marked: one that is marked while it is being computed
    # stays stale.
    """CREATE TABLE day (
        host TEXT NOT NULL,
        day TEXT NOT NULL,
        changes INTEGER NOT NULL,
        state TEXT NOT NULL,
        PRIMARY KEY (host, day)
    ) WITHOUT ROWID""",
    # The columns are those of day_totals.DayTotals.
    """CREATE TABLE day_total (
        host TEXT NOT NULL, day TEXT NOT NULL, notebook_id TEXT NOT NULL,
        runs INTEGER NOT NULL, interrupted INTEGER NOT NULL,
        known INTEGER NOT NULL, without_grams INTEGER NOT NULL,
        duration_s REAL NOT NULL, low_j REAL, mid_j REAL, high_j REAL,
        first TEXT NOT NULL, last TEXT NOT NULL,
        PRIMARY KEY (host, day, notebook_id)
    ) WITHOUT ROWID""",
    """CREATE TABLE day_device (
        host TEXT NOT NULL, day TEXT NOT NULL, notebook_id TEXT NOT NULL, device TEXT NOT NULL,
        energy_j REAL NOT NULL, variance_j2 REAL NOT NULL, fourth_j4 REAL NOT NULL,
        u_systematic_j REAL NOT NULL, excess_systematic REAL NOT NULL,
        PRIMARY KEY (host, day, notebook_id, device)
    ) WITHOUT ROWID""",
    """CREATE TABLE day_grams (
        host TEXT NOT NULL, day TEXT NOT NULL, notebook_id TEXT NOT NULL,
        kind TEXT, zone TEXT, place TEXT, source TEXT, year INTEGER, pue REAL, how TEXT,
        assumed INTEGER NOT NULL, g_per_kwh REAL,
        low_g REAL NOT NULL, mid_g REAL NOT NULL, high_g REAL NOT NULL,
        energy_j REAL NOT NULL, estimated_g REAL NOT NULL
    )""",
    "CREATE INDEX day_grams_by_day ON day_grams (host, day)",
    """CREATE TABLE day_overlap (
        host TEXT NOT NULL, day TEXT NOT NULL, notebook_id TEXT NOT NULL, other TEXT NOT NULL,
        PRIMARY KEY (host, day, notebook_id, other)
    ) WITHOUT ROWID""",
    # The rows above of a closed day once more, as a sealed document (seal.py): no records are left
    # that they could be computed from again, and a damaged store gives it back.
    "CREATE TABLE closed_day (host TEXT NOT NULL, day TEXT NOT NULL, document TEXT NOT NULL)",
    "CREATE UNIQUE INDEX closed_day_once ON closed_day (host, day)",
    # One row for each prune: nothing that ended before that day comes back, whoever still has it.
    "CREATE TABLE pruned (before TEXT NOT NULL, pruned TEXT NOT NULL)",
    f"CREATE INDEX record_by_span ON record (host, {SPAN}, started, ended)",
    "DROP INDEX record_by_end",
    f"CREATE TRIGGER record_added AFTER INSERT ON record BEGIN {_stale('new')} END",
    f"CREATE TRIGGER record_changed AFTER UPDATE ON record BEGIN {_BOTH} END",
    f"CREATE TRIGGER record_deleted AFTER DELETE ON record BEGIN {_stale('old')} END",
    f"""CREATE TRIGGER record_pruned BEFORE INSERT ON record
        WHEN coalesce(new.ended, new.started) < {PRUNED}
        BEGIN SELECT RAISE(IGNORE); END""",
    f"""CREATE TRIGGER idle_pruned BEFORE INSERT ON idle
        WHEN new.started < {PRUNED}
        BEGIN SELECT RAISE(IGNORE); END""",
    # The runs that are there already: their days are to be computed.
    """INSERT INTO day (host, day, changes, state)
        SELECT DISTINCT coalesce(host, ''), substr(started, 1, 10), 0, 'stale' FROM record""",
)
# What a figure means: boundary, scope, resolution, quality, and whose figure the PUE is, before the
# factor. Of days that are closed it stays unknown; the others are computed again.
MEANING = (
    "DROP INDEX day_grams_by_day",
    "ALTER TABLE day_grams RENAME TO day_grams_before",
    """CREATE TABLE day_grams (
        host TEXT NOT NULL, day TEXT NOT NULL, notebook_id TEXT NOT NULL,
        kind TEXT, zone TEXT, place TEXT, source TEXT, year INTEGER, pue REAL, how TEXT,
        assumed INTEGER NOT NULL,
        boundary TEXT, scope TEXT, resolution TEXT, quality TEXT, pue_source TEXT, g_per_kwh REAL,
        low_g REAL NOT NULL, mid_g REAL NOT NULL, high_g REAL NOT NULL,
        energy_j REAL NOT NULL, estimated_g REAL NOT NULL
    )""",
    """INSERT INTO day_grams SELECT
        host, day, notebook_id, kind, zone, place, source, year, pue, how, assumed,
        NULL, NULL, NULL, NULL, NULL, g_per_kwh, low_g, mid_g, high_g, energy_j, estimated_g
        FROM day_grams_before""",
    "DROP TABLE day_grams_before",
    "CREATE INDEX day_grams_by_day ON day_grams (host, day)",
    "UPDATE day SET changes = changes + 1, state = 'stale' WHERE state = 'kept'",
    # One row each time that a notebook's grams were restated (`recompute`): whoever has added its
    # records up does so anew.
    """CREATE TABLE restated (
        number INTEGER PRIMARY KEY, notebook_id TEXT NOT NULL, restated TEXT NOT NULL
    )""",
)
