"""The papers' tables as data, our measurements beside them, and the verdicts.

``book/published/<paper>/<table>.csv`` holds every published cell, transcribed once; ``<table>.yml`` beside it what
goes with the table: its title and notebook, the claims that rest on it, the parameters of the paper profile.
``readings.yml`` says whose algorithm each row is.
"""

from clustlib.published.claims import Claim, Verdict, claims, evaluate
from clustlib.published.compare import (
    COLUMNS,
    CONSTANTS,
    SCORES,
    SEEN,
    VERDICTS,
    as_cells,
    averages,
    by_reading,
    compare,
    second_readings,
    summary,
)
from clustlib.published.contents import Entry, bands, contents, entry, full_scale, profile, shown_by
from clustlib.published.readings import (
    OURS,
    RELEASED,
    WRITTEN,
    additions,
    headline,
    own_rows,
    reading,
    readings,
    with_readings,
)
from clustlib.published.tables import PAPERS, chosen, table, tables

__all__ = [
    "COLUMNS",
    "CONSTANTS",
    "OURS",
    "PAPERS",
    "RELEASED",
    "SCORES",
    "SEEN",
    "VERDICTS",
    "WRITTEN",
    "Claim",
    "Entry",
    "Verdict",
    "additions",
    "as_cells",
    "averages",
    "bands",
    "by_reading",
    "chosen",
    "claims",
    "compare",
    "contents",
    "entry",
    "evaluate",
    "full_scale",
    "headline",
    "own_rows",
    "profile",
    "reading",
    "readings",
    "second_readings",
    "shown_by",
    "summary",
    "table",
    "tables",
    "with_readings",
]
