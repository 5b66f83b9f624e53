"""Numbers in prose: references to a cell or to a record, filled in when the book is built.

In a page's Markdown ``{ours}`jule/table-03 umist OURS-RC nmi` `` becomes what was measured for that cell (the paper's
reading where there is one, else ours), ``{paper}`…` `` what the paper prints, and ``{record}`KEY metric` `` a committed
record's number; ``{record}`KEY metric*` `` with the star is the mean over the seeds that have a record. A name with
spaces is written with underscores. A reference to no cell stops the build;
a table that has not been made in this build gives "(not run)".
"""

import math
import re
from collections.abc import Iterable
from functools import cache

import pandas as pd

from clustlib import published, records
from clustlib.errors import UsageError
from clustlib.results import Result

REFERENCE = re.compile(r"\{(ours|paper|record)\}`([^`]+)`")
TYPED = re.compile(r"(?<![\w.{])[-+−]?(\d+\.\d+|\.\d+)(?!\w)|\d+(\.\d+)? ?%")
_SEED = re.compile(r"seed-\d+$")


def typed(text: str) -> list[str]:
    """The numbers with a decimal point, or per cent, that a text types instead of referring to them."""
    plain = re.sub(
        r"\{\w+\}`[^`]*`|`[^`]*`|\]\([^)]*\)|\$[^$]*\$|(?i:eq|section|sect|table|figure)s?\.? \(?[\d.]+", "", text
    )
    return [found[0].strip() for found in TYPED.finditer(plain)]


def shown(value: float) -> str:
    """A score as the papers print it: three decimals without the zero; larger numbers to three digits."""
    if math.isnan(value):
        return "(not run)"
    if abs(value) < 1.0005:
        return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 0.9995 else f"{value:.3f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def filled(text: str, found: Iterable[Result]) -> str:
    """``text`` with every reference replaced by its number. Raises :class:`UsageError` for one that has none."""
    results = list(found)
    return REFERENCE.sub(lambda match: shown(_value(match[1], match[2].split(), results)), text)


def _value(kind: str, words: list[str], found: list[Result]) -> float:
    if kind == "record":
        return _of_records(*_words(kind, words, 2))
    where, dataset, method, metric = _words(kind, words, 4)
    paper, _, table = where.partition("/")
    named = {"dataset": dataset.replace("_", " "), "method": method.replace("_", " "), "metric": metric}
    if kind == "paper":
        return _only(published.table(paper, table), named, "value", where)
    frames = [_of_table(result, table) for result in found if result.paper == paper]
    frames = [frame for frame in frames if len(frame)]
    return _only(pd.concat(frames), named, "ours", where) if frames else float("nan")


def _of_table(result: Result, table: str) -> pd.DataFrame:
    frame = result.comparison
    return frame if "table" not in frame and result.key == table else frame[frame.get("table", result.key) == table]


def _words(kind: str, words: list[str], count: int) -> list[str]:
    if len(words) != count:
        wanted = "KEY metric" if kind == "record" else "paper/table dataset method metric"
        raise UsageError(f"{{{kind}}}`{' '.join(words)}` is not of the form {{{kind}}}`{wanted}`")
    return words


def _only(frame: pd.DataFrame, named: dict[str, str], column: str, where: str) -> float:
    """The one number of a cell; of several readings of it the first, which is the paper's.

    A row's label stands for all its lines; with a dagger, or a reading in brackets, for that line alone.
    """
    for name, value in named.items():
        same = frame[name] == value
        frame = frame[same | (frame["row"] == value)] if name == "method" and "row" in frame else frame[same]
    values = frame[column].dropna()
    if values.empty:
        raise UsageError(f"no number for {' '.join(named.values())} of {where}, to which a text refers")
    return float(values.iloc[0])


@cache
def _keys() -> tuple[str, ...]:
    return tuple(records.open_store("paper").all_keys())


def _of_records(key: str, metric: str) -> float:
    name, every = metric.removesuffix("*"), metric.endswith("*")
    stem = _SEED.sub("", key)
    keys = [k for k in _keys() if _SEED.sub("", k) == stem and _SEED.search(k)] if every else [key]
    try:
        values = [records.load(k).metrics[name] for k in keys]
    except KeyError:
        raise UsageError(f"no number {metric} in the record {key}, to which a text refers") from None
    if not values:
        raise UsageError(f"no record {key}, to which a text refers")
    return sum(values) / len(values)
