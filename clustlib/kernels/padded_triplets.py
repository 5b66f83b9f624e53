"""The triplet loss of a batch in shapes that do not depend on its labels, so that a whole step can be a CUDA graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clustlib.kernels.triplets import around, by_products, hinged

if TYPE_CHECKING:
    from torch import Tensor


def padded_triplet_loss(
    x: Tensor,
    labels: Tensor,
    uniform: Tensor,
    n_negatives: int = 20,
    gamma: float = 2.0,
    margin: float | None = 0.2,
    *,
    gradient: str = "exact",
) -> tuple[Tensor, Tensor]:
    """:func:`weighted_triplet_loss` of the spread triplets of :func:`sample_triplets`, over all pairs of the batch.

    Pairs of two clusters, and negatives beyond those that a pair gets, take part with weight zero. The same random
    numbers give the same triplets.

    Parameters
    ----------
    x : (B, D) floating tensor
        Features of the batch, B at least 2; of about unit length, as products alone measure them.
    labels : (B,) integer tensor
        On the device of ``x``.
    uniform : (B (B - 1) / 2,) floating tensor
        Random numbers in [0, 1), one a pair i < j in the order of rows.
    n_negatives, gamma, margin, gradient : see there.

    Returns
    -------
    loss : () tensor
        The mean over triplets; 0, with zero gradients, where there are none.
    n_triplets : () int64 tensor
    """
    import torch

    size = len(labels)
    anchor, positive = torch.triu_indices(size, size, 1, device=labels.device)
    same = labels[:, None] == labels
    # in the order of clusters the others of a cluster are a circle that begins where the cluster ends
    ends = (labels <= labels[:, None]).sum(1)[anchor, None]
    others = (size - same.sum(1))[anchor, None]
    n_clusters = (~(same.tril(-1).any(1))).sum()  # images that no earlier one shares a cluster with
    k = (n_clusters - 1).clamp(max=n_negatives)
    j = torch.arange(n_negatives, device=labels.device)
    drawn = j < k
    first = (uniform[:, None] * others).long()
    place = around(first + torch.where(drawn, j, 0) * others // k.clamp(min=1), others) + ends
    negative = torch.argsort(labels, stable=True)[around(place, size)]
    d2 = by_products(x, x if gradient == "exact" else x.detach() + (gamma - 1) * (x - x.detach())).flatten()
    to_positive = d2.gather(0, anchor * size + positive)
    to_negative = d2.gather(0, (anchor[:, None] * size + negative).flatten()).view_as(negative)
    counted = drawn & same[anchor, positive][:, None]
    n_triplets = counted.sum()
    losses = hinged(gamma * to_positive[:, None] - to_negative, margin)  # Eq. (11)
    return (losses * counted).sum() / n_triplets.clamp(min=1), n_triplets
