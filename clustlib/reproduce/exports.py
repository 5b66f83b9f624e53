"""The numbers out of the page: every cell as CSV, each table as CSV and LaTeX."""

from pathlib import Path

import pandas as pd

from clustlib import _paths, records, report, results
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
]


def cells(found: list[Result], profile: str) -> pd.DataFrame:
    """Every cell of every table, with its seeds and the commits of the records behind it; columns ``COLUMNS``."""
    store = records.open_store(profile)
    frames = []
    for result in found:
        if len(result.comparison):
            made = [record for key in result.records if (record := store.read(key))]
            frames.append(_with_origin(result, made))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=COLUMNS)


def _with_origin(result: Result, made: list[records.Record]) -> pd.DataFrame:
    every = report.all_cells([result])
    frame, seeds = every.reindex(columns=COLUMNS), _seeds(result.measured)
    used = zip(frame["dataset"], frame["stand_in"], every["row"], frame["metric"])
    frame["seeds"] = [
        seeds.get((stand_in or dataset, method, metric), "") for dataset, stand_in, method, metric in used
    ]
    origins = zip(frame["dataset"], frame["stand_in"], every["row"], frame["n"])
    frame["commit"] = [
        _commits(made, stand_in or dataset, method) if n else "" for dataset, stand_in, method, n in origins
    ]
    return frame


def _seeds(measured: pd.DataFrame) -> dict[tuple, str]:
    """The seeds of each measured cell, by data set, method and metric."""
    if not {"seed", "value"} <= set(measured.columns):
        return {}
    known = measured.dropna(subset=["value", "seed"])
    groups = known.groupby(["dataset", "method", "metric"])["seed"]
    return {name: " ".join(str(int(seed)) for seed in sorted(set(group))) for name, group in groups}


def _commits(made: list[records.Record], dataset: str, method: str) -> str:
    """The commits of the records of a data set and method; of all the page's where their names do not tell."""
    own = [r for r in made if r.params.get("dataset") == dataset and r.params.get("method") == method]
    return " ".join(sorted({record.provenance["commit"] for record in own or made}))


def latex(table: pd.DataFrame) -> str:
    """One published table for a paper of one's own: ours ± deviation, the paper's value in brackets (booktabs)."""
    parts = []
    for metric, found in table.groupby("metric", sort=False):
        shown = found.assign(cell=[_cell(*row) for row in zip(found["ours"], found["std"], found["paper"])])
        methods, datasets = list(dict.fromkeys(shown["method"])), list(dict.fromkeys(shown["dataset"]))
        wide = shown.pivot_table(index="method", columns="dataset", values="cell", aggfunc="first")
        wide = wide.reindex(index=methods, columns=datasets).fillna("").rename_axis(index=None, columns=None)
        head = f"% {metric}: ours, sample deviation over seeds, the paper's value in brackets; -- was not run\n"
        style = wide.style.format_index(escape="latex", axis=0).format_index(escape="latex", axis=1)
        parts.append(head + style.to_latex(hrules=True))
    return "\n".join(parts)


def _cell(ours: float, std: float, paper: float) -> str:
    mean = f"{ours:.3f}" if ours == ours else "--"
    spread = rf" $\pm$ {std:.3f}" if ours == ours and std == std else ""
    return f"{mean}{spread}" + (f" ({paper:.3f})" if paper == paper else "")


def names(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """The tables that have cells: paper and table."""
    return list(frame[["paper_key", "table"]].drop_duplicates().itertuples(index=False, name=None))


def write(folder: Path, profile: str = "paper") -> pd.DataFrame:
    """Write ``results.csv`` and each table's ``<paper>/<table>.csv`` and ``.tex``. Returns the cells."""
    frame = cells(results.read(profile), profile)
    _write(folder / "results.csv", frame.to_csv(index=False))
    for (paper, table), part in frame.groupby(["paper_key", "table"], sort=False):
        _write(folder / str(paper) / f"{table}.csv", part.to_csv(index=False))
        _write(folder / str(paper) / f"{table}.tex", latex(part))
    return frame


def _write(path: Path, text: str) -> None:
    _paths.write_atomically(path, text.encode("utf-8"))
