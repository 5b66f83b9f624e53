"""The number of clusters: the rule, its curve and the runs that compare it with others."""

import tempfile
from pathlib import Path

import numpy as np

from witnesses._data import blobs, digits, error_of
from witnesses._find import find, holding, home
from witnesses._sets import plain, refusals, registered


def number_of_clusters() -> dict[str, np.ndarray]:
    """Every cut of a tree on groups of very different sizes, doubles and points alone; the runs on digits."""
    runs = home("count_clusters", "images")
    found: dict[str, np.ndarray] = {}
    estimate, lengths, mutual = find("estimate", "images"), find("description_lengths"), find("mutual_edges")
    for name, rows in (("groups", blobs((25, 12, 8, 3, 1), 5)), ("few", blobs((4, 2), 3)), ("one", blobs((30,), 4))):
        case = runs.prepared(rows, 1)
        chosen = estimate(case.tree, case.neighbours)
        found |= {
            f"{name}.k": np.array([chosen.n_clusters, *chosen.alternatives]),
            f"{name}.curve": chosen.description_length,
            f"{name}.plain": lengths(case.tree, mutual(case.neighbours)),
        }
    with registered() as sets:
        images, labels = digits((40, 30, 20, 12))
        sets["digits"] = type(sets["digits"])(images, labels, "digits")
        for method in ("Description length", "Planted partition", "Largest drop", "Silhouette", "Eigengap", "HDBSCAN"):
            found |= plain(runs.count_clusters("digits", method, features="pixels"), method)
        found |= plain(runs.count_clusters("digits", "Description length", features="pixels", size=60), "drawn")
        found |= plain(runs.count_on_subsets("digits", features="pixels", draws=4, seed=2), "subsets")
        found |= plain(runs.count_one_class("digits", features="pixels"), "one class")
        found |= refusals(runs.count_clusters, [{"method": "x"}, {"size": 19}, {"features": "x"}], dataset="digits")
    return found


def methods() -> dict[str, np.ndarray]:
    """A part of a set as a person's folder: its number of clusters given and not; a revision that cannot is silent."""
    runs = home("cluster_as_folder", "images")
    found: dict[str, np.ndarray] = {}
    with registered() as sets:
        images, labels = digits((20, 15, 9))
        sets["digits"] = type(sets["digits"])(images, labels, "digits")
        for method, known, size in (("gdl", True, 500), ("gdl", False, 500), ("kmeans", True, 30)):
            how = {"features": "pixels", "known": known, "size": size}
            made = runs.cluster_as_folder("digits", method, **how)
            timed = {name: value for name, value in made.items() if not name.startswith("seconds")}
            found |= plain(timed, f"{method} {known} {size}") | {f"{method} {known} {size}": np.array(sorted(made))}
        seen = runs.cluster_as_folder("digits", "kmeans", features="cnn", size=20)
        found["by activations"] = np.array([seen["accuracy"], seen["nmi_geometric"]])
        found |= _result_folder()
        cases = [{"method": "x"}, {"size": 19}, {"features": "x"}, {"method": "jule"}, {"seed": -1}]
        cases.append({"method": "DEC", "features": "pixels", "known": False})
        found |= refusals(runs.cluster_as_folder, cases, dataset="digits")
    return found


def _result_folder() -> dict[str, np.ndarray]:
    """The clusters of a few pictures, and a folder that cannot be the result's."""
    from PIL import Image

    cluster_folder = find("cluster_folder", "images")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "in").mkdir()
        for i, image in enumerate(digits((5, 5))[0]):
            Image.fromarray(image[0]).save(place / "in" / f"{i}.png")
        how = {"clusters": 2, "features": "pixels", "cache": place / "cache", "verbose": False}
        calls = []
        # the page's template is a file, which no revision has whose modules are held in memory
        with holding(home("check_target", "images"), write=lambda *given: calls.append(given[2].name + str(given[3]))):
            made = cluster_folder(place / "in", out=place / "out", folders="copy", **how)
        inside = error_of(cluster_folder, place / "in", out=place / "in" / "out", **how)
        too_many = error_of(cluster_folder, place / "in", **{**how, "clusters": 99})
    return {
        "cut": made.cut(3).labels,
        "labels of a folder": made.labels,
        "files": np.array(made.files),
        "written": np.array(calls),
        "inside": inside,
        "too many": too_many,
    }


WITNESSES = {"number-of-clusters": number_of_clusters, "methods-on-a-folder": methods}
