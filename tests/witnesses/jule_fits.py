"""Fits of JULE: as the paper says, as its released code does, and one switch at a time."""

import tempfile
from pathlib import Path

import numpy as np

from witnesses._data import digits, errors_of, pictures, untimed, weights_of
from witnesses._find import find, holding, home

SMALL = {"epochs": 1, "n_neighbors": 5, "batch_size": 12, "network": {"filters": 4, "features": 6}, "device": "cpu"}


def _fit(n_clusters: int | None = 4, data: tuple = (), kind: str = "JULE", **options) -> dict[str, np.ndarray]:
    images, labels = data or digits()
    return _outputs(find(kind)(n_clusters, **{**SMALL, **options}).fit(images, labels))


def _outputs(model) -> dict[str, np.ndarray]:
    stages = {f"stage.{i}.{name}": value for i, stage in enumerate(model.stages_) for name, value in stage.items()}
    tree = (
        {} if model.sf_tree_ is None else {"sf heights": model.sf_tree_.heights, "sf children": model.sf_tree_.children}
    )
    return {
        "sf": model.labels_sf_,
        "rc": model.labels_rc_,
        "embedding": model.embedding_,
        "n": np.array(model.n_clusters_),
        "heights": model.merge_tree_.heights,
        "children": model.merge_tree_.children,
        **tree,
        **untimed(model.history_),
        **stages,
        **weights_of(model.network_),
    }


def jule() -> dict[str, np.ndarray]:
    """The paper's settings, small: several periods, handfuls that are absorbed."""
    return _fit(unrolling_rate=0.4, epochs=2)


def jule_released() -> dict[str, np.ndarray]:
    """All that the released code does otherwise; then with its first and last trainings as in Algorithm 1."""
    released = {
        "gamma": 1.0,
        "gradient": "released",
        "dampening": 0.9,
        "criterion": "released",
        "update": "released_fast",
        "isolated": "released",
        "small": "keep",
        "chains": "released",
        "statistics": "batch",
    }
    found = {f"released.{k}": v for k, v in _fit(3, unrolling_rate=0.5, **released).items()}
    algorithm = _fit(
        3,
        unrolling_rate=0.5,
        train_first=False,
        train_last=True,
        reset_rate=True,
        init="torch",
        epochs=2,
        learning_rate=0.5,
    )
    return found | {f"algorithm.{k}": v for k, v in algorithm.items()}


def jule_switches() -> dict[str, np.ndarray]:
    """One departure a fit, on data where each matters; one without a number of clusters."""
    few = digits((6, 5, 4, 1))
    found: dict[str, np.ndarray] = {}
    for name, options in {
        "nearest": {"negatives": "nearest", "n_negatives": 2, "margin": 0.0},
        "absorb": {"small": "absorb", "n_clusters": 2},
        "bfloat16": {"precision": "bfloat16", "criterion": "affinity"},
        "unknown": {"n_clusters": None, "unrolling_rate": 0.6},
        "one": {"n_clusters": 1, "update": "paper_fast"},
        "keep": {"small": "keep", "isolated": "keep", "weight": 0.3, "k_c": 2},
        "rate": {"momentum": 0.0, "weight_decay": 0.1, "reset_rate": True, "unrolling_rate": 0.3, "a": 0.3},
    }.items():
        found |= {
            f"{name}.{k}": v for k, v in _fit(data=few, **{"n_clusters": 3, "unrolling_rate": 0.5, **options}).items()
        }
    return found


def jule_kept() -> dict[str, np.ndarray]:
    """A fit that goes on from its checkpoint; new images; other numbers of clusters; what is refused."""
    JULE = find("JULE")
    images, labels = digits((7, 6, 5, 2))
    how = {
        **SMALL,
        "unrolling_rate": 0.5,
        "batch_size": 7,
        "random_state": 3,
        "checkpoint": Path("jule.pt"),
        "network": {"blocks": 2, "padding": 1, "filters": 4, "features": 6},
        "init": "torch",
    }
    made = home("JULE")
    whole = made.JULE(2, **{**how, "checkpoint": None, "epochs": 2}).fit(images)
    found = {f"whole.{k}": v for k, v in _outputs(whole).items()}
    for layer in ("top", "top-1", "top-2"):
        found[f"new.{layer}"] = whole.transform(images[::3], layer)
    found |= {
        f"at.{k}": whole.labels_at(k) for k in {1, 2, whole.merge_tree_.n_leaves} if k <= whole.merge_tree_.n_leaves
    }
    train, calls = JULE._train, []

    def dies(self, *arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train(self, *arguments)

    JULE._train = dies
    try:
        JULE(2, **{**how, "epochs": 2}).fit(images)
    except KeyboardInterrupt:
        found["killed"] = np.array(len(calls))
    finally:
        JULE._train = train
    found |= {f"resumed.{k}": v for k, v in _outputs(JULE(2, **{**how, "epochs": 2}).fit(images)).items()}
    found |= {
        f"patches.{k}": v
        for k, v in _fit(2, (pictures(14, 2, 6, 6) / np.float32(255), None), "PatchJULE", unrolling_rate=0.5).items()
    }
    components = find("principal_components")
    r = np.random.default_rng(1)
    found |= {
        f"components.{s}": components(r.normal(size=s).astype(np.float32), 3) for s in ((9, 4), (4, 9), (5, 5), (6, 2))
    }
    fit = lambda **o: JULE(**{**SMALL, "n_clusters": 2, "epochs": 1, **o}).fit(images)  # noqa: E731
    cases = [
        {"unrolling_rate": 0},
        {"unrolling_rate": 1},
        {"epochs": 0},
        {"batch_size": 1},
        {"n_neighbors": 0},
        {"gamma": -1},
        {"margin": -1},
        {"weight_decay": -1},
        {"momentum": -1},
        {"dampening": -1},
        {"small": "x"},
        {"learning_rate": 0},
        {"random_state": True},
        {"random_state": 1.0},
        {"statistics": "x"},
        {"precision": "x"},
        {"init": "x"},
        {"n_clusters": 20},
        {"n_clusters": 21},
        {"checkpoint": Path("jule.pt")},
    ]
    found |= errors_of(lambda **o: fit(**o), {str(case): ((), case) for case in cases})
    model = JULE(2, **SMALL)
    found |= errors_of(
        model.fit, {"y": ((images, labels[1:]), {}), "two": ((images[:2],), {}), "rank": ((images[0, 0],), {})}
    )
    found |= errors_of(whole.labels_at, {str(k): ((k,), {}) for k in (0, 99)}) | errors_of(
        whole.transform, {"shape": ((images[:, :, 1:],), {}), "layer": ((images, "x"), {})}
    )
    with holding(home("TripletTraining"), _EXTRACT=6):
        found["blocks"] = whole.transform(images)
    return found


def jule_loaded() -> dict[str, np.ndarray]:
    """A fit that is saved, loaded and asked for the clusters of new images; dicts that hold what is not known."""
    (images, labels), (others, _) = digits(), digits((3, 3, 3), start=20)
    kind = find("JULE")
    model = kind(4, **SMALL).fit(images, labels)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model")
        again = kind.load(Path(folder) / "model", device="cpu")
    found = {name: getattr(again, f"{name}_") for name in ("labels", "labels_sf", "labels_rc", "embedding")}
    found |= {"heights": again.merge_tree_.heights, "children": again.merge_tree_.children}
    found |= {"sizes": again.merge_tree_.sizes, "initial": again.merge_tree_.initial}
    found |= {"new": again.predict(others), "features": again.transform(others), **weights_of(again.network_)}
    found["facts"] = np.array([*again.image_shape_, again.n_clusters_])
    networks = [{"x": 1}, {"filters": 0}, {"filters": True}, {}]
    cases = {str(network): ((4,), {**SMALL, "network": network}) for network in networks}
    return found | errors_of(lambda k, **how: kind(k, **how).fit(images), cases)


WITNESSES = {
    "jule": jule,
    "jule-released": jule_released,
    "jule-switches": jule_switches,
    "jule-kept": jule_kept,
    "jule-loaded": jule_loaded,
}
