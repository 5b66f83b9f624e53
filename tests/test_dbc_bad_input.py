"""What DBC and its auto-encoder refuse, each in one line, and the little that they put up with."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from clustlib import DBC, FCAEFeatures, datasets
from clustlib.errors import DataCorrupt, UsageError


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits").take(200, 0).images


@pytest.fixture(scope="module")
def features(digits):
    return FCAEFeatures(epochs=0, random_state=0).fit(digits)


@pytest.fixture(scope="module")
def fitted(digits, features):
    return DBC(4, features=features, epochs=1, random_state=0).fit(digits)


def with_nan(images: np.ndarray) -> np.ndarray:
    changed = images.astype(np.float32)
    changed[3, 0, 2, 2] = np.nan
    return changed


IMAGES = [
    (lambda X: X[0, 0], r"shape \(N, C, H, W\) or \(N, H, W\), got \(8, 8\)"),
    (lambda X: X[:0], "no images in an array of shape"),
    (with_nan, "NaN or infinite"),
    (lambda X: X.astype(np.float64) * 1e300, r"must be uint8 or floats in 0\.\.1"),
    (lambda X: np.full(X.shape, "a"), "must be numbers, got dtype <U1"),
    (lambda X: None, "must be numbers, got dtype object"),
    (lambda X: [1, 2], "must have shape"),
]


@pytest.mark.parametrize(("change", "message"), IMAGES)
@pytest.mark.parametrize("estimator", [FCAEFeatures(epochs=1), DBC(4, epochs=1)], ids=["auto-encoder", "DBC"])
@pytest.mark.filterwarnings("ignore:overflow")
def test_images_that_cannot_be_learnt(digits, estimator, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        estimator.fit(change(digits))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": -1}, "'epochs' parameter of FCAEFeatures must be an int"),
        ({"epochs": 1.5}, "'epochs' parameter"),
        ({"epochs": True}, "'epochs' parameter of FCAEFeatures must not be a boolean"),
        ({"batch_size": 1}, "'batch_size' parameter"),
        ({"learning_rate": 0.0}, "'learning_rate' parameter"),
        ({"learning_rate": float("nan")}, "'learning_rate' parameter.*nan"),
        ({"learning_rate": "1e-3"}, "'learning_rate' parameter"),
        ({"weight_decay": -1.0}, "'weight_decay' parameter"),
        ({"optimizer": "newton"}, "'optimizer' parameter.*'newton'"),
        ({"scaling": "log"}, "'scaling' parameter.*'log'"),
        ({"unpooling": "mean"}, "'unpooling' parameter.*'mean'"),
        ({"code": "tanh"}, "'code' parameter.*'tanh'"),
        ({"code": "bn-relu"}, "only a linear code can be whitened"),
        ({"whiten": 180}, "more than the 160 numbers of the code"),
        ({"whiten": 0}, "'whiten' parameter"),
        ({"whiten": 2.5}, "'whiten' parameter"),
        ({"checkpoint": "."}, "checkpoint must be a file"),
        ({"random_state": "a"}, "'random_state' parameter"),
        ({"device": "tpu"}, '"auto", "cpu" or "cuda"'),
    ],
)
def test_options_of_the_auto_encoder(digits, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        FCAEFeatures(**{"epochs": 0, **options}).fit(digits)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_clusters": 2.5}, "'n_clusters' parameter.*Got 2.5"),
        ({"n_clusters": True}, "'n_clusters' parameter.*boolean, got True"),
        ({"n_clusters": "4"}, "'n_clusters' parameter.*Got '4'"),
        ({"n_clusters": 201}, "more than the 200 samples"),
        ({"alpha": float("nan")}, "'alpha' parameter of DBC"),
        ({"v": -1.0}, "'v' parameter of DBC"),
        ({"radius": 0.0}, "'radius' parameter of DBC"),
        ({"alpha": float("inf")}, "'alpha' parameter of DBC"),
        ({"alpha": "2"}, "'alpha' parameter of DBC"),
        ({"v": float("inf")}, "'v' parameter of DBC"),
        ({"radius": float("inf")}, "'radius' parameter of DBC"),
        ({"epochs": None}, "'epochs' parameter of DBC"),
        ({"batch_size": 2.5}, "'batch_size' parameter of DBC"),
        ({"learning_rate": float("inf")}, "'learning_rate' parameter of DBC"),
        ({"weight_decay": -1.0}, "'weight_decay' parameter of DBC"),
        ({"decay": 0.0}, "'decay' parameter of DBC"),
        ({"decay": 1.5}, "'decay' parameter of DBC"),
        ({"decay": "1"}, "'decay' parameter of DBC"),
        ({"n_init": 0}, "'n_init' parameter of DBC"),
        ({"n_init": 1.5}, "'n_init' parameter of DBC"),
        ({"smoothing": 1.5}, "'smoothing' parameter of DBC"),
        ({"n_neighbors": 0}, "'n_neighbors' parameter of DBC"),
        ({"start": None}, "'start' parameter of DBC"),
        ({"settle": 1}, "'settle' parameter of DBC"),
        ({"normalisation": "hard"}, "'normalisation' parameter of DBC"),
        ({"checkpoint": "."}, "checkpoint must be a file"),
        ({"features": "codes"}, "features must be an FCAEFeatures, got str"),
        ({"optimizer": None}, "'optimizer' parameter.*Got None"),
        ({"random_state": -1}, "'random_state' parameter"),
        ({"device": "tpu"}, '"auto", "cpu" or "cuda"'),
    ],
)
def test_options_of_dbc(digits, features, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        DBC(**{"n_clusters": 4, "features": features, "epochs": 1, **options}).fit(digits)
    assert "\n" not in str(caught.value)


def test_images_without_variety_are_told_from_too_few_directions(digits):
    for images in (0 * digits, 0 * digits + 7):
        with pytest.raises(UsageError, match="these 200 images differ in fewer than 60 directions"):
            DBC(4, epochs=1, features=FCAEFeatures(epochs=0)).fit(images)


def test_few_images_have_fewer_directions_and_say_so(digits):
    with pytest.warns(UserWarning, match="whiten=60 directions are 20 for 40 images"):
        found = FCAEFeatures(epochs=1, random_state=0).fit(digits[:40])
    same = FCAEFeatures(epochs=1, whiten=20, random_state=0).fit(digits[:40])
    np.testing.assert_array_equal(found.embedding_, same.embedding_)
    assert found.embedding_.shape == (40, 20)


def test_parameters_may_be_numpy_scalars_and_a_checkpoint_knows_them(digits, tmp_path):
    options = {"epochs": 1, "batch_size": 64, "alpha": 2.0, "random_state": 3}
    same = {name: np.array(value)[()] for name, value in options.items()}
    digits = digits[:80].copy()  # torch chooses its kernels by the strides, even those of a single channel
    plain = DBC(4, **options, checkpoint=tmp_path / "dbc.pt").fit(digits)
    again = DBC(np.int64(4), **same, checkpoint=tmp_path / "dbc.pt").fit(digits.astype(np.int64))
    np.testing.assert_array_equal(plain.labels_, again.labels_)
    with pytest.raises(UsageError, match=r"decay: 0\.94 there, 0\.5 here"):
        DBC(4, **options, decay=0.5, checkpoint=tmp_path / "dbc.pt").fit(digits)
    unseeded = {**options, "random_state": None, "checkpoint": tmp_path / "unseeded.pt"}
    unseeded |= {"features": FCAEFeatures(epochs=0, whiten=20, random_state=0).fit(digits)}
    first, second = (DBC(4, **unseeded).fit(digits) for _ in range(2))
    np.testing.assert_array_equal(first.labels_, second.labels_)


def test_one_image_cannot_be_normalised(digits):
    with pytest.raises(UsageError, match="needs at least 2 images, got 1"):
        FCAEFeatures(epochs=1, whiten=None).fit(digits[:1])


@pytest.mark.parametrize(
    "change", [lambda X: np.pad(X, ((0, 0), (0, 0), (0, 1), (0, 1))), lambda X: np.repeat(X, 3, 1)]
)
def test_features_of_other_images_are_refused(digits, features, change):
    with pytest.raises(UsageError, match=r"fitted to images of \(1, 8, 8\), these are \((1, 9, 9|3, 8, 8)\)"):
        DBC(4, features=features, epochs=1).fit(change(digits))


@pytest.mark.parametrize("options", [{"start": "best"}, {"n_init": 0}, {"optimizer": "newton"}, {"weight_decay": -1.0}])
def test_options_are_refused_before_the_auto_encoder_is_trained(digits, monkeypatch, options):
    monkeypatch.setattr(FCAEFeatures, "fit", lambda *_: pytest.fail("the auto-encoder was trained first"))
    with pytest.raises(ValueError):
        DBC(4, **options).fit(digits)


def test_an_image_too_small_for_the_network(digits):
    with pytest.raises(UsageError, match="at least 4 x 4 pixels"):
        FCAEFeatures(epochs=1).fit(digits[:, :, :3, :3])


@pytest.mark.parametrize("use", ["transform", "predict", "predict_proba"])
def test_new_images_are_checked_as_those_of_the_fit(digits, fitted, use):
    for change, message in IMAGES[:3]:
        with pytest.raises(ValueError, match=message):
            getattr(fitted, use)(change(digits))
    with pytest.raises(ValueError, match=r"\(1, 8, 8\) as those of the fit, got \(3, 8, 8\)"):
        getattr(fitted, use)(np.repeat(digits, 3, 1))


@pytest.mark.parametrize(
    ("estimator", "use"),
    [
        *((DBC(4), use) for use in ("transform", "predict", "predict_proba")),
        *((FCAEFeatures(), use) for use in ("transform", "reconstruct", "activations")),
    ],
)
def test_what_was_not_fitted_says_so(digits, estimator, use):
    with pytest.raises(NotFittedError):
        getattr(estimator, use)(digits)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", "half"])
def test_a_damaged_checkpoint_is_named_and_kept(digits, features, tmp_path, content):
    file = tmp_path / "dbc.pt"
    model = DBC(4, features=features, epochs=1, random_state=0, checkpoint=file)
    if content == "half":
        model.fit(digits)
        content = file.read_bytes()[: file.stat().st_size // 2]
    file.write_bytes(content)
    with pytest.raises(DataCorrupt, match="damaged or no checkpoint") as caught:
        model.fit(digits)
    assert str(file) in str(caught.value) and "delete it" in str(caught.value)
    assert file.read_bytes() == content


def test_another_data_sets_checkpoint_is_refused(digits, features, tmp_path):
    file = tmp_path / "dbc.pt"
    DBC(4, features=features, epochs=1, random_state=0, checkpoint=file).fit(digits)
    with pytest.raises(UsageError, match=r"checkpoint of another fit.*data"):
        DBC(4, features=features, epochs=1, random_state=0, checkpoint=file).fit(255 - digits)


def test_as_many_clusters_as_images_and_one_cluster_are_borders_that_work(digits, features):
    assert set(DBC(1, features=features, epochs=1, random_state=0).fit(digits).labels_) == {0}
    many = DBC(200, features=features, epochs=0, smoothing=0, n_init=1, random_state=0).fit(digits)
    assert len(set(many.start_labels_)) == 200


def test_more_neighbours_than_images_are_all_of_them(digits, features):
    settings = {"features": features, "epochs": 0, "random_state": 0}
    labels = [DBC(4, n_neighbors=n, **settings).fit(digits).start_labels_ for n in (199, 1000)]
    np.testing.assert_array_equal(*labels)


def test_repeated_images_leave_clusters_empty_and_nothing_breaks(digits, features):
    with pytest.warns(UserWarning, match="distinct clusters"):
        model = DBC(5, features=features, epochs=2, random_state=0).fit(np.repeat(digits[:3], 20, 0))
    assert np.isfinite(model.soft_assignments_).all() and np.isfinite(model.embedding_).all()
    assert len(set(model.labels_[:20])) == 1
