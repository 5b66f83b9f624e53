"""Trainings by steps so long that their numbers leave float32 are refused; by short ones they run."""

from functools import partial
from pathlib import Path

import numpy as np

from witnesses._data import blobs, digits, pictures
from witnesses._find import find, home
from witnesses.downstream import _network
from witnesses.refusals import _asked

LONG, SHORT = 1e14, 1e-4
_DUE = {SHORT: "ran", LONG: "refused"}


def _both(training) -> dict[str, np.ndarray]:
    """One training at both lengths of a step."""
    cases = {str(rate): (lambda rate=rate: training(rate), due) for rate, due in _DUE.items()}
    return _asked(home("check_parameters"), "def check_trained", cases)


def values() -> dict[str, np.ndarray]:
    """Weights by themselves, the last ones among them."""
    low, beyond = np.zeros(3), np.array([0, np.inf])
    tests = {"whole": ([low, low], "ran"), "last": ([low, beyond], "refused"), "none": ([], "ran")}
    cases = {name: (lambda made=made: find("check_trained")(made), due) for name, (made, due) in tests.items()}
    return _asked(home("check_parameters"), "def check_trained", cases)


def _steps(rate: float) -> dict:
    return {"learning_rate": rate, "random_state": 0, "device": "cpu"}


def _rows() -> np.ndarray:
    return np.abs(blobs((6, 5), 4)) / 99


def linear(rate: float) -> None:
    find("LinearAutoencoder")(2, epochs=3, **_steps(rate)).fit(_rows())


def deep(rate: float) -> None:
    find("DeepAutoencoder")(2, epochs=3, **_steps(rate)).fit(_rows())


def _kept(model, images: np.ndarray, rate: float) -> None:
    """A fit that may not leave a checkpoint of what is no longer numbers."""
    place = Path(f"{type(model).__name__}.{rate}")
    try:
        model.set_params(checkpoint=place).fit(images)
    finally:
        if place.exists() == (rate == LONG):
            raise FileExistsError(place)


def fcae(rate: float) -> None:
    _kept(find("FCAEFeatures")(epochs=2, whiten=None, batch_size=8, **_steps(rate)), digits((9, 8, 7))[0], rate)


def restored(rate: float) -> None:
    """An auto-encoder put together from weights, one of which is no number."""
    images, made = digits((9, 8, 7))[0], find("FCAEFeatures")
    fitted = made(epochs=0, whiten=None, random_state=0, device="cpu").fit(images)
    weights = {name: array.numpy().copy() for name, array in fitted.model_.state_dict().items()}
    weights["features.0.bias"][0] += 0 if rate == SHORT else np.nan
    made(whiten=None, **_steps(rate)).restore(images, weights)


def dbc(rate: float) -> None:
    """Its outputs are bounded; its weights leave float32 by their decay."""
    start = find("FCAEFeatures")(epochs=0, whiten=2, random_state=0, device="cpu")
    how = {"optimizer": "sgd", "weight_decay": rate * SHORT, "radius": None, "discriminant": False, "batch_size": 8}
    _kept(find("DBC")(3, features=start, epochs=3, **how, **_steps(rate)), digits((9, 8, 7))[0], rate)


def jule(rate: float) -> None:
    how = {"network": {"filters": 3, "features": 5}, "n_neighbors": 4, "epochs": 2, "batch_size": 8}
    _kept(find("JULE")(3, **how, **_steps(rate)), digits((9, 8, 7))[0], rate)


def _jule_net(shape: tuple[int, ...]):
    import torch

    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        return find("JuleNet")(*shape, filters=3, features=5)


def features(rate: float) -> None:
    """What JULE's network makes of images where its last weights are too large."""
    import torch

    images = digits((9, 8))[0]
    network = _jule_net(images.shape[1:])
    with torch.no_grad():
        network.top.weight *= rate**3
    loss, descent = find("TripletLoss")(1.0, 0.2, 2, "spread", "text"), find("Descent")(rate, 0.9, 0, 0, 8, "float32")
    find("TripletTraining")(images, network, loss, descent, 0, torch.device("cpu")).features()


def softmax(rate: float) -> None:
    images, labels = digits((9, 8))
    how = {"epochs": 2, "batch_size": 8, "learning_rate": rate}
    find("fine_tune_softmax")(_jule_net(images.shape[1:]), images, labels, **how)


def probes(rate: float) -> None:
    """Classifiers without a hidden layer, whose weights leave float32 by their decay."""
    images, labels = pictures(8, height=28, width=28), np.arange(8) % 2
    how = {"epochs": 9, "learning_rates": (rate,), "weight_decay": 0.1, "size": 24}
    find("linear_probes")(_network(), images, labels, images, labels, **how)


def tuned(rate: float) -> None:
    source = find("image_source")(pictures(8, height=28, width=28), 24)
    find("fine_tune")(_network(), source, np.eye(8, dtype=np.int8), steps=4, learning_rate=rate)


def _one_picture():
    from PIL import Image

    folder = Path("one")
    folder.mkdir(exist_ok=True)
    Image.fromarray(pictures(2, height=40, width=40)[0].transpose(1, 2, 0)).save(folder / "one.png")
    return find("ImageFolder")(folder)


def detector(rate: float) -> None:
    one = find("Objects")(np.array([[0, 0, 9, 9]], np.float32), np.array([3]), np.array([False]))
    how = {"regions": 4, "short": 36, "steps": 4, "learning_rate": rate}
    find("train_detector")(_network(), _one_picture(), [one], [one.boxes], **how)


def segmenter(rate: float) -> None:
    mask = np.zeros((40, 40), np.uint8)
    find("train_segmenter")(_network(), _one_picture(), [mask], steps=4, learning_rate=rate)


_TRAININGS = (linear, deep, fcae, restored, dbc, jule, features, softmax, probes, tuned, detector, segmenter)
# one witness each: of many that go through a definition, those that go through little else are asked first
WITNESSES = {f"diverging_{training.__name__}": partial(_both, training) for training in _TRAININGS}
WITNESSES["diverging_values"] = values
