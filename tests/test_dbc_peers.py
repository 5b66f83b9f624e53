"""The rows that ClustPy runs in DBC's tables: what it is given, what is read off it, and what is said without it."""

import importlib.machinery
import sys
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from clustlib import datasets, dbc, metrics, published, records
from clustlib.errors import PackageMissing, UsageError


@pytest.fixture
def no_clustpy(monkeypatch):
    monkeypatch.setitem(sys.modules, "clustpy", None)


class Network(torch.nn.Linear):
    """An auto-encoder as ClustPy hands one out: the code is the first ten numbers."""

    fitted = False

    def transform(self, X):
        return X[:, :10].astype(np.float64)


@pytest.fixture
def stub(monkeypatch, tmp_path):
    """A stand-in for ``clustpy.deep`` that notes every call; its estimators put image i in cluster i modulo k."""
    calls: list[tuple[str, dict]] = []

    def trained(**given):
        calls.append(("trained", given))
        network = Network(2, 2)
        network.fitted = True
        return network

    def estimator(name):
        def make(n_clusters, **given):
            calls.append((name, {"n_clusters": n_clusters, **given}))

            def fit(X):
                own = np.arange(len(X)) % n_clusters
                return SimpleNamespace(
                    labels_=own if name in ("AEC", "DEN") else 0 * own, **{f"{name.lower()}_labels_": own}
                )

            return SimpleNamespace(fit=fit)

        return make

    deep = ModuleType("clustpy.deep")
    deep.set_torch_seed = lambda seed: calls.append(("seed", {"seed": seed}))  # type: ignore[attr-defined]
    deep.get_trained_network = trained  # type: ignore[attr-defined]
    deep.get_neural_network = lambda size, **given: Network(2, 2)  # type: ignore[attr-defined]
    for name in ("AEC", "DEN", "DCN", "DEC"):
        setattr(deep, name, estimator(name))
    package = ModuleType("clustpy")
    package.deep = deep  # type: ignore[attr-defined]
    package.__spec__ = importlib.machinery.ModuleSpec("clustpy", None)
    monkeypatch.setitem(sys.modules, "clustpy", package)
    monkeypatch.setitem(sys.modules, "clustpy.deep", deep)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return calls


def test_without_the_package_every_cell_says_how_to_get_it(no_clustpy, book):
    runs = records.grid(dbc.runs.peers.cluster, dataset=["digits"], method=list(dbc.runs.peers.METHODS), seed=[0])
    assert [missing.reason for missing in runs.missing] == ["needs clustpy: pip install clustpy==0.0.3"] * 5
    assert dbc.runs.peers.reasons()["DEC"] == dbc.runs.peers.NEEDS


def test_the_reason_reaches_the_papers_cells(no_clustpy):
    cells = pd.DataFrame(columns=["dataset", "method", "metric", "value", "seed", "seconds", "device", "reason"])
    comparison = published.compare(cells, "dbc", "table-03", reasons=dbc.runs.peers.reasons()).set_index("method")
    assert set(comparison.loc[["DAE-KMS", "AEC", "DCN", "DEC"], "reason"]) == {dbc.runs.peers.NEEDS}
    assert "its own paper only" in comparison.loc["IEC", "reason"].iloc[0]


def test_with_the_package_only_iec_is_excused(stub):
    assert set(dbc.runs.peers.reasons()) == {"IEC"}


def test_the_package_is_the_one_that_the_project_pins():
    root = Path(__file__).resolve().parent.parent
    extras = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert dbc.runs.peers.PACKAGE in extras["peers"]


@pytest.mark.parametrize("method", ["DCN", "DEC"])
def test_the_clusters_are_the_methods_own_and_those_of_a_new_k_means_are_noted_beside_them(stub, method):
    labels = datasets.load("digits").labels
    result = dbc.runs.peers.cluster("digits", method, seed=3)
    np.testing.assert_array_equal(result["labels"], np.arange(1797) % 10)
    assert result["accuracy"] == pytest.approx(metrics.accuracy(labels, np.arange(1797) % 10))
    assert result["accuracy_reclustered"] == pytest.approx(metrics.accuracy(labels, np.zeros(1797, int)))
    given = dict(stub)[method]
    assert given["n_clusters"] == 10 and given["random_state"] == 3 and given["clustering_epochs"] == 150
    assert given["initial_clustering_params"] == {"n_init": 20} and given["neural_network"].fitted


def test_aec_starts_from_random_clusters_as_its_paper_does(stub):
    result = dbc.runs.peers.cluster("digits", "AEC", epochs=7)
    given = dict(stub)["AEC"]
    assert given["clustering_epochs"] == 7 and "initial_clustering_params" not in given
    assert "accuracy_reclustered" not in result


def test_all_rows_of_a_seed_share_one_auto_encoder(stub):
    for method in ("DAE-KMS", "AEC", "DEC"):
        dbc.runs.peers.cluster("digits", method, seed=1)
    trained = [given for name, given in stub if name == "trained"]
    assert len(trained) == 1 and trained[0]["n_epochs"] == 100 and trained[0]["random_state"] == 1
    assert trained[0]["data"].shape == (1797, 64)
    dbc.runs.peers.cluster("digits", "DEC", seed=2)
    assert len([name for name, _ in stub if name == "trained"]) == 2


def test_dae_kms_is_k_means_on_the_codes(stub):
    from clustlib.cluster import KMeans

    found = dbc.runs.peers.cluster("digits", "DAE-KMS", seed=0)["labels"]
    codes = dbc.runs.peers.standardised(datasets.load("digits"))[:, :10]
    np.testing.assert_array_equal(found, KMeans(10, n_init=20, random_state=0).fit(codes).labels_)


def test_dens_kernel_is_as_wide_as_neighbours_are_apart(stub):
    dbc.runs.peers.cluster("digits", "DEN", pretrain_epochs=5)
    given = dict(stub)["DEN"]
    X = dbc.runs.peers.standardised(datasets.load("digits"))
    apart = NearestNeighbors(n_neighbors=4).fit(X).kneighbors()[0]
    assert given["heat_kernel_t_parameter"] == pytest.approx((apart**2).mean(), rel=1e-4)
    assert given["pretrain_epochs"] == 5


def test_pixels_are_standardised_channel_by_channel():
    drawn = np.random.default_rng(0)
    images = drawn.integers(0, 256, (40, 3, 5, 4)).astype(np.uint8)
    images[:, 1] //= 3
    images[:, 2] = 9
    rows = dbc.runs.peers.standardised(datasets.ImageSet(images, np.arange(40) % 2, "made up"))
    channels = rows.reshape(40, 3, 20).transpose(1, 0, 2).reshape(3, -1)
    np.testing.assert_allclose(channels.mean(1), 0, atol=1e-4)
    np.testing.assert_allclose(channels.std(1), [1, 1, 0], atol=1e-4)


@pytest.mark.parametrize(
    "wrong", [{"dataset": "nothing"}, {"method": "IEC"}, {"seed": -1}, {"epochs": 0}, {"pretrain_epochs": True}]
)
def test_wrong_parameters_are_refused_before_any_work(wrong):
    with pytest.raises(UsageError):
        dbc.runs.peers.cluster.check(**{"dataset": "digits", "method": "DEC", "seed": 0, **wrong})


def test_a_run_without_the_package_is_refused_in_one_line(no_clustpy):
    with pytest.raises(PackageMissing, match="needs clustpy: pip install") as caught:
        dbc.runs.peers.cluster("digits", "DEC")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", dbc.runs.peers.METHODS)
def test_clustpy_itself(method, monkeypatch, tmp_path):
    """The real interface, one epoch of each stage: the calls fit it, and a seed fixes the result."""
    pytest.importorskip("clustpy", reason="clustpy is not installed: pip install clustpy==0.0.3")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first, again = (dbc.runs.peers.cluster("digits", method, 0, pretrain_epochs=1, epochs=1) for _ in range(2))
    assert first["labels"].shape == (1797,) and first["labels"].max() < 10
    assert first["accuracy"] > 0.12 and first["training_seconds"] > 0
    np.testing.assert_array_equal(first["labels"], again["labels"])
