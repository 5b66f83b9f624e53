"""What rests on JULE's features says whose JULE it was: tables 4, 6 and 11, figures 1, 7, 8 and 9."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from clustlib import datasets, jule, records
from clustlib.errors import UsageError
from clustlib.jule.rows import JULE_VARIANTS, SEARCHED
from clustlib.jule.runs import clustering, features
from clustlib.published.readings import reading

HOW = {"epochs": 1, "profile": "quick", "device": "cpu"}


@pytest.fixture
def fits(monkeypatch):
    """Made-up fits in place of JULE's, another for each reading; what was asked for, in order."""
    asked = []

    def artifact(train, *, variant="default", dataset, **_):
        asked.append(variant)
        rng = np.random.default_rng(list(JULE_VARIANTS).index(variant))
        n = len(datasets.load(dataset))
        stages = {"stage_labels": np.zeros((3, n), np.int32), "stage_components": rng.normal(size=(3, n, 3))}
        history = {"n_clusters": np.array([90, 40, 10, 10]), "nmi": np.arange(4.0) / 4}
        embedding = rng.normal(size=(n, 6)).astype(np.float32)
        return {"embedding": embedding, "OURS-SF": np.zeros(n), **stages, **history}

    monkeypatch.setattr(records, "artifact", artifact)
    return asked


@pytest.mark.parametrize("name", ["default", "as-released", "as-written"])
def test_a_row_on_features_takes_those_of_its_reading(fits, name):
    made = [clustering.cluster_learned("digits", "K-means", reading=each, epochs=1) for each in (name, "gamma-1")]
    assert fits == [name, "gamma-1"]
    assert (made[0]["labels"] != made[1]["labels"]).any()


def test_stages_and_neighbours_take_those_of_their_reading(fits):
    clustering.stages("digits", reading="as-released", epochs=1)
    learned = features.neighbour_purity("digits", "learned", reading="as-written", epochs=1)
    raw = features.neighbour_purity("digits", "raw", epochs=1)
    assert fits == ["as-released", "as-written"]
    assert learned["knn_purity_1"] < raw["knn_purity_1"]


@pytest.mark.parametrize(
    "run",
    [
        lambda **how: records.grid(clustering.cluster_learned, method="K-means", **how),
        lambda **how: records.grid(clustering.stages, **how),
        lambda **how: records.grid(features.neighbour_purity, method="learned", **how),
        lambda **how: records.grid(features.transfer, method="data", source="digits", **how),
    ],
)
def test_a_reading_that_is_not_there_is_refused(run):
    with pytest.raises(UsageError, match="as-relaesed"):
        run(dataset="digits", reading="as-relaesed", **HOW)


@pytest.mark.parametrize("table", ["table-04", "table-11", "table-06", "fig-01", "fig-07", "fig-08", "fig-stages"])
@pytest.mark.parametrize("variant, name", [("as-written", "as written"), ("as-released", "as released")])
def test_the_papers_readings_have_no_addition_and_ours_has(committed, table, variant, name):
    method = {"table-06": "top-1", "fig-01": "final", "fig-stages": "final", "fig-07": "eta=0.9", "fig-08": "learned"}
    label = method.get(table, "K-means")
    theirs = reading("jule", table, label, variant)
    ours = reading("jule", table, label, "default")
    assert (theirs.reading, theirs.additions) == (name, ())
    assert ours.reading == "ours" and ours.additions


def test_the_fit_of_another_reading_is_another_fit():
    how = {"dataset": "digits", "method": "K-means", "epochs": 1, "seed": 0}
    marks = {clustering.cluster_learned.uses({**how, **more})[-1] for more in ({}, {"reading": "as-released"})}
    assert len(marks) == 2
    assert clustering.cluster_learned.uses(how) == clustering.cluster_learned.uses({**how, "reading": "default"})


def test_figures_keep_readings_apart():
    rows = [
        ("digits", "learned", "knn_purity_1", 0.5 + shift, 0, variant)
        for shift, variant in ((0, "default"), (0.2, "as-released"))
    ]
    cells = pd.DataFrame(rows, columns=["dataset", "method", "metric", "value", "seed", "variant"])
    assert jule.views.figures.purity_curves(cells) == (
        [1],
        {"digits, learned": [0.5], "digits, learned, as released": [0.7]},
    )
    older = cells.assign(variant=[None, "as-released"]).astype({"variant": object})
    for missing in (None, np.nan):
        older.loc[0, "variant"] = missing
        assert list(jule.views.figures.purity_curves(older)[1]) == ["digits, learned", "digits, learned, as released"]
    by_eta = cells.assign(metric="nmi_by_eta", x=0.9)
    assert jule.views.figures.curves(by_eta, "nmi_by_eta") == ([0.9], {"digits": [0.5], "digits, as released": [0.7]})


def test_the_searched_values_are_those_of_the_switches():
    for variant, method in SEARCHED.items():
        name, value = method.split(" = ")
        setting = JULE_VARIANTS[variant]
        if name == "gamma":
            assert setting.get("gamma", 2.0) == float(value)
        else:
            assert setting.get("k_c", 5) == setting["n_negatives"] == int(value) and setting["negatives"] == "nearest"


def test_the_elements_that_bring_the_text_back_are_one_line_each():
    """Of one seed, beside the text; sets on which none was run have no figure."""

    def run(variant: str, seed: int = 0, dataset: str = "digits") -> SimpleNamespace:
        params = {"dataset": dataset, "method": "OURS-RC", "variant": variant, "seed": seed}
        arrays = {"period_n_clusters": np.array([100, 10, 10]), "period_nmi": np.array([0.5, 0.9, 0.8])}
        return SimpleNamespace(params=params, arrays=arrays)

    fits = [run("as-written"), run("default"), run("written-with-margin"), run("written-with-margin", 1)]
    runs = SimpleNamespace(records=[*fits, run("as-written", dataset="usps")])
    (axes,) = jule.views.elements.brought_back(runs, "digits").axes
    assert [line.get_label() for line in axes.lines] == ["as written", "as written, with margin"]
    assert axes.lines[1].get_ydata().tolist() == [0.5, 0.9]
    assert jule.views.elements.brought_back(runs, "usps") is None
