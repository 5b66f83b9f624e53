"""The papers' tables as data, our measurements beside them, and the verdicts.

``book/published/<paper>/<table>.csv`` holds every published cell, transcribed once; ``<table>.yml`` beside it what goes
with the table: its title and notebook, the claims that rest on it, the parameters of the paper profile.
"""

from clustlib.published.claims import Claim, Verdict, claims, evaluate, on_stand_ins
from clustlib.published.compare import COLUMNS, VERDICTS, averages, compare, summary
from clustlib.published.contents import Entry, bands, contents, entry, profile
from clustlib.published.tables import PAPERS, table, tables

__all__ = [
    "COLUMNS",
    "PAPERS",
    "VERDICTS",
    "Claim",
    "Entry",
    "Verdict",
    "averages",
    "bands",
    "claims",
    "compare",
    "contents",
    "entry",
    "evaluate",
    "on_stand_ins",
    "profile",
    "summary",
    "table",
    "tables",
]
