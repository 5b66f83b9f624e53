"""The two ways to make vectors of image files: the activations of a pretrained network, or pixels."""

import hashlib
import threading
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from clustlib.errors import UsageError
from clustlib.fcn.weight_files import weights_file
from clustlib.images.features import _BATCH, Maker, _code, pixels_maker, processors

KINDS = ("cnn", "pixels")
_loading = threading.Lock()


def maker_of(kind: str, size: int, device: str = "auto") -> Maker:
    """The maker of ``"cnn"`` or ``"pixels"``; ``size`` is that of the pixels."""
    if kind not in KINDS:
        raise UsageError(f"features must be one of {', '.join(KINDS)}, got {kind!r}")
    return network_maker(device) if kind == "cnn" else pixels_maker(size)


def network_maker(device: str = "auto") -> Maker:
    """Vectors that are the activations of EfficientNet-Lite0's last hidden layer, rounded to half precision.

    The network is loaded when the first image comes: where all vectors are kept, nothing waits for torch. On a
    processor OpenVINO computes them where it is installed.
    """
    weights = hashlib.sha256(weights_file("efficientnet-lite0").read_bytes()).hexdigest()

    def make(images: np.ndarray) -> np.ndarray:
        import torch

        from clustlib.fcn.extraction import to_input  # with torch, like all that the network needs

        network, on, run = _network(device)
        torch.set_num_threads(1)
        padded = np.concatenate([images, np.repeat(images[-1:], _BATCH - len(images), axis=0)])
        with torch.inference_mode():
            batch = torch.from_numpy(padded).permute(0, 3, 1, 2).to(on)
            return run(to_input(batch, network, 224)).half().cpu().numpy()[: len(images)]

    own = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    engine = "openvino" if find_spec("openvino") and not str(device).startswith("cuda") else "torch"
    return Maker(f"efficientnet-lite0 224 {weights[:16]} {_code()} {own[:16]} {engine}", 224, np.float16, make)


def _network(device: str) -> Any:
    """The network, the device that it is on, and what runs it there; loaded once, whichever thread asks first."""
    with _loading:
        return _loaded_network(device)


@lru_cache(maxsize=1)
def _loaded_network(device: str) -> Any:
    import torch

    from clustlib import _device
    from clustlib.fcn.inference import Pass, compiled, engine_for
    from clustlib.fcn.weights import pretrained

    on = _device.resolve(device)
    network = pretrained().to(on).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if engine_for("auto", on) == "torch":
        return network, on, network
    workers = processors()
    return network, on, compiled(Pass(network, whole=True), (_BATCH, 3, 224, 224), threads=workers, streams=workers)
