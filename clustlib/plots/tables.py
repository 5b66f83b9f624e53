"""The comparison table: a published table with our measurement, difference and verdict in every cell."""

import html
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
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
        stand_in, and where there are readings network, row and additions. Rows and columns of the table keep the
        frame's order; a line of ours, or of a second reading, stands under the line of its row.
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
    device: str = ""
    stand_in: str = ""
    records: tuple[str, ...] = ()

    @classmethod
    def of(cls, row: pd.Series) -> "_Cell":
        paper, ours, std, seconds = (_number(row[name]) for name in ("paper", "ours", "std", "seconds"))
        measured = not math.isnan(ours)
        runs = int(_number(row["n"])) if measured else 0
        cost = f"{runs} × {_duration(seconds)}" if measured and seconds == seconds else ""  # a constant has none
        return cls(
            verdict=str(row["verdict"]),
            ours=_score(ours) if measured else "",
            spread=f"± {_score(std)}" if measured and std == std else "",
            paper=_score(paper) if paper == paper else "",
            difference=_score(_number(row["difference"]), "+") if measured and paper == paper else "",
            reason=_text(row["reason"]),
            cost=cost,
            device=_text(row["device"]) if measured else "",
            stand_in=" + ".join(filter(None, (_text(row["stand_in"]), _text(row.get("network"))))),
            records=tuple(_text(row.get("records")).split()),
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

    def html(self, notes: "_Notes") -> str:
        """A table's cell; what many cells would repeat becomes a mark of ``notes``."""
        spread = f" <small>{self.spread}</small>" if self.spread else ""
        word = f'<span class="cell-word">{self.verdict}: </span>' if self.ours else ""
        number = f"<b>{self.ours}</b>" if self.ours else self.verdict
        lines = [f'<span class="cell-ours"><span class="cell-mark">{self.symbol}</span> {word}{number}{spread}</span>']
        lines += [f'<small class="cell-against">{self.against}</small>']
        lines += [f"<small>{notes.shown(self.reason)}</small>"] if self.reason else []
        lines += [f'<small class="cell-cost">{self.cost}{notes.mark(self.device)}</small>'] if self.cost else []
        more = f" and {len(self.records) - 1} more" if len(self.records) > 1 else ""
        behind = f"record {self.records[0]}{more}" if self.records else ""
        said = (self.verdict, self.reason, self.against, self.cost, self.device, behind)
        title = html.escape("; ".join(filter(None, said)))
        return f'<td class="{_css_class(self.verdict)}" title="{title}">{"<br>".join(lines)}</td>'


class _Notes:
    """The footnotes of a table: devices other than the usual one, and reasons that more than one cell has."""

    def __init__(self, cells: Iterable[_Cell]) -> None:
        cells = list(cells)
        devices = [device for device, _ in Counter(cell.device for cell in cells if cell.device).most_common()]
        said = Counter(cell.reason for cell in cells if cell.reason)
        self.usual = devices[0] if devices else ""
        self.numbered = [*devices[1:], *(reason for reason, count in said.items() if count > 1)]

    def mark(self, text: str) -> str:
        """The mark of a footnote; empty for what has none."""
        return (
            f'<sup title="{html.escape(text)}">{self.numbered.index(text) + 1}</sup>' if text in self.numbered else ""
        )

    def shown(self, reason: str) -> str:
        """A reason, or the mark that stands for it."""
        return f"note {self.mark(reason)}" if reason in self.numbered else html.escape(reason)

    def html(self) -> str:
        """The list of footnotes below the table."""
        entries = "".join(f"<li>{html.escape(text)}</li>" for text in self.numbered)
        usual = f"<p>Run on {html.escape(self.usual)} where no note says otherwise.</p>" if self.usual else ""
        notes = f"<ol>{entries}</ol>" if entries else ""
        return f'<div class="comparison-notes">{usual}{notes}</div>\n' if usual or notes else ""


def _css_class(verdict: str) -> str:
    """A class that no theme has: Bootstrap, for one, paints every ``mark`` yellow."""
    return f"cell-{verdict.replace(' ', '-')}"


# A scroll that one sees: shades at the edges behind which there is more, covered where the table ends
_CSS = """
.clustlib-comparison{--ground:var(--pst-color-background,var(--jp-layout-color0,Canvas));\
margin:1em 0;max-width:100%;color:inherit;background:none}
.clustlib-comparison figcaption,.clustlib-comparison .comparison-legend,.clustlib-comparison .comparison-notes,\
.clustlib-comparison summary{font-size:.85rem;line-height:1.4;text-align:left;margin:.4em 0;color:inherit}
.clustlib-comparison .comparison-notes p,.clustlib-comparison .comparison-notes ol{margin:0 0 .2em;\
font-size:max(.8rem,12px)}
.clustlib-comparison .comparison-scroll{overflow-x:auto;max-width:100%;position:relative;\
scrollbar-width:thin;background:linear-gradient(90deg,var(--ground) 40%,transparent) left/40px 100% no-repeat local,\
linear-gradient(270deg,var(--ground) 40%,transparent) right/40px 100% no-repeat local,\
linear-gradient(90deg,rgba(128,128,128,.55),transparent) left/12px 100% no-repeat scroll,\
linear-gradient(270deg,rgba(128,128,128,.55),transparent) right/12px 100% no-repeat scroll}
.clustlib-comparison table.dataframe{border-collapse:separate;border-spacing:0;margin:0;font-size:.85rem;\
line-height:1.3;border:0;color:inherit;display:table;width:auto;overflow:visible}
.clustlib-comparison table.dataframe tr,.clustlib-comparison table.dataframe tbody tr:nth-child(n){\
background:none!important}
.clustlib-comparison table.dataframe td,.clustlib-comparison table.dataframe th{border:0;\
border-bottom:1px solid rgba(128,128,128,.35);padding:.3em .45em;text-align:left;vertical-align:top}
.clustlib-comparison td{min-width:6em;max-width:12em;border-left:3px solid transparent!important;white-space:normal}
.clustlib-comparison th{white-space:nowrap;font-weight:600}
.clustlib-comparison table.dataframe thead th{position:sticky;top:0;z-index:2;background:var(--ground);\
border-bottom-width:2px!important;vertical-align:bottom!important;white-space:normal;overflow-wrap:break-word}
.clustlib-comparison tr>th:first-child{position:sticky;left:0;z-index:1;min-width:min(5em,20vw);\
max-width:min(9.5em,26vw);white-space:normal;overflow-wrap:break-word;background:var(--ground)}
.clustlib-comparison table.dataframe thead tr>th:first-child{z-index:3}
.clustlib-comparison small,.clustlib-comparison sup{font-size:max(.88em,12px);white-space:normal}
.clustlib-comparison sup{line-height:0;margin-left:.2em}
.clustlib-comparison .cell-ours,.clustlib-comparison .cell-ours small,\
.clustlib-comparison .cell-against,.clustlib-comparison .cell-cost{white-space:nowrap}
.clustlib-comparison .cell-mark{display:inline-block;min-width:1em;text-align:center;font-weight:700}
.clustlib-comparison .comparison-legend span{white-space:nowrap;margin-right:1.2em}
.clustlib-comparison .cell-word{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
"""


def _tints() -> Iterator[str]:
    """A see-through tint and a full edge per verdict: both readable under dark and under light text."""
    for verdict, look in LOOKS.items():
        name = _css_class(verdict)
        yield f".clustlib-comparison td.{name}{{background:{look.colour}26;border-left-color:{look.colour}!important}}"


def _scrolled(name: str, heads: str, rows: str) -> str:
    """A table in a box that scrolls by keyboard, too."""
    return (
        f'<div class="comparison-scroll" role="region" aria-label="{html.escape(name)}" tabindex="0">\n'
        f'<table class="dataframe">\n<thead><tr><th scope="col">method</th>{heads}</tr></thead>\n'
        f"<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )


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

    def _column(self, dataset: str) -> dict[str, _Cell]:
        """The cells of a data set, by method."""
        return {method: cell for (method, name), cell in self._cells.items() if name == dataset}

    def _stand_ins(self, dataset: str) -> str:
        return ", ".join(filter(None, dict.fromkeys(cell.stand_in for cell in self._column(dataset).values())))

    def _split(self) -> tuple[list[str], list[str]]:
        """The data sets with a measurement and those without; where none has one, all count as the first."""
        measured = [name for name in self._datasets if any(cell.ours for cell in self._column(name).values())]
        return (measured, [n for n in self._datasets if n not in measured]) if measured else (self._datasets, [])

    def _legend(self) -> list[str]:
        verdicts = [cell.verdict for cell in self._cells.values()]
        return [f"{look.symbol} {name}: {verdicts.count(name)}" for name, look in LOOKS.items() if name in verdicts]

    def _added_notes(self) -> list[str]:
        """What the lines of ours add, lines with the same additions together."""
        lines: dict[str, list[str]] = {}
        for method, added in self._added.items():
            lines.setdefault(added, []).append(method)
        return [f"{', '.join(methods)}: ours, with {added}; no verdict" for added, methods in lines.items()]

    def _head_html(self, dataset: str) -> str:
        stand_in = self._stand_ins(dataset)
        note = f"<br><small>≈ stand-in: {html.escape(stand_in)}</small>" if stand_in else ""
        return f'<th scope="col">{html.escape(dataset)}{note}</th>'

    def _row_html(self, method: str, datasets: list[str], notes: _Notes) -> str:
        row_cells = [self._cell(method, dataset) for dataset in datasets]
        cells = "".join(cell.html(notes) if cell else "<td></td>" for cell in row_cells)
        return f'<tr><th scope="row">{html.escape(method)}</th>{cells}</tr>\n'

    def _reason(self, dataset: str) -> str:
        """What most cells of a data set without a measurement say."""
        said = Counter(cell.reason for cell in self._column(dataset).values() if cell.reason)
        usual = said.most_common(1)[0][0] if said else "not run"
        return usual.replace(f"needs {dataset}:", "needs the images:")

    def _unmeasured_html(self, datasets: list[str]) -> str:
        """One line for the data sets without a measurement, and behind it what the paper prints for them."""
        why: dict[str, list[str]] = {}
        for dataset in datasets:
            why.setdefault(self._reason(dataset), []).append(dataset)
        lines = [f"<b>{html.escape(', '.join(names))}</b>: {html.escape(reason)}" for reason, names in why.items()]
        heads = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in datasets)
        rows = ""
        for method in self._methods:
            cells = [self._cell(method, dataset) for dataset in datasets]
            printed = "".join(f"<td>{cell.paper if cell else ''}</td>" for cell in cells)
            rows += f'<tr><th scope="row">{html.escape(method)}</th>{printed}</tr>\n'
        return (
            f'<details class="comparison-unmeasured">\n<summary>No measurement of ours for {"; ".join(lines)}. '
            f"The paper’s values</summary>\n{_scrolled(f'{self.metric}: the paper’s values', heads, rows)}</details>\n"
        )

    def _repr_html_(self) -> str:
        shown, unmeasured = self._split()
        notes = _Notes(cell for (_, dataset), cell in self._cells.items() if dataset in shown)
        heads = "".join(self._head_html(dataset) for dataset in shown)
        rows = "".join(
            self._row_html(method, shown, notes)
            for method in self._methods
            if any(self._cell(method, dataset) for dataset in shown)
        )
        costs = ", then runs × time of one run" if any(cell.cost for cell in self._cells.values()) else ""
        caption = (
            f"<b>{html.escape(self.metric)}</b>: ours (mean ± deviation), the paper’s value and the difference{costs}"
        )
        legend = " ".join(f"<span>{html.escape(entry)}</span>" for entry in self._legend())
        legend += "".join(f"<br>{html.escape(note)}" for note in self._added_notes())
        return (
            f'<figure class="clustlib-comparison">\n<style>{_CSS}{"".join(_tints())}</style>\n'
            f"<figcaption>{caption}</figcaption>\n"
            f"{_scrolled(f'{self.metric}: paper and ours', heads, rows)}"
            f"{self._unmeasured_html(unmeasured) if unmeasured else ''}"
            f'<p class="comparison-legend">{legend}</p>\n{notes.html()}</figure>'
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
                "; ".join([", ".join(self._legend()), *self._added_notes()]),
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
        return "\n".join([*lines, ", ".join(self._legend()), *self._added_notes()])

    __repr__ = __str__


def _escape_markdown(text: str) -> str:
    return re.sub(r"([\\`*_|\[\]])", r"\\\1", html.escape(text, quote=False)).replace("\n", " ")
