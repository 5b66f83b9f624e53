"""The folder of a result: ``clusters.csv``, ``index.html``, ``run.json`` and ``model/``.

The folder appears whole or not at all: it is written beside its place and then renamed. Nothing in it is code.
"""

import csv
import glob
import hashlib
import io
import itertools
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from clustlib._paths import check_place, lies_in
from clustlib.errors import DataCorrupt, DataMissing, UsageError
from clustlib.images.choice import Choice
from clustlib.images.grouping import standing
from clustlib.images.outcome import Outcome
from clustlib.images.page import page
from clustlib.kernels import KnnGraph, MergeTree

FORMAT = 2
PARTS, SUMS = ("arrays.npz", "model.json", "network.pt"), "SHA256SUMS"
_OWN = ("clusters.csv", "index.html", "run.json")  # files of a result folder, beside model/ and clusters/


def written(outcome: Outcome, target: Path) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every file of a result folder."""
    yield "clusters.csv", _table(outcome)
    yield "index.html", page(outcome, target.name).encode("utf-8", "replace")
    yield "run.json", _json(_run(outcome))
    parts = {"model.json": _json(_model(outcome)), "arrays.npz": _npz(_arrays(outcome))}
    if outcome.weights is not None:
        import torch

        buffer = io.BytesIO()
        torch.save(outcome.weights, buffer)
        parts["network.pt"] = buffer.getvalue()
    for name, content in {**parts, SUMS: _sums(parts)}.items():
        yield f"model/{name}", content


def _sums(parts: dict[str, bytes]) -> bytes:
    """What ``sha256sum -c`` compares: a changed byte of one part, or a part of another result, is told."""
    return "".join(f"{hashlib.sha256(parts[name]).hexdigest()}  {name}\n" for name in sorted(parts)).encode()


def write(outcome: Outcome, target: Path, source: Path | None = None, folders: str | None = None) -> None:
    """Write a result folder, in place of an earlier one if there is one.

    Parameters
    ----------
    source : the folder of the images, for ``folders``: "link" or "copy" puts them into a folder for each cluster.
    """
    with replacing_folder(target) as temporary:
        for name, content in written(outcome, target):
            path = temporary / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        if folders and source is not None:
            _sort_into_folders(outcome, source.resolve(), temporary / "clusters", folders)


def _sort_into_folders(outcome: Outcome, source: Path, target: Path, how: str) -> None:
    width = len(str(outcome.n_clusters))
    for file, label in zip(outcome.files, outcome.labels.tolist()):
        path = target / f"{label + 1:0{width}d}" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if how == "link":
            path.symlink_to(source / file)
        else:
            shutil.copyfile(source / file, path)


def check_target(target: Path, source: Path | None = None) -> None:
    """Refuse a place for a result that is inside the images, holds them, or holds something else.

    Raises
    ------
    UsageError
    """
    if target.is_symlink():
        raise UsageError(f"{target} is there and is no folder")
    target = target.resolve()
    check_place(target)
    if source is not None:
        if lies_in(target, source):
            raise UsageError(f"the result cannot lie inside the images: {target}")
        if lies_in(source, target):
            raise UsageError(f"the result cannot take the place of a folder that holds the images: {target}")
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is there and is no folder")
    if target.is_dir() and any(target.iterdir()) and not is_result(target):
        raise UsageError(f"{target} is there and is no result of an earlier run; choose another place with --out")
    other = next(_others(target), None)
    if other is not None:
        raise UsageError(f"{target} also holds {other!r}, which would be lost; choose another place with --out")


def _others(target: Path) -> Iterator[str]:
    """What lies in a result folder at any depth that no run has put there, relative to it."""
    try:
        files = set(json.loads((target / "model" / "model.json").read_bytes())["files"])
    except (OSError, ValueError, KeyError, TypeError):
        files = set()
    for folder, inner, names in os.walk(target):
        place = Path(folder).relative_to(target).parts
        links = [name for name in inner if os.path.islink(os.path.join(folder, name))]
        for name in sorted({*names, *links, *(inner if place == ("model",) else ())}):
            own = {(): _OWN, ("model",): (*PARTS, SUMS)}.get(place, ())
            sorted_in = place[:1] == ("clusters",) and "/".join((*place[2:], name)) in files
            if not (name in own and name not in inner) and not sorted_in:
                yield "/".join((*place, name))
        yield from (name for name in sorted(inner) if place == () and name not in ("model", "clusters", *links))


def is_result(folder: Path) -> bool:
    """Whether a folder is what :func:`write` leaves."""
    return (folder / "run.json").is_file() and (folder / "model" / "model.json").is_file()


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """A folder beside ``target`` that takes its place when the block succeeds, and else is removed."""
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    _sweep(target)
    try:
        temporary.mkdir()
        yield temporary
        _check_again(target, temporary)
        if target.exists():
            os.rename(target, old)
        os.rename(temporary, target)
    finally:
        if old.exists() and not target.exists():
            os.rename(old, target)
        for left in (temporary, old):
            shutil.rmtree(left, ignore_errors=True)


def _check_again(target: Path, made: Path) -> None:
    """Raise :class:`UsageError` where what must not be lost was laid at ``target`` during the run, which is kept."""
    try:
        check_target(target)
    except UsageError as error:
        beside = (target.with_name(f"{target.name}-{number}") for number in itertools.count(2))
        free = next(place for place in beside if not os.path.lexists(place))
        os.rename(made, free)
        raise UsageError(f"the result is in {free}, since {error}") from None


def _sweep(target: Path) -> None:
    """Remove what killed runs left; a result that was just being replaced goes back to its place."""
    for left in target.parent.glob(f".{glob.escape(target.name)}.*"):
        pid = left.name.removeprefix(f".{target.name}.").removesuffix(left.suffix)
        if left.suffix not in (".part", ".old") or not pid.isdecimal() or _lives(int(pid)):
            continue
        if left.suffix == ".old" and not target.exists():
            os.rename(left, target)
        else:
            shutil.rmtree(left, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _table(outcome: Outcome) -> bytes:
    """The table, by cluster and rank, UTF-8; bytes of a name that are no UTF-8 are kept as they are."""
    text = io.StringIO(newline="")
    out = csv.writer(text)
    out.writerow(["file", "cluster", "score", "rank", *(["label"] if outcome.truth else [])])
    for i in np.lexsort((outcome.standing.rank, outcome.labels)).tolist():
        row = [outcome.files[i], outcome.labels[i] + 1, f"{outcome.standing.score[i]:.4f}", outcome.standing.rank[i]]
        out.writerow([*row, *([outcome.truth[i]] if outcome.truth else [])])
    return text.getvalue().encode("utf-8", "surrogateescape")


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode("ascii")


def _run(outcome: Outcome) -> dict[str, Any]:
    import platform

    import PIL
    import torch

    from clustlib import __version__

    versions = {"clustlib": __version__, "python": platform.python_version(), "numpy": np.__version__}
    versions |= {"torch": torch.__version__, "pillow": PIL.__version__}
    kinds = [{"reason": reason, "files": many} for reason, many, _ in outcome.counted]
    listed = {file: f"{reason}: {detail}" if detail else reason for file, (reason, detail) in outcome.skipped.items()}
    return {
        "folder": outcome.name,
        "images": len(outcome.files),
        "clusters": outcome.n_clusters,
        "sizes": np.bincount(outcome.labels).tolist(),
        "chosen": {
            "given": outcome.choice.given,
            "next_best": list(outcome.choice.others),
            "bits_per_image": [round(float(v), 5) for v in outcome.choice.lengths[:1000]],
        },
        "scores": outcome.scores,
        "settings": outcome.settings,
        "seconds": {name: round(value, 2) for name, value in outcome.seconds.items()},
        "notes": list(outcome.notes),
        "versions": versions,
        "skipped": {"files": len(outcome.skipped), "kinds": kinds, "list": listed},
    }


def _model(outcome: Outcome) -> dict[str, Any]:
    names = ("name", "files", "exact", "settings", "model", "truth", "seconds", "notes", "scores")
    choice = {"n_clusters": outcome.choice.n_clusters, "given": outcome.choice.given, "others": outcome.choice.others}
    fields = {name: getattr(outcome, name) for name in names}
    return {"format": FORMAT, **fields, "choice": choice, "skipped": outcome.skipped}


def _arrays(outcome: Outcome) -> dict[str, np.ndarray]:
    chosen = sorted(outcome.thumbnails)
    tree, graph = outcome.tree, outcome.graph
    return {
        "labels": outcome.labels.astype(np.int32),
        "rows": outcome.rows.astype(np.float16),
        "neighbours": graph.indices,
        "weights": graph.weights.astype(np.float32),
        "sigma2": np.array(graph.sigma2),
        **{f"tree_{name}": getattr(tree, name) for name in ("initial", "children", "heights", "sizes")},
        "lengths": outcome.choice.lengths,
        "thumbnail_of": np.array(chosen, np.int64),
        "thumbnail_ends": np.cumsum([len(outcome.thumbnails[i]) for i in chosen], dtype=np.int64),
        "thumbnail_bytes": np.frombuffer(b"".join(outcome.thumbnails[i] for i in chosen), np.uint8),
        **{f"model_{name}": array for name, array in outcome.arrays.items()},
    }


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def read(folder: Path) -> Outcome:
    """A result folder as it was written; nothing in it is run.

    Raises
    ------
    DataMissing : no result folder. DataCorrupt : one that is not whole.
    """
    if not is_result(folder):
        raise DataMissing(f"{folder} is no result of clustlib cluster: it has no run.json and model/")
    with as_written(folder):
        return _read(folder / "model")


@contextmanager
def as_written(folder: Path) -> Iterator[None]:
    """Around what is done with a result's model: one that was edited fails anywhere, and that is told in one line.

    Raises
    ------
    DataCorrupt
    """
    try:
        yield
    except (UsageError, MemoryError):
        raise
    except Exception as error:  # torch and NumPy raise a dozen types on a damaged file
        why = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise DataCorrupt(f"{folder / 'model'} cannot be read: {why}") from None


def _compared(folder: Path) -> dict[str, bytes]:
    """The content of a model's files by name, which is that of their sums; files that have none are not read."""
    if not (folder / SUMS).is_file():
        raise ValueError(f"it has no {SUMS}: it is not whole, or of an older version; run cluster again")
    sums = (folder / SUMS).read_bytes()
    named = [name for name in PARTS if f"  {name}\n".encode() in sums]
    if odd := [name for name in named if not (folder / name).is_file()]:
        raise ValueError(f"{odd[0]} is no file; run cluster again")
    parts = {name: (folder / name).read_bytes() for name in named}
    if sums != _sums(parts):
        raise ValueError(f"its files are not those of {SUMS}; run cluster again")
    return parts


def _check_model(model: dict[str, Any], n_images: int) -> None:
    """Raise ``ValueError`` on a field of a model that is not as :func:`_model` writes it."""
    from clustlib.images.activations import KINDS

    def texts(value: Any, many: int | None = None) -> bool:
        return isinstance(value, list) and {str} >= set(map(type, value)) and (many is None or len(value) == many)

    def numbers(value: Any) -> bool:
        return isinstance(value, dict) and {int, float} >= set(map(type, value.values()))

    settings, choice, files = model["settings"], model["choice"], model["files"]
    holds = {
        "name": isinstance(model["name"], str),
        "files": texts(files, n_images) and len(set(files)) == n_images,
        "skipped": all(list(map(type, reason)) == [str, str] for reason in model["skipped"].values()),
        "truth": model["truth"] is None or texts(model["truth"], n_images),
        "notes": texts(model["notes"]),
        "exact": isinstance(model["exact"], bool),
        "model": isinstance(model["model"], dict),
        "seconds": numbers(model["seconds"]),
        "scores": numbers(model["scores"]),
        "method": isinstance(settings["method"], str),
        "features": settings["features"] in KINDS,
        "size": settings["size"] is None or (type(settings["size"]) is int and 4 <= settings["size"] <= 512),
        "choice": choice["n_clusters"] in range(1, n_images + 1) and {int} >= set(map(type, choice["others"])),
    }
    if wrong := [name for name, right in holds.items() if not right]:
        raise ValueError(f"its {wrong[0]} cannot be")


def _check_arrays(arrays: dict[str, np.ndarray]) -> None:
    """Raise ``ValueError`` on arrays of a model that :func:`_arrays` would not write."""
    n = len(arrays["labels"])
    names = ("neighbours", "weights", "sigma2", "lengths", "thumbnail_of", "thumbnail_ends", "thumbnail_bytes")
    neighbours, weights, sigma2, lengths, of, ends, content = (arrays[name] for name in names)
    initial, children, heights, sizes = (arrays[f"tree_{name}"] for name in ("initial", "children", "heights", "sizes"))
    leaves = int(initial.max()) + 1

    def within(indices: np.ndarray, below: int) -> bool:
        return indices.dtype.kind in "iu" and bool(((indices >= 0) & (indices < below)).all())

    holds = {
        "neighbours": within(neighbours, n) and neighbours.shape == weights.shape,
        "weights": bool((np.isfinite(weights) & (weights >= 0)).all() and np.isfinite(sigma2) and sigma2 >= 0),
        "lengths": lengths.ndim == 1 and bool(np.isfinite(lengths).all()),
        "tree": initial.shape == (n,) and within(initial, n) and children.shape == (len(heights), 2),
        "merges": len(heights) < leaves and within(children, 2 * leaves) and bool(np.isfinite(heights).all()),
        "sizes": sizes.shape == heights.shape and bool((sizes > 0).all()),
        "thumbnails": within(of, n) and of.shape == ends.shape and bool((np.diff(ends, prepend=0) >= 0).all()),
        "pictures": len(content) == (ends[-1] if len(ends) else 0),
    }
    if wrong := [name for name, right in holds.items() if not right]:
        raise ValueError(f"its {wrong[0]} cannot be")


def _read(folder: Path) -> Outcome:
    parts = _compared(folder)
    model = json.loads(parts["model.json"])
    if model.pop("format") != FORMAT:
        raise ValueError("it was written by another version")
    with np.load(io.BytesIO(parts["arrays.npz"]), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    weights = None
    if "network.pt" in parts:
        import torch

        weights = torch.load(io.BytesIO(parts["network.pt"]), map_location="cpu", weights_only=True)
    labels, rows = arrays["labels"].astype(np.int64), arrays["rows"].astype(np.float32)
    graph = KnnGraph(arrays["neighbours"], arrays["weights"].astype(np.float64), float(arrays["sigma2"]))
    if not len(model["files"]) == len(labels) == len(rows) == len(graph.indices):
        raise ValueError("its parts are of different lengths")
    _check_model(model, len(labels))
    if sorted(set(labels.tolist())) != list(range(labels.max() + 1)) or not np.isfinite(rows).all():
        raise ValueError("its clusters are not numbered from 0 on, or its rows are not finite")
    _check_arrays(arrays)
    ends, content = arrays["thumbnail_ends"].tolist(), arrays["thumbnail_bytes"].tobytes()
    thumbnails = {i: content[a:b] for i, a, b in zip(arrays["thumbnail_of"].tolist(), [0, *ends], ends)}
    choice = Choice(**{**model.pop("choice"), "lengths": arrays["lengths"]})
    return Outcome(
        **{**model, "skipped": {f: tuple(why) for f, why in model["skipped"].items()}, "notes": tuple(model["notes"])},
        labels=labels,
        standing=standing(rows, graph, labels),
        choice=replace(choice, others=tuple(choice.others)),
        tree=MergeTree(*(arrays[f"tree_{name}"] for name in ("initial", "children", "heights", "sizes"))),
        rows=rows,
        graph=graph,
        thumbnails=thumbnails,
        arrays={name.removeprefix("model_"): a for name, a in arrays.items() if name.startswith("model_")},
        weights=weights,
    )
