"""The papers' tables as data, our measurements beside them, and the verdicts.

``book/published/<paper>/<table>.csv`` holds every published cell, transcribed once;
``claims.yml`` the paper's claims as expressions over those cells; ``contents.yml`` the list of all
its tables and figures.
"""

from clustlib.published.claims import Claim, Verdict, claims, evaluate, on_stand_ins
from clustlib.published.compare import COLUMNS, VERDICTS, averages, compare, summary
from clustlib.published.tables import PAPERS, contents, table, tables

__all__ = [
    "COLUMNS",
    "PAPERS",
    "VERDICTS",
    "Claim",
    "Verdict",
    "averages",
    "claims",
    "compare",
    "contents",
    "evaluate",
    "on_stand_ins",
    "summary",
    "table",
    "tables",
]
