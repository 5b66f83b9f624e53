"""Whose algorithm a measured cell is: the paper's as written, as released, or ours with named additions.

``book/published/<paper>/readings.yml`` declares both once a paper: the list of additions, and which row, in which
table and variant of its run, is which reading.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import pandas as pd

from clustlib import _paths
from clustlib.errors import UsageError
from clustlib.published.contents import READINGS, read_yaml
from clustlib.published.tables import PAPERS, choose

WRITTEN, RELEASED, OURS = "as written", "as released", "ours"
NAMES = (WRITTEN, RELEASED, OURS)  # in the order in which a row prefers them
DRAWS = ("network", "k-means", "nothing")
DAGGER = "\N{DAGGER}"


@dataclass(frozen=True)
class Addition:
    """Something that neither the text nor the released code has.

    what : what it does. why : why it is there. labels : whether labels chose it, on which sets and when.
    worth : which records say what it is worth alone: see :func:`clustlib.additions.worth`.
    """

    name: str
    what: str
    why: str
    labels: str
    worth: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """Which reading a row is.

    Parameters
    ----------
    reading : one of :data:`NAMES`. additions : names of the paper's additions; none but in ours.
    draws : what a seed draws anew: the "network" (or another learnt representation), the "k-means" start on a fixed
        representation, or "nothing".
    network : the network that stands in for the paper's, by variant (or "else"), or the same for all.
    methods, tables, variants : where it applies; empty is everywhere.
    labels : of a reading of the paper's, what labels had to do with the choices that the text leaves to a reader.
    seen : the data sets whose labels they were.
    """

    reading: str
    draws: str = "network"
    additions: tuple[str, ...] = ()
    network: str | Mapping[str, str] = ""
    methods: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    labels: str = ""
    seen: tuple[str, ...] = ()

    def covers(self, table: str, method: str, variant: str) -> bool:
        """Whether it speaks of this row."""
        asked = ((self.tables, table), (self.methods, method), (self.variants, variant))
        return all(not named or name in named for named, name in asked)

    def network_of(self, variant: str) -> str:
        """The network that stands in for the paper's in a run of this variant; empty where it is the paper's."""
        return (
            self.network if isinstance(self.network, str) else self.network.get(variant, self.network.get("else", ""))
        )


def _declared(paper: str) -> dict[str, Any]:
    choose("paper", paper, PAPERS)
    file = _paths.book("published", paper, f"{READINGS}.yml")
    if not file.is_file():
        raise UsageError(f"{file} is missing: it says which reading each row is")
    return read_yaml(file)


def additions(paper: str) -> dict[str, Addition]:
    """The additions of ours to a paper's algorithms, by name."""
    listed: Mapping[str, Mapping[str, Any]] = _declared(paper).get("additions") or {}
    return {name: Addition(name, **text) for name, text in listed.items()}


def own_rows(paper: str) -> list[str]:
    """The rows of a paper's tables that are its own method."""
    return list(_declared(paper).get("own") or ())


def headline(paper: str) -> dict[str, Any]:
    """The row that a paper is known by, for its index page: tables, row and metric; empty where none is named."""
    named: dict[str, Any] = _declared(paper).get("headline") or {}
    if named and set(named) != {"tables", "row", "metric"}:
        raise UsageError(f"{paper}/{READINGS}.yml: a headline has tables, a row and a metric, got {', '.join(named)}")
    return named


def readings(paper: str) -> list[Reading]:
    """The declared readings of a paper's rows; the first that covers a row is its own."""
    return [_reading(paper, line) for line in _declared(paper).get("rows") or ()]


def _reading(paper: str, line: Mapping[str, Any]) -> Reading:
    for name in line:
        choose(f"entry of a row in {paper}/{READINGS}.yml", name, [each.name for each in fields(Reading)])
    plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in line.items()}
    parsed = Reading(**plain)
    choose("reading", parsed.reading, NAMES)
    choose("draws", parsed.draws, DRAWS)
    for name in parsed.additions:
        choose(f"addition of {paper}", name, additions(paper))
    if bool(parsed.seen) > bool(parsed.labels):
        raise UsageError(f"{paper}/{READINGS}.yml: labels that were seen are told of: {line}")
    if (parsed.reading == OURS) != bool(parsed.additions):
        raise UsageError(f"{paper}/{READINGS}.yml: ours is a reading with additions, and no other has any: {line}")
    return parsed


def reading(paper: str, table: str, method: str, variant: str = "") -> Reading:
    """The reading of one row; ``variant`` is that of its run, where it has one."""
    for known in readings(paper):
        if known.covers(table, method, variant):
            return known
    raise UsageError(f"{paper}/{READINGS}.yml does not say which reading {method!r} of {table} is")


def with_readings(cells: pd.DataFrame, paper: str, table: str) -> pd.DataFrame:
    """Measured cells with the columns reading, additions (joined by commas), draws, network and seen (bool).

    ``cells`` has the columns method and, where runs have variants, variant. Cells that have readings keep them.
    """
    if "reading" in cells:
        usual = {"additions": "", "draws": "network", "network": "", "seen": False}
        return cells.assign(**{name: value for name, value in usual.items() if name not in cells})
    variants = cells["variant"] if "variant" in cells else pd.Series("", index=cells.index)
    rows = list(zip(cells["method"], variants.where(variants.notna(), "")))
    known = {row: reading(paper, table, *row) for row in dict.fromkeys(rows)}
    matched = [known[row] for row in rows]
    return cells.assign(
        reading=[each.reading for each in matched],
        additions=[", ".join(each.additions) for each in matched],
        draws=[each.draws for each in matched],
        network=[each.network_of(variant) for each, (_, variant) in zip(matched, rows)],
        seen=[dataset in each.seen for each, dataset in zip(matched, cells["dataset"])],
    )
