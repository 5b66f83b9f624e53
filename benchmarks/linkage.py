"""Seconds by part and peak memory of graph linkage, beside the bars it has to meet on two cores.

    python benchmarks/linkage.py                          # GDL on MNIST-test and MNIST, path and zeta, peers
    python benchmarks/linkage.py --only gdl --sizes 10000 20000
    python benchmarks/linkage.py --quick                  # digits only: no data needed

Prints a table and writes ``linkage.json`` to ``_build/bench`` (``--folder book/benchmarks`` for the page). Every run is
its own process, so that its peak memory is its own; compiled code is loaded before the clock starts. Sizes below 70,000
are random parts of MNIST, but 10,000 is MNIST-test. A peer's ratio is its seconds over ours.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from clustlib.timings import Bar, Plot, Timing

NOTE = (
    "From features to labels: the exact graph of 20 neighbours, the initial clusters, merging down to one. The best of "
    "three fits, one above 20,000 images; compiled code is loaded before the clock starts. Digits are scikit-learn's "
    "1,797, 10,000 images are MNIST-test, other sizes are random parts of MNIST. Isolated clusters join the nearest "
    "centroid, as by default; left alone, they ruin the NMI at 70,000."
)
SIZES = (10_000, 20_000, 40_000, 70_000)
BARS = {  # (linkage, samples): {part: most}; seconds, and GB of peak memory
    ("gdl", 10_000): {"total": 2.5, "merging": 0.3},
    ("gdl", 70_000): {"total": 75.0, "merging": 8.0, "GB": 1.0},
    ("path", 1_797): {"total": 1.0},
    ("path", 10_000): {"total": 60.0},
    ("zeta", 1_797): {"total": 2.0},
    ("zeta", 10_000): {"total": 120.0},
}


def features(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows and labels of ``n`` images."""
    if n == 1_797:
        from sklearn.datasets import load_digits

        X, y = load_digits(return_X_y=True)
        return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32), y
    from clustlib.datasets import load

    images = load("mnist-test") if n == 10_000 else load("mnist")
    X, y = images.pixels(), images.labels
    if n < len(X):
        part = np.random.default_rng(0).permutation(len(X))[:n]
        X, y = X[part], y[part]
    return X, y


def run_linkage(linkage: Any, n: int, repeats: int) -> dict[str, Any]:
    """The best of ``repeats`` fits, by its total."""
    from clustlib.cluster.graph_linkage import GraphLinkage
    from clustlib.metrics import accuracy, nmi

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        GraphLinkage(3, linkage).fit(np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32))
    X, y = features(n)
    fits = []
    for _ in range(repeats):
        started, cpu = time.perf_counter(), time.process_time()
        model = GraphLinkage(10, linkage).fit(X)
        seconds = {note["stage"]: note["seconds"] for note in model.history_}
        total, cpu = time.perf_counter() - started, time.process_time() - cpu
        fits.append((total, {**seconds, "total": total, "cpu": cpu}, model))
    _, seconds, model = min(fits, key=lambda fit: fit[0])
    return {
        **seconds,
        "GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "initial clusters": model.n_leaves_,
        "nmi": nmi(y, model.labels_, average="geometric"),
        "acc": accuracy(y, model.labels_),
    }


def run_peer(peer: str, n: int, repeats: int) -> dict[str, Any]:
    """Another library's part of the work: 20 exact neighbours, or merging along the same graph by Ward's criterion."""
    X, _ = features(n)
    best = math.inf
    for _ in range(repeats):
        if peer == "faiss neighbours":
            import faiss

            started = time.perf_counter()
            index = faiss.IndexFlatL2(X.shape[1])
            index.add(X)
            index.search(X, 21)
        elif peer == "scikit-learn neighbours":
            from sklearn.neighbors import NearestNeighbors

            started = time.perf_counter()
            NearestNeighbors(n_neighbors=20, algorithm="brute").fit(X).kneighbors()
        else:
            from sklearn.cluster import AgglomerativeClustering
            from sklearn.neighbors import kneighbors_graph

            along = kneighbors_graph(X, 20)
            started = time.perf_counter()
            AgglomerativeClustering(10, connectivity=along, linkage="ward").fit(X)
        best = min(best, time.perf_counter() - started)
    return {"total": best, "GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9}


NAMES = {"gdl": "exact GDL", "path": "path integral", "zeta": "zeta function"}
PEERS = {"faiss neighbours": "graph", "scikit-learn neighbours": "graph", "scikit-learn Ward": "merging"}


def in_own_process(what: str, n: int, repeats: int) -> dict[str, Any]:
    """The run in a fresh interpreter; one that fails says why."""
    command = [sys.executable, __file__, "--worker", what, str(n), str(repeats)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8")
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"what": what, "samples": n, "failed": reason[:200]}
    return {"what": what, "samples": n, **json.loads(done.stdout.splitlines()[-1])}


def bars(run: dict[str, Any]) -> list[Bar]:
    """What was measured beside each bar."""
    limits = BARS.get((run["what"], run["samples"]), {}) if "failed" not in run else {}
    work = f"{NAMES.get(run['what'], run['what'])}, {run['samples']:,} images"
    quantity = {"total": "features to labels", "merging": "merging", "GB": "peak memory"}
    return [
        Bar(work, quantity[part], "GB" if part == "GB" else "s", most, round(run[part], 3))
        for part, most in limits.items()
    ]


def line(run: dict[str, Any]) -> str:
    """A row of the printed table."""
    name = f"{run['what']:<24}{run['samples']:>7,}"
    if "failed" in run:
        return f"{name}  not run: {run['failed']}"
    parts = "".join(
        f"{run[part]:>9.3f}" if part in run else " " * 9 for part in ("graph", "initial", "merging", "total")
    )
    score = f"{run['nmi']:>7.3f}" if "nmi" in run else " " * 7
    verdicts = [f"{bar.quantity} {'held' if bar.held else 'MISSED'}" for bar in bars(run)]
    return f"{name}{parts}{run['GB']:>7.2f}{score}   {'; '.join(verdicts)}"


def growth(runs: list[dict[str, Any]]) -> list[Plot]:
    """Merging seconds of GDL on parts of MNIST beside N log N from the smallest size."""
    gdl = [r for r in runs if r["what"] == "gdl" and "failed" not in r and r["samples"] >= 10_000]
    if len(gdl) < 2:
        return []
    x = [run["samples"] for run in gdl]
    unit = gdl[0]["merging"] / (x[0] * math.log(x[0]))
    curves = {"merging": [run["merging"] for run in gdl], "N log N": [unit * n * math.log(n) for n in x]}
    return [Plot(x, curves, "images", "seconds")]


def compare_peers(runs: list[dict[str, Any]]) -> None:
    """Add to each peer the ratio of its seconds to those of our part of the work."""
    for run in runs:
        ours = next((r for r in runs if r["what"] == "gdl" and r["samples"] == run["samples"]), {})
        if run["what"] in PEERS and "total" in run and PEERS[run["what"]] in ours:
            run["ratio"] = run["total"] / ours[PEERS[run["what"]]]
            run["beside our"] = PEERS[run["what"]]


def rows(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs as the page's table shows them."""
    columns = {
        "graph": "graph (s)",
        "merging": "merging (s)",
        "total": "total (s)",
        "GB": "GB",
        "initial clusters": "initial clusters",
        "nmi": "NMI",
        "beside our": "beside our",
        "ratio": "ratio",
        "failed": "failed",
    }
    shown = []
    for run in runs:
        named = {title: run[name] for name, title in columns.items() if name in run}
        shown.append({"work": NAMES.get(run["what"], run["what"]), "images": run["samples"], **named})
    return shown


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="samples of MNIST for GDL")
    options.add_argument("--only", nargs="+", choices=["gdl", "path", "zeta", "peers"])
    options.add_argument("--quick", action="store_true", help="digits only")
    options.add_argument("--folder", type=Path, help="where the JSON goes; default _build/bench")
    options.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.worker:
        what, n, repeats = given.worker[0], int(given.worker[1]), int(given.worker[2])
        print(json.dumps((run_peer if what in PEERS else run_linkage)(what, n, repeats)))
        return
    only = given.only or ["gdl", "path", "zeta", "peers"]
    mnist = [] if given.quick else list(given.sizes)
    work = [("gdl", n) for n in [1_797, *mnist] if "gdl" in only]
    work += [(w, n) for w in ("path", "zeta") if w in only for n in ([1_797] if given.quick else [1_797, 10_000])]
    work += [(peer, 1_797 if given.quick else 10_000) for peer in PEERS if "peers" in only]
    print(f"{'':<31}{'graph':>9}{'initial':>9}{'merging':>9}{'total s':>9}{'cpu s':>9}{'GB':>7}{'NMI':>7}")
    runs = []
    for what, n in work:
        runs.append(in_own_process(what, n, 1 if n > 20_000 else 3))
        print(line(runs[-1]), flush=True)
    compare_peers(runs)
    for run in runs:
        if "ratio" in run:
            print(f"{run['what']:<24}{run['samples']:>7,} takes {run['ratio']:.1f} times our {run['beside our']}")
    held = [bar for run in runs for bar in bars(run)]
    print(Timing("linkage", "Graph linkage", NOTE, rows(runs), held, growth(runs)).save(given.folder))


if __name__ == "__main__":
    main()
