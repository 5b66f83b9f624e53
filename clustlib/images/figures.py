"""Figures and tables of an outcome, for a notebook."""

import io
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clustlib.images.outcome import Outcome

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIDE = 96


def typical(outcome: Outcome, many: int = 8, clusters: int = 12) -> "Figure":
    """The most typical images of the largest clusters, a row each."""
    from clustlib import plots

    shown, titles = [], []
    for cluster in range(min(clusters, outcome.n_clusters)):
        members = np.flatnonzero(outcome.labels == cluster)
        best = [i for i in members[np.argsort(outcome.standing.rank[members])].tolist() if i in outcome.thumbnails]
        row = [_square(outcome.thumbnails[i]) for i in best[:many]]
        shown += row + [np.full((_SIDE, _SIDE, 3), 255, np.uint8)] * (many - len(row))
        titles += [f"{cluster + 1}: {len(members):,}"] + [""] * (many - 1)
    return plots.image_grid(np.stack(shown).transpose(0, 3, 1, 2), titles, columns=many)


def _square(jpeg: bytes) -> np.ndarray:
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(jpeg)) as image:
        return np.asarray(ImageOps.fit(image.convert("RGB"), (_SIDE, _SIDE)))


def curve(outcome: Outcome, most: int = 40) -> "Figure | str":
    """Bits an image over the number of clusters; the lowest point is the number that is found."""
    from clustlib import plots

    if not len(outcome.choice.lengths):
        why = "the number of clusters was given" if outcome.choice.given else "these are too few images for one"
        return f"no curve: {why}"
    lengths = outcome.choice.lengths[:most]
    marked = f"lowest at {int(outcome.choice.lengths.argmin()) + 1}"
    if outcome.choice.others:
        marked += f", next {' and '.join(map(str, outcome.choice.others))}"
    numbers, said = np.arange(1, len(lengths) + 1), "description length (bits an image)"
    return plots.line(numbers, {marked: lengths}, xlabel="number of clusters", ylabel=said)


def table(outcome: Outcome) -> pd.DataFrame:
    """A row a cluster: images, mean score, the most typical and the most doubtful file."""
    files = pd.DataFrame(
        {
            "file": outcome.files,
            "cluster": outcome.labels + 1,
            "score": outcome.standing.score,
            "rank": outcome.standing.rank,
        }
    )
    groups = files.sort_values("rank").groupby("cluster")
    return groups.agg(
        images=("file", "size"), score=("score", "mean"), typical=("file", "first"), doubtful=("file", "last")
    )


def skipped(outcome: Outcome) -> pd.DataFrame:
    """A row a reason: how many files were skipped for it, and the first of them."""
    rows = [(reason, many, ", ".join(files[:3])) for reason, many, files in outcome.counted]
    return pd.DataFrame(rows, columns=["reason", "files", "such as"])


def sentence(outcome: Outcome) -> str:
    """The result in one or two sentences."""
    from clustlib.images.page import lead

    return " ".join([lead(outcome), *outcome.notes])
