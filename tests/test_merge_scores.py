"""The plain tables of affinities and merge scores, and what merging makes of them; formulas: test_equations_jule.py."""

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
    with pytest.raises(ValueError, match="an integer from 2 to"):
        merge_scores(np.eye(3), 1)
