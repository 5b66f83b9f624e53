"""What DBC's notebooks read off its trainings, and the cells that need none."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from clustlib import datasets, dbc, metrics, published, records
from clustlib.errors import UsageError


def test_the_layers_are_those_of_table_2():
    comparison = published.compare(dbc.views.layers(["mnist", "usps-11000", "coil-20"]), "dbc", "table-02").dropna(
        subset=["paper"]
    )
    assert len(comparison) > 60
    assert set(comparison["verdict"]) == {"as printed"}


def test_the_properties_are_those_of_table_1():
    names = ["mnist", "usps-11000", "coil-20", "coil-100"]
    comparison = published.compare(dbc.views.image_properties(names), "dbc", "table-01")
    assert set(comparison["verdict"]) == {"as printed"}


def test_clusters_stand_for_classes_as_accuracy_maps_them():
    drawn = np.random.default_rng(0)
    labels = drawn.integers(0, 4, 200)
    found = (labels + 1) % 4
    found[:60] = drawn.integers(0, 4, 60)
    said = dbc.runs.figures._as_classes(labels, found)
    assert (said == labels).mean() == pytest.approx(metrics.accuracy(labels, found))


def test_curves_hold_the_last_value_of_a_shorter_run():
    def run(method: str, values: list[float], dataset: str = "digits") -> SimpleNamespace:
        return SimpleNamespace(params={"method": method, "dataset": dataset}, arrays={"accuracies": np.array(values)})

    made = [run("a", [0.0, 1.0]), run("a", [0.2, 0.4, 0.6]), run("b", [0.5]), run("b", [0.1] * 9, "mnist")]
    runs = SimpleNamespace(records=made)
    shown = dbc.views.curves(runs, "digits", "accuracies")
    np.testing.assert_array_equal(shown["x"], [0, 1, 2])
    np.testing.assert_allclose(shown["curves"]["a"], [0.1, 0.7, 0.8])
    np.testing.assert_allclose(shown["curves"]["b"], [0.5, 0.5, 0.5])
    assert set(shown["spread"]) == {"a"}
    np.testing.assert_allclose(shown["spread"]["a"], [[0, 0.4, 0.6], [0.2, 1, 1]])
    assert len(dbc.views.curves(runs, "mnist", "accuracies")["x"]) == 9
    assert dbc.views.curves(runs, "coil-20", "accuracies") == {}


def test_what_a_curve_took_is_a_mean_over_seeds():
    def run(epochs: int, left: float) -> SimpleNamespace:
        params = {"method": "alpha 2", "dataset": "digits"}
        metrics_of = {"epochs_run": epochs, "training_seconds": 2.0 * epochs}
        return SimpleNamespace(params=params, metrics=metrics_of, arrays={"changed": np.array([0.5, left])})

    (row,) = dbc.views.until_it_stops(SimpleNamespace(records=[run(10, 0.1), run(20, 0.0)])).to_dict("records")
    assert row == {
        "data set": "digits", "curve": "alpha 2", "epochs": 15.0, "seconds": 30.0, "still changing": 0.05, "seeds": 2
    }  # fmt: skip
    assert dbc.views.until_it_stops(SimpleNamespace(records=[])).empty


def test_scaled_filters_span_the_greys():
    filters = np.random.default_rng(0).normal(size=(3, 1, 4, 4))
    filters[1] = 2.0
    images = dbc.views.scaled(filters)
    assert images[0].min() == 0 and images[0].max() == 1 and not images[1].any()


def test_the_recipe_gives_way_to_what_is_asked_for():
    assert dbc.runs.clustering.recipe("mnist").epochs == dbc.runs.clustering.RECIPES["mnist"].epochs
    assert dbc.runs.clustering.recipe("mnist", 3, 4) == dbc.runs.clustering.Recipe(
        3, 4, dbc.runs.clustering.RECIPES["mnist"].whiten
    )
    assert dbc.runs.clustering.recipe("coil-100") == dbc.runs.clustering.USUAL


@pytest.mark.parametrize(
    "wrong", [{"dataset": "nothing"}, {"method": "DBD"}, {"seed": -1}, {"epochs": 0}, {"pretrain_epochs": 1.5}]
)
def test_wrong_parameters_are_refused_before_any_work(wrong):
    with pytest.raises(UsageError):
        dbc.runs.clustering.cluster.check(**{"dataset": "digits", "method": "DBC", "seed": 0, **wrong})


def test_the_watched_images_are_the_test_part():
    digits = datasets.load("digits")
    assert len(dbc.runs.clustering.watched(digits)) == len(digits)
    assert len(dbc.runs.clustering.drawn(digits)) == min(dbc.runs.clustering.WATCHED, len(digits))


def test_a_run_gives_scores_and_every_epochs_numbers(book, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    result = dbc.runs.clustering.cluster("digits", "DBC", 0, pretrain_epochs=1, epochs=2)
    assert 0 < result["accuracy"] <= 1 and result["epochs_run"] == 2 and len(result["labels"]) == 1797
    start = dbc.runs.clustering.cluster("digits", "FCAE-KMS", 0, pretrain_epochs=1)
    assert {"accuracy_even", "accuracy_both", "accuracy_start", "reconstruction"} <= set(start)
    curve = dbc.runs.clustering.learning_curve("digits", "alpha 2", 0, pretrain_epochs=1, epochs=2)
    assert curve["accuracy"] == result["accuracy"] and len(curve["accuracies"]) == 3
    began = dbc.runs.clustering.trained("digits", 0, dbc.runs.clustering.recipe("digits", 1, 2))["start_labels"]
    assert metrics.accuracy(datasets.load("digits").labels, began) == pytest.approx(start["accuracy_start"])
    histogram = dbc.runs.figures.score_histograms("digits", "last epoch", 0, 1, 2)["histogram"]
    assert histogram.shape == (3, dbc.runs.clustering.BINS) and (histogram.sum(1) == 1797).all()
    wrong = dbc.runs.figures.confident_mistakes("digits", "DBC", 0, 1, 2)
    assert wrong["mistakes"] == round((1 - result["accuracy"]) * 1797)
    assert not list((book / "_build/checkpoints").glob("*.pt"))


def test_no_committed_record_of_dbc_leaves_a_number_of_epochs_to_a_recipe():
    root = Path(__file__).resolve().parent.parent / "book" / "records"
    keys = [path.relative_to(root).with_suffix("").as_posix() for path in root.glob("*/*/*.json")]
    wanting = [key for key in keys if '"epochs": null' in (root / f"{key}.json").read_text(encoding="utf-8")]
    left = [key for key in wanting if records.load(key).params["epochs"] is None]
    assert wanting and all(key.startswith("KMS/") for key in left)  # k-means on pixels trains nothing
