"""Seconds and peak memory of the classical rows, beside a peer from a well-kept library where there is one.

    python benchmarks/classical.py                                    # every row on MNIST-test
    python benchmarks/classical.py --dataset mnist --rows SC-NJW SC-ST
    python benchmarks/classical.py --rows SC-NJW --no-peers

Each run is its own process, so that its peak memory is its own. Prints each run and writes ``classical.json`` to
``_build/bench`` (``--folder book/benchmarks`` for the page).
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from clustlib.timings import Bar, Timing

VARIANTS = ("published", "released")
NOTE = (
    "Rows of JULE's tables 3 and 10 on MNIST-test's pixels, from features to labels; the peer is scikit-learn's or "
    "SciPy's estimator with the nearest settings."
)
BARS = {  # seconds, GB on two cores, for MNIST-test
    "SC-NJW": (60, 4),
    "SC-ST": (60, 4),
    "SC-LS": (60, 4),
    "N-Cuts": (60, 4),
}


def ours(row: str, variant: str, n_clusters: int, seed: int) -> Any:
    from clustlib.cluster.average_linkage import AverageLinkage
    from clustlib.cluster.kmeans import KMeans
    from clustlib.cluster.nmf import DeepSemiNMF, LocalityPreservingNMF
    from clustlib.cluster.spectral import LandmarkSpectral, NormalizedCuts, SelfTuningSpectral, SpectralNJW

    plain = {"K-means": KMeans, "NMF-D": DeepSemiNMF}
    with_variant = {
        "SC-NJW": SpectralNJW,
        "SC-ST": SelfTuningSpectral,
        "SC-LS": LandmarkSpectral,
        "N-Cuts": NormalizedCuts,
        "NMF-LP": LocalityPreservingNMF,
    }
    if row == "AC-Link":
        return AverageLinkage(n_clusters)
    if row in plain:
        return plain[row](n_clusters, random_state=seed)
    return with_variant[row](n_clusters, variant=variant, random_state=seed)


ROWS = ("K-means", "SC-NJW", "SC-ST", "SC-LS", "N-Cuts", "AC-Link", "NMF-LP", "NMF-D")
SINGLE = ("K-means", "AC-Link", "NMF-D")  # rows without variants


def peer_spectral(X: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    from sklearn.cluster import SpectralClustering
    from sklearn.metrics.pairwise import rbf_kernel

    spread = 2 * ((X**2).sum(axis=1).mean() - (X.mean(axis=0) ** 2).sum())
    W = rbf_kernel(X, gamma=1 / (0.05 * spread))
    np.fill_diagonal(W, 0)
    return SpectralClustering(n_clusters, affinity="precomputed", random_state=seed).fit_predict(W)


def peer_kmeans(X: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    from sklearn.cluster import KMeans

    return KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(X)


def peer_linkage(X: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    from scipy.cluster.hierarchy import fcluster, linkage

    return fcluster(linkage(X, "average"), n_clusters, "maxclust")


def peer_nmf(X: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    from sklearn.cluster import KMeans
    from sklearn.decomposition import NMF

    codes = NMF(n_clusters, solver="mu", beta_loss="kullback-leibler", max_iter=320, tol=0, random_state=seed)
    return KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(codes.fit_transform(X))


PEERS: dict[str, Callable[[np.ndarray, int, int], np.ndarray]] = {
    "K-means": peer_kmeans,
    "SC-NJW": peer_spectral,
    "AC-Link": peer_linkage,
    "NMF-LP": peer_nmf,
}


def measure(row: str, variant: str, dataset: str, seed: int) -> dict[str, Any]:
    """Run one row in this process; ``variant`` may be "peer"."""
    from clustlib.datasets import load
    from clustlib.metrics import accuracy, nmi

    images = load(dataset)
    X, y = images.pixels("l2"), images.labels
    n_clusters = len(np.unique(y))
    wall, cpu = time.perf_counter(), time.process_time()
    if variant == "peer":
        labels = PEERS[row](X, n_clusters, seed)
    else:
        labels = ours(row, variant, n_clusters, seed).fit(X).labels_
    return {
        "row": row,
        "variant": variant,
        "dataset": dataset,
        "seed": seed,
        "seconds": round(time.perf_counter() - wall, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "accuracy": round(accuracy(y, labels), 4),
        "nmi": round(nmi(y, labels, average="geometric"), 4),
    }


def measured_alone(row: str, variant: str, dataset: str, seed: int) -> dict[str, Any]:
    """``measure`` in a fresh interpreter; a run that fails is reported, not raised."""
    command = [sys.executable, __file__, "--one", row, variant, dataset, str(seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, encoding="utf-8")
    if done.returncode:
        return {"row": row, "variant": variant, "dataset": dataset, "seed": seed, "failed": done.returncode}
    return json.loads(done.stdout.splitlines()[-1])


def bars(result: dict[str, Any]) -> list[Bar]:
    """What was measured beside each bar; bars are set for MNIST-test alone."""
    if result["row"] not in BARS or result["dataset"] != "mnist-test" or result["variant"] == "peer":
        return []
    if "failed" in result:
        return []
    seconds, gigabytes = BARS[result["row"]]
    work = f"{result['row']}, {result['variant']}, 10,000 images"
    return [
        Bar(work, "features to labels", "s", seconds, result["seconds"]),
        Bar(work, "peak memory", "GB", gigabytes, result["peak_gb"]),
    ]


def with_ratios(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs of one row; each of ours gets the peer's seconds over its own."""
    peer = next((r for r in results if r["variant"] == "peer" and "failed" not in r), None)
    if peer is None:
        return results
    ratio = {id(r): {"ratio": round(peer["seconds"] / r["seconds"], 2)} for r in results if r.get("seconds")}
    return [r if r is peer else {**r, **ratio.get(id(r), {})} for r in results]


def rows(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs as the page's table shows them."""
    columns = {"row": "row", "variant": "variant", "seconds": "s", "peak_gb": "GB", "accuracy": "accuracy"}
    columns |= {"nmi": "NMI", "ratio": "ratio", "failed": "failed"}
    return [{title: run[name] for name, title in columns.items() if name in run} for run in runs]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="mnist-test")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-peers", action="store_true", help="leave out the peer of each row that has one")
    parser.add_argument("--folder", type=Path, help="where the JSON goes; default _build/bench")
    parser.add_argument("--one", nargs=4, metavar=("ROW", "VARIANT", "DATASET", "SEED"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        row, variant, dataset, seed = arguments.one
        print(json.dumps(measure(row, variant, dataset, int(seed))))
        return 0
    runs = []
    for row in arguments.rows:
        variants = ["published"] if row in SINGLE else list(arguments.variants)
        if row in PEERS and not arguments.no_peers:
            variants.append("peer")
        results = [measured_alone(row, variant, arguments.dataset, arguments.seed) for variant in variants]
        runs += with_ratios(results)
        print(*(json.dumps(result) for result in results), sep="\n", flush=True)
    held = [bar for run in runs for bar in bars(run)]
    print(Timing("classical", "The classical rows", NOTE, rows(runs), held).save(arguments.folder))
    return int(not all(bar.held for bar in held))


if __name__ == "__main__":
    sys.exit(main())
