"""Searches for the nearest neighbours of many points side by side: faiss's cells and HNSW, and NN-descent.

    python benchmarks/searches.py                   # 100,000 points: three minutes on two idle cores
    python benchmarks/searches.py --points 5000     # whether it runs

Run it with nothing else on the machine. The points are those of ``million.py``; each search is a process of its own on
all cores, with its compiled code loaded before the clock starts. NN-descent is of pynndescent (``pip install
pynndescent``), which the library does not need: without it its row says so. Prints a table and writes ``searches.json``
to ``_build/bench`` (``--folder book/benchmarks`` for the page).
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from million import LEAST_RECALL, points, search

from clustlib.timings import Timing

NOTE = (
    "Seconds for the 20 nearest neighbours of every point on all cores, the index included, and the share of the true "
    "neighbours found, on 1,000 points. *Cells* are faiss's `IndexIVFFlat` as `knn(method='approximate')` uses it, "
    "*HNSW* is faiss's, *NN-descent* pynndescent's. Each of the last two is shown at the first width that finds .99. "
    "*The same* says whether a second call gave the same neighbours."
)
WIDTHS = (20, 30, 40, 60)  # neighbours that NN-descent keeps of each point


def nn_descent(X: np.ndarray, width: int) -> np.ndarray:
    """The 20 nearest others (N, 20) by a graph of ``width`` neighbours."""
    from pynndescent import NNDescent

    listed = NNDescent(X, n_neighbors=width + 1, random_state=0).neighbor_graph[0]
    return np.stack([row[row != i][:20] for i, row in enumerate(listed)])


def descended(n: int) -> dict[str, Any]:
    """Seconds and recall of NN-descent at the first width that is wide enough."""
    from clustlib.kernels import neighbour_recall

    X, _ = points(n)
    nn_descent(X[:2000], WIDTHS[0])
    for width in WIDTHS:
        started = time.perf_counter()
        found = nn_descent(X, width)
        spent, recall = time.perf_counter() - started, neighbour_recall(X, found)
        if recall >= LEAST_RECALL:
            break
    return {"total": spent, "recall": recall, "same": bool((nn_descent(X, width) == found).all())}


def by_cells(n: int) -> dict[str, Any]:
    """Seconds and recall of the library's own search."""
    from clustlib.kernels import knn

    X, _ = points(n)
    own = search("cells", n)
    first, second = (knn(X, 20, method="approximate")[0] for _ in range(2))
    return {**own, "same": bool((first == second).all())}


SEARCHES = {"cells": by_cells, "HNSW": lambda n: search("HNSW", n), "NN-descent": descended}


def row(name: str, n: int) -> dict[str, Any]:
    """One search in a fresh interpreter; one that fails says why."""
    call = [sys.executable, __file__, "--search", name, "--points", str(n)]
    done = subprocess.run(call, capture_output=True, text=True, check=False, encoding="utf-8")
    if done.returncode:
        return {"search": name, "points": n, "failed": (done.stderr.strip().splitlines() or ["no message"])[-1][:200]}
    found = json.loads(done.stdout.splitlines()[-1])
    told = {"seconds": round(found["total"], 2), "recall": round(found["recall"], 4)}
    return {"search": name, "points": n, **told, **({"the same": found["same"]} if "same" in found else {})}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--points", type=int, default=100_000)
    options.add_argument("--folder", type=Path, help="where the JSON goes; default _build/bench")
    options.add_argument("--search", choices=SEARCHES, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.search:
        print(json.dumps(SEARCHES[given.search](given.points)))
        return
    points(given.points)
    rows = []
    for name in SEARCHES:
        rows.append(row(name, given.points))
        print(", ".join(f"{key}: {value}" for key, value in rows[-1].items()), flush=True)
    print(Timing("searches", "Three searches for neighbours", NOTE, rows).save(given.folder))


if __name__ == "__main__":
    main()
