"""Instance retrieval: R-MAC descriptors (Tolias et al., 2016) and the Oxford protocol's mean average precision."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from clustlib._arrays import array_of, check_made, check_tensor, shown
from clustlib._validation import check_integer, check_path
from clustlib.errors import DataCorrupt, UsageError
from clustlib.kernels.whitening import Whitening
from clustlib.transfer.checks import LARGEST_SIDE, sequence_of, text_of


def region_grid(height: int, width: int, levels: int = 3) -> list[tuple[int, int, int]]:
    """The squares of R-MAC: (top, left, side) at scales 1 to ``levels`` of a ``height`` x ``width`` map.

    At scale l the side is 2 min(H, W) / (l + 1); along the short side l squares are spread evenly, along the long side
    as many more as bring the overlap of neighbours closest to 40 %.

    Raises
    ------
    UsageError : no pixel, no level, or so many that a square would be smaller than a pixel (three there may always be).
    """
    check_integer("height", height, 1, LARGEST_SIDE)
    check_integer("width", width, 1, LARGEST_SIDE)
    height, width = int(height), int(width)  # NumPy's small integers wrap
    check_integer("levels", levels, 1, max(3, 2 * min(height, width) - 1))
    levels = int(levels)
    short, long = sorted((height, width))
    overlap = {m: abs((short**2 - short * (long - short) / m) / short**2 - 0.4) for m in range(1, 7)}
    more = min(overlap, key=lambda m: overlap[m]) if long > short else 0
    regions = []
    for level in range(1, levels + 1):
        side = max(1, 2 * short // (level + 1))
        n_high = level + (more if height > width else 0)
        n_wide = level + (more if width > height else 0)
        tops, lefts = _spread(height - side, n_high), _spread(width - side, n_wide)
        regions += [(top, left, side) for top in tops for left in lefts]
    return regions


def _spread(room: int, n: int) -> list[int]:
    """``n`` positions from 0 to ``room``, evenly."""
    return [0] if n == 1 else [int(room * i / (n - 1)) for i in range(n)]


def region_vectors(maps: Tensor, levels: int = 3) -> Tensor:
    """The maximum of each channel in each region, of unit length: (n, C, H, W) to (n, regions, C)."""
    check_tensor("maps", maps, "(n, C, H, W)")
    if not bool(maps.isfinite().all()):
        raise UsageError("maps must be finite, not NaN or infinite")
    cut = [
        maps[:, :, t : t + s, w : w + s].amax((2, 3)) for t, w, s in region_grid(maps.shape[2], maps.shape[3], levels)
    ]
    return torch.nn.functional.normalize(torch.stack(cut, dim=1), dim=2)


def rmac(maps: Tensor, levels: int = 3, whitening: Whitening | None = None) -> Tensor:
    """R-MAC: region vectors, whitened by PCA and of unit length again, summed, of unit length: (n, d).

    ``whitening`` is learnt on another set (:func:`clustlib.kernels.pca_whiten` of its :func:`region_vectors`).
    """
    vectors = region_vectors(maps, levels)
    if whitening is not None:
        check_made("whitening", whitening, "a Whitening", "mean", "matrix")
        n, regions, channels = vectors.shape
        vectors = whitening(vectors.reshape(-1, channels)).reshape(n, regions, -1)
    return torch.nn.functional.normalize(vectors.sum(1))


def average_precision(ranked: Sequence[int], positives: set[int], junk: set[int]) -> float:
    """The Oxford protocol: the area under the precision-recall curve by trapezoids, junk images passed over.

    Parameters
    ----------
    ranked : image indices, best first. positives : "good" and "ok" images. junk : neither right nor wrong.

    Raises
    ------
    UsageError : no positive image.
    """
    ranked = array_of("ranked", ranked, "(N,)", "iu").tolist()
    if len(set(ranked)) < len(ranked):
        raise UsageError("ranked must name an image once")
    for name, images in (("positives", positives), ("junk", junk)):
        if not isinstance(images, (set, frozenset)):
            raise UsageError(f"{name} must be a set of images, got {shown(images)}")
    if not positives:
        raise UsageError("a query needs at least one positive image")
    hits = seen = 0
    area, recall, precision = 0.0, 0.0, 1.0
    for image in ranked:
        if image in junk:
            continue
        seen += 1
        hits += image in positives
        previous_recall, previous_precision = recall, precision
        recall, precision = hits / len(positives), hits / seen
        area += (recall - previous_recall) * (previous_precision + precision) / 2
        if hits == len(positives):
            break
    return area


@dataclass(frozen=True)
class Query:
    """An image's index, the box (left, top, right, bottom) to search for (None: all of it), and what it should find."""

    image: int
    box: tuple[float, float, float, float] | None
    positives: frozenset[int]
    junk: frozenset[int]


def mean_average_precision(descriptors: np.ndarray, searched: np.ndarray, queries: Sequence[Query]) -> float:
    """Mean over the queries of :func:`average_precision`.

    Parameters
    ----------
    descriptors : (N, d) of unit length, of all images. searched : (Q, d), of the queries' boxes.

    Raises
    ------
    UsageError : no query, another number of queries than of rows to search with, another width, NaN or infinite
    values, a query for images that have no descriptor or for none.
    """
    descriptors, searched = _rows("descriptors", descriptors), _rows("searched", searched)
    if len(sequence_of("queries", queries)) != len(searched) or searched.shape[1] != descriptors.shape[1]:
        raise UsageError(f"{len(queries)} queries for {searched.shape} descriptors to find among {descriptors.shape}")
    for query in queries:
        _check_query(query, len(descriptors))
    scores = searched @ descriptors.T
    ranked = np.argsort(-scores, axis=1, kind="stable")
    precisions = [average_precision(r.tolist(), set(q.positives), set(q.junk)) for r, q in zip(ranked, queries)]
    return float(np.mean(precisions))


def _rows(name: str, descriptors: np.ndarray) -> np.ndarray:
    """(N, d) floats; whole numbers as float64, in which their products do not overflow."""
    found = array_of(name, descriptors, "(N, d)", rows=1)
    return found if found.dtype.kind == "f" and found.dtype.itemsize > 2 else found.astype(np.float64)


def _check_query(query: Query, n: int) -> None:
    """Raise :class:`UsageError` unless a query's images are among ``n`` ones."""
    check_made("queries", query, "a Query", "positives", "junk")
    if not all(isinstance(i, (int, np.integer)) and 0 <= i < n for i in (*query.positives, *query.junk)):
        raise UsageError(f"a query's positive and junk images must be whole numbers from 0 to {n - 1}")


def class_queries(labels: np.ndarray, per_class: int = 5) -> list[Query]:
    """Queries where only classes are known: ``per_class`` images of each, evenly spread; a query itself is junk.

    Oxford and Paris have five queries a landmark.
    """
    check_integer("per_class", per_class, 1)
    labels = array_of("labels", labels, "(N,)", "iu", rows=1)
    queries = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        for image in members[np.linspace(0, len(members) - 1, min(per_class, len(members))).astype(int)]:
            queries.append(Query(int(image), None, frozenset(members.tolist()) - {int(image)}, frozenset([int(image)])))
    return queries


def read_ground_truth(folder: Path, names: Sequence[str], prefix: str = "") -> list[Query]:
    """The queries of Oxford Buildings or Paris as their authors publish them.

    ``<landmark>_<n>_query.txt`` names an image and a box, ``_good.txt``, ``_ok.txt`` and ``_junk.txt`` list images, one
    a line. Oxford's query files put "oxc1_" before the name: that is ``prefix``.

    Parameters
    ----------
    names : the images' names without suffix, in the order of their indices.

    Raises
    ------
    DataCorrupt : no query, a file of another form, or an image that is not among ``names``.
    """
    index = {name: i for i, name in enumerate(map(str, sequence_of("names", names)))}
    check_path("folder", folder)
    if not isinstance(prefix, str):
        raise UsageError(f"prefix must be a text, got {shown(prefix)}")
    folder, queries = Path(folder), []
    for path in sorted(folder.glob("*_query.txt")):
        parts = text_of(path).split()
        try:
            box = tuple(float(number) for number in parts[1:])
        except ValueError:
            box = ()
        if len(box) != 4 or not np.isfinite(box).all():
            raise DataCorrupt(f"{path} should hold an image's name and four numbers")
        stem = path.name.removesuffix("_query.txt")
        lists = {k: _listed(folder / f"{stem}_{k}.txt", index) for k in ("good", "ok", "junk")}
        image = _lookup(parts[0].removeprefix(prefix), index, path)
        queries.append(Query(image, box, lists["good"] | lists["ok"], lists["junk"]))  # type: ignore[arg-type]
    if not queries:
        raise DataCorrupt(f"{folder} holds no *_query.txt")
    return queries


def _listed(path: Path, index: dict[str, int]) -> frozenset[int]:
    if not path.is_file():
        raise DataCorrupt(f"{path} is missing")
    return frozenset(_lookup(name, index, path) for name in text_of(path).split())


def _lookup(name: str, index: dict[str, int], path: Path) -> int:
    if name not in index:
        raise DataCorrupt(f"{path} names {name}, which is not among the images")
    return index[name]
