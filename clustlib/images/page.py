"""The page of a result: one HTML file that asks the network for nothing."""

import base64
import json
from importlib import resources
from typing import Any

import numpy as np

from clustlib.images.layout import layout
from clustlib.images.outcome import Outcome

_GROUPS = 240  # the finest cut that the page can show
_THUMBNAILS = 2400
_POINTS = 12_000


def page(outcome: Outcome, result: str) -> str:
    """The page as text; ``result`` is the name of its folder, for the commands that it shows."""
    data = json.dumps(contents(outcome, result), separators=(",", ":"))
    # within a script element only this can end it, or begin a comment
    data = data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return resources.files("clustlib.images").joinpath("page.html").read_text(encoding="utf-8").replace("@DATA@", data)


def contents(outcome: Outcome, result: str) -> dict[str, Any]:
    """What the page shows, as JSON values."""
    groups, sizes, first, merges = _groups(outcome)
    places = layout(outcome.rows, outcome.labels)
    chosen = _chosen(outcome, groups)
    points = _points(len(groups), chosen)
    place_of = {i: p for p, i in enumerate(points.tolist())}
    drawn = np.rint(places[points] * 1000).astype(int)
    lengths = outcome.choice.lengths
    shown = min(len(lengths), max(40, 3 * outcome.n_clusters, *(2 * other for other in (1, *outcome.choice.others))))
    return {
        "title": outcome.name,
        "lead": lead(outcome),
        "result": result,
        "k": outcome.n_clusters,
        "groups": {"sizes": sizes, "first": first, "merges": merges},
        "images": [_image(outcome, i, groups, place_of) for i in chosen],
        "points": np.column_stack([drawn, groups[points]]).ravel().tolist(),
        "curve": {
            "lengths": [round(float(v), 4) for v in lengths[:shown]],
            "best": int(lengths.argmin()) + 1 if len(lengths) else outcome.n_clusters,
            "others": list(outcome.choice.others),
            "given": outcome.choice.given,
        },
        "notes": list(outcome.notes),
        "skipped": [[reason, many, _examples(files)] for reason, many, files in outcome.counted],
        "nSkipped": len(outcome.skipped),
        "versions": _versions(outcome),
    }


def _groups(outcome: Outcome) -> tuple[np.ndarray, list[int], list[int], list[list[int]]]:
    """The finest clusters of the page: of every image its group; sizes, first images, and the merges among them."""
    tree = outcome.tree
    most = min(tree.n_leaves, max(_GROUPS, outcome.n_clusters))
    done = tree.n_leaves - most
    root = np.arange(tree.n_leaves + len(tree.children))
    root[tree.children[:done]] = np.arange(tree.n_leaves, tree.n_leaves + done)[:, None]
    while (root[root] != root).any():
        root = root[root]
    nodes, first, groups = np.unique(root[tree.initial], return_index=True, return_inverse=True)
    number = {int(node): i for i, node in enumerate(nodes)}
    number |= {tree.n_leaves + done + step: most + step for step in range(len(tree.children) - done)}
    merges = [[number[int(a)], number[int(b)]] for a, b in tree.children[done:]]
    return groups, np.bincount(groups).tolist(), first.tolist(), merges


def _chosen(outcome: Outcome, groups: np.ndarray) -> list[int]:
    """The images that the page shows, of those that have a thumbnail."""
    held = np.array(sorted(outcome.thumbnails), dtype=np.int64)
    if len(held) <= _THUMBNAILS:
        return held.tolist()
    rank, score, labels = (a[held] for a in (outcome.standing.rank, outcome.standing.score, outcome.labels))
    within = np.empty(len(held), np.int64)  # place in the group
    order = np.lexsort((rank, groups[held]))
    starts = np.searchsorted(groups[held][order], groups[held][order])
    within[order] = np.arange(len(held)) - starts
    typical = max(15, _THUMBNAILS // 3 // outcome.n_clusters)
    doubt = np.empty(len(held), np.int64)
    order = np.lexsort((score, labels))
    doubt[order] = np.arange(len(held)) - np.searchsorted(labels[order], labels[order])
    urgency = np.minimum.reduce([rank / typical, np.where(score < 0.5, (doubt + 1) / 12, np.inf), (within + 1) / 5])
    return np.sort(held[np.argsort(urgency, kind="stable")[:_THUMBNAILS]]).tolist()


def _points(n: int, chosen: list[int]) -> np.ndarray:
    if n <= _POINTS:
        return np.arange(n)
    return np.unique(np.concatenate([chosen, np.linspace(0, n - 1, _POINTS).astype(np.int64)]))


def _image(outcome: Outcome, i: int, groups: np.ndarray, place_of: dict[int, int]) -> dict[str, Any]:
    entry = {
        "f": outcome.files[i],
        "t": base64.b64encode(outcome.thumbnails[i]).decode("ascii"),
        "g": int(groups[i]),
        "r": int(outcome.standing.rank[i]),
        "s": round(float(outcome.standing.score[i]), 3),
        "n": int(outcome.standing.next[i]) + 1,
        "p": place_of[i],
    }
    return entry | ({"l": outcome.truth[i]} if outcome.truth else {})


def lead(outcome: Outcome) -> str:
    """How many images and clusters there are, and how they were made, in two sentences."""
    many, k = len(outcome.files), outcome.n_clusters
    said = f"{many:,} image{'s' * (many != 1)} in {k:,} cluster{'s' * (k != 1)}"
    said += " (the number was given)" if outcome.choice.given else " (the number was found)"
    if outcome.skipped:
        said += f"; {len(outcome.skipped):,} other file{'s' * (len(outcome.skipped) != 1)} skipped"
    return f"{said}. Method {outcome.settings['method']}, {outcome.seconds.get('all', 0):,.0f} seconds."


def _examples(files: list[str], many: int = 3) -> str:
    return ", ".join(files[:many]) + (", …" if len(files) > many else "")


def _versions(outcome: Outcome) -> str:
    from clustlib import __version__

    settings = ", ".join(f"{name} {value}" for name, value in outcome.settings.items() if value is not None)
    return f"clustlib {__version__}: {settings}"
