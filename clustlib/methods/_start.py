"""The k-means start of DBC, chosen among restarts without a label."""

import numpy as np
from sklearn.cluster import KMeans as Lloyd
from sklearn.utils import check_random_state
from tqdm.auto import tqdm

from clustlib.errors import UsageError

CHOICES = ("even", "distortion")
SAMPLE = 20_000  # codes that the restarts run on, where there are more
_CLOSE = 1.01  # distortions within one per cent of the smallest do not tell restarts apart


def evenness(labels: np.ndarray, n_clusters: int) -> float:
    """The entropy of the cluster sizes over its largest possible value: 1 where all sizes are equal."""
    shares = np.bincount(labels, minlength=n_clusters) / len(labels)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum() / np.log(n_clusters)) if n_clusters > 1 else 1.0


def kmeans_start(codes: np.ndarray, n_clusters: int, n_init: int, choice: str, seed: int) -> np.ndarray:
    """Line 3 of Algorithm 1: the labels of the chosen one of ``n_init`` restarts of k-means, (N,) int64.

    The restarts run on 20,000 of the codes where there are more; the chosen one goes on over all of them.

    Parameters
    ----------
    choice : "distortion" takes the restart of smallest distortion. "even" takes the most even clusters among the
        restarts whose distortion is within one per cent of the smallest: in a whitened code the distortions differ by
        less than that, while a digit that is split, or two in one cluster, shows in the sizes.
    """
    if choice not in CHOICES:
        raise UsageError(f"start must be one of {', '.join(CHOICES)}; got {choice!r}")
    if n_init < 1:
        raise UsageError(f"n_init must be at least 1, got {n_init}")
    found = []
    drawn = check_random_state(seed)
    seeds = drawn.randint(np.iinfo(np.int32).max, size=n_init)
    sample = codes if len(codes) <= SAMPLE else codes[np.sort(drawn.permutation(len(codes))[:SAMPLE])]
    for restart in tqdm(seeds, desc="k-means restarts", leave=False, delay=2):
        run = Lloyd(n_clusters, n_init=1, random_state=int(restart)).fit(sample)
        found.append(run)
    best = min(found, key=lambda run: run.inertia_)
    if choice == "even":
        close = [run for run in found if run.inertia_ <= _CLOSE * best.inertia_]
        best = max(close, key=lambda run: evenness(run.labels_, n_clusters))
    # one run over all codes from the chosen centres: a sample's centres are near its end
    return Lloyd(n_clusters, init=best.cluster_centers_, n_init=1).fit(codes).labels_.astype(np.int64)
