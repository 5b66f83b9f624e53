"""The papers' claims, each an expression over a table's cells, and what our measurements say of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import yaml

from clustlib import _paths
from clustlib.published.tables import PAPERS, choose, table, tables

_COMPARISON = re.compile(r"^(?P<left>.+?)\s*(?P<op>>=|<=|>|<)\s*(?P<right>.+)$")
_COMPARE = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}


@dataclass(frozen=True)
class Claim:
    """One claim of a paper.

    ``holds_if`` is ``left OP right`` over the columns of the tables' wide form: one row per data set
    and metric, one column per method (``columns="metric"``: one row per data set and method, one
    column per metric). With several tables the columns are named ``table-04:K-means``, unless
    ``stack`` puts the tables' rows under each other. ``best_other`` and ``worst_other`` are taken
    over the methods not in ``subject``. ``each`` makes the expression once per method, for ``{m}``.
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
    in_paper: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What the cells say of a claim: holds, partly, fails or not run.

    ``rows`` has one row per test: its name, left, right, holds; ``p_value`` is that of a one-sided
    paired t-test of left against right over data sets and seeds, NaN where there are no seeds.
    """

    claim: Claim
    verdict: str
    rows: pd.DataFrame
    p_value: float = float("nan")

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
    entries = yaml.safe_load(_paths.book("published", paper, "claims.yml").read_text())
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
    """The claim's tables in wide form; rows are (data set, metric or method[, seed])."""
    parts = {name: _select(claim, cells[name]) for name in claim.tables if name in cells}
    if len(parts) < len(claim.tables) and not claim.stack:
        return pd.DataFrame()
    frames = []
    for name, part in parts.items():
        prefix = "" if claim.stack or len(claim.tables) == 1 else f"{name}:"
        frames.append(part.assign(column=prefix + part[claim.columns]))
    if not frames:
        return pd.DataFrame()
    merged = pd.concat(frames)
    rows = [c for c in ("dataset", "metric", "method", "seed") if c in merged and c != claim.columns]
    wide = merged.pivot_table(index=rows, columns="column", values="value", aggfunc="mean")
    others = [column for column in wide if column.split(":")[-1] not in claim.subject]
    if claim.subject and others:
        wide["best_other"], wide["worst_other"] = wide[others].max(axis=1), wide[others].min(axis=1)
    return wide


def _tests(claim: Claim, wide: pd.DataFrame) -> pd.DataFrame:
    """Left, right and outcome of every instance of the expression that the cells allow."""
    tests = []
    for method in claim.each or [""]:
        match = _COMPARISON.match(claim.holds_if.replace("{m}", method))
        if match is None:
            raise ValueError(f"claim {claim.id}: {claim.holds_if!r} is not a comparison")
        names = re.findall(r"`([^`]+)`|\b(best_other|worst_other)\b", match.string)
        if any((a or b) not in wide for a, b in names):
            continue
        left, right = (wide.eval(match[side], engine="python") for side in ("left", "right"))
        frame = pd.DataFrame({"left": left, "right": right}, index=wide.index).dropna()
        frame["holds"] = _COMPARE[match["op"]](frame["left"], frame["right"])
        frame["gain"] = (frame["left"] - frame["right"]) * (1 if ">" in match["op"] else -1)
        tests.append(frame.assign(instance=method).reset_index())
    return pd.concat(tests, ignore_index=True) if tests else pd.DataFrame()


def _outcome(holds: pd.Series) -> str:
    if holds.empty:
        return "not run"
    return "holds" if holds.all() else "partly" if holds.any() else "fails"


def _paired_test(per_seed: pd.DataFrame) -> float:
    """One-sided paired t-test that the gain is positive; NaN with fewer than two different gains."""
    from scipy.stats import ttest_1samp

    if per_seed.empty or per_seed["seed"].nunique() < 2 or per_seed["gain"].nunique() < 2:
        return float("nan")
    return float(ttest_1samp(per_seed["gain"], 0, alternative="greater").pvalue)


def _name(row: pd.Series) -> str:
    return " ".join(str(row[c]) for c in ("dataset", "metric", "method", "instance") if row.get(c))


def evaluate(claim: Claim, cells: Mapping[str, pd.DataFrame]) -> Verdict:
    """Test a claim on cells: the paper's own, or ours.

    Parameters
    ----------
    cells : by table name, frames with dataset, method, metric, value and, where there are seeds, seed.
    """
    means = {name: frame.drop(columns="seed", errors="ignore") for name, frame in cells.items()}
    wide = _wide(claim, means)
    tests = _tests(claim, wide) if len(wide) else pd.DataFrame()
    if tests.empty:
        return Verdict(claim, "not run", pd.DataFrame(columns=["test", "left", "right", "holds"]))
    rows = tests.assign(test=tests.apply(_name, axis=1))[["test", "left", "right", "holds"]]
    p_value = float("nan")
    if all("seed" in cells[name] for name in claim.tables if name in cells):
        p_value = _paired_test(_tests(claim, _wide(claim, cells)))
    return Verdict(claim, _outcome(tests["holds"]), rows, p_value)
