"""The state of a fit of JULE under way: as a checkpoint holds it, and back."""

from collections.abc import Callable
from typing import Any

import numpy as np

from clustlib.errors import DataCorrupt


def packed(state: dict, training: Any) -> dict[str, Any]:
    """The state as a checkpoint holds it: arrays as tensors."""
    import torch

    def pack(value: Any) -> Any:
        return torch.from_numpy(np.ascontiguousarray(value)) if isinstance(value, np.ndarray) else value

    return {**mapped(pack, state), "training": training.state()}


def unpacked(state: dict) -> dict[str, Any]:
    """The state as it was before :func:`packed`."""
    return mapped(lambda value: value.numpy() if hasattr(value, "numpy") else value, state)


def tree_arrays(tree: Any) -> dict[str, np.ndarray]:
    """The arrays of a :class:`clustlib.kernels.MergeTree`, by the names it takes them by."""
    return {name: getattr(tree, name) for name in ("initial", "children", "heights", "sizes")}


def tree_of(arrays: dict[str, np.ndarray], n: int) -> Any:
    """A :class:`clustlib.kernels.MergeTree` over ``n`` samples from its arrays.

    Raises :class:`DataCorrupt` where they are no tree: a node that does not exist yet or has been merged.
    """
    from clustlib.kernels import MergeTree
    from clustlib.kernels.linkage.tree import subtree_sizes

    tree = MergeTree(**arrays)
    leaves = tree.n_leaves
    known = leaves + np.arange(leaves - 1)[:, None]  # nodes that there are before each merge
    right = all(array.dtype.kind in "iu" for array in (tree.initial, tree.children, tree.sizes))
    right &= tree.initial.shape == (n,) and tree.children.shape == (leaves - 1, 2)
    right = right and 0 <= tree.initial.min() <= tree.initial.max() < leaves and tree.heights.shape == (leaves - 1,)
    right = right and bool(((tree.children >= 0) & (tree.children < known)).all())
    right = right and len(np.unique(tree.children)) == tree.children.size
    sizes = subtree_sizes(tree.children, np.bincount(tree.initial, minlength=leaves)) if right else np.zeros(0)
    if not right or not np.array_equal(tree.sizes, sizes):
        raise DataCorrupt("its merge tree is none")
    return tree


def mapped(change: Callable[[Any], Any], value: Any) -> Any:
    """``value`` with every leaf of its dicts and lists changed; NumPy's scalars become Python's."""
    if isinstance(value, dict):
        return {name: mapped(change, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [mapped(change, inner) for inner in value]
    return value.item() if isinstance(value, np.generic) else change(value)


def noted(state: dict, labels: np.ndarray, features: np.ndarray, truth: np.ndarray | None, **facts: Any) -> None:
    """Add a line to the history and a stage: what was found, in which features, at what cost."""
    from clustlib import metrics

    line = {**facts, "n_clusters": int(labels.max()) + 1, "loss": state["loss"]}
    line |= {"training_seconds": state.pop("seconds", 0.0), "feature_seconds": state.pop("feature_seconds", 0.0)}
    state["seconds"] = 0.0
    if truth is not None:
        line["nmi"] = metrics.nmi(truth, labels, average="geometric")
        line["accuracy"] = metrics.accuracy(truth, labels)
    state["history"].append(line)
    state["stages"].append({"labels": labels, "components": principal_components(features, 3)})


def principal_components(features: np.ndarray, n: int) -> np.ndarray:
    """The first ``n`` principal components (N, n) float32 of ``features`` (N, D); signs by the largest loading."""
    from sklearn.decomposition import PCA

    n_samples, dim = features.shape
    solver = "covariance_eigh" if dim < n_samples else "full"  # 1,440 images of 16,384 pixels: 8 s, not 15 minutes
    return PCA(min(n, n_samples, dim), svd_solver=solver).fit_transform(features).astype(np.float32)
