"""The k-means start of DBC: on codes averaged over their neighbours, chosen among restarts without a label."""

import numpy as np
import torch
from sklearn.cluster import KMeans as Lloyd
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state
from tqdm.auto import tqdm

from clustlib._validation import check_choice, check_integer
from clustlib.dbc.density_peaks import density_peaks
from clustlib.kernels.neighbours import knn

CHOICES = ("distortion", "even", "density-peaks")
SAMPLE = 20_000  # codes that the restarts run on, where there are more
_CLOSE = 1.05  # how near to the smallest distortion a restart must be


def averaged(codes: np.ndarray, neighbours: int, rounds: int, device: str = "auto") -> np.ndarray:
    """Codes of unit length, each ``rounds`` times replaced by the middle between itself and its neighbours' mean.

    Classes that are long and winding in the code become compact, which is what k-means looks for. The neighbours, by
    distance between codes of unit length, stay the same in all rounds. Averaging draws every code towards the middle of
    all, the more the less its neighbours agree, and k-means would rather split what stays far out than part what has
    been drawn together: so the averages are brought back to unit length.

    Parameters
    ----------
    codes : (N, d) float32.
    neighbours : of each image, at most N - 1 are taken.

    Returns
    -------
    (N, d) float32 of unit length; the codes themselves where ``rounds`` is 0.
    """
    if rounds == 0:
        return codes
    current = normalize(codes)
    threads = torch.get_num_threads()
    nearest = knn(current, min(neighbours, len(codes) - 1), device=device)[0]
    torch.set_num_threads(threads)  # numba, started by the search, may have changed it, and with it the last digits
    for _ in range(rounds):
        mean = np.zeros_like(current)
        for column in nearest.T:
            mean += current[column]
        current = 0.5 * current + (0.5 / nearest.shape[1]) * mean
    return normalize(current)


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
    choice : "distortion" takes the restart of smallest distortion; "even" the one of most even clusters among the
        restarts whose distortion is within five per cent of the smallest. Distortion says little about a class that
        is split, or two in one cluster; the sizes show it. "density-peaks" makes no restarts:
        :func:`clustlib.dbc.density_peaks.density_peaks` of the codes, or of the 20,000, is where k-means begins.
    """
    check_choice("start", choice, CHOICES)
    check_integer("n_init", n_init, 1)
    restarts = []
    drawn = check_random_state(seed)
    seeds = drawn.randint(np.iinfo(np.int32).max, size=n_init)
    sample = codes if len(codes) <= SAMPLE else codes[np.sort(drawn.permutation(len(codes))[:SAMPLE])]
    if choice == "density-peaks":
        return _lloyd_from(codes, density_peaks(sample, n_clusters))
    for restart in tqdm(seeds, desc="k-means restarts", leave=False, delay=2):
        run = Lloyd(n_clusters, n_init=1, random_state=int(restart)).fit(sample)
        restarts.append(run)
    best = min(restarts, key=lambda run: run.inertia_)
    if choice == "even":
        close = [run for run in restarts if run.inertia_ <= _CLOSE * best.inertia_]
        best = max(close, key=lambda run: evenness(run.labels_, n_clusters))
    # one run over all codes from the chosen centres: a sample's centres are near its end
    return _lloyd_from(codes, best.cluster_centers_)


def _lloyd_from(codes: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """K-means from given centres: its labels, (N,) int64."""
    return Lloyd(len(centers), init=centers, n_init=1).fit(codes).labels_.astype(np.int64)
