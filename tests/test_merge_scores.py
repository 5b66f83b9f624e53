"""The plain tables of affinities and merge scores: the definitions, entry by entry, and the merging code's choice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustlib.kernels import affinity_graph, cluster_affinities, graph_linkage, merge_scores


def example(seed: int, n: int = 24, clusters: int = 8):
    random = np.random.default_rng(seed)
    graph = affinity_graph(random.normal(size=(n, 3)), 5)
    labels = np.concatenate([np.arange(clusters), random.integers(0, clusters, n - clusters)])
    return graph, labels


def affinity_by_definition(graph, labels) -> np.ndarray:
    n = len(labels)
    W = np.zeros((n, n))
    for i in range(n):
        W[i, graph.indices[i]] = graph.weights[i]
    count = labels.max() + 1
    S = np.zeros((count, count))
    for a in range(count):
        for b in range(count):
            if a != b:
                of_a = labels == a
                S[a, b] = sum(W[of_a, j].sum() * W[j, of_a].sum() for j in np.flatnonzero(labels == b))
    sizes = np.bincount(labels)
    return np.array([[S[a, b] / sizes[a] ** 2 + S[b, a] / sizes[b] ** 2 for b in range(count)] for a in range(count)])


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_affinities_equal_the_definition(seed):
    graph, labels = example(seed)
    np.testing.assert_allclose(cluster_affinities(graph, labels), affinity_by_definition(graph, labels), atol=1e-12)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.integers(2, 12), st.floats(0, 3))
def test_scores_equal_the_definition(seed, k_c, weight):
    A = np.abs(np.random.default_rng(seed).normal(size=(7, 7)))
    A = A + A.T
    nearest, criterion = merge_scores(A, k_c, weight)
    for i in range(7):
        row = sorted((A[i, j] for j in range(7) if j != i), reverse=True)
        row = [*row, *[0.0] * k_c][:k_c]
        assert nearest[i] == row[0]
        assert criterion[i] == pytest.approx(row[0] + weight / (k_c - 1) * sum(row[0] - a for a in row[1:]))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from(["affinity", "local"]))
def test_the_merging_code_takes_the_pair_with_the_best_score(seed, criterion):
    graph, labels = example(seed)
    A = cluster_affinities(graph, labels)
    scores = merge_scores(A)[criterion == "local"]
    if scores.max() == 0:
        return
    best = int(scores.argmax())
    np.fill_diagonal(A, -1)
    pair = graph_linkage(graph, labels, criterion=criterion).children[0]
    assert best in pair
    assert A[best].argmax() in pair


def test_bad_input():
    graph, labels = example(0)
    with pytest.raises(ValueError, match="every one used"):
        cluster_affinities(graph, labels * 2)
    with pytest.raises(ValueError, match="at least 2"):
        merge_scores(np.eye(3), 1)
