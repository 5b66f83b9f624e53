"""Searches for the nearest neighbours of many points side by side: faiss's cells, HNSW and NN-descent, and pynndescent.

    python benchmarks/searches.py                             # 100,000 points: four minutes on two idle cores
    python benchmarks/searches.py --points 100000 1000000     # a quarter of an hour
    python benchmarks/searches.py --points 5000               # whether it runs

Run it with nothing else on the machine. The points are those of ``million.py``; each search is a process of its own on
all cores, with a small call before the clock starts, whose seconds stand beside. pynndescent (``pip install
pynndescent``) is not needed by the library: without it its row says so. Prints a table and writes ``searches.json``
to ``_build/bench`` (``--folder book/benchmarks`` for the page).
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from million import LEAST_RECALL, points, search

from clustlib.timings import Timing

NOTE = (
    "Seconds for the 20 nearest neighbours of every point on all cores, the index included, and the share of the true "
    "neighbours found, on 1,000 points. *Cells* are faiss's `IndexIVFFlat` as `knn(method='approximate')` uses it, "
    "*HNSW* and *NN-descent* are faiss's, *pynndescent* is NN-descent by that library. All but the cells are shown at "
    "the first width that finds .99. *First call* is a call with 2,000 points before the clock starts: what a process "
    "waits for code to be compiled or loaded. *The same* says whether a second call gave the same neighbours. "
    "A million points are searched by the cells and by pynndescent alone."
)
WIDTHS = (20, 30, 40, 60)  # neighbours that NN-descent keeps of each point
ALL_TO = 300_000  # points up to which each search is run
AT_MORE = ("cells", "pynndescent")


def cells(X: np.ndarray, width: int) -> np.ndarray:
    """The nearest others (N, ``width``) by the library's own search."""
    from clustlib.kernels import knn

    return knn(X, width, method="approximate")[0]


def faiss_descent(X: np.ndarray, width: int) -> np.ndarray:
    """The 20 nearest others (N, 20) by faiss's NN-descent with ``width`` neighbours a point."""
    import faiss

    index = faiss.IndexNNDescentFlat(X.shape[1], width)
    index.nndescent.L = max(index.nndescent.L, width)
    index.nndescent.random_seed = 0
    index.add(X)
    return faiss.vector_to_array(index.nndescent.final_graph).reshape(len(X), width)[:, :20]


def py_descent(X: np.ndarray, width: int) -> np.ndarray:
    """The 20 nearest others (N, 20) by a graph of ``width`` neighbours."""
    from pynndescent import NNDescent

    listed = NNDescent(X, n_neighbors=width + 1, random_state=0).neighbor_graph[0]
    return np.stack([row[row != i][:20] for i, row in enumerate(listed)])


def measured(by: Callable[[np.ndarray, int], np.ndarray], n: int, widths: Sequence[int] = WIDTHS) -> dict[str, Any]:
    """Seconds and recall of a search at the first width that is wide enough, or at the last."""
    from clustlib.kernels import neighbour_recall

    X, _ = points(n)
    first = _seconds(lambda: by(X[:2000], widths[0]))[1]
    for width in widths:
        found, spent = _seconds(partial(by, X, width))
        recall = neighbour_recall(X, found)
        if recall >= LEAST_RECALL:
            break
    return {"first": first, "total": spent, "recall": recall, "same": bool((by(X, width) == found).all())}


def _seconds(call: Callable[[], Any]) -> tuple[Any, float]:
    """What a call gives, and how long it took."""
    started = time.perf_counter()
    return call(), time.perf_counter() - started


SEARCHES: dict[str, Callable[[int], dict[str, Any]]] = {
    "cells": lambda n: measured(cells, n, (20,)),
    "HNSW": lambda n: search("HNSW", n),
    "NN-descent": lambda n: measured(faiss_descent, n),
    "pynndescent": lambda n: measured(py_descent, n),
}


def row(name: str, n: int) -> dict[str, Any]:
    """One search in a fresh interpreter; one that fails says why."""
    call = [sys.executable, __file__, "--search", name, "--points", str(n)]
    done = subprocess.run(call, capture_output=True, text=True, check=False, encoding="utf-8")
    if done.returncode:
        return {"search": name, "points": n, "failed": (done.stderr.strip().splitlines() or ["no message"])[-1][:200]}
    found = json.loads(done.stdout.splitlines()[-1])
    told = {"seconds": round(found["total"], 2), "recall": round(found["recall"], 4)}
    more = {"first call": round(found["first"], 2), "the same": found["same"]} if "same" in found else {}
    return {"search": name, "points": n, **told, **more}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--points", type=int, nargs="+", default=[100_000])
    options.add_argument("--folder", type=Path, help="where the JSON goes; default _build/bench")
    options.add_argument("--search", choices=SEARCHES, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.search:
        print(json.dumps(SEARCHES[given.search](given.points[0])))
        return
    rows = []
    for n in given.points:
        points(n)
        for name in SEARCHES if n <= ALL_TO else AT_MORE:
            rows.append(row(name, n))
            print(", ".join(f"{key}: {value}" for key, value in rows[-1].items()), flush=True)
    print(Timing("searches", "Searches for neighbours", NOTE, rows).save(given.folder))


if __name__ == "__main__":
    main()
