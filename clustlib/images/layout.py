"""A map in two dimensions: landmarks by t-SNE, everything else beside the landmarks that it is most like."""

import numpy as np

_LANDMARKS = 500
_NEAREST = 3


def layout(rows: np.ndarray, labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Places (n, 2) float32 within 0..1 of unit rows (n, d).

    Landmarks are drawn from every cluster by its size, one at least. An image that is none lies at the mean of its
    three most similar landmarks, weighted by similarity.
    """
    if len(rows) < 4:
        return np.stack([np.linspace(0.3, 0.7, len(rows)), np.full(len(rows), 0.5)], axis=1).astype(np.float32)
    chosen = _landmarks(labels, seed)
    placed = _tsne(rows[chosen], seed)
    places = np.empty((len(rows), 2), np.float32)
    random = np.random.default_rng(seed)
    for start in range(0, len(rows), 4096):
        part = rows[start : start + 4096] @ rows[chosen].T
        near = np.argpartition(-part, min(_NEAREST, len(chosen)) - 1, axis=1)[:, :_NEAREST]
        weight = np.exp(20 * (np.take_along_axis(part, near, axis=1) - part.max(axis=1, keepdims=True)))
        weight /= weight.sum(axis=1, keepdims=True)
        places[start : start + 4096] = (placed[near] * weight[:, :, None]).sum(axis=1)
    others = np.setdiff1d(np.arange(len(rows)), chosen)
    places[others] += random.normal(0, 0.006, (len(others), 2))
    places[chosen] = placed
    places = np.clip(places, -0.04, 1.04)
    low, high = places.min(axis=0), places.max(axis=0)
    return (places - low) / np.maximum(high - low, np.float32(1e-9))


def _landmarks(labels: np.ndarray, seed: int) -> np.ndarray:
    if len(labels) <= _LANDMARKS:
        return np.arange(len(labels))
    order = np.random.default_rng(seed).permutation(len(labels))
    by_cluster = order[np.argsort(labels[order], kind="stable")]
    firsts = np.unique(labels[by_cluster], return_index=True)[1]
    spread = by_cluster[np.linspace(0, len(labels) - 1, _LANDMARKS).astype(int)]
    return np.unique(np.concatenate([spread, by_cluster[firsts][:_LANDMARKS]]))


def _tsne(rows: np.ndarray, seed: int) -> np.ndarray:
    """Scaled to about 0..1 in both directions."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    perplexity = min(25.0, (len(rows) - 1) / 3)
    if np.ptp(rows, axis=0).max() == 0:
        return np.full((len(rows), 2), 0.5, np.float32)
    model = TSNE(2, perplexity=perplexity, max_iter=400, init="pca", random_state=seed, metric="cosine")
    with threadpool_limits(1):  # threads that wait for each other's short steps take longer than one
        used = rows[:, rows.any(axis=0)]
        used = used if used.shape[1] > 1 else np.pad(used, ((0, 0), (0, 1)))  # the start is in two dimensions
        points = model.fit_transform(used)
    low, high = np.percentile(points, [1, 99], axis=0)
    return ((points - low) / np.maximum(high - low, 1e-9)).astype(np.float32)
