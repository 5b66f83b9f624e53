"""DBC as it is written: nothing but the text, by one call; what else the text allows; the search of it."""

import inspect
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import make_blobs

from clustlib import DBC, FCAEFeatures, datasets, dbc, published
from clustlib.cluster import KMeans
from clustlib.dbc.choices import TRIALS
from clustlib.dbc.density_peaks import density_peaks
from clustlib.dbc.network import FCAE
from clustlib.dbc.runs.pixels import PREPARATIONS, prepared_pixels
from clustlib.dbc.runs.written import as_written, settings
from clustlib.errors import PackageMissing
from clustlib.records import Record, Runs
from clustlib.records.runs import bind

SMALL = {"epochs": 2, "batch_size": 64, "random_state": 0}


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits").take(300, 0)


@pytest.fixture(scope="module")
def features(digits):
    return FCAEFeatures.as_written(**SMALL).fit(digits.images)


def test_as_written_the_start_is_k_means_on_the_code_and_nothing_stands_between(digits, features):
    model = DBC.as_written(5, features=features, **{**SMALL, "epochs": 0}).fit(digits.images)
    assert (features.embedding_ >= 0).all() and (features.embedding_ == 0).mean() > 0.1  # behind a ReLU, not whitened
    np.testing.assert_allclose(model.embedding_, features.embedding_, atol=1e-5)  # no sphere, no discriminants
    distortion = sum(
        np.square(model.embedding_[model.labels_ == j] - model.cluster_centers_[j]).sum() for j in range(5)
    )
    assert distortion <= 1.02 * KMeans(5, n_init=20, random_state=1).fit(features.embedding_).inertia_
    np.testing.assert_array_equal(model.labels_, model.start_labels_)


def test_the_records_of_the_reading_have_the_settings_of_the_estimators():
    first, second = settings(bind(as_written, {"dataset": "digits", "method": "DBC"}))
    first["epochs"] = first.pop("pretrain_epochs")
    for given, estimator in ((first, FCAEFeatures.as_written()), (second, DBC.as_written())):
        own = estimator.get_params(deep=False)
        assert given == {name: own[name] for name in given}
    told = set(inspect.signature(DBC).parameters) - {"n_clusters", "features", "n_neighbors"}
    assert told - set(second) == {"random_state", "device", "checkpoint"}  # every setting is in the record


def test_the_reading_has_none_of_our_additions():
    plain = DBC.as_written()
    assert (plain.smoothing, plain.discriminant, plain.radius, plain.decay, plain.settle) == (
        0,
        False,
        None,
        1.0,
        False,
    )
    assert plain.features.whiten is None and plain.features.code == "bn-relu"
    row = published.reading("dbc", "table-03", "DBC", "as written")
    assert row.reading == "as written" and not row.additions and "labels" in row.labels
    for trial in TRIALS.values():
        bind(as_written, {"dataset": "digits", "method": "DBC", **trial})


def test_b_steps_lie_between_two_targets(digits, features, monkeypatch):
    steps = []
    step = torch.optim.SGD.step
    monkeypatch.setattr(torch.optim.SGD, "step", lambda self, *a, **k: (steps.append(1), step(self, *a, **k)))
    for updates, expected in ((3, 3), (7, 7), (None, 5)):  # 300 images are five batches
        steps.clear()
        DBC.as_written(4, features=features, updates=updates, n_init=1, **{**SMALL, "epochs": 1}).fit(digits.images)
        assert len(steps) == expected


def test_frozen_statistics_and_centres_that_stay(digits, features):
    model = DBC.as_written(4, features=features, frozen=True, center_rate=0, **SMALL).fit(digits.images)
    start = DBC.as_written(4, features=features, **{**SMALL, "epochs": 0}).fit(digits.images)
    moved = {name: not torch.equal(v, start.model_.state_dict()[name]) for name, v in model.model_.state_dict().items()}
    assert not any(moved[name] for name in moved if "running" in name) and moved["features.0.weight"]
    np.testing.assert_array_equal(model.cluster_centers_, start.cluster_centers_)
    usual = DBC.as_written(4, features=features, **SMALL).fit(digits.images)
    assert not np.array_equal(usual.cluster_centers_, start.cluster_centers_)


@pytest.mark.parametrize("unpooling", ["switches", "nearest"])
def test_a_network_without_batch_normalisation_is_its_plain_layers(unpooling):
    torch.manual_seed(0)
    model = FCAE((1, 28, 28), unpooling, "relu", normalised=False)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in model.modules())
    images = torch.rand(4, 1, 28, 28)
    layers, (codes, output) = model.activations(images), model(images)
    torch.testing.assert_close(codes, layers["features"].flatten(1))
    torch.testing.assert_close(output, layers["output"])


def test_density_peaks_are_in_different_blobs():
    points, kind = make_blobs([60, 30, 15], cluster_std=0.5, centers=[[0, 0], [6, 0], [0, 6]], random_state=0)
    peaks = density_peaks(points, 3)
    near = np.square(points[:, None] - peaks).sum(2).argmin(0)
    assert set(kind[near]) == {0, 1, 2}
    np.testing.assert_array_equal(peaks, density_peaks(points, 3))
    assert len(density_peaks(np.zeros((5, 2)), 2)) == 2


def test_figure_4_names_its_layers_in_the_order_of_an_image():
    maps = {name: None for name in ("input", "conv1", "conv2", "pool1", "pool2", "unpool1", "output")}
    before, behind = dbc.views.layers_of_maps(SimpleNamespace(arrays=maps))
    assert before == ["conv1", "pool1", "conv2", "pool2"]
    assert behind == ["deconv3", "unpool2", "deconv2", "unpool1", "output"]


def record(trial: str, accuracy: float, **seen: float) -> Record:
    params = bind(as_written, {"dataset": "digits", "method": "FCAE-KMS", **TRIALS[trial]})
    metrics = {"accuracy": accuracy, "nmi_max": accuracy, "training_seconds": 1.0, "reconstruction": 0.1, **seen}
    return Record("k", params, metrics, 1.0, {"device": "cpu"}, "", Path())


def test_the_search_says_what_choosing_without_labels_costs():
    kept = {"as written": (0.6, 0.5), "start at density peaks": (0.7, 0.2), "start by evenness": (0.5, 0.4)}
    runs = {name: Runs([record(name, acc, silhouette=seen)]) for name, (acc, seen) in kept.items()}
    found = dbc.search.chosen(dbc.search.trials(runs), "FCAE-KMS").set_index("chosen by")
    assert list(found.index) == ["silhouette"]  # the only number in which they differ
    row = found.loc["silhouette"]
    assert (row["trial"], row["best trial"]) == ("as written", "start at density peaks")
    assert row["cost"] == pytest.approx(0.1) and row["agreement"] == pytest.approx(-0.5)
    cells = dbc.search.cells(runs)
    assert set(cells["method"]) == set(kept) and set(cells["metric"]) == {"accuracy", "nmi", "reconstruction"}


def rows_of(*trials: tuple[str, int, float], **seen: float) -> pd.DataFrame:
    """Runs of DBC as ``search.trials`` gives them: trial, seed, accuracy."""
    found = pd.DataFrame(trials, columns=["trial", "seed", "accuracy"]).assign(dataset="digits", method="DBC")
    return found.assign(**{name: 0.0 for name in ("start", "nmi", "seconds", *dbc.search.UNLABELLED)} | seen)


def test_trials_are_compared_on_the_seeds_that_all_of_them_have():
    found = rows_of(("as written", 0, 0.7), ("as written", 1, 0.1), ("centres stay", 0, 0.6))
    shown = dbc.search.means(found, "DBC").set_index("trial")
    assert shown["accuracy"].to_dict() == {"as written": 0.7, "centres stay": 0.6} and set(shown["seeds"]) == {1}


def test_a_user_of_the_text_chooses_among_its_own_trials_and_on_one_scale():
    rows = [("as written", 0, 0.5), ("centres stay", 0, 0.6), ("sphere of 3 (ours)", 0, 0.9)]
    found = rows_of(*rows, ("statistics taken anew", 0, 0.8), ("pixels as they are", 0, 0.4))
    found["silhouette"], found["reconstruction"] = [0.1, 0.2, 0.9, 0.8, 0.0], [0.03, 0.02, 0.01, 0.01, 0.001]
    shown = dbc.search.chosen(found, "DBC").set_index("chosen by")
    assert set(shown["trial"]) == set(shown["best trial"]) == {"centres stay"}
    assert shown["trials"].to_dict() == {"reconstruction": 2, "silhouette": 3}


@pytest.mark.parametrize(
    ("trial", "asked"),
    [("as written", 2), ("start by evenness", 2), ("9 epochs of stage I, Adam", 2), ("centres stay", 1)],
)
def test_k_means_on_the_code_is_asked_of_trials_that_change_it(book, trial, asked):
    how = {"dataset": ["digits"], "seed": [0], "profile": "paper", "recompute": "never"}
    runs = dbc.search.run([trial], {}, **how)[trial]
    assert [run.params["method"] for run in runs] == ["FCAE-KMS", "DBC"][-asked:]
    assert dbc.search.run([trial], {}, methods=["FCAE-KMS"], **how).keys() == ({trial} if asked == 2 else set())


def test_an_addition_stands_beside_the_text_on_the_same_seeds():
    rows = [("as written", 0, 0.5, 0.6), ("as written", 1, 0.1, 0.2), ("sphere of 3 (ours)", 0, 0.5, 0.7)]
    rows += [("start by evenness", 0, 0.9, 0.9)]
    found = pd.DataFrame(rows, columns=["trial", "seed", "start", "accuracy"]).assign(dataset="digits", method="DBC")
    found = pd.concat([found, found.iloc[:2].assign(dataset="usps")], ignore_index=True)
    for name in ("nmi", "seconds", *dbc.search.UNLABELLED):
        found[name] = 0.0
    beside = dbc.search.additions(found)
    assert list(beside.columns) == ["trial", "digits, start", "digits, end"]  # none of ours has run on the other set
    assert beside.to_numpy().tolist() == [["as written", 0.5, 0.6], ["sphere of 3 (ours)", 0.5, 0.7]]
    assert dbc.search.additions(found[found["trial"] == "as written"]).empty


def test_pixels_are_prepared_as_they_say(digits):
    rows = {name: prepared_pixels(digits, name) for name in PREPARATIONS}
    for name in ("l2", "centred"):
        np.testing.assert_allclose(np.linalg.norm(rows[name], axis=1), 1, atol=1e-5)
    changing = rows["unit"].std(0) > 0
    np.testing.assert_allclose(rows["standardised"].std(0), changing, atol=1e-4)
    np.testing.assert_allclose(rows["standardised"].mean(0), 0, atol=1e-4)
    told = dbc.runs.pixels.kmeans_by_preparation("digits", "l2")
    assert told["nmi_max"] <= told["nmi_arithmetic"] <= told["nmi_geometric"] <= told["nmi_min"]


def test_without_clustpy_the_layer_wise_row_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "clustpy", None)
    with pytest.raises(PackageMissing, match="pip install clustpy"):
        dbc.runs.layerwise.layer_by_layer("digits")
