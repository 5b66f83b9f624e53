"""PCA with whitening of features that arrive in batches: what DeepCluster does before k-means (Section 3.4)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from clustlib._arrays import check_made, check_tensor, shown
from clustlib._device import resolve
from clustlib._validation import check_integer, check_number
from clustlib.errors import UsageError

_MOST = 1 << 20  # features, whose scatter matrix is square
_FAR = 100.0  # times the spread: a mean beyond is too far away for float32


class Moments:
    """Mean and scatter matrix of rows that arrive in batches, in float64; memory is that of one d x d matrix.

    Attributes
    ----------
    count : rows seen. mean : (d,) float64. scatter : (d, d) float64, the sum of outer products of the centred rows.
    """

    def __init__(self, n_features: int, device: torch.device | str = "cpu") -> None:
        check_integer("n_features", n_features, 1, _MOST)
        device = resolve(device)
        self.count = 0
        self.mean = torch.zeros(n_features, dtype=torch.float64, device=device)
        self.scatter = torch.zeros(n_features, n_features, dtype=torch.float64, device=device)

    def update(self, rows: Tensor) -> None:
        """Add a batch, (n, d) of any float dtype."""
        check_tensor("rows", rows, f"(n, {len(self.mean)})")
        if len(rows) == 0:
            return
        rows = rows.to(self.mean)
        mean = rows.mean(0)
        centred = rows - mean
        self._add(len(rows), mean, centred.T @ centred)

    def combine(self, total: Callable[[Tensor], Tensor]) -> None:
        """Become the moments of the rows of all processes; ``total`` sums a tensor over them."""
        count = total(torch.tensor(float(self.count), dtype=torch.float64, device=self.mean.device))
        mean = total(self.mean * self.count) / count.clamp(min=1)
        step = self.mean - mean
        self.scatter = total(self.scatter + torch.outer(step, step) * self.count)
        self.count, self.mean = int(count), mean

    def _add(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        total = self.count + count
        step = mean - self.mean
        self.scatter += scatter + torch.outer(step, step) * (self.count * count / total)
        self.mean += step * (count / total)
        self.count = total


@dataclass(frozen=True)
class Whitening:
    """The map from features to whitened principal components: ``(rows - mean) @ matrix``.

    ``mean`` is (d,), ``matrix`` (d, m), both float32; float64 where the mean drowns the spread.
    """

    mean: Tensor
    matrix: Tensor

    def __call__(self, rows: Tensor, normalise: bool = True) -> Tensor:
        """Project (n, d) rows to (n, m) float32; ``normalise`` scales each to unit length, a zero row stays zero."""
        if rows.ndim != 2 or rows.shape[1] != len(self.mean):
            raise UsageError(f"rows must be (n, {len(self.mean)}), got {tuple(rows.shape)}")
        projected = ((rows.to(self.mean) - self.mean) @ self.matrix).float()
        return torch.nn.functional.normalize(projected) if normalise else projected


def whitening(moments: Moments, n_components: int = 256) -> Whitening:
    """The leading principal components scaled to unit variance: Lambda^(-1/2) U^T (f - mean).

    Directions without variance (fewer rows than components, dead units) cannot be whitened and are left out,
    so the result may have fewer than ``n_components`` columns. faiss would divide by zero there. Without any
    variance one zero column remains: all rows are the same.

    Raises
    ------
    UsageError : fewer than two rows, or features that are not finite.
    """
    check_made("moments", moments, "Moments", "count", "scatter")
    check_integer("n_components", n_components, 1)
    if moments.count < 2:
        raise UsageError(f"whitening needs at least two rows, got {moments.count}")
    if not torch.isfinite(moments.scatter).all():
        raise UsageError("features contain NaN or infinite values: the network has diverged")
    values, vectors = torch.linalg.eigh(moments.scatter / moments.count)
    values, vectors = values.flip(0)[:n_components], vectors.flip(1)[:, :n_components]
    significant = values > values.max() * 1e-7 if values.max() > 0 else torch.zeros_like(values, dtype=torch.bool)
    scaled = vectors[:, significant] * values[significant].rsqrt()
    if scaled.shape[1] == 0:
        scaled = torch.zeros_like(vectors[:, :1])
    return _with_enough_digits(moments, scaled)


def zca_whitening(moments: Moments, epsilon: float = 0.1) -> Whitening:
    """Whitening that turns back to the axes it came from: U (Lambda + epsilon)^(-1/2) U^T (f - mean).

    ``epsilon`` damps directions of little variance. Coates, Lee and Ng (2011) whiten patches so. Covariances are over
    n - 1.

    Raises
    ------
    UsageError : fewer than two rows, features that are not finite, or no positive ``epsilon``.
    """
    check_made("moments", moments, "Moments", "count", "scatter")
    check_number("epsilon", epsilon)
    if moments.count < 2:
        raise UsageError(f"whitening needs at least two rows, got {moments.count}")
    if not torch.isfinite(moments.scatter).all():
        raise UsageError("features contain NaN or infinite values")
    values, vectors = torch.linalg.eigh(moments.scatter / (moments.count - 1))
    matrix = vectors * (values.clamp(min=0) + epsilon).rsqrt() @ vectors.T
    return _with_enough_digits(moments, matrix)


def _with_enough_digits(moments: Moments, matrix: Tensor) -> Whitening:
    spread = float(moments.scatter.trace()) / moments.count
    far = 0 < _FAR**2 * spread < float(moments.mean @ moments.mean)
    return Whitening(moments.mean, matrix) if far else Whitening(moments.mean.float(), matrix.float())


def pca_whiten(batches: Iterable[Tensor], n_components: int = 256) -> Whitening:
    """:func:`whitening` of features given as an iterable of (n, d) batches, which is read once.

    Raises
    ------
    UsageError : no batch, fewer than two rows, or features that are not finite.
    """
    moments: Moments | None = None
    if not isinstance(batches, Iterable):
        raise UsageError(f"batches must be tensors (n, d), one after the other, got {shown(batches)}")
    for rows in batches:
        check_tensor("batches", rows, "(n, d)")
        moments = moments or Moments(rows.shape[1], rows.device)
        moments.update(rows)
    if moments is None:
        raise UsageError("whitening needs at least two rows, got none")
    return whitening(moments, n_components)
