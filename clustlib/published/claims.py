"""The papers' claims, each an expression over a table's cells, and what our measurements say of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from clustlib import _paths
from clustlib.published.tables import PAPERS, choose, table, tables
from clustlib.rows import DETERMINISTIC

_COMPARISON = re.compile(r"^(?P<left>.+?)\s*(?P<op>>=|<=|>|<)\s*(?P<right>.+)$")
_PART = re.compile(r"->| \(")  # "source (images)->target"
_COMPARE = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}


@dataclass(frozen=True)
class Claim:
    """One claim of a paper.

    ``holds_if`` is ``left OP right`` over the columns of the tables' wide form: one row per data set
    and metric, one column per method (``columns="metric"``: one row per data set and method, one
    column per metric). With several tables the columns are named ``table-04:K-means``, unless
    ``stack`` puts the tables' rows under each other. ``best_other`` and ``worst_other`` are taken
    over the methods not in ``subject``. ``each`` makes the expression once per method, for ``{m}``.
    With ``all_datasets`` the claim is about all of ``datasets`` together, and not tested on some of them.
    """

    id: str
    claim: str
    where: str
    tables: list[str]
    holds_if: str
    metric: str | list[str] | None = None
    subject: list[str] = field(default_factory=list)
    each: list[str] = field(default_factory=list)
    columns: str = "method"
    methods: list[str] = field(default_factory=list)
    datasets: list[str] = field(default_factory=list)
    stack: bool = False
    all_datasets: bool = False
    in_paper: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What the cells say of a claim: holds, partly, fails or not run.

    ``rows`` has one row per test: its name, data set, left, right, holds. Methods that are named beside each other
    are compared on the seeds that all of them were run with; ``best_other`` is the best mean. ``p_value`` is that of
    a one-sided paired t-test of left against right over ``runs`` (data sets and seeds; a run's metrics and methods
    are averaged first, since they are not independent), NaN where there are no seeds.
    """

    claim: Claim
    verdict: str
    rows: pd.DataFrame
    p_value: float = float("nan")
    runs: int = 0

    @property
    def numbers(self) -> str:
        """How many tests hold, and the closest one: ``"4 of 5; closest: usps .74 > .70"``."""
        if self.rows.empty:
            return "no cell measured"
        closest = self.rows.loc[(self.rows["left"] - self.rows["right"]).abs().idxmin()]
        text = f"{int(self.rows['holds'].sum())} of {len(self.rows)}"
        return f"{text}; closest: {closest['test']} {closest['left']:.3f} against {closest['right']:.3f}"


def claims(paper: str) -> list[Claim]:
    """The claims of a paper, as written in ``book/published/<paper>/claims.yml``."""
    choose("paper", paper, PAPERS)
    entries = yaml.safe_load(_paths.book("published", paper, "claims.yml").read_text(encoding="utf-8"))
    return [Claim(**entry) for entry in entries]


def published_cells(paper: str) -> dict[str, pd.DataFrame]:
    """Every published table of a paper in the form that :func:`evaluate` reads."""
    return {name: table(paper, name) for name in tables(paper)}


def _select(claim: Claim, cells: pd.DataFrame) -> pd.DataFrame:
    metrics = [claim.metric] if isinstance(claim.metric, str) else claim.metric
    for column, wanted in (
        ("metric", metrics),
        ("method", claim.methods),
        ("dataset", _with_stand_ins(claim.datasets)),
    ):
        if wanted:
            cells = cells[cells[column].isin(wanted)]
    return cells.dropna(subset=["value"])


def _with_stand_ins(names: list[str]) -> list[str]:
    """The data sets and those that stand in for them: a claim is tested on what could be had."""
    from clustlib.datasets.registry import stand_in_of

    return names + [substitute for name in names if (substitute := stand_in_of(name))]


def _wide(claim: Claim, cells: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The claim's tables in wide form; rows are (data set, metric or method, seed)."""
    parts = {name: _select(claim, cells[name]) for name in claim.tables if name in cells}
    if len(parts) < len(claim.tables) and not claim.stack:
        return pd.DataFrame()
    frames = []
    for name, part in parts.items():
        prefix = "" if claim.stack or len(claim.tables) == 1 else f"{name}:"
        seed = part["seed"].fillna(0) if "seed" in part else 0
        frames.append(part.assign(column=prefix + part[claim.columns], seed=seed))
    if not frames:
        return pd.DataFrame()
    merged = pd.concat(frames)
    rows = [c for c in ("dataset", "metric", "method", "seed") if c in merged and c != claim.columns]
    return merged.pivot_table(index=rows, columns="column", values="value", aggfunc="mean")


def _with_others(claim: Claim, wide: pd.DataFrame) -> pd.DataFrame:
    """The columns ``best_other`` and ``worst_other``, over the methods that are not the claim's subject."""
    others = [column for column in wide if column.split(":")[-1] not in claim.subject]
    if not claim.subject or not others:
        return wide
    return wide.assign(best_other=wide[others].max(axis=1), worst_other=wide[others].min(axis=1))


def _means(claim: Claim, wide: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Means over seeds; the columns ``names`` over the seeds that all of them have, where there are any."""
    keys = [level for level in wide.index.names if level != "seed"]
    named = [name for name in names if name.split(":")[-1] not in DETERMINISTIC]
    shared = wide[named].notna().all(axis=1)
    dropped = shared.groupby(level=keys).transform("any") & ~shared
    return _with_others(
        claim, wide.mask(wide.columns.isin(named) & dropped.to_numpy()[:, None]).groupby(level=keys).mean()
    )


def _tests(claim: Claim, wide: pd.DataFrame, per_seed: bool = False) -> pd.DataFrame:
    """Left, right and outcome of every instance of the expression that the cells allow."""
    tests = []
    for method in claim.each or [""]:
        match = _COMPARISON.match(claim.holds_if.replace("{m}", method))
        if match is None:
            raise ValueError(f"claim {claim.id}: {claim.holds_if!r} is not a comparison")
        found = re.findall(r"`([^`]+)`|\b(best_other|worst_other)\b", match.string)
        names, others = [name for name, _ in found if name], {other for _, other in found if other}
        if not set(names) <= set(wide):
            continue
        table = _with_others(claim, wide) if per_seed else _means(claim, wide, names)
        if not others <= set(table):
            continue
        rows = table.reset_index(drop=True)  # pandas would copy the levels of the index for every column
        sides = (np.asarray(rows.eval(match[side], engine="python")) for side in ("left", "right"))
        left, right = (np.broadcast_to(side, len(rows)) for side in sides)  # a side may be a number
        frame = pd.DataFrame({"left": left, "right": right}, index=table.index).dropna()
        frame["holds"] = _COMPARE[match["op"]](frame["left"], frame["right"])
        frame["gain"] = (frame["left"] - frame["right"]) * (1 if ">" in match["op"] else -1)
        tests.append(frame.assign(instance=method).reset_index())
    return pd.concat(tests, ignore_index=True) if tests else pd.DataFrame()


def _outcome(holds: pd.Series) -> str:
    if holds.empty:
        return "not run"
    return "holds" if holds.all() else "partly" if holds.any() else "fails"


def _paired_test(per_seed: pd.DataFrame) -> tuple[float, int]:
    """One-sided paired t-test that the gain is positive, over runs; NaN with fewer than two different gains."""
    if per_seed.empty or per_seed["seed"].nunique() < 2:
        return float("nan"), 0
    gains = per_seed.groupby(["dataset", "seed"])["gain"].mean()
    if gains.nunique() < 2:
        return float("nan"), 0
    from scipy.special import stdtr  # Student's distribution; scipy.stats takes a second to import

    return float(stdtr(len(gains) - 1, -gains.mean() / gains.sem())), len(gains)


def _name(row: pd.Series) -> str:
    return " ".join(str(row[c]) for c in ("dataset", "metric", "method", "instance") if row.get(c))


def _all_there(claim: Claim, tests: pd.DataFrame) -> bool:
    """Whether every data set of the claim, or its stand-in, is among the tests."""
    found = set(tests["dataset"])
    return all(found.intersection(_with_stand_ins([name])) for name in claim.datasets)


def evaluate(claim: Claim, cells: Mapping[str, pd.DataFrame]) -> Verdict:
    """Test a claim on cells: the paper's own, or ours.

    Parameters
    ----------
    cells : by table name, frames with dataset, method, metric, value and, where there are seeds, seed.
    """
    wide = _wide(claim, cells)
    tests = _tests(claim, wide) if len(wide) else pd.DataFrame()
    if tests.empty or (claim.all_datasets and not _all_there(claim, tests)):
        return Verdict(claim, "not run", pd.DataFrame(columns=["test", "dataset", "left", "right", "holds"]))
    rows = tests.assign(test=tests.apply(_name, axis=1))[["test", "dataset", "left", "right", "holds"]]
    return Verdict(claim, _outcome(tests["holds"]), rows, *_paired_test(_tests(claim, wide, per_seed=True)))


def on_stand_ins(paper: str, verdict: Verdict) -> bool:
    """Whether every test of a verdict is on a data set that stands in for one of the paper's."""
    from clustlib import datasets

    substitutes = {datasets.info(name).stand_in for name in datasets.names()} - _own_sets(paper, _paths.root())
    parts = [set(_PART.split(name)) for name in verdict.rows["dataset"]]
    return bool(parts) and all(part & substitutes for part in parts)


@cache
def _own_sets(paper: str, root: Path) -> set[str]:
    """The data sets that a paper's tables name, in the book at ``root``."""
    return {
        part for cells in published_cells(paper).values() for name in cells["dataset"] for part in _PART.split(name)
    }
