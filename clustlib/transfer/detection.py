"""Fast R-CNN (Girshick, 2015) on a DeepCluster network: detection on VOC 2007 (Section 4.4, Tables 2 and 4)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from clustlib import _device
from clustlib._arrays import array_of, check_made
from clustlib._validation import check_flag, check_integer, check_number, check_seed, check_trained
from clustlib.datasets.folders import ImageFolder
from clustlib.errors import DataCorrupt, UsageError
from clustlib.networks.convnet import ConvNet
from clustlib.networks.processes import seed_torch, seeded
from clustlib.transfer.checks import (
    MOST_CLASSES,
    boxes_of,
    check_boxes,
    check_folder,
    check_network,
    check_share,
    check_side,
    sequence_of,
)
from clustlib.transfer.fine_tuning import BatchNorm, Layers, check_layers, trained_parameters
from clustlib.transfer.voc import CLASSES, Detection, Objects, check_objects, overlaps

SHORT, LONG = 600, 1000  # pixels that an image's sides are brought to, at most
IN_A_MIRROR = np.array([-1, 1, 1, 1], np.float32)  # what becomes of deltas
FOREGROUND, BACKGROUND = 0.5, (0.1, 0.5)  # overlaps with an object


class Sample(NamedTuple):
    """Regions of one image: ``boxes`` (r, 4), ``classes`` (r,) 0 for background, ``deltas`` (r, 4) to the object."""

    boxes: np.ndarray
    classes: np.ndarray
    deltas: np.ndarray


def read_proposals(path: str | Path) -> list[np.ndarray]:
    """Selective-search boxes as released with Fast R-CNN: (r, 4) float32 (left, top, right, bottom) from 0 an image.

    The .mat file has one cell an image of (top, left, bottom, right) from 1. Raises :class:`DataCorrupt`.
    """
    from scipy.io import loadmat

    try:
        cells = loadmat(str(path))["boxes"].ravel()
        parts = [np.asarray(c, np.float32).reshape(-1, 4)[:, [1, 0, 3, 2]] - 1 for c in cells]
        check_boxes(parts)
        return parts
    except Exception as error:  # scipy raises many types on a damaged file
        raise DataCorrupt(f"{path} holds no selective-search boxes: {error}") from None


def encode(boxes: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """What moves ``boxes`` onto ``targets``, (r, 4): shifts in units of the box, logarithms of the scales."""
    boxes, targets = boxes_of(boxes), boxes_of(targets, "targets")
    check_boxes([boxes, targets])
    if len(boxes) != len(targets):
        raise UsageError(f"{len(boxes)} boxes and {len(targets)} targets must be as many")
    size, wanted = boxes[:, 2:] - boxes[:, :2] + 1, targets[:, 2:] - targets[:, :2] + 1
    shift = (targets[:, :2] + wanted / 2 - boxes[:, :2] - size / 2) / size
    return np.concatenate([shift, np.log(wanted / size)], axis=1).astype(np.float32)


def decode(boxes: np.ndarray, deltas: np.ndarray) -> np.ndarray:
    """The boxes that :func:`encode`'s numbers move ``boxes`` to."""
    boxes, deltas = boxes_of(boxes), array_of("deltas", deltas, f"({len(boxes)}, 4)")
    size = boxes[:, 2:] - boxes[:, :2] + 1
    centre, wanted = boxes[:, :2] + size / 2 + deltas[:, :2] * size, size * np.exp(deltas[:, 2:].clip(max=4))
    return np.concatenate([centre - wanted / 2, centre + wanted / 2 - 1], axis=1)


def _mirrored(boxes: np.ndarray, width: float) -> np.ndarray:
    """Boxes of an image as they are in its mirrored image."""
    return np.stack([width - 1 - boxes[:, 2], boxes[:, 1], width - 1 - boxes[:, 0], boxes[:, 3]], axis=1)


def spread_of_deltas(
    truth: Sequence[Objects], proposals: Sequence[np.ndarray], mirror: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (classes + 1, 4) of the deltas that there are to learn, of each class.

    With ``mirror`` each region counts as it is and mirrored. What has fewer than two of them, as the background, keeps
    0 and 1.
    """
    mean, spread = np.zeros((len(CLASSES) + 1, 4)), np.ones((len(CLASSES) + 1, 4))
    parts = [_wanted(boxes, objects) for boxes, objects in zip(proposals, truth)]
    classes = np.concatenate([of[most >= FOREGROUND] for _, most, _, of in parts])
    deltas = np.concatenate([encode(boxes, targets)[most >= FOREGROUND] for boxes, most, targets, _ in parts])
    if mirror:
        classes, deltas = np.tile(classes, 2), np.concatenate([deltas, deltas * IN_A_MIRROR])
    for c in np.unique(classes):
        own = deltas[classes == c]
        if len(own) > 1:
            mean[c], spread[c] = own.mean(0), own.std(0).clip(min=1e-3)  # below that they are as good as equal
    return mean, spread


def suppress(boxes: np.ndarray, scores: np.ndarray, overlap: float = 0.3) -> np.ndarray:
    """Indices of the boxes that no better one covers by more than ``overlap``, best first."""
    boxes, scores = boxes_of(boxes), array_of("scores", scores, f"({len(boxes)},)").astype(np.float64)
    check_share("overlap", overlap)
    order, kept = np.argsort(-scores, kind="stable"), []
    while len(order):
        kept.append(int(order[0]))
        order = order[1:][overlaps(boxes[order[:1]], boxes[order[1:]])[0] <= overlap]
    return np.array(kept, dtype=np.int64)


def sample_regions(proposals: np.ndarray, objects: Objects, n: int, rng: np.random.Generator) -> Sample:
    """``n`` regions, at most a quarter with an object in them; the objects' own boxes are proposals too."""
    boxes, most, targets, classes = _wanted(proposals, objects)
    inside = np.flatnonzero(most >= FOREGROUND)
    outside = np.flatnonzero((most >= BACKGROUND[0]) & (most < BACKGROUND[1]))
    outside = outside if len(outside) else np.flatnonzero(most < FOREGROUND)
    chosen = rng.choice(inside, min(n // 4, len(inside)), replace=False)
    rest = rng.choice(outside, min(n - len(chosen), len(outside)), replace=False)
    picked = np.concatenate([chosen, rest])
    labels = np.where(np.arange(len(picked)) < len(chosen), classes[picked], 0)
    return Sample(boxes[picked], labels, encode(boxes[picked], targets[picked]))


def _wanted(proposals: np.ndarray, objects: Objects) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The regions, how much of each the object that covers most of it does, that object's box and its class from 1."""
    plain = ~objects.difficult
    boxes = np.concatenate([proposals, objects.boxes[plain]])
    if not plain.any():
        return boxes, np.zeros(len(boxes)), boxes, np.zeros(len(boxes), np.int64)
    cover = overlaps(boxes, objects.boxes[plain])
    best = cover.argmax(1)
    return boxes, cover.max(1), objects.boxes[plain][best], objects.classes[plain][best] + 1


class FastRCNN(nn.Module):
    """A network's convolutions on a whole image, its fc6 and fc7 on each region, a classifier and a regressor.

    Regions are max-pooled from the last convolution's map to the size that fc6 was trained on.
    """

    def __init__(self, network: ConvNet, n_classes: int = len(CLASSES)) -> None:
        super().__init__()
        check_network(network)
        check_integer("n_classes", n_classes, 1, MOST_CLASSES)
        self.network = network
        width = next(m.in_features for m in network.classifier if isinstance(m, nn.Linear))
        channels = [m.out_channels for m in network.features if isinstance(m, nn.Conv2d)][-1]
        self.side = round((width / channels) ** 0.5)
        self.classes = nn.Linear(network.n_features, n_classes + 1)
        self.deltas = nn.Linear(network.n_features, 4 * (n_classes + 1))
        for layer, spread in ((self.classes, 0.01), (self.deltas, 0.001)):
            nn.init.normal_(layer.weight, std=spread)
            nn.init.zeros_(layer.bias)

    def forward(self, image: Tensor, boxes: np.ndarray) -> tuple[Tensor, Tensor]:
        """Class scores (r, classes + 1) and deltas (r, classes + 1, 4) for the boxes of one (1, C, H, W) image."""
        maps = self.network.activations(image)[-1]
        scale = np.array([maps.shape[3] / image.shape[3], maps.shape[2] / image.shape[2]] * 2)
        pooled = torch.stack([self._pool(maps[0], box) for box in np.rint(boxes * scale).astype(int)])
        hidden = torch.relu(self.network.classifier(pooled.flatten(1)))
        return self.classes(hidden), self.deltas(hidden).view(len(boxes), -1, 4)

    @torch.no_grad()
    def unnormalise(self, mean: np.ndarray, spread: np.ndarray) -> None:
        """Have the regressor, which has learnt (deltas - mean) / spread, give the deltas; both are (classes + 1, 4)."""
        scale, shift = (torch.from_numpy(n.ravel()).to(self.deltas.weight) for n in (spread, mean))
        self.deltas.weight.mul_(scale[:, None])
        self.deltas.bias.mul_(scale).add_(shift)

    def _pool(self, maps: Tensor, box: np.ndarray) -> Tensor:
        left, top = (int(np.clip(box[i], 0, maps.shape[2 - i] - 1)) for i in (0, 1))
        right, bottom = max(left, int(box[2])) + 1, max(top, int(box[3])) + 1
        return F.adaptive_max_pool2d(maps[:, top:bottom, left:right], self.side)


def prepare(folder: ImageFolder, index: int, short: int = SHORT) -> tuple[Tensor, float]:
    """An image with its short side at ``short`` (the long one at most 5/3 of it), (1, 3, H, W), and the scale."""
    image = folder.read(index)
    if image is None:
        raise DataCorrupt(f"{folder.paths[index]}: {folder.unreadable[index]}")
    scale = min(short / min(image.size), short * LONG / SHORT / max(image.size))
    sized = image.resize([max(1, round(side * scale)) for side in image.size])
    return torch.from_numpy(np.asarray(sized).copy()).permute(2, 0, 1)[None].float() / 255, scale


def train_detector(
    network: ConvNet,
    folder: ImageFolder,
    truth: Sequence[Objects],
    proposals: Sequence[np.ndarray],
    *,
    layers: Layers = "all",
    batch_norm: BatchNorm = "trained",
    steps: int = 150_000,
    learning_rate: float = 0.001,
    step_every: int = 50_000,
    regions: int = 64,
    short: int = SHORT,
    mirror: bool = True,
    normalise: bool = True,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> FastRCNN:
    """Fast R-CNN's training: two images a step, 64 regions each, a class loss and a smooth L1 loss on the deltas.

    Every other image is seen in a ``mirror``, at random. With ``normalise`` the deltas are learnt with zero mean and
    unit variance in each class.

    Raises
    ------
    UsageError : images, objects and proposals that are not as many, boxes that are none, classes that VOC has not.
    """
    check_network(network)
    check_folder(folder)
    for name, value in (("steps", steps), ("step_every", step_every), ("regions", regions)):
        check_integer(name, value, 1)
    check_side("short", short)
    check_number("learning_rate", learning_rate)
    check_flag("mirror", mirror)
    check_flag("normalise", normalise)
    check_seed(seed)
    check_layers(layers, batch_norm)
    check_boxes(proposals, "proposals")
    for objects in sequence_of("truth", truth):
        check_objects(objects)
    check_boxes([objects.boxes for objects in truth])
    if not len(folder) == len(truth) == len(proposals):
        raise UsageError(f"{len(folder)} images, {len(truth)} sets of objects, {len(proposals)} of proposals")
    # an image without any region teaches nothing
    usable = [i for i in range(len(folder)) if len(proposals[i]) or not truth[i].difficult.all()]
    if not usable:
        raise UsageError("no image has a region to learn from: there are no proposals and no objects")
    device = _device.resolve(device)
    seed_torch(seed, 31)
    detector = FastRCNN(network).to(device)
    parameters = trained_parameters(network, layers, batch_norm)
    added = [*detector.classes.parameters(), *detector.deltas.parameters()]
    optimiser = torch.optim.SGD([*parameters, *added], learning_rate, momentum=0.9, weight_decay=5e-4)
    schedule, rng = torch.optim.lr_scheduler.StepLR(optimiser, step_every, 0.1), seeded(seed, 32)
    nothing = (np.zeros((len(CLASSES) + 1, 4)), np.ones((len(CLASSES) + 1, 4)))
    mean, spread = spread_of_deltas(truth, proposals, mirror) if normalise else nothing
    detector.train()
    network.features.eval()  # two images are no batch for batch norm
    for _ in tqdm(range(steps), desc="Fast R-CNN", leave=False):
        optimiser.zero_grad()
        for i in rng.choice(usable, min(2, len(usable)), replace=False):
            image, scale = prepare(folder, int(i), short)
            chosen = sample_regions(proposals[i], truth[i], regions, rng)
            boxes, wanted, classes = chosen.boxes * scale, chosen.deltas, chosen.classes
            if mirror and rng.random() < 0.5:
                image, boxes, wanted = image.flip(3), _mirrored(boxes, image.shape[3]), wanted * IN_A_MIRROR
            scores, deltas = detector(image.to(device), boxes)
            _loss(scores, deltas, classes, (wanted - mean[classes]) / spread[classes]).backward()
        optimiser.step()
        schedule.step()
    check_trained(detector.parameters())
    detector.unnormalise(mean, spread)
    return detector.eval()


def _loss(scores: Tensor, deltas: Tensor, truth: np.ndarray, wanted: np.ndarray) -> Tensor:
    classes = torch.from_numpy(truth).to(scores.device)
    inside = classes > 0
    own = deltas[torch.arange(len(classes), device=scores.device), classes][inside]
    aims = torch.from_numpy(wanted.astype(np.float32)).to(scores.device)[inside]
    return F.cross_entropy(scores, classes) + F.smooth_l1_loss(own, aims, reduction="sum") / len(classes)


@torch.no_grad()
def detect(
    detector: FastRCNN,
    folder: ImageFolder,
    proposals: Sequence[np.ndarray],
    *,
    short: int = SHORT,
    threshold: float = 0.05,
    device: Any = "cpu",
) -> list[list[Detection]]:
    """The boxes found for each class in all images, after suppression: one list a class."""
    check_made("detector", detector, "a FastRCNN", "network", "deltas")
    check_folder(folder)
    check_boxes(proposals, "proposals")
    if len(proposals) != len(folder):
        raise UsageError(f"{len(folder)} images, {len(proposals)} sets of proposals")
    check_side("short", short)
    check_share("threshold", threshold)
    device = _device.resolve(device)
    detector.eval()
    detections: list[list[Detection]] = [[] for _ in CLASSES]
    for i in tqdm([i for i, boxes in enumerate(proposals) if len(boxes)], desc="detecting", leave=False):
        boxes = proposals[i]
        image, scale = prepare(folder, i, short)
        scores, deltas = (t.cpu().numpy() for t in detector(image.to(device), boxes * scale))
        chances = np.exp(scores - scores.max(1, keepdims=True))
        chances /= chances.sum(1, keepdims=True)
        for c in range(len(CLASSES)):
            likely = np.flatnonzero(chances[:, c + 1] > threshold)
            moved = decode(boxes[likely], deltas[likely, c + 1])
            kept = suppress(moved, chances[likely, c + 1]) if len(likely) else likely
            detections[c] += [Detection(i, moved[k], float(chances[likely[k], c + 1])) for k in kept]
    return detections
