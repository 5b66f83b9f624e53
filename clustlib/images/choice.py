"""How many clusters: the description length of the neighbours' graph at every cut of the merge tree."""

from dataclasses import dataclass, field

import numpy as np

from clustlib.kernels import KnnGraph, MergeTree
from clustlib.kernels.description_length import description_length


@dataclass(frozen=True)
class Choice:
    """What was chosen and out of what.

    Attributes
    ----------
    n_clusters : the number taken.
    given : whether the user named it.
    lengths : bits an image, (m,) for 1 to m clusters; empty where there is no graph.
    others : the numbers next best to the best of the curve, best first, none beside another.
    """

    n_clusters: int
    given: bool = False
    lengths: np.ndarray = field(default_factory=lambda: np.empty(0))
    others: tuple[int, ...] = ()


def choose(tree: MergeTree, graph: KnnGraph, n_clusters: int | None = None) -> Choice:
    """The number of clusters where ``n_clusters`` is None, and in any case the curve that speaks for or against it."""
    n, k = graph.indices.shape
    if k == 0 or tree.n_leaves == 1:
        return Choice(n_clusters or 1, n_clusters is not None)
    wide = int(np.clip(np.sqrt(n) / 2, min(5, k), k))
    lengths = description_length(tree, graph.indices[:, :wide]) / n / np.log(2)
    best = int(lengths.argmin()) + 1
    taken = n_clusters or best
    return Choice(taken, n_clusters is not None, lengths, _next_best(lengths, best))


def _next_best(lengths: np.ndarray, best: int, many: int = 2) -> tuple[int, ...]:
    """The best numbers that are at least a tenth away from the best one and from each other."""
    found: list[int] = []
    for k in (np.argsort(lengths, kind="stable") + 1).tolist():
        if all(abs(k - other) > max(1, 0.1 * other) - 1e-9 or other == 0 for other in (best, *found)) and k != best:
            found.append(k)
        if len(found) == many:
            break
    return tuple(found)
