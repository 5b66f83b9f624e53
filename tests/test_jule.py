"""JULE: periods, the loop, both read-outs, resume, and input that must be refused."""

import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import clone

from clustlib import JULE, datasets, metrics
from clustlib._validation import unit_rows
from clustlib.errors import UsageError
from clustlib.jule.fit_state import principal_components
from clustlib.jule.unrolling import clusters_after, cut
from clustlib.kernels import KnnGraph, MergeTree, graph_linkage, initial_clusters

DIGITS = datasets.load("digits").take(300, 0)
FAST = {"epochs": 1, "n_neighbors": 10, "unrolling_rate": 0.5}


@pytest.fixture(scope="module")
def fitted():
    return JULE(10, epochs=2, n_neighbors=10, unrolling_rate=0.5).fit(DIGITS.images, DIGITS.labels)


@pytest.mark.parametrize(
    "rate, expected",
    [(0.9, [1762, 176, 17, 10]), (0.2, [140, 112, 89, 71, 56, 44, 35, 28, 22, 17, 13, 10])],
)
def test_periods_follow_the_unrolling_rate(rate, expected):
    found = [expected[0]]
    while found[-1] > 10:
        found.append(clusters_after(found[-1], rate, 10))
    assert found == expected


@pytest.mark.parametrize("n_samples, dim", [(200, 12), (12, 200), (12, 12), (50, 1)])
def test_components_of_the_stages_are_those_of_a_decomposition_in_float64(n_samples, dim):
    features = np.random.default_rng(0).normal(3, np.linspace(1, 9, dim), (n_samples, dim)).astype(np.float32)
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:3].T * np.sign([row[np.abs(row).argmax()] for row in axes[:3]])
    found = principal_components(features, 3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, centred @ axes, rtol=1e-3, atol=1e-3)


def test_binary_rounding_adds_no_merge():
    assert clusters_after(15, 0.2, 1) == 12 and clusters_after(10, 0.9, 1) == 1


def test_first_clusters_are_those_of_the_unit_length_pixels(fitted):
    from clustlib.kernels import affinity_graph

    expected = initial_clusters(affinity_graph(unit_rows(DIGITS.images), 10))
    assert metrics.nmi(expected, fitted.stages_[0]["labels"], average="max") == pytest.approx(1)
    assert fitted.history_[0]["n_clusters"] == expected.max() + 1


def test_both_read_outs_find_the_digits(fitted):
    for labels in (fitted.labels_sf_, fitted.labels_rc_):
        assert sorted(set(labels)) == list(range(10))
        assert metrics.nmi(DIGITS.labels, labels, average="geometric") > 0.7
    assert (fitted.labels_ == fitted.labels_rc_).all()
    assert (fitted.labels_at(10) == fitted.labels_).all() and fitted.labels_at(4).max() == 3


def test_history_tells_each_merging_and_the_read_out(fitted):
    periods = [line["period"] for line in fitted.history_]
    assert periods == [*range(len(periods) - 1), "rc"]
    counts = [line["n_clusters"] for line in fitted.history_]
    assert counts[-2:] == [10, 10] and counts == sorted(counts, reverse=True)
    assert fitted.history_[-1]["nmi"] == metrics.nmi(DIGITS.labels, fitted.labels_rc_, average="geometric")
    assert fitted.history_[-2]["nmi"] == metrics.nmi(DIGITS.labels, fitted.labels_sf_, average="geometric")
    assert all(line["training_seconds"] >= 0 for line in fitted.history_)
    assert len(fitted.stages_) == len(fitted.history_)
    assert fitted.stages_[-1]["components"].shape == (300, 3)


def test_embedding_is_of_unit_length_and_what_transform_gives(fitted):
    assert np.allclose(np.linalg.norm(fitted.embedding_, axis=1), 1, atol=1e-5)
    assert np.array_equal(fitted.transform(DIGITS.images), fitted.embedding_)
    assert fitted.transform(DIGITS.images[:5], "top-1").shape == (5, fitted.network_.shapes["flat"])
    with pytest.raises(ValueError, match=r"must be \(1, 8, 8\)"):
        fitted.transform(np.zeros((2, 1, 9, 9), np.uint8))


def test_a_seed_decides_the_result():
    runs = [JULE(10, random_state=seed, **FAST).fit(DIGITS.images) for seed in (0, 0, 1)]
    assert np.array_equal(runs[0].embedding_, runs[1].embedding_)
    assert np.array_equal(runs[0].labels_, runs[1].labels_)
    assert not np.allclose(runs[0].embedding_, runs[2].embedding_)


def test_images_of_other_sizes_channels_and_types():
    rng = np.random.default_rng(0)
    bases = rng.random((3, 3, 21, 14))
    y = np.repeat(np.arange(3), 30)
    images = np.clip(bases[y] + rng.normal(0, 0.05, (90, 3, 21, 14)), 0, 1).astype(np.float32)
    model = JULE(3, **FAST).fit(images)
    assert metrics.accuracy(y, model.labels_) == 1
    flat = JULE(3, **FAST).fit((images[:, 0] * 255).astype(np.uint8))
    assert metrics.accuracy(y, flat.labels_) == 1


def test_the_number_of_clusters_can_be_left_open():
    rng = np.random.default_rng(1)
    y = np.repeat(np.arange(4), 40)
    images = np.clip(rng.random((4, 1, 12, 12))[y] + rng.normal(0, 0.03, (160, 1, 12, 12)), 0, 1).astype(np.float32)
    model = JULE(**FAST).fit(images)
    assert model.n_clusters_ == 4 and metrics.accuracy(y, model.labels_) == 1
    assert model.labels_at(7).max() == 6


def test_small_clusters_take_no_place_in_the_result():
    children = np.array([[0, 1], [2, 3], [5, 6], [4, 7]])  # leaf 4, one far sample, is merged last
    tree = MergeTree(np.repeat(np.arange(5, dtype=np.int32), [4, 4, 4, 4, 1]), children, np.ones(4), np.ones(4))
    features = np.concatenate([np.repeat([[0.0], [1.0], [8.0], [9.0]], 4, axis=0), [[7.0]]])
    assert np.bincount(cut(tree, 2, features, 0)).tolist() == [16, 1]
    assert cut(tree, 2, features, 1).tolist() == [0] * 8 + [1] * 9
    assert np.bincount(cut(tree, 2, features, 99)).tolist() == [16, 1]  # nothing is large enough: as it is


@pytest.mark.parametrize(("small", "smallest"), [("throughout", 40), ("absorb", 1), ("keep", 1)])
def test_throughout_a_small_cluster_takes_no_place_after_any_period(small, smallest):
    children = np.array([[0, 1], [2, 3], [5, 6], [4, 7]])  # leaf 4, one far sample, is merged last
    tree = MergeTree(np.repeat(np.arange(5, dtype=np.int32), [40, 40, 40, 40, 1]), children, np.ones(4), np.ones(4))
    features = np.concatenate([np.repeat([[0.0], [1.0], [8.0], [9.0]], 40, axis=0), [[7.0]]]).astype(np.float32)
    merging = SimpleNamespace(graph=lambda rows: None, tree=lambda *given: tree, recall=lambda *given: {})
    state = {
        "n_clusters": 5,
        "labels": tree.initial,
        "period": 0,
        "history": [],
        "stages": [],
        "loss": 0.0,
        "seconds": 0.0,
    }
    JULE(2, unrolling_rate=0.4, small=small)._merge(state, features, merging, None)
    assert state["n_clusters"] == 3 and np.bincount(state["labels"]).min() == smallest


def isolated_pair() -> tuple[KnnGraph, np.ndarray, np.ndarray]:
    """Two groups of four, and a pair at the border of the second whose edges nobody returns."""
    rows = [[1, 2], [0, 3], [3, 0], [2, 1], [5, 6], [4, 7], [7, 4], [6, 5], [4, 5], [5, 4]]
    graph = KnnGraph(np.array(rows, np.int32), np.full((10, 2), 0.5), 1.0)
    features = np.array([[0, i] for i in range(4)] + [[9, i] for i in range(4)] + [[8, 0], [8, 1]], float)
    return graph, np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4]), features


def test_without_a_rescue_a_cluster_nobody_answers_takes_a_place_in_the_result():
    graph, labels, features = isolated_pair()
    kept = graph_linkage(graph, labels, isolated="keep").labels(3)
    rescued = graph_linkage(graph, labels, isolated="nearest", features=features).labels(2)
    assert (np.bincount(kept) == [4, 4, 2]).all()
    assert rescued.tolist() == [0] * 4 + [1] * 6


@pytest.mark.parametrize(
    "switches",
    [
        {"gamma": 1.0, "gradient": "released", "dampening": 0.9},
        {"criterion": "released", "update": "released_fast", "isolated": "released", "chains": "released"},
        {"negatives": "nearest", "n_negatives": 5, "criterion": "affinity", "isolated": "keep"},
        {"negatives": "random", "margin": None},
        {"train_first": False, "train_last": True, "reset_rate": True},
        {"statistics": "batch", "init": "torch", "precision": "bfloat16"},
    ],
    ids=lambda switches: "+".join(switches),
)
def test_every_switch_runs_and_changes_something(switches):
    model = JULE(10, **switches, **FAST).fit(DIGITS.images)
    assert len(set(model.labels_)) == 10
    assert not np.array_equal(model.embedding_, JULE(10, **FAST).fit(DIGITS.images).embedding_)


def test_a_fit_of_too_few_steps_says_so():
    with pytest.warns(UserWarning, match="takes 9 steps in all; more epochs or a smaller unrolling_rate"):
        JULE(10, **FAST).fit(DIGITS.images)


def test_a_fit_that_trains_nothing_says_so(fitted):
    begun = fitted.history_[0]["n_clusters"]
    with pytest.warns(UserWarning, match="is not trained: merging begins with no more clusters than asked for; start="):
        JULE(begun, **FAST).fit(DIGITS.images)
    with pytest.warns(UserWarning, match="takes 3 steps in all"):
        JULE(begun, train_last=True, **FAST).fit(DIGITS.images)


@pytest.mark.parametrize("start, most", [("kmeans", 75), ("singletons", 300)])
def test_other_starts_of_section_3_6(fitted, start, most):
    first, again, other = (
        JULE(10, start=start, random_state=seed, **FAST).fit(DIGITS.images, DIGITS.labels) for seed in (0, 0, 1)
    )
    assert 10 < first.history_[0]["n_clusters"] <= most
    assert first.history_[0]["n_clusters"] != fitted.history_[0]["n_clusters"]
    assert np.array_equal(first.labels_, again.labels_) and not np.array_equal(first.labels_, other.labels_)
    assert len(np.unique(first.labels_)) == 10


def test_training_last_learns_from_the_final_clusters():
    plain, last = (JULE(10, train_last=last, **FAST).fit(DIGITS.images) for last in (False, True))
    assert np.array_equal(plain.labels_sf_, last.labels_sf_)
    assert not np.array_equal(plain.embedding_, last.embedding_)


SCRIPT = """
import sys
from clustlib import datasets
from clustlib import JULE
from clustlib.jule import triplet_training
plain = triplet_training.TripletTraining.epoch
def epoch(self, labels):
    print("epoch", flush=True)
    return plain(self, labels)
triplet_training.TripletTraining.epoch = epoch
digits = datasets.load("digits").take(300, 0)
JULE(10, epochs=2, n_neighbors=10, unrolling_rate=0.5, checkpoint=sys.argv[1]).fit(digits.images, digits.labels)
"""


def test_a_killed_fit_goes_on_as_if_nothing_had_happened(fitted, tmp_path):
    file = tmp_path / "fit.pt"
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(file)], stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as running:
        for _ in range(4):  # the last of the second period has begun
            assert running.stdout.readline() == "epoch\n"
        time.sleep(0.05)
        running.send_signal(signal.SIGKILL)
    assert file.exists()
    resumed = JULE(10, epochs=2, n_neighbors=10, unrolling_rate=0.5, checkpoint=file).fit(DIGITS.images, DIGITS.labels)
    assert np.array_equal(resumed.embedding_, fitted.embedding_)
    assert np.array_equal(resumed.labels_rc_, fitted.labels_rc_)
    assert np.array_equal(resumed.labels_sf_, fitted.labels_sf_)
    assert [line["nmi"] for line in resumed.history_] == [line["nmi"] for line in fitted.history_]
    again = JULE(10, epochs=2, n_neighbors=10, unrolling_rate=0.5, checkpoint=file).fit(DIGITS.images, DIGITS.labels)
    assert np.array_equal(again.embedding_, fitted.embedding_)
    with pytest.raises(UsageError, match="gamma"):
        JULE(10, epochs=2, n_neighbors=10, unrolling_rate=0.5, gamma=1.0, checkpoint=file).fit(DIGITS.images)


def test_is_an_estimator_that_can_be_cloned():
    model = JULE(7, gamma=1.5, criterion="affinity")
    assert clone(model).get_params() == model.get_params()


@pytest.mark.parametrize(
    "parameters, images, message",
    [
        ({}, np.full((20, 1, 8, 8), np.nan), "NaN"),
        ({}, np.zeros((0, 1, 8, 8)), "no images"),
        ({}, np.zeros((20, 64)), "shape"),
        ({}, np.array(["a"]), "numbers"),
        ({"n_clusters": 30}, np.zeros((20, 1, 8, 8)), "more than the 20 samples"),
        ({"n_clusters": 0}, DIGITS.images, "n_clusters"),
        ({"n_clusters": 200}, DIGITS.images, "initial clusters"),
        ({"n_clusters": 2}, np.zeros((20, 1, 8, 8)), "initial clusters"),
        ({"small": "drop"}, DIGITS.images, "small"),
        ({"unrolling_rate": 1.0}, DIGITS.images, "unrolling_rate"),
        ({"epochs": 0}, DIGITS.images, "epochs"),
        ({"batch_size": 1}, DIGITS.images, "batch_size"),
        ({"gamma": -1.0}, DIGITS.images, "gamma"),
        ({"learning_rate": 0.0}, DIGITS.images, "learning_rate"),
        ({"criterion": "other"}, DIGITS.images, "criterion"),
        ({"precision": "half"}, DIGITS.images, "precision"),
        ({"random_state": "a"}, DIGITS.images, "random_state"),
    ],
)
def test_impossible_input_is_one_clear_error(parameters, images, message):
    with pytest.raises(ValueError, match=message):
        JULE(**{"n_clusters": 10, **FAST, **parameters}).fit(images)


def test_labels_to_compare_with_must_fit():
    with pytest.raises(ValueError, match=r"y must be \(300,\)"):
        JULE(10, **FAST).fit(DIGITS.images, DIGITS.labels[:5])
