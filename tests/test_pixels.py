"""The rows of Tables 3 and 10 on pixels of unit length, and on centred ones."""

import dataclasses

import numpy as np
import pytest

from clustlib import datasets, jule, kernels, records
from clustlib.errors import UsageError
from clustlib.jule import rows


def reference(images):
    """The mean image taken off and every row scaled to unit length, in float64."""
    rows = images.images.reshape(len(images), -1).astype(np.float64)
    rows -= rows.mean(axis=0)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_centred_rows():
    images = datasets.load("digits")
    rows = jule.runs.pixels.centred(images)
    assert rows.dtype == np.float32 and rows.shape == (len(images), 64)
    np.testing.assert_allclose(rows, reference(images), atol=1e-6)


def test_an_image_that_is_the_mean_stays_zero():
    images = datasets.load("digits").take(4, 0)
    same = dataclasses.replace(images, images=np.repeat(images.images[:1], 4, axis=0))
    assert not jule.runs.pixels.centred(same).any()


@pytest.mark.parametrize("method", ["AC-GDL", "K-means"])
def test_only_the_pixels_differ(method):
    images = datasets.load("digits")
    found = jule.runs.pixels.cluster_centred_pixels("digits", method, seed=1)
    plain = jule.runs.pixels.cluster_pixels("digits", method, seed=1)
    model = jule.runs.pixels.estimator(rows.ROWS[method], 10, random_state=1, variant="released", device="auto")
    np.testing.assert_array_equal(found["labels"], model.fit(jule.runs.pixels.centred(images)).labels_)
    assert set(found) == set(plain) and found["accuracy"] != plain["accuracy"]


def test_initial_clusters_are_those_of_the_graph():
    for centre in (False, True):
        rows = jule.runs.pixels.centred(datasets.load("digits")) if centre else datasets.load("digits").pixels("l2")
        wanted = kernels.initial_clusters(kernels.affinity_graph(rows)).max() + 1
        assert jule.runs.pixels.initial_clusters("digits", centre)["initial_clusters"] == wanted


def test_what_cannot_be_right_is_refused():
    with pytest.raises(UsageError, match="NMF-LP"):
        jule.runs.pixels.cluster_centred_pixels.check("digits", "NMF-LP")
    with pytest.raises(UsageError, match="variant"):
        jule.runs.pixels.cluster_centred_pixels.check("digits", "AC-GDL", variant="both")


def test_jule_is_shown_images_less_their_mean():
    images = datasets.load("digits")
    wanted = images.images / 255 - (images.images / 255).mean(axis=0)
    shown = jule.runs.centred.shown(images)
    assert shown.dtype == np.float32
    np.testing.assert_allclose(shown, wanted, atol=1e-6)


def test_jule_on_centred_images(tmp_path, monkeypatch):
    monkeypatch.setattr(records.artifacts, "folder", lambda: tmp_path)
    monkeypatch.setattr(jule.runs.centred, "checkpoint_of", lambda fn, params: None)
    shared = {"dataset": "digits", "epochs": 1, "device": "cpu"}
    fits = {seed: jule.runs.centred.train_centred(seed=seed, **shared) for seed in (0, 1)}
    again = jule.runs.centred.train_centred(seed=0, **shared)
    assert all(np.array_equal(fits[0][name], again[name]) for name in ("OURS-SF", "OURS-RC", "nmi"))
    assert not np.array_equal(fits[0]["OURS-RC"], fits[1]["OURS-RC"])
    record = jule.runs.centred.cluster_centred(method="OURS-RC", seed=1, **shared)
    np.testing.assert_array_equal(record["labels"], fits[1]["OURS-RC"])
    with pytest.raises(UsageError, match="method"):
        jule.runs.centred.cluster_centred.check("digits", "AC-GDL")
