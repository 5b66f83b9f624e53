"""JULE's own runs: its rows in tables 3 and 10, and what tables 4 and 11 and the figures make of its features."""

from pathlib import Path
from typing import Any

import numpy as np

from clustlib import datasets, records
from clustlib._validation import check_integer, check_seed
from clustlib.checkpoints import checkpoint_of
from clustlib.jule.rows import DETERMINISTIC, JULE_VARIANTS, OURS, ROWS, UNROLLING
from clustlib.jule.runs.pixels import cluster_pixels, estimator
from clustlib.metrics import compact, scores
from clustlib.published.tables import choose

PARTS = ("training", "feature", "graph", "merge")  # of the seconds in JULE's history
STAGES = ("initial", "middle", "final")
_SHOWN = 5000  # images of a stage that a record keeps


def settings(
    dataset: str, variant: str = "default", unrolling_rate: float = 0.0, n_neighbors: int = 20, epochs: int = 20
) -> dict[str, Any]:
    """What :class:`clustlib.JULE` is called with on a data set; eta by data set where it is 0."""
    eta = unrolling_rate or UNROLLING.get(dataset, 0.9)
    return {"unrolling_rate": eta, "n_neighbors": n_neighbors, "epochs": epochs, **JULE_VARIANTS[variant]}


def fitted(
    images: np.ndarray,
    truth: np.ndarray,
    seed: int,
    precision: Any,
    device: str,
    checkpoint: Path | None,
    **chosen: Any,
) -> Any:
    """JULE fitted on images into as many clusters as there are classes; a killed fit goes on where it was."""
    from clustlib.jule.estimator import JULE

    model = JULE(
        len(np.unique(truth)),
        random_state=seed,
        precision=precision,
        device=device,
        checkpoint=checkpoint,
        **chosen,
    )
    return model.fit(images, truth)


def seconds_of(model: Any) -> np.ndarray:
    """The sum of a fit's parts, not the clock: a fit that was killed and went on has run more than once."""
    return np.array(sum(line.get(f"{part}_seconds", 0.0) for part in PARTS for line in model.history_))


def weights_of(network: Any) -> dict[str, np.ndarray]:
    """A network's weights as arrays for the cache: ``weights:<name>``."""
    return {f"weights:{name}": value.cpu().numpy() for name, value in network.state_dict().items()}


def train_jule(
    dataset: str,
    seed: int = 0,
    variant: str = "default",
    unrolling_rate: float = 0.0,
    n_neighbors: int = 20,
    epochs: int = 20,
    features: int = 160,
    precision: str = "float32",
    device: str = "auto",
) -> dict[str, np.ndarray]:
    """One fit of JULE with the number of classes known, as arrays for the cache (see ``records.artifact``).

    Returns
    -------
    ``OURS-SF`` and ``OURS-RC`` (N,) labels; ``embedding`` (N, features) float32; ``weights:<name>`` of the network;
    per line of the history ``n_clusters``, ``nmi``, ``accuracy``, ``loss`` and the seconds by part;
    ``stage_labels`` (S, N) and ``stage_components`` (S, N, 3); ``training_seconds`` and ``triplet_seconds``.
    """
    checkpoint = checkpoint_of(train_jule, locals())
    images = datasets.load(dataset)
    chosen = settings(dataset, variant, unrolling_rate, n_neighbors, epochs) | {"network": {"features": features}}
    model = fitted(images.images, images.labels, seed, precision, device, checkpoint, **chosen)
    history = {column: _column(model.history_, column) for column in ("n_clusters", "nmi", "accuracy", "loss")}
    parts = {f"{part}_seconds": _column(model.history_, f"{part}_seconds") for part in PARTS}
    return {
        "OURS-SF": model.labels_sf_,
        "OURS-RC": model.labels_rc_,
        "embedding": model.embedding_,
        "stage_labels": np.stack([stage["labels"] for stage in model.stages_]).astype(np.int32),
        "stage_components": np.stack([stage["components"] for stage in model.stages_]),
        "seconds": seconds_of(model),
        "triplet_seconds": np.array(model.triplet_seconds_),
        **history,
        **parts,
        **weights_of(model.network_),
    }


def fit_of(dataset: str, seed: int, epochs: int, precision: str, reading: str, device: str) -> dict[str, np.ndarray]:
    """The fit behind the tables' rows, by the name of its variant, as :func:`train_jule` keeps it."""
    return records.artifact(
        train_jule,
        dataset=dataset,
        seed=seed,
        variant=reading,
        epochs=epochs,
        precision=precision,
        device=device,
    )


def _column(history: list[dict[str, Any]], name: str) -> np.ndarray:
    return np.array([line.get(name, 0.0) for line in history], np.float64)


def joint_clustering(
    dataset: str,
    method: str,
    seed: int = 0,
    variant: str = "default",
    unrolling_rate: float = 0.0,
    n_neighbors: int = 20,
    epochs: int = 20,
    precision: str = "float32",
    device: str = "auto",
) -> dict[str, Any]:
    """JULE's labels against the classes: rows OURS-SF and OURS-RC.

    Parameters
    ----------
    dataset : a registered name. method : "OURS-SF" or "OURS-RC", two read-outs of one fit. seed : of the fit.
    variant : a name of ``clustlib.jule.rows.JULE_VARIANTS``.
    unrolling_rate : eta; 0 takes the paper's for the data set. n_neighbors : K_s. epochs : per period.

    Returns
    -------
    The scores of the labels; ``fit_seconds`` and the seconds by part; ``labels`` (N,); by period ``n_clusters``,
    ``nmi`` and ``loss``.
    """
    fit = records.artifact(
        train_jule,
        dataset=dataset,
        seed=seed,
        variant=variant,
        unrolling_rate=unrolling_rate,
        n_neighbors=n_neighbors,
        epochs=epochs,
        precision=precision,
        device=device,
    )
    truth, found = datasets.load(dataset).labels, fit[method]
    return {
        **scores(truth, found),
        **{f"{part}_seconds": float(fit[f"{part}_seconds"].sum()) for part in PARTS},
        "triplet_seconds": float(fit["triplet_seconds"]),
        "fit_seconds": float(fit["seconds"]),
        "labels": compact(found),
        "period_n_clusters": fit["n_clusters"].astype(np.int32),
        "period_nmi": fit["nmi"].astype(np.float32),
        "period_loss": fit["loss"].astype(np.float32),
    }


def raw_rows(
    dataset: list[str],
    methods: str | list[str],
    seed: list[int],
    *,
    variant: str,
    epochs: int,
    precision: str,
    readings: list[str] | tuple[str, ...] = ("default",),
    **how: Any,
) -> records.Runs:
    """The runs of tables 3 and 10: the classical rows on pixels, then JULE's two.

    ``methods`` are labels or "all"; ``variant`` is that of the classical rows; ``epochs``, ``precision`` and
    ``readings`` (names of ``clustlib.jule.rows.JULE_VARIANTS``) are JULE's; ``how`` (device, profile, recompute) goes
    to ``records.grid``.
    """
    named = [methods] if isinstance(methods, str) else list(methods)
    wanted = [*ROWS, *OURS] if methods == "all" else named
    runs = records.Runs()
    if classical := [label for label in wanted if label not in OURS]:
        own: dict[str, Any] = {"method": classical, "variant": variant, "once": DETERMINISTIC}
        runs += records.grid(cluster_pixels, dataset=dataset, seed=seed, **own, **how)
    if ours := [label for label in wanted if label in OURS]:
        own = {"method": ours, "variant": list(readings), "epochs": epochs, "precision": precision}
        runs += records.grid(joint_clustering, dataset=dataset, seed=seed, **own, **how)
    return runs


def cluster_learned(
    dataset: str,
    method: str,
    seed: int = 0,
    variant: str = "released",
    epochs: int = 20,
    precision: str = "float32",
    reading: str = "default",
    device: str = "auto",
) -> dict[str, Any]:
    """A classical row on JULE's features instead of pixels: tables 4 and 11, section 4.1.4.

    Parameters as for :func:`clustlib.jule.runs.pixels.cluster_pixels`; ``seed`` is that of JULE's fit as well, and
    ``epochs``, ``precision`` and ``reading`` (a name of ``clustlib.jule.rows.JULE_VARIANTS``) are those of the fit.
    """
    fit = fit_of(dataset, seed, epochs, precision, reading, device)
    truth, features = datasets.load(dataset).labels, fit["embedding"]
    if method == "NMF-LP":  # wants no negative number; the paper does not say what it was given
        features = features - features.min()
    model = estimator(ROWS[method], len(np.unique(truth)), random_state=seed, variant=variant, device=device)
    labels = model.fit(features).labels_
    return {**scores(truth, labels), "labels": compact(labels)}


def stages(
    dataset: str,
    seed: int = 0,
    epochs: int = 20,
    precision: str = "float32",
    reading: str = "default",
    device: str = "auto",
) -> dict[str, Any]:
    """Clusters and features at the beginning, in the middle and at the end of a fit: figure 1 and the talk's pictures.

    The middle is what the last merging began with. Up to 5,000 images are kept, evenly spaced. ``reading`` is the fit's
    variant of JULE.

    Returns
    -------
    ``<stage>_n_clusters`` and ``<stage>_nmi``; ``<stage>_labels`` (n,), ``<stage>_components`` (n, 3) float16: the
    first three principal components; ``classes`` (n,).
    """
    fit = fit_of(dataset, seed, epochs, precision, reading, device)
    merged = len(fit["n_clusters"]) - 1  # the last line is the final clustering
    at = dict(zip(STAGES, (0, max(0, merged - 2), merged - 1)))
    shown = np.linspace(0, len(fit["OURS-SF"]) - 1, min(_SHOWN, len(fit["OURS-SF"]))).astype(np.int64)
    result: dict[str, Any] = {"classes": datasets.load(dataset).labels[shown].astype(np.uint8)}
    for stage, line in at.items():
        result[f"{stage}_n_clusters"] = float(fit["n_clusters"][line])
        result[f"{stage}_nmi"] = float(fit["nmi"][line])
        result[f"{stage}_labels"] = fit["stage_labels"][line][shown].astype(np.uint16)
        result[f"{stage}_components"] = fit["stage_components"][line][shown].astype(np.float16)
    return result


def check_fit(dataset: str, seed: int = 0, epochs: int = 20, reading: str = "default", **_: Any) -> None:
    """Refuse what cannot be right before any work is done."""
    choose("data set", dataset, datasets.names())
    choose("reading", reading, JULE_VARIANTS)
    check_seed(seed)
    check_integer("epochs", epochs, 1)


def _check_joint(dataset: str, method: str, variant: str = "default", **others: Any) -> None:
    check_fit(dataset, **others)
    choose("method", method, OURS)
    choose("variant", variant, JULE_VARIANTS)


def _check_learned(dataset: str, method: str, variant: str = "released", **others: Any) -> None:
    check_fit(dataset, **others)
    choose("method", method, ROWS)
    choose("variant", variant, ("released", "published"))


def uses_fit(params: dict[str, Any]) -> list[str]:
    """The settings that the fit is called with."""
    asked = {name: params[name] for name in ("variant", "unrolling_rate", "n_neighbors", "epochs") if name in params}
    if "reading" in params:
        asked["variant"] = params["reading"]
    return [repr(settings(params["dataset"], **asked))]


def _uses_learned(params: dict[str, Any]) -> list[str]:
    row = ROWS[params["method"]]
    fit = settings(params["dataset"], params.get("reading", "default"), epochs=params["epochs"])
    return [row.estimator, repr(row), repr(fit)]


def eta_of(params: dict[str, Any]) -> dict[str, float]:
    """What an unrolling rate of 0 stands for: the paper's for the data set."""
    return {"unrolling_rate": UNROLLING.get(params["dataset"], 0.9)}


records.declare(train_jule, uses=uses_fit, fills=eta_of)
records.declare(joint_clustering, check=_check_joint, uses=uses_fit, fills=eta_of)
records.declare(stages, check=check_fit, uses=uses_fit)
records.declare(cluster_learned, check=_check_learned, uses=_uses_learned)
