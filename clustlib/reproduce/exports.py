"""The numbers out of the page: every cell as CSV, each table as CSV and LaTeX."""

import math
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from clustlib import _paths, datasets, published, records, report, results
from clustlib.results import Result

# where the files lie in the HTML, and in the folder that it is built from
FOLDER = "numbers"
COLUMNS = [
    "paper_key",
    "table",
    "dataset",
    "stand_in",
    "network",
    "method",
    "metric",
    "paper",
    "ours",
    "std",
    "n",
    "seeds",
    "difference",
    "reading",
    "additions",
    "verdict",
    "reason",
    "seconds",
    "device",
    "commit",
    "records",
]


def cells(found: list[Result], profile: str) -> pd.DataFrame:
    """Every cell of every table, with its seeds and the commits of the records behind it; columns ``COLUMNS``."""
    store = records.open_store(profile)
    frames = []
    for result in found:
        if len(result.comparison):
            shown_runs = {key: record for key in result.records if (record := store.read(key))}
            frames.append(_with_origin(result, shown_runs))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=COLUMNS)


def _with_origin(result: Result, made: dict[str, records.Record]) -> pd.DataFrame:
    every = report.all_cells([result])
    frame, runs = every.reindex(columns=COLUMNS), _runs(result)
    used = [measured_on(*names) for names in zip(frame["dataset"], frame["stand_in"].fillna(""))]
    lines = list(zip(used, every["row"], frame["metric"], frame["reading"]))
    values = [runs.get(line, set()) for line in lines]
    frame["seeds"] = [" ".join(str(seed) for seed in sorted({seed for seed, _ in own})) for own in values]
    named = [[made[key] for key in str(keys or "").split() if key in made] for keys in frame["records"]]
    of_cells = zip(lines, values, frame["n"], named)
    frame["commit"] = [
        _commits(own or _behind([*made.values()], *line[:2], runs)) if n else "" for line, runs, n, own in of_cells
    ]
    return frame


def measured_on(dataset: str, stand_in: str) -> str:
    """The data set behind a cell: what stands in for the published one, unless only the network does."""
    name = stand_in.partition(", ")[0]
    known = datasets.names()
    return name if name and all(part in known for part in name.split("->")) else dataset


def _runs(result: Result) -> dict[tuple, set[tuple[int, float]]]:
    """Seed and value of each run behind a line, by data set, method, metric and reading."""
    measured = result.measured
    if not {"seed", "value"} <= set(measured.columns):
        return {}
    known = measured.assign(table=measured.get("table", result.key)).dropna(subset=["value", "seed"])
    parts = [published.with_readings(part, result.paper, str(name)) for name, part in known.groupby("table")]
    groups = pd.concat(parts).groupby(["dataset", "method", "metric", "reading"]) if parts else ()
    return {name: set(zip(cells["seed"].astype(int), cells["value"])) for name, cells in groups}


def _behind(
    made: list[records.Record], dataset: str, method: str, runs: Collection[tuple[int, float]]
) -> list[records.Record]:
    """The records of a data set and method, of those that hold a value of ``runs`` where these tell.

    For cells that do not name theirs; all of the page's records where no name tells.
    """
    of_dataset = [r for r in made if r.params.get("dataset") == dataset] or made
    own = [r for r in of_dataset if r.params.get("method") == method] or of_dataset
    values = [value for _, value in runs]
    told = [r for r in own if any(math.isclose(held, value) for held in r.metrics.values() for value in values)]
    return told or own


def _commits(behind: list[records.Record]) -> str:
    return " ".join(sorted({record.provenance["commit"] for record in behind}))


def latex(table: pd.DataFrame) -> str:
    """One published table for a paper of one's own: ours ± deviation, the paper's value in brackets (booktabs)."""
    parts = []
    for metric, by_metric in table.groupby("metric", sort=False):
        heads = [
            f"{name} (stand-in: {used})" if used else name
            for name, used in zip(by_metric["dataset"], _stand_ins(by_metric))
        ]
        numbers = [_cell(*row) for row in zip(by_metric["ours"], by_metric["std"], by_metric["paper"])]
        shown = by_metric.assign(cell=numbers, dataset=heads)
        methods, datasets = list(dict.fromkeys(shown["method"])), list(dict.fromkeys(shown["dataset"]))
        wide = shown.pivot_table(index="method", columns="dataset", values="cell", aggfunc="first")
        wide = wide.reindex(index=methods, columns=datasets).fillna("").rename_axis(index=None, columns=None)
        head = f"% {metric}: ours, sample deviation over seeds, the paper's value in brackets; -- was not run\n"
        style = wide.style.format_index(escape="latex", axis=0).format_index(escape="latex", axis=1)
        parts.append(head + style.to_latex(hrules=True))
    return "\n".join(parts)


def _stand_ins(found: pd.DataFrame) -> list[str]:
    """For each cell what stands in for its data set in any of its column's cells."""
    used = (
        found[found["stand_in"].fillna("") != ""]
        .groupby("dataset")["stand_in"]
        .agg(lambda c: ", ".join(dict.fromkeys(c)))
    )
    return [str(used.get(name, "")) for name in found["dataset"]]


def _cell(ours: float, std: float, paper: float) -> str:
    mean = f"{ours:.3f}" if ours == ours else "--"
    spread = rf" $\pm$ {std:.3f}" if ours == ours and std == std else ""
    return f"{mean}{spread}" + (f" ({paper:.3f})" if paper == paper else "")


def csv(frame: pd.DataFrame) -> str:
    """The cells as CSV; ``paper`` is the paper there, and ``published`` the value that it prints."""
    return frame.rename(columns={"paper": "published", "paper_key": "paper"}).to_csv(index=False)


def names(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """The tables that have cells: paper and table."""
    return list(frame[["paper_key", "table"]].drop_duplicates().itertuples(index=False, name=None))


def write(folder: Path, profile: str = "paper") -> pd.DataFrame:
    """Write ``results.csv`` and each table's ``<paper>/<table>.csv`` and ``.tex``. Returns the cells."""
    frame = cells(results.read(profile), profile)
    _write(folder / "results.csv", csv(frame))
    for (paper, table), part in frame.groupby(["paper_key", "table"], sort=False):
        _write(folder / str(paper) / f"{table}.csv", csv(part))
        _write(folder / str(paper) / f"{table}.tex", latex(part))
    return frame


def _write(path: Path, text: str) -> None:
    _paths.write_atomically(path, text.encode("utf-8"))
