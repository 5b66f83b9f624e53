"""The affinities between clusters and JULE's merge criterion as plain tables, to look at and to draw."""

from __future__ import annotations

import numpy as np

from clustlib._arrays import array_of, check_made
from clustlib._validation import check_integer, check_number, check_numbers
from clustlib.errors import UsageError
from clustlib.kernels.neighbours import KnnGraph

_MOST = 1 << 20  # neighbours that the criterion looks at: so many columns are made, though there be fewer clusters


def cluster_affinities(graph: KnnGraph, labels: np.ndarray) -> np.ndarray:
    """The GDL affinity of every pair of clusters, A(a, b) = S(a; b)/|a|² + S(b; a)/|b|² (Zhang et al. 2012).

    S(a; b) is the sum over the vertices j of b of the weight that j receives from a times the weight
    that it sends to a; as a sparse product, S = ((Wᵀ Z) ∘ (W Z))ᵀ Z with indicator columns Z.

    Parameters
    ----------
    graph : KnnGraph of N vertices
    labels : (N,) integers from 0 to C - 1, every one used

    Returns
    -------
    (C, C) float64, symmetric, zero diagonal. Dense: for tables of some thousand clusters at most;
    merging keeps them sparse, see :func:`.graph_linkage`.
    """
    from scipy.sparse import csr_array

    check_made("graph", graph, "a KnnGraph", "indices", "weights")
    labels = array_of("labels", labels, "(N,)", "iu")
    n, k = graph.indices.shape
    whole = len(labels) == n and labels.min() >= 0
    sizes = np.bincount(labels) if whole and labels.max() < n else np.zeros(1)
    if (sizes == 0).any():
        raise UsageError(f"labels must be (N,) = ({n},) integers from 0 on, every one used")
    W = csr_array((graph.weights.ravel(), graph.indices.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))
    Z = csr_array((np.ones(n), (np.arange(n), labels)), shape=(n, len(sizes)))
    S = ((W.T @ Z).multiply(W @ Z).T @ Z).toarray()
    np.fill_diagonal(S, 0)
    return S / sizes[:, None] ** 2 + S.T / sizes**2


def merge_scores(affinities: np.ndarray, k_c: int = 5, weight: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """What each cluster offers: its largest affinity, Eq. (7a), and the criterion (7a) + (7b), signs turned.

    Parameters
    ----------
    affinities : (C, C) symmetric; the diagonal is not read. k_c : K_c. weight : lambda.

    Returns
    -------
    Two (C,) arrays; the cluster with the largest value is merged with its nearest. Neighbours that are
    missing to ``k_c`` count as affinity 0.
    """
    check_integer("k_c", k_c, 2, _MOST)
    check_number("weight", weight, zero=True)
    others = np.array(check_numbers(affinities, reset=False, name="affinities"), dtype=np.float64)
    if len(others) != others.shape[1]:
        raise UsageError(f"affinities must be square, got {others.shape}")
    np.fill_diagonal(others, -np.inf)
    ranked = -np.sort(-others, axis=1)[:, : min(k_c, len(others) - 1)]
    ranked = np.pad(ranked, ((0, 0), (0, k_c - ranked.shape[1])))
    nearest = ranked[:, 0]
    return nearest, nearest + weight / (k_c - 1) * (nearest[:, None] - ranked[:, 1:]).sum(axis=1)  # Eq. (7)
