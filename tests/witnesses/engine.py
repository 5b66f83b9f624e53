"""What computes a network's features on a processor: PyTorch or OpenVINO."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from witnesses._data import digits, pictures, rng
from witnesses._find import find, holding, home
from witnesses._sets import registered
from witnesses.factorised import _tiny_network
from witnesses.narrow import _same


def rule() -> dict[str, np.ndarray]:
    """Which engine computes a network's features: a witness of its own, because it takes no time."""
    pairs = {f"{number}": (lambda case=case: _engine(*case), due) for number, (*case, due) in enumerate(_ENGINES)}
    return _same(home("extract", "extraction"), "engine_for", pairs)


def engines() -> dict[str, np.ndarray]:
    """OpenVINO gives what PyTorch does."""
    extraction = home("extract", "extraction")
    pairs: dict = {}
    if find_spec("openvino"):
        pairs |= {f"agrees {hidden}": (lambda hidden=hidden: _agrees(hidden), True) for hidden in (False, True)}
        pairs["the book's"] = (_runs_keep_to_torch, True)
        pairs |= {f"whole {there}": (lambda there=there: _whole_pass(there), True) for there in (False, True)}
    return _same(extraction, "engine_for", pairs)


_ENGINES = (
    ("auto", "cpu", None, True, "openvino"),
    ("auto", "cpu", 128, True, "openvino"),
    ("auto", "cpu", 127, True, "torch"),
    ("auto", "cpu", 0, True, "torch"),
    ("auto", "cpu", None, False, "torch"),
    ("auto", "cuda", None, True, "torch"),
    ("torch", "cpu", 500, True, "torch"),
    ("openvino", "cpu", 1, True, "openvino"),
    ("openvino", "cpu", 1, False, "PackageMissing"),
    ("openvino", "cuda", 1, True, "UsageError"),
    ("onnx", "cpu", 1, True, "UsageError"),
)


def _engine(asked: str, device: str, n: int | None, there: bool) -> str:
    import torch

    inference = home("engine_for", "inference")
    with holding(inference, installed=lambda: there):
        try:
            return inference.engine_for(asked, torch.device(device), n)
        except Exception as error:
            return type(error).__name__


def _runs_keep_to_torch() -> bool:
    """No run of the book's calls OpenVINO, however many images there are."""
    inference, extraction = home("engine_for", "inference"), home("extract", "extraction")

    def refused(*given, **named):
        raise RuntimeError("OpenVINO")

    with registered() as sets, holding(inference, _WORTH=0), holding(extraction, Pass=refused):
        made, labels = digits((12, 12))
        sets["digits"] = type(sets["digits"])(made, labels, "digits")
        find("time_pass")("digits", size=32, batch=6, n_components=3)
        home("count_clusters", "images").count_clusters("digits", "Description length", features="cnn", size=20)
        try:
            extraction.extract(pictures(2, 3, 32), _tiny_network()(), size=32, device="cpu")
        except RuntimeError:
            return True  # the library itself does
    return False


def _agrees(hidden: bool) -> bool:
    """Of two batches, the second of them not full; each engine has its own file."""
    extract, network = find("extract", "extraction"), _tiny_network()
    images = pictures(11, 3, 16, 16)
    how = {"size": 32, "hidden": hidden, "device": "cpu", "cache": f"engines {hidden}"}
    plain, other = (extract(images, network(), engine=engine, **how) for engine in ("torch", "openvino"))
    alone = [extract(images[i : i + 1], network(), engine="openvino", **{**how, "cache": None})[0] for i in (0, 9)]
    kept = len(list(Path(how["cache"]).glob("*.npy"))) == 2
    near = np.allclose(plain.astype(float), other.astype(float), rtol=1e-3, atol=1e-3)
    return bool(kept and near and np.array_equal(alone, other[[0, 9]]) and plain.std(axis=0).any())


def _whole_pass(there: bool) -> bool:
    """The vectors of one's own images, by either engine, three at a time; what is kept is named by the engine."""
    import torch

    activations, inference = home("network_maker", "images"), home("engine_for", "inference")
    network = _tiny_network()()
    images = rng(2).integers(0, 256, (3, 224, 224, 3)).astype(np.uint8)
    with torch.inference_mode():
        x = find("to_input", "extraction")(torch.from_numpy(images).permute(0, 3, 1, 2), network, 224)
        due = network.head(network.trunk(x))
    network.forward = lambda x: network.head(network.trunk(x))
    activations._loaded_network.cache_clear()
    with (
        holding(inference, installed=lambda: there),
        holding(home("pretrained", "weights"), pretrained=lambda: network),
    ):
        maker = activations.network_maker("cpu")
        found = maker.make(images)
    activations._loaded_network.cache_clear()
    named = maker.rule.endswith(" openvino") and activations.network_maker("cuda").rule.endswith(" torch")
    return named and found.dtype == np.float16 and np.allclose(found, due.numpy(), rtol=2e-3, atol=2e-3)


WITNESSES = {"engine-rule": rule, "engines": engines}
