"""The estimator: scikit-learn's contract, bad input, and real data."""

import gzip

import numpy as np
import pytest
from scipy.io import loadmat
from sklearn.base import clone
from sklearn.datasets import load_digits, make_blobs
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from clustlib.cluster.graph_linkage import GraphLinkage
from clustlib.metrics import accuracy

linkages = pytest.mark.parametrize("linkage", ["gdl", "path", "zeta"])


def unit_rows(X):
    X = np.asarray(X, np.float32).reshape(len(X), -1)
    return X / np.linalg.norm(X, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def blobs():
    return make_blobs(300, centers=4, cluster_std=0.5, random_state=0)


@linkages
def test_blobs(linkage, blobs):
    X, y = blobs
    model = GraphLinkage(4, linkage)
    assert adjusted_rand_score(y, model.fit_predict(X)) == 1
    assert model.labels_.dtype == np.int64 and model.n_features_in_ == 2
    assert model.children_.shape == (model.n_leaves_ - 1, 2) == (len(model.affinities_), 2)
    assert len(model.initial_labels_) == 300 and model.initial_labels_.max() == model.n_leaves_ - 1
    assert [note["stage"] for note in model.history_] == ["graph", "initial", "merging"]


@linkages
def test_digits(linkage):
    X, y = load_digits(return_X_y=True)
    labels = GraphLinkage(10, linkage).fit_predict(unit_rows(X))
    assert normalized_mutual_info_score(y, labels, average_method="geometric") > 0.89


def test_labels_at_is_a_cut_of_the_same_tree(blobs):
    X, _ = blobs
    model = GraphLinkage(4).fit(X)
    for k in (1, 2, 7, model.n_leaves_):
        np.testing.assert_array_equal(model.labels_at(k), GraphLinkage(k).fit(X).labels_)
    with pytest.raises(ValueError, match="initial clusters"):
        model.labels_at(model.n_leaves_ + 1)


@linkages
def test_many_samples_are_renumbered_and_the_merges_are_the_same(linkage, blobs, monkeypatch):
    X, _ = blobs
    usual = GraphLinkage(4, linkage).fit(X)
    monkeypatch.setattr("clustlib.kernels.neighbours.MOST_EXACT", 10)
    other = GraphLinkage(4, linkage, neighbor_method="exact").fit(X)
    assert not np.array_equal(usual.initial_labels_, other.initial_labels_)
    np.testing.assert_allclose(usual.affinities_, other.affinities_, rtol=1e-9, atol=0)
    for k in (2, 4, 9, usual.n_leaves_):
        np.testing.assert_array_equal(usual.labels_at(k), other.labels_at(k))


def test_it_is_deterministic_and_clones(blobs):
    X, _ = blobs
    model = GraphLinkage(5, candidates=3, random_state=1).fit(X)
    np.testing.assert_array_equal(clone(model).fit(X).children_, model.children_)


def test_released_variant_is_gactoolbox():
    """Self-loops for the walks, a magnified bandwidth, isolated clusters kept."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(80, 3)), [[40.0, 0, 0]]])
    published, released = (GraphLinkage(3, "path", 5, variant=v).fit(X) for v in ("published", "released"))
    assert released.history_[0]["sigma2"] > published.history_[0]["sigma2"]
    assert GraphLinkage(3, variant="released")._rescue() == "keep"
    assert GraphLinkage(3, variant="released", isolated="nearest")._rescue() == "nearest"


# ------------------------------------------------------------------ input


def test_layout_and_dtype_do_not_matter():
    X = load_digits().data[:200]
    expected = GraphLinkage(10).fit(X)
    strided = np.zeros((400, 128))
    strided[::2, ::2] = X
    for given in (X.astype(np.uint8), np.asfortranarray(X), strided[::2, ::2], X.tolist()):
        np.testing.assert_array_equal(GraphLinkage(10).fit(given).children_, expected.children_)


@linkages
def test_one_sample(linkage):
    model = GraphLinkage(1, linkage).fit([[1.0, 2.0]])
    np.testing.assert_array_equal(model.labels_, [0])
    assert model.n_leaves_ == 1 and len(model.children_) == 0
    with pytest.raises(ValueError, match="more than the 1 sample"):
        GraphLinkage(2, linkage).fit([[1.0, 2.0]])


@linkages
def test_fewer_samples_than_neighbours(linkage):
    X = np.random.default_rng(0).normal(size=(12, 2))
    with pytest.warns(UserWarning, match="n_neighbors=20"):
        few = GraphLinkage(2, linkage).fit(X)
    np.testing.assert_array_equal(few.labels_, GraphLinkage(2, linkage, 11).fit(X).labels_)


@linkages
@pytest.mark.parametrize("initial", ["nearest", "singletons"])
def test_duplicates(linkage, initial):
    """Each location is a cluster of its own; points in one location are told apart only as singletons."""
    X = np.repeat(np.array([[0.0], [1.0], [5.0], [30.0]]), 15, axis=0)
    model = GraphLinkage(4, linkage, 5, initial=initial).fit(X)
    np.testing.assert_array_equal(model.labels_, np.repeat(range(4), 15))
    assert GraphLinkage(1, linkage, 5, initial=initial).fit(np.ones((40, 3))).labels_.max() == 0


@linkages
def test_groups_without_an_edge_between_them(linkage):
    X, y = make_blobs([60, 50, 40], centers=[[0, 0], [100, 0], [0, 300]], random_state=0)
    model = GraphLinkage(3, linkage, 8).fit(X)
    assert adjusted_rand_score(y, model.labels_) == 1
    assert (model.affinities_[-2:] == 0).all()
    two = model.labels_at(2)
    assert len(set(two[y == 0])) == 1 and set(two[y == 0]) == set(two[y == 1])


def test_more_clusters_than_initial_clusters():
    X = load_digits().data[:100]
    with pytest.raises(ValueError, match=r"initial clusters; initial='singletons'"):
        GraphLinkage(90).fit(X)
    assert GraphLinkage(90, initial="singletons").fit(X).labels_.max() == 89


@pytest.mark.parametrize(
    ("X", "n_clusters", "message"),
    [
        (np.array([[0.0], [np.nan], [1.0]]), 2, "NaN"),
        (np.array([[0.0], [-np.inf], [1.0]]), 2, "infinite"),
        (np.zeros((0, 2)), 2, "0 sample"),
        (np.zeros(5), 2, "shape"),
        (np.zeros((2, 2, 2)), 2, "shape"),
        (np.eye(3), 4, "samples"),
        (np.eye(3), 0, "n_clusters"),
        (np.eye(3), 1.5, "n_clusters"),
        (np.eye(30) * 1e25, 2, "too large"),
    ],
)
def test_bad_input(X, n_clusters, message):
    with pytest.raises(ValueError, match=message):
        GraphLinkage(n_clusters, n_neighbors=2).fit(X)


@pytest.mark.parametrize(
    "option",
    [{"linkage": "ward"}, {"variant": "paper"}, {"initial": "kmeans"}, {"isolated": "drop"}, {"a": -1.0}, {"z": 0.0}],
)
def test_bad_options(option, blobs):
    with pytest.raises(ValueError, match=next(iter(option))):
        GraphLinkage(2, **option).fit(blobs[0])


# ------------------------------------------------------------------ real data


def score(X, y, **options):
    model = GraphLinkage(len(np.unique(y)), **options).fit(unit_rows(X))
    nmi = normalized_mutual_info_score(y, model.labels_, average_method="geometric")
    return round(nmi, 3), round(accuracy(y, model.labels_), 3), model


def test_cmu_pie_is_the_papers(data):
    """JULE, tables 3 and 10: AC-GDL on CMU-PIE has NMI .934 and ACC .842."""
    pie = loadmat(data / "cmu_pie" / "PIE_pose27.mat")
    assert score(pie["fea"], pie["gnd"].ravel())[:2] == (0.934, 0.842)


def test_coil_20(data):
    images = np.load(data / "coil20" / "coil20_128.npz")
    nmi, acc, model = score(images["images"], images["labels"], isolated="keep")
    assert (nmi, acc, model.n_leaves_) == (0.896, 0.783, 446)


def test_usps_needs_one_cluster_rescued(data):
    """One cluster without affinity to any other decides the result; JULE prints .824 for its 11,000 images."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(data / "usps" / "usps.h5") as f:
        X = np.concatenate([f["train/data"][:], f["test/data"][:]])
        y = np.concatenate([f["train/target"][:], f["test/target"][:]])
    assert score(X, y, isolated="keep")[:2] == (0.756, 0.575)
    nmi, _, model = score(X, y)
    assert nmi == pytest.approx(0.886, abs=0.002) and model.n_leaves_ == 1590


def test_initial_clusters_of_mnist_test_are_the_papers(data):
    """JULE, section 4: 1,762 initial clusters on the 10,000 test images of MNIST."""
    path = data / "mnist" / "t10k-images-idx3-ubyte.gz"
    if not path.exists():
        pytest.skip("no MNIST here")
    with gzip.open(path) as f:
        X = np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 784)
    assert GraphLinkage(10).fit(unit_rows(X)).n_leaves_ == 1762
