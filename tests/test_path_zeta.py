"""Path integral and zeta linkage against dense inverses in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_linkage import agglomerate, dense, path_affinity, transition, zeta_affinity
from sklearn.datasets import load_digits

from clustlib.kernels import KnnGraph, affinity_graph, graph_linkage, initial_clusters
from clustlib.kernels.linkage import bywalks, path, zeta

REFERENCE = {"path": path_affinity, "zeta": zeta_affinity}
FOREST = {"path": path.path_forest, "zeta": zeta.zeta_forest}
KIND = {"path": bywalks.PATH, "zeta": bywalks.ZETA}
NOISE = 1e-13  # of a dense inverse: entries near one, rounded
TRUNCATION = 1e-11  # of affinities at z = 0.01, see below
seeds = st.integers(0, 2**32 - 1)
linkages = pytest.mark.parametrize("linkage", ["path", "zeta"])
loops = pytest.mark.parametrize("self_loops", [False, True])


def random_graph(seed, n, k, dim=2):
    X = np.random.default_rng(seed).normal(size=(n, dim))
    return affinity_graph(X, min(k, n - 1))


def pairs_and_values(linkage, graph, labels0, z, self_loops):
    """Every linked pair of initial clusters: both lists of vertices, the bound, our affinity, the dense one."""
    forest, walks = FOREST[linkage](graph, labels0.astype(np.int32), z, self_loops)
    P = transition(dense(graph), self_loops)
    for pair in range(forest.links.made[0]):
        a, b = forest.links.end[2 * pair : 2 * pair + 2]
        A, B = np.flatnonzero(labels0 == a), np.flatnonzero(labels0 == b)
        most = bywalks.bound(forest, walks, KIND[linkage], z, pair)
        bywalks.compute(forest, walks, KIND[linkage], pair)
        yield A, B, most, walks.value[pair], REFERENCE[linkage](P, A, B, z)


def truncation(linkage, A, B, z):
    """What walks that are not followed can weigh. Path integral: walks out, five or more steps, and back. Zeta: closed
    walks of five steps or more, at most z^5 / (1 - z) at each vertex."""
    if linkage == "path":
        return (1 / len(A) + 1 / len(B)) * z**7 / (1 - z)
    return 2 * z**5 / (1 - z)


@linkages
@loops
@settings(max_examples=20, deadline=None)
@given(
    seed=seeds,
    n=st.integers(4, 60),
    k=st.integers(1, 8),
    groups=st.integers(2, 8),
    z=st.sampled_from([0.01, 0.05, 0.1]),
)
def test_truncation_error_is_as_stated(linkage, self_loops, seed, n, k, groups, z):
    """Clusters of any shape, and the bound that spares us most affinities is one."""
    graph = random_graph(seed, n, k)
    labels0 = np.unique(np.random.default_rng(seed).integers(0, groups, n), return_inverse=True)[1]
    for A, B, most, ours, exact in pairs_and_values(linkage, graph, labels0, z, self_loops):
        assert abs(ours - exact) <= truncation(linkage, A, B, z) + NOISE
        assert most >= exact - NOISE
        assert ours <= most * (1 + 1e-12)


@linkages
@loops
def test_digits_to_seven_digits(linkage, self_loops):
    """At z = 0.01 the relative error is far below the bound: 1e-9 (path) and 1e-7 (zeta)."""
    X = load_digits().data[:400]
    graph = affinity_graph(X / np.linalg.norm(X, axis=1, keepdims=True))
    labels0 = initial_clusters(graph)
    labels0 = graph_linkage(graph, labels0).labels(25)
    errors = [
        abs(ours - exact) / exact
        for _, _, _, ours, exact in pairs_and_values(linkage, graph, labels0, 0.01, self_loops)
        if exact > 1e-9
    ]
    assert len(errors) > 30
    assert max(errors) < {"path": 1e-6, "zeta": 1e-5}[linkage]
    assert np.median(errors) < {"path": 1e-8, "zeta": 2e-7}[linkage]


@linkages
@loops
@settings(max_examples=25, deadline=None)
@given(seed=seeds, n=st.integers(2, 60), k=st.integers(2, 8), dim=st.integers(1, 5))
def test_merges_are_those_of_the_definition(linkage, self_loops, seed, n, k, dim):
    """As long as the reference has a choice to make that is clear of its own rounding and of our truncation."""
    graph = random_graph(seed, n, k, dim)
    labels0 = initial_clusters(graph)
    P = transition(dense(graph), self_loops)
    children, heights, gaps = agglomerate(labels0, lambda A, B: REFERENCE[linkage](P, A, B))
    tree = graph_linkage(graph, labels0, linkage=linkage, self_loops=self_loops)
    clear = (gaps > 1e-6 * heights + TRUNCATION) & (heights > 1e-9)
    certain = int(clear.cumprod().sum())
    np.testing.assert_array_equal(tree.children[:certain], children[:certain])
    np.testing.assert_allclose(tree.heights[:certain], heights[:certain], rtol=1e-5, atol=TRUNCATION)


@linkages
def test_merges_on_digits(linkage):
    X = load_digits().data[:250]
    graph = affinity_graph(X / np.linalg.norm(X, axis=1, keepdims=True))
    labels0 = initial_clusters(graph)
    P = transition(dense(graph), True)
    children, heights, gaps = agglomerate(labels0, lambda A, B: REFERENCE[linkage](P, A, B))
    tree = graph_linkage(graph, labels0, linkage=linkage, self_loops=True)
    assert len(children) > 30 and (gaps > 1e-6 * heights).all()
    np.testing.assert_array_equal(tree.children, children)
    np.testing.assert_allclose(tree.heights, heights, rtol=1e-5, atol=NOISE)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, n=st.integers(6, 60), k=st.integers(2, 8))
def test_kept_walks_are_those_of_the_union(seed, n, k):
    """x = G 1 and y = G' 1 after every merge, corrected from the border, against dense inverses."""
    graph = random_graph(seed, n, k)
    labels0 = initial_clusters(graph)
    forest, walks = path.path_forest(graph, labels0, 0.01, True)
    rule = bywalks.ByWalks(forest, walks, bywalks.PATH, 0.01)
    while len(forest.node) - forest.done[0] > 1 and rule.advance(forest, 0, len(forest.node) - forest.done[0] - 1) == 0:
        pass
    P = transition(dense(graph), True)
    for c in np.unique(walks.owner):
        C = np.flatnonzero(walks.owner == c)
        G = np.linalg.inv(np.eye(len(C)) - 0.01 * P[np.ix_(C, C)])
        np.testing.assert_allclose(walks.own[C], np.stack([G.sum(axis=1), G.sum(axis=0)], axis=1), rtol=0, atol=1e-12)


def test_a_cycle_through_three_clusters_makes_no_pair():
    """Walks that must visit a third cluster to come back do not count for two."""
    graph = KnnGraph(np.array([[1], [2], [0]], np.int32), np.ones((3, 1)), 1.0)
    for linkage in ("path", "zeta"):
        tree = graph_linkage(graph, np.arange(3), linkage=linkage)
        assert tree.heights[0] == 0 and tree.heights[1] > 0
