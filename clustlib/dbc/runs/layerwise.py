"""K-means on a denoising auto-encoder that was trained layer by layer, as those were whose rows DBC's tables quote.

Contribution 1 of the paper is that such training is not needed. ClustPy has the training (Vincent et al., 2010).
"""

import contextlib
import io
import time
from typing import Any

import numpy as np

from clustlib import datasets, records
from clustlib._validation import check_integer, check_seed
from clustlib.dbc.runs.peers import BATCH, NEEDS, RESTARTS, standardised
from clustlib.errors import PackageMissing
from clustlib.metrics import scores
from clustlib.published.tables import choose

METHOD = "DAE-KMS layer by layer"
LAYERS = (500, 500, 2000, 10)  # behind the pixels, as in the DEC paper
CORRUPTED = 0.2  # share of the input that is set to 0, as in the DEC paper


def layer_by_layer(
    dataset: str,
    method: str = METHOD,
    seed: int = 0,
    layer_epochs: int = 20,
    pretrain_epochs: int = 60,
    device: str = "auto",
) -> dict[str, Any]:
    """An auto-encoder D-500-500-2000-10, each layer trained to undo corruption, then the whole without corruption.

    Parameters
    ----------
    dataset : a registered name. seed : of the weights, the order of the images and k-means.
    layer_epochs : of each layer. pretrain_epochs : of the whole, as many as the FCAE as written has.

    Returns
    -------
    The scores of k-means on the 10 numbers, ``labels`` (N,) uint8, training_seconds, layer_seconds (of the layers).

    Raises
    ------
    PackageMissing : ClustPy is not installed.
    """
    try:
        from clustpy.deep import set_torch_seed
        from clustpy.deep.neural_networks import FeedforwardAutoencoder, StackedAutoencoder
    except ImportError:
        raise PackageMissing(NEEDS) from None
    from torch.nn import functional as F

    from clustlib import _device
    from clustlib.cluster.kmeans import KMeans

    images = datasets.load(dataset)
    X, clock = standardised(images), time.perf_counter()
    set_torch_seed(seed)
    network = StackedAutoencoder([X.shape[1], *LAYERS], random_state=seed).to(_device.resolve(device))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        network.layerwise_training(
            layer_epochs, batch_size=BATCH, data=X, corruption_fn=lambda x: F.dropout(x, CORRUPTED)
        )
        layers = time.perf_counter() - clock
        FeedforwardAutoencoder.fit(network, pretrain_epochs, batch_size=BATCH, data=X)
    seconds = time.perf_counter() - clock
    parts = [network.transform(X[start : start + 4096]) for start in range(0, len(X), 4096)]
    codes = np.concatenate(parts).astype(np.float32)
    labels = KMeans(images.n_classes, n_init=RESTARTS, random_state=seed).fit(codes).labels_
    cost = {"training_seconds": seconds, "layer_seconds": layers}
    return {**scores(images.labels, labels), **cost, "labels": labels.astype(np.uint8)}


def _check(dataset: str, method: str = METHOD, seed: int = 0, layer_epochs: int = 1, **_: Any) -> None:
    """Refuse what cannot be right before any work is done."""
    choose("data set", dataset, datasets.names())
    choose("method", method, (METHOD,))
    check_seed(seed)
    check_integer("layer_epochs", layer_epochs, 1)


records.declare(layer_by_layer, check=_check)
