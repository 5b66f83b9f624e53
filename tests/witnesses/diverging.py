"""Trainings by steps so long that their numbers leave float32: refused, and those by short ones run."""

from pathlib import Path

import numpy as np

from witnesses._data import blobs, digits, pictures
from witnesses._find import find, home
from witnesses.downstream import _network
from witnesses.refusals import _asked

LONG, SHORT = 1e14, 1e-4
JULE_NET = {"network": {"filters": 3, "features": 5}, "n_neighbors": 4, "device": "cpu", "random_state": 0}


def diverging() -> dict[str, np.ndarray]:
    """Every training at both lengths of a step; weights by themselves, the last ones among them."""
    cases = {}
    for rate, due in ((SHORT, "ran"), (LONG, "refused")):
        made = {**_fits(rate), **_networks(rate), **_transfers(rate)}
        cases |= {f"{name} {rate}": (fit, due) for name, fit in made.items()}
    low, beyond = np.zeros(3), np.array([0, np.inf])
    for name, values, due in (("whole", [low, low], "ran"), ("last", [low, beyond], "refused"), ("none", [], "ran")):
        cases[name] = (lambda values=values: find("check_trained")(values), due)
    return _asked(home("check_parameters"), "def check_trained", cases)


def _fits(rate: float) -> dict:
    """The estimators; DBC's weights leave float32 by their decay alone, its outputs are bounded."""
    images, rows = digits((9, 8, 7))[0], np.abs(blobs((6, 5), 4)) / 99
    steps = {"learning_rate": rate, "random_state": 0, "device": "cpu"}
    start = find("FCAEFeatures")(epochs=0, whiten=2, random_state=0, device="cpu")
    decay = {"optimizer": "sgd", "weight_decay": rate * SHORT, "radius": None, "discriminant": False}
    deep = {"network": "vgg16", "network_options": {"width": 0.02}, "image_size": 32, "n_components": 4}
    return {
        "linear": lambda: find("LinearAutoencoder")(2, epochs=3, **steps).fit(rows),
        "deep": lambda: find("DeepAutoencoder")(2, epochs=3, **steps).fit(rows),
        "fcae": lambda: _kept(find("FCAEFeatures")(epochs=2, whiten=None, batch_size=8, **steps), images, rate),
        "fcae restored": lambda: _restored(find("FCAEFeatures")(whiten=None, **steps), images, rate),
        "dbc": lambda: find("DBC")(3, features=start, epochs=3, batch_size=8, **decay, **steps).fit(images),
        "jule": lambda: _kept(
            find("JULE")(3, epochs=2, batch_size=8, **{**JULE_NET, "learning_rate": rate}), images, rate
        ),
        "deepcluster": lambda: find("DeepCluster")(2, epochs=1, batch_size=8, verbose=False, **deep, **steps).fit(
            pictures(8)
        ),
    }


def _kept(model, images: np.ndarray, rate: float) -> None:
    """A fit that may not leave a checkpoint of what is no longer numbers."""
    place = Path(f"{type(model).__name__}.{rate}")
    try:
        model.set_params(checkpoint=place).fit(images)
    finally:
        if place.exists() == (rate == LONG):
            raise FileExistsError(place)


def _restored(model, images: np.ndarray, rate: float) -> None:
    """An auto-encoder put together from weights, one of which is no number."""
    fitted = find("FCAEFeatures")(epochs=0, whiten=None, random_state=0, device="cpu").fit(images)
    weights = {name: array.numpy().copy() for name, array in fitted.model_.state_dict().items()}
    weights["features.0.bias"][0] += 0 if rate == SHORT else np.nan
    model.restore(images, weights)


def _networks(rate: float) -> dict:
    """JULE's network under a softmax, and what it makes of images where single weights are too large."""
    import torch

    images, labels = digits((9, 8))

    def net():
        with torch.random.fork_rng([]):
            torch.manual_seed(3)
            return find("JuleNet")(*images.shape[1:], filters=3, features=5)

    def softmax() -> None:
        find("fine_tune_softmax")(net(), images, labels, epochs=2, batch_size=8, learning_rate=rate)

    def read() -> None:
        network = net()
        with torch.no_grad():
            network.top.weight *= rate**3
        loss, descent = (
            find("TripletLoss")(1.0, 0.2, 2, "spread", "text"),
            find("Descent")(rate, 0.9, 0, 0, 8, "float32"),
        )
        find("TripletTraining")(images, network, loss, descent, 0, torch.device("cpu")).features()

    return {"softmax": softmax, "features": read}


def _transfers(rate: float) -> dict:
    """What follows a training of DeepCluster."""
    from PIL import Image

    images, labels = pictures(8, height=28, width=28), np.arange(8) % 2
    Image.fromarray(pictures(2, height=40, width=40)[0].transpose(1, 2, 0)).save("one.png")
    folder = find("ImageFolder")(".")
    one = find("Objects")(np.array([[0, 0, 9, 9]], np.float32), np.array([3]), np.array([False]))
    source, how = find("image_source")(images, 24), {"steps": 4, "learning_rate": rate}
    rates = {"epochs": 9, "learning_rates": (rate,), "weight_decay": 0.1, "size": 24}
    mask = np.zeros((40, 40), np.uint8)
    return {
        "probes": lambda: find("linear_probes")(_network(), images, labels, images, labels, **rates),
        "tuned": lambda: find("fine_tune")(_network(), source, np.eye(8, dtype=np.int8), **how),
        "detector": lambda: find("train_detector")(_network(), folder, [one], [one.boxes], regions=4, short=36, **how),
        "segmenter": lambda: find("train_segmenter")(_network(), folder, [mask], **how),
    }


WITNESSES = {"diverging": diverging}
