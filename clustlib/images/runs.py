"""The runs behind the guide's page on the number of clusters."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from clustlib import datasets, metrics, records
from clustlib._validation import check_integer, check_seed
from clustlib.cluster.number_of_clusters import (
    EDGE_PRICE,
    FEWEST_IN_TREE,
    MOST,
    NEIGHBOUR_SHARES,
    curve,
    estimate,
    n_neighbors_for,
)
from clustlib.errors import UsageError
from clustlib.images.rivals import EDGES, RULES, Case
from clustlib.published.tables import choose

# sets whose errors were seen when the rule was given its form and its constants
DEVELOPED_ON = (
    "digits",
    "olivetti",
    "coil-20",
    "scene-15",
    "usps",
    "usps-11000",
    "imagenette-val",
    "mnist-test",
    "umist",
    "cmu-pie",
    "flowers-17",
)
FEATURES = ("cnn", "pixels")
OF_THE_TREE = ("Description length", "Planted partition", "Largest drop")  # rules of a moment, once the tree is there
OTHER_PRICES = (0.0, 0.25, 0.4, 0.5, 0.6, 0.75, 1.0)  # of an edge between clusters, as shares of ln N nats
OTHER_GRAPHS = {"all": (1.0,), "half": (0.5,), "all and half": (1.0, 0.5), "all, half and a quarter": NEIGHBOUR_SHARES}
SCORES = ("found", "error", "accuracy", "nmi_geometric")


def count_clusters(
    dataset: str, method: str, features: str = "cnn", size: int = 3000, seed: int = 0, device: str = "auto"
) -> dict[str, Any]:
    """How many clusters a rule finds in a data set, and how good they are.

    Parameters
    ----------
    dataset : a registered name. method : a label of ``RULES``.
    features : "cnn", square roots of EfficientNet-Lite0's activations, or "pixels"; both scaled to unit length.
    size : images that are drawn from larger sets.
    seed : of the rules that draw numbers. device : where the features are made.

    Returns
    -------
    found, classes, error (log2 of found / classes), accuracy, nmi_geometric; and for the description length the arrays
    ``curve`` (nats, for 1, 2, ... clusters, at most 200) and ``alternatives``.
    """
    images = part_of(dataset, size)
    case = prepared(_rows(images, features, device), seed)
    result = scored(images.labels, RULES[method](case))
    if method == "Description length":
        chosen = estimate(case.tree, case.neighbours)
        result["curve"] = chosen.description_length[:200]
        result["alternatives"] = np.array(chosen.alternatives, np.int64)
    return result


def count_on_subsets(
    dataset: str, features: str = "cnn", size: int = 3000, draws: int = 12, seed: int = 0, device: str = "auto"
) -> dict[str, Any]:
    """:func:`count_clusters` by each of ``OF_THE_TREE`` on ``draws`` random subsets of the classes.

    Their number is drawn evenly on a logarithmic scale from 2 to all; of each class all images are taken, or the same
    share of every class, or another share of each.

    Returns
    -------
    Arrays (draws,): ``classes``, and for each rule ``found``, ``error``, ``accuracy`` and ``nmi_geometric``, a space
    and its name.
    ``median_error``, ``mean_error`` (absolute, log2) and ``within_two`` (share within a factor of two) of ours.
    """
    images = part_of(dataset, size)
    rows = _rows(images, features, device)
    scores = [_by_tree_rules(images.labels[i], prepared(rows[i], seed)) for i in _subsets(images.labels, draws, seed)]
    errors = np.abs([score["error Description length"] for score in scores])
    return {
        **{name: np.array([score[name] for score in scores]) for name in scores[0]},
        "median_error": float(np.median(errors)),
        "mean_error": float(errors.mean()),
        "within_two": float((errors <= 1).mean()),
    }


def count_one_class(
    dataset: str, features: str = "cnn", size: int = 3000, seed: int = 0, device: str = "auto"
) -> dict[str, Any]:
    """How many clusters each of ``OF_THE_TREE`` finds in the images of one class, for up to ten classes.

    Returns
    -------
    An array for each rule, ``found``, a space and its name; ``one`` and ``at_most_two``, the shares of ours.
    """
    images = part_of(dataset, size)
    rows, classes = _rows(images, features, device), np.unique(images.labels)
    drawn = np.random.default_rng([seed, 29]).permutation(classes)[:10]
    cases = [prepared(rows[images.labels == label], seed) for label in drawn]
    found = {f"found {method}": np.array([_count(RULES[method](case)) for case in cases]) for method in OF_THE_TREE}
    ours = found["found Description length"]
    return {**found, "one": float((ours == 1).mean()), "at_most_two": float((ours <= 2).mean())}


def vary_the_rule(
    dataset: str, features: str = "cnn", size: int = 3000, draws: int = 12, seed: int = 0, device: str = "auto"
) -> dict[str, Any]:
    """How many clusters our rule finds at ``OTHER_PRICES``, on ``OTHER_GRAPHS``, and on all edges beside mutual ones.

    On the whole set first, then on the subsets of :func:`count_on_subsets`.

    Returns
    -------
    ``classes`` (1 + draws,), and ``found mutual`` and ``found all`` (1 + draws, len(OTHER_GRAPHS), len(OTHER_PRICES)).
    ``mean_error`` (absolute, log2) of the rule as it is, on the subsets.
    """
    images = part_of(dataset, size)
    rows = _rows(images, features, device)
    drawn = [np.arange(len(rows)), *_subsets(images.labels, draws, seed)]
    classes = np.array([len(np.unique(images.labels[i])) for i in drawn])
    cases = [prepared(rows[i], seed) for i in drawn]
    found = {f"found {name}": np.array([_at_prices(case, edges) for case in cases]) for name, edges in EDGES.items()}
    as_it_is = found["found mutual"][
        1:, list(OTHER_GRAPHS.values()).index(NEIGHBOUR_SHARES), OTHER_PRICES.index(EDGE_PRICE)
    ]
    return {"classes": classes, **found, "mean_error": float(np.abs(np.log2(as_it_is / classes[1:])).mean())}


def _at_prices(case: Case, edges: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Clusters found, (len(OTHER_GRAPHS), len(OTHER_PRICES))."""
    curves = (
        partial(curve, case.tree, case.neighbours, shares=shares, edges_of=edges) for shares in OTHER_GRAPHS.values()
    )
    return np.array([[1 + int(np.argmin(at(price=price))) for price in OTHER_PRICES] for at in curves])


def _by_tree_rules(truth: np.ndarray, case: Case) -> dict[str, Any]:
    """The number of classes, and the scores of the rules that cut the same tree, each with its rule's name."""
    scores = {method: scored(truth, RULES[method](case)) for method in OF_THE_TREE}
    named = {f"{name} {method}": score[name] for method, score in scores.items() for name in SCORES}
    return {"classes": len(np.unique(truth)), **named}


def _subsets(labels: np.ndarray, draws: int, seed: int) -> list[np.ndarray]:
    """The indices of each of ``draws`` subsets of the classes."""
    random = np.random.default_rng([seed, 23])
    return [draw_classes(labels, random) for _ in range(draws)]


def draw_classes(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Indices, in order, of the images of a random subset of the classes; at least eight of each where there are."""
    classes = np.unique(labels)
    count = int(np.exp(random.uniform(np.log(1.5), np.log(len(classes) + 0.5))).round())
    chosen = random.choice(classes, min(max(count, 2), len(classes)), replace=False)
    style, share = random.integers(3), random.uniform(0.2, 0.8)
    parts = []
    for label in chosen:
        members = np.flatnonzero(labels == label)
        kept = (1.0, share, random.uniform(0.3, 1))[style] * len(members)
        parts.append(random.choice(members, min(max(8, int(kept)), len(members)), replace=False))
    return np.sort(np.concatenate(parts))


def prepared(rows: np.ndarray, seed: int = 0) -> Case:
    """Neighbours and the GDL merge tree of ``rows`` (N, D), which is made of half the root of N of them, 10 to 20."""
    from clustlib.kernels import affinity_graph, graph_linkage, initial_clusters, knn

    indices = knn(rows, min(MOST, len(rows) - 1))
    graph = affinity_graph(indices, n_neighbors_for(len(rows), FEWEST_IN_TREE))
    tree = graph_linkage(graph, initial_clusters(graph), isolated="nearest", features=rows)
    return Case(rows, graph.indices, tree, seed)


def part_of(dataset: str, size: int) -> datasets.ImageSet:
    """A registered set, or ``size`` images drawn from a larger one."""
    images = datasets.load(dataset)
    return images if len(images) <= size else images.take(size, 0)


def _rows(images: datasets.ImageSet, features: str, device: str) -> np.ndarray:
    """(N, D) float32 of unit length."""
    from clustlib._validation import unit_rows
    from clustlib.fcn.extraction import extract
    from clustlib.fcn.weights import pretrained
    from clustlib.records import artifacts

    if features == "pixels":
        return images.pixels("l2")
    folder = artifacts.folder().parent / "features"
    return unit_rows(np.sqrt(extract(images.images, pretrained(), device=device, engine="torch", cache=folder)))


def _count(labels: np.ndarray) -> int:
    """Clusters, HDBSCAN's noise (-1) not counted, at least one."""
    return max(1, len(np.unique(labels[labels >= 0])))


def scored(truth: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """The clusters found, the classes, log2 of the one over the other, and the scores."""
    found, classes = _count(labels), len(np.unique(truth))
    numbered = np.unique(labels, return_inverse=True)[1]
    return {
        "found": found,
        "classes": classes,
        "error": float(np.log2(found / classes)),
        "accuracy": metrics.accuracy(truth, numbered),
        "nmi_geometric": metrics.nmi(truth, numbered, average="geometric"),
    }


def _check(
    dataset: str, method: str = "Description length", features: str = "cnn", size: int = 3000, **numbers: Any
) -> None:
    """Refuse what cannot be right before any work is done."""
    choose("data set", dataset, datasets.names())
    choose("method", method, RULES)
    choose("features", features, FEATURES)
    check_integer("size", size, 20)
    check_seed(numbers.get("seed", 0))
    if numbers.get("draws", 1) < 1:
        raise UsageError(f"draws must be at least 1, got {numbers['draws']}")


records.declare(count_clusters, count_on_subsets, count_one_class, vary_the_rule, check=_check)
