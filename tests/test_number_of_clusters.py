"""The description length of a graph at every cut of a merge tree, and the number of clusters that it chooses."""

from collections import Counter
from itertools import pairwise
from math import lgamma, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits, make_blobs

from clustlib.cluster import GraphLinkage
from clustlib.cluster.number_of_clusters import EDGE_PRICE, estimate, n_neighbors_for
from clustlib.kernels import MergeTree, affinity_graph, description_lengths, graph_linkage, initial_clusters, knn
from clustlib.kernels.description_length import joining_merges, mutual_edges

few = settings(deadline=None, max_examples=25)


def factorial_log(x: int) -> float:
    return lgamma(x + 1)


def by_formula(edges: np.ndarray, labels: np.ndarray, price: float = 0.0) -> float:
    """Eq. by Eq. from Zhang and Peixoto, one partition at a time, with plain loops."""
    n, B, E = len(labels), len(set(labels.tolist())), len(edges)
    k, d, size = Counter(edges.ravel().tolist()), Counter(), Counter(labels.tolist())
    for i, degree in k.items():
        d[labels[i]] += degree
    e_in = sum(labels[i] == labels[j] for i, j in edges)
    e_out = E - e_in
    length = -factorial_log(e_in) - factorial_log(e_out) + e_in * log(B / 2) + price * e_out
    if B > 1:
        length += e_out * log(B * (B - 1) / 2) + log(E + 1)
    length += sum(lgamma(d[r] + size[r]) - lgamma(size[r]) for r in size)
    length -= sum(factorial_log(degree) for degree in k.values())
    length += sum(factorial_log(a) for a in Counter(tuple(sorted(edge)) for edge in edges.tolist()).values())
    choose = factorial_log(n - 1) - factorial_log(B - 1) - factorial_log(n - B)
    return length + factorial_log(n) - sum(factorial_log(m) for m in size.values()) + choose + log(n)


def random_tree(random: np.random.Generator, n: int, leaves: int) -> MergeTree:
    """A tree of random merges over ``n`` samples, every leaf with one sample or more."""
    initial = random.permutation(np.concatenate([np.arange(leaves), random.integers(0, leaves, n - leaves)]))
    alive, children = list(range(leaves)), []
    for step in range(leaves - 1):
        pair = sorted(random.choice(len(alive), 2, replace=False), reverse=True)
        children.append(sorted(alive.pop(place) for place in pair))
        alive.append(leaves + step)
    merges = np.array(children, np.int64).reshape(-1, 2)
    return MergeTree(initial.astype(np.int32), merges, np.ones(leaves - 1), np.ones(leaves - 1, np.int64))


def random_edges(random: np.random.Generator, n: int, count: int) -> np.ndarray:
    first = random.integers(0, n, count)
    return np.stack([first, (first + random.integers(1, n, count)) % n], axis=1)


def drawn(seed: int) -> tuple[MergeTree, np.ndarray, float]:
    random = np.random.default_rng(seed)
    n = int(random.integers(2, 40))
    tree = random_tree(random, n, int(random.integers(1, n + 1)))
    return tree, random_edges(random, n, int(random.integers(0, 150))), float(random.uniform(0, 5))


def tree_of(X: np.ndarray, n_neighbors: int = 20) -> tuple[MergeTree, np.ndarray]:
    graph = affinity_graph(X, min(n_neighbors, len(X) - 1))
    return graph_linkage(graph, initial_clusters(graph), isolated="nearest", features=X), graph.indices


@few
@given(st.integers(0, 100_000))
def test_every_cut_has_the_length_of_the_formula(seed):
    tree, edges, price = drawn(seed)
    expected = [by_formula(edges, tree.labels(k), price) for k in range(1, tree.n_leaves + 1)]
    np.testing.assert_allclose(description_lengths(tree, edges, price), expected, rtol=1e-11, atol=1e-9)


@few
@given(st.integers(0, 100_000))
def test_the_joining_merge_is_the_first_cut_with_both_ends_in_one_cluster(seed):
    tree, edges, _ = drawn(seed)
    joined = joining_merges(tree, edges)
    for merges in range(tree.n_leaves):
        labels = tree.labels(tree.n_leaves - merges)
        np.testing.assert_array_equal(labels[edges[:, 0]] == labels[edges[:, 1]], joined < merges)


@few
@given(st.integers(0, 100_000))
def test_renaming_samples_leaves_and_ends_changes_nothing(seed):
    tree, edges, price = drawn(seed)
    random = np.random.default_rng(seed + 1)
    samples, leaves = random.permutation(len(tree.initial)), random.permutation(tree.n_leaves)
    initial = np.empty_like(tree.initial)
    initial[samples] = leaves[tree.initial]
    names = np.concatenate([leaves, np.arange(tree.n_leaves, 2 * tree.n_leaves - 1)])
    renamed = MergeTree(initial, names[tree.children], tree.heights, tree.sizes)
    turned = random.permuted(samples[edges], axis=1)[random.permutation(len(edges))]
    np.testing.assert_allclose(
        description_lengths(renamed, turned, price), description_lengths(tree, edges, price), rtol=1e-11, atol=1e-9
    )


@few
@given(st.integers(0, 100_000))
def test_a_cut_from_which_the_tree_starts_anew_has_the_same_curve(seed):
    tree, edges, price = drawn(seed)
    kept = np.random.default_rng(seed).integers(1, tree.n_leaves + 1)
    gone = tree.n_leaves - kept
    left = [node for node in range(tree.n_leaves + gone) if node not in tree.children[:gone]]
    names = {node: place for place, node in enumerate([*left, *range(tree.n_leaves + gone, 2 * tree.n_leaves - 1)])}
    leaf = {int(node): node for node in left}
    for low, high in tree.children[:gone][::-1]:
        above = leaf[tree.n_leaves + int(np.flatnonzero((tree.children == [low, high]).all(axis=1))[0])]
        leaf[int(low)] = leaf[int(high)] = above
    initial = np.array([names[leaf[int(node)]] for node in tree.initial], np.int32)
    children = np.array([[names[int(node)] for node in pair] for pair in tree.children[gone:]], np.int64)
    later = MergeTree(initial, children.reshape(-1, 2), tree.heights[gone:], tree.sizes[gone:])
    np.testing.assert_allclose(
        description_lengths(later, edges, price), description_lengths(tree, edges, price)[:kept], rtol=1e-11, atol=1e-9
    )


def test_a_chain_of_merges_is_as_exact_as_a_balanced_tree():
    n = 300
    children = np.array([[0, 1], *([step + 2, n + step] for step in range(n - 2))], np.int64)
    tree = MergeTree(np.arange(n, dtype=np.int32), children, np.ones(n - 1), np.arange(2, n + 1))
    edges = random_edges(np.random.default_rng(0), n, 900)
    length = description_lengths(tree, edges)
    for k in (1, 2, 17, n):
        assert length[k - 1] == pytest.approx(by_formula(edges, tree.labels(k)), rel=1e-12)


def test_mutual_edges_are_there_in_both_directions():
    neighbours = np.array([[1, 2], [0, 3], [3, 1], [2, 0]])
    assert {tuple(edge) for edge in mutual_edges(neighbours).tolist()} == {(0, 1), (1, 0), (2, 3), (3, 2)}


@pytest.mark.parametrize("groups", [2, 5, 12])
def test_planted_partitions_are_found(groups):
    random = np.random.default_rng(groups)
    n = 40 * groups
    group = np.repeat(np.arange(groups), 40)
    pairs = np.stack(np.triu_indices(n, 1), axis=1)
    inside = group[pairs[:, 0]] == group[pairs[:, 1]]
    edges = pairs[random.random(len(pairs)) < np.where(inside, 0.3, 0.6 / n)]
    halves = 2 * group + np.arange(n) % 2  # a tree that joins halves of groups first, then groups
    merges = [[2 * r, 2 * r + 1] for r in range(groups)]
    top = list(range(2 * groups, 3 * groups))
    for step in range(groups - 1):
        merges.append(sorted([top.pop(0), top.pop(0)]))
        top.append(3 * groups + step)
    tree = MergeTree(halves.astype(np.int32), np.array(merges), np.ones(len(merges)), np.ones(len(merges), int))
    assert description_lengths(tree, edges).argmin() + 1 == groups


@pytest.mark.parametrize("centers", [2, 3, 8, 20])
def test_blobs_are_counted(centers):
    X, _ = make_blobs(60 * centers, 10, centers=centers, cluster_std=0.7, random_state=1)
    assert estimate(*tree_of(X)).n_clusters == centers


def test_one_cloud_of_many_dimensions_is_one_cluster():
    assert estimate(*tree_of(np.random.default_rng(0).normal(size=(500, 30)))).n_clusters == 1


def test_the_price_keeps_a_surface_in_one_piece():
    X = np.random.default_rng(0).random((600, 3))
    tree, neighbours = tree_of(X)
    assert estimate(tree, neighbours).n_clusters < estimate(tree, neighbours, price=0).n_clusters


def test_digits_are_ten_or_a_few_more():
    X = load_digits().data
    found = estimate(*tree_of(X / np.linalg.norm(X, axis=1, keepdims=True)))
    assert 9 <= found.n_clusters <= 15
    assert {found.n_clusters, *found.alternatives} & {10, 11}
    length = found.description_length
    assert length[found.n_clusters - 1] == length.min()
    assert len(found.alternatives) == 2 and found.n_clusters not in found.alternatives
    for k in found.alternatives:
        assert length[k - 1] < min(length[k - 2], length[k])
    assert all(length[a - 1] <= length[b - 1] for a, b in pairwise(found.alternatives))


@pytest.mark.parametrize("n", [2, 3, 4])
def test_a_handful_of_points(n):
    tree, neighbours = tree_of(np.random.default_rng(n).normal(size=(n, 2)))
    assert 1 <= estimate(tree, neighbours).n_clusters <= n


def test_one_point_is_one_cluster():
    tree = MergeTree(np.zeros(1, np.int32), np.empty((0, 2), np.int64), np.empty(0), np.empty(0, np.int64))
    found = estimate(tree, np.empty((1, 0), np.int32))
    assert (found.n_clusters, found.alternatives, len(found.description_length)) == (1, (), 1)


def test_equal_points_have_a_finite_curve():
    found = estimate(*tree_of(np.ones((50, 3))))
    assert np.isfinite(found.description_length).all()


@pytest.mark.parametrize("n", [40, 300, 900])
def test_the_curve_is_a_mean_over_three_graphs(n):
    tree, neighbours = tree_of(np.random.default_rng(n).normal(size=(n, 4)))
    looked_at = n_neighbors_for(n)
    edges = [mutual_edges(neighbours[:, : max(5, round(looked_at / part))]) for part in (1, 2, 4)]
    each = [description_lengths(tree, some, 0.6 * np.log(n)) * len(edges[0]) / len(some) for some in edges]
    found = estimate(tree, neighbours)
    np.testing.assert_allclose(found.description_length, sum(each) / 3, rtol=1e-12)
    assert found.n_clusters == found.description_length.argmin() + 1


def test_many_small_clusters_are_told_apart():
    X, _ = make_blobs(400, 30, centers=40, cluster_std=2.0, random_state=0)
    assert 30 <= estimate(*tree_of(X)).n_clusters <= 45


def test_parts_without_an_edge_between_them_are_counted():
    X, _ = make_blobs(200, 5, centers=4, cluster_std=0.01, random_state=0)
    tree, neighbours = tree_of(X)
    edges = mutual_edges(neighbours[:, : n_neighbors_for(200)])
    labels = tree.labels(4)
    assert (labels[edges[:, 0]] == labels[edges[:, 1]]).all()
    assert estimate(tree, neighbours).n_clusters == 4


def test_a_graph_without_edges_is_one_cluster():
    tree = random_tree(np.random.default_rng(0), 30, 12)
    assert description_lengths(tree, np.empty((0, 2), int), EDGE_PRICE).argmin() == 0


def test_neighbours_that_are_looked_at_grow_with_the_samples():
    assert [n_neighbors_for(n) for n in (1, 2, 4, 50, 400, 2000, 10**6)] == [0, 1, 3, 5, 10, 20, 20]


def test_more_neighbours_than_are_looked_at_change_nothing():
    X, _ = make_blobs(100, 4, centers=3, random_state=0)
    tree, neighbours = tree_of(X)
    wide = knn(X, 60)[0]
    np.testing.assert_array_equal(
        estimate(tree, neighbours).description_length, estimate(tree, wide).description_length
    )


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        (np.zeros((3, 3), int), r"must be \(E, 2\)"),
        (np.zeros((3, 2)), "whole numbers"),
        (np.array([[0, 30]]), "samples, from 0 to 29"),
        (np.array([[-1, 2]]), "samples, from 0 to 29"),
        (np.array([[4, 4]]), "two different"),
    ],
)
def test_bad_edges_are_refused(edges, message):
    tree = random_tree(np.random.default_rng(0), 30, 12)
    with pytest.raises(ValueError, match=message):
        description_lengths(tree, edges)


def test_bad_neighbours_and_prices_are_refused():
    tree = random_tree(np.random.default_rng(0), 30, 12)
    with pytest.raises(ValueError, match=r"shape \(30, K\)"):
        estimate(tree, np.zeros((29, 4), int))
    with pytest.raises(ValueError, match="finite"):
        description_lengths(tree, np.array([[0, 1]]), np.nan)


def test_linkage_finds_the_number_itself():
    X, _ = make_blobs(240, 8, centers=6, cluster_std=0.6, random_state=3)
    found = GraphLinkage(None).fit(X)
    assert found.n_clusters_ == 6
    np.testing.assert_array_equal(found.labels_, GraphLinkage(6).fit(X).labels_)
    assert GraphLinkage(None).fit(X[:1]).labels_.tolist() == [0]
