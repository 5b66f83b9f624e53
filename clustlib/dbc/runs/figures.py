"""The runs of DBC's Figures 4 to 8, read off the trainings that the tables share."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from clustlib import datasets, metrics, records
from clustlib._validation import check_integer
from clustlib.dbc.runs import clustering, written
from clustlib.published.tables import choose
from clustlib.records.runs import bind

VARIANTS = ("ours", "as written")
CONFIDENT = 0.6  # the largest score of a mistake that Figure 8 shows
SHOWN = 100  # mistakes at most
PERPLEXITY = 30  # scikit-learn's for t-SNE, which wants more points than that
NEIGHBOURS = 10  # of a point in the plane, for its purity


def _as_written(
    dataset: str, seed: int, pretrain_epochs: int | None, epochs: int | None, device: str
) -> dict[str, Any]:
    """The parameters of the tables' run of DBC as written, with the epochs that are given in place of its own."""
    lengths = {"pretrain_epochs": pretrain_epochs, "epochs": epochs}
    given = {name: value for name, value in lengths.items() if value is not None}
    return bind(written.as_written, {"dataset": dataset, "method": "DBC", "seed": seed, "device": device, **given})


def _trained(
    dataset: str, seed: int, pretrain_epochs: int | None, epochs: int | None, device: str, variant: str
) -> dict[str, np.ndarray]:
    """The training of a data set, shared with the tables: by the book's recipe or as written."""
    if variant == "as written":
        return records.artifact(written.train, **_as_written(dataset, seed, pretrain_epochs, epochs, device))
    return clustering.trained(dataset, seed, clustering.recipe(dataset, pretrain_epochs, epochs), device)


def _autoencoder(dataset: str, seed: int, pretrain_epochs: int | None, device: str, variant: str = "ours") -> Any:
    """The trained auto-encoder of a data set, shared with the tables."""
    if variant == "as written":
        own = written.settings(_as_written(dataset, seed, pretrain_epochs, None, device))[0]
        return written.fitted(dataset, seed, own, device)[0]
    chosen = clustering.recipe(dataset, pretrain_epochs)
    shared: dict[str, Any] = {"dataset": dataset, "seed": seed, "whiten": chosen.whiten, "device": device}
    arrays = records.artifact(clustering.train_autoencoder, pretrain_epochs=chosen.pretrain_epochs, **shared)
    return clustering.features_of(dataset, arrays, chosen.whiten, device)


def inner_activations(
    dataset: str,
    method: str = "FCAE",
    classes: str = "1 5 9",
    seed: int = 0,
    pretrain_epochs: int | None = None,
    variant: str = "ours",
    device: str = "auto",
) -> dict[str, Any]:
    """Figure 4: every layer's maps of one image of each class (the first one), of the auto-encoder after stage I.

    Returns
    -------
    feature_zero_share : share of the code's activations of all images that are 0. feature_small_share : of those below
        a tenth of the code's root mean square. Arrays: ``input`` and one per layer, (3, C, H, W).
    """
    images = datasets.load(dataset)
    features = _autoencoder(dataset, seed, pretrain_epochs, device, variant)
    first = [int(np.flatnonzero(images.labels == label)[0]) for label in map(int, classes.split())]
    maps = features.activations(images.images[first])
    code = features.activations(images.images[:1000])["features"]
    small = np.abs(code) < 0.1 * np.sqrt((code**2).mean())
    return {
        "feature_zero_share": float((code == 0).mean()),
        "feature_small_share": float(small.mean()),
        "input": images.images[first],
        **{name: values.astype(np.float16) for name, values in maps.items()},
    }


def learned_filters(
    dataset: str,
    method: str = "FCAE",
    seed: int = 0,
    pretrain_epochs: int | None = None,
    variant: str = "ours",
    device: str = "auto",
) -> dict[str, Any]:
    """Figure 5: the filters of the first convolution and of the last transposed ones.

    Returns
    -------
    first_contrast, last_contrast : mean over filters of the standard deviation within a filter. Arrays: ``conv1``,
        ``deconv1`` (n, 1, w, w) and ``deconv2`` (n * m, 1, w, w) float32.
    """
    model = _autoencoder(dataset, seed, pretrain_epochs, device, variant).model_.cpu()
    layers = {"conv1": model.encoder[0][0], "deconv1": model.decoder[-1], "deconv2": model.decoder[-2][0]}
    filters = {name: layer.weight.detach().numpy() for name, layer in layers.items()}
    flat = {name: weight.reshape(-1, 1, *weight.shape[2:]) for name, weight in filters.items()}
    return {
        "first_contrast": float(flat["conv1"].std((2, 3)).mean()),
        "last_contrast": float(flat["deconv1"].std((2, 3)).mean()),
        **flat,
    }


def score_histograms(
    dataset: str,
    method: str,
    seed: int = 0,
    pretrain_epochs: int | None = None,
    epochs: int | None = None,
    variant: str = "ours",
    device: str = "auto",
) -> dict[str, Any]:
    """Figure 6: histograms of the scores of the first cluster on the test images; ``method`` is an epoch's name.

    Returns
    -------
    polarised_share : scores below 0.05 or above 0.7 in that epoch. ``histogram`` (epochs + 1, 20) counts, all epochs.
    """
    arrays = _trained(dataset, seed, pretrain_epochs, epochs, device, variant)
    last = len(arrays["polarised"]) - 1
    at = {"first epoch": min(1, last), "epoch 4": min(4, last), "last epoch": -1}[method]
    return {"polarised_share": arrays["polarised"][at], "histogram": arrays["histogram"]}


def plane(
    dataset: str,
    method: str,
    seed: int = 0,
    pretrain_epochs: int | None = None,
    epochs: int | None = None,
    points: int = 2000,
    variant: str = "ours",
    device: str = "auto",
) -> dict[str, Any]:
    """Figure 7: t-SNE of the codes of test images before training ("first epoch"), in "epoch 2" or the last one kept.

    Of DBC as written the "last epoch" is the last one trained.

    Returns
    -------
    knn_purity of the ten neighbours in the plane, epoch, and ``plane`` (points, 2), ``labels`` (points,).
    """
    from sklearn.manifold import TSNE

    images = datasets.load(dataset)
    arrays = _trained(dataset, seed, pretrain_epochs, epochs, device, variant)
    kept = sorted(int(name.split(".")[1]) for name in arrays if name.startswith("watched."))
    epoch = {"first epoch": kept[0], "epoch 2": min(2, kept[-1]), "last epoch": kept[-1]}[method]
    shown, codes = clustering.drawn(images), arrays[f"watched.{epoch}"]
    if variant == "as written" and method == "last epoch":
        epoch, codes = len(arrays["accuracy"]) - 1, arrays["codes"][shown]
    labels = images.labels[shown][:points]
    points_2d = TSNE(init="pca", random_state=seed).fit_transform(codes[:points])
    purity = float(metrics.knn_purity(points_2d, labels, NEIGHBOURS))
    return {
        "knn_purity": purity,
        "epoch": epoch,
        "plane": points_2d.astype(np.float32),
        "labels": labels.astype(np.uint8),
    }


def _as_classes(labels: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The class that each image's cluster stands for under the best one-to-one mapping, as accuracy uses it."""
    from scipy.optimize import linear_sum_assignment

    counts = np.zeros((int(found.max()) + 1, int(labels.max()) + 1), dtype=int)
    np.add.at(counts, (found, labels), 1)
    clusters, classes = linear_sum_assignment(-counts)
    stands_for = np.full(len(counts), -1)
    stands_for[clusters] = classes
    return stands_for[found]


def confident_mistakes(
    dataset: str,
    method: str = "DBC",
    seed: int = 0,
    pretrain_epochs: int | None = None,
    epochs: int | None = None,
    variant: str = "ours",
    device: str = "auto",
) -> dict[str, Any]:
    """Figure 8: images in a cluster of another class whose largest score is over 0.6, highest first.

    Returns
    -------
    share_479 : the digits 4, 7 and 9 among those shown. mistakes, confident : how many there are in all, and over 0.6.
    ``images`` (up to 100, C, H, W) uint8, ``said`` and ``true`` their classes, ``score``.
    """
    images = datasets.load(dataset)
    arrays = _trained(dataset, seed, pretrain_epochs, epochs, device, variant)
    said, score = _as_classes(images.labels, arrays["labels"]), arrays["soft"].max(1)
    wrong = np.flatnonzero(said != images.labels)
    confident = wrong[score[wrong] > CONFIDENT]
    shown = confident[np.argsort(-score[confident], kind="stable")][:SHOWN]
    return {
        "share_479": float(np.isin(images.labels[shown], (4, 7, 9)).mean()) if len(shown) else 0.0,
        "mistakes": len(wrong),
        "confident": len(confident),
        "images": images.images[shown],
        "said": said[shown].astype(np.uint8),
        "true": images.labels[shown].astype(np.uint8),
        "score": score[shown].astype(np.float32),
    }


def curve_as_written(
    dataset: str,
    method: str,
    seed: int = 0,
    pretrain_epochs: int | None = None,
    epochs: int | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """One curve of Figure 9 by the text alone; ``method`` and the result are those of ``clustering.learning_curve``.

    epochs_run and ``changed`` by epoch tell when training would have stopped.
    """
    given = _as_written(dataset, seed, pretrain_epochs, epochs, device)
    setting = dict(clustering.CURVES[method])
    share = {"half": 0.5, "random": 0.0}.get(setting.pop("start", "full"), 1.0)
    given |= {**setting, "pretrain_epochs": round(share * given["pretrain_epochs"])}
    arrays = records.artifact(written.train, **given)
    accuracies, nmis = arrays["accuracy"], arrays["nmi"]
    return {
        "accuracy": accuracies[-1],
        "nmi_max": nmis[-1],
        "accuracy_early": accuracies[min(5, len(accuracies) - 1)],
        "epochs_run": len(accuracies) - 1.0,
        "training_seconds": float(arrays["seconds"].sum()),
        "accuracies": accuracies,
        "nmis": nmis,
        "changed": arrays["changed"],
    }


def _check(dataset: str, seed: int = 0, points: int | None = None, variant: str = "ours", **_: Any) -> None:
    """Refuse what cannot be right before any work is done."""
    choose("variant", variant, VARIANTS)
    clustering.check_cluster(dataset, "DBC", seed)
    if points is not None:
        check_integer("points", points, PERPLEXITY + 1)


def _check_curve(dataset: str, method: str, seed: int = 0, **lengths: Any) -> None:
    """Refuse what cannot be right before any work is done."""
    choose("method", method, tuple(clustering.CURVES))
    clustering.check_cluster(dataset, "DBC", seed, **lengths)


def _own_epochs(params: Mapping[str, Any]) -> dict[str, int]:
    """What None stands for in the epochs of a figure's run: the recipe's, or as written the reading's."""
    if params.get("variant", "as written") == "ours":
        return clustering.own_epochs(params)
    reading = bind(written.as_written, {"dataset": params["dataset"], "method": "DBC"})
    return {name: reading[name] for name in ("pretrain_epochs", "epochs")}


_FIGURES = (inner_activations, learned_filters, score_histograms, plane, confident_mistakes)
records.declare(*_FIGURES, check=_check, fills=_own_epochs)
records.declare(curve_as_written, check=_check_curve, fills=_own_epochs)
