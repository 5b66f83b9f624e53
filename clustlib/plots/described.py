"""Figures that say in words what is seen on them, and that can be had as vector graphics.

A notebook's output of such a figure carries the text as the image's metadata (``alt``) and, beside the PNG, an SVG.
"""

import functools
import io
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 8  # names that a sentence can hold


@functools.cache
def described_figure() -> "type[Figure]":
    """The class of the book's figures: what Jupyter shows of one has a text and an SVG beside the PNG."""
    from matplotlib.figure import Figure

    class DescribedFigure(Figure):
        def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
            return {"image/svg+xml": svg(self)}, {"image/png": {"alt": alternative_text(self)}}

    return DescribedFigure


def say(figure: "Figure", text: str) -> "Figure":
    """Give a figure its text, where a function knows better than :func:`describe`. Returns the figure."""
    figure.alt = text  # type: ignore[attr-defined]
    return figure


def alternative_text(figure: "Figure") -> str:
    """What stands for the figure where it cannot be seen."""
    return getattr(figure, "alt", "") or describe(figure)


def svg(figure: "Figure") -> str:
    """The figure as SVG, the same bytes each time; letters are outlines, for a reader may lack the font."""
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "clustlib"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def describe(figure: "Figure") -> str:
    """What is seen on a figure, in sentences: each panel's kind, axes, names and the values at its ends."""
    panels = [said for axes in figure.axes if (said := _panel(axes))]
    title, told = figure.get_suptitle() or "", " ".join(panels)
    names = dict.fromkeys(text.get_text() for box in figure.legends for text in box.get_texts())
    legend = _listed([name for name in names if name not in told])
    return " ".join(filter(None, [f"{title}." if title else "", *panels, f"Legend: {legend}." if legend else ""]))


def _panel(axes: "Axes") -> str:
    title = axes.get_title(loc="left") or axes.get_title()
    seen = _seen(axes)
    return (f"{title}: {seen}." if title else f"{seen[:1].upper()}{seen[1:]}.") if seen or title else ""


def _seen(axes: "Axes") -> str:
    """The contents of one panel, without its title."""
    curves = [_curve(line) for line in axes.lines if not str(line.get_label()).startswith("_")]
    bars = _bars(axes)
    spots = sum(len(np.asarray(points.get_offsets())) for points in axes.collections)
    marks = [text.get_text() for text in axes.texts if text.get_text().strip()]
    kinds = [
        f"curves of {_axes(axes)}: {_listed(curves, '; ')}" if curves else "",
        f"bars of {_axes(axes)}: {bars}" if bars else "",
        f"{spots} points of {_axes(axes)}" if spots and not curves else "",
        "a picture" if axes.images else "",
        f"marks on {_axes(axes)}" if axes.lines and not (curves or spots or bars) else "",
    ]
    said = "; ".join(filter(None, kinds))
    return f"{said}; written in it: {_listed(marks)}" if said and marks else said or " ".join(marks)


def _axes(axes: "Axes") -> str:
    x, y = axes.get_xlabel(), axes.get_ylabel()
    return " against ".join(filter(None, [y, x])) or "unnamed axes"


def _curve(line: Any) -> str:
    x, y = np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if not len(known):
        return f"{line.get_label()}, empty"
    first, last = known[0], known[-1]
    return f"{line.get_label()} from {y[first]:.3g} at {x[first]:.4g} to {y[last]:.3g} at {x[last]:.4g}"


def _bars(axes: "Axes") -> str:
    """The groups of a bar plot with how many bars each has, and what the bars stand at."""
    groups = [box for box in axes.containers if hasattr(box, "patches")]
    if not groups:
        return ""
    names = [str(box.get_label()) for box in groups if not str(box.get_label()).startswith("_")]
    rows = [label.get_text() for label in (*axes.get_yticklabels(), *axes.get_xticklabels())]
    words = [row for row in dict.fromkeys(rows) if row and not _is_number(row)]
    parts = [_listed(names), f"for {_listed(words)}" if words else ""]
    return " ".join(filter(None, parts)) or f"{sum(len(box.patches) for box in groups)} of them"


def _is_number(text: str) -> bool:
    try:
        float(text.replace("\N{MINUS SIGN}", "-").replace(",", ""))
    except ValueError:
        return False
    return True


def _listed(names: list[str], between: str = ", ") -> str:
    shown = [name.replace("\n", " ") for name in names[:MOST]]
    return between.join(shown) + (f" and {len(names) - MOST} more" if len(names) > MOST else "")
