"""The runs and rivals behind the guide's page on the number of clusters, on data of known numbers of clusters."""

import sys

import numpy as np
import pytest
from sklearn.datasets import make_blobs

from clustlib import datasets, records
from clustlib.errors import PackageMissing, UsageError
from clustlib.images import rivals, runs, views

TREE_ONLY = ["Description length", "Planted partition", "Silhouette", "Eigengap", "Largest drop"]


@pytest.fixture(scope="module")
def five():
    """Five clusters far apart."""
    X, y = make_blobs(300, 10, centers=5, cluster_std=0.5, random_state=0)
    return runs.prepared(X.astype(np.float32)), y


@pytest.mark.parametrize("method", [*TREE_ONLY, "HDBSCAN"])
def test_every_rule_counts_what_lies_far_apart(five, method):
    case, y = five
    labels = rivals.RULES[method](case)
    assert len(labels) == len(y)
    assert len(np.unique(labels[labels >= 0])) == 5


def test_leiden_counts_what_lies_far_apart(five):
    pytest.importorskip("leidenalg")
    case, _ = five
    assert len(np.unique(rivals.by_leiden(case))) == 5


@pytest.mark.parametrize(("method", "package"), [("Leiden", "leidenalg"), ("X-means", "clustpy")])
def test_a_rule_without_its_package_says_what_to_install(five, monkeypatch, method, package):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, "igraph", None)
    with pytest.raises(PackageMissing, match=f"pip install {package}"):
        rivals.RULES[method](five[0])


def test_clustpys_estimators_are_asked_by_their_names(five, monkeypatch):
    centroid = pytest.importorskip("clustpy.centroid")
    assert all(hasattr(centroid, name) for name in rivals.CLUSTPY.values())


def test_a_drop_needs_two_merges():
    two = runs.prepared(make_blobs(4, 2, centers=2, cluster_std=0.01, random_state=0)[0].astype(np.float32))
    assert len(np.unique(rivals.by_largest_drop(two))) == two.tree.n_leaves


def test_drawn_classes_are_subsets_in_order():
    labels, random = np.repeat(np.arange(12), 30), np.random.default_rng(0)
    drawn = [runs.draw_classes(labels, random) for _ in range(60)]
    counts = [len(np.unique(labels[i])) for i in drawn]
    assert min(counts) == 2 and max(counts) == 12
    assert all((np.diff(i) > 0).all() for i in drawn)
    assert all(np.bincount(labels[i])[np.unique(labels[i])].min() >= 8 for i in drawn)
    assert any(len(i) < 30 * count for i, count in zip(drawn, counts))


def test_seeds_draw_other_subsets_and_one_seed_the_same():
    labels = np.repeat(np.arange(12), 30)
    first, again, other = (runs.draw_classes(labels, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_digits_on_pixels(book):
    how = {"dataset": "digits", "features": "pixels", "size": 600}
    whole = records.grid(runs.count_clusters, method=["Description length", "Largest drop"], **how)
    ours = whole.records[0]
    assert ours.metrics["error"] == pytest.approx(np.log2(ours.metrics["found"] / 10))
    assert ours.arrays["curve"].argmin() + 1 == ours.metrics["found"]
    found = views.outcomes(whole.records)
    assert set(found["sets"]) == {"developed on"}
    table = views.by_rule(found)
    assert table["cases"].tolist() == [1, 1]
    assert table["mean"].is_monotonic_increasing
    assert views.found_by_set(found).loc[("developed on", "digits", "pixels", 10)].notna().all()
    assert "of 1 case." in views.verdict(found)
    assert "chosen" in views.length_curve(ours).axes[0].get_legend().get_texts()[0].get_text()


def test_subsets_and_single_classes_of_digits(book):
    how = {"dataset": "digits", "features": "pixels", "size": 600}
    subsets = views.subset_outcomes([records.run(runs.count_on_subsets, draws=3, **how)])
    assert len(subsets) == 3 * len(runs.OF_THE_TREE)
    np.testing.assert_allclose(subsets["error"].astype(float), np.log2(subsets["found"] / subsets["classes"]))
    single = views.one_class_outcomes([records.run(runs.count_one_class, **how)])
    assert (single["classes"] == 10).all()
    assert (single["one"] <= single["at_most_two"]).all()


def test_the_rule_at_other_prices(book):
    how = {"dataset": "digits", "features": "pixels", "size": 600}
    made = records.run(runs.vary_the_rule, draws=3, **how)
    whole = records.run(runs.count_clusters, method="Description length", **how)
    plain = records.run(runs.count_clusters, method="Planted partition", **how)
    subsets = records.run(runs.count_on_subsets, draws=3, **how)
    graphs = list(runs.OTHER_GRAPHS)
    usual, priced = graphs.index(views.as_it_is()), runs.OTHER_PRICES.index(runs.EDGE_PRICE)
    ours = made.arrays["found mutual"][:, usual, priced]
    np.testing.assert_array_equal(ours, [whole.metrics["found"], *subsets.arrays["found Description length"]])
    of_all = made.arrays["found all"][:, graphs.index("all"), runs.OTHER_PRICES.index(0.0)]
    np.testing.assert_array_equal(of_all, [plain.metrics["found"], *subsets.arrays["found Planted partition"]])
    assert made.metrics["mean_error"] == pytest.approx(subsets.metrics["mean_error"])
    grid = views.rule_grid([made])
    assert grid.shape == (2 * 2 * len(graphs), len(runs.OTHER_PRICES))
    assert grid.loc[("developed on", "subsets", "mutual", views.as_it_is()), runs.EDGE_PRICE] == pytest.approx(
        made.metrics["mean_error"]
    )
    titles = [axes.get_title(loc="left") for axes in views.rule_map(grid).axes]
    assert titles[:2] == ["developed on, whole sets", "developed on, subsets"]


def test_noise_is_no_cluster():
    assert runs._count(np.array([-1, -1, 0, 1])) == 2
    assert runs._count(np.array([-1, -1])) == 1
    assert runs.scored(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]))["accuracy"] == 1


def test_held_out_sets_are_named_so():
    assert set(runs.DEVELOPED_ON) <= set(datasets.names())
    frame = views._with_half(views.pd.DataFrame({"dataset": ["digits", "fashion-mnist"]}))
    assert frame["sets"].tolist() == ["developed on", "held out"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dataset": "nothing"}, "data set"),
        ({"method": "nothing"}, "method"),
        ({"features": "sift"}, "features"),
        ({"size": 3}, "size"),
        ({"seed": -1}, "seed"),
        ({"draws": 0}, "draws"),
    ],
)
def test_wrong_parameters_are_refused_before_any_work(given, message):
    with pytest.raises(UsageError, match=message):
        runs.count_on_subsets.check(**{"dataset": "digits", **given})
