"""Figures of the papers: image grids, embeddings and curves."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clustlib.errors import UsageError
from clustlib.plots.described import say
from clustlib.plots.looks import DASHES, HATCHES, MARKERS, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _array(values: Any) -> np.ndarray:
    return np.asarray(values.detach().cpu().numpy() if hasattr(values, "detach") else values)


def image_grid(images: Any, titles: Sequence[Any] | None = None, columns: int = 10) -> "Figure":
    """Images in reading order, ``columns`` to a row, each with its title above.

    Parameters
    ----------
    images : (N, C, H, W) or (N, H, W), uint8 or floats in [0, 1]; C is 1 or 3.
    titles : N short texts or numbers.
    columns : images to a row.

    Raises
    ------
    UsageError
        Another shape or range, no images, as many titles as there are not images, fewer than one column.
    """
    images = _array(images)
    images = images[:, None] if images.ndim == 3 else images
    if images.ndim != 4 or 0 in images.shape or images.shape[1] not in (1, 3):
        raise UsageError(f"images must have shape (N, H, W), (N, 1, H, W) or (N, 3, H, W), got {images.shape}")
    if images.dtype != np.uint8:
        if images.dtype.kind != "f" or not (images.min() >= 0 and images.max() <= 1):
            raise UsageError(f"images must be uint8, or floats between 0 and 1, got {images.dtype}")
        images = np.round(images * 255).astype(np.uint8)
    if titles is not None and len(titles) != len(images):
        raise UsageError(f"{len(titles)} titles for {len(images)} images")
    if columns < 1:
        raise UsageError(f"columns must be at least 1, got {columns}")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    _, channels, high, wide = images.shape
    # one picture instead of one axes an image: a hundred axes take seconds
    step, above = max(1, wide // 16), (round(0.28 * high) if titles is not None else max(1, high // 16))
    canvas = np.full((rows * (high + above), columns * (wide + step) - step, channels), 255, dtype=np.uint8)
    width = 8.0 * min(1.0, columns / 10)
    figure, axes = new_figure(width, width * canvas.shape[0] / canvas.shape[1])
    for i, image in enumerate(images):
        top, left = (i // columns) * (high + above) + above, (i % columns) * (wide + step)
        canvas[top : top + high, left : left + wide] = image.transpose(1, 2, 0)
        if titles is not None:
            place = {"ha": "center", "va": "bottom", "fontsize": 9}
            axes.text(left + wide / 2 - 0.5, top - 0.06 * high, str(titles[i]), **place)
    axes.imshow(np.broadcast_to(canvas, (*canvas.shape[:2], 3)), interpolation="nearest")
    axes.set_axis_off()
    named = [str(title) for title in (() if titles is None else titles) if str(title)]
    said = f", under the titles {', '.join(named[:columns])}" if named else ""
    above = " and so on" if len(named) > columns else ""
    return say(figure, f"{len(images)} pictures of {wide} × {high} pixels, {columns} to a row{said}{above}.")


def embedding(points: Any, labels: Any = None, title: str = "") -> "Figure":
    """Points in two or three dimensions, coloured by label, each label written at the median of its points.

    Parameters
    ----------
    points : (N, 2) or (N, 3) numbers
    labels : (N,) of anything that sorts, or None
    title : text above the figure

    Raises
    ------
    UsageError
        Another shape, or as many labels as there are not points.
    """
    import seaborn
    from matplotlib.patheffects import withStroke

    points = _array(points)
    if points.ndim != 2 or points.shape[1] not in (2, 3) or len(points) == 0:
        raise UsageError(f"points must have shape (N, 2) or (N, 3), got {points.shape}")
    labels = np.zeros(len(points), dtype=int) if labels is None else _array(labels)
    if labels.shape != (len(points),):
        raise UsageError(f"{len(points)} points need as many labels, got shape {labels.shape}")
    names, codes = np.unique(labels, return_inverse=True)
    flat = points.shape[1] == 2
    projection: dict[str, Any] = {} if flat else {"projection": "3d"}
    figure, axes = new_figure(8.0, 6.5, **projection)
    palette = np.array(seaborn.color_palette("colorblind" if len(names) <= 10 else "husl", len(names)))
    order = np.random.default_rng(0).permutation(len(points))  # else the last label hides the others
    size = float(np.clip(16000 / len(points), 2, 40))
    axes.scatter(*points[order].T, s=size, c=palette[codes[order]], linewidths=0, alpha=0.75, rasterized=True)
    for code, name in enumerate(names if len(names) > 1 else []):
        halo = [withStroke(linewidth=3, foreground="white")]
        axes.text(*np.median(points[codes == code], axis=0), str(name), weight="bold", path_effects=halo, ha="center")
    axes.set(title=title, xticklabels=[], yticklabels=[])
    kinds = f", coloured by {len(names)} labels, each written at its points" if len(names) > 1 else ""
    start = f"{title}: " if title else ""
    say(figure, f"{start}{len(points)} points in {'the plane' if flat else 'three dimensions'}{kinds}.")
    if flat:
        axes.set_aspect("equal", adjustable="datalim")
    else:
        axes.set(zticklabels=[])
    return figure


def line(
    x: Any,
    curves: Mapping[str, Any],
    *,
    spread: Mapping[str, tuple[Any, Any]] | None = None,
    xlabel: str = "",
    ylabel: str = "",
    title: str = "",
    log: bool = False,
) -> "Figure":
    """Curves over a common ``x`` (N,), each with its own colour, marker and dashes; ``curves`` maps a name to (N,).

    ``spread`` maps names of curves to (low, high), (N,) each, between which the plane is shaded. ``log`` makes both
    axes logarithmic, where growth like a power of x is a straight line.

    Raises
    ------
    UsageError
        No curve, or one that is not as long as ``x``.
    """
    x = _array(x)
    if not curves:
        raise UsageError("there is no curve to draw")
    figure, axes = new_figure(8.0, 4.5)
    for i, (name, values) in enumerate(curves.items()):
        y = _array(values)
        if x.ndim != 1 or y.shape != x.shape:
            raise UsageError(f"curve {name!r} has shape {y.shape}, x has shape {x.shape}; both must be (N,)")
        every = max(1, len(x) // 12)
        marker = {"marker": MARKERS[i % len(MARKERS)], "markevery": (i * every // len(curves), every)}
        (drawn,) = axes.plot(x, y, linestyle=DASHES[i % len(DASHES)], label=name, **marker)
        if spread and name in spread:
            axes.fill_between(x, *map(_array, spread[name]), color=drawn.get_color(), alpha=0.15, linewidth=0)
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    if log:
        axes.set(xscale="log", yscale="log")
    axes.legend()
    return figure


def merge_choice(points: Any, names: Sequence[str], choices: Mapping[str, tuple[int, int]]) -> "Figure":
    """The same points once per panel, with the pair that each criterion merges first joined by a line.

    Parameters
    ----------
    points : (N, 2) numbers
    names : N short texts, written beside the points
    choices : title of a panel -> indices of the pair that it marks

    Raises
    ------
    UsageError
        Points of another shape, or as many names as there are not points.
    """
    points = _array(points)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) != len(names):
        raise UsageError(f"{len(names)} named points must have shape (N, 2), got {points.shape}")
    figure, panels = new_figure(4.2 * len(choices), 3.6, panels=len(choices))
    for axes, (title, pair) in zip(panels[0], choices.items()):
        chosen = points[list(pair)]
        axes.plot(*chosen.T, linewidth=4, alpha=0.6, zorder=0)
        axes.scatter(*points.T, s=260, facecolor="white", edgecolor="black", zorder=1)
        for point, name in zip(points, names):
            axes.text(*point, name, ha="center", va="center", zorder=2)
        axes.set(title=f"{title}: {names[pair[0]]} and {names[pair[1]]}", xticks=[], yticks=[])
        axes.margins(0.15)
        axes.set_aspect("equal")
    return figure


def shares(parts: Any, names: Sequence[str]) -> "Figure":
    """Each row of a data frame as one bar of length one, split by the columns ``names`` (numbers, not negative).

    Raises
    ------
    UsageError
        A row whose parts do not add up to something positive.
    """
    values = _array(parts[list(names)]).astype(float)
    if not len(values) or not (values.sum(axis=1) > 0).all() or values.min() < 0:
        raise UsageError("every bar needs parts that are not negative and add up to something")
    values = values / values.sum(axis=1, keepdims=True)
    figure, axes = new_figure(8.0, 1.6 + 0.5 * len(values))
    for i, (name, widths) in enumerate(zip(names, values.T)):
        left = values[:, :i].sum(axis=1)
        axes.barh([str(row) for row in parts.index], widths, left=left, label=name, hatch=HATCHES[i % len(HATCHES)])
    axes.invert_yaxis()
    axes.set(xlabel="share", xlim=(0, 1))
    axes.legend(ncols=len(names), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def dots(cells: Any, *, xlabel: str = "", baseline: str | None = None) -> "Figure":
    """One row per method: a dot for each value and a bar at their mean, in the order of their first appearance.

    Parameters
    ----------
    cells : data frame with ``method`` and ``value``; rows without a value are left out.
    baseline : a method; the range of its values is shaded behind all rows.

    Raises
    ------
    UsageError
        Nothing to draw.
    """
    known = cells.dropna(subset=["value"])
    if known.empty:
        raise UsageError("there is no value to draw")
    rows = {str(name): part.to_numpy(float) for name, part in known.groupby("method", sort=False)["value"]}
    figure, axes = new_figure(8.0, 1.2 + 0.34 * len(rows))
    if baseline in rows:
        axes.axvspan(rows[baseline].min(), rows[baseline].max(), color="0.9", zorder=0)
    for place, values in enumerate(rows.values()):
        axes.plot(values, [place] * len(values), "o", color="C0", mfc="none")
        axes.plot([values.mean()], [place], "|", color="C0", markersize=16, markeredgewidth=2.5)
    axes.set(yticks=range(len(rows)), yticklabels=list(rows), ylim=(len(rows) - 0.5, -0.5), xlabel=xlabel)
    return figure


def points(x: Any, y: Any, names: Sequence[str], *, xlabel: str = "", ylabel: str = "", log: bool = False) -> "Figure":
    """One measurement against another, (N,) each; names stand in a column at the right, joined to their points.

    ``log`` is of the x axis.

    Raises
    ------
    UsageError
        Nothing to draw, or lengths that differ.
    """
    x, y = _array(x), _array(y)
    if not len(names) or not x.shape == y.shape == (len(names),):
        raise UsageError(f"x {x.shape}, y {y.shape} and {len(names)} names must have one length above 0")
    figure, axes = new_figure(9.0, max(3.8, 0.32 * len(names)))
    axes.plot(x, y, "o", color="C0")
    axes.set(xlabel=xlabel, ylabel=ylabel)
    if log:
        from matplotlib import ticker

        axes.set_xscale("log")
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(ticker.ScalarFormatter())
        axes.xaxis.set_minor_locator(ticker.NullLocator())
    order = np.argsort(y, kind="stable")
    for place, i in zip(np.linspace(0.03, 0.97, len(names)) if len(names) > 1 else [0.5], order):
        axes.annotate(
            names[i],
            (x[i], y[i]),
            xytext=(1.04, place),
            textcoords="axes fraction",
            va="center",
            fontsize=10,
            arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.7},
        )
    return figure


def embedding_panels(panels: Mapping[str, tuple[Any, Any]], columns: int = 3) -> "Figure":
    """Small embeddings in reading order; ``panels`` maps a title to points (N, 2) and labels (N,).

    Colours tell clusters apart within a panel and mean nothing across panels.

    Raises
    ------
    UsageError
        No panel, or points and labels that do not fit.
    """
    import seaborn

    if not panels:
        raise UsageError("there is no panel to draw")
    rows = -(-len(panels) // columns)
    figure, grid = new_figure(8.0, 2.7 * rows, panels=columns, rows=rows)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, (title, (points, labels)) in zip(grid.flat, panels.items()):
        points, codes = _array(points), np.unique(_array(labels), return_inverse=True)[1]
        if points.shape != (len(codes), 2):
            raise UsageError(f"{title}: points must be ({len(codes)}, 2), got {points.shape}")
        palette = np.array(seaborn.color_palette("husl", int(codes.max()) + 1))
        axes.scatter(*points.T, s=2, c=palette[codes], linewidths=0, rasterized=True)
        axes.set(xticks=[], yticks=[])
        axes.set_title(title, fontsize=10)
    return say(figure, f"{len(panels)} small panels of points in the plane, coloured by cluster: {'; '.join(panels)}.")
