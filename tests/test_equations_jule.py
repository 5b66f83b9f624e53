"""JULE: the kernels against the equations of the paper and of its talk."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference_linkage import dense

from clustlib.jule import equations
from clustlib.kernels import (
    Triplets,
    affinity_graph,
    cluster_affinities,
    graph_linkage,
    knn,
    merge_scores,
    squared_distances,
    weighted_triplet_loss,
)

seeds = st.integers(0, 10**6)
factors = st.sampled_from([0.5, 1.0, 2.0])


def points(seed: int, n: int = 16, levels: int = 4) -> np.ndarray:
    """Points of a small grid: many distances are equal and some points coincide; never all of them."""
    X = np.random.default_rng(seed).integers(0, levels, (n, 3)).astype(float)
    X[0], X[1] = 0, levels
    return X


def example(seed: int, n_c: int = 6):
    """A graph, labels of clusters of different sizes, the table W and the clusters."""
    X = points(seed)
    labels = np.concatenate([np.arange(n_c), np.random.default_rng(seed).integers(0, n_c, len(X) - n_c)])
    graph = affinity_graph(X, 5)
    return graph, labels, dense(graph), [np.flatnonzero(labels == c) for c in range(n_c)]


def affinities(W: np.ndarray, clusters: list) -> np.ndarray:
    """The equation for every pair."""
    return np.array([[equations.cluster_affinity(W, A, B) if A is not B else 0 for B in clusters] for A in clusters])


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(1, 6), factors)
def test_the_graph_is_eq_4(seed, K_s, a):
    X = points(seed)
    assume(equations.bandwidth(X, K_s, a) > 0)
    np.testing.assert_array_equal(knn(X, K_s)[0], equations.neighbours(X, K_s))
    graph = affinity_graph(X, K_s, a)
    assert graph.sigma2 == pytest.approx(equations.bandwidth(X, K_s, a))
    np.testing.assert_allclose(dense(graph), equations.affinity_matrix(X, K_s, a), rtol=1e-9)


def test_squared_distances_in_a_batch():
    X = torch.tensor(points(0))
    np.testing.assert_allclose(squared_distances(X, X), equations.squared_distances(X.numpy()), atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_affinities_of_clusters_are_those_of_graph_degree_linkage(seed):
    graph, labels, W, clusters = example(seed)
    np.testing.assert_allclose(cluster_affinities(graph, labels), affinities(W, clusters), rtol=1e-12, atol=1e-15)


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_an_affinity_has_two_halves_and_one_of_them_adds_up(seed):
    _, _, W, (A, B, C, *_) = example(seed)
    both = equations.directed_affinity(W, A, B) + equations.directed_affinity(W, B, A)
    assert equations.cluster_affinity(W, A, B) == pytest.approx(both)
    parts = equations.directed_affinity(W, A, C) + equations.directed_affinity(W, B, C)
    assert equations.directed_affinity(W, [*A, *B], C) == pytest.approx(parts)


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_the_first_merge_is_eq_3_and_the_second_has_the_talks_affinity(seed):
    graph, labels, W, clusters = example(seed)
    table = affinities(W, clusters)
    assume(table.max() > 0)
    i, j = equations.closest_clusters(table)
    tree = graph_linkage(graph, labels, update="paper_fast")
    assert table[tuple(tree.children[0])] == pytest.approx(table[i, j])
    assert tree.heights[0] == pytest.approx(table[i, j])
    A, B = (clusters[c] for c in tree.children[0])
    others = [C for c, C in enumerate(clusters) if c not in tree.children[0]]
    after = [
        equations.directed_affinity(W, [*A, *B], C)
        + equations.merged_affinity_fast(
            equations.directed_affinity(W, C, A), equations.directed_affinity(W, C, B), len(A), len(B)
        )
        for C in others
    ]
    best = max([*after, affinities(W, others).max()])
    assert tree.heights[1] == pytest.approx(best, abs=1e-15)


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(2, 8), factors)
def test_merge_scores_are_eq_7_with_the_sign_turned(seed, K_c, lambda_):
    table = affinities(*example(seed)[2:])
    nearest, criterion = merge_scores(table, K_c, lambda_)
    for i in range(len(table)):
        a = equations.nearest_affinities(table, i, K_c)
        assert -nearest[i] == equations.loss_7a(a)
        assert -criterion[i] == pytest.approx(equations.merge_loss(a, lambda_), abs=1e-15)


@settings(deadline=None, max_examples=30)
@given(seeds, factors)
def test_the_merged_pair_has_the_smallest_loss_of_eq_7(seed, lambda_):
    graph, labels, W, clusters = example(seed)
    table = affinities(W, clusters)
    losses = [equations.merge_loss(equations.nearest_affinities(table, i, 5), lambda_) for i in range(len(table))]
    assume(min(losses) < 0)
    pair = graph_linkage(graph, labels, criterion="local", k_c=5, weight=lambda_).children[0]
    assert min(losses[c] for c in pair) == pytest.approx(min(losses))


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(2, 6), factors)
def test_eq_10_is_the_sum_of_eq_7_over_all_merges(seed, K_c, lambda_):
    a = -np.sort(-np.random.default_rng(seed).integers(0, 5, (6, K_c)).astype(float), axis=1)
    losses = [equations.merge_loss(row, lambda_) for row in a]
    periods = [equations.period_loss(losses, 0, 3), equations.period_loss(losses, 4, 5)]
    assert equations.loss_of_periods(periods) == pytest.approx(equations.total_loss(losses))
    assert equations.loss_of_merges(a, lambda_) == pytest.approx(equations.total_loss(losses))


@settings(deadline=None, max_examples=30)
@given(seeds, st.sampled_from([1.0, 2.0]), st.sampled_from([0.0, 0.2, 100.0]))
def test_the_triplet_loss_is_the_mean_hinge_and_far_from_the_hinge_eq_11(seed, gamma, margin):
    x = points(seed, n=9)
    i, j, k = np.array([0, 0, 3, 4]), np.array([1, 2, 5, 8]), np.array([[3, 4], [5, 6], [1, 0], [7, 2]])
    triplets = [(a, b, c) for a, b, row in zip(i, j, k) for c in row]
    hinges = [equations.triplet_hinge(x[a], x[b], x[c], gamma, margin) for a, b, c in triplets]
    found = weighted_triplet_loss(torch.tensor(x), Triplets(*map(torch.tensor, (i, j, k))), gamma, margin)
    assert float(found) == pytest.approx(np.mean(hinges))
    if margin == 100:  # no triplet is cut off: with affinities of minus the squared distance it is Eq. (11)
        d2 = equations.squared_distances(x)
        to_positive, to_negative = np.array([(-d2[a, b], -d2[a, c]) for a, b, c in triplets]).T
        K_c, lambda_ = 5, 1.0
        eq_11 = equations.triplet_loss(to_positive, to_negative, gamma, lambda_, K_c)
        assert float(found) == pytest.approx(margin + eq_11 * (K_c - 1) / lambda_ / len(triplets))


def test_taking_turns_by_eq_2_ends_where_neither_can_gain_and_eq_1_is_no_worse():
    table = np.array([[3.0, 5.0, 4.0], [2.0, 2.5, 6.0], [5.0, 1.0, 0.5]])
    loss = lambda y, theta: table[y, theta]  # noqa: E731
    y, theta = 0, 0
    for _ in range(4):
        y = equations.best_labels(loss, range(3), theta)
        theta = equations.best_parameters(loss, y, range(3))
    assert (y, theta) == (1, 0)
    assert equations.best_pair(loss, range(3), range(3)) == (2, 2)


def test_a_timestep_passes_labels_on():
    X, h, y = equations.timestep(
        np.arange(4), 10, np.zeros(4), lambda images, theta: images + theta, lambda X, h: X // 2 + h
    )
    np.testing.assert_array_equal(X, [10, 11, 12, 13])
    np.testing.assert_array_equal(h, [5, 5, 6, 6])
    assert y is h


@pytest.mark.parametrize("eta", [0.2, 0.9])
def test_the_periods_of_mnist_test_and_of_faces(eta):
    left = list(itertools.accumulate(range(2), lambda n, _: n - equations.merges_of_a_period(n, eta), initial=1762))
    assert left == {0.2: [1762, 1409, 1127], 0.9: [1762, 176, 17]}[eta]
