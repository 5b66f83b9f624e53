"""Classification by a codebook of patches: table 8 of the JULE paper (section 4.3)."""

from typing import TYPE_CHECKING, Any

import numpy as np

from clustlib import datasets, records
from clustlib._validation import check_integer
from clustlib.checkpoints import checkpoint_of
from clustlib.errors import UsageError
from clustlib.jule.rows import JULE_VARIANTS
from clustlib.jule.runs.clustering import check_fit, seconds_of, weights_of
from clustlib.published.tables import choose

if TYPE_CHECKING:
    from clustlib.transfer.coates import Codebook

METHODS = ("K-means", "conv1", "conv2", "conv1&2", "ip")
PATCH = 6
_LAYERS = {"conv1": ("top-2",), "conv2": ("top-1",), "conv1&2": ("top-2", "top-1"), "ip": ("top",)}
_ITERATIONS = 50  # of K-means, as in the code of Coates et al.


def train_patches(
    dataset: str,
    seed: int = 0,
    n_patches: int = 40_000,
    n_clusters: int = 1600,
    epochs: int = 20,
    batch_norm: bool = True,
    precision: str = "float32",
    train: str = "",
    reading: str = "default",
    device: str = "auto",
) -> dict[str, np.ndarray]:
    """JULE on whitened patches of the training images, as arrays for the cache.

    The section does not say how far the patches are merged; ``n_clusters`` is the number of codes by default. ``train``
    and ``reading`` are as for :func:`classify`.

    Returns
    -------
    ``weights:<name>`` of the network, ``seconds`` of the fit and the ``loss`` of its last epoch (0.2, the margin, where
    all patches have come to one point).
    """
    checkpoint = checkpoint_of(train_patches, locals())
    from clustlib.jule.estimator import PatchJULE
    from clustlib.transfer.coates import random_patches, whiten_patches

    learn, *_ = parts(dataset, train)
    patches = random_patches(learn, n_patches, PATCH, seed)
    white = whiten_patches(patches)[1].numpy().reshape(patches.shape)
    chosen: dict[str, Any] = {"epochs": epochs, "precision": precision, "network": {"batch_norm": batch_norm}}
    chosen |= {"scaled": False, **JULE_VARIANTS[reading]}  # whitened
    model = PatchJULE(n_clusters, random_state=seed, device=device, checkpoint=checkpoint, **chosen).fit(white)
    loss = np.array(model.history_[-2]["loss"])
    return {**weights_of(model.network_), "seconds": seconds_of(model), "loss": loss}


def parts(dataset: str, train: str = "") -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images and labels, test images and labels: the official parts, else halves; in an order drawn once.

    Where a set ``train`` is named, all of it is learned from and all of the other is tested.
    """
    images = datasets.load(dataset)
    source = datasets.load(train) if train else images
    order = np.random.default_rng(0).permutation(len(source))
    learn, test = (order, np.arange(len(images))) if train else _parted(images, order)
    return source.images[learn], source.labels[learn], images.images[test], images.labels[test]


def _parted(images: datasets.ImageSet, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if images.split is None:
        return order[: len(order) // 2], order[len(order) // 2 :]
    tests = images.split[order] == "test"
    return order[~tests], order[tests]


def classify(
    dataset: str,
    method: str,
    seed: int = 0,
    sizes: str = "5000 10000 25000 50000",
    n_patches: int = 40_000,
    n_codes: int = 1600,
    n_clusters: int = 1600,
    epochs: int = 20,
    batch_norm: bool = True,
    precision: str = "float32",
    train: str = "",
    reading: str = "default",
    device: str = "auto",
) -> dict[str, float]:
    """A linear SVM on codes of patches, with a codebook by K-means on what ``method`` makes of a patch.

    Parameters
    ----------
    method : "K-means": whitened patches themselves, the baseline. "conv1", "conv2", "conv1&2", "ip": layers of a
        network that JULE trained on them. Where there are two, each is divided by the root of its mean squared length
        on the patches; the section does not say how they are combined.
    sizes : numbers of training images. Those that the set does not have are left out.
    n_patches, n_codes : 40,000 and 1,600 in the paper. n_clusters, epochs, batch_norm, precision : of
        JULE, see :func:`train_patches` and :class:`clustlib.jule.network.PatchNet`.
    train : the set to learn from, where it is not part of ``dataset``, all of which is then tested.
    reading : the variant of JULE, a name of ``clustlib.jule.rows.JULE_VARIANTS``.

    Returns
    -------
    ``accuracy_<size>`` on the test images, and of the network ``training_seconds`` and the last ``loss``.
    """
    from clustlib import _device
    from clustlib.transfer.coates import image_features, standardised_svm_accuracy

    learn, labels, test, test_labels = parts(dataset, train)
    wanted = [size for size in map(int, sizes.split()) if size <= len(learn)]
    if not wanted:
        raise UsageError(f"{train or dataset} has {len(learn):,} training images, fewer than any of {sizes}")
    fit = None
    if method != "K-means":
        run: dict[str, Any] = {"n_patches": n_patches, "n_clusters": n_clusters, "epochs": epochs}
        run |= {"batch_norm": batch_norm, "train": train, "reading": reading}
        fit = records.artifact(train_patches, dataset=dataset, seed=seed, precision=precision, device=device, **run)
    where = _device.resolve(device)
    codebook = _codebook(learn, method, fit, seed, n_patches, n_codes, where)
    features = image_features(learn[: max(wanted)], codebook, where)
    tested = image_features(test, codebook, where)
    scores = {
        f"accuracy_{size}": standardised_svm_accuracy(features[:size], labels[:size], tested, test_labels)
        for size in wanted
    }
    trained = {} if fit is None else {"loss": float(fit["loss"]), "training_seconds": float(fit["seconds"])}
    return {**scores, **trained}


def cost_of_compression(
    dataset: str,
    seed: int = 0,
    side: int = 32,
    quality: int = 75,
    n_patches: int = 40_000,
    n_codes: int = 1600,
    device: str = "auto",
) -> dict[str, float]:
    """The row of K-means, which has no network, on images as they are and compressed once more as JPEG.

    CIFAR-10's images on this page went through Pillow's JPEG at its defaults: quality 75, colours at half the
    resolution. What that costs is measured where the originals are at hand.

    Parameters
    ----------
    dataset : its images are brought to ``side`` pixels by the mean over squares, which leaves nothing of an earlier
        compression at a higher resolution; a half is learned from, the other tested, as for :func:`classify`.
    quality : of the JPEG. n_patches, n_codes, seed : as for :func:`classify`.

    Returns
    -------
    ``accuracy`` and ``accuracy_compressed``, and the mean ``change`` of a value, in 255ths.
    """
    learn, labels, test, test_labels = parts(dataset)
    plain = [_brought_to(images, side) for images in (learn, test)]
    squeezed = [_compressed(images, quality) for images in plain]
    change = np.mean([np.abs(a.astype(np.int16) - b).mean() for a, b in zip(plain, squeezed)])
    scores = {}
    for name, (learnt, tested) in {"accuracy": plain, "accuracy_compressed": squeezed}.items():
        scores[name] = _by_patches(learnt, labels, tested, test_labels, seed, n_patches, n_codes, device)
    return {**scores, "change": float(change)}


def _by_patches(
    learn: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    seed: int,
    n_patches: int,
    n_codes: int,
    device: str,
) -> float:
    """The accuracy of a codebook of whitened patches."""
    from clustlib import _device
    from clustlib.transfer.coates import image_features, standardised_svm_accuracy

    where = _device.resolve(device)
    codebook = _codebook(learn, "K-means", None, seed, n_patches, n_codes, where)
    features, tested = (image_features(images, codebook, where) for images in (learn, test))
    return standardised_svm_accuracy(features, labels, tested, test_labels)


def _brought_to(images: np.ndarray, side: int) -> np.ndarray:
    """(N, C, H, W) uint8 by the mean over squares, (N, C, side, side) uint8."""
    n, channels, height, width = images.shape
    if height % side or width != height:
        raise UsageError(f"images of {height} x {width} pixels cannot be divided into {side} x {side} squares")
    squares = images.reshape(n, channels, side, height // side, side, width // side)
    return np.rint(squares.mean((3, 5))).astype(np.uint8)


def _compressed(images: np.ndarray, quality: int) -> np.ndarray:
    """Grey or RGB images (N, C, H, W) uint8 after Pillow's JPEG at its own subsampling of colours."""
    import io

    from PIL import Image

    squeezed = np.empty_like(images)
    for i, image in enumerate(images):
        buffer = io.BytesIO()
        Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(buffer, "JPEG", quality=quality)
        squeezed[i] = np.atleast_3d(np.asarray(Image.open(buffer))).transpose(2, 0, 1)
    return squeezed


def table_rows(methods: list[str], readings: list[str], **how: Any) -> records.Runs:
    """The rows of table 8: the patches themselves once, the layers of a network for each reading of JULE.

    ``how`` goes to ``records.grid``.
    """
    runs = records.Runs()
    for method in methods:
        own: dict[str, Any] = {} if method == "K-means" else {"reading": readings}
        runs += records.grid(classify, method=method, **own, **how)
    return runs


def _codebook(
    learn: np.ndarray,
    method: str,
    fit: dict[str, np.ndarray] | None,
    seed: int,
    n_patches: int,
    n_codes: int,
    where: Any,
) -> "Codebook":
    import torch

    from clustlib.kernels import kmeans
    from clustlib.kernels.whitening import Whitening
    from clustlib.transfer.coates import Codebook, random_patches, whiten_patches

    patches = random_patches(learn, n_patches, PATCH, seed)
    whitening, white = whiten_patches(patches)
    represent = None
    rows = white
    if fit is not None:
        represent = _representation(fit, method, white.view(patches.shape), where)
        with torch.inference_mode():
            rows = torch.cat([represent(part.to(where)).cpu() for part in white.view(patches.shape).split(5000)])
    clusters = kmeans(rows.numpy(), n_codes, n_iter=_ITERATIONS, seed=seed, device=where)
    whitening = Whitening(whitening.mean.to(where), whitening.matrix.to(where))
    codes = torch.from_numpy(clusters.centroids).to(where)
    return Codebook(PATCH, patches.shape[1], whitening, codes, represent)


def _representation(fit: dict[str, np.ndarray], method: str, patches: Any, where: Any) -> Any:
    """Whitened patches (n, C, s, s) to the layers of ``method`` side by side (n, D), each of mean squared length 1."""
    import torch

    from clustlib.jule.network import PatchNet

    weights = {
        name.removeprefix("weights:"): torch.from_numpy(fit[name]) for name in fit if name.startswith("weights:")
    }
    batch_norm = "norm1.weight" in weights
    network = PatchNet(*patches.shape[1:], features=len(weights["top.bias"]), batch_norm=batch_norm)
    network.load_state_dict(weights)
    network.to(where).eval()
    layers = _LAYERS[method]
    with torch.inference_mode():
        sample = patches[:5000].to(where)
        scales = [network(sample, layer).square().sum(1).mean().sqrt().clamp(min=1e-12) for layer in layers]
    return lambda x: torch.cat([network(x, layer) / scale for layer, scale in zip(layers, scales)], 1)


def _check(dataset: str, method: str, **others: Any) -> None:
    check_fit(dataset, **{name: others[name] for name in ("seed", "epochs", "reading") if name in others})
    choose("method", method, METHODS)
    if others.get("train"):
        choose("train", others["train"], datasets.names())
    for name in ("n_patches", "n_codes", "n_clusters"):
        check_integer(name, others.get(name, 2), 2)
    if not all(size.isdecimal() and int(size) > 0 for size in others.get("sizes", "1").split()):
        raise UsageError(f'sizes must be numbers of images such as "5000 10000", got {others["sizes"]!r}')


def _uses(params: dict[str, Any]) -> list[str]:
    """What the reading that is asked for changes; records of ours are older than the choice."""
    reading = params.get("reading", "default")
    return [] if reading == "default" else [repr(JULE_VARIANTS[reading])]


def _check_compression(dataset: str, seed: int = 0, side: int = 32, quality: int = 75, **numbers: Any) -> None:
    check_fit(dataset, seed=seed)
    check_integer("side", side, PATCH + 1)
    check_integer("quality", quality, 1, 95)
    for name in ("n_patches", "n_codes"):
        check_integer(name, numbers.get(name, 2), 2)


records.declare(train_patches, uses=_uses)
records.declare(cost_of_compression, check=_check_compression)
records.declare(classify, check=_check, uses=_uses)
