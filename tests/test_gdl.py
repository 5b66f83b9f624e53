"""Graph degree linkage against a float64 reference, merge for merge."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_linkage import agglomerate, agglomerate_by_table, agglomerate_candidates, dense, ward
from scipy.cluster.hierarchy import fcluster, is_valid_linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score

from clustlib.jule.equations import cluster_affinity
from clustlib.kernels import KnnGraph, affinity_graph, graph_linkage, initial_clusters
from clustlib.kernels.linkage import agglomerate as agglomeration
from clustlib.kernels.linkage import forest as forests
from clustlib.kernels.linkage.isolated import ward_merges

seeds = st.integers(0, 2**32 - 1)


def random_graph(seed, n, k, dim=2):
    X = np.random.default_rng(seed).normal(size=(n, dim))
    return X, affinity_graph(X, min(k, n - 1))


def start(graph, singletons):
    return np.arange(len(graph.indices)) if singletons else initial_clusters(graph)


def digits(n):
    X = load_digits().data[:n]
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def assert_same_merges(tree, children, heights):
    """Equal as far as the reference goes."""
    np.testing.assert_array_equal(tree.children[: len(children)], children)
    np.testing.assert_allclose(tree.heights[: len(heights)], heights, rtol=1e-9, atol=0)


# ------------------------------------------------------------------ initial clusters


@settings(max_examples=30, deadline=None)
@given(seed=seeds, n=st.integers(2, 120))
def test_initial_clusters_are_components(seed, n):
    nearest = np.random.default_rng(seed).integers(0, n, n)
    labels = initial_clusters(nearest)
    links = coo_array((np.ones(n), (np.arange(n), nearest)), shape=(n, n))
    count, expected = connected_components(links, connection="weak")
    assert adjusted_rand_score(expected, labels) == 1 and labels.max() == count - 1
    assert (np.unique(labels, return_index=True)[1] == np.sort(np.unique(labels, return_index=True)[1])).all()


def test_released_initial_clusters_cut_long_chains():
    """JULE.torch follows a chain for 51 points; the next point still gets the same label."""
    line = np.minimum(np.arange(1, 201), 199)
    line[199] = 198
    assert initial_clusters(line).max() == 0
    released = initial_clusters(line, variant="released")
    np.testing.assert_array_equal(np.flatnonzero(np.diff(released)) + 1, [52, 104, 156])
    short = np.random.default_rng(0).integers(0, 40, 40)
    np.testing.assert_array_equal(initial_clusters(short, variant="released"), initial_clusters(short))


@pytest.mark.parametrize(
    ("nearest", "said"),
    [
        (np.array([1.0, 0.0]), "graph must hold whole numbers"),
        (np.array([2, 0]), "positions of samples, from 0"),
        (np.array([], int), r"graph must be \(N,\)"),
        (np.array([-1, 0]), "positions of samples, from 0"),
    ],
)
def test_bad_neighbours_for_initial_clusters(nearest, said):
    with pytest.raises(ValueError, match=said):
        initial_clusters(nearest)


# ------------------------------------------------------------------ exact merging


@settings(max_examples=60, deadline=None)
@given(seed=seeds, n=st.integers(2, 70), k=st.integers(1, 9), dim=st.integers(1, 6), singletons=st.booleans())
def test_exact_gdl_is_the_definition(seed, n, k, dim, singletons):
    _, graph = random_graph(seed, n, k, dim)
    labels0, W = start(graph, singletons), dense(graph)
    children, heights, _ = agglomerate(labels0, lambda A, B: cluster_affinity(W, A, B))
    assert_same_merges(graph_linkage(graph, labels0), children, heights)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, n=st.integers(3, 60), k=st.integers(1, 6))
def test_any_directed_graph_will_do(seed, n, k):
    """Random edges instead of neighbours: hubs, repeated edges, self-loops and edges without weight."""
    rng = np.random.default_rng(seed)
    heads = (n * rng.random((n, k)) ** 3).astype(np.int32)
    graph = KnnGraph(heads, rng.random((n, k)) * (rng.random((n, k)) > 0.1), 1.0)
    labels0, W = rng.integers(0, max(2, n // 2), n), dense(graph)
    children, heights, _ = agglomerate(
        np.unique(labels0, return_inverse=True)[1], lambda A, B: cluster_affinity(W, A, B)
    )
    assert_same_merges(graph_linkage(graph, labels0), children, heights)


def test_exact_gdl_on_digits():
    graph = affinity_graph(digits(600))
    labels0, W = initial_clusters(graph), dense(graph)
    children, heights = agglomerate_by_table(W, labels0)
    assert len(children) > 90
    assert_same_merges(graph_linkage(graph, labels0), children, heights)


def test_exact_gdl_outgrows_its_arrays():
    """Cross terms make pairs that no contact had announced; then the arrays are doubled."""
    rng = np.random.default_rng(1)
    n = 80
    heads = np.stack([rng.permutation(n) for _ in range(6)], axis=1).astype(np.int32)
    graph = KnnGraph(heads, rng.random(heads.shape), 1.0)
    doubled, roomier = [], forests.roomier
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agglomeration, "roomier", lambda forest: doubled.append(1) or roomier(forest))
        tree = graph_linkage(graph, np.arange(n))
    children, heights = agglomerate_by_table(dense(graph), np.arange(n))
    assert doubled
    assert_same_merges(tree, children, heights)


@settings(max_examples=15, deadline=None)
@given(seed=seeds, singletons=st.booleans(), isolated=st.sampled_from(["keep", "nearest"]))
def test_order_of_the_points_does_not_matter(seed, singletons, isolated):
    X, graph = random_graph(seed, 150, 5, 3)
    order = np.random.default_rng(seed + 1).permutation(len(X))
    permuted = affinity_graph(X[order], 5)
    tree = graph_linkage(graph, start(graph, singletons), isolated=isolated, features=X)
    other = graph_linkage(permuted, start(permuted, singletons), isolated=isolated, features=X[order])
    merges = tree.n_leaves - 1
    if isolated == "keep":  # which clusters without affinity are merged first is a matter of their order
        merges = int((tree.heights > 0).cumprod().sum())
    for n_clusters in range(tree.n_leaves - merges, tree.n_leaves + 1):
        assert adjusted_rand_score(tree.labels(n_clusters)[order], other.labels(n_clusters)) == 1


def test_exact_ties_go_to_the_lowest_nodes():
    """Four equal pairs far apart: merged in the order of their numbers, then at height 0 likewise."""
    heads = np.array([1, 0, 3, 2, 5, 4, 7, 6])[:, None].astype(np.int32)
    tree = graph_linkage(KnnGraph(heads, np.ones((8, 1)), 1.0), np.arange(8))
    np.testing.assert_array_equal(tree.children, [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11], [12, 13]])
    np.testing.assert_array_equal(tree.heights, [2, 2, 2, 2, 0, 0, 0])


# ------------------------------------------------------------------ fast updates, Eq. (7), AGDL


@pytest.mark.parametrize("update", ["exact", "paper_fast", "released_fast"])
@pytest.mark.parametrize("criterion", ["affinity", "local", "released"])
@settings(max_examples=15, deadline=None)
@given(seed=seeds, n=st.integers(3, 60), k=st.integers(1, 8), k_c=st.integers(1, 80))
def test_updates_and_criteria_follow_the_full_table(update, criterion, seed, n, k, k_c):
    _, graph = random_graph(seed, n, k)
    k_c = 1 if criterion == "affinity" else k_c
    children, heights = agglomerate_by_table(dense(graph), np.arange(n), update, k_c, 0.7, criterion == "released")
    tree = graph_linkage(graph, np.arange(n), update=update, criterion=criterion, k_c=k_c, weight=0.7)
    assert_same_merges(tree, children, heights)


@pytest.mark.parametrize(("criterion", "triangle"), [("local", False), ("released", True)])
def test_local_structure_beyond_a_hundred_clusters(criterion, triangle):
    """JULE.torch looks at local structure only while there are more than 100 clusters."""
    _, graph = random_graph(3, 140, 8)
    labels0 = np.arange(140)
    tree = graph_linkage(graph, labels0, criterion=criterion)
    children, heights = agglomerate_by_table(dense(graph), labels0, "exact", 5, 1.0, triangle)
    assert len(children) > 60
    assert_same_merges(tree, children, heights)
    assert (tree.children != graph_linkage(graph, labels0).children).any()


def test_figure_3_of_jule():
    """By affinity the densest pair is merged; Eq. (7) takes the pair that stands out from its surroundings."""
    x = np.array([0.0, 1.0, 2.1, 3.3, 20.0, 21.2, 60.0, 90.0])[:, None]
    graph = affinity_graph(x, 4)
    assert graph_linkage(graph, np.arange(8)).children[0].tolist() == [0, 1]
    assert graph_linkage(graph, np.arange(8), criterion="local", k_c=3).children[0].tolist() == [4, 5]


@settings(max_examples=25, deadline=None)
@given(seed=seeds, n=st.integers(3, 60), k=st.integers(2, 8), candidates=st.integers(1, 12))
def test_candidates_are_agdl(seed, n, k, candidates):
    _, graph = random_graph(seed, n, k, 3)
    children, heights = agglomerate_candidates(dense(graph), np.arange(n), candidates)
    tree = graph_linkage(graph, np.arange(n), candidates=candidates)
    assert_same_merges(tree, children, heights)


# ------------------------------------------------------------------ isolated clusters


def two_blobs_and_a_pair():
    """Two groups of 12 on a line, and two points between them to which no edge leads."""
    x = np.concatenate([np.arange(12) * 1.0, [30.0, 30.1], 70 + np.arange(12)])[:, None]
    return x, affinity_graph(x, 3)


def test_isolated_clusters_are_kept_or_join_the_nearest():
    x, graph = two_blobs_and_a_pair()
    labels0 = initial_clusters(graph)
    pair = np.arange(12, 14)
    kept = graph_linkage(graph, labels0)
    assert (np.bincount(kept.labels(3)) == [12, 2, 12]).all()
    rescued = graph_linkage(graph, labels0, isolated="nearest", features=x)
    assert rescued.heights[0] == 0 and set(pair) <= set(np.flatnonzero(np.isin(labels0, rescued.children[0])))
    np.testing.assert_array_equal(rescued.labels(2), np.repeat([0, 1], [14, 12]))
    few = graph_linkage(graph, labels0, isolated="released", features=x, n_clusters=2)
    np.testing.assert_array_equal(few.children, kept.children)  # not more than 20 n_clusters clusters


def test_large_clusters_without_affinity_are_left_alone():
    """Three groups that share no edge are three clusters, whatever their distance."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 2)) + np.repeat([[0, 0], [20, 0], [99, 99]], [30, 40, 50], axis=0)
    graph = affinity_graph(X, 8)
    tree = graph_linkage(graph, initial_clusters(graph), isolated="nearest", features=X)
    np.testing.assert_array_equal(tree.labels(3), np.repeat([0, 1, 2], [30, 40, 50]))
    np.testing.assert_array_equal(tree.labels(2), np.repeat([0, 0, 1], [30, 40, 50]))  # Ward at height 0
    assert (tree.heights[-2:] == 0).all() and (tree.heights[:-2] > 0).all()


@settings(max_examples=20, deadline=None)
@given(seed=seeds, linkage=st.sampled_from(["gdl", "path"]))
def test_no_small_cluster_stays_isolated(seed, linkage):
    """Larger clusters are joined at height 0 only where no cluster of up to K points is left.

    The zeta entropy is not asked: between clusters that hardly touch, its increments are lost in rounding.
    """
    X, graph = random_graph(seed, 120, 3, 6)
    labels0 = initial_clusters(graph)
    tree = graph_linkage(graph, labels0, linkage=linkage, isolated="nearest", features=X)
    sizes = np.concatenate([np.bincount(labels0), tree.sizes])
    alive = set(range(tree.n_leaves))
    for step, (pair, height) in enumerate(zip(tree.children, tree.heights)):
        assert height > 0 or sizes[pair].min() <= 3 or sizes[list(alive)].min() > 3
        alive = alive - set(pair.tolist()) | {tree.n_leaves + step}
    assert sorted(tree.children.ravel()) == list(range(2 * tree.n_leaves - 2))


@settings(max_examples=30, deadline=None)
@given(seed=seeds, n=st.integers(1, 25), dim=st.integers(1, 4))
def test_the_rest_is_merged_by_ward(seed, n, dim):
    rng = np.random.default_rng(seed)
    points, sizes = rng.normal(size=(n, dim)), rng.integers(1, 50, n)
    node = list(range(n))
    children = []
    for step, (i, j) in enumerate(ward_merges(points, sizes)):
        children.append(sorted((node[i], node[j])))
        node[j] = n + step
    np.testing.assert_array_equal(np.array(children).reshape(-1, 2), ward(points, sizes))


def test_released_rescue_shrinks_rows_with_the_fast_update():
    """JULE.torch weighs the merged row by the partner's share; the exact update does not."""
    rng = np.random.default_rng(4)
    X = np.concatenate([rng.normal(size=(200, 2)), rng.normal(size=(6, 2)) + 12])
    graph = affinity_graph(X, 4)
    labels0 = initial_clusters(graph)
    options = {"isolated": "released", "features": X, "n_clusters": 1}
    trees = {update: graph_linkage(graph, labels0, update=update, **options) for update in ("exact", "released_fast")}
    assert all((tree.heights[:1] == 0).all() for tree in trees.values())
    plain = graph_linkage(graph, labels0, update="released_fast")
    first = np.flatnonzero(trees["released_fast"].heights > 0)[0]
    assert trees["released_fast"].heights[first] <= plain.heights[0]


# ------------------------------------------------------------------ the tree


@settings(max_examples=20, deadline=None)
@given(seed=seeds, n=st.integers(2, 60))
def test_cuts_are_nested_and_linkage_matrix_agrees(seed, n):
    _, graph = random_graph(seed, n, 3)
    tree = graph_linkage(graph, initial_clusters(graph))
    Z = tree.linkage_matrix()
    assert Z.shape == (n - 1, 4) and is_valid_linkage(Z)
    finer = tree.labels(tree.n_leaves)
    np.testing.assert_array_equal(finer, tree.initial)
    for k in range(tree.n_leaves, 0, -1):
        labels = tree.labels(k)
        assert len(np.unique(labels)) == k == labels.max() + 1
        assert all(len(np.unique(labels[finer == c])) == 1 for c in np.unique(finer))
        assert adjusted_rand_score(fcluster(Z, k, "maxclust"), labels) == 1
        finer = labels
    np.testing.assert_array_equal(tree.sizes[-1:], [n] if tree.n_leaves > 1 else [])


@pytest.mark.parametrize("k", [0, -1, 1.5, True, "2"])
def test_impossible_cuts(k):
    _, graph = random_graph(0, 30, 3)
    with pytest.raises(ValueError, match="integer from 1 on"):
        graph_linkage(graph, initial_clusters(graph)).labels(k)


def test_more_clusters_than_leaves():
    _, graph = random_graph(0, 30, 3)
    tree = graph_linkage(graph, initial_clusters(graph))
    with pytest.raises(ValueError, match="initial clusters"):
        tree.labels(tree.n_leaves + 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"linkage": "ward"}, "linkage"),
        ({"update": "fast"}, "update"),
        ({"criterion": "eq7"}, "criterion"),
        ({"isolated": "drop"}, "isolated"),
        ({"isolated": "nearest"}, "features"),
        ({"isolated": "nearest", "features": np.zeros((3, 1))}, "features"),
        ({"k_c": 0}, "k_c"),
        ({"weight": -1.0}, "weight"),
        ({"candidates": 0}, "candidates"),
        ({"candidates": 5, "criterion": "local"}, "candidates"),
        ({"linkage": "path", "update": "paper_fast"}, "gdl"),
        ({"linkage": "zeta", "z": 0.5}, "z must"),
    ],
)
def test_bad_options(options, message):
    _, graph = random_graph(0, 20, 3)
    with pytest.raises(ValueError, match=message):
        graph_linkage(graph, np.arange(20), **options)


@pytest.mark.parametrize("labels0", [np.arange(19), np.zeros(20), np.zeros((20, 1), int)])
def test_labels_that_do_not_fit(labels0):
    _, graph = random_graph(0, 20, 3)
    with pytest.raises(ValueError, match="labels0"):
        graph_linkage(graph, labels0)


def test_one_initial_cluster():
    _, graph = random_graph(0, 20, 3)
    tree = graph_linkage(graph, np.zeros(20, int))
    assert tree.n_leaves == 1 and (tree.labels(1) == 0).all() and tree.linkage_matrix().shape == (19, 4)


@pytest.mark.parametrize("k_c", [12, 2**31 - 1])
def test_neighbours_beyond_the_clusters_take_no_memory(k_c):
    graph = affinity_graph(np.random.default_rng(0).normal(size=(12, 2)), 4)
    tree = graph_linkage(graph, np.arange(12), criterion="local", k_c=k_c)
    assert tree.children.shape == (11, 2)
