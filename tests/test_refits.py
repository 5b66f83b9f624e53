"""What was fitted stays together: a fit that fails, parameters set afterwards, files that a link or a pipe names."""

import copy
import os
import pickle

import numpy as np
import pytest
from sklearn.base import clone

import clustlib
from clustlib import cluster
from clustlib.datasets import ImageSet
from clustlib.errors import UsageError
from clustlib.fcn.ensemble_projection import EnsembleProjection

PICTURES = np.random.default_rng(0).integers(0, 256, (24, 3, 16, 16), dtype=np.uint8)
SMALL = {"epochs": 1, "random_state": 0}
DEEP = {"network_options": {"width": 0.05, "kernel": 3, "stride": 1}, "n_components": 4, "image_size": 16}


def deep():
    return clustlib.DeepCluster(4, **SMALL, **DEEP, batch_size=8, verbose=False)


def features(**settings):
    return clustlib.FCAEFeatures(**SMALL, whiten=None, **settings)


SYSTEMS = {
    "DeepCluster": deep,
    "DBC": lambda: clustlib.DBC(2, features=features(), **SMALL),
    "FCAEFeatures": features,
    "JULE": lambda: clustlib.JULE(2, **SMALL),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_fit_that_fails_leaves_what_was_fitted(name, monkeypatch):
    model = SYSTEMS[name]().fit(PICTURES)
    before, state = model.transform(PICTURES), set(vars(model))
    bad = np.zeros((24, 3, 20, 20), np.float32)
    bad[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        model.set_params(random_state=5).fit(bad)
    if name in ("DeepCluster", "DBC"):
        told = {"after_epoch" if name == "DeepCluster" else "monitor": lambda *given: 1 / 0}
        with pytest.raises(ZeroDivisionError):
            model.fit(255 - PICTURES, **told)
    with monkeypatch.context() as patched:
        patched.setattr("clustlib.checkpoints.Checkpoint.save", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
        if name != "DeepCluster":  # it saves nothing where no file is named
            with pytest.raises(KeyboardInterrupt):
                model.fit(255 - PICTURES)
    assert set(vars(model)) == state
    np.testing.assert_array_equal(model.transform(PICTURES), before)


def test_rows_of_another_width_leave_what_was_fitted():
    rows = np.random.default_rng(0).random((20, 4))
    for model in (cluster.KMeans(2, random_state=0), clustlib.GSNMF(2, random_state=0)):
        model.fit(rows)
        with pytest.raises(ValueError):
            model.fit(np.full((20, 3), -np.inf))
        assert model.n_features_in_ == 4
        model.transform(rows) if hasattr(model, "transform") else model.predict(rows)


@pytest.mark.parametrize("name", SYSTEMS)
def test_labels_are_looked_at_before_the_work(name):
    model = SYSTEMS[name]()
    if name in ("DeepCluster", "JULE"):
        with pytest.raises(UsageError, match="y must be whole numbers"):
            model.fit(PICTURES, ["a"] * 24)
    if name == "DBC":
        with pytest.raises(UsageError, match="monitor must return a dict"):
            model.fit(PICTURES, monitor=lambda *given: None)


@pytest.mark.parametrize(
    ("name", "later"),
    [
        ("FCAEFeatures", {"code": "bn-relu"}),
        ("JULE", {"network": {"filters": 7}}),
        ("DBC", {"n_clusters": -1}),
        ("DeepCluster", {"network": "vgg16"}),
    ],
)
def test_a_model_is_saved_with_the_settings_of_its_fit(name, later, tmp_path):
    model = SYSTEMS[name]().fit(PICTURES)
    before = model.transform(PICTURES)
    model.set_params(**later).save(tmp_path / "model")
    again = type(model).load(tmp_path / "model")
    np.testing.assert_allclose(again.transform(PICTURES), before, atol=1e-6)
    again.set_params(**later).save(tmp_path / "again")
    np.testing.assert_allclose(type(model).load(tmp_path / "again").transform(PICTURES), before, atol=1e-6)
    assert not hasattr(clone(model), "_as_fitted")


def test_a_generator_of_the_fit_is_not_saved(tmp_path):
    model = features().set_params(random_state=np.random.RandomState(0)).fit(PICTURES)
    model.set_params(random_state=3).save(tmp_path / "model")
    again = type(model).load(tmp_path / "model")
    assert again.random_state is None
    np.testing.assert_allclose(again.transform(PICTURES), model.transform(PICTURES), atol=1e-6)


def test_ensemble_projection_has_the_shape_of_its_fit_and_knows_no_origin():
    rows = np.random.default_rng(0).normal(size=(60, 4))
    model = EnsembleProjection(3, n_prototypes=4, n_members=3, random_state=0).fit(rows)
    before = model.transform(rows)
    for later in ({"n_sets": 6}, {"n_sets": 2}, {"n_prototypes": 1}):
        np.testing.assert_array_equal(copy.deepcopy(model).set_params(**later).transform(rows), before)
    far = EnsembleProjection(3, n_prototypes=4, n_members=3, random_state=0).fit(rows + 1e9)
    np.testing.assert_array_equal(far.prototypes_, model.prototypes_)
    for number, own in enumerate(far.prototypes_):
        found = far.transform(rows[own] + 1e9).reshape(4, 3, 4)[:, number]
        np.testing.assert_array_equal(found.argmax(axis=1), np.arange(4))


@pytest.mark.skipif(os.name != "posix", reason="links and pipes")
def test_links_and_pipes_stay_what_they_are(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "kept")
    model = features(checkpoint=tmp_path / "link").fit(PICTURES)
    assert (tmp_path / "link").is_symlink()
    assert os.listdir(tmp_path / "real") == ["kept"]
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for name, said in (("pipe", "is none"), ("circle", "leads nowhere"), ("real", "a folder")):
        with pytest.raises(UsageError, match=said):
            model.save(tmp_path / name)
        with pytest.raises(UsageError, match=said):
            features(checkpoint=tmp_path / name).fit(PICTURES)
    (tmp_path / "mine").touch(mode=0o600)
    model.save(tmp_path / "mine")
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o600


def test_a_set_of_images_is_read_only_however_it_came():
    made = ImageSet(PICTURES, np.arange(24), "some", files=tuple("abcdefghijklmnopqrstuvwx"))
    for again in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made), copy.copy(made)):
        assert again.checksum == made.checksum and again.files == made.files and again.name == "some"
        with pytest.raises(ValueError, match="read-only"):
            again.images[0] = 9
    with pytest.raises(UsageError, match="masked"):
        ImageSet(PICTURES[:2], np.ma.masked_array([1, 2], mask=[1, 0]), "some")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"class_names": ("a",)}, "1 class_names for labels of 2 classes"),
        ({"class_names": "ab"}, "class_names must be a sequence of names"),
        ({"class_names": 3}, "class_names must be a sequence of names"),
        ({"files": "abc"}, "files must be a sequence of names"),
        ({"split": [[1], 2, 3]}, "split must be names"),
    ],
)
def test_names_that_do_not_go_with_the_images_are_refused(given, said):
    with pytest.raises(UsageError, match=said):
        ImageSet(PICTURES[:3], np.array([0, 1, 1]), "some", **given)
