"""The house style: how each verdict looks, and matplotlib's defaults."""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clustlib.plots.described import described_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Look:
    symbol: str
    colour: str
    hatch: str


# seaborn's colour-blind palette; the hatchings tell the bars apart in grey
LOOKS = {
    "reproduced": Look("=", "#029e73", ""),
    "better": Look("▲", "#0173b2", "///"),
    "below": Look("▼", "#d55e00", "\\\\\\"),
    "labels seen": Look("⊙", "#333333", "||"),
    "stand-in": Look("≈", "#cc78bc", "..."),
    "not run": Look("–", "#b4b4b4", ""),
    "no paper value": Look("·", "#56b4e9", "xxx"),
    "ours": Look("†", "#ca9161", "++"),
    "as printed": Look("✓", "#949494", "--"),
    "not as printed": Look("≠", "#ece133", "oo"),
}
MARKERS = "osD^vPX<>hp*d8"
DASHES = ["-", "--", "-.", ":"]
HATCHES = ["", "///", "...", "xxx", "\\\\\\", "ooo"]


def style() -> None:
    """Set matplotlib's defaults to the house style: colour-blind-safe, readable, white, laid out by constraints.

    Every function of this module does so before its first figure and then never again, so that what a reader
    changes in ``matplotlib.rcParams`` afterwards stays.
    """
    import seaborn

    seaborn.set_theme(
        context="notebook",
        style="whitegrid",
        palette="colorblind",
        font="DejaVu Sans",  # ships with matplotlib and has every symbol used here
        rc={
            "figure.figsize": (8.0, 4.5),
            "figure.dpi": 110,
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "figure.constrained_layout.w_pad": 0.1,  # inches; the default cuts into rotated labels
            "figure.constrained_layout.h_pad": 0.1,
            "savefig.facecolor": "white",
            "axes.edgecolor": "#444444",
            "axes.titlesize": 13,
            "axes.titlelocation": "left",
            "axes.labelsize": 12,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "grid.color": "#e4e4e4",
            "xtick.labelsize": 11,
            "ytick.labelsize": 11,
            "legend.fontsize": 10.5,
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "lines.markersize": 6,
        },
    )


_style_once = functools.cache(style)


def new_figure(
    width: float, height: float, *, panels: int | None = None, rows: int = 1, **subplot: Any
) -> "tuple[Figure, Any]":
    """A figure that pyplot does not keep, with its axes: one, or an array (rows, panels) of ``panels`` side by side."""
    _style_once()
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        nrows=rows,
        ncols=panels or 1,
        squeeze=panels is None,
        figsize=(width, height),
        subplot_kw=subplot,
        FigureClass=described_figure(),
    )
    pyplot.close(figure)  # else Jupyter draws it twice: as an open figure and as the cell's value
    return figure, axes
