"""A folder in, clusters out: what the command line and the notebook call."""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from clustlib import compiled
from clustlib._device import resolve
from clustlib._validation import check_choice, check_integer, check_path
from clustlib.cluster._rows import of_groups
from clustlib.datasets.listing import list_images
from clustlib.errors import DataCorrupt, DataMissing, UsageError
from clustlib.images import result_folder
from clustlib.images.activations import maker_of
from clustlib.images.choice import Choice, choose
from clustlib.images.features import Look, look
from clustlib.images.folder import folder_labels, shaped
from clustlib.images.grouping import (
    LINKAGES,
    by_size,
    duplicates,
    graph_of,
    grouped,
    recall_note,
    rows_of,
    standing,
    tree_from,
    vote,
)
from clustlib.images.outcome import Outcome, kept_thumbnails
from clustlib.images.store import Store
from clustlib.images.systems import SYSTEMS, Fitted, kmeans

METHODS = ("auto", *LINKAGES, *SYSTEMS)
_LEARNS = tuple(name for name, system in SYSTEMS.items() if system.reads == "images")


def cluster_folder(
    folder: str | Path,
    *,
    clusters: int | None = None,
    method: str = "auto",
    features: str | None = None,
    size: int | None = None,
    labels: str | None = None,
    neighbor_method: str = "auto",
    seed: int = 0,
    device: str = "auto",
    out: str | Path | None = None,
    folders: str | None = None,
    cache: str | Path | None = None,
    verbose: bool = True,
) -> Outcome:
    """Cluster the images below a folder.

    Parameters
    ----------
    folder : its sub-folders are searched, and nothing in it is changed.
    clusters : how many; None finds the number.
    method : "auto" and "gdl" (graph degree linkage), "path", "zeta", "kmeans", "gsnmf" on ``features``; or "jule",
        "dbc", "deepcluster", which learn their own from pixels.
    features : "cnn" (EfficientNet-Lite0, the default) or "pixels".
    size : pixels a side of what is made of each image where pixels are used; 64 for a system, else 32.
    labels : "folders" compares with the folders that the images lie in; None knows no labels.
    neighbor_method : "exact", "approximate", or "auto", which is exact up to 100,000 images; see
        :func:`clustlib.kernels.knn`.
    seed : of what is random.
    out : the result folder; None writes none.
    folders : "link" or "copy" also sorts the images into a folder for each cluster, within ``out``.
    cache : the database of features; None is that of the user.
    verbose : show progress.

    Returns
    -------
    Outcome : ``files``, ``labels`` (from 0), ``standing``, ``choice``, ``skipped`` and so on.

    Raises
    ------
    DataMissing : no such folder, or no image in it. UsageError : a parameter that cannot be right.
    """
    if folders is not None:
        check_choice("folders", folders, ("link", "copy"))
        if out is None:
            raise UsageError(f"folders={folders!r} needs a place for them: out")
    if out is not None:
        check_path("out", out)
    check_path("folder", folder)
    how: dict[str, Any] = {"clusters": clusters, "method": method, "features": features, "size": size, "seed": seed}
    how |= {"labels": labels, "neighbor_method": neighbor_method, "device": device, "cache": cache, "verbose": verbose}
    if verbose and not compiled.folder().is_dir():
        print("kernels are compiled as they are needed: half a minute, this once", file=sys.stderr)
    if out is None:
        return outcome_of(folder, **how)
    result_folder.check_target(Path(out), Path(folder))
    outcome = outcome_of(folder, **how)
    result_folder.write(outcome, Path(out), Path(folder), folders)
    return outcome


def outcome_of(
    folder: str | Path,
    *,
    clusters: int | None,
    method: str,
    features: str | None,
    size: int | None,
    labels: str | None,
    neighbor_method: str,
    seed: int,
    device: str,
    cache: str | Path | None,
    verbose: bool,
) -> Outcome:
    """What :func:`cluster_folder` finds, and no folder of it; the parameters are those."""
    clock = time.perf_counter()
    folder = Path(folder)
    features = _check(clusters, method, features, size, labels, seed)
    check_choice("neighbor_method", neighbor_method, ("auto", "exact", "approximate"))
    resolve(device)
    clusters, size = (None if value is None else int(value) for value in (clusters, size))  # NumPy's are no JSON
    seed = int(seed)
    side = size or (64 if method in _LEARNS else 32)
    with Store(cache) as store:
        seen = _seen(folder, features, side, device, store, verbose)
        import sklearn.utils.validation  # noqa: F401 - loaded with the features, as torch is: clustering is itself alone

        spent = {"features": time.perf_counter() - clock}
        if clusters is not None and clusters > len(seen.files):
            raise UsageError(f"{clusters} clusters are more than the {len(seen.files)} images")
        outcome = _clustered(
            seen, method, features, side, clusters, neighbor_method, seed, device, folder, store, verbose
        )
    settings = {"method": method, "features": features, "size": side if features == "pixels" else None}
    settings |= {"clusters": clusters, "seed": seed, "labels": labels}
    truth = folder_labels(seen.files) if labels == "folders" else None
    outcome = replace(outcome, name=folder.resolve().name, settings=settings, truth=truth)
    outcome = replace(outcome, **_told(outcome, seen, seed))
    spent |= {"clustering": time.perf_counter() - clock - spent["features"]}
    return replace(outcome, seconds={**spent, "all": time.perf_counter() - clock})


def assign(result: str | Path, folder: str | Path, *, cache: str | Path | None = None, verbose: bool = True) -> Any:
    """Put new images into the clusters of a result.

    Returns
    -------
    Assigned : ``files``, ``labels`` (from 0), ``score`` (share of the votes of the nearest known images), ``skipped``.

    Raises
    ------
    DataMissing : no result, no folder, no image in it. DataCorrupt : a damaged result.
    """
    check_path("result", result)
    check_path("folder", folder)
    known = result_folder.read(Path(result))
    with result_folder.as_written(Path(result)):
        embed, features, side = embedder(known), known.settings["features"], known.settings["size"] or 32
        maker_of(features, side, "auto")
    with Store(cache) as store:
        seen = _seen(Path(folder), features, side, "auto", store, verbose)
    with result_folder.as_written(Path(result)):
        labels, score = vote(known.rows, known.labels, embed(seen.vectors))
    return Assigned(seen.files, labels, score, seen.skipped)


class Assigned:
    """New images and their clusters; the fields are those that :func:`assign` names."""

    def __init__(self, files: list[str], labels: np.ndarray, score: np.ndarray, skipped: dict) -> None:
        self.files, self.labels, self.score, self.skipped = files, labels, score, skipped


def embedder(known: Outcome) -> Callable[[np.ndarray], np.ndarray]:
    """From vectors, as features and pixels are kept, to rows like ``known.rows``."""
    method = known.settings["method"]
    if method not in METHODS:
        raise ValueError(f"there is no method {method!r}")
    if method not in SYSTEMS:
        return rows_of
    embed = SYSTEMS[method].embedder(known.model, known.arrays, known.weights)
    if SYSTEMS[method].reads == "vectors":
        return embed
    side, channels = known.settings["size"], known.model["shape"][0]
    return lambda vectors: embed(shaped(vectors, side, channels))


def _check(clusters: Any, method: Any, features: Any, size: Any, labels: Any, seed: Any) -> str:
    """The kind of features to take, if every choice is one that there is."""
    for name, value, known in (
        ("method", method, METHODS),
        ("features", features, (None, "cnn", "pixels")),
        ("labels", labels, (None, "folders")),
    ):
        check_choice(name, value, known)
    if clusters is not None:
        check_integer("clusters", clusters, 1)
    if size is not None:
        check_integer("size", size, 4, 512)
    check_integer("seed", seed, 0, 2**32 - 1)
    if method in _LEARNS and features == "cnn":
        raise UsageError(f"{method} learns its own features from pixels; leave features out")
    return "pixels" if method in _LEARNS else features or "cnn"


def _seen(folder: Path, features: str, side: int, device: str, store: Store, verbose: bool) -> Look:
    listing = list_images(folder)
    if not listing.files:
        raise DataMissing(f"there are no images in {folder}")
    seen = look(listing, lambda: maker_of(features, side, device), store, verbose=verbose)
    if not seen.files:
        raise DataMissing(f"none of the {len(listing.files):,} image files in {folder} can be read")
    return seen


def _clustered(
    seen: Look,
    method: str,
    features: str,
    side: int,
    clusters: int | None,
    neighbor_method: str,
    seed: int,
    device: str,
    folder: Path,
    store: Store,
    verbose: bool,
) -> Outcome:
    if method in SYSTEMS:
        return _by_system(seen, method, side, clusters, neighbor_method, seed, device, folder, store, verbose)
    rows = rows_of(seen.vectors)
    linkage = "gdl" if method == "auto" else method
    grouping = grouped(rows, linkage, least=clusters or 1, method=neighbor_method, seed=seed)
    wanted, few = _possible(clusters, grouping.tree.n_leaves)
    choice = choose(grouping.tree, grouping.graph, wanted)
    labels = by_size(grouping.tree.labels(choice.n_clusters))
    notes = few + recall_note(rows, grouping.graph, neighbor_method, seed)
    return replace(_outcome(seen, labels, choice, grouping.tree, True, rows, grouping.graph), notes=notes)


def _by_system(
    seen: Look,
    method: str,
    side: int,
    clusters: int | None,
    neighbor_method: str,
    seed: int,
    device: str,
    folder: Path,
    store: Store,
    verbose: bool,
) -> Outcome:
    """One of the systems; where the number is not given, it is that of the merge tree on the network's features."""
    system = SYSTEMS[method]
    rows = rows_of(seen.vectors)
    same = duplicates(rows)
    wanted, few = _possible(clusters, int(same.max()) + 1)
    choice = Choice(wanted or 1, True)
    if clusters is None:
        whole = seen if system.reads == "vectors" else _seen(folder, "cnn", side, device, store, verbose)
        others = rows if whole is seen else rows_of(whole.vectors)
        tree = grouped(others, method=neighbor_method, seed=seed)
        choice = choose(tree.tree, tree.graph)
    data = seen.vectors if system.reads == "vectors" else shaped(seen.vectors, side)
    path = _checkpoint(method, data, choice.n_clusters, seed, store)
    fit = _fitted(system.fit, data, choice.n_clusters, seed, path, device)
    labels = by_size(of_groups(fit.labels, same))
    embedding = np.ascontiguousarray(fit.embedding, np.float32)
    graph = graph_of(embedding, neighbor_method, seed)
    tree_above = tree_from(graph, labels, embedding)
    outcome = _outcome(seen, labels, choice, tree_above, False, embedding, graph, fit)
    return replace(outcome, notes=few + fit.notes + recall_note(embedding, graph, neighbor_method, seed))


def _possible(clusters: int | None, most: int) -> tuple[int | None, tuple[str, ...]]:
    """How many clusters there can be of those asked for, and what a person is told where ``most`` images differ."""
    if clusters is None or clusters <= most:
        return clusters, ()
    return most, (f"{most:,} clusters in place of {clusters:,}: no more images differ from each other",)


def _outcome(
    seen: Look,
    labels: np.ndarray,
    choice: Choice,
    tree: Any,
    exact: bool,
    rows: np.ndarray,
    graph: Any,
    made: Fitted | None = None,
) -> Outcome:
    stands = standing(rows, graph, labels)
    return Outcome(
        name="",
        files=seen.files,
        labels=labels,
        standing=stands,
        choice=choice,
        tree=tree,
        exact=exact,
        rows=rows,
        graph=graph,
        thumbnails=kept_thumbnails(seen.thumbnails, labels, stands.rank),
        skipped=seen.skipped,
        settings={},
        model=made.settings if made else {},
        arrays=made.arrays if made else {},
        weights=made.weights if made else None,
    )


def _fitted(
    fit: Callable[..., Fitted], data: np.ndarray, k: int, seed: int, checkpoint: Path | None, device: str
) -> Fitted:
    """The fit, from where a killed one was; what cannot be gone on from (other settings, damage) is begun anew."""
    left = _left_of(checkpoint)
    try:
        made = fit(data, k, seed, checkpoint, device)
    except (UsageError, DataCorrupt):
        if not left:
            raise
        _forget(checkpoint)
        made = fit(data, k, seed, checkpoint, device)
    _forget(checkpoint)
    return made


def _left_of(checkpoint: Path | None) -> list[Path]:
    return [] if checkpoint is None else list(checkpoint.parent.glob(f"{checkpoint.name}*"))


def _forget(checkpoint: Path | None) -> None:
    for left in _left_of(checkpoint):
        left.unlink(missing_ok=True)
    if checkpoint is not None:
        with suppress(OSError):  # others run
            checkpoint.parent.rmdir()


def _checkpoint(method: str, data: np.ndarray, k: int, seed: int, store: Store) -> Path | None:
    """Where a fit that takes minutes keeps its state, beside the cache, so that a killed one goes on."""
    if method == "kmeans":
        return None
    from clustlib.checkpoints import content_hash

    what = json.dumps([method, content_hash(data), k, seed])
    running = store.path.with_name(f"{store.path.name}.running")
    try:
        running.mkdir(parents=True, exist_ok=True)
    except OSError:  # the store has said that nothing is kept
        return None
    return running / hashlib.sha256(what.encode()).hexdigest()[:32] if os.access(running, os.W_OK) else None


def _told(found: Outcome, seen: Look, seed: int) -> dict[str, Any]:
    """Scores and sentences: against the folders' labels, and beside k-means on the same vectors."""
    from clustlib import metrics

    scores: dict[str, float] = {}
    notes = list(found.notes)
    if found.truth is not None:
        known = np.unique(found.truth, return_inverse=True)[1]
        scores |= {"accuracy": metrics.accuracy(known, found.labels)}
        scores |= {"nmi": metrics.nmi(known, found.labels, average="arithmetic")}
        notes.append(
            f"Against the {known.max() + 1:,} folders: accuracy {scores['accuracy']:.3f}, NMI {scores['nmi']:.3f}."
        )
    if found.settings["method"] in SYSTEMS and found.settings["method"] != "kmeans" and found.n_clusters > 1:
        beside = kmeans(seen.vectors, found.n_clusters, seed).labels
        scores["nmi_with_kmeans"] = metrics.nmi(beside, found.labels, average="arithmetic")
        said = f"K-means on the same {found.settings['features']} shares NMI {scores['nmi_with_kmeans']:.3f} with this"
        if found.truth is not None:
            scores |= {"kmeans_accuracy": metrics.accuracy(known, beside)}
            scores |= {"kmeans_nmi": metrics.nmi(known, beside, average="arithmetic")}
            said += f"; against the folders its accuracy is {scores['kmeans_accuracy']:.3f}, "
            said += f"its NMI {scores['kmeans_nmi']:.3f}"
        notes.append(f"{said}.")
    return {"scores": {name: round(float(value), 4) for name, value in scores.items()}, "notes": tuple(notes)}
