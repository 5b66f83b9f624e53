"""Neighbours that are not all searched: beside the exact ones, and what tells how many of them were found."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustlib.cluster import GraphLinkage
from clustlib.errors import UsageError
from clustlib.kernels import affinity_graph, knn, neighbour_recall, neighbours

faiss = pytest.importorskip("faiss")
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def points():
    """6,000 points in 40 clumps of 16 dimensions: 120 cells, of which a few must do."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(40, 16))[rng.integers(0, 40, 6000)] + 0.5 * rng.normal(size=(6000, 16))).astype(np.float32)


def test_most_neighbours_are_found_and_their_distances_are_exact(points):
    indices, d2 = knn(points, 20, method="approximate")
    exact, exact_d2 = knn(points, 20, method="exact")
    shared = np.mean([len(np.intersect1d(a, b)) for a, b in zip(indices, exact)]) / 20
    assert 0.985 < shared < 1
    assert indices.dtype == np.int32 and d2.dtype == np.float32
    gaps = points[indices].astype(np.float64) - points[:, None]
    np.testing.assert_allclose(d2, (gaps**2).sum(axis=2), rtol=1e-6)
    assert (np.diff(d2, axis=1) >= 0).all() and (d2 >= exact_d2).all()
    assert not (indices == np.arange(6000)[:, None]).any()
    assert all(len(set(row)) == 20 for row in indices.tolist())


def test_recall_of_a_sample_is_that_of_all(points):
    indices, _ = knn(points, 20, method="approximate")
    exact, _ = knn(points, 20)
    shared = np.mean([len(np.intersect1d(a, b)) for a, b in zip(indices, exact)]) / 20
    assert neighbour_recall(points, indices, rows=6000) == pytest.approx(shared, abs=1e-9)
    assert neighbour_recall(points, indices) == pytest.approx(shared, abs=0.004)
    assert neighbour_recall(points, exact) == 1
    worse = exact.copy()
    worse[:, 10:] = exact[:, :1]  # a neighbour named twice is found twice, so the farther half is swapped for others
    worse[:, 10:] = (exact[:, 10:] + 1) % 6000
    assert neighbour_recall(points, worse) == pytest.approx(0.5, abs=0.01)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, n=st.integers(2, 90), dim=st.integers(1, 5), levels=st.integers(1, 9), data=st.data())
def test_few_points_are_all_looked_at(seed, n, dim, levels, data):
    """Up to eight cells nothing is left out, ties and duplicates go by index as in the exact search."""
    k = data.draw(st.integers(1, n - 1))
    X = np.random.default_rng(seed).integers(0, levels, size=(n, dim))
    indices, d2 = knn(X, k, method="approximate", random_state=seed)
    exact, exact_d2 = knn(X, k, method="exact")
    np.testing.assert_array_equal(d2, exact_d2)
    if len(np.unique(X, axis=0)) == n:  # of more equal distances than candidates, any may be left out
        assert neighbour_recall(X, indices) == 1
    if n <= k + 9:
        np.testing.assert_array_equal(indices, exact)


def test_seeds_and_threads(points):
    first = knn(points, 5, method="approximate", random_state=0)
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(2)
    again = knn(points, 5, method="approximate", random_state=0)
    faiss.omp_set_num_threads(before)
    other = knn(points, 5, method="approximate", random_state=1)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()


def test_cells_with_fewer_points_than_neighbours(points, monkeypatch):
    """Where the cells looked into have too few points, all points are."""
    from clustlib.kernels import approximate_neighbours

    monkeypatch.setattr(approximate_neighbours, "_cells_needed", lambda *_: 1)
    X = points[:800]  # 16 cells of 50
    indices, d2 = knn(X, 120, method="approximate")
    assert (indices >= 0).all() and np.isfinite(d2).all()
    short = np.flatnonzero((indices == knn(X, 120)[0]).all(axis=1))
    assert len(short) > 400


def test_far_groups_are_judged_by_true_distances():
    """Their distances drown in the rounding of float32 products, which must not pass for neighbours."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(400, 8)) * 1e-3
    X[200:] += 1e3
    exact = knn(X, 7)[0]
    assert neighbour_recall(X, exact) == 1
    assert neighbour_recall(X, rng.permuted(exact, axis=0)) < 0.1
    assert neighbour_recall(X, knn(X, 7, method="approximate")[0]) > 0.99


def test_auto_is_exact_up_to_a_stated_size(points, monkeypatch):
    assert neighbours.MOST_EXACT >= 100_000
    exact, approximate = knn(points, 6, method="exact")[0], knn(points, 6, method="approximate")[0]
    np.testing.assert_array_equal(knn(points, 6)[0], exact)
    monkeypatch.setattr(neighbours, "MOST_EXACT", 5_999)
    np.testing.assert_array_equal(knn(points, 6)[0], approximate)
    graph = affinity_graph(points, 6)
    np.testing.assert_array_equal(graph.indices, approximate)
    monkeypatch.setattr(neighbours, "find_spec", lambda _: None)
    np.testing.assert_array_equal(knn(points, 6)[0], exact)


def test_bad_arguments(points):
    for call in (knn, affinity_graph):
        with pytest.raises(UsageError, match="method"):
            call(points, 5, method="annoy")
    with pytest.raises(UsageError, match="number of neighbours"):
        knn(points[:5], 5, method="approximate")
    for said, indices in {
        "indices must hold whole numbers": np.zeros((6000, 2)),
        r"indices must be \(N, k\)": np.zeros(6000, int),
        "neighbours need integer indices of shape": np.zeros((3, 2), int),
        "neighbours must be positions": np.full((6000, 2), 6000),
    }.items():
        with pytest.raises(UsageError, match=said):
            neighbour_recall(points, indices)


def test_linkage_notes_the_recall_and_keeps_the_graph(points, tmp_path):
    file = tmp_path / "graph.pt"
    first = GraphLinkage(40, neighbor_method="approximate", checkpoint=file).fit(points)
    assert 0.98 < first.history_[0]["recall"] < 1
    assert GraphLinkage(40).fit(points).history_[0]["recall"] == 1
    written = file.read_bytes()
    again = GraphLinkage(7, "path", neighbor_method="approximate", checkpoint=file).fit(points)
    assert file.read_bytes() == written
    for name in ("sigma2", "recall"):
        assert again.history_[0][name] == first.history_[0][name]
    plain = GraphLinkage(7, "path", neighbor_method="approximate").fit(points)
    np.testing.assert_array_equal(again.labels_, plain.labels_)
    np.testing.assert_array_equal(again.affinities_, plain.affinities_)
    with pytest.raises(UsageError, match=r"another fit.*method"):
        GraphLinkage(40, checkpoint=file).fit(points)
    with pytest.raises(UsageError, match="samples"):
        GraphLinkage(40, neighbor_method="approximate", checkpoint=file).fit(points[::-1])


def test_a_search_is_interrupted(points, monkeypatch):
    from clustlib.kernels import approximate_neighbours

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(approximate_neighbours, "_ranked", stop)
    with pytest.raises(KeyboardInterrupt):
        knn(points, 5, method="approximate")
