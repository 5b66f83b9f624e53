"""The runs and tables of the guide's page on methods."""

import sys

import numpy as np
import pandas as pd
import pytest

from clustlib import datasets
from clustlib.errors import PackageMissing, UsageError
from clustlib.images import comparison, views


def one(**chosen) -> dict[str, float]:
    return comparison.cluster_as_folder(**{"dataset": "digits", "method": "gdl", "features": "pixels", **chosen})


def test_a_known_number_is_kept_and_an_unknown_one_is_found():
    known, unknown = one(size=150), one(size=150, known=False)
    assert known["found"] == known["classes"] == 10 and known["error"] == 0
    assert unknown["error"] == pytest.approx(np.log2(unknown["found"] / 10))
    assert known["accuracy"] > 0.6 and known["seconds_clustering"] > 0


def test_a_part_is_drawn_and_its_classes_are_the_folders():
    written = datasets.load("digits").take(30, 0)
    assert one(size=30)["classes"] == written.n_classes


def test_a_peer_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "clustpy", None)
    with pytest.raises(PackageMissing, match="pip install clustpy"):
        one(method="DEC", size=30)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"method": "gdll"}, "did you mean gdl"),
        ({"features": "cnnn"}, "features"),
        ({"size": 3}, "size"),
        ({"method": "jule", "features": "cnn"}, "learns its own features"),
        ({"method": "DCN", "known": False}, "must be told"),
    ],
)
def test_what_cannot_be_right_is_refused_before_any_work(chosen, said):
    with pytest.raises(UsageError, match=said):
        comparison.cluster_as_folder.check(**{"dataset": "digits", "method": "gdl", "features": "pixels", **chosen})


def outcomes() -> pd.DataFrame:
    rows = [
        ("a", "k-means, pixels", True, 0.5, 1.0),
        ("b", "k-means, pixels", True, 0.7, 1.0),
        ("a", "GDL, cnn", True, 0.9, 4.0),
        ("b", "GDL, cnn", True, 0.8, 6.0),
        ("a", "JULE", True, 0.95, 60.0),
        ("a", "GDL, cnn", False, 0.6, 4.0),
    ]
    return pd.DataFrame(rows, columns=["dataset", "label", "known", "accuracy", "seconds"]).assign(found=3, classes=4)


def test_a_method_without_a_set_has_no_mean_and_comes_last():
    frame = outcomes()
    table = views.by_method(frame[frame["known"]], "accuracy")
    assert list(table.index) == ["GDL, cnn", "k-means, pixels", "JULE"]
    assert table.loc["GDL, cnn", "mean"] == pytest.approx(0.85) and np.isnan(table.loc["JULE", "mean"])


def test_the_verdict_counts_sets_and_names_seconds():
    assert views.methods_verdict(outcomes()[:4]) == (
        "With the number of clusters given, GDL, cnn has the best mean accuracy over 2 sets, "
        "and is best alone on 2 of them."
    )
    assert views.methods_verdict(outcomes()[5:]) == "No method has run."


def test_gains_are_drawn_for_every_method_but_the_one_they_are_over():
    axes = views.gain_over_kmeans(outcomes()).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["GDL, cnn", "JULE"]
