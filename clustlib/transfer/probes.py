"""Linear classifiers on each frozen convolutional layer, tested on ten crops (Section 4.3; Zhang et al., 2017)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from clustlib import _device
from clustlib._arrays import array_of, shown
from clustlib._validation import check_integer, check_number, check_seed, check_trained
from clustlib.errors import UsageError
from clustlib.networks.convnet import ConvNet
from clustlib.networks.crops import ArrayImages, FolderImages, image_source
from clustlib.transfer.checks import MOST_CLASSES, check_network, check_side
from clustlib.transfer.crops import shifted, ten

GRIDS = (10, 6, 5, 5, 6)  # maps are averaged to these sides: 9,600 or 9,216 numbers of a full-width AlexNet


@dataclass(frozen=True)
class Probed:
    """``accuracy`` (5,) of the classifiers on the test images, and the ``learning_rates`` (5,) chosen for them."""

    accuracy: np.ndarray
    learning_rates: np.ndarray


def pooled_maps(network: ConvNet, images: Tensor) -> list[Tensor]:
    """Each probed layer's activations, averaged to its grid and flattened: (n, d) a layer."""
    maps = network.activations(images)
    return [F.adaptive_avg_pool2d(m, min(grid, m.shape[-1])).flatten(1) for m, grid in zip(maps, GRIDS)]


def linear_probes(
    network: ConvNet,
    images: Any,
    labels: np.ndarray,
    test_images: Any,
    test_labels: np.ndarray,
    *,
    size: int,
    epochs: int = 90,
    batch_size: int = 256,
    learning_rates: Sequence[float] = (0.01, 0.03, 0.1, 0.3),
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
    held_out: float = 0.2,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> Probed:
    """Train a linear classifier on every probed layer of a frozen network and test it.

    Parameters
    ----------
    network : in evaluation mode throughout, batch norm included.
    images, test_images : (N, C, H, W), uint8 or floats in [0, 1], or a folder (its path or an
        :class:`clustlib.datasets.ImageFolder`), read as it is needed; crops of 224/256 of the short side are brought to
        ``size``. A file that cannot be read is left out of training, and wrong in the test.
    labels, test_labels : (N,) int64.
    learning_rates : tried side by side; the best on the ``held_out`` share of the training images is kept ("we choose
        the hyperparameters by cross-validation on the training set").
    momentum, weight_decay, batch_size, epochs : the released code's. Its step size falls as
        lr / sqrt(1 + lr * weight_decay * t), which is almost constant.

    Raises
    ------
    UsageError : labels that are not as many as images, classes that training lacks, nothing held out.
    """
    check_network(network)
    check_side("size", size)
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        check_integer(name, value, 1)
    check_seed(seed)
    check_number("momentum", momentum, zero=True, most=1)
    check_number("weight_decay", weight_decay, zero=True)
    check_number("held_out", held_out, most=0.9)
    device = _device.resolve(device)
    if not isinstance(learning_rates, (list, tuple)) or not learning_rates:
        raise UsageError(f"learning_rates must be a list of one or more numbers, got {shown(learning_rates)}")
    for rate in learning_rates:
        check_number("learning_rates", rate)
    source, test = image_source(images, size), image_source(test_images, size)
    labels, test_labels = _checked_labels(labels, len(source), test_labels, len(test))
    network = network.to(device).eval()
    order = np.random.default_rng(seed).permutation(len(source))
    held = min(max(1, round(len(order) * held_out)), len(order) - 1)
    kept, validation = np.split(order, [len(order) - held])
    n_classes = int(labels.max()) + 1
    heads = _train(
        network,
        source,
        labels,
        kept,
        n_classes,
        epochs,
        batch_size,
        learning_rates,
        momentum,
        weight_decay,
        seed,
        device,
    )
    chosen = _accuracies(network, source, labels, validation, heads, device).argmax(1)
    best = [[layer[i]] for layer, i in zip(heads, chosen)]
    check_trained(weights for [head] in best for weights in head.parameters())
    accuracy = _accuracies(network, test, test_labels, np.arange(len(test)), best, device)[:, 0]
    return Probed(accuracy, np.asarray(learning_rates)[chosen])


def _checked_labels(labels: Any, n: int, test_labels: Any, n_test: int) -> tuple[np.ndarray, np.ndarray]:
    labels, test_labels = array_of("labels", labels, "(N,)"), array_of("test_labels", test_labels, "(N,)")
    if len(labels) != n or len(test_labels) != n_test:
        raise UsageError(f"{n} and {n_test} images need as many labels, got {labels.shape} and {test_labels.shape}")
    if n < 2:
        raise UsageError(f"needs two images or more, one to learn from and one held out, got {n}")
    if not set(np.unique(test_labels)) <= set(np.unique(labels)):
        raise UsageError("the test images have classes that the training images lack")
    if labels.dtype.kind not in "iu" or labels.min() < 0:
        raise UsageError(f"labels must be whole numbers from 0 on, got {labels.dtype} from {labels.min()}")
    if labels.max() >= MOST_CLASSES:
        raise UsageError(f"labels must be below {MOST_CLASSES:,}, as classes numbered from 0 are, got {labels.max():,}")
    return labels.astype(np.int64), test_labels.astype(np.int64)


def _train(
    network: ConvNet,
    source: ArrayImages | FolderImages,
    labels: np.ndarray,
    index: np.ndarray,
    n_classes: int,
    epochs: int,
    batch_size: int,
    learning_rates: Sequence[float],
    momentum: float,
    weight_decay: float,
    seed: int,
    device: str | torch.device,
) -> list[list[nn.Linear]]:
    """One classifier a layer and step size, all on the same pass through the frozen network."""
    rng = np.random.default_rng([seed, 1])
    with torch.no_grad():
        widths = [m.shape[1] for m in pooled_maps(network, torch.zeros(1, 3, source.size, source.size, device=device))]
    heads = [[_zero_head(d, n_classes).to(device) for _ in learning_rates] for d in widths]
    groups = [
        {"params": [p for layer in heads for p in layer[i].parameters()], "lr": rate, "base": rate}
        for i, rate in enumerate(learning_rates)
    ]
    optimiser = torch.optim.SGD(groups, momentum=momentum, weight_decay=weight_decay)
    targets, step = torch.from_numpy(labels).to(device), 0
    for _ in tqdm(range(epochs), desc="linear probes", leave=False):
        for batch in np.array_split(rng.permutation(index), -(-len(index) // batch_size)):
            with torch.no_grad():
                crops, readable = shifted(source, batch, rng)
                if len(readable) == 0:
                    continue
                maps = pooled_maps(network, crops.to(device))
            wanted = targets[batch[readable]]
            loss = torch.stack([F.cross_entropy(head(m), wanted) for m, layer in zip(maps, heads) for head in layer])
            optimiser.zero_grad()
            loss.sum().backward()
            for group in optimiser.param_groups:
                group["lr"] = group["base"] / (1 + group["base"] * weight_decay * step) ** 0.5
            optimiser.step()
            step += 1
    return heads


def _zero_head(n_in: int, n_out: int) -> nn.Linear:
    head = nn.Linear(n_in, n_out)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


@torch.no_grad()
def _accuracies(
    network: ConvNet,
    source: ArrayImages | FolderImages,
    labels: np.ndarray,
    index: np.ndarray,
    heads: list[list[nn.Linear]],
    device: str | torch.device,
) -> np.ndarray:
    """Accuracy of every head, (layers, heads): the class with the largest mean probability over ten crops."""
    right = np.zeros((len(heads), len(heads[0])))
    for batch in np.array_split(index, -(-len(index) // 64)):
        crops, readable = ten(source, batch)
        if len(readable) == 0:
            continue
        maps = pooled_maps(network, crops.flatten(0, 1).to(device))
        for i, (m, layer) in enumerate(zip(maps, heads)):
            for j, head in enumerate(layer):
                mean = head(m).softmax(1).view(len(readable), 10, -1).mean(1)
                right[i, j] += (mean.argmax(1).cpu().numpy() == labels[batch[readable]]).sum()
    return right / len(index)
