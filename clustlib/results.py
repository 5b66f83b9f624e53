"""What a notebook hands on: its table, its claims and its regression metrics, for the dashboard.

Each notebook ends by calling :func:`finish`. In the quick profile that also checks the metrics
against their committed bands (``book/records/quick.json``), which is the regression check.
Whoever runs a notebook says where its outcome goes, and how it ended (:func:`close`); opened by hand, in
JupyterLab, it leaves the book's results as they are.
"""

import contextlib
import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from clustlib import _paths, published, records
from clustlib.errors import OneLine
from clustlib.published import COLUMNS
from clustlib.published.compare import VERDICTS, summary

BAND = 0.02  # half-width of a regression band, in the metric's units, where a table's yml has no wider one

PLACE = "CLUSTLIB_RESULT"  # the environment variable that names the file for a notebook's outcome
Found = TypeVar("Found")
OK, UNFINISHED = "ok", "unfinished"
# the columns of cells that hold numbers, or null where nothing was measured
NUMBERS = ("value", "seconds", "paper", "ours", "std", "difference")


_HELD: dict[str, Any] = {
    "paper": str,
    "key": str,
    "status": str,
    "seconds": (int, float),
    "regression": dict,
    "records": list,
}


class ResultDamaged(OneLine, OSError):
    """A result that is half-written or none."""


@dataclass(frozen=True)
class Result:
    """One notebook's outcome in one profile."""

    paper: str
    key: str
    status: str = UNFINISHED  # until OK is proved, or the error's one line
    seconds: float = float("nan")
    comparison: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=COLUMNS))
    measured: pd.DataFrame = field(default_factory=pd.DataFrame)
    regression: dict[str, float] = field(default_factory=dict)
    records: list[str] = field(default_factory=list)
    records_digest: str = ""


def path(profile: str, paper: str, key: str) -> Path:
    """The file that holds a notebook's result."""
    return _paths.build(profile) / "results" / paper / f"{key}.json"


def handed_on(file: Path) -> Path:
    """Where a notebook's outcome waits until the run has ended and ``file`` can say how."""
    return file.with_suffix(".outcome")


def _frame_json(frame: pd.DataFrame | None) -> list[dict] | None:
    return None if frame is None else json.loads(frame.to_json(orient="records", double_precision=15))


def _frame(rows: list[dict]) -> pd.DataFrame:
    """The inverse of :func:`_frame_json`; a column of nothing but nulls is a column of missing numbers."""
    frame = pd.DataFrame(rows)
    numbers = [name for name in NUMBERS if name in frame]
    return frame.astype(dict.fromkeys(numbers, float)).infer_objects()


def _save(file: Path, content: dict[str, Any]) -> None:
    """Write a result atomically; data frames become lists of rows."""
    plain = {name: _frame_json(v) if isinstance(v, pd.DataFrame) else v for name, v in content.items()}
    _paths.write_atomically(file, json.dumps(plain).encode())


def content(file: Path) -> dict[str, Any]:
    """What a result's file holds. Raises :class:`ResultDamaged`."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ResultDamaged(f"{file} holds no result; delete it, and the book makes it again")
    return found


def close(
    file: Path, profile: str, paper: str, key: str, status: str, seconds: float, others: dict[str, Any] | None = None
) -> None:
    """Write a notebook's result: what it handed on, and how it ended. One that handed nothing on has one, too.

    ``others`` are the parameters in which the run was not the profile's.
    """
    outcome = handed_on(file)
    outcomes = content(outcome) if outcome.is_file() else {}
    outcomes |= {"paper": paper, "key": key, "status": status, "seconds": round(seconds, 1), "others": others or {}}
    _save(file, {**outcomes, "records_digest": records.digest(profile, outcomes.get("records", []))})
    outcome.unlink(missing_ok=True)


def _check(found: dict[str, Any]) -> None:
    """Raise ``TypeError`` unless the parts of a result are of the kinds that its readers take them for."""
    wrong = [name for name, kind in _HELD.items() if name in found and not isinstance(found[name], kind)]
    numbers, names = found.get("regression", {}), found.get("records", [])
    if wrong or not all(isinstance(value, (int, float)) for value in numbers.values()):
        raise TypeError("no numbers by name")
    if not all(isinstance(name, str) for name in names):
        raise TypeError("no names of records")


def load(file: Path) -> Result:
    """One result. Raises :class:`ResultDamaged`."""
    stored = content(file)
    try:
        _check(stored)
        for name in ("comparison", "measured"):
            frame = _frame(stored.get(name) or [])
            stored[name] = frame if "table" in frame else frame.assign(table=stored["key"])
        return Result(**{name: stored[name] for name in Result.__dataclass_fields__ if name in stored})
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ResultDamaged(f"{file} holds no result; delete it, and the book makes it again") from None


def read(profile: str, paper: str | None = None) -> list[Result]:
    """The results of every notebook that has run in a profile, in the order of paper and key."""
    return _of_each(_files(profile, paper), load)


def state(profile: str, paper: str | None = None) -> tuple[tuple[str, int, int], ...]:
    """What tells a profile's results from those of another time: each file's path, time of change and size."""
    stats = _of_each(_files(profile, paper), lambda file: (file, file.stat()))
    return tuple((str(file), stat.st_mtime_ns, stat.st_size) for file, stat in stats)


def _of_each(files: list[Path], call: Callable[[Path], Found]) -> list[Found]:
    """What ``call`` says of each file that is still there: another job may be making its result anew."""
    found = []
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            found.append(call(file))
    return found


def _files(profile: str, paper: str | None) -> list[Path]:
    return sorted((_paths.build(profile) / "results").glob(f"{paper or '*'}/*.json"))


def outcome(result: Result) -> str:
    """How a notebook ended, in a few words: its cells by verdict, or its failure."""
    if result.status != OK:
        return f"FAILED: {result.status}"
    counts = summary(result.comparison) if len(result.comparison) else {}
    return ", ".join(f"{counts[v]} {v}" for v in VERDICTS if counts.get(v)) or OK


def bands() -> dict[str, dict[str, list[float]]]:
    """The committed regression bands: ``{"jule/table-03": {"digits | K-means | nmi": [low, high]}}``."""
    file = _paths.book("records", "quick.json")
    return content(file) if file.is_file() else {}


def regression_metrics(measured: pd.DataFrame) -> dict[str, float]:
    """The mean over seeds of every measured cell, by name; the variants of a row, where it has several, apart."""
    by = ["dataset", "method", "metric"]
    several = "variant" in measured and measured.groupby(by)["variant"].nunique().max() > 1
    known = measured.dropna(subset=["value"])
    known = known.assign(variant=known["variant"].fillna("")) if several else known
    means = known.groupby([*by, "variant"] if several else by, sort=False)["value"].mean()
    return {" | ".join(str(part) for part in name): float(value) for name, value in means.items()}


def check(key: str, metrics: dict[str, float]) -> list[tuple[str, float, list[float] | None, bool]]:
    """Each metric with its committed band and whether it is inside; a band without a metric is outside."""
    wanted = bands().get(key, {})
    rows = []
    for name in [*metrics, *(n for n in wanted if n not in metrics)]:
        value, band = metrics.get(name, float("nan")), wanted.get(name)
        rows.append((name, value, band, band is not None and band[0] <= value <= band[1]))
    return rows


def finish(
    paper: str,
    key: str,
    *,
    profile: str,
    comparison: pd.DataFrame | None = None,
    measured: pd.DataFrame | None = None,
    metrics: dict[str, float] | None = None,
    optional: pd.DataFrame | None = None,
) -> None:
    """Hand the notebook's outcome on and print its regression check.

    Parameters
    ----------
    comparison : as ``published.compare`` gives, where the notebook shows a table.
    measured : the cells by seed that claims are tested on.
        Where a notebook shows several published tables, a column ``table`` names each row's.
    metrics : other numbers to hold in a band, by name; those of ``measured`` are added.
    optional : cells like ``measured`` that claims are tested on and that have no band, because not every
        installation can make them.
    """
    measured = pd.DataFrame() if measured is None else measured
    regression = {**(metrics or {}), **(regression_metrics(measured) if len(measured) else {})}
    empty = pd.DataFrame(columns=COLUMNS)
    if PLACE in os.environ:
        outcome = {
            "comparison": empty if comparison is None else comparison,
            "measured": measured if optional is None else pd.concat([measured, optional], ignore_index=True),
            "regression": regression,
            "records": records.requested(),
        }
        _save(Path(os.environ[PLACE]), outcome)
    if profile != "quick":
        print("regression bands hold for the quick profile only")
        return
    for name, value, band, inside in check(f"{paper}/{key}", regression):
        where = f"band {band[0]:.3f} to {band[1]:.3f}" if band else "no band yet: make bands"
        print(f"{name}: {'inside' if inside else f'OUTSIDE at {value:.4f}'}, {where}")


def outside() -> list[str]:
    """The regression metrics of the quick profile that are out of their bands, one line each."""
    lines = []
    for result in read("quick"):
        for name, value, band, inside in check(f"{result.paper}/{result.key}", result.regression):
            if result.status == OK and not inside:
                lines.append(f"{result.paper}/{result.key}: {name} = {value:.4f}, band {band or 'missing: make bands'}")
    return lines


def _band(name: str, value: float, wider: Mapping[str, float]) -> list[float]:
    half = max([BAND, *(width for method, width in wider.items() if f" {method} " in name)])
    return [round(value - half, 3), round(value + half, 3)]


def _widths(paper: str, key: str) -> dict[str, float]:
    """How wide the bands of a notebook's methods are; a page that is of no paper has no wider ones."""
    return published.bands(paper, key) if paper in published.PAPERS else {}


def write_bands(keys: Collection[str] | None = None) -> Path:
    """Set the bands around the last quick run's metrics and return the file.

    ``keys`` ("jule/table-03") are the notebooks whose bands are set; the others keep theirs. None sets all anew.
    """
    others = {} if keys is None else {key: band for key, band in bands().items() if key not in keys}
    regression_bands = {
        f"{r.paper}/{r.key}": {
            name: _band(name, value, _widths(r.paper, r.key)) for name, value in r.regression.items()
        }
        for r in read("quick")
        if r.status == OK and r.regression and (keys is None or f"{r.paper}/{r.key}" in keys)
    }
    file = _paths.book("records", "quick.json")
    _paths.write_atomically(
        file, (json.dumps({**others, **regression_bands}, indent=1, sort_keys=True) + "\n").encode()
    )
    return file
