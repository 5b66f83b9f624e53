"""The trial's settings: clusters that live for several epochs, what chance agrees, and how settings are chosen."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_mutual_info_score
from test_deepcluster import assert_same, digits, model

from clustlib import deepcluster, metrics, records
from clustlib.errors import UsageError


def test_clusters_and_head_live_until_the_next_clustering(monkeypatch):
    from clustlib.deepcluster.classification import Classification

    heads, new_head = [], Classification.new_head

    def noting(self, n_outputs, epoch):
        heads.append(epoch)
        new_head(self, n_outputs, epoch)

    monkeypatch.setattr(Classification, "new_head", noting)
    seen = []
    fitted = model(epochs=5, reassign=2).fit(*digits(), lambda entry, found, before: seen.append((found, before)))
    assert heads == [0, 2, 4]
    assert ["n_clusters" in entry for entry in fitted.history_] == [True, False, True, False, True]
    assert np.array_equal(seen[0][0], seen[1][0]) and not np.array_equal(seen[1][0], seen[2][0])
    assert seen[0][1] is None and np.array_equal(seen[2][1], seen[1][0])
    assert np.array_equal(fitted.previous_, seen[-1][0])
    # a head that lives on has learnt: its first batch is no guess any more
    assert fitted.history_[1]["first_loss"] < fitted.history_[0]["first_loss"]


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_fit_goes_on_between_two_clusterings(tmp_path, stop):
    settings = {"reassign": 2, "checkpoint": tmp_path / "fit.pt"}
    model(epochs=stop, **settings).fit(*digits())
    assert_same(model(epochs=4, reassign=2).fit(*digits()), model(epochs=4, **settings).fit(*digits()))


def test_what_is_noted_after_an_epoch_is_kept(tmp_path):
    def note(entry, found, before):
        entry["size"] = float(np.bincount(found).max())

    kept = {"checkpoint": tmp_path / "fit.pt"}
    model(epochs=1, **kept).fit(*digits(), note)
    assert all("size" in entry for entry in model(epochs=2, **kept).fit(*digits(), note).history_)


def test_chance_is_what_shuffled_clusters_agree():
    rng = np.random.default_rng(0)
    labels = rng.integers(10, size=800)
    clusters = (labels + (rng.random(800) < 0.7) * rng.integers(60, size=800)) % 60
    shuffled = np.mean([metrics.nmi(labels, rng.permutation(clusters), "geometric") for _ in range(40)])
    chance, nmi = metrics.chance_nmi(labels, clusters), metrics.nmi(labels, clusters, "geometric")
    assert chance == pytest.approx(shuffled, abs=0.003) and chance > 0.05
    adjusted = adjusted_mutual_info_score(labels, clusters, average_method="geometric")
    assert (nmi - chance) / (1 - chance) == pytest.approx(adjusted, abs=1e-9)
    assert metrics.chance_nmi(labels, labels * 0) == 0


@pytest.fixture
def cached(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_agreement_beside_chance(cached):
    how = {"n_images": 200, "epochs": 4, "per_class": 2, "width": 0.02, "batch_size": 32, "reassign": 2}
    found = deepcluster.runs.agreement.agreement("digits", "DeepCluster", **how)
    assert found["at"].tolist() == [0, 2, 4]
    assert len(found["nmi_labels_by_clustering"]) == 3 and len(found["nmi_previous_by_clustering"]) == 2
    for other in ("labels", "previous"):
        nmi, chance, adjusted = (found[f"{kind}_{other}_last"] for kind in ("nmi", "chance", "adjusted"))
        assert 0 < chance < nmi and adjusted == pytest.approx((nmi - chance) / (1 - chance))
    assert found["log_k"] == pytest.approx(np.log(20), abs=0.2) and len(found["loss"]) == 4


def test_curves_are_means_over_the_seeds():
    def record(seed: int, dataset: str = "a") -> SimpleNamespace:
        kinds = ("nmi", "chance", "adjusted")
        arrays = {f"{kind}_previous_by_clustering": np.array([seed, seed + 1.0]) for kind in kinds}
        return SimpleNamespace(params={"dataset": dataset}, arrays={"at": np.array([0, 2, 4]), **arrays})

    runs = SimpleNamespace(records=[record(0), record(2), record(9, "b")])
    at, curves = deepcluster.views.agreements(runs, "a", "previous")
    assert at.tolist() == [2, 4] and len(curves) == 3
    assert all(curve.tolist() == [1.0, 2.0] for curve in curves.values())
    assert deepcluster.views.agreements(runs, "c", "previous")[1] == {}


def test_random_weights_are_those_of_every_setting(cached):
    how = {"trained_on": "digits", "n_images": 100, "width": 0.02, "n_labelled": 40, "n_tested": 20, "probe_epochs": 1}
    one = deepcluster.runs.transfer.probe("digits", "Random", **how)
    other = deepcluster.runs.transfer.probe("digits", "Random", reassign=3, dropout=0.0, n_components=8, **how)
    assert {k: v for k, v in one.items() if "conv" in k} == {k: v for k, v in other.items() if "conv" in k}


def test_settings_are_chosen_without_the_labels_of_what_is_reported():
    rows = [
        {"dataset": name, "dropout": d, "n_components": n, "reassign": 2, "seed": 5, "score": score(d, n)}
        for name, score in (("a", lambda d, n: d + n / 1000), ("b", lambda d, n: 1 - d - n / 1000))
        for d in (0.0, 0.5)
        for n in (32, 256)
    ]
    table = pd.DataFrame(rows)
    assert deepcluster.views.chosen(table, "a") == {"dropout": 0.0, "n_components": 32, "reassign": 2}
    assert deepcluster.views.chosen(table, "b") == {"dropout": 0.5, "n_components": 256, "reassign": 2}
    assert deepcluster.views.chosen(table[table["dataset"] == "a"], "a") == {}
    by = deepcluster.views.levels(table).set_index(["factor", "level"])
    assert by.loc[("dropout", 0.5), "a"] == pytest.approx(0.5 + 0.144)


def test_all_images_are_taken_where_all_are_asked_for():
    labels = np.repeat([0, 1], [9, 3])
    assert deepcluster.runs.training.pool(labels, 12).tolist() == list(range(12))
    assert len(deepcluster.runs.training.pool(labels, 12, "uncurated")) < 12
    assert len(deepcluster.runs.training.pool(labels, 4)) == 4


def test_a_setting_by_data_set_says_which_set_it_lacks():
    from clustlib.deepcluster.runs.transfer import grids, probe

    with pytest.raises(UsageError, match="n_images is given by data set and has none for digits"):
        grids(probe, ["digits"], None, {"n_images": {"umist": 5}}, "Random", profile="quick", recompute="never")
    with pytest.raises(UsageError, match="trained_on is given by data set and has none for digits"):
        grids(probe, ["digits"], {"umist": "umist"}, {}, "Random", profile="quick", recompute="never")


@pytest.mark.parametrize(
    ("name", "value"),
    [("resolution", 0), ("levels", 0), ("resolution", -5), ("steps", 0), ("n_filters", 0), ("probe_epochs", 0)],
)
def test_what_cannot_be_run_is_named_before_any_work(name, value):
    run = deepcluster.runs.transfer.retrieve if name in ("resolution", "levels") else deepcluster.runs.transfer.probe
    run = deepcluster.runs.transfer.filter_images if name in ("steps", "n_filters") else run
    with pytest.raises(UsageError, match=f"{name} must be an integer from 1 on"):
        records.grid(run, dataset="digits", method="Random", **{name: value}, profile="quick", recompute="never")


def test_rows_that_do_not_exist_are_one_line():
    transfer = deepcluster.runs.transfer
    with pytest.raises(UsageError, match="unknown method 'RandomVGG'; did you mean Random"):
        transfer.grids(transfer.probe, ["digits"], None, {}, "RandomVGG", profile="quick", recompute="never")
    with pytest.raises(UsageError, match="batch_size must be an integer from 2 on, got 0"):
        transfer.grids(transfer.probe, ["digits"], None, {"batch_size": 0}, "Labels", profile="quick", recompute="all")
    with pytest.raises(UsageError, match="steps is given by task and has none for detection"):
        transfer.given_for("detection", "steps", {"classification": 1}, by="task")


def test_made_up_clusters_have_zipf_s_sizes():
    sizes = np.bincount(deepcluster.views.made_up_clusters(4))
    np.testing.assert_allclose(sizes / sizes[0], [1, 1 / 2, 1 / 3, 1 / 4], atol=0.02)
    with pytest.raises(UsageError, match="skew must be an integer from 1 on, got 0"):
        deepcluster.views.made_up_clusters(0)
