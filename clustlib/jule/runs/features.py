"""What JULE's features are good for besides its own clusters: figures 7 and 8, tables 5 and 6."""

from typing import Any

import numpy as np
import pandas as pd

from clustlib import datasets, metrics, records
from clustlib.errors import UsageError
from clustlib.jule.rows import SEARCHED
from clustlib.jule.runs.clustering import check_fit, fit_of, joint_clustering, uses_fit
from clustlib.metrics import scores
from clustlib.published.tables import choose

NEIGHBOURS = (1, 5, 10, 20, 50, 100)  # of figure 8
SPACES = ("raw", "learned")
LAYERS = ("data", "top(ip)", "top-1", "top-2")


def neighbour_purity(
    dataset: str,
    method: str,
    seed: int = 0,
    epochs: int = 20,
    precision: str = "float32",
    reading: str = "default",
    device: str = "auto",
) -> dict[str, float]:
    """The mean share of the K nearest neighbours that are of the image's class, for each K of figure 8.

    ``method`` is "raw" for unit-length pixels or "learned" for JULE's features; ``reading`` is the variant of JULE that
    learned them; the others as for ``joint_clustering``.
    """
    images = datasets.load(dataset)
    if method == "raw":
        features = images.pixels("l2")
    else:
        features = fit_of(dataset, seed, epochs, precision, reading, device)["embedding"]
    neighbours = [k for k in NEIGHBOURS if k < len(images)]
    purity = metrics.knn_purity(features, images.labels, neighbours)
    return {f"knn_purity_{k}": float(value) for k, value in zip(neighbours, purity)}


def transfer(
    dataset: str,
    method: str,
    source: str,
    seed: int = 0,
    epochs: int = 20,
    precision: str = "float32",
    reading: str = "default",
    device: str = "auto",
) -> dict[str, float]:
    """Cluster ``dataset`` by AC-GDL on a layer of the network that JULE trained on ``source`` (section 4.2.1).

    The images are resized, and their channels averaged or repeated, to what the network reads; the layer "data" is
    the unit-length pixels of these. Activations of the lower layers are scaled to unit length too. ``reading`` is the
    variant of JULE that trained the network; with any but ours AC-GDL is that of tables 3 and 4, the released one.

    Returns
    -------
    The scores of the labels.
    """
    from clustlib.cluster import GraphLinkage

    linkage: dict[str, Any] = {} if reading == "default" else {"variant": "released"}
    images, shape = datasets.load(dataset), datasets.load(source).shape
    resized = as_shaped(images.images, shape)
    if method == "data":
        features = resized.reshape(len(resized), -1)
    else:
        fit = fit_of(source, seed, epochs, precision, reading, device)
        features = layer_of(fit, resized, "top" if method == "top(ip)" else method, device)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    model = GraphLinkage(images.n_classes, device=device, **linkage).fit(features / np.where(lengths == 0, 1, lengths))
    return scores(images.labels, model.labels_)


def as_shaped(images: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Images (N, C, H, W) uint8 as (N, *shape) float32 in [0, 1]: bilinear, one channel made of several and back."""
    import torch
    from torch.nn import functional as F

    x = torch.from_numpy(np.ascontiguousarray(images)).float() / 255
    if x.shape[1] != shape[0]:
        x = x.mean(dim=1, keepdim=True).expand(-1, shape[0], -1, -1)
    if x.shape[2:] != shape[1:]:
        x = F.interpolate(x, size=shape[1:], mode="bilinear", antialias=True, align_corners=False)
    return x.contiguous().numpy()


def layer_of(fit: dict[str, np.ndarray], images: np.ndarray, layer: str, device: str = "auto") -> np.ndarray:
    """Activations (N, D) float32 of a layer of the network kept by ``train_jule``, for images (N, C, H, W) float32."""
    import torch

    from clustlib import _device
    from clustlib.jule.network import JuleNet

    where = _device.resolve(device)
    weights = {
        name.removeprefix("weights:"): torch.from_numpy(value)
        for name, value in fit.items()
        if name.startswith("weights:")
    }
    network = JuleNet(*images.shape[1:], features=len(weights["top.bias"]))
    network.load_state_dict(weights)
    network.to(where).eval()
    with torch.inference_mode():
        parts = [network(part.to(where), layer).cpu() for part in torch.from_numpy(images).split(500)]
    return torch.cat(parts).numpy()


def sensitivity(
    dataset: list[str], unrolling_rates: list[float], neighbours: list[int], seed: list[int], **how: Any
) -> pd.DataFrame:
    """Figure 7 in cells: NMI of OURS-RC by eta (metric ``nmi_by_eta``, methods "eta=0.9") and by K_s (``nmi_by_K_s``).

    Runs at the paper's eta and K_s are those of table 3. ``how`` goes to ``records.grid``; its ``variant`` lists
    names of ``clustlib.jule.rows.JULE_VARIANTS``.
    """
    values = [("eta", "unrolling_rate", value) for value in unrolling_rates]
    values += [("K_s", "n_neighbors", value) for value in neighbours]
    if not dataset or not values:
        raise UsageError(f"{'values of eta and K_s are' if dataset else 'datasets is'} empty: nothing to run")
    frames = []
    for name in dataset:
        for letter, option, value in values:
            own: dict[str, Any] = {option: value}
            runs = records.grid(joint_clustering, dataset=name, method="OURS-RC", seed=seed, **own, **how)
            cells = runs.cells(**{f"nmi_by_{letter}": "nmi_geometric"})
            frames.append(cells.assign(method=f"{letter}={value}", x=value))
    return pd.concat(frames, ignore_index=True)


def purity_runs(dataset: list[str], seed: list[int], readings: list[str], **how: Any) -> records.Runs:
    """The runs of figure 8: the pixels, then the features of each reading of JULE. ``how`` goes to ``records.grid``."""
    raw, learned = SPACES
    runs = records.grid(neighbour_purity, dataset=dataset, method=raw, seed=seed, **how)
    runs += records.grid(neighbour_purity, dataset=dataset, method=learned, seed=seed, reading=readings, **how)
    return runs


def searched(dataset: list[str], variants: list[str], seed: list[int], **how: Any) -> pd.DataFrame:
    """NMI and accuracy of OURS-RC for the values of K_c and gamma that the paper searched on MNIST-test, in cells.

    ``variants`` are names of ``clustlib.jule.rows.SEARCHED``; the method of a cell is one, as "gamma = 1.5" has it.
    """
    runs = records.grid(joint_clustering, dataset=dataset, method="OURS-RC", variant=variants, seed=seed, **how)
    cells = runs.cells(nmi_searched="nmi_geometric", accuracy_searched="accuracy")
    return cells.assign(method=cells["variant"].map(SEARCHED))


def _check_purity(dataset: str, method: str, **others: Any) -> None:
    check_fit(dataset, **others)
    choose("method", method, SPACES)


def _check_transfer(dataset: str, method: str, source: str, **others: Any) -> None:
    check_fit(dataset, **others)
    choose("source", source, datasets.names())
    if method not in LAYERS:
        raise UsageError(f"layers are {', '.join(LAYERS)}; got {method!r}")


def _uses_transfer(params: dict[str, Any]) -> list[str]:
    return uses_fit({**params, "dataset": params["source"]})


def transfer_runs(
    sources: list[str], targets: list[str], layers: list[str], seed: list[int], **how: Any
) -> records.Runs:
    """Each source's network on each other set, layer by layer; "top-2" only where the network has two blocks."""
    runs = records.Runs()
    for source in sources:
        others = [name for name in targets if name != source] or targets
        there = [layer for layer in layers if layer != LAYERS[-1] or _blocks(source) > 1]
        runs += records.grid(transfer, dataset=others, method=there, source=source, seed=seed, **how)
    return runs


def _blocks(source: str) -> int:
    from clustlib.jule.stacking import stack

    sizes = {"usps": (16, 16), "usps-11000": (16, 16), "digits": (8, 8)}
    return len(stack(*sizes.get(source, (28, 28)), 0))


records.declare(neighbour_purity, check=_check_purity, uses=uses_fit)
records.declare(transfer, check=_check_transfer, uses=_uses_transfer)
