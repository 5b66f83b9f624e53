"""JULE's weighted triplet loss, Eq. (11), on the images of one batch: which triplets, and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from clustlib._arrays import check_made, check_tensor, check_within, one_line
from clustlib._device import on_gpu
from clustlib._validation import check_choice, check_integer, check_number
from clustlib.compiled import njit
from clustlib.errors import UsageError
from clustlib.kernels._neighbour_parts import far_row
from clustlib.kernels.differences import PAIRS

if TYPE_CHECKING:
    from torch import Generator, Tensor

NEGATIVES = ("spread", "random", "nearest")
GRADIENTS = ("exact", "released")
_DIGITS = 2.0**10  # units in the last place of the squared lengths, of which three digits of a distance remain


class Triplets(NamedTuple):
    """P pairs of one cluster, each with K images of other clusters, as positions in the batch (int64).

    Attributes
    ----------
    anchor, positive : (P,)
    negative : (P, K)
    """

    anchor: Tensor
    positive: Tensor
    negative: Tensor

    def __len__(self) -> int:
        """Number of triplets, P K."""
        return self.negative.numel()


def sample_triplets(
    labels: Tensor,
    n_negatives: int = 20,
    *,
    negatives: str = "spread",
    distances: Tensor | None = None,
    generator: Generator | None = None,
) -> Triplets:
    """Every pair of a cluster in the batch (its first image the anchor), each with images of other clusters.

    As in the released code a pair gets ``min(n_negatives, clusters in the batch - 1)`` different negatives. A batch
    with one cluster, or without two images of a cluster, has no triplets.

    Parameters
    ----------
    labels : (B,) integer tensor
        The cluster of each image; the result is on its device.
    n_negatives : int
        At least 1.
    negatives : {"spread", "random", "nearest"}
        "spread": in the order of clusters, from a random image on, evenly spaced ones; every image of another cluster
        is equally likely, but few of the possible sets occur. It takes one random number a pair. "random" (both
        released codes): every set of images of other clusters is equally likely. "nearest" (section 3.5.2): those
        nearest to the anchor.
    distances : (B, B) tensor
        Squared distances in the batch; only read for "nearest".
    generator : torch.Generator on the device of ``labels``, for "spread" and "random"

    Raises
    ------
    UsageError
        An unknown name, fewer than one negative, or "nearest" without distances.
    """
    _check(labels, n_negatives, negatives, distances, generator)
    if negatives == "nearest":
        assert distances is not None
        return _with_nearest(labels, n_negatives, distances)
    if negatives == "random":
        return _with_random(labels, n_negatives, generator)
    if on_gpu(labels):
        return _spread_on_gpu(labels, n_negatives, generator)
    return _spread(labels, n_negatives, generator)


def _spread(labels: Tensor, n_negatives: int, generator: Generator | None) -> Triplets:
    """Two compiled loops: of a batch of 100, the 20 operations of :func:`_spread_on_gpu` are all overhead."""
    import torch

    order, rank, starts, anchor, positive = _pairs(labels.numpy())
    k = max(0, min(n_negatives, len(starts) - 2))  # starts has one line more than there are clusters
    if k == 0:
        anchor, positive = anchor[:0], positive[:0]
    uniform = torch.rand(len(anchor), generator=generator)
    negative = _others(order, starts, rank[anchor], uniform.numpy(), k)
    return Triplets(torch.from_numpy(anchor), torch.from_numpy(positive), torch.from_numpy(negative))


@njit(nogil=True)
def _pairs(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The images in the order of clusters, the cluster of each from 0, where each starts there, and all pairs of one.

    Returns
    -------
    order, rank : (B,); starts : (C + 1,); anchor, positive : (P,), all int64
    """
    n = len(labels)
    order = np.argsort(labels, kind="mergesort")
    rank, starts = np.empty(n, np.int64), np.empty(n + 1, np.int64)
    clusters, pairs = 0, 0
    for place in range(n):
        if place == 0 or labels[order[place]] != labels[order[place - 1]]:
            starts[clusters] = place
            clusters += 1
        rank[order[place]] = clusters - 1
        pairs += place - starts[clusters - 1]
    starts[clusters] = n
    anchor, positive = np.empty(pairs, np.int64), np.empty(pairs, np.int64)
    at = 0
    for i in range(n):
        for j in range(i + 1, n):
            if rank[i] == rank[j]:
                anchor[at], positive[at] = i, j
                at += 1
    return order, rank, starts[: clusters + 1], anchor, positive


@njit(nogil=True)
def _others(order: np.ndarray, starts: np.ndarray, cluster: np.ndarray, uniform: np.ndarray, k: int) -> np.ndarray:
    """``k`` different images (P, k) outside each of the clusters ``cluster`` (P,), without rejection.

    In the order of clusters, the m others of a cluster are a circle of m places. The places ``j m // k`` on from a
    random one, for j < k, are all different since m >= k, and each place is as likely as any other.
    """
    n = len(order)
    negatives = np.empty((len(cluster), k), np.int64)
    for pair in range(len(cluster)):
        end = starts[cluster[pair] + 1]
        others = n - (end - starts[cluster[pair]])
        first = np.int64(uniform[pair] * np.float32(others))
        for j in range(k):
            place = first + j * others // k
            place = end + (place - others if place >= others else place)
            negatives[pair, j] = order[place - n if place >= n else place]
    return negatives


def _spread_on_gpu(labels: Tensor, n_negatives: int, generator: Generator | None) -> Triplets:
    """As :func:`_spread`, to the last image for the same random numbers, without a loop."""
    import torch

    anchor, positive, rank, sizes, k = _pairs_on_device(labels, n_negatives)
    order = torch.argsort(labels, stable=True)
    cluster = rank[anchor]
    others = (len(order) - sizes[cluster])[:, None]
    start = (torch.rand(len(cluster), 1, generator=generator, device=order.device) * others).long()
    steps = torch.arange(k, device=order.device) * others // max(k, 1)
    place = around(start + steps, others) + sizes.cumsum(0)[cluster][:, None]
    return Triplets(anchor, positive, order[around(place, len(order))])


def _with_random(labels: Tensor, n_negatives: int, generator: Generator | None) -> Triplets:
    """Every image of the batch draws a number for every pair; of other clusters those with the largest are taken."""
    import torch

    anchor, positive, rank, _, k = _pairs_on_device(labels, n_negatives)
    drawn = torch.rand(len(anchor), len(labels), generator=generator, device=labels.device)
    drawn = drawn.masked_fill(rank[anchor][:, None] == rank, -1.0)
    return Triplets(anchor, positive, drawn.topk(k).indices)


def _with_nearest(labels: Tensor, n_negatives: int, distances: Tensor) -> Triplets:
    import torch

    anchor, positive, rank, _, k = _pairs_on_device(labels, n_negatives)
    apart = distances.detach().masked_fill(rank[:, None] == rank, torch.inf)
    return Triplets(anchor, positive, apart.topk(k, largest=False).indices[anchor])


def _pairs_on_device(labels: Tensor, n_negatives: int) -> tuple[Tensor, Tensor, Tensor, Tensor, int]:
    """All pairs of a cluster, the cluster of each image from 0, the sizes of clusters, and the number of negatives."""
    import torch

    _, rank, sizes = torch.unique(labels, return_inverse=True, return_counts=True)
    anchor, positive = torch.nonzero(torch.triu(rank[:, None] == rank, 1), as_tuple=True)
    k = max(0, min(n_negatives, len(sizes) - 1))
    return (anchor, positive, rank, sizes, k) if k else (anchor[:0], positive[:0], rank, sizes, k)


def around(place: Tensor, circle: Tensor | int) -> Tensor:
    """``place`` modulo ``circle``, where it is less than twice that: integer division is slow."""
    return place - circle * (place >= circle)


def weighted_triplet_loss(
    x: Tensor, triplets: Triplets, gamma: float = 2.0, margin: float | None = 0.2, *, gradient: str = "exact"
) -> Tensor:
    """The mean over triplets of ``max(0, gamma |x_i - x_j|^2 - |x_i - x_k|^2 + margin)``: Eq. (11) with a hinge.

    Without a margin, of ``gamma |x_i - x_j|^2 - |x_i - x_k|^2``: Eq. (11) as it is written.

    Without triplets the loss is 0, with zero gradients.

    Parameters
    ----------
    x : (B, D) floating tensor
        Features of the batch; of unit length in JULE. Longer ones are measured by :func:`squared_distances` on a CPU.
    gamma : float
        Weight of the positive pair. margin : float, in squared units of ``x``; None for no hinge.
    gradient : {"exact", "released"}
        "released": JULE.torch scales the gradients of the positive and of the negative by gamma - 1 (right at
        gamma = 2; at gamma = 1, its default, only the anchor moves). Holds for what remains of a gradient behind an
        l2-normalisation.
    """
    check_choice("gradient", gradient, GRADIENTS)
    check_number("gamma", gamma, zero=True)
    if margin is not None:
        check_number("margin", margin, zero=True)
    check_tensor("x", x, "(B, D)")
    check_made("triplets", triplets, "Triplets", "anchor", "positive", "negative")
    if len(triplets) == 0:
        return x.sum() * 0
    others = x if gradient == "exact" else x.detach() + (gamma - 1) * (x - x.detach())
    d2 = (squared_distances if _beyond_unit(x) else by_products)(x, others)
    if x.is_cpu:  # where a look at the numbers is free
        for positions in triplets:
            check_within("triplets", positions.numpy(), len(x))
    try:
        to_positive = d2[triplets.anchor, triplets.positive]
        to_negative = d2[triplets.anchor].gather(1, triplets.negative)
    except (IndexError, RuntimeError) as error:
        raise UsageError(f"triplets must be positions among the {len(x)} rows of x: {one_line(error)}") from None
    return hinged(gamma * to_positive[:, None] - to_negative, margin).mean()  # Eq. (11)


def _beyond_unit(x: Tensor) -> bool:
    """Whether rows are so long that products may lose a distance of the size of the margin; not asked on a GPU."""
    return x.is_cpu and bool((x.detach() ** 2).sum(1).amax() > 2)  # up to which rounding is nothing beside a margin


def hinged(excess: Tensor, margin: float | None) -> Tensor:
    """``max(0, excess + margin)``; without a margin the excess itself."""
    return excess if margin is None else (excess + margin).relu()


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Squared Euclidean distances (B, C) between the rows of ``x`` (B, D) and ``y`` (C, D).

    Pairs that lie so close together, for their lengths, that products have lost them are measured by their differences.
    """
    from torch import cat, finfo

    d2 = unmended_distances(x, y)
    lengths = (x.detach() ** 2).sum(1)[:, None] + (y.detach() ** 2).sum(1)
    near = (d2.detach() < _DIGITS * finfo(x.dtype).eps * lengths).nonzero(as_tuple=True)
    if not len(near[0]):
        return d2
    parts = zip(*(index.split(PAIRS) for index in near))
    return d2.index_put(near, cat([((x[i] - y[j]) ** 2).sum(1) for i, j in parts]))


def unmended_distances(x: Tensor, y: Tensor) -> Tensor:
    """:func:`squared_distances` of rows of about unit length, whatever rounding leaves of pairs close together.

    Rows that lie close together, far from the origin, are measured from one of them.
    """
    check_tensor("x", x, "(B, D)")
    check_tensor("y", y, "(C, D)")
    if x.shape[1] != y.shape[1] or x.dtype != y.dtype:
        raise UsageError(f"x and y must share D and dtype, got {tuple(x.shape)} and {tuple(y.shape)}")
    origin = far_row(y.detach())
    return by_products(x, y) if origin is None else by_products(x - origin, y - origin)


def by_products(x: Tensor, y: Tensor) -> Tensor:
    """:func:`squared_distances` of rows of about unit length, without a look at the numbers."""
    return (x * x).sum(1)[:, None] + (y * y).sum(1) - 2 * x @ y.T


def _check(labels: Tensor, n_negatives: int, negatives: str, distances: Tensor | None, generator: Any) -> None:
    check_tensor("labels", labels, "(B,)", floating=False)
    check_choice("negatives", negatives, NEGATIVES)
    check_integer("n_negatives", n_negatives, 1)
    if generator is not None:
        check_made("generator", generator, "torch's Generator", "manual_seed", "get_state")
    if negatives == "nearest":
        check_tensor("distances", distances, f"({len(labels)}, {len(labels)})")
