"""Verdicts drawn: the parity plot and the bars of the dashboard."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clustlib.errors import UsageError
from clustlib.plots.described import say
from clustlib.plots.looks import LOOKS, MARKERS, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NO_EVIDENCE = ("labels seen", "stand-in", "ours")  # drawn hollow


def parity(comparison: pd.DataFrame, tolerance: float = 0.02) -> "Figure":
    """Paper against ours, one point per cell that has both, with the diagonal and the band of ``tolerance``.

    Colour tells the verdict, as the place does: inside the band, above, below; hollow is what proves nothing.
    The marker tells the table, where the frame has columns ``paper_key`` or ``table``. Bars are standard deviations.
    Where there are shares, counts are left out, for they have another scale; the figure says how many.
    """
    figure, axes = new_figure(8.0, 5.6)
    cells = comparison.assign(**{name: pd.to_numeric(comparison[name]) for name in ("paper", "ours", "std")})
    cells = cells.dropna(subset=["paper", "ours"])
    shares = cells[["paper", "ours"]].abs().le(1).all(axis=1)
    left_out = len(cells) - int(shares.sum()) if shares.any() else 0
    cells = cells[shares] if left_out else cells
    axes.set(xlabel="paper", ylabel="ours", aspect="equal")
    if cells.empty:
        return _say(figure, axes, "no cell has both a published and a measured value")
    low, high = cells[["paper", "ours"]].min().min(), cells[["paper", "ours"]].max().max()
    margin = max(0.04 * (high - low), 2 * tolerance)
    ends = np.array([low - margin, high + margin])
    axes.set(xlim=ends, ylim=ends)
    axes.plot(ends, ends, color="#444444", linewidth=1)
    axes.fill_between(ends, ends - tolerance, ends + tolerance, color="#444444", alpha=0.12, linewidth=0)
    for marker, (_, group) in zip(_repeat(MARKERS), _by_table(cells)):
        for verdict, points in group.groupby("verdict", sort=False):
            _draw_points(axes, points, LOOKS[str(verdict)].colour, marker, hollow=verdict in _NO_EVIDENCE)
    _parity_legend(figure, cells, tolerance)
    if left_out:
        axes.set_title(f"not drawn, because on another scale: {left_out}", fontsize=10.5)
    counts = cells["verdict"].value_counts()
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in LOOKS if verdict in counts)
    return say(figure, f"Our values against the paper's, one point a cell around the diagonal: {told}.")


def _repeat(items: Sequence[Any]) -> Iterator[Any]:
    while True:
        yield from items


def _by_table(cells: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    names = [name for name in ("paper_key", "table") if name in cells]
    if not names:
        return [("", cells)]
    return [(", ".join(map(str, key)), group) for key, group in cells.groupby(names, sort=False)]


def _draw_points(axes: "Axes", points: pd.DataFrame, colour: str, marker: str, hollow: bool) -> None:
    axes.errorbar(points["paper"], points["ours"], points["std"], fmt="none", ecolor=colour, elinewidth=1, alpha=0.5)
    face = "white" if hollow else colour
    axes.scatter(points["paper"], points["ours"], 42, marker=marker, facecolor=face, edgecolor=colour, linewidth=1.3)


def _parity_legend(figure: "Figure", cells: pd.DataFrame, tolerance: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    counts = cells["verdict"].value_counts()
    handles: list[Any] = [Patch(color="#444444", alpha=0.12, label=f"paper ± {tolerance:g}")]
    for verdict, look in LOOKS.items():
        if verdict in counts:
            face = "white" if verdict in _NO_EVIDENCE else look.colour
            patch = Patch(facecolor=face, edgecolor=look.colour, label=f"{look.symbol} {verdict} ({counts[verdict]})")
            handles.append(patch)
    tables = [name for name, _ in _by_table(cells) if name]
    for marker, name in zip(_repeat(MARKERS), tables if len(tables) > 1 else []):
        handles.append(Line2D([], [], marker=marker, linestyle="", markerfacecolor="none", color="#444444", label=name))
    figure.legend(handles=handles, loc="outside right upper")


def _say(figure: "Figure", axes: "Axes", sentence: str) -> "Figure":
    """Fill an empty figure with the reason why it is empty."""
    axes.set(xticks=[], yticks=[])
    axes.text(0.5, 0.5, sentence, ha="center", va="center", transform=axes.transAxes)
    figure.set_size_inches(8.0, 1.6)
    axes.set_aspect("auto")
    return figure


def verdict_bar(summary: pd.DataFrame | pd.Series) -> "Figure":
    """Cells by verdict, one stacked bar a table.

    Parameters
    ----------
    summary : counts; columns (of a Series: its index) are verdicts, the index names the tables.

    Raises
    ------
    UsageError
        A column that is no verdict.
    """
    counts = summary.to_frame("").T if isinstance(summary, pd.Series) else summary
    strange = [str(name) for name in counts.columns if name not in LOOKS]
    if strange:
        raise UsageError(f"unknown verdict {strange[0]!r}; known are {', '.join(LOOKS)}")
    counts = counts.reindex(columns=list(LOOKS)).fillna(0).astype(int)
    counts = counts.loc[:, counts.sum() > 0]
    figure, axes = new_figure(8.0, 1.7 + 0.42 * max(1, len(counts)))
    if counts.empty:
        return _say(figure, axes, "no table has cells yet")
    names = [" / ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in counts.index]
    places, widest = np.arange(len(counts)), int(counts.sum(axis=1).max())
    start = np.zeros(len(counts), dtype=int)
    for verdict in counts.columns:
        look, width = LOOKS[verdict], counts[verdict].to_numpy()
        label = f"{look.symbol} {verdict} ({width.sum()})"
        hatching = {"hatch": look.hatch, "edgecolor": "white", "linewidth": 0.8}
        axes.barh(places, width, 0.72, start, color=look.colour, label=label, **hatching)
        for place, left, cells in zip(places, start, width):
            if cells >= 0.04 * widest:  # a number needs that much room
                box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.88, "boxstyle": "round,pad=0.15"}
                said = f"{look.symbol} {cells}" if cells >= 0.07 * widest else f"{cells}"
                axes.text(left + cells / 2, place, said, ha="center", va="center", fontsize=9.5, bbox=box)
        start = start + width
    axes.set(yticks=places, yticklabels=names, xlabel="cells", xlim=(0, widest))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    figure.legend(loc="outside upper left", ncols=3)
    told = "; ".join(f"{name}: {_counted(row)}" for name, (_, row) in zip(names, counts.iterrows()))
    return say(figure, f"Cells by verdict, one bar a table. {told}.")


def _counted(row: pd.Series) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in row.items() if count) or "none"
