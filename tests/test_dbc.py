"""DBC and its auto-encoder: the network of Table 2, the two stages, and what a killed fit leaves."""

import copy
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from sklearn.base import clone

from clustlib import DBC, FCAEFeatures, datasets, metrics
from clustlib.cluster import KMeans
from clustlib.dbc import equations
from clustlib.dbc.linear_code import discriminant_encoder
from clustlib.dbc.minibatch import floats, over_all
from clustlib.dbc.network import FCAE
from clustlib.dbc.start import averaged, evenness
from clustlib.errors import UsageError
from clustlib.kernels import boosted_target, soft_assign

TABLE_2 = {  # image: maps of every layer of the encoder, weights and biases, the same with batch normalisation
    (1, 28, 28): ("6x24 6x12 16x8 16x4 120x1", 33_412, 33_696),
    (1, 16, 16): ("20x16 20x8 20x8 20x4 160x1", 55_180, 55_580),
    (1, 128, 128): ("20x120 20x60 20x56 20x28 20x24 20x12 40x8 40x4 320x1", 246_840, 247_680),
    (3, 128, 128): ("20x120 20x60 20x56 20x28 20x24 20x12 40x8 40x4 320x1", 250_080, 250_920),
}
SMALL = {"epochs": 3, "batch_size": 64}


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits").take(400, 0)


@pytest.fixture(scope="module")
def features(digits):
    return FCAEFeatures(epochs=2, batch_size=64, random_state=0).fit(digits.images)


@pytest.mark.parametrize("shape", TABLE_2)
def test_the_networks_are_those_of_table_2(shape):
    maps, convolutions, everything = TABLE_2[shape]
    model = FCAE(shape).eval()
    layers = model.activations(torch.zeros(2, *shape))
    encoder = [layer for name, layer in layers.items() if name[:4] in ("conv", "pool", "feat")]
    assert " ".join(f"{layer.shape[1]}x{layer.shape[2]}" for layer in encoder) == maps
    assert sum(p.numel() for p in model.encoder_parameters()) == everything
    counted = [p for p in model.encoder_parameters() if p.ndim == 4]
    assert sum(p.numel() + len(p) for p in counted) == convolutions


@pytest.mark.parametrize("shape", [*TABLE_2, (1, 8, 8), (3, 32, 32), (1, 28, 23), (1, 112, 92), (3, 4, 5), (1, 37, 51)])
@pytest.mark.parametrize("unpooling", ["switches", "corner", "nearest"])
def test_the_decoder_mirrors_the_encoder(shape, unpooling):
    model = FCAE(shape, unpooling)
    codes, output = model(torch.rand(2, *shape))
    assert output.shape == (2, *shape) and codes.shape == (2, model.code_length)
    layers = model.activations(torch.rand(2, *shape))
    for number in range(1, len(model.encoder) + 1):
        assert layers[f"unpool{number}"].shape == layers[f"conv{number}"].shape
        assert layers[f"deconv{number + 1}"].shape == layers[f"pool{number}"].shape


def test_switches_put_every_value_back_where_it_was():
    model = FCAE((1, 28, 28))
    layers = model.activations(torch.rand(3, 1, 28, 28))
    occupied = layers["unpool1"] != 0
    values = layers["deconv2"]
    assert torch.equal(layers["unpool1"].sum((2, 3)), values.sum((2, 3))) or torch.allclose(
        layers["unpool1"].sum((2, 3)), values.sum((2, 3)), rtol=1e-4
    )
    was_maximum = layers["conv1"] == layers["pool1"].repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert bool((was_maximum | ~occupied).all())


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 8, 8), (3, 20, 31), (1, 64, 64)])
@pytest.mark.parametrize("training", [True, False])
def test_the_fused_layers_are_the_plain_ones(shape, training):
    fused = FCAE(shape).train(training)
    plain = copy.deepcopy(fused).double()
    images = torch.rand(6, *shape)
    codes, output = fused(images)
    layers = plain.activations(images.double())
    torch.testing.assert_close(codes, layers["features"].flatten(1).float(), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(output, layers["output"].float(), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(fused.encode(images), codes)
    weights = torch.rand(output.shape)
    (output * weights).sum().backward()
    (layers["output"] * weights.double()).sum().backward()
    for mine, theirs in zip(fused.parameters(), plain.parameters()):
        # single precision may take another of two nearly equal maxima; a bias under batch normalisation has none
        assert float((mine.grad - theirs.grad).norm()) < 0.02 * float(theirs.grad.norm()) + 1e-2


def test_batch_normalisation_follows_every_convolution_but_the_last():
    layers = [m for m in FCAE((1, 28, 28)).modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.ConvTranspose2d))]
    norms = [m for m in FCAE((1, 28, 28)).modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(layers) == 6 and len(norms) == 5


def test_the_auto_encoder_learns(digits, features):
    assert features.history_[-1]["loss"] < features.history_[0]["loss"]
    assert features.embedding_.shape == (400, 60)
    np.testing.assert_allclose(features.transform(digits.images), features.embedding_, atol=1e-5)
    assert features.reconstruct(digits.images[:3]).shape == (3, 1, 8, 8)


def test_whitened_codes_have_identity_covariance_and_come_from_one_convolution(digits, features):
    np.testing.assert_allclose(np.cov(features.embedding_.T), np.eye(60), atol=0.02)
    plain = FCAEFeatures(epochs=2, batch_size=64, random_state=0, whiten=None).fit(digits.images).embedding_
    values, vectors = np.linalg.eigh(np.cov(plain.T.astype(np.float64)))
    expected = (plain - plain.mean(0)) @ vectors[:, ::-1][:, :60] / np.sqrt(values[::-1][:60])
    alike = np.abs((expected * features.embedding_).mean(0))
    np.testing.assert_allclose(alike, 1, atol=0.02)
    assert [type(layer).__name__ for layer in features.encoder_.features] == ["Conv2d", "BatchNorm2d"]
    weights = {name: value.numpy() for name, value in features.model_.state_dict().items()}
    again = FCAEFeatures().restore(digits.images, weights)
    np.testing.assert_allclose(again.embedding_, features.embedding_, atol=1e-4)


def test_each_image_is_scaled_to_a_root_mean_square_of_1():
    images = torch.randint(0, 256, (5, 3, 4, 4), dtype=torch.uint8)
    images[2] = 0
    scaled = floats(images, "rms")
    expected = torch.tensor([1.0, 1, 0, 1, 1])
    torch.testing.assert_close(scaled.square().mean((1, 2, 3)), expected)
    torch.testing.assert_close(floats(images[:1] // 2 * 2, "rms"), floats(images[:1] // 2, "rms"))
    torch.testing.assert_close(floats(images, "pixels"), images / 255)


def test_dbc_sharpens_its_clusters(digits, features):
    model = DBC(10, features=features, random_state=0, **{**SMALL, "epochs": 8}).fit(digits.images)
    assert model.history_[-1]["score"] > model.history_[0]["score"] + 0.01
    assert metrics.accuracy(digits.labels, model.labels_) > 0.45
    assert model.labels_.shape == (400,) and model.labels_.dtype == np.int64
    np.testing.assert_allclose(model.soft_assignments_.sum(1), 1, rtol=1e-5)
    S = soft_assign(model.embedding_, model.cluster_centers_)
    np.testing.assert_allclose(model.soft_assignments_, S, atol=1e-5)
    np.testing.assert_array_equal(model.predict(digits.images), model.labels_)
    np.testing.assert_allclose(model.transform(digits.images), model.embedding_, atol=1e-5)


def test_the_start_is_k_means_on_the_codes(digits, features):
    settings = {"features": features, "epochs": 0, "random_state": 3, "n_init": 8, "smoothing": 0}
    model = DBC(10, start="distortion", **settings).fit(digits.images)
    distortions = [KMeans(10, n_init=1, random_state=s).fit(features.embedding_).inertia_ for s in range(5)]
    Z = features.embedding_
    centers = np.array([Z[model.start_labels_ == j].mean(0) for j in range(10)])
    assert ((Z - centers[model.start_labels_]) ** 2).sum() <= 1.02 * min(distortions)
    assert model.n_iter_ == 0
    on_sphere = np.array([model.embedding_[model.start_labels_ == j].mean(0) for j in range(10)])
    np.testing.assert_allclose(model.cluster_centers_, on_sphere, atol=1e-4)
    even = DBC(10, start="even", **settings).fit(digits.images)
    assert evenness(even.start_labels_, 10) >= evenness(model.start_labels_, 10)


def test_averaging_draws_neighbours_together_and_leaves_the_network_alone(digits, features):
    smooth = averaged(features.embedding_, 10, 3)
    unit = features.embedding_ / np.linalg.norm(features.embedding_, axis=1, keepdims=True)
    order = np.argsort(((unit[:, None] - unit) ** 2).sum(2) + 9 * np.eye(400), axis=1)[:, :10]
    expected = unit.astype(np.float64)
    for _ in range(3):
        expected = 0.5 * expected + 0.5 * expected[order].mean(1)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(smooth, expected, atol=1e-5)
    np.testing.assert_array_equal(averaged(features.embedding_, 10, 0), features.embedding_)
    left = {"features": features, "epochs": 0, "discriminant": False}
    same = [DBC(10, smoothing=s, **left).fit(digits.images).embedding_ for s in (0, 8)]
    np.testing.assert_array_equal(*same)


def test_discriminant_codes_are_fishers(digits, features):
    """The nearest centre of clusters is what linear discriminant analysis chooses, and the form stays: k - 1 codes."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    start = KMeans(10, n_init=1, random_state=0).fit(features.embedding_).labels_.astype(np.int64)
    images = torch.from_numpy(digits.images)
    encoder = discriminant_encoder(features.encoder_, images, features.scaling, torch.from_numpy(start))
    codes = over_all(encoder.encode, images, features.scaling).numpy()
    assert codes.shape == (400, 9) and encoder.code_length == 9
    centers = np.array([codes[start == j].mean(0) for j in range(10)])
    np.testing.assert_allclose(np.cov((codes - centers[start]).T), np.eye(9), atol=0.02)
    even = LinearDiscriminantAnalysis(priors=np.full(10, 0.1)).fit(features.embedding_.astype(float), start)
    nearest = ((codes[:, None] - centers) ** 2).sum(2).argmin(1)
    assert (nearest == even.predict(features.embedding_.astype(float))).mean() > 0.98


def test_clusters_of_an_image_each_have_a_code(digits, features):
    """They have no extent that a direction could be measured by."""
    images, labels = torch.from_numpy(digits.images[:6]), torch.arange(6)
    encoder = discriminant_encoder(features.encoder_, images, features.scaling, labels)
    codes = over_all(encoder.encode, images, features.scaling)
    assert codes.isfinite().all() and codes.shape == (6, 5)


def test_stage_2_trains_the_discriminants_of_the_start(digits, features):
    settings = {"features": features, "epochs": 0, "random_state": 0}
    turned, left = (DBC(10, discriminant=d, **settings).fit(digits.images) for d in (True, False))
    assert turned.embedding_.shape == (400, 9) and left.embedding_.shape == features.embedding_.shape

    def between(model: DBC) -> float:
        """The share of the codes' variance that lies between the clusters of the start."""
        codes, clusters = model.embedding_, model.start_labels_
        means = np.array([codes[clusters == j].mean(0) for j in range(10)])[clusters]
        return float(means.var(0).sum() / codes.var(0).sum())

    assert between(turned) > 1.2 * between(left)  # what tells the clusters apart is what distances are made of
    even = (DBC(10, discriminant=d, start="even", **settings).fit(digits.images) for d in (True, False))
    kept = [(model.labels_ == model.start_labels_).mean() for model in even]
    assert kept[0] > kept[1]
    assert DBC(1, **settings).fit(digits.images).embedding_.shape == features.embedding_.shape


def test_codes_are_normalised_by_the_statistics_of_the_weights_as_they_are(digits, features):
    settings = {"features": features, "epochs": 1, "batch_size": 200, "radius": None, "random_state": 0}
    off = []
    for settle in (True, False):
        model = DBC(10, settle=settle, **settings).fit(digits.images)
        norm = model.model_.features[1]
        off.append(np.abs(model.embedding_.mean(0) - norm.bias.detach().numpy()).max())
    assert off[0] < 1e-3 < 0.01 < off[1]


def test_evenness():
    assert evenness(np.repeat(np.arange(5), 7), 5) == pytest.approx(1)
    assert evenness(np.zeros(9, int), 3) == 0
    assert 0 < evenness(np.array([0, 0, 0, 1]), 2) < 1


def test_one_step_is_a_step_along_eq_4_and_5(digits, features):
    """One epoch of one batch of plain steps moves the centres against Eq. (5)."""
    X = digits.images[:50]
    settings = {"batch_size": 50, "optimizer": "sgd", "learning_rate": 0.5, "radius": None, "discriminant": False}
    model = DBC(4, features=features, epochs=1, random_state=0, **settings)
    before = copy.deepcopy(model).set_params(epochs=0).fit(X)
    after = model.fit(X)
    net = copy.deepcopy(features.encoder_).train()
    Z = net.encode(floats(torch.from_numpy(X.copy()), "rms")).detach().numpy().astype(np.float64)
    mu = before.cluster_centers_.astype(np.float64)
    R = boosted_target(before.soft_assignments_.astype(np.float64))
    gradient = equations.gradient_by_centers(Z, mu, R)
    np.testing.assert_allclose(after.cluster_centers_, mu - 0.5 * gradient / 50, atol=1e-5)


def test_the_same_seed_gives_the_same_fit_and_another_another(digits):
    def codes(seed: int) -> np.ndarray:
        stage_1 = FCAEFeatures(random_state=seed, **{**SMALL, "epochs": 1})
        return DBC(5, features=stage_1, random_state=seed, **SMALL).fit(digits.images).embedding_

    first = codes(0)
    np.testing.assert_array_equal(first, codes(0))
    assert not np.array_equal(first, codes(1))


def test_fitting_leaves_the_worlds_random_numbers_and_the_features_alone(digits, features):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    weights = copy.deepcopy(features.encoder_.state_dict())
    DBC(5, features=features, random_state=0, **SMALL).fit(digits.images)
    FCAEFeatures(random_state=0, **SMALL).fit(digits.images)
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(value, weights[name]) for name, value in features.encoder_.state_dict().items())


def test_stops_when_no_assignment_changes(digits, features):
    model = DBC(3, features=features, epochs=30, learning_rate=1e-9, random_state=0).fit(digits.images)
    assert model.n_iter_ < 30 and model.converged_ and model.history_[-1]["changed"] == 0


def test_the_monitor_sees_every_epoch_and_adds_to_the_history(digits, features):
    seen = []

    def note(epoch, S, Z):
        seen.append((epoch, S.shape, Z.shape))
        return {"first": float(S[0, 0])}

    model = DBC(3, features=features, random_state=0, **SMALL).fit(digits.images, monitor=note)
    assert seen == [(epoch, (400, 3), (400, 2)) for epoch in range(len(model.history_))]
    assert [entry["first"] for entry in model.history_][-1] == pytest.approx(model.soft_assignments_[0, 0])


def test_an_interrupted_fit_resumed_equals_one_in_one_go(digits, features, tmp_path):
    straight = DBC(5, features=features, random_state=0, **{**SMALL, "epochs": 5}).fit(digits.images)
    kept = DBC(5, features=features, random_state=0, checkpoint=tmp_path / "dbc.pt", **{**SMALL, "epochs": 2})
    kept.fit(digits.images)
    resumed = clone(kept).set_params(epochs=5, features=features).fit(digits.images)
    for name in ("labels_", "start_labels_", "soft_assignments_", "embedding_", "cluster_centers_"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(straight, name))
    unclocked = [[{k: v for k, v in e.items() if k != "seconds"} for e in m.history_] for m in (resumed, straight)]
    assert unclocked[0] == unclocked[1]


PROGRAM = """
import sys
from clustlib import datasets
from clustlib import DBC, FCAEFeatures
from clustlib.dbc.minibatch import floats
from clustlib.dbc.start import averaged, evenness
images = datasets.load("digits").take(400, 0).images
features = FCAEFeatures(epochs=3, batch_size=64, random_state=0)
model = DBC(5, features=features, epochs=6, batch_size=64, random_state=0, checkpoint=sys.argv[1])
model.fit(images, monitor=lambda *_: {})
import numpy as np
np.savez(sys.argv[2], labels=model.labels_, codes=model.embedding_, loss=[e.get("loss", 0) for e in model.history_])
"""


@pytest.mark.parametrize("stage", ["dbc.pt.stage-1", "dbc.pt"])
def test_a_killed_fit_loses_one_epoch_at_most_and_ends_the_same(stage, tmp_path):
    straight = tmp_path / "straight.npz"
    subprocess.run([sys.executable, "-c", PROGRAM, tmp_path / "other.pt", straight], check=True, capture_output=True)
    file, out = tmp_path / "dbc.pt", tmp_path / "resumed.npz"
    with subprocess.Popen([sys.executable, "-c", PROGRAM, file, out], stderr=subprocess.DEVNULL) as running:
        while not (tmp_path / stage).is_file():
            assert running.poll() is None
            time.sleep(0.002)
        running.send_signal(signal.SIGKILL)
    assert not out.exists()
    assert len(torch.load(tmp_path / stage, weights_only=True)["state"]["history"]) >= 1
    subprocess.run([sys.executable, "-c", PROGRAM, file, out], check=True, capture_output=True)
    with np.load(straight) as expected, np.load(out) as found:
        for name in expected.files:
            np.testing.assert_array_equal(found[name], expected[name])


def test_another_settings_checkpoint_is_refused(digits, features, tmp_path):
    file = tmp_path / "dbc.pt"
    DBC(5, features=features, random_state=0, checkpoint=file, **SMALL).fit(digits.images)
    with pytest.raises(UsageError, match="alpha: 2"):
        DBC(5, features=features, random_state=0, alpha=4.0, checkpoint=file, **SMALL).fit(digits.images)


def broken(images: np.ndarray) -> np.ndarray:
    changed = images.astype(np.float32)
    changed[3, 0, 2, 2] = np.nan
    return changed


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        ({}, lambda X: X[0, 0], r"shape \(N, C, H, W\) or \(N, H, W\)"),
        ({}, lambda X: X[:0], "no images"),
        ({}, broken, "NaN"),
        ({}, lambda X: X[:4], "more than the 4 samples"),
        ({"n_clusters": 0}, lambda X: X, "n_clusters"),
        ({"alpha": 0.0}, lambda X: X, "alpha"),
        ({"decay": 0.0}, lambda X: X, "decay"),
        ({"radius": -1.0}, lambda X: X, "radius"),
        ({"normalisation": "some"}, lambda X: X, "normalisation"),
        ({"optimizer": "newton"}, lambda X: X, "optimizer"),
        ({"batch_size": 1}, lambda X: X, "batch_size"),
        ({"start": "best"}, lambda X: X, "start"),
        ({"smoothing": -1}, lambda X: X, "smoothing"),
    ],
)
def test_what_cannot_be_right_is_refused_in_one_line(digits, features, options, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        DBC(**{"n_clusters": 5, "features": features, "epochs": 1, **options}).fit(change(digits.images))
    assert "\n" not in str(caught.value)


def test_other_images_than_those_of_the_fit_are_refused(digits, features):
    with pytest.raises(ValueError, match=r"\(1, 8, 8\) as those of the fit"):
        features.transform(np.zeros((2, 1, 9, 9), np.uint8))


def test_floats_are_what_their_bytes_are(digits):
    bytes_, floats_ = (
        FCAEFeatures(epochs=0, whiten=None, random_state=0).fit(images).embedding_
        for images in (digits.images, digits.images.astype(np.float32) / 255)
    )
    np.testing.assert_allclose(bytes_, floats_, atol=1e-5)
