"""Exact neighbours and what the graph of Eq. (4) is made of; the equation itself: test_equations_jule.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustlib.jule import equations
from clustlib.kernels import affinity_graph, knn

BACKENDS = ["blocks", "faiss", "torch"]
seeds = st.integers(0, 2**32 - 1)


def brute(X, k):
    """The k smallest by (squared distance, index), from the definition."""
    X = np.asarray(X, np.float64)
    indices = equations.neighbours(X, k)
    return indices, np.take_along_axis(equations.squared_distances(X), indices, axis=1)


def search(X, k, backend):
    if backend == "faiss":
        pytest.importorskip("faiss")
    return knn(X, k, backend=backend, device="cpu")


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=25, deadline=None)
@given(seed=seeds, n=st.integers(2, 60), dim=st.integers(1, 6), data=st.data())
def test_neighbours_are_the_nearest_ones(backend, seed, n, dim, data):
    k = data.draw(st.integers(1, n - 1))
    X = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    indices, d2 = search(X, k, backend)
    expected, expected_d2 = brute(X, k)
    assert indices.dtype == np.int32 and d2.dtype == np.float32
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(d2, expected_d2, rtol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=25, deadline=None)
@given(seed=seeds, n=st.integers(2, 80), levels=st.integers(1, 3))
def test_ties_and_duplicates_go_by_index(backend, seed, n, levels):
    """On a small grid most distances are equal and many points coincide."""
    X = np.random.default_rng(seed).integers(0, levels, size=(n, 3))
    k = min(5, n - 1)
    indices, d2 = search(X, k, backend)
    expected, expected_d2 = brute(X, k)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(d2, expected_d2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_point_is_left_out_by_its_index(backend):
    indices, d2 = search(np.zeros((200, 4)), 3, backend)
    assert not (indices == np.arange(200)[:, None]).any()
    np.testing.assert_array_equal(indices[50], [0, 1, 2])
    assert (d2 == 0).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_neighbours_far_from_the_origin(backend):
    """|x|^2 + |y|^2 - 2xy in float32 keeps nothing of distances of 1 at 10,000 from the origin."""
    X = np.random.default_rng(0).normal(size=(300, 20)) + 1e4
    indices, d2 = search(X, 10, backend)
    expected, expected_d2 = brute(X, 10)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(d2, expected_d2, rtol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_far_groups(backend):
    """Centring does not help here: each group's own distances are below the rounding of the float32 search."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(120, 8)) * 1e-3
    X[60:] += 1e3
    indices, _ = search(X, 7, backend)
    np.testing.assert_array_equal(indices, brute(X, 7)[0])


def test_blocks_of_more_than_one_tile(monkeypatch):
    from clustlib.kernels import neighbours

    monkeypatch.setattr(neighbours, "_BLOCK", 96)
    X = np.random.default_rng(2).normal(size=(700, 5)).astype(np.float32)
    indices, _ = knn(X, 9, backend="blocks")
    np.testing.assert_array_equal(indices, brute(X, 9)[0])


def test_layout_and_dtype_do_not_matter():
    X = np.random.default_rng(3).integers(0, 256, size=(90, 12))
    expected, _ = knn(X.astype(np.float64), 6)
    wide = np.zeros((180, 24), np.uint8)
    wide[::2, ::2] = X
    for given_ in (X.astype(np.uint8), np.asfortranarray(X.astype(np.float32)), wide[::2, ::2], X.tolist()):
        np.testing.assert_array_equal(knn(given_, 6)[0], expected)


def test_torch_input():
    torch = pytest.importorskip("torch")
    X = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(knn(X, 5)[0], brute(X.numpy(), 5)[0])


@pytest.mark.parametrize("k", [0, 5, -1, 2.0, True])
def test_impossible_numbers_of_neighbours(k):
    with pytest.raises(ValueError, match="number of neighbours"):
        knn(np.eye(5), k)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.array([[0.0], [np.nan], [1.0]]), "NaN"),
        (np.array([[0.0], [np.inf], [1.0]]), "infinite"),
        (np.array([[0.0], [1e30], [1.0]]), "too large"),
        (np.zeros((0, 3)), "0 sample"),
        (np.zeros(4), "shape"),
        (np.array([["a"], ["b"], ["c"]]), "numbers"),
    ],
)
def test_bad_features(X, message):
    with pytest.raises(ValueError, match=message):
        knn(X, 1)


def test_unknown_backend():
    with pytest.raises(ValueError, match="backend"):
        knn(np.eye(5), 1, backend="annoy")


def test_graph_of_given_neighbours():
    X = np.random.default_rng(4).normal(size=(60, 3)).astype(np.float32)
    of_points, of_neighbours = affinity_graph(X, 5), affinity_graph(knn(X, 8), 5)
    np.testing.assert_array_equal(of_points.indices, of_neighbours.indices)
    np.testing.assert_allclose(of_points.weights, of_neighbours.weights, rtol=1e-5)


def test_permuted_points_give_the_permuted_graph():
    rng = np.random.default_rng(5)
    X, order = rng.normal(size=(80, 4)), rng.permutation(80)
    graph, permuted = affinity_graph(X, 6), affinity_graph(X[order], 6)
    np.testing.assert_array_equal(order[permuted.indices], graph.indices[order])
    np.testing.assert_allclose(permuted.weights, graph.weights[order], rtol=1e-12)


def test_edges_of_length_zero_weigh_one():
    graph = affinity_graph(np.ones((30, 2)), 3)
    assert graph.sigma2 == 0 and (graph.weights == 1).all()


def test_released_bandwidth():
    """It is doubled until the loneliest point has a neighbour of weight 1e-5, and takes three neighbours at least."""
    rng = np.random.default_rng(6)
    X = np.concatenate([rng.normal(size=(50, 2)), [[200.0, 0.0]]])
    published, released = affinity_graph(X, 2), affinity_graph(X, 2, variant="released")
    start = brute(X, 3)[1].mean()
    doublings = np.log2(released.sigma2 / start)
    assert published.weights[-1, 0] < 1e-5 <= released.weights[-1, 0]
    assert doublings == pytest.approx(round(doublings)) and doublings > 0
    assert np.exp(-brute(X, 1)[1].max() / (released.sigma2 / 2)) < 1e-5
    assert released.indices.shape == (51, 2)


@pytest.mark.parametrize(("option", "value"), [("a", 0.0), ("a", np.nan), ("variant", "paper")])
def test_bad_options(option, value):
    with pytest.raises(ValueError, match=option):
        affinity_graph(np.eye(9), 3, **{option: value})


@pytest.mark.parametrize(
    ("indices", "d2"),
    [
        (np.zeros((4, 2)), np.zeros((4, 2))),
        (np.zeros((4, 2), int), np.zeros((4, 3))),
        (np.full((4, 2), 4), np.zeros((4, 2))),
        (np.zeros((4, 2), int), np.full((4, 2), np.nan)),
        (np.zeros((4, 2), int), np.full((4, 2), -1.0)),
        (np.zeros((4, 1), int), np.zeros((4, 1))),
    ],
)
def test_bad_neighbours(indices, d2):
    with pytest.raises(ValueError, match="neighbours"):
        affinity_graph((indices, d2), 2)


@pytest.mark.gpu
def test_neighbours_on_cuda():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    X = np.random.default_rng(7).normal(size=(3000, 30)).astype(np.float32)
    on_gpu, on_cpu = knn(X, 20, device="cuda"), knn(X, 20, backend="blocks")
    np.testing.assert_array_equal(on_gpu[0], on_cpu[0])
    np.testing.assert_array_equal(on_gpu[1], on_cpu[1])
