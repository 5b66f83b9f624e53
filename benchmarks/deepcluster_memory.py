"""Peak memory of DeepCluster's clustering phase as the number of images grows, beside that of holding all features.

Random features stand for the network's, so that only what is kept is measured: the scratch file, the covariance, the
reduced rows, k-means. Each size runs in a process of its own. The last line carries the slope on to ImageNet.
"""

import resource
import subprocess
import sys

import numpy as np

SIZES, WIDTH, COMPONENTS, LIMIT = (5_000, 10_000, 20_000, 40_000), 1024, 256, 64 << 20
IMAGENET, FULL_WIDTH = 1_281_167, 4096


def peak_mb() -> float:
    """The largest resident size of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def clustering_phase(n: int) -> float:
    """MB that the phase adds for ``n`` images."""
    import torch

    from clustlib.kernels.lloyd import kmeans
    from clustlib.kernels.whitening import Moments
    from clustlib.methods._features import BATCH, FeatureStore, reduce

    torch.set_num_threads(1)
    kmeans(np.random.default_rng(0).random((300, 8), dtype=np.float32), 4)  # libraries are loaded before, not during
    before, generator = peak_mb(), torch.Generator().manual_seed(0)
    store, moments = FeatureStore(LIMIT), Moments(WIDTH)
    for first in range(0, n, BATCH):
        batch = torch.randn(min(BATCH, n - first), WIDTH, generator=generator)
        store.append(batch)
        moments.update(batch)
    rows, _ = reduce(store, moments, COMPONENTS, torch.device("cpu"))
    kmeans(rows, 50, n_iter=2)
    return peak_mb() - before


def main() -> None:
    """Print one line a size."""
    added = []
    for n in SIZES:
        done = subprocess.run([sys.executable, __file__, str(n)], capture_output=True, text=True, check=True)
        added.append(float(done.stdout))
        print(f"{n:>9,} images: {added[-1]:7.0f} MB added; all features at once are {n * WIDTH * 4 / 2**20:7.0f} MB")
    slope = np.polyfit(SIZES, added, 1)[0]
    matrices = 6 * FULL_WIDTH**2 * 8 / 2**30  # covariance, its update, the eigenvectors and their workspace
    whole = IMAGENET * FULL_WIDTH * 4 / 2**30
    print(
        f"{IMAGENET:>9,} images at {slope * 1024:.2f} KB each are {IMAGENET * slope / 1024:.1f} GB, with "
        f"{matrices:.1f} GB of matrices at full width; all features at once are {whole:.1f} GB"
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(clustering_phase(int(sys.argv[1])))
    else:
        main()
