"""The papers' claims, each an expression over a table's cells, and what our measurements say of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from clustlib.published.contents import contents
from clustlib.published.coverage import Coverage, coverage, set_of
from clustlib.published.readings import NAMES, OURS, RELEASED, WRITTEN
from clustlib.published.tables import AVERAGE, table, tables

_COMPARISON = re.compile(r"^(?P<left>.+?)\s*(?P<op>>=|<=|>|<)\s*(?P<right>.+)$")
_COMPARE = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}

CHANCE = 0.05  # a verdict that chance gives more often is no evidence
NARROW = 0.001  # what no seed and no rounding of a table leaves standing


@dataclass(frozen=True)
class Claim:
    """One claim of a paper.

    ``holds_if`` is ``left OP right`` over the columns of the tables' wide form: one row per data set
    and metric, one column per method (``columns="metric"``: one row per data set and method, one
    column per metric). With several tables the columns are named ``table-04:K-means``, unless
    ``stack`` puts the tables' rows under each other. ``best_other`` and ``worst_other`` are taken
    over the methods not in ``subject``. ``each`` makes the expression once per method, for ``{m}``.
    ``columns="both"`` names columns "method metric", one row per data set.
    With ``ours=False`` cells of ours cannot test it, whatever their names. ``within`` is the difference up to which two
    sides count as equal: nothing is told where seeds differ by more.
    With ``all_datasets`` the claim is about all of ``datasets`` together, and not tested on some of them.
    ``needs`` is a comparison, too: where it does not hold there is nothing to test (features that are worth nothing).
    A ``question`` is ours: the paper does not raise it, and it counts among no claims.
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
    ours: bool = True
    within: float = 0.0
    needs: str = ""
    question: bool = False
    in_paper: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What the cells say of a claim: holds, partly, fails or not run.

    ``rows`` has one row per test: its name, instance (of ``each``), data set, left, right, holds. Methods that are
    named beside each other are compared on the seeds that all were run with; ``best_other`` is the best mean.
    ``p_value`` is that of a one-sided paired t-test of left against right over ``runs``, NaN where there are fewer than
    two. A run is what was drawn anew: a data set and seed, or the data set alone where the seeds only start k-means on
    the same representation (``drawn`` says which); a run's metrics and methods are averaged first, as they are not
    independent.

    ``readings`` is "paper" where every cell is a reading of the paper's, "ours" where only cells of ours could test it.
    ``released`` is the verdict on the rows as released, where these say otherwise than those as written.
    """

    claim: Claim
    verdict: str
    rows: pd.DataFrame
    p_value: float = float("nan")
    runs: int = 0
    drawn: str = "runs"
    readings: str = "paper"
    coverage: Coverage = field(default_factory=Coverage)
    spread: float = 0.0  # of the seeds, where it is more than what decides, so that nothing is told
    released: "Verdict | None" = None

    @property
    def narrow(self) -> bool:
        """Whether the verdict would be another if the tests whose sides are within a thousandth came out otherwise."""
        close = (self.rows["left"] - self.rows["right"]).abs().between(0, NARROW, inclusive="neither")
        return self.verdict != "not run" and _outcome(self.rows["holds"] ^ close) != self.verdict

    @property
    def weak(self) -> str:
        """What makes a verdict one that another draw may turn: "one run", "may be chance", or nothing."""
        if self.verdict not in ("holds", "fails") or self.rows.empty:
            return ""
        if self.runs == 1:
            return "one run"
        by_chance = self.p_value if self.verdict == "holds" else 1 - self.p_value
        return "may be chance" if by_chance > CHANCE else ""

    @property
    def said(self) -> str:
        """The verdict with its coverage: "holds on 2 of the paper's 4 sets; 1 stand-in (ours only; one run)"."""
        ours = "ours only" if self.readings == OURS and self.verdict != "not run" else ""
        limits = "; ".join(filter(None, (ours, self.weak)))
        limits = f"({limits})" if limits else ""
        narrow = f"(by less than {NARROW})" if self.narrow else ""
        released = f"; as released: {self.released.said}" if self.released else ""
        return " ".join(filter(None, (self.verdict, narrow, str(self.coverage), limits))) + released

    @property
    def numbers(self) -> str:
        """How many tests hold, and the closest one: ``"4 of 5 hold; closest is usps nmi: A 0.65 (...)"``."""
        if self.rows.empty:
            return "no cell measured"
        if self.spread:
            return f"cannot be told: the seeds differ by {self.spread:.3f}, and {self.claim.within:g} would decide"
        closest = self.rows.loc[(self.rows["left"] - self.rows["right"]).abs().idxmin()]
        count, holding = len(self.rows), int(self.rows["holds"].sum())
        numbers = f"{closest['test']}: {_words(self.claim.holds_if, closest)}"
        return numbers if count == 1 else f"{holding} of {count} hold; closest is {numbers}"


_ASKED = {">": "more than", ">=": "at least", "<": "less than", "<=": "at most"}
_SIDE = 70  # letters of an expression that a sentence can hold


def _words(holds_if: str, test: pd.Series) -> str:
    """A test in words: "DBC 0.960 (more than the best other, 0.965, asked)"."""
    match = _COMPARISON.match(holds_if.replace("{m}", test["instance"]))
    assert match is not None  # as it was evaluated
    left, right = _side(match["left"]), _side(match["right"])
    asked = f"{right}, {test['right']:.3f}," if right else f"{test['right']:.3f}"
    return f"{left or 'the left side'} {test['left']:.3f} ({_ASKED[match['op']]} {asked} asked)"


def _side(expression: str) -> str:
    """One side of a comparison as people write it; empty for a number, and for what is too long for a sentence."""
    if "`" not in expression and "_other" not in expression:
        return ""
    plain = " ".join(expression.replace("`", "").split())
    plain = plain.replace("best_other", "the best other").replace("worst_other", "the worst other")
    plain = re.sub(r"^abs\((.*)\)$", r"|\1|", plain)
    return plain if len(plain) <= _SIDE else ""


def claims(paper: str) -> list[Claim]:
    """The claims of a paper, in the order of the tables that they rest on first."""
    return [Claim(**{"tables": [entry.key], **claim}) for entry in contents(paper) for claim in entry.claims]


def _select(claim: Claim, cells: pd.DataFrame) -> pd.DataFrame:
    metrics = [claim.metric] if isinstance(claim.metric, str) else claim.metric
    for column, wanted in (
        ("metric", metrics),
        ("method", claim.methods),
        ("dataset", _with_stand_ins(claim.datasets)),
    ):
        if wanted:
            cells = cells[cells[column].isin(wanted)]
    return _preferred(cells.dropna(subset=["value"]))


def _preferred(cells: pd.DataFrame) -> pd.DataFrame:
    """One reading a cell: as written, else as released, else ours."""
    if "reading" not in cells or cells.empty:
        return cells
    rank = cells["reading"].map(NAMES.index)
    return cells[rank == rank.groupby([cells[name] for name in ("dataset", "method", "metric")]).transform("min")]


def _released_first(cells: pd.DataFrame) -> pd.DataFrame:
    """Without the cells as written that there are as released, too."""
    if "reading" not in cells or cells.empty:
        return cells
    where = [cells[name] for name in ("dataset", "method", "metric")]
    both = (cells["reading"] == RELEASED).groupby(where).transform("any")
    return cells[~(both & (cells["reading"] == WRITTEN))]


def _with_stand_ins(names: list[str]) -> list[str]:
    """The data sets and those that stand in for them: a claim is tested on what could be had."""
    from clustlib.datasets.registry import stand_in_of

    return names + [substitute for name in names if (substitute := stand_in_of(name))]


def _parts(claim: Claim, cells: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The cells of each of the claim's tables that it speaks of."""
    return {name: _select(claim, cells[name]) for name in claim.tables if name in cells}


def _columns(claim: Claim, name: str, part: pd.DataFrame) -> pd.Series:
    prefix = "" if claim.stack or len(claim.tables) == 1 else f"{name}:"
    names = part["method"] + " " + part["metric"] if claim.columns == "both" else part[claim.columns]
    return prefix + names.astype(str)


def _wide(claim: Claim, cells: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The claim's tables in wide form; rows are (data set, metric or method, seed)."""
    parts = _parts(claim, cells)
    if len(parts) < len(claim.tables) and not claim.stack:
        return pd.DataFrame()
    frames = []
    for name, part in parts.items():
        seed = part["seed"].fillna(0) if "seed" in part else 0
        frames.append(part.assign(column=_columns(claim, name, part), seed=seed))
    if not frames:
        return pd.DataFrame()
    merged = pd.concat(frames)
    across = ("method", "metric") if claim.columns == "both" else (claim.columns,)
    rows = [c for c in ("dataset", "metric", "method", "seed") if c in merged and c not in across]
    return merged.pivot_table(index=rows, columns="column", values="value", aggfunc="mean")


def _with_others(claim: Claim, wide: pd.DataFrame) -> pd.DataFrame:
    """The columns ``best_other`` and ``worst_other``, over the methods that are not the claim's subject."""
    others = [column for column in wide if column.split(":")[-1] not in claim.subject]
    if not claim.subject or not others:
        return wide
    return wide.assign(best_other=wide[others].max(axis=1), worst_other=wide[others].min(axis=1))


def _drawn(claim: Claim, cells: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """What a seed draws anew, by column of the wide form: the most that any of its cells says."""
    drawn_with: dict[str, str] = {}
    for name, part in _parts(claim, cells).items():
        said = part["draws"] if "draws" in part else pd.Series("network", part.index)
        for column, draws in zip(_columns(claim, name, part), said):
            drawn_with[column] = min(drawn_with.get(column, draws), draws, key=("network", "k-means", "nothing").index)
    return drawn_with


def _means(claim: Claim, wide: pd.DataFrame, names: list[str], drawn: Mapping[str, str]) -> pd.DataFrame:
    """Means over seeds; the columns ``names`` over the seeds that all of them have, where there are any."""
    keys = [level for level in wide.index.names if level != "seed"]
    named = [name for name in names if drawn.get(name) != "nothing"]
    shared = wide[named].notna().all(axis=1)
    dropped = shared.groupby(level=keys).transform("any") & ~shared
    return _with_others(
        claim, wide.mask(wide.columns.isin(named) & dropped.to_numpy()[:, None]).groupby(level=keys).mean()
    )


def _tests(claim: Claim, wide: pd.DataFrame, drawn: Mapping[str, str], per_seed: bool = False) -> pd.DataFrame:
    """Left, right and outcome of every instance of the expression that the cells allow; whether seeds drew it anew."""
    tests = []
    for method in claim.each or [""]:
        match = _COMPARISON.match(claim.holds_if.replace("{m}", method))
        if match is None:
            raise ValueError(f"claim {claim.id}: {claim.holds_if!r} is not a comparison")
        rows_named = re.findall(r"`([^`]+)`|\b(best_other|worst_other)\b", match.string)
        names, others = [name for name, _ in rows_named if name], {other for _, other in rows_named if other}
        if not set(names) <= set(wide):
            continue
        table = _with_others(claim, wide) if per_seed else _means(claim, wide, names, drawn)
        if not others <= set(table):
            continue
        rows = table.reset_index(drop=True)  # pandas would copy the levels of the index for every column
        sides = (np.asarray(rows.eval(match[side], engine="python")) for side in ("left", "right"))
        left, right = (np.broadcast_to(side, len(rows)) for side in sides)  # a side may be a number
        there = _where(claim.needs, rows)
        frame = pd.DataFrame({"left": left, "right": right}, index=table.index)[there].dropna()
        frame["holds"] = _COMPARE[match["op"]](frame["left"], frame["right"])
        frame["gain"] = (frame["left"] - frame["right"]) * (1 if ">" in match["op"] else -1)
        involved = list(wide) if others else names
        frame["anew"] = any(drawn.get(name) == "network" for name in involved)
        tests.append(frame.assign(instance=method).reset_index())
    return pd.concat(tests, ignore_index=True) if tests else pd.DataFrame()


def _where(needs: str, rows: pd.DataFrame) -> np.ndarray:
    """Which rows a claim can be tested on (n,) bool; False where what it needs is missing."""
    if not needs:
        return np.ones(len(rows), bool)
    if not set(re.findall(r"`([^`]+)`", needs)) <= set(rows):
        return np.zeros(len(rows), bool)
    return np.asarray(rows.eval(needs, engine="python"), bool)


def _outcome(holds: pd.Series) -> str:
    if holds.empty:
        return "not run"
    return "holds" if holds.all() else "partly" if holds.any() else "fails"


def _paired_test(per_seed: pd.DataFrame) -> tuple[float, int, str]:
    """One-sided paired t-test that the gain is positive, over what was drawn anew; NaN below two different gains.

    One run of a row that a seed draws anew is counted as one.
    """
    nothing = (float("nan"), 0, "runs")
    if per_seed.empty:
        return nothing
    drawn = per_seed.loc[per_seed["anew"] & (per_seed["dataset"] != AVERAGE), ["dataset", "seed"]].drop_duplicates()
    if len(drawn) == 1:
        return (float("nan"), 1, "runs")
    if per_seed["seed"].nunique() < 2:
        return nothing
    anew = bool(per_seed["anew"].any())
    gains = per_seed.groupby(["dataset", "seed"] if anew else "dataset")["gain"].mean()
    if gains.nunique() < 2:
        return nothing
    from scipy.special import stdtr  # Student's distribution; scipy.stats takes a second to import

    p_value = float(stdtr(len(gains) - 1, -gains.mean() / gains.sem()))
    return p_value, len(gains), "runs" if anew else "data sets"


def _name(row: pd.Series) -> str:
    return " ".join(str(row[c]).replace("_", " ") for c in ("dataset", "metric", "method") if row.get(c))


def _all_there(claim: Claim, tests: pd.DataFrame) -> bool:
    """Whether every data set of the claim, or its stand-in, is among the tests."""
    datasets = set(tests["dataset"])
    return all(datasets.intersection(_with_stand_ins([name])) for name in claim.datasets)


def evaluate(claim: Claim, cells: Mapping[str, pd.DataFrame], paper: str = "") -> Verdict:
    """Test a claim on cells: the paper's own, or ours.

    Where cells have readings, those of the paper's come first, as written before as released; where the rows as
    released say otherwise, the verdict has theirs beside it. Only where they allow no test at all are cells of ours
    used beside them, and the verdict says so.

    Parameters
    ----------
    cells : by table name, frames with dataset, method, metric, value and, where there are seeds, seed; reading,
        draws and network as :func:`clustlib.published.with_readings` gives them.
    paper : the paper whose sets the coverage counts.
    """
    theirs = {name: frame[frame["reading"] != OURS] if "reading" in frame else frame for name, frame in cells.items()}
    verdict = _evaluate(claim, theirs, paper)
    released = {name: _released_first(frame) for name, frame in theirs.items()}
    if any(len(released[name]) < len(frame) for name, frame in theirs.items()):
        other = _evaluate(claim, released, paper)
        if other.verdict != verdict.verdict:
            return replace(verdict, released=other)
    any_of_ours = any(len(theirs[name]) < len(frame) for name, frame in cells.items())
    if verdict.verdict != "not run" or not claim.ours or not any_of_ours:
        return verdict
    return replace(_evaluate(claim, cells, paper), readings=OURS)


def _evaluate(claim: Claim, cells: Mapping[str, pd.DataFrame], paper: str) -> Verdict:
    wide, drawn = _wide(claim, cells), _drawn(claim, cells)
    tests = _tests(claim, wide, drawn) if len(wide) else pd.DataFrame()
    if tests.empty or (claim.all_datasets and not _all_there(claim, tests)):
        return Verdict(
            claim, "not run", pd.DataFrame(columns=["test", "instance", "dataset", "left", "right", "holds"])
        )
    rows = tests.assign(test=tests.apply(_name, axis=1))[["test", "instance", "dataset", "left", "right", "holds"]]
    per_seed = _tests(claim, wide, drawn, per_seed=True)
    spread = per_seed.groupby(["dataset", "instance"])["left"].std().max() if claim.within else 0.0
    outcome = "not run" if spread > claim.within else _outcome(tests["holds"])
    undecided = float(spread) if outcome == "not run" else 0.0
    covered = coverage(rows["dataset"], list(_parts(claim, cells).values()), _printed_sets(claim, paper), paper)
    return Verdict(claim, outcome, rows, *_paired_test(per_seed), coverage=covered, spread=undecided)


def _printed_sets(claim: Claim, paper: str) -> set[str]:
    """The data sets that the paper prints cells of a claim for."""
    if not paper:
        return set()
    own = {name: table(paper, name) for name in set(claim.tables) & set(tables(paper))}
    return {set_of(dataset) for part in _parts(claim, own).values() for dataset in part["dataset"]} - {AVERAGE}
