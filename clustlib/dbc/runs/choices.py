"""What the choices that the DBC paper leaves open do, one at a time."""

from typing import Any

import numpy as np

from clustlib import datasets, records
from clustlib.checkpoints import checkpoint_of
from clustlib.dbc.choices import DBC_CHOICES
from clustlib.dbc.runs import clustering
from clustlib.metrics import scores
from clustlib.published.tables import choose


def train_stage_1(
    dataset: str,
    seed: int,
    pretrain_epochs: int,
    scaling: str,
    code: str,
    unpooling: str,
    optimizer: str,
    learning_rate: float,
    weight_decay: float = 0.0,
    batch_size: int = 256,
    normalised: bool = True,
    device: str = "auto",
) -> dict[str, np.ndarray]:
    """The auto-encoder of one choice: its weights by name, (N,) loss by epoch as ``loss`` and ``seconds``."""
    file = checkpoint_of(train_stage_1, locals())
    from clustlib.dbc.features import FCAEFeatures

    options: dict[str, Any] = {"scaling": scaling, "code": code, "unpooling": unpooling, "optimizer": optimizer}
    options |= {"learning_rate": learning_rate, "epochs": pretrain_epochs, "random_state": seed}
    options |= {"weight_decay": weight_decay, "batch_size": batch_size, "normalised": normalised}
    features = FCAEFeatures(**options, whiten=None, device=device, checkpoint=file).fit(datasets.load(dataset).images)
    file.unlink(missing_ok=True)
    weights = {f"weights.{name}": value.cpu().numpy() for name, value in features.model_.state_dict().items()}
    by_epoch = {name: np.array([epoch[name] for epoch in features.history_]) for name in ("loss", "seconds")}
    return {**weights, **by_epoch}


def switched(
    dataset: str,
    choice: str,
    method: str = "DBC",
    seed: int = 0,
    pretrain_epochs: int | None = None,
    epochs: int | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """DBC with one of the book's settings replaced.

    Parameters
    ----------
    dataset : a registered name. choice : a name of ``clustlib.dbc.choices.DBC_CHOICES``.
    seed : as in :func:`clustering.cluster`.
    pretrain_epochs, epochs : of stages I and II; None takes the data set's recipe.

    Returns
    -------
    The scores of the end, and with ``_start`` those of the k-means clusters that stage II began from; epochs_run,
    training_seconds of both stages.
    """
    file = checkpoint_of(switched, locals())
    from clustlib.dbc.estimator import DBC
    from clustlib.dbc.features import FCAEFeatures

    images, chosen = datasets.load(dataset), clustering.recipe(dataset, pretrain_epochs, epochs)
    first, second = DBC_CHOICES[choice]
    options: dict[str, Any] = {"whiten": chosen.whiten, **first}
    plain = FCAEFeatures(**options).get_params()
    trained = ("scaling", "code", "unpooling", "optimizer", "learning_rate")
    shared: dict[str, Any] = {"dataset": dataset, "seed": seed, "pretrain_epochs": chosen.pretrain_epochs}
    arrays = records.artifact(train_stage_1, **shared, **{name: plain[name] for name in trained}, device=device)
    weights = {name.removeprefix("weights."): array for name, array in arrays.items() if name.startswith("weights.")}
    features = FCAEFeatures(**options, device=device).restore(images.images, weights)
    settings: dict[str, Any] = {
        "epochs": chosen.epochs,
        "decay": clustering.decay_over(chosen.epochs),
        "random_state": seed,
    }
    settings |= {"device": device, **second}
    model = DBC(images.n_classes, features=features, checkpoint=file, **settings).fit(images.images)
    file.unlink(missing_ok=True)
    start = {f"{name}_start": value for name, value in scores(images.labels, model.start_labels_).items()}
    seconds = float(arrays["seconds"].sum()) + sum(entry.get("seconds", 0.0) for entry in model.history_)
    found = {**scores(images.labels, model.labels_), **start}
    return {**found, "epochs_run": model.n_iter_, "training_seconds": seconds}


def _check(dataset: str, choice: str, method: str = "DBC", seed: int = 0, **given: Any) -> None:
    """Refuse what cannot be right before any work is done."""
    choose("choice", choice, DBC_CHOICES)
    choose("method", method, ("DBC",))
    clustering.check_cluster(dataset, method, seed, **given)


records.declare(
    switched,
    check=_check,
    uses=lambda params: [repr(DBC_CHOICES[params["choice"]])],
    fills=clustering.own_epochs,
)
