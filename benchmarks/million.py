"""Graph linkage of a million points: seconds by part, peak memory, recall, and NMI beside exact neighbours.

    python benchmarks/million.py                          # all of it: 12 minutes on two idle cores
    python benchmarks/million.py --sizes 300000           # the smaller one alone, beside the exact search
    python benchmarks/million.py --before REVISION        # exact GDL of MNIST beside an older revision, in the same run
    python benchmarks/million.py --quick                  # 20,000 points: whether it runs

Run it with nothing else on the machine. The points are MNIST's digits, each turned, scaled and shifted at random anew
for every point, in 64 principal components and of unit length. Every run is its own process, so that its peak memory is
its own; compiled code is loaded before the clock starts. Prints a table and writes ``million.json`` to ``_build/bench``
(``--folder book/benchmarks`` for the page).
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from clustlib import _paths
from clustlib.timings import Bar, Plot, Timing

NOTE = (
    "From 64 features to labels. The points are MNIST's digits, each turned by up to 11 degrees, scaled by a tenth and "
    "shifted by two pixels at most, anew for every point, in 64 principal components and of unit length. *Recall* is "
    "the share of the true 20 neighbours that the approximate search found, on 1,000 points that played no part in it. "
    "Each fit is a process of its own on all cores. *cells* and *HNSW* are two searches of faiss in the same points; "
    "HNSW is shown at the first width that finds .99. *NMI at* 10, 100, ... is that of the tree, cut there, with the "
    "ten digits: at ten clusters nearly all points are in one, with so many points and so few neighbours each. "
    "*Before* is the revision named, on the same images in this run."
)
SIZES = (100_000, 300_000, 1_000_000)
BARS = {  # (work, points): {part: most}; seconds, and GB of peak memory
    ("approximate", 1_000_000): {"total": 360.0, "merging": 30.0, "GB": 6.0},
    ("approximate", 300_000): {"total": 45.0},
}
LEAST_RECALL, MOST_APART = 0.99, 0.005
DIMENSIONS = 64
FURTHEST = "NMI, approximate beside exact, at the cut where they differ most"
CUTS = (10, 100, 1_000, 10_000)  # clusters; ten of them are one large cluster and nine handfuls


def points(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows (n, 64) float32 and labels; made once and kept beside the results."""
    path = _paths.build("bench") / f"digits-{n}.npz"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        rows, labels = _digits(n)
        np.savez(path, rows=rows, labels=labels)
    with np.load(path) as held:
        return held["rows"], held["labels"]


def _digits(n: int) -> tuple[np.ndarray, np.ndarray]:
    import torch
    from torch.nn import functional as F

    from clustlib.datasets import load

    images = load("mnist")
    pixels = torch.from_numpy(images.images.reshape(-1, 1, 28, 28).astype(np.float32)) / 255
    flat = pixels.flatten(1).numpy()
    mean = flat.mean(axis=0)
    sample = flat[::7] - mean
    axes = np.linalg.eigh(sample.T @ sample)[1][:, -DIMENSIONS:]
    drawn = torch.Generator().manual_seed(0)
    rows, labels = np.empty((n, DIMENSIONS), np.float32), np.empty(n, np.int64)
    for start in range(0, n, 8192):
        size = min(8192, n - start)
        chosen = torch.randint(len(pixels), (size,), generator=drawn)
        most = torch.tensor([0.4, 0.2, 0.15, 0.15])[:, None]
        turn, scale, across, down = (torch.rand(4, size, generator=drawn) - 0.5) * most
        cos, sin = turn.cos() * (1 + scale), turn.sin() * (1 + scale)
        moves = torch.stack([cos, -sin, across, sin, cos, down], dim=1).view(size, 2, 3)
        grid = F.affine_grid(moves, [size, 1, 28, 28], align_corners=False)
        moved = F.grid_sample(pixels[chosen], grid, align_corners=False).flatten(1).numpy()
        part = (moved - mean) @ axes
        rows[start : start + size] = part / np.linalg.norm(part, axis=1, keepdims=True)
        labels[start : start + size] = images.labels[chosen.numpy()]
    return rows, labels


def fit(method: Any, n: int) -> dict[str, Any]:
    """One fit in this process."""
    from clustlib.cluster import GraphLinkage
    from clustlib.metrics import nmi

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        GraphLinkage(3, neighbor_method=method).fit(np.random.default_rng(0).normal(size=(900, 8)).astype(np.float32))
    X, y = points(n)
    started = time.perf_counter()
    model = GraphLinkage(10, neighbor_method=method).fit(X)
    total = time.perf_counter() - started
    cuts = {k: model.labels_at(k) for k in CUTS if k <= model.n_leaves_}
    np.savez(_paths.build("bench") / f"labels-{method}-{n}.npz", **{str(k): labels for k, labels in cuts.items()})  # type: ignore[arg-type]
    return {
        **{line["stage"]: line["seconds"] for line in model.history_},
        "total": total,
        "GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "recall": model.history_[0]["recall"],
        "initial clusters": model.n_leaves_,
        **{f"NMI at {k:,}": nmi(y, labels, average="geometric") for k, labels in cuts.items()},
    }


def search(kind: str, n: int) -> dict[str, Any]:
    """One of faiss's two searches among the points, without anything behind it."""
    import faiss

    from clustlib.kernels import knn, neighbour_recall

    X, _ = points(n)
    knn(X[:900], 20, method="approximate")
    started = time.perf_counter()
    if kind == "cells":
        found = knn(X, 20, method="approximate")[0]
        return {"total": time.perf_counter() - started, "recall": neighbour_recall(X, found)}
    index = faiss.IndexHNSWFlat(DIMENSIONS, 16)
    index.hnsw.efConstruction = 60
    index.add(X)
    built = time.perf_counter() - started
    for width in (32, 48, 64, 96, 128):
        index.hnsw.efSearch = width
        started = time.perf_counter()
        found = index.search(X, 21)[1]
        spent = time.perf_counter() - started
        others = np.stack([row[row != i][:20] for i, row in enumerate(found)])
        recall = neighbour_recall(X, np.maximum(others, 0))
        if recall >= LEAST_RECALL:
            break
    return {"total": built + spent, "recall": recall}


def exact_mnist(n: int) -> dict[str, Any]:
    """Exact GDL of MNIST-test or MNIST; runs on revisions without another search too."""
    from clustlib.cluster import GraphLinkage
    from clustlib.datasets import load

    images = load("mnist-test" if n == 10_000 else "mnist")
    X = images.pixels()
    GraphLinkage(3).fit(X[:900])
    best: dict[str, Any] = {"total": math.inf}
    for _ in range(3 if n == 10_000 else 1):
        started = time.perf_counter()
        model = GraphLinkage(10).fit(X)
        total = time.perf_counter() - started
        if total < best["total"]:
            best = {**{line["stage"]: line["seconds"] for line in model.history_}, "total": total}
    return best


def in_own_process(work: str, n: int, tree: Path | None = None) -> dict[str, Any]:
    """The work in a fresh interpreter, with the clustlib of ``tree`` if one is named; one that fails says why."""
    command = [sys.executable, __file__, "--worker", work, str(n)]
    path = os.pathsep.join([str(tree or Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, encoding="utf-8", env={**os.environ, "PYTHONPATH": path}
    )
    if done.returncode:
        return {"work": work, "points": n, "failed": (done.stderr.strip().splitlines() or ["no message"])[-1][:200]}
    return {"work": work, "points": n, **json.loads(done.stdout.splitlines()[-1])}


def worker(work: str, n: int) -> dict[str, Any]:
    if work in ("exact", "approximate"):
        return fit(work, n)
    return exact_mnist(n) if work == "exact GDL of MNIST" else search(work, n)


def apart(n: int) -> float:
    """How far NMI with the digits differs at most between exact and approximate neighbours, over all cuts."""
    from clustlib.metrics import nmi

    held = [np.load(_paths.build("bench") / f"labels-{method}-{n}.npz") for method in ("exact", "approximate")]
    y = points(n)[1]
    scores = [[nmi(y, found[cut], average="geometric") for cut in held[0].files] for found in held]
    return float(np.abs(np.diff(scores, axis=0)).max())


def bars(runs: list[dict[str, Any]], compared: int | None) -> list[Bar]:
    """What was measured beside each bar."""
    quantity = {"total": "features to labels", "merging": "merging", "GB": "peak memory"}
    found = []
    for run in runs:
        name = f"GDL, {run['points']:,} × {DIMENSIONS}, {run['work']}"
        for part, most in BARS.get((run["work"], run["points"]), {}).items():
            if part in run:
                found.append(Bar(name, quantity[part], "GB" if part == "GB" else "s", most, round(run[part], 2)))
        if run["work"] == "approximate" and "recall" in run and (run["work"], run["points"]) in BARS:
            found.append(Bar(name, "recall", "of 1", LEAST_RECALL, round(run["recall"], 4), at_least=True))
    if compared:
        name = f"GDL, {compared:,} × {DIMENSIONS}"
        found.append(
            Bar(
                name,
                "NMI, approximate beside exact, the cut where they differ most",
                "apart",
                MOST_APART,
                round(apart(compared), 4),
            )
        )
    return found + _beside_before(runs)


def _beside_before(runs: list[dict[str, Any]]) -> list[Bar]:
    totals = {(run["work"], run["points"]): run["total"] for run in runs if "total" in run}
    pairs = [(n, t, totals.get(("before", n))) for (work, n), t in totals.items() if work == "exact GDL of MNIST"]
    return [
        Bar(f"exact GDL of MNIST, {n:,} images", "seconds over those before", "times", 1.1, round(now / before, 3))
        for n, now, before in pairs
        if before
    ]


def growth(runs: list[dict[str, Any]]) -> list[Plot]:
    """Merging seconds beside N log N from the smallest size."""
    fits = sorted((r for r in runs if r["work"] == "approximate" and "merging" in r), key=lambda run: run["points"])
    if len(fits) < 2:
        return []
    x = [run["points"] for run in fits]
    unit = fits[0]["merging"] / (x[0] * math.log(x[0]))
    curves = {"merging": [run["merging"] for run in fits], "N log N": [unit * n * math.log(n) for n in x]}
    return [Plot(x, curves, "points", "seconds")]


def measured(work: list[tuple[str, int]], before: str | None) -> list[dict[str, Any]]:
    """Every run, the exact ones of MNIST also with the older revision, one after the other."""
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        if before:
            subprocess.run(["git", "worktree", "add", "--detach", "-f", folder, before], check=True)
        for name, n in work:
            made = [in_own_process(name, n)]
            if before and name == "exact GDL of MNIST":
                made.append(in_own_process(name, n, Path(folder)) | {"work": "before"})
            for run in made:
                shown = (f"{k}: {v:.4g}" if isinstance(v, float) else f"{k}: {v}" for k, v in run.items())
                print(", ".join(shown), flush=True)
            runs += made
        if before:
            subprocess.run(["git", "worktree", "remove", "--force", folder], check=True)
    return runs


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sizes", type=int, nargs="*", default=list(SIZES))
    options.add_argument("--exact", type=int, default=300_000, help="the size that is searched exactly too; 0: none")
    options.add_argument("--before", metavar="REVISION", help="an older revision for exact GDL of MNIST")
    options.add_argument("--quick", action="store_true", help="20,000 points")
    options.add_argument("--folder", type=Path, help="where the JSON goes; default _build/bench")
    options.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.worker:
        print(json.dumps(worker(given.worker[0], int(given.worker[1]))))
        return
    sizes, exact = ([20_000], 20_000) if given.quick else (given.sizes, given.exact)
    work = [("approximate", n) for n in sizes] + [("exact", exact)] * (exact in sizes)
    work += [(kind, min(sizes)) for kind in ("cells", "HNSW") if sizes]
    work += [("exact GDL of MNIST", n) for n in (10_000, 70_000)] if not given.quick else []
    for n in sizes:
        points(n)
    runs = measured(work, given.before)
    both = {run["work"] for run in runs if run["points"] == exact and "total" in run}
    held = bars(runs, exact if {"exact", "approximate"} <= both else None)
    for bar in held:
        verdict = "held" if bar.held else "MISSED"
        print(f"{bar.work}, {bar.quantity}: {bar.measured} {bar.unit}, bar {bar.limit:g}: {verdict}")
    print(Timing("million", "Graph linkage of a million points", NOTE, runs, held, growth(runs)).save(given.folder))


if __name__ == "__main__":
    main()
