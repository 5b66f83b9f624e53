"""Agglomerative clustering on a sparse directed graph: graph degree linkage, path integral and zeta linkage."""

import hashlib
from contextlib import suppress
from pathlib import Path

from clustlib.kernels.linkage.agglomerate import graph_linkage
from clustlib.kernels.linkage.initial import initial_clusters
from clustlib.kernels.linkage.tree import MergeTree

__all__ = ["MergeTree", "graph_linkage", "initial_clusters"]


def _drop_outdated_code(folder: Path) -> None:
    """Delete numba's compiled code if any source file of ``folder`` has changed since it was written.

    numba itself compares only the file of the function that it loads, not those of the functions that it calls, and
    would go on running old code after a change of one file.
    """
    sources = b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))
    digest, cache = hashlib.sha256(sources).hexdigest(), folder / "__pycache__"
    stamp = cache / "compiled-from.sha256"
    with suppress(OSError):  # a folder that cannot be written has no compiled code of ours
        if stamp.exists() and stamp.read_text(encoding="utf-8") == digest:
            return
        for compiled in cache.glob("*.nb[ic]"):
            compiled.unlink(missing_ok=True)
        cache.mkdir(exist_ok=True)
        stamp.write_text(digest, encoding="utf-8")


_drop_outdated_code(Path(__file__).parent)
