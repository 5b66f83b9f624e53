"""What a pretrained network makes of images: extracted once, kept by content, resumed where a run was cut off."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from clustlib import _paths
from clustlib._device import resolve
from clustlib._images import check_images
from clustlib._validation import check_integer
from clustlib.datasets.space import mapped_array
from clustlib.errors import UsageError
from clustlib.fcn.inference import Pass, compiled, engine_for

_BATCH = 8  # small enough for the widest layer to stay in a core's cache
_RULE = 1  # part of the kept files' names: raise it when what becomes of an image on its way to the network changes
_SAVE_EVERY = 512  # images between two notes of progress


def extract(
    images: Any,
    network: Any,
    *,
    size: int = 224,
    hidden: bool = False,
    device: str = "auto",
    engine: str = "auto",
    cache: str | Path | None = None,
) -> np.ndarray:
    """The activations of a network's last hidden layer, or what goes into the layers that are trained.

    Parameters
    ----------
    images : (N, C, H, W) uint8, or floats in 0..1; C is 1 or 3. A gray image goes into all three channels.
    network : as :func:`clustlib.fcn.weights.pretrained` gives; its ``trained_layers`` says where the trunk ends.
    size : images are resized to ``size`` by ``size`` pixels (bilinear, antialiased); the paper's 224.
    hidden : return the trunk's output instead, (N, ...) float16. It is kept in half precision, and the
        activations are computed from it, so that both ways give the same features.
    engine : "openvino" or "torch", on a processor; "auto" is the first where it is installed and there are images
        enough to make up for compiling. They differ by less than 1e-4, and the first is the faster.
    cache : a folder. Its files are named by a hash of the images, the network's weights and where its trunk ends, the
        engine and ``size``; a killed extraction goes on from its last note. None keeps nothing.

    Returns
    -------
    (N, n_features) float32, non-negative; or the trunk's output.

    Raises
    ------
    ValueError : wrong rank or channels, no images, NaN, ``size`` below 32.
    PackageMissing : OpenVINO is asked for and not installed.
    """
    images = _checked(images, size)
    engine = engine_for(engine, resolve(device), len(images))
    if cache is not None and not os.path.isdir(cache):
        if os.path.lexists(cache):
            raise UsageError(f"cache must be a folder, and {cache} is none")
        _paths.check_place(Path(cache))
    held = _Folder(None, "") if cache is None else _Folder(Path(cache), _identity(images, network, size, engine))
    ready = held.read("activations", len(images))
    if ready is not None and not hidden:
        return ready
    inner = held.read("hidden", len(images))
    if inner is None and hidden:
        inner = _run(images, network, size, device, engine, held)
    if hidden:
        assert inner is not None
        return inner
    if inner is None:
        features = _run(images, network, size, device, engine, held, through_head=True)
    else:
        features = activations(inner, network, device)
        held.write("activations", features)
    return features


def activations(hidden: np.ndarray, network: Any, device: str = "auto") -> np.ndarray:
    """The last hidden layer's activations (N, n_features) float32 from the trunk's output (N, ...) float16."""
    on = resolve(device)
    network = network.to(on)
    features = np.empty((len(hidden), network.n_features), np.float32)
    with torch.inference_mode():
        for start in range(0, len(hidden), 256):
            part = torch.from_numpy(np.array(hidden[start : start + 256])).to(on).float()
            features[start : start + 256] = network.head(part).cpu().numpy()
    return features


def to_input(images: Tensor, network: Any, size: int) -> Tensor:
    """A batch (B, C, H, W), uint8 or floats in 0..1, as the network's input (B, 3, size, size)."""
    x = images.float() * 255 if images.is_floating_point() else images.float()
    if x.shape[-2:] != (size, size):
        x = F.interpolate(x, (size, size), mode="bilinear", antialias=True)
    x = x.expand(-1, 3, -1, -1)
    mean, scale = (torch.tensor(v, device=x.device)[:, None, None] for v in (network.mean, network.scale))
    return ((x - mean) / scale).contiguous(memory_format=torch.channels_last)


def _checked(images: Any, size: int) -> np.ndarray:
    check_integer("size", size, 32)
    images = check_images(images, side=size)
    if images.shape[1] not in (1, 3):
        raise UsageError(f"images must have shape (N, 1, H, W) or (N, 3, H, W), got {images.shape}")
    return images


def _identity(images: np.ndarray, network: Any, size: int, engine: str) -> str:
    shaping = (type(network).__name__, size, images.shape, images.dtype, network.mean, network.scale, _RULE)
    total = hashlib.sha256(repr(shaping).encode())
    if images.dtype.kind == "f":
        total.update(b"0..1")  # and not 0..255
    if engine != "torch":  # whose files have no engine in their names
        total.update(engine.encode())
    if network.trained_layers > 1:  # below one layer the name stays that of the files that are kept
        total.update(f"trained layers {network.trained_layers}".encode())
    total.update(np.ascontiguousarray(images).view(np.uint8).data)
    for value in network.state_dict().values():
        total.update(value.cpu().contiguous().numpy().tobytes())
    return total.hexdigest()[:32]


def _run(
    images: np.ndarray,
    network: Any,
    size: int,
    device: str,
    engine: str,
    held: "_Folder",
    through_head: bool = False,
) -> np.ndarray:
    """Trunk (and head) over all images, in small batches."""
    from tqdm.auto import tqdm

    on = resolve(device)
    network = network.to(on, memory_format=torch.channels_last)
    batch = _BATCH if on.type == "cpu" else 128
    with torch.inference_mode():
        probe = network.trunk(to_input(torch.from_numpy(np.array(images[:1])).to(on), network, size))
        shape = (network.n_features,) if through_head else tuple(probe.shape[1:])
        name, kind = ("activations", np.float32) if through_head else ("hidden", np.float16)
        out, done = held.begin(name, (len(images), *shape), kind)
        trunk = network.trunk
        if engine == "openvino" and done < len(images):
            trunk = compiled(Pass(network), (batch, 3, size, size), threads=torch.get_num_threads())
        bar = tqdm(total=len(images), initial=done, desc="features", unit="image", leave=False, delay=2)
        for start in range(done, len(images), batch):
            part = torch.from_numpy(np.array(images[start : start + batch])).to(on)
            inner = trunk(to_input(part, network, size)).half()
            outputs = network.head(inner.float()) if through_head else inner
            out[start : start + batch] = outputs.cpu().numpy()
            bar.update(len(part))
            if (start // batch + 1) % (_SAVE_EVERY // batch) == 0:
                held.note(name, start + len(part), out)
        bar.close()
    return held.finish(name, out)


class _Folder:
    """The files of one extraction: ``<hash>-hidden.npy``, ``<hash>-activations.npy``, and what is under way."""

    def __init__(self, folder: Path | None, identity: str) -> None:
        self.folder, self.identity = folder, identity

    def _path(self, name: str, suffix: str = ".npy") -> Path:
        assert self.folder is not None
        return self.folder / f"{self.identity}-{name}{suffix}"

    def read(self, name: str, rows: int) -> np.ndarray | None:
        """A finished array of ``rows``, mapped into memory and read-only; None where there is no whole one."""
        if self.folder is None or not self._path(name).is_file():
            return None
        try:
            found = np.load(self._path(name), mmap_mode="r", allow_pickle=False)
        except (EOFError, OSError, ValueError):
            return None  # what is not whole is made again
        return found if len(found) == rows else None

    def write(self, name: str, array: np.ndarray) -> None:
        """Keep a whole array."""
        if self.folder is not None:
            out, _ = self.begin(name, array.shape, array.dtype)
            out[:] = array
            self.finish(name, out)

    def begin(self, name: str, shape: tuple[int, ...], dtype: Any) -> tuple[np.ndarray, int]:
        """The array to fill and how many of its rows a run that was cut off has filled."""
        if self.folder is None:
            return np.empty(shape, dtype), 0
        self.folder.mkdir(parents=True, exist_ok=True)
        part, progress = self._path(name, ".part"), self._path(name, ".json")
        if part.is_file() and progress.is_file():
            with suppress(ValueError, KeyError, EOFError):  # what is not whole is made again
                held = np.lib.format.open_memmap(part, "r+")
                if held.shape == shape and held.dtype == np.dtype(dtype):
                    return held, int(json.loads(progress.read_text(encoding="utf-8"))["done"])
        return mapped_array(part, dtype, shape), 0

    def note(self, name: str, done: int, out: np.ndarray) -> None:
        """Write down that the first ``done`` rows are on disk."""
        if isinstance(out, np.memmap):
            out.flush()
            _paths.write_atomically(self._path(name, ".json"), json.dumps({"done": done}).encode())

    def finish(self, name: str, out: np.ndarray) -> np.ndarray:
        """Give the filled array its final name."""
        if not isinstance(out, np.memmap):
            return out
        out.flush()
        self._path(name, ".part").replace(self._path(name))
        self._path(name, ".json").unlink(missing_ok=True)
        return np.load(self._path(name), mmap_mode="r", allow_pickle=False)
