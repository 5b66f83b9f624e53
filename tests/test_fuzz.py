"""Any parameters on any input: a result that keeps the contract, or one line that names what is wrong."""

import warnings

import numpy as np
import pytest
from fuzzing import JUNK, examples, is_one_line_naming
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from clustlib import cluster, kernels, metrics
from clustlib.errors import UsageError
from clustlib.transfer import random_patches, svm_accuracy
from clustlib.transfer.verification import cosine

BOTH = st.sampled_from(["published", "released"])
SEED = st.sampled_from([0, 7, np.int64(3), None, np.random.RandomState(0)])
MEMORY = st.sampled_from([0, 10.0**4, 10.0**9, np.inf])
MANY, SOME = st.integers(1, 9), st.none() | st.integers(1, 9)
ESTIMATORS = {
    cluster.KMeans: {
        "n_init": st.integers(1, 3),
        "init": st.sampled_from(["k-means++", "random"]),
        "max_iter": MANY,
        "tol": st.floats(0, 1),
        "random_state": SEED,
    },
    cluster.AverageLinkage: {"method": st.sampled_from(["auto", "scipy", "low_memory"]), "max_memory": MEMORY},
    cluster.GraphLinkage: {
        "linkage": st.sampled_from(["gdl", "path", "zeta"]),
        "n_neighbors": MANY,
        "a": st.floats(0.01, 100),
        "variant": BOTH,
        "update": st.sampled_from(["exact", "paper_fast", "released_fast"]),
        "criterion": st.sampled_from(["affinity", "local", "released"]),
        "k_c": MANY,
        "weight": st.floats(0, 10),
        "candidates": SOME,
        "z": st.floats(0.001, 0.1),
        "initial": st.sampled_from(["nearest", "singletons"]),
        "isolated": st.sampled_from(["auto", "nearest", "keep", "released"]),
    },
    cluster.SpectralNJW: {"variant": BOTH, "scale": st.floats(0.001, 10), "random_state": SEED, "max_memory": MEMORY},
    cluster.SelfTuningSpectral: {"variant": BOTH, "n_neighbors": SOME, "random_state": SEED, "max_memory": MEMORY},
    cluster.LandmarkSpectral: {"variant": BOTH, "n_landmarks": SOME, "n_nearest": MANY, "random_state": SEED},
    cluster.NormalizedCuts: {"variant": BOTH, "scale": st.floats(0.001, 10), "random_state": SEED},
    cluster.LocalityPreservingNMF: {
        "variant": BOTH,
        "n_components": SOME,
        "alpha": st.none() | st.floats(0, 1000),
        "n_neighbors": MANY,
        "n_init": st.integers(1, 2),
        "max_iter": MANY,
        "random_state": SEED,
    },
    cluster.DeepSemiNMF: {"layers": st.lists(MANY, min_size=1, max_size=2), "max_iter": MANY, "random_state": SEED},
}
TREES = (cluster.AverageLinkage, cluster.GraphLinkage)  # which split identical rows where more clusters are asked for


@st.composite
def tables(draw):
    """Mostly tables of numbers, near and far, with ties; sometimes what is none."""
    n, d, rng = draw(st.integers(0, 24)), draw(st.integers(0, 4)), np.random.default_rng(draw(st.integers(0, 999)))
    kind = draw(st.sampled_from(["normal", "normal", "lattice", "lattice", "groups", "wide", "constant", "odd"]))
    if kind == "odd":
        odd = [None, "rows", 3, [], [[1, 2], [3]], np.zeros(5), np.zeros((3, 2, 2)), [["a", "b"]], [[1j, 2]]]
        odd += [sparse.csr_array(np.eye(4)), [[{}, 1.0]], np.full((4, 2), np.nan), np.full((4, 2), np.inf)]
        odd += [np.array([["2020-01-01"]], dtype="datetime64[D]"), np.full((4, 2), 1e300), -np.ones((6, 2))]
        return draw(st.sampled_from(odd))
    X = rng.normal(size=(n, d)) if kind != "constant" else np.full((n, d), 3.0)
    if kind == "lattice":
        X = np.round(X)
    if kind == "groups":
        X = X * 1e-3 + draw(st.sampled_from([1.0, 1e4])) * rng.integers(0, 3, (n, 1))
    if kind == "wide":
        return rng.integers(-50, 50, (n, d)) + draw(st.sampled_from([0, 2**24, 2**53, 2**62]))
    X = np.abs(X) if draw(st.booleans()) else X
    X = X * draw(st.sampled_from([1.0, 1.0, 1e-12, 1e12])) + draw(st.sampled_from([0.0, 0.0, 0.0, 1e4, 1e8]))
    return X.astype(draw(st.sampled_from([np.float64, np.float32])))


@st.composite
def fits(draw):
    estimator = draw(st.sampled_from(list(ESTIMATORS)))
    chosen = ESTIMATORS[estimator]
    known = {"n_clusters": st.integers(1, 6), **chosen}
    names = draw(st.sets(st.sampled_from(sorted(known)), max_size=4)) | {"n_clusters"}
    options = {name: draw(known[name]) for name in sorted(names)}
    if draw(st.integers(0, 3)) == 0:
        options[draw(st.sampled_from(sorted(names)))] = draw(JUNK)
    return estimator, options, draw(tables())


@given(fits())
@examples(120)
def test_estimators(case):
    estimator, options, X = case
    model = estimator(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            labels = model.fit(X).labels_
        except UsageError as error:
            assert is_one_line_naming(error, [*model.get_params(), "X"]), error
            return
        except MemoryError as error:
            assert "max_memory" in str(error)
            return
    rows = np.asarray(X)
    assert labels.shape == (len(rows),)
    assert labels.dtype == np.int64
    assert labels.min() >= 0 and labels.max() < (model.n_clusters or len(rows))
    assert model.n_features_in_ == rows.shape[1]
    if not isinstance(model, TREES):
        distinct = np.unique(rows, axis=0, return_inverse=True)[1].ravel()
        assert len(set(zip(distinct, labels))) == distinct.max() + 1


LABELS = st.sampled_from(
    [[0, 1, 0, 1], [0, 0, 0, 0], [1], [], [0.5], ["a"], None, [[1, 2]], [2**63, -1, 0, 0], [np.nan]]
)
CODES = st.sampled_from([np.eye(4), np.eye(4, 2), np.zeros((4, 4)), np.eye(4) * 1e5, np.ones(3), None, np.eye(3) - 0.5])
CALLS = {
    metrics.accuracy: ({"y": LABELS, "p": LABELS}, ["labels", "predictions"]),
    metrics.purity: ({"y": LABELS, "p": LABELS}, ["labels", "predictions"]),
    metrics.nmi: (
        {"y": LABELS, "p": LABELS, "average": st.sampled_from(["max", "geometric"]) | JUNK},
        ["labels", "predictions", "average"],
    ),
    metrics.knn_purity: ({"features": tables(), "y": LABELS, "k": MANY | JUNK}, ["features", "labels", "k "]),
    metrics.one_nn_error: ({"train_features": tables(), "train_labels": LABELS}, ["features", "labels"]),
    metrics.trustworthiness: (
        {"X": tables(), "embedding": tables(), "n_neighbors": MANY | JUNK},
        ["X", "embedding", "n_neighbors"],
    ),
    kernels.knn: ({"X": tables(), "k": MANY | JUNK, "backend": st.just("auto") | JUNK}, ["X", "k, ", "backend"]),
    kernels.affinity_graph: (
        {"X": tables(), "n_neighbors": MANY | JUNK, "a": st.floats(0.1, 9) | JUNK, "variant": BOTH | JUNK},
        ["X", "neighbours", "a must", "variant"],
    ),
    kernels.kmeans: (
        {
            "rows": tables(),
            "n_clusters": MANY | JUNK,
            "n_iter": MANY | JUNK,
            "seed": st.just(0) | JUNK,
            "split": st.sampled_from(["released", "paper"]) | JUNK,
            "backend": st.sampled_from(["auto", "faiss", "torch"]) | JUNK,
            "device": st.just("cpu") | JUNK,
        },
        ["rows", "n_clusters", "n_iter", "seed", "split", "backend", "device"],
    ),
    kernels.power_iteration_clusters: (
        {"rows": tables(), "n_neighbors": MANY | JUNK, "sigma": st.just(0.2) | JUNK, "n_iter": MANY | JUNK},
        ["rows", "n_neighbors", "sigma", "n_iter"],
    ),
    kernels.soft_assign: ({"Z": CODES, "centers": CODES, "v": st.just(1.0) | JUNK}, ["Z", "centers", "codes", "v "]),
    kernels.boosted_target: (
        {"scores": CODES, "alpha": st.just(2.0) | JUNK, "normalisation": st.just("soft") | JUNK},
        ["scores", "alpha", "normalisation"],
    ),
    svm_accuracy: (
        {
            "learn": tables(),
            "learn_labels": LABELS,
            "test": tables(),
            "test_labels": LABELS,
            "C": st.just(1.0) | JUNK,
            "seed": st.just(0) | JUNK,
        },
        ["learn", "test", "C", "seed", "labels", "classes", "features"],
    ),
    cosine: ({"first": tables(), "second": tables()}, ["first", "second"]),
    random_patches: (
        {
            "images": st.sampled_from([np.zeros((2, 1, 6, 8)), np.zeros((2, 8)), None]),
            "n_patches": MANY | JUNK,
            "size": MANY | JUNK,
            "seed": st.just(0) | JUNK,
        },
        ["images", "n_patches", "size", "seed"],
    ),
}


@given(st.data())
@examples(80)
def test_functions(data):
    function = data.draw(st.sampled_from(list(CALLS)))
    arguments, names = CALLS[function]
    values = {name: data.draw(strategy, label=name) for name, strategy in arguments.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = function(**values)
        except UsageError as error:
            assert is_one_line_naming(error, names), error
            return
        except ValueError as error:  # of labels, which are checked where they are counted
            assert is_one_line_naming(error, names), error
            return
    for part in result if isinstance(result, tuple) else [result]:
        if part is not None and np.asarray(part).dtype.kind == "f":
            assert np.isfinite(np.asarray(part)).all()


@pytest.mark.parametrize("estimator", list(ESTIMATORS), ids=lambda e: e.__name__)
@pytest.mark.parametrize("method", ["predict", "labels_at"])
def test_a_question_before_the_fit_is_answered_in_one_line(estimator, method):
    if not hasattr(estimator, method):
        return
    with pytest.raises(ValueError, match="not fitted yet") as caught:
        getattr(estimator(), method)(2)
    assert is_one_line_naming(caught.value, [estimator.__name__])
