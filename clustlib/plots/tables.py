"""The comparison table: a published table with our measurement, difference and verdict in every cell."""

import html
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from clustlib.errors import UsageError
from clustlib.plots.looks import LOOKS


def comparison_table(comparison: pd.DataFrame, metric: str) -> "ComparisonTable":
    """Methods by data sets: the paper's value, ours (mean ± standard deviation), the difference and the verdict.

    Parameters
    ----------
    comparison : one row a cell, as :func:`clustlib.published.compare` gives
        Columns dataset, method, metric, paper, ours, std, n, difference, verdict, reason, seconds, device,
        stand_in. Rows and columns of the table keep the frame's order.
    metric : which of the frame's metrics to show.

    Returns
    -------
    An object that displays itself as HTML, Markdown or plain text.

    Raises
    ------
    UsageError
        A metric that the frame does not have, an unknown verdict, two rows for one cell.
    """
    known = list(dict.fromkeys(comparison["metric"]))
    if metric not in known:
        raise UsageError(f"the comparison has no metric {metric!r}; it has {', '.join(map(repr, known)) or 'no cells'}")
    chosen = comparison[comparison["metric"] == metric]
    strange = sorted(set(map(str, chosen["verdict"])) - set(LOOKS))
    if strange:
        raise UsageError(f"unknown verdict {strange[0]!r}; known are {', '.join(LOOKS)}")
    twice = chosen[chosen.duplicated(["dataset", "method"])]
    if len(twice):
        raise UsageError(f"two rows for {twice.iloc[0]['method']!r} on {twice.iloc[0]['dataset']!r} ({metric})")
    cells = {(row["method"], row["dataset"]): _Cell.of(row) for _, row in _beneath(chosen).iterrows()}
    return ComparisonTable(metric, cells, _additions(chosen))


def _beneath(cells: pd.DataFrame) -> pd.DataFrame:
    """Every line under the line of its row, whatever order the cells have."""
    if "row" not in cells:
        return cells
    rows = {row: place for place, row in enumerate(dict.fromkeys(cells["row"]))}
    return cells.assign(place=cells["row"].map(rows)).sort_values("place", kind="stable")


def _additions(cells: pd.DataFrame) -> dict[str, str]:
    """What ours adds to the paper's, by line; empty where there is no line of ours."""
    own = cells[cells["additions"].fillna("") != ""] if "additions" in cells else cells[:0]
    return dict(zip(own["method"], own["additions"])) if len(own) else {}


def _number(value: Any) -> float:
    return math.nan if value is None or value is pd.NA else float(value)


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _score(value: float, sign: str = "") -> str:
    """Three decimals, as the papers print; counts in full. ``sign`` is a format's sign option."""
    if abs(value) >= 100:
        return f"{value:{sign},.0f}"
    shown = f"{round(value, 3) + 0.0:{sign}.3f}"  # adding zero turns -0.0 into 0.0
    return shown.replace("-", "\N{MINUS SIGN}")


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{_brief(seconds / size)} {unit}"
    return f"{_brief(seconds)} s"


def _brief(number: float) -> str:
    return f"{number:.2g}" if number < 10 else f"{number:.0f}"


@dataclass(frozen=True)
class _Cell:
    """What one cell of a comparison says, as text; empty where there is nothing to say."""

    verdict: str
    ours: str = ""
    spread: str = ""
    paper: str = ""
    difference: str = ""
    reason: str = ""
    cost: str = ""
    stand_in: str = ""

    @classmethod
    def of(cls, row: pd.Series) -> "_Cell":
        paper, ours, std, seconds = (_number(row[name]) for name in ("paper", "ours", "std", "seconds"))
        measured = not math.isnan(ours)
        runs = int(_number(row["n"])) if measured else 0
        cost = [f"{runs} × {_duration(seconds)}" if seconds == seconds else f"{runs} ×", _text(row["device"])]
        return cls(
            verdict=str(row["verdict"]),
            ours=_score(ours) if measured else "",
            spread=f"± {_score(std)}" if measured and std == std else "",
            paper=_score(paper) if paper == paper else "",
            difference=_score(_number(row["difference"]), "+") if measured and paper == paper else "",
            reason=_text(row["reason"]),
            cost=", ".join(filter(None, cost)) if measured else "",
            stand_in=_text(row["stand_in"]),
        )

    @property
    def symbol(self) -> str:
        return LOOKS[self.verdict].symbol

    @property
    def headline(self) -> str:
        """Our number, or the word that stands in its place."""
        return self.ours or self.verdict

    @property
    def against(self) -> str:
        """The paper's number and the difference."""
        return ", ".join(filter(None, [f"paper {self.paper}" if self.paper else "not in the paper", self.difference]))

    def plain(self) -> str:
        first = " ".join(filter(None, [self.symbol, self.headline, self.spread]))
        return f"{first} ({'; '.join(filter(None, [self.against, self.reason]))})"

    def html(self) -> str:
        spread = f" <small>{self.spread}</small>" if self.spread else ""
        word = f'<span class="cell-word">{self.verdict}: </span>' if self.ours else ""
        number = f"<b>{self.ours}</b>" if self.ours else self.verdict
        lines = [f'<span class="cell-ours"><span class="cell-mark">{self.symbol}</span> {word}{number}{spread}</span>']
        lines += [f'<small class="cell-against">{self.against}</small>']
        lines += [f"<small>{html.escape(self.reason)}</small>"] if self.reason else []
        lines += [f'<small class="cell-cost">{html.escape(self.cost)}</small>'] if self.cost else []
        title = html.escape("; ".join(filter(None, [self.verdict, self.reason, self.against, self.cost])))
        return f'<td class="{_css_class(self.verdict)}" title="{title}">{"<br>".join(lines)}</td>'


def _css_class(verdict: str) -> str:
    """A class that no theme has: Bootstrap, for one, paints every ``mark`` yellow."""
    return f"cell-{verdict.replace(' ', '-')}"


_CSS = """
.clustlib-comparison{margin:1em 0;max-width:100%;color:inherit;background:none}
.clustlib-comparison figcaption,.clustlib-comparison .comparison-legend{font-size:.85rem;line-height:1.4;\
text-align:left;margin:.4em 0;color:inherit}
.clustlib-comparison .comparison-scroll{overflow-x:auto;max-width:100%;position:relative}
.clustlib-comparison table.dataframe{border-collapse:separate;border-spacing:0;margin:0;font-size:.85rem;\
line-height:1.3;border:0;color:inherit;display:table;width:auto}
.clustlib-comparison table.dataframe tr,.clustlib-comparison table.dataframe tbody tr:nth-child(n){\
background:none!important}
.clustlib-comparison table.dataframe td,.clustlib-comparison table.dataframe th{border:0;\
border-bottom:1px solid rgba(128,128,128,.35);padding:.35em .6em;text-align:left;vertical-align:top}
.clustlib-comparison td{min-width:7.2em;max-width:12em;border-left:3px solid transparent!important;white-space:normal}
.clustlib-comparison th{white-space:nowrap;font-weight:600}
.clustlib-comparison thead th{border-bottom-width:2px!important;vertical-align:bottom!important}
.clustlib-comparison tr>th:first-child{position:sticky;left:0;z-index:1;min-width:6em;max-width:9.5em;\
white-space:normal;background:var(--pst-color-background,var(--jp-layout-color0,Canvas))}
.clustlib-comparison small{font-size:.86em;white-space:normal}
.clustlib-comparison .cell-cost{opacity:.75}
.clustlib-comparison .cell-ours,.clustlib-comparison .cell-ours small,\
.clustlib-comparison .cell-against{white-space:nowrap}
.clustlib-comparison .cell-mark{display:inline-block;min-width:1em;text-align:center;font-weight:700}
.clustlib-comparison .comparison-legend span{white-space:nowrap;margin-right:1.2em}
.clustlib-comparison .cell-word{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
"""


def _tints() -> Iterator[str]:
    """A see-through tint and a full edge per verdict: both readable under dark and under light text."""
    for verdict, look in LOOKS.items():
        name = _css_class(verdict)
        yield f".clustlib-comparison td.{name}{{background:{look.colour}26;border-left-color:{look.colour}!important}}"


class ComparisonTable:
    """A published table beside ours; displays itself in Jupyter, in Sphinx and in a terminal."""

    def __init__(
        self, metric: str, cells: Mapping[tuple[str, str], _Cell], additions: Mapping[str, str] | None = None
    ) -> None:
        self.metric = metric
        self._added = dict(additions or {})
        self._cells = dict(cells)
        self._methods = list(dict.fromkeys(method for method, _ in cells))
        self._datasets = list(dict.fromkeys(dataset for _, dataset in cells))

    def _cell(self, method: str, dataset: str) -> _Cell | None:
        return self._cells.get((method, dataset))

    def _stand_ins(self, dataset: str) -> str:
        used = dict.fromkeys(cell.stand_in for (_, name), cell in self._cells.items() if name == dataset)
        return ", ".join(filter(None, used))

    def _legend(self) -> list[str]:
        verdicts = [cell.verdict for cell in self._cells.values()]
        return [f"{look.symbol} {name}: {verdicts.count(name)}" for name, look in LOOKS.items() if name in verdicts]

    def _notes(self) -> list[str]:
        """What the lines of ours add, lines with the same additions together."""
        lines: dict[str, list[str]] = {}
        for method, added in self._added.items():
            lines.setdefault(added, []).append(method)
        return [f"{', '.join(methods)}: ours, with {added}; no verdict" for added, methods in lines.items()]

    def _repr_html_(self) -> str:
        escape = html.escape
        heads = ""
        for dataset in self._datasets:
            stand_in = self._stand_ins(dataset)
            note = f"<br><small>≈ stand-in: {escape(stand_in)}</small>" if stand_in else ""
            heads += f'<th scope="col">{escape(dataset)}{note}</th>'
        rows = ""
        for method in self._methods:
            found = [self._cell(method, dataset) for dataset in self._datasets]
            cells = "".join(cell.html() if cell else "<td></td>" for cell in found)
            rows += f'<tr><th scope="row">{escape(method)}</th>{cells}</tr>\n'
        caption = (
            f"<b>{escape(self.metric)}</b>: ours (mean ± standard deviation), the paper’s value and the difference, "
            "then runs × time of one run and device"
        )
        legend = " ".join(f"<span>{escape(entry)}</span>" for entry in self._legend())
        legend += "".join(f"<br>{escape(note)}" for note in self._notes())
        name = f"{escape(self.metric)}: paper and ours"
        return (
            f'<figure class="clustlib-comparison">\n<style>{_CSS}{"".join(_tints())}</style>\n'
            f"<figcaption>{caption}</figcaption>\n"
            f'<div class="comparison-scroll" role="region" aria-label="{name}" tabindex="0">\n'
            f'<table class="dataframe">\n<thead><tr><th scope="col">method</th>{heads}</tr></thead>\n'
            f'<tbody>\n{rows}</tbody>\n</table>\n</div>\n<p class="comparison-legend">{legend}</p>\n</figure>'
        )

    def _heads(self) -> list[str]:
        """The data sets, each with the name of what stands in for it."""
        stand_ins = {dataset: self._stand_ins(dataset) for dataset in self._datasets}
        return [f"{name} (≈ stand-in: {used})" if used else name for name, used in stand_ins.items()]

    def _repr_markdown_(self) -> str:
        grid = [[self.metric, *self._heads()]]
        for method in self._methods:
            cells = [self._cell(method, dataset) for dataset in self._datasets]
            grid.append([method, *(cell.plain() if cell else "" for cell in cells)])
        rows = [f"| {' | '.join(map(_escape_markdown, row))} |" for row in grid]
        return "\n".join(
            [
                rows[0],
                "|" + " --- |" * len(grid[0]),
                *rows[1:],
                "",
                "; ".join([", ".join(self._legend()), *self._notes()]),
            ]
        )

    def __str__(self) -> str:
        """One line a cell, under its data set: a table of this width does not fit a terminal."""
        width = max(map(len, self._methods))
        lines = []
        for dataset, head in zip(self._datasets, self._heads()):
            lines.append(f"{self.metric} on {head}")
            cells = [(method, self._cell(method, dataset)) for method in self._methods]
            lines += [f"  {method:{width}}  {cell.plain()}" for method, cell in cells if cell]
        return "\n".join([*lines, ", ".join(self._legend()), *self._notes()])

    __repr__ = __str__


def _escape_markdown(text: str) -> str:
    return re.sub(r"([\\`*_|\[\]])", r"\\\1", html.escape(text, quote=False)).replace("\n", " ")
