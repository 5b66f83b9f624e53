"""Which images an epoch draws, and with which label: the paper's uniform sampling and what the released code does."""

from typing import Literal, NamedTuple

import numpy as np

from clustlib._arrays import array_of, check_made
from clustlib._validation import check_choice
from clustlib.errors import UsageError

Sampler = Literal["uniform", "released"]


class Draws(NamedTuple):
    """``images`` (M,) int64 indices into the data set and ``targets`` (M,) int64, their pseudo-labels."""

    images: np.ndarray
    targets: np.ndarray


def draw_epoch(labels: np.ndarray, rng: np.random.Generator, sampler: Sampler = "uniform") -> Draws:
    """An epoch's images: as many as there are, drawn "based on a uniform distribution over the pseudo-labels".

    Parameters
    ----------
    labels : (N,) int64 clusters from 0; negative ones (images that could not be read) are never drawn.
    sampler : "uniform" draws the same number from every non-empty cluster (Section 3.3). "released" draws the same
        indices and looks them up in the list that is sorted by cluster, so the image is another one; it comes with
        its own label, and the mix of labels is nearly what clustering found.

    Raises
    ------
    UsageError : no image to draw, or an unknown sampler.
    """
    check_choice("sampler", sampler, ("uniform", "released"))
    check_made("rng", rng, "a NumPy generator", "permutation", "choice")
    labels = array_of("labels", labels, "(N,)", "iu")
    by_cluster = np.argsort(labels, kind="stable")[np.count_nonzero(labels < 0) :]
    if len(by_cluster) == 0:
        raise UsageError("there is no image to draw")
    members = np.split(by_cluster, np.flatnonzero(np.diff(labels[by_cluster])) + 1)
    each = len(by_cluster) // len(members) + 1
    drawn = np.concatenate([rng.choice(own, each, replace=len(own) <= each) for own in members])
    drawn = rng.permutation(drawn)[: len(by_cluster)]
    if sampler == "released":
        # a position among the readable images, taken for a position in the list sorted by cluster
        position = np.cumsum(labels >= 0) - 1
        drawn = by_cluster[position[drawn]]
    return Draws(drawn, labels[drawn].astype(np.int64))


def largest_share(targets: np.ndarray) -> float:
    """The share of the most frequent target, times the number of different targets: 1 is uniform."""
    counts = np.unique(targets, return_counts=True)[1]
    return float(counts.max() / len(targets) * len(counts))
