"""A fully convolutional head (Shelhamer et al., 2017) on a DeepCluster network: segmentation on VOC 2012."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from clustlib import _device
from clustlib._arrays import array_of, check_made
from clustlib._validation import check_integer, check_number, check_seed, check_trained
from clustlib.datasets.folders import ImageFolder
from clustlib.errors import DataCorrupt, UsageError
from clustlib.networks.convnet import ConvNet
from clustlib.networks.processes import seed_torch, seeded
from clustlib.transfer.checks import check_folder, check_network, check_share, sequence_of
from clustlib.transfer.fine_tuning import BatchNorm, Layers, check_layers, trained_parameters
from clustlib.transfer.voc import VOID


class FullyConvolutional(nn.Module):
    """The network with fc6 and fc7 slid over the image, a score for each class, brought to the image's size.

    fc6 becomes a convolution of the size of the map it was trained on, fc7 and the scores 1 x 1 convolutions; the
    weights are the same. The up-sampling is bilinear and fixed (FCN-32s).
    """

    def __init__(self, network: ConvNet, n_classes: int = 21) -> None:
        super().__init__()
        check_network(network)
        check_integer("n_classes", n_classes, 1, VOID)
        self.network = network
        self.score = nn.Conv2d(network.n_features, n_classes, 1)
        nn.init.zeros_(self.score.weight)
        assert self.score.bias is not None
        nn.init.zeros_(self.score.bias)

    def forward(self, images: Tensor) -> Tensor:
        """(n, C, H, W) in [0, 1] to (n, classes, H, W) scores."""
        maps = self.network.convolve(images)
        for layer in self.network.classifier:
            maps = _slid(layer, maps) if isinstance(layer, nn.Linear) else layer(maps)
        scores = self.score(torch.relu(maps))
        return F.interpolate(scores, images.shape[2:], mode="bilinear", align_corners=False)


def _slid(layer: nn.Linear, maps: Tensor) -> Tensor:
    """A linear layer as a convolution over maps of any size."""
    channels = maps.shape[1]
    side = round((layer.in_features / channels) ** 0.5)
    padded = F.pad(maps, ((side - 1) // 2, side // 2) * 2)
    return F.conv2d(padded, layer.weight.view(-1, channels, side, side), layer.bias)


def read_pair(folder: ImageFolder, index: int, truth: np.ndarray) -> tuple[Tensor, Tensor]:
    """An image (1, 3, H, W) in [0, 1] and its labels (1, H, W) int64."""
    image = folder.read(index)
    if image is None:
        raise DataCorrupt(f"{folder.paths[index]}: {folder.unreadable[index]}")
    if image.size != truth.shape[::-1]:
        raise DataCorrupt(f"{folder.paths[index]} has {image.size} pixels, its segmentation {truth.shape[::-1]}")
    pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].float() / 255
    return pixels, torch.from_numpy(truth.astype(np.int64))[None]


def train_segmenter(
    network: ConvNet,
    folder: ImageFolder,
    truth: Sequence[np.ndarray],
    *,
    layers: Layers = "all",
    batch_norm: BatchNorm = "trained",
    steps: int = 100_000,
    learning_rate: float = 1e-3,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    n_classes: int = 21,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> FullyConvolutional:
    """Train on whole images, one a step; pixels marked 255 do not count.

    Raises
    ------
    UsageError : images and segmentations that are not as many, a pixel's class from ``n_classes`` on.
    """
    check_network(network)
    check_folder(folder)
    check_integer("steps", steps, 1)
    check_integer("n_classes", n_classes, 1, VOID)
    check_number("learning_rate", learning_rate)
    check_share("momentum", momentum)
    check_number("weight_decay", weight_decay, zero=True)
    check_seed(seed)
    check_layers(layers, batch_norm)
    device = _device.resolve(device)
    truth = [array_of("truth", one, "(H, W)", "iu") for one in sequence_of("truth", truth)]
    if len(folder) != len(truth):
        raise UsageError(f"{len(folder)} images, {len(truth)} segmentations")
    seed_torch(seed, 41)
    segmenter = FullyConvolutional(network, n_classes).to(device)
    parameters = [*trained_parameters(network, layers, batch_norm), *segmenter.score.parameters()]
    optimiser = torch.optim.SGD(parameters, learning_rate, momentum=momentum, weight_decay=weight_decay)
    rng = seeded(seed, 42)
    segmenter.train()
    network.features.eval()  # one image is no batch for batch norm
    for _ in tqdm(range(steps), desc="FCN", leave=False):
        i = int(rng.integers(len(folder)))
        image, wanted = read_pair(folder, i, truth[i])
        if bool((((wanted >= n_classes) & (wanted != VOID)) | (wanted < 0)).any()):
            raise UsageError(f"{folder.paths[i]}: its segmentation has classes below 0 or from {n_classes} on")
        loss = F.cross_entropy(segmenter(image.to(device)), wanted.to(device), ignore_index=VOID)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    check_trained(segmenter.parameters())
    return segmenter.eval()


@torch.no_grad()
def segment(segmenter: FullyConvolutional, folder: ImageFolder, device: str | torch.device = "cpu") -> list[np.ndarray]:
    """The class of every pixel of every image, (H, W) uint8 each."""
    check_made("segmenter", segmenter, "a FullyConvolutional", "network", "score")
    check_folder(folder)
    device = _device.resolve(device)
    segmenter.eval()
    masks = []
    for i in range(len(folder)):
        image = folder.read(i)
        if image is None:
            raise DataCorrupt(f"{folder.paths[i]}: {folder.unreadable[i]}")
        pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].float() / 255
        masks.append(segmenter(pixels.to(device))[0].argmax(0).byte().cpu().numpy())
    return masks
