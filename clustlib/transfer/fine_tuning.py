"""Classification by fine-tuning, fc6 to fc8 or all layers, as the port of Krähenbühl's code does it (Section 4.4)."""

from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

from clustlib import _device
from clustlib._arrays import array_of, held, shown
from clustlib._validation import check_choice, check_flag, check_integer, check_number, check_seed, check_trained
from clustlib.errors import UsageError
from clustlib.networks.convnet import ConvNet
from clustlib.networks.crops import AREA, ArrayImages, FolderImages, Uniforms, draw_uniforms
from clustlib.networks.processes import seed_torch, seeded
from clustlib.transfer.checks import check_network, check_source

Layers = Literal["fc68", "all"]
BatchNorm = Literal["trained", "frozen"]
SCALE = (0.1, 0.5)  # share of an image's area that a crop takes
_CROPS, _DROPOUT, _TEST = 21, 22, 23  # what a stream of random numbers is for


def trained_parameters(network: ConvNet, layers: Layers, batch_norm: BatchNorm) -> list[nn.Parameter]:
    """The parameters that a setting trains; the others are frozen.

    "fc68" trains fc6, fc7 and the new fc8. With ``batch_norm="trained"`` the scale and shift of the frozen
    convolutions' batch norm are trained too: the released code's 72.0 on VOC 2007; "frozen" gives its 70.4.
    """
    check_network(network)
    check_layers(layers, batch_norm)
    norms = {id(p) for m in network.features.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()}
    for parameter in network.features.parameters():
        parameter.requires_grad_(layers == "all" or (batch_norm == "trained" and id(parameter) in norms))
    return [p for p in network.parameters() if p.requires_grad]


def check_layers(layers: Any, batch_norm: Any) -> None:
    """Raise :class:`UsageError` unless both are choices of :func:`trained_parameters`."""
    check_choice("layers", layers, ("fc68", "all"))
    check_choice("batch_norm", batch_norm, ("trained", "frozen"))


def _check_crops(scale: Any, shape: Any) -> None:
    check_choice("shape", shape, ("square", "stretched"))
    low, high = array_of("scale", scale, "(2,)").tolist()
    if not 0 < low <= high <= 1:
        raise UsageError(f"scale must be two shares of an image's area, the smaller first, got {shown(scale)}")


def scaled(uniforms: Uniforms, scale: tuple[float, float] = SCALE, shape: str = "square") -> Uniforms:
    """Random numbers whose crops take a share of the area between the two of ``scale``.

    "square" as the port cuts them; "stretched" ones are three to four up to four to three.
    """
    _check_crops(scale, shape)
    boxes = uniforms.boxes.copy()
    boxes[..., 0] = (scale[0] + (scale[1] - scale[0]) * boxes[..., 0] - AREA[0]) / (AREA[1] - AREA[0])
    boxes[..., 1] = boxes[..., 1] if shape == "stretched" else 0.5  # in the middle of the two shapes
    return uniforms._replace(boxes=boxes)


def fine_tune(
    network: ConvNet,
    source: ArrayImages | FolderImages,
    truth: np.ndarray,
    *,
    layers: Layers = "fc68",
    batch_norm: BatchNorm = "trained",
    steps: int = 80_000,
    batch_size: int = 16,
    learning_rate: float = 0.003,
    halve_every: int = 5_000,
    weight_decay: float = 1e-6,
    clip: float = 10.0,
    scale: tuple[float, float] = SCALE,
    shape: Literal["square", "stretched"] = "square",
    fresh: bool = True,
    statistics: Literal["pre-trained", "of the batches"] = "pre-trained",
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> ConvNet:
    """Train a new fc8 with the chosen layers to tell which classes are in an image; the network is changed in place.

    The defaults are the port's.

    Parameters
    ----------
    truth : (N, classes) int8; 1 there, 0 not, -1 leaves the loss alone. The loss is a binary cross entropy a class.
    shape : of the crops, see :func:`scaled`.
    fresh : fc6 and fc7 begin anew, like fc8; else they go on from what they have learnt.
    statistics : batch norm's; "of the batches" where all layers are trained, if it is not to keep the pre-trained ones.
    """
    check_network(network)
    check_source(source)
    check_layers(layers, batch_norm)
    _check_crops(scale, shape)
    check_flag("fresh", fresh)
    check_seed(seed)
    for name, value in (("steps", steps), ("batch_size", batch_size), ("halve_every", halve_every)):
        check_integer(name, value, 1)
    check_number("learning_rate", learning_rate)
    check_number("weight_decay", weight_decay, zero=True)
    check_number("clip", clip)
    check_choice("statistics", statistics, ("pre-trained", "of the batches"))
    device = _device.resolve(device)
    truth = np.asarray(held(truth, "truth"))
    if truth.ndim != 2 or len(truth) != len(source) or not truth.shape[1]:
        raise UsageError(f"{len(source)} images need as many rows of truth, got {truth.shape}")
    if truth.dtype.kind not in "fiub" or not np.isin(truth, (-1, 0, 1)).all():
        raise UsageError("truth must hold 1 (there), 0 (not) and -1 (neither counts) alone")
    truth = truth.astype(np.int8)
    seed_torch(seed, _DROPOUT)
    network.new_head(truth.shape[1])
    if fresh:
        network.new_linear()
    network.to(device)
    optimiser = torch.optim.SGD(
        trained_parameters(network, layers, batch_norm), learning_rate, momentum=0.9, weight_decay=weight_decay
    )
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, halve_every, 0.5)
    rng = seeded(seed, _CROPS)
    network.train()
    network.features.train(layers == "all" and statistics == "of the batches")
    for _ in tqdm(range(steps), desc="fine-tuning", leave=False):
        index = rng.choice(len(truth), min(batch_size, len(truth)), replace=False)
        images, readable = source.random(index, scaled(draw_uniforms(len(index), rng), scale, shape))
        outputs, wanted = network(images.to(device)), torch.from_numpy(truth[index[readable]]).to(device)
        loss = F.binary_cross_entropy_with_logits(outputs, wanted.clamp(min=0).float(), reduction="none")
        loss = (loss * (wanted >= 0)).sum() / max(1, len(readable))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), clip)
        optimiser.step()
        schedule.step()
    check_trained(network.parameters())
    return network.eval()


@torch.no_grad()
def class_scores(
    network: ConvNet,
    source: ArrayImages | FolderImages,
    *,
    crops: int = 10,
    scale: tuple[float, float] = SCALE,
    shape: Literal["square", "stretched"] = "square",
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> np.ndarray:
    """Mean score of every class over random crops of every image, (N, classes); NaN where a file is damaged."""
    check_network(network)
    check_source(source)
    _check_crops(scale, shape)
    check_seed(seed)
    check_integer("crops", crops, 1)
    device = _device.resolve(device)
    network.eval()
    scores = np.full((len(source), network.head.out_features), np.nan, dtype=np.float32)
    total: dict[int, Any] = {}
    rng = seeded(seed, _TEST)
    for batch in np.array_split(np.arange(len(source)), -(-len(source) // 64)):
        total.clear()
        for _ in range(crops):
            images, readable = source.random(batch, scaled(draw_uniforms(len(batch), rng), scale, shape))
            for i, row in zip(batch[readable], network(images.to(device)).cpu().numpy()):
                total[i] = total.get(i, 0) + row / crops
        for i, row in total.items():
            scores[i] = row
    return scores
