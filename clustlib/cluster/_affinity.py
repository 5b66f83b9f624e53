"""Gaussian affinities between all pairs of samples: sparse, kept, or recomputed block by block.

All forms support ``W @ U`` and leave out the diagonal, which the callers add where their method keeps it. The table of
70,000 samples takes 19.6 GB, its upper triangle 9.8 GB; what does not fit is recomputed for every product, one pass
over the squared distances, so the eigensolver asks for few products with wide blocks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse

from clustlib._device import resolve

BLOCK = 512  # rows of a block of squared distances
NOISE = 2e-6  # squared distances below this share of the largest squared norm are float32's rounding: taken as 0
SPOILED = 1e-9  # squared distances below this share of two rows' squared norms are computed anew in float64
PROBED, BLURRED = 64, 1 / 16  # rows looked at, and the share of them that may have another within the noise
PAIRS = 4096  # of rows whose differences are held at once
GiB = 1 << 30


@dataclass(frozen=True)
class Gaussian:
    """W_ij = exp(-(D_ij c_i c_j)^power) for squared distances D; values below ``threshold`` are dropped.

    ``reach`` (n,) float32 holds c; ``limit`` caps the products c_i c_j.
    """

    reach: np.ndarray
    power: int = 1
    threshold: float = 0.0
    limit: float = np.inf


class SquaredDistances:
    """Squared Euclidean distances of ``X`` (n, d) in row blocks, on a device, in float32 of the centred features.

    Where the groups of the data lie so far apart that float32 sees no structure inside of them, all is in float64, and
    what cancels even there comes from the differences.
    """

    def __init__(self, X: np.ndarray, device: "str | torch.device" = "auto") -> None:
        centred = X.astype(np.float64)
        centred -= centred.mean(axis=0)
        norms = np.einsum("nd,nd->n", centred, centred)
        self.mean = 2 * float(norms.mean())  # over all n² pairs, the n zeros included, as mean(D(:)) is
        self.device = torch.device(resolve(device) if isinstance(device, str) else device)
        self.wide = _is_blurred(centred, norms)
        kind = np.float64 if self.wide else np.float32
        self.X = torch.from_numpy(centred.astype(kind, copy=False)).to(self.device)
        self.norms = torch.from_numpy(norms.astype(kind, copy=False)).to(self.device)
        self.noise = NOISE * float(norms.max())

    def __len__(self) -> int:
        return len(self.X)

    def block(self, start: int, stop: int, first: int = 0) -> torch.Tensor:
        """Distances of rows start .. stop-1 to the samples from ``first`` on."""
        D = torch.addmm(self.norms[first:], self.X[start:stop], self.X[first:].T, alpha=-2)
        D += self.norms[start:stop, None]
        return self._mended(D, start, first) if self.wide else torch.threshold_(D, self.noise, 0.0)

    def _mended(self, D: torch.Tensor, start: int, first: int) -> torch.Tensor:
        """Give every pair whose distance the products have lost that of its differences, in place."""
        rows, columns = self.norms[start : start + len(D), None], self.norms[first:]
        for pairs in (SPOILED * (rows + columns) > D).nonzero().split(PAIRS):
            i, j = pairs.T
            D[i, j] = (self.X[start + i] - self.X[first + j]).square_().sum(dim=1)
        return D

    def upper_block(self, start: int, stop: int) -> torch.Tensor:
        """Distances of rows start .. stop-1 to the samples from ``start`` on, symmetric where both are rows."""
        D = self.block(start, stop, start)
        square = D[:, : stop - start]
        square.copy_((square + square.T) / 2)  # products are not symmetric to the last bit, degrees must be
        return D

    def maximum(self) -> float:
        starts = progress(len(self), "largest distance")
        return max(float(self.upper_block(start, min(start + BLOCK, len(self))).max()) for start in starts)


def progress(n: int, message: str) -> Any:
    from tqdm.auto import tqdm

    return tqdm(range(0, n, BLOCK), desc=message, leave=False, delay=2)


def _is_blurred(X: np.ndarray, norms: np.ndarray) -> bool:
    """Whether more than a few of the rows have another one, not equal to them, within the noise of float32."""
    probed = np.unique(np.linspace(0, len(X) - 1, PROBED).astype(int))
    D = norms[probed, None] + norms - 2 * (X[probed] @ X.T)
    near = np.argwhere(NOISE * norms.max() > D)
    levels: set[int] = set()
    for first in range(0, len(near), PAIRS):
        i, j = near[first : first + PAIRS].T
        levels.update(i[(X[probed[i]] != X[j]).any(axis=1)].tolist())
    return len(levels) > BLURRED * len(probed)


def affinity(distances: SquaredDistances, kernel: Gaussian, max_memory: float) -> Any:
    """The affinity matrix without its diagonal, as something that ``W @ U`` works on.

    Sparse where the kernel has a threshold and what is left fits in ``max_memory`` bytes, else ``BlockAffinity``.
    """
    if kernel.threshold > 0:
        W = _sparse(distances, kernel, max_memory)
        if W is not None:
            return W
    return BlockAffinity(distances, kernel, max_memory)


def weights(D: torch.Tensor, kernel: Gaussian, reach: torch.Tensor, start: int, stop: int) -> torch.Tensor:
    """Turn an upper block of squared distances into affinities in place, zero on the diagonal."""
    if kernel.limit < np.inf:
        D *= torch.outer(reach[start:stop], reach[start:]).clamp_(max=kernel.limit)
    else:
        D *= reach[start:stop, None]
        D *= reach[start:]
    if kernel.power == 2:
        D.square_()
    W = D.neg_().exp_()
    if kernel.threshold > 0:
        torch.threshold_(W, kernel.threshold, 0.0)
    W[:, : stop - start].fill_diagonal_(0)
    return W


class BlockAffinity:
    """The upper triangle of W in row blocks: kept up to ``max_memory`` bytes, the rest recomputed for every product.

    A product is summed in float64, so that degrees minus products leaves no rounding of its own between groups that
    hardly touch.
    """

    def __init__(self, distances: SquaredDistances, kernel: Gaussian, max_memory: float) -> None:
        self.distances, self.kernel, self.spare = distances, kernel, max_memory
        self.reach = torch.from_numpy(kernel.reach).to(distances.X)
        self.shape = (len(distances), len(distances))
        self.kept: dict[int, torch.Tensor] = {}

    def upper_blocks(self, message: str) -> Iterator[tuple[int, int, torch.Tensor]]:
        """Yield ``(start, stop, W)`` with W the affinities of rows start .. stop-1 to the samples from start on."""
        n = len(self.distances)
        for start in progress(n, message):
            stop = min(start + BLOCK, n)
            W = self.kept.get(start)
            if W is None:
                W = weights(self.distances.upper_block(start, stop), self.kernel, self.reach, start, stop)
                if W.nbytes <= self.spare:
                    self.kept[start] = W
                    self.spare -= W.nbytes
            yield start, stop, W

    def __matmul__(self, U: np.ndarray) -> np.ndarray:
        vectors = torch.from_numpy(np.ascontiguousarray(U, np.float64)).to(self.distances.device)
        out = torch.zeros_like(vectors)
        for start, stop, W in self.upper_blocks("affinity times vectors"):
            W64 = W.double()
            out[start:stop] += W64 @ vectors[start:]
            out[stop:] += W64[:, stop - start :].T @ vectors[start:stop]
        return out.cpu().numpy()


def _sparse(distances: SquaredDistances, kernel: Gaussian, max_memory: float) -> sparse.csr_array | None:
    """The thresholded affinities as CSR, or None where they exceed ``max_memory``."""
    rows, columns, values, entries = [], [], [], 0
    for start, stop, W in BlockAffinity(distances, kernel, 0).upper_blocks("affinities above the threshold"):
        W[:, : stop - start].triu_()
        i, j = W.nonzero(as_tuple=True)
        entries += len(i)
        if 48 * entries > max_memory:  # the coordinates, their transpose and the CSR form
            return None
        rows.append((i + start).int().cpu().numpy())
        columns.append((j + start).int().cpu().numpy())
        values.append(W[i, j].cpu().numpy())
    coordinates = (np.concatenate(rows), np.concatenate(columns))
    upper = sparse.coo_array((np.concatenate(values), coordinates), shape=(len(distances), len(distances))).tocsr()
    return upper + upper.T


def degrees(W: Any) -> np.ndarray:
    """Row sums without the diagonal, (n,) float64."""
    return (W @ np.ones((W.shape[0], 1))).ravel()
