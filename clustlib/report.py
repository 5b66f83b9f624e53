"""What the notebooks measured, gathered for the dashboard and the pages of the papers."""

from collections.abc import Callable
from functools import cache
from html import escape

import pandas as pd
from pandas.io.formats.style import Styler

from clustlib import datasets, published, records, results
from clustlib.published import VERDICTS, Verdict, summary
from clustlib.records.freshness import STATES
from clustlib.records.status import chains
from clustlib.results import Result

CLAIM_COLUMNS = ["claim", "where", "on our cells", "tests that hold", "on the paper's own cells"]
SYMBOLS = {"holds": "✔ holds", "partly": "◐ partly", "fails": "✘ fails", "not run": "– not run"}


def styled(frame: pd.DataFrame, name: str) -> Styler:
    """A data frame as an HTML table that wraps long text; ``name`` keeps its ids the same every time."""
    return frame.style.hide(axis="index").set_uuid(name).format(precision=3, na_rep="")


def verdict_counts(found: list[Result], again: bool = False) -> pd.DataFrame:
    """Scores by verdict, one row a table (index ``paper/table``); a notebook that failed has no cells.

    ``again`` counts the second readings of scores, as :func:`clustlib.published.summary` does.
    """
    cells = scores(all_cells(found))
    rows = {f"{paper}/{table}": summary(part, again) for (paper, table), part in cells.groupby(["paper_key", "table"])}
    return pd.DataFrame(rows, index=list(VERDICTS)).T.astype(int).reindex(columns=[*published.SCORES, published.OURS])


def scores(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells that are no constants."""
    return cells[~cells["constant"].astype(bool)]


def verdict_table(found: list[Result]) -> Styler:
    """Scores by verdict as people read them: a line a table, linked to its page, and the sum of each paper.

    The columns of the verdicts add up to "published"; second readings, numbers that the paper does not have and lines
    of ours stand apart.
    """
    counts = verdict_counts(found)
    counts["again"] = verdict_counts(found, again=True).sum(axis=1)
    pages = {f"{r.paper}/{table}": r for r in found if len(r.comparison) for table in r.comparison["table"].unique()}
    rows = []
    for paper in published.PAPERS:
        own = counts[counts.index.astype(str).str.startswith(f"{paper}/")]
        rows += [
            {"paper": paper, "table": page_link(pages[name], str(name).partition("/")[2]), **_added_up(line)}
            for name, line in own.iterrows()
        ]
        rows += [{"paper": paper, "table": "all", **_added_up(own.sum())}] if len(own) else []
    return styled(pd.DataFrame(rows), "verdicts")


def _added_up(counts: pd.Series) -> dict[str, int]:
    judged = [name for name in published.SCORES if name != "no paper value"]
    by_verdict = {name: int(counts[name]) for name in judged}
    named = {"as released, too": "again", "not in the paper": "no paper value", "ours \N{DAGGER}": published.OURS}
    extra = {head: int(counts[name]) for head, name in named.items()}
    return {"published": sum(by_verdict.values()), **by_verdict, **extra}


def constants(found: list[Result]) -> Styler:
    """The checks of our transcription: sizes of data sets, layer shapes and settings, one line a table."""
    cells = all_cells(found)
    own = cells[cells["constant"].astype(bool)]
    names = ["paper_key", "table", "verdict"]
    wide = own[names].value_counts().unstack(fill_value=0).reset_index().rename(columns={"paper_key": "paper"})
    return styled(wide, "constants")


def page_link(result: Result, text: str = "") -> str:
    """A link to the page of a result, from any other page of a notebook, as HTML."""
    entries = published.shown_by(result.paper, result.key)
    stem = next((entry.notebook for entry in entries if entry.notebook), result.key)
    return f'<a href="../{result.paper}/{stem}.html">{escape(text or result.key)}</a>'


def all_cells(found: list[Result]) -> pd.DataFrame:
    """The comparisons of every table under each other, with columns ``paper_key`` and ``table``."""
    frames = [r.comparison.assign(paper_key=r.paper) for r in found if len(r.comparison)]
    columns = [*published.COLUMNS, "table", "paper_key"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def verdicts(
    paper: str, profile: str, fresh: dict[str, pd.DataFrame] | None = None, key: str | None = None
) -> list[Verdict]:
    """Every claim of a paper, or of its table ``key``, on what a profile's notebooks measured.

    ``fresh`` cells replace the saved ones.
    """
    if fresh is None and key is None:
        return list(_saved_verdicts(paper, profile, results.state(profile, paper)))
    return _evaluated(paper, profile, fresh or {}, key)


@cache
def _saved_verdicts(paper: str, profile: str, _state: tuple) -> list[Verdict]:
    """Kept, since the dashboard asks three times; ``_state`` tells whether a result has changed meanwhile."""
    return _evaluated(paper, profile, {}, None)


def _evaluated(paper: str, profile: str, fresh: dict[str, pd.DataFrame], key: str | None) -> list[Verdict]:
    saved: dict[str, pd.DataFrame] = {}
    for result in results.read(profile, paper):
        if len(result.measured):
            saved |= {str(table): cells for table, cells in result.measured.groupby("table")}
    chosen = [claim for claim in published.claims(paper) if key is None or key in claim.tables]
    needed = {name for claim in chosen for name in claim.tables}
    cells = {
        name: published.with_readings(frame.dropna(subset=["value"]), paper, name)
        for name, frame in {**saved, **fresh}.items()
        if name in needed
    }
    return [published.evaluate(claim, cells, paper) for claim in chosen]


def claim_row(verdict: Verdict, paper: str = "") -> dict[str, str]:
    """A claim and its verdict as a row of a table that people read; with ``paper``, linked to its evidence (HTML)."""
    claim = verdict.claim
    ours = f"{SYMBOLS[verdict.verdict]}{verdict.said.removeprefix(verdict.verdict)}"
    known = verdict.p_value == verdict.p_value
    sure = f"; over {verdict.runs} {verdict.drawn} p = {verdict.p_value:.2g}" if known else ""
    numbers = verdict.numbers + ("; one run" if verdict.runs == 1 and not known else sure)
    own = SYMBOLS[claim.in_paper] if claim.in_paper else ""
    where = f"{escape(claim.where)}: {_evidence(claim, paper)}" if paper else claim.where
    return dict(zip(CLAIM_COLUMNS, (claim.claim, where, ours, numbers, own)))


def _evidence(claim: published.Claim, paper: str) -> str:
    """Links to the pages whose cells a claim is tested on."""
    stems = {key: published.entry(paper, key).notebook for key in claim.tables}
    return ", ".join(f'<a href="../{paper}/{stem}.html">{escape(key)}</a>' for key, stem in stems.items() if stem)


def claims_of(paper: str, key: str, profile: str, measured: pd.DataFrame) -> Styler:
    """The claims that rest on one table, tested on its cells and on what other notebooks measured.

    The HTML book makes this table again when every notebook has run, so that each page shows the same verdicts.
    """
    return claims_table(paper, key, verdicts(paper, profile, {key: measured}, key))


def claims_table(paper: str, key: str, found: list[Verdict]) -> Styler:
    """Those of a paper's verdicts that rest on one table."""
    rows = [claim_row(verdict, paper) for verdict in found if key in verdict.claim.tables]
    return styled(pd.DataFrame(rows), f"claims-{paper}-{key}")


def claims(profile: str, tested: bool = True) -> Styler:
    """The claims of every paper that our cells can test, or (``tested=False``) those that they cannot yet."""
    frame = _rows(profile, lambda found: not found.claim.question and (found.verdict != "not run") == tested)
    return styled(frame if tested else frame.drop(columns=["on our cells", "tests that hold"]), f"claims-{tested}")


def questions(profile: str) -> Styler:
    """What we asked and no paper did, with the answers: they count among no claims."""
    frame = _rows(profile, lambda found: found.claim.question).drop(columns=CLAIM_COLUMNS[-1])
    return styled(frame.rename(columns={CLAIM_COLUMNS[0]: "question"}), "questions")


def _rows(profile: str, wanted: Callable[[Verdict], bool]) -> pd.DataFrame:
    """The wanted ones of every paper's verdicts, a row each."""
    rows = [
        {"paper": paper, **claim_row(verdict, paper)}
        for paper in published.PAPERS
        for verdict in verdicts(paper, profile)
        if wanted(verdict)
    ]
    return pd.DataFrame(rows, columns=["paper", *CLAIM_COLUMNS])


def variants(profile: str) -> pd.DataFrame:
    """Published against released on raw pixels: the NMI of JULE's Table 3, for every row and data set that has both.

    Columns: method, dataset, paper (of the set that ours stands in for, where it does), released and published
    (means over seeds), nearer (which of the two is nearer to the paper; empty where they differ by less than 0.005).
    """
    store = records.open_store(profile)
    every = [record for key in store.all_keys() if (record := store.read(key))]
    read = [record for record in every if record.provenance["function"].endswith(":cluster_pixels")]
    rows = [(r.params["method"], r.params["dataset"], r.params["variant"], r.metrics["nmi_geometric"]) for r in read]
    frame = pd.DataFrame(rows, columns=["method", "dataset", "variant", "value"])
    wide = frame.pivot_table(index=["method", "dataset"], columns="variant", values="value", aggfunc="mean")
    wide = wide.reindex(columns=["released", "published"]).dropna().reset_index()
    wide.insert(2, "paper", [_printed(dataset, method) for method, dataset in zip(wide["method"], wide["dataset"])])
    gaps = (wide[["released", "published"]].sub(wide["paper"], axis=0)).abs()
    differ = (wide["released"] - wide["published"]).abs() >= 0.005
    nearer = gaps.dropna().idxmin(axis=1).reindex(wide.index)
    return wide.assign(nearer=nearer.where(differ & nearer.notna(), ""))


def _printed(dataset: str, method: str) -> float:
    """The NMI that Table 3 prints for a data set, or for the one that it stands in for."""
    table = published.table("jule", "table-03")
    for name in (dataset, *(n for n in datasets.names() if datasets.info(n).stand_in == dataset)):
        cell = table[(table["dataset"] == name) & (table["method"] == method) & (table["metric"] == "nmi")]["value"]
        if len(cell):
            return float(cell.iloc[0])
    return float("nan")


def provenance(found: list[Result], profile: str) -> Styler:
    """What the records behind the results were made on: device, versions, commit, how many; how many in which state."""
    store = records.open_store(profile)
    keys = sorted({key for result in found for key in result.records})
    used = [record for key in keys if (record := store.read(key))]
    frame = pd.DataFrame([_origin(record) for record in used], columns=["device", "versions", "commit", "state"])
    made_on = frame.groupby(["device", "versions", "commit"], sort=False)["state"]
    counted = made_on.value_counts().unstack(fill_value=0).reindex(columns=list(STATES), fill_value=0)
    return styled(counted.assign(records=counted.sum(axis=1)).reset_index(), "provenance")


def carried() -> Styler:
    """The ledger: each change of the code that left records standing, what showed it, and how many it carries."""
    return styled(chains(), "provenance")


def _origin(record: records.Record) -> dict:
    provenance = record.provenance
    versions = ", ".join(f"{name} {version}" for name, version in provenance["versions"].items())
    return {
        "device": provenance["device"],
        "versions": versions,
        "commit": provenance["commit"],
        "state": records.judge(record).state,
    }


def cost(found: list[Result], profile: str) -> Styler:
    """What each notebook cost: seconds of computing behind the records that it shows, each counted once."""
    store = records.open_store(profile)
    rows = []
    for result in found:
        shown = [record for key in sorted(set(result.records)) if (record := store.read(key))]
        computing = sum(record.seconds for record in shown)
        rows.append({"notebook": f"{result.paper}/{result.key}", "computing (s)": computing, "state": result.status})
    return styled(pd.DataFrame(rows, columns=["notebook", "computing (s)", "state"]), "cost")
