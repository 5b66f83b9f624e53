"""Peak memory of DeepCluster's clustering phase as the number of images grows, beside that of holding all features.

    python benchmarks/deepcluster_memory.py
    python benchmarks/deepcluster_memory.py --quick       # two small sizes: whether it runs

Random features stand for the network's, so that only what is kept is measured: the scratch file's buffer, the
covariance, the reduced rows, k-means. Each size runs in a process of its own; the slope is carried on to ImageNet.
Writes ``deepcluster-memory.json`` to ``_build/bench`` (``--folder book/benchmarks`` for the page).
"""

import argparse
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np

from clustlib.timings import Bar, Plot, Timing

SIZES, WIDTH, COMPONENTS, LIMIT = (20_000, 80_000, 160_000, 320_000, 640_000), 1024, 256, 64 << 20
IMAGENET, FULL_WIDTH, MOST_GB = 1_281_167, 4096, 16.0
NOTE = (
    "What the clustering phase adds to a process: random features in batches, as the network would hand them over, "
    "streamed to a file beyond the first 64 MiB; PCA to 256 dimensions with whitening; two iterations of k-means with "
    "50 centres. With few images the matrices of the PCA are all there is; they are measured once at AlexNet's full "
    "width. The sum for ImageNet's 1,281,167 images, that and the slope between the two largest sizes, is an "
    "extrapolation and not a run."
)


def peak_mb() -> float:
    """The largest resident size of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def clustering_phase(n: int, width: int) -> float:
    """MB that the phase adds for ``n`` images with features of ``width`` dimensions."""
    import torch

    from clustlib.deepcluster.features import BATCH, FeatureStore, reduce
    from clustlib.kernels.lloyd import kmeans
    from clustlib.kernels.whitening import Moments

    kmeans(np.random.default_rng(0).random((300, 8), dtype=np.float32), 4)  # libraries are loaded before, not during
    before, generator = peak_mb(), torch.Generator().manual_seed(0)
    store, moments = FeatureStore(LIMIT), Moments(width)
    for first in range(0, n, BATCH):
        batch = torch.randn(min(BATCH, n - first), width, generator=generator)
        store.append(batch)
        moments.update(batch)
    rows, _ = reduce(store, moments, COMPONENTS, torch.device("cpu"))
    kmeans(rows, 50, n_iter=2)
    return peak_mb() - before


def measure(n: int, width: int) -> dict[str, float]:
    """A row of the table: the phase in a fresh interpreter."""
    call = [sys.executable, __file__, "--phase", str(n), str(width)]
    added = float(subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True, encoding="utf-8").stdout) / 1024
    return {"images": n, "dimensions": width, "added (GB)": added, "all features at once (GB)": n * width * 4 / 2**30}


def main() -> None:
    """Print one line a size and write the timing."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="two small sizes")
    options.add_argument("--folder", type=Path, help="where the JSON goes; default _build/bench")
    options.add_argument("--phase", type=int, nargs=2, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.phase:
        print(clustering_phase(*given.phase))
        return
    rows = []
    for n, width in [(n, WIDTH) for n in (SIZES[:2] if given.quick else SIZES)] + [(SIZES[0], FULL_WIDTH)]:
        rows.append(measure(n, width))
        print(", ".join(f"{key}: {value:.4g}" for key, value in rows[-1].items()), flush=True)
    *grown, matrices = rows
    (n_1, gb_1), (n_2, gb_2) = ((row["images"], row["added (GB)"]) for row in grown[-2:])
    slope = (gb_2 - gb_1) / (n_2 - n_1)
    at_imagenet = matrices["added (GB)"] + slope * IMAGENET
    print(f"{slope * 2**20:.2f} KB an image; {IMAGENET:,} images: {at_imagenet:.1f} GB (extrapolated)")
    bar = Bar("DeepCluster's clustering phase, carried on to ImageNet", "memory added", "GB", MOST_GB, at_imagenet)
    curves = {"streamed (ours)": "added (GB)", "all features at once": "all features at once (GB)"}
    sizes = [row["images"] for row in grown]
    plot = Plot(sizes, {name: [row[key] for row in grown] for name, key in curves.items()}, "images", "memory (GB)")
    title = "Memory of DeepCluster's clustering phase"
    print(Timing("deepcluster-memory", title, NOTE, rows, [bar], [plot]).save(given.folder))


if __name__ == "__main__":
    main()
