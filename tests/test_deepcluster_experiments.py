"""DeepCluster's runs: the settings that the rows of its tables stand for."""

import pytest

from clustlib import deepcluster

USUAL = {"front": "sobel", "sampler": "uniform", "clustering": "kmeans", "split": "released", "network": "alexnet"}


class Reached(Exception):
    """Raised in place of a training, with the arguments that it was asked for."""


@pytest.mark.parametrize(
    ("method", "departs"),
    [
        ("DeepCluster", {}),
        ("DeepCluster RGB", {"front": "rgb"}),
        ("DeepCluster released sampler", {"sampler": "released"}),
        ("DeepCluster published split", {"split": "paper"}),
        ("DeepCluster PIC", {"clustering": "pic"}),
        ("DeepCluster VGG-16", {"network": "vgg16"}),
    ],
)
def test_a_row_differs_in_what_it_says_and_in_nothing_else(monkeypatch, method, departs):
    def reach(n_clusters, **settings):
        raise Reached({name: settings[name] for name in USUAL}, n_clusters)

    monkeypatch.setattr("clustlib.deepcluster.estimator.DeepCluster", reach)
    with pytest.raises(Reached) as found:
        deepcluster.runs.training.train("digits", method, 0, 100, 1, 3, 0.042, 32)
    assert found.value.args == ({**USUAL, **departs}, 30)
