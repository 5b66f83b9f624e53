"""The scores of the four papers, each a function of plain arrays.

Labels are any one-dimensional sequence of integers: NumPy, lists, pandas, torch; negative, huge and
non-contiguous values are names like any other, and the two sides need not share them nor have equally
many. Everything runs in time linear in the number of samples, up to sorting.
"""

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from clustlib._arrays import array_of, held, shown
from clustlib._validation import check_features, check_integer, check_numbers, measured_from, origin_of
from clustlib.errors import UsageError

if TYPE_CHECKING:
    from scipy.sparse import coo_array

__all__ = [
    *("accuracy", "chance_nmi", "compact", "knn_purity", "nmi", "one_nn_error", "purity", "scores"),
    "trustworthiness",
]

_AVERAGES: dict[str, Callable[[Any, Any], Any]] = {
    "max": np.maximum,
    "arithmetic": lambda a, b: (a + b) / 2,
    "geometric": lambda a, b: np.sqrt(a * b),
    "min": np.minimum,
}


# ---------------------------------------------------------------- labels


def _is_integer(value: Any) -> bool:
    return isinstance(value, Integral) or (isinstance(value, (float, np.floating)) and float(value).is_integer())


def _check_labels(labels: Any, name: str) -> np.ndarray:
    """Return ``labels`` as a non-empty one-dimensional array whose values are all integers."""
    if labels is None:
        raise ValueError(f"{name} are None: there are no labels to compare with")
    if hasattr(labels, "detach"):  # a torch tensor, without importing torch
        labels = held(labels, name)
    try:
        array = np.asarray(labels)
        if array.dtype.kind == "f" and not hasattr(labels, "dtype"):
            # NumPy turns [-1, 2**63] into floats and so merges neighbouring integers
            array = np.asarray(labels, dtype=object)
    except ValueError:
        raise ValueError(f"{name} must be one-dimensional, got a ragged sequence") from None
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} are empty")
    if array.dtype.kind == "f":
        wrong = array[~np.isfinite(array) | (array != np.trunc(array))]
    elif array.dtype.kind == "O":
        wrong = [value for value in array if not _is_integer(value)]
    else:
        wrong = array[:0] if array.dtype.kind in "iub" else array
    if len(wrong):
        raise ValueError(f"{name} must be integers, got {' '.join(str(wrong[0]).split()):.40}")
    if np.ma.is_masked(labels):
        raise ValueError(f"{name} are masked in places: leave those samples out")
    return array


def _check_same_length(first: Any, second: Any, names: str) -> None:
    if len(first) != len(second):
        raise ValueError(f"{names} differ in length: {len(first)} and {len(second)}")


def _contingency(y: Any, p: Any) -> "coo_array":
    """Counts n_ij of samples with the i-th label and the j-th cluster: sparse int64 (n_labels, n_clusters)."""
    from scipy.sparse import coo_array

    y, p = _check_labels(y, "labels"), _check_labels(p, "predictions")
    _check_same_length(y, p, "labels and predictions")
    (labels, i), (clusters, j) = np.unique(y, return_inverse=True), np.unique(p, return_inverse=True)
    counts = coo_array((np.ones(len(y), dtype=np.int64), (i, j)), shape=(len(labels), len(clusters)))
    counts.sum_duplicates()
    return counts


def _equal_partitions(counts: "coo_array") -> bool:
    """Whether each label is one cluster and each cluster one label."""
    return counts.nnz == counts.shape[0] == counts.shape[1]


# ---------------------------------------------------------------- scores of a partition


def accuracy(y: Any, p: Any) -> float:
    """Clustering accuracy under the best one-to-one matching of clusters and labels, in [0, 1].

    fcn eq. (7); dbc, "Evaluation metrics" (Kuhn's Hungarian algorithm); jule's talk, tables 10 and 11.
    Where there are more clusters than labels the samples of an unmatched cluster count as errors, and
    where there are fewer, those of an unmatched label do. Symmetric in its arguments.

    Parameters
    ----------
    y, p : (n,) integers
        Ground truth and predicted clusters.

    Raises
    ------
    ValueError
        Different lengths, empty, not one-dimensional, or values that are not integers.
    """
    counts = _contingency(y, p)
    return 1.0 if _equal_partitions(counts) else _matched(counts) / int(counts.data.sum())


def _matched(counts: "coo_array") -> int:
    """Largest total of ``counts`` under a one-to-one matching of rows and columns."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    # A dense table of many clusters is slow and may not fit in memory. The sparse solver wants every row matched and
    # no zero weight: each row gets a private column that means "unmatched", and one is added to every weight.
    if counts.shape[0] > counts.shape[1]:
        counts = counts.T
    rows, columns = counts.shape
    each = np.arange(rows)
    weights = np.concatenate([counts.data + 1, np.ones(rows, dtype=np.int64)])
    edges = (np.concatenate([counts.row, each]), np.concatenate([counts.col, columns + each]))
    graph = coo_array((weights.astype(np.float64), edges), shape=(rows, columns + rows)).tocsr()
    matching = min_weight_full_bipartite_matching(graph, maximize=True)
    return int(graph[matching].sum()) - rows


def nmi(y: Any, p: Any, average: Literal["max", "min", "geometric", "arithmetic"]) -> float:
    """Normalised mutual information I(y; p) / average(H(y), H(p)), in [0, 1]; symmetric.

    ``average`` has no default, because the papers differ and the choice moves every table:

    - ``"max"``: fcn (section 4.4) and dbc (its experiments, "Evaluation metrics");
    - ``"geometric"``: deepcluster (section 4.1) and jule (its released evaluation code; section 4.1 prints no formula
      and cites [59], which divides by the maximum); also scikit-learn's default before 0.22, when the papers were
      written;
    - ``"arithmetic"``: scikit-learn's default since 0.22, used by none of the four;
    - ``"min"``: completes the family. Always max <= arithmetic <= geometric <= min.

    As in scikit-learn, two labelings of one cluster each agree perfectly (1.0), and a labeling of one cluster
    says nothing about a labeling of several (0.0). Equal partitions score exactly 1.0.

    Parameters
    ----------
    y, p : (n,) integers
        Two labelings of the same samples.

    Raises
    ------
    UsageError
        Unknown ``average``.
    ValueError
        Different lengths, empty, not one-dimensional, or values that are not integers.
    """
    if not isinstance(average, str) or average not in _AVERAGES:
        raise UsageError(f"average must be one of {', '.join(map(repr, _AVERAGES))}, got {shown(average)}")
    counts = _contingency(y, p)
    if _equal_partitions(counts):
        return 1.0
    if 1 in counts.shape:
        return 0.0
    n = counts.data.sum()
    joint, py, pp = counts.data / n, counts.sum(axis=1) / n, counts.sum(axis=0) / n
    # log(p_ij / (p_i p_j)) as a difference of sums of logs, so that p_i p_j cannot underflow
    information = np.sum(joint * (np.log(joint) - np.log(py)[counts.row] - np.log(pp)[counts.col]))
    normaliser = _AVERAGES[average](-np.sum(py * np.log(py)), -np.sum(pp * np.log(pp)))
    return float(np.clip(information / normaliser, 0.0, 1.0))


def chance_nmi(y: Any, p: Any) -> float:
    """What :func:`nmi` with the geometric mean is on average where the samples of ``p`` are shuffled, in [0, 1].

    ``(nmi - chance) / (1 - chance)`` is the adjusted mutual information (Vinh, Epps and Bailey, 2010). The number is
    exact: it depends on the sizes of the clusters alone. Zero where one of the two has one cluster.

    Parameters
    ----------
    y, p : (n,) integers
        Two labelings of the same samples.

    Raises
    ------
    ValueError
        As for :func:`nmi`.
    """
    from sklearn.metrics.cluster import expected_mutual_information

    counts = _contingency(y, p)
    if 1 in counts.shape:
        return 0.0
    n = counts.data.sum()
    py, pp = counts.sum(axis=1) / n, counts.sum(axis=0) / n
    expected = expected_mutual_information(counts.tocsr(), int(n))
    return float(expected / np.sqrt(np.sum(py * np.log(py)) * np.sum(pp * np.log(pp))))


def purity(y: Any, p: Any) -> float:
    """Share of samples that carry the commonest label of their own cluster, in (0, 1]; not symmetric.

    Never below :func:`accuracy`, and 1.0 for one cluster per sample: compare only at equal numbers of clusters.

    Parameters
    ----------
    y, p : (n,) integers
        Ground truth and predicted clusters.

    Raises
    ------
    ValueError
        Different lengths, empty, not one-dimensional, or values that are not integers.
    """
    counts = _contingency(y, p)
    return int(counts.max(axis=0).toarray().sum()) / int(counts.data.sum())


def compact(labels: np.ndarray) -> np.ndarray:
    """Labels (N,) from 0 on in the smallest unsigned integers that hold them."""
    labels = array_of("labels", labels, "(N,)", "iu", rows=1)
    if labels.min() < 0:
        raise UsageError(f"labels must be from 0 on, got {labels.min()}")
    return labels.astype(np.min_scalar_type(int(labels.max())))


def scores(labels: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Every clustering score that the papers' tables print, under one name each."""
    return {
        "nmi_geometric": nmi(labels, found, average="geometric"),
        "nmi_max": nmi(labels, found, average="max"),
        "accuracy": accuracy(labels, found),
        "purity": purity(labels, found),
        "n_clusters": len(np.unique(_check_labels(found, "predictions"))),
    }


# ---------------------------------------------------------------- scores of a representation


@overload
def knn_purity(features: Any, y: Any, k: int) -> float: ...
@overload
def knn_purity(features: Any, y: Any, k: Sequence[int] | np.ndarray) -> np.ndarray: ...
def knn_purity(features: Any, y: Any, k: int | Sequence[int] | np.ndarray) -> float | np.ndarray:
    """Average purity of the k nearest neighbours: the mean share of them with the sample's own label.

    jule's talk, figure 8, which draws it against k; the neighbours are Euclidean and leave out the sample itself.
    Neighbours at equal distance are taken in scikit-learn's order.

    Parameters
    ----------
    features : (n, d) numbers
    y : (n,) integers
    k : int, or a sequence of ints
        Between 1 and n - 1. The neighbours are searched once for the largest.

    Returns
    -------
    float in [0, 1], or a float64 array with one value for each k.

    Raises
    ------
    UsageError
        ``k`` out of range.
    ValueError
        Features that are not a finite (n, d) table, labels that are not n integers.
    """
    features = check_features(features, minimum=2, translate=True, name="features")
    y = _check_labels(y, "labels")
    _check_same_length(features, y, "features and labels")
    ks = np.atleast_1d(np.asarray(k))
    if ks.dtype.kind not in "iu" or ks.ndim != 1 or ks.size == 0 or ks.min() < 1 or ks.max() >= len(y):
        raise UsageError(f"k must be between 1 and {len(y) - 1} (samples - 1), got {shown(k)}")
    ks = ks.astype(np.int64)  # in 16 bits its products with the samples would wrap
    same = y[_neighbours(features, int(ks.max()))] == y[:, None]
    shares = np.cumsum(same.sum(axis=0))[ks - 1] / (len(y) * ks)
    return float(shares[0]) if np.ndim(k) == 0 else shares


def _neighbours(features: np.ndarray, k: int, queries: np.ndarray | None = None) -> np.ndarray:
    """Indices (n_queries, k) of the nearest rows of ``features``; a row is not its own neighbour."""
    from sklearn.neighbors import NearestNeighbors

    from clustlib.kernels.differences import rank_again

    distances, neighbours = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(features).kneighbors(queries)
    rank_again(neighbours, distances, features, features if queries is None else queries, queries is None)
    return neighbours


def one_nn_error(
    train_features: Any, train_labels: Any, test_features: Any | None = None, test_labels: Any | None = None
) -> float:
    """Error of the 1-nearest-neighbour classifier, in [0, 1]: jule's talk, table 13.

    With a test set, each test sample takes the label of its nearest training sample. Without one, each training
    sample takes that of its nearest other sample (leave-one-out).

    Parameters
    ----------
    train_features, test_features : (n, d), (m, d) numbers
    train_labels, test_labels : (n,), (m,) integers

    Raises
    ------
    UsageError
        Only one of ``test_features`` and ``test_labels``.
    ValueError
        Features that are not finite (n, d) tables of equal width, labels that do not fit them.
    """
    if (test_features is None) != (test_labels is None):
        raise UsageError("give test_features and test_labels together, or neither for leave-one-out")
    train = check_numbers(train_features, minimum=2 if test_features is None else 1, name="train_features")
    origin = origin_of(train)
    train = measured_from(train, origin)
    known = _check_labels(train_labels, "training labels")
    _check_same_length(train, known, "training features and labels")
    if test_features is None:
        return float(np.mean(known[_neighbours(train, 1)[:, 0]] != known))
    test, truth = (
        check_numbers(test_features, reset=False, name="test_features"),
        _check_labels(test_labels, "test labels"),
    )
    _check_same_length(test, truth, "test features and labels")
    if train.shape[1] != test.shape[1]:
        raise ValueError(f"training and test features differ in width: {train.shape[1]} and {test.shape[1]}")
    return float(np.mean(known[_neighbours(train, 1, measured_from(test, origin))[:, 0]] != truth))


def trustworthiness(X: Any, embedding: Any, n_neighbors: int) -> float:
    """Trustworthiness T(k): how few of the embedding's neighbours are strangers in ``X``; in [0, 1].

    T(k) = 1 - 2 / (n k (2n - 3k - 1)) * sum_i sum_{j among the k nearest of i in the embedding} max(0, r(i, j) - k),
    with r(i, j) the rank of j among the neighbours of i in ``X`` (Venna and Kaski 2001); jule's talk, table 14, has
    T(12). The same number as ``sklearn.manifold.trustworthiness`` where no two distances are equal; equal distances
    share the lowest rank here. Memory grows with n, not with n squared.

    Parameters
    ----------
    X, embedding : (n, d), (n, e) numbers
    n_neighbors : int
        k, below n / 2.

    Raises
    ------
    UsageError
        ``n_neighbors`` out of range.
    ValueError
        Tables that are not finite or differ in length.
    """
    from sklearn.metrics.pairwise import euclidean_distances

    from clustlib.kernels.differences import mend

    X = check_features(X, minimum=3, translate=True).astype(np.float64, copy=False)
    embedding = check_features(embedding, translate=True, name="embedding")
    _check_same_length(X, embedding, "X and embedding")
    n = len(X)
    check_integer("n_neighbors", n_neighbors, 1, -(-n // 2) - 1)  # below half of the samples
    k = int(n_neighbors)  # in 16 bits its products with the samples would wrap
    neighbours = _neighbours(embedding, k)
    norms = np.einsum("ij,ij->i", X, X)[None]
    penalty = 0
    step = max(1, 2**22 // n)  # 32 MB of distances at a time
    for start in range(0, n, step):
        block = np.arange(start, min(start + step, n))
        distances = euclidean_distances(X[block], X, Y_norm_squared=norms, squared=True)
        mend(distances, X[block], X, norms[0, block], norms[0])
        distances[np.arange(len(block)), block] = np.inf  # nobody is their own neighbour
        for j in neighbours[block].T:
            nearer = np.count_nonzero(distances < distances[np.arange(len(block)), j, None], axis=1)
            penalty += int(np.maximum(0, nearer + 1 - k).sum())
    return 1.0 - penalty * 2.0 / (n * k * (2.0 * n - 3.0 * k - 1.0))
