"""What the four systems have in common: what they take for images, how they are kept, and what they say of bad use."""

import json
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from clustlib import DBC, FCN, GSNMF, JULE, DeepCluster, FCAEFeatures, datasets
from clustlib._validation import check_parameters
from clustlib.errors import DataCorrupt, UsageError
from clustlib.fcn.ensemble_projection import EnsembleProjection
from clustlib.fcn.linear_autoencoder import LinearAutoencoder
from clustlib.jule.deep_autoencoder import DeepAutoencoder
from clustlib.jule.estimator import PatchJULE

DIGITS = datasets.load("digits").take(90, 0)
NET = {"network_options": {"width": 1 / 48, "kernel": 3, "stride": 1}, "image_size": 24, "n_components": 8}


def fcn(n_clusters=3, **other):
    small = {"weights": "random", "size": 32, "n_components": 6, "init": "random", "max_iter": 100, "random_state": 0}
    return FCN(n_clusters, **{**small, "device": "cpu", **other})


def dbc(n_clusters=3, **other):
    stage_1 = FCAEFeatures(epochs=1, whiten=20, random_state=0)
    return DBC(n_clusters, **{"features": stage_1, "epochs": 1, "random_state": 0, "device": "cpu", **other})


def jule(n_clusters=3, **other):
    small = {"epochs": 1, "n_neighbors": 5, "unrolling_rate": 0.5, "network": {"filters": 4, "features": 6}}
    return JULE(n_clusters, **{**small, "device": "cpu", **other})


def deepcluster(n_clusters=3, **other):
    return DeepCluster(n_clusters, **{**NET, "epochs": 1, "batch_size": 30, "verbose": False, "device": "cpu", **other})


SYSTEMS = {"fcn": fcn, "dbc": dbc, "jule": jule, "deepcluster": deepcluster}
every = pytest.mark.parametrize("make", SYSTEMS.values(), ids=SYSTEMS)


@every
def test_what_is_an_image_and_what_is_kept_of_a_fit(make, tmp_path):
    images = DIGITS.images
    model = make().fit(DIGITS)
    for same in (images, images.astype(np.int64), torch.from_numpy(images.copy()), images[:, 0]):
        np.testing.assert_array_equal(make(np.int64(3)).fit(same).labels_, model.labels_)
    own = model.predict(images)
    assert own.dtype == np.int64 and (own == model.labels_).mean() > 0.9
    model.save(tmp_path / "model")
    again = type(model).load(tmp_path / "model", device="cpu")
    np.testing.assert_array_equal(again.predict(images[:20]), model.predict(images[:20]))
    np.testing.assert_array_equal(again.transform(images[:20]), model.transform(images[:20]))
    assert again.get_params()["n_clusters"] == 3
    again.save(tmp_path / "again")
    np.testing.assert_array_equal(type(model).load(tmp_path / "again").predict(images[:20]), own[:20])


@every
def test_what_is_no_image_is_one_line(make):
    gray = np.zeros((20, 16, 16), np.uint8)
    one_bright = np.zeros((20, 1, 16, 16))
    one_bright[3, 0, 2, 2] = 1e19
    for bad, message in (
        (np.zeros((20, 16, 16, 3), np.uint8), "channels last"),
        (one_bright, "must be uint8 or floats"),
        (np.full((20, 1, 16, 16), 200.0), "divide by 255"),
        (sparse.csr_array(np.eye(16)), "numbers in an array, got csr_array"),
        (gray[0], "shape"),
        (None, "must be numbers"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            make().fit(bad)
        assert "\n" not in str(error.value) and len(str(error.value)) <= 200


@every
def test_before_a_fit_there_is_nothing_to_use(make, tmp_path):
    model = make()
    for use in ("transform", "predict"):
        with pytest.raises(NotFittedError) as error:
            getattr(model, use)(DIGITS.images)
        assert "\n" not in str(error.value)
    with pytest.raises(NotFittedError):
        model.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


@every
@pytest.mark.parametrize("bad", [{"n_clusters": 2.5}, {"epochs": True}, {"batch_size": "many"}, {"random_state": "a"}])
def test_a_parameter_that_cannot_be_right_is_named(make, bad):
    with pytest.raises(UsageError, match=next(iter(bad))) as error:
        make(**bad).fit(DIGITS.images)
    assert "\n" not in str(error.value) and len(str(error.value)) <= 200


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (JULE(3, network={"filters": 0}), "filters"),
        (JULE(3, network={"padding": -1}), "padding"),
        (JULE(3, network={"blocks": True}), "blocks"),
        (JULE(3, network={"init": "torch"}), "network takes blocks, pools"),
        (JULE(3, network={3: 3}), "network takes"),
        (PatchJULE(3, network={"features": 0}), "features"),
        (PatchJULE(3, network={"batch_norm": 1}), "batch_norm"),
        (DeepCluster(3, network_options={"kernel": 0}), "kernel"),
        (DeepCluster(3, network_options={"width": 2}), "width"),
        (DeepCluster(3, network_options={"front": None}), "front"),
        (DeepCluster(3, network="vgg16", network_options={"stride": 1}), "network_options takes front, width"),
    ],
    ids=str,
)
def test_what_a_network_takes_is_looked_at_before_it_is_made(model, named):
    with pytest.raises(UsageError, match=named) as error:
        model.set_params(device="cpu").fit(DIGITS.images)
    assert "\n" not in str(error.value) and len(str(error.value)) <= 200


def test_fewer_clusters_than_asked_for_are_said():
    repeated = np.repeat(DIGITS.images[:3], 10, axis=0)
    with pytest.warns(ConvergenceWarning, match="found 3 clusters, fewer than n_clusters=6"):
        deepcluster(6, n_components=4).fit(repeated)
    features = FCAEFeatures(epochs=1, whiten=2, random_state=0)
    with pytest.warns(ConvergenceWarning, match="found 3 clusters, fewer than n_clusters=6"):
        dbc(6, features=features, discriminant=False).fit(repeated)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        deepcluster(3).fit(DIGITS)


@every
def test_numpy_scalars_and_any_random_state_with_a_checkpoint(make, tmp_path):
    how = {"epochs": np.int64(1), "learning_rate": np.float32(0.01), "batch_size": np.int32(30)}
    for number, seed in enumerate((np.int64(5), None, np.random.RandomState(0))):
        file = tmp_path / f"{number}.pt"
        options = {**how, "random_state": seed, "checkpoint": file}
        found = make(np.int64(3), **options).fit(DIGITS.images[:60])
        assert len(found.labels_) == 60
        if isinstance(seed, np.int64) or (seed is None and make is not fcn):  # its k-means draws anew
            np.testing.assert_array_equal(make(3, **options).fit(DIGITS.images[:60]).labels_, found.labels_)


def test_a_saved_model_is_refused_when_it_is_damaged_or_anothers(tmp_path):
    file = tmp_path / "model"
    jule().fit(DIGITS).save(file)
    whole = file.read_bytes()
    for place in (0, len(whole) // 2, len(whole) - 3):
        changed = bytearray(whole)
        changed[place] ^= 1
        file.write_bytes(changed)
        with pytest.raises(DataCorrupt, match="save the model again"):
            JULE.load(file)
    file.write_bytes(whole)
    with pytest.raises(UsageError, match="holds a fitted JULE, not a DBC"):
        DBC.load(file)
    with np.load(file, allow_pickle=False) as found:  # plain numbers, which NumPy alone can read
        assert json.loads(found["settings"].tobytes())["class"] == "JULE"
        assert not any(found[name].dtype.hasobject for name in found.files)


def test_labels_at_another_number_survive_a_file(tmp_path):
    model = jule().fit(DIGITS)
    model.save(tmp_path / "model")
    again = JULE.load(tmp_path / "model")
    np.testing.assert_array_equal(again.labels_at(5), model.labels_at(5))
    with pytest.raises(NotFittedError):
        jule().labels_at(5)


def test_images_without_a_scale_are_taken_where_that_is_said():
    centred = DIGITS.pixels(norm=None).reshape(-1, 1, 8, 8) if hasattr(DIGITS, "pixels") else DIGITS.images
    centred = (centred - centred.mean(axis=0)).astype(np.float32)
    with pytest.raises(UsageError, match=r"floats in 0\.\.1"):
        jule().fit(centred)
    for kind in (JULE, PatchJULE):
        network = {"filters": 4, "features": 6}
        model = kind(3, epochs=1, n_neighbors=5, network=network, scaled=False, device="cpu").fit(centred)
        assert len(model.predict(centred[:7])) == 7


def test_floats_are_what_their_bytes_are_to_a_pretrained_network():
    images = DIGITS.images[:6]
    found, same = (fcn(None)._extract(x) for x in (images, images / np.float32(255)))
    np.testing.assert_allclose(found, same, rtol=1e-2, atol=1e-3 * found.max())


@every
def test_a_folder_of_files(make, tmp_path):
    for number, image in enumerate(DIGITS.images[:60]):
        Image.fromarray(np.kron(image[0], np.ones((4, 4), np.uint8))).save(tmp_path / f"{number:02}.png")
    model = make(**({"features": FCAEFeatures(epochs=0, whiten=4)} if make is dbc else {})).fit(tmp_path)
    assert len(model.labels_) == len(model.predict(str(tmp_path))) == 60


def test_deepcluster_without_a_number_of_clusters_takes_what_the_images_bear():
    with pytest.warns(UserWarning, match="90 images are put into 9 clusters in place of 10,000"):
        found = deepcluster(None).fit(DIGITS)
    assert found.labels_.max() <= 8
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        deepcluster(9).fit(DIGITS)
    with pytest.raises(UsageError, match="more than the 90 samples"):
        deepcluster(10_000).fit(DIGITS)


JUNK = [
    None,
    True,
    -1,
    0,
    2.5,
    float("nan"),
    float("inf"),
    "",
    "nonsense",
    [],
    {},
    10**30,
    np.float64("nan"),
    np.zeros(3),
]
KINDS = [
    FCN,
    FCAEFeatures,
    DBC,
    JULE,
    PatchJULE,
    DeepCluster,
    GSNMF,
    LinearAutoencoder,
    EnsembleProjection,
    DeepAutoencoder,
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_parameter_is_looked_at(kind):
    assert set(kind._parameter_constraints) == set(kind().get_params(deep=False))
    for name, rule in kind._parameter_constraints.items():
        refused = 0
        for junk in JUNK:
            try:
                check_parameters(kind(**{name: junk}))
            except UsageError as error:
                refused += 1
                assert name in str(error) and "\n" not in str(error) and len(str(error)) <= 200
        assert refused >= 5 or rule == "no_validation"


@every
@pytest.mark.parametrize("bad", [{"device": "tpu"}, {"device": 2.5}, {"checkpoint": "."}, {"checkpoint": 3}])
def test_where_a_fit_cannot_run_or_be_kept_is_one_line(make, bad):
    with pytest.raises(UsageError, match=next(iter(bad))) as error:
        make(**bad).fit(DIGITS.images)
    assert "\n" not in str(error.value)
