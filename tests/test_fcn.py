"""FCN: networks, features kept by content, the baselines, the alternation with the last hidden layer."""

import hashlib
import io
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from clustlib import FCN, fcn
from clustlib.errors import DataCorrupt, DataMissing, PackageMissing, UsageError
from clustlib.fcn import extraction as features
from clustlib.fcn import inference
from clustlib.fcn.ensemble_projection import EnsembleProjection
from clustlib.fcn.extraction import extract
from clustlib.fcn.linear_autoencoder import LinearAutoencoder
from clustlib.fcn.network import EfficientNetLite0, EfficientNetLite2, SqueezeNet
from clustlib.fcn.weight_files import NETWORKS, ArraysOnly, checked, weights_file
from clustlib.fcn.weights import pretrained
from clustlib.kernels.gsnmf import Penalty, Statistics, update_basis, update_coefficients
from clustlib.transfer import svm_accuracy

# not importorskip: an import of OpenVINO's own sends a report
WITH_OPENVINO = pytest.mark.skipif(not inference.installed(), reason="OpenVINO is not installed")


@pytest.fixture(scope="module")
def network():
    return pretrained(weights="random")


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (24, 1, 16, 16), dtype=np.uint8)


def small(**settings) -> FCN:
    """An FCN that takes a second: random weights, tiny images, few components."""
    wanted = {"weights": "random", "size": 32, "n_components": 6, "max_iter": 5, "tol": 0, "transform_iter": 10}
    return FCN(**{**wanted, "init": "nndsvd", "batch_size": 8, "epochs": 3, "random_state": 0, **settings})


def tensors(*layers: str) -> set[str]:
    return {f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}


LAST_BLOCK = ("expand.0", "filter.0", "narrow.0")
TWO_LAYERS = {
    "efficientnet-lite0": tensors("last.0", *(f"blocks.15.{part}" for part in LAST_BLOCK)),
    "efficientnet-lite2": tensors("last.0", *(f"blocks.20.{part}" for part in LAST_BLOCK)),
    "squeezenet": tensors("squeeze", "last.0", "last.1"),
    "vgg16": tensors("classifier.0", "classifier.3"),
}


class TestNetworks:
    def test_the_stand_in_has_the_shapes_of_its_table(self):
        network = EfficientNetLite0().eval()
        with torch.inference_mode():
            inner = network.trunk(torch.zeros(2, 3, 224, 224))
            assert inner.shape == (2, 320, 7, 7)
            assert network.head(inner).shape == (2, network.n_features)
        assert sum(value.numel() for value in network.parameters()) == 3_371_008  # 4.65 M less the classifier's 1.28 M

    @pytest.mark.parametrize(
        ("make", "inner", "values"), [(EfficientNetLite2, (352, 7, 7), 4_811_072), (SqueezeNet, (64, 13, 13), 722_496)]
    )
    def test_the_other_networks_have_the_shapes_of_theirs(self, make, inner, values):
        network = make().eval()
        with torch.inference_mode():
            found = network.trunk(torch.zeros(2, 3, 224, 224))
            assert found.shape == (2, *inner)
            assert network.head(found).shape == (2, network.n_features)
        assert sum(value.numel() for value in network.parameters()) == values

    @pytest.mark.parametrize("name", NETWORKS)
    def test_trunk_and_head_are_the_network_wherever_it_is_split(self, name):
        network, x = pretrained(name, weights="random"), torch.rand(2, 3, 32, 32)
        with torch.inference_mode():
            whole, below = network(x), {}
            for layers in (1, 2):
                network.trained_layers = layers
                below[layers] = network.trunk(x)
                assert torch.equal(network.head(below[layers]), whole) and torch.equal(network(x), whole)
        assert below[1].shape != below[2].shape and whole.any()

    @pytest.mark.parametrize(("name", "trained"), TWO_LAYERS.items())
    def test_two_trained_layers_are_the_last_two(self, name, trained):
        network = pretrained(name, weights="random")
        last = set(network.last_hidden.parameters())
        network.trained_layers = 2
        both = set(network.last_hidden.parameters())
        assert {name for name, value in network.named_parameters() if value in both} == trained and last < both

    def test_same_padding_is_tensorflows(self):
        from clustlib.fcn.network import SameConv2d

        layer = SameConv2d(1, 1, 3, 2)
        torch.nn.init.ones_(layer.weight)
        x = torch.arange(16.0).reshape(1, 1, 4, 4)
        padded = F.pad(x, (0, 1, 0, 1))  # even sizes: the odd pixel goes right and below
        torch.testing.assert_close(layer(x), F.conv2d(padded, layer.weight, stride=2))
        assert SameConv2d(1, 1, 5, 2)(torch.zeros(1, 1, 7, 7)).shape[-2:] == (4, 4)

    def test_folding_batch_norm_changes_nothing(self):
        torch.manual_seed(0)
        network = EfficientNetLite0()
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.1)
                layer.running_var.uniform_(0.5, 2)
        from clustlib.fcn.weights import _folded

        x = torch.rand(2, 3, 64, 64)
        with torch.inference_mode():
            before = network.eval()(x)
            torch.testing.assert_close(_folded(network)(x), before, rtol=1e-4, atol=1e-5)

    def test_imagenet_weights_of_the_package(self):
        try:
            weights_file("efficientnet-lite0")
        except DataMissing as error:
            pytest.skip(str(error))
        found = extract(np.full((2, 3, 48, 48), 90, np.uint8), pretrained(), size=64)
        assert found.shape == (2, 1280) and found.min() >= 0 and 0 < found.max() <= 6
        np.testing.assert_allclose(found[0], found[1], atol=1e-6)

    @pytest.mark.parametrize("name", ["efficientnet-lite2", "squeezenet"])
    def test_imagenet_weights_of_the_other_packages(self, name):
        """A photograph's colours reach the network in its order: swapped, the activations are others."""
        try:
            weights_file(name)
        except DataMissing as error:
            pytest.skip(str(error))
        network = pretrained(name)
        image = np.random.default_rng(0).integers(0, 256, (1, 3, 64, 64), dtype=np.uint8)
        found, swapped = (extract(x, network, size=64) for x in (image, image[:, ::-1].copy()))
        assert found.shape == (1, network.n_features) and found.min() >= 0 and found.max() > 0
        assert np.abs(found - swapped).max() > 0.05

    def test_keras_kernels_become_ours(self):
        """(height, width, in, out) to (out, in, height, width), and of the first layer blue first to red first."""
        from clustlib.fcn.weights import _from_keras

        network = SqueezeNet()
        shapes = [value.shape for value in network.state_dict().values()]
        names = ["conv1"] + [f"fire{i}/{p}" for i in range(2, 10) for p in ("squeeze1x1", "expand1x1", "expand3x3")]
        random = np.random.default_rng(0)
        stored = {
            name: [random.random(tuple(shape[i] for i in (2, 3, 1, 0)), np.float32), random.random(bias, np.float32)]
            for name, shape, bias in zip(names, shapes[::2], shapes[1::2], strict=True)
        }
        network.load_state_dict(_from_keras({**dict(reversed(stored.items())), "conv10": [np.zeros(1)]}, network))
        first, third = network.below[0].weight, network.last[1].weight
        assert first[5, 0, 1, 2] == stored["conv1"][0][1, 2, 2, 5]
        assert third[7, 3, 1, 2] == stored["fire9/expand3x3"][0][1, 2, 3, 7]
        assert network.squeeze.bias[4] == stored["fire9/squeeze1x1"][1][4]

    def test_vgg16_with_random_weights_runs_the_papers_path(self):
        network = pretrained("vgg16", weights="random")
        inner = extract(np.full((1, 1, 28, 28), 200, np.uint8), network, size=32, hidden=True)
        assert inner.shape == (1, 4096) and inner.dtype == np.float16
        found = features.activations(inner, network)
        assert found.shape == (1, 4096) and found.min() >= 0 and 0.1 < (found > 0).mean() < 0.9
        assert network.last_hidden is network.classifier[3]

    def test_missing_and_damaged_weights_are_one_line(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        with pytest.raises(DataMissing, match="no weights of VGG-16: fetch https"):
            pretrained("vgg16")
        file = weights_file_of_vgg(tmp_path)
        file.write_bytes(b"not a file of torch")
        with pytest.raises(DataCorrupt, match=r"vgg16 \(its SHA-256 begins with"):
            pretrained("vgg16")
        with pytest.raises(ValueError, match="network must be"):
            pretrained("resnet")
        with pytest.raises(ValueError, match="weights must be"):
            pretrained(weights="places")

    def test_a_changed_byte_of_a_package_is_one_line(self, tmp_path, monkeypatch):
        package = tmp_path / "ndf" / "example_models" / "weights"
        package.mkdir(parents=True)
        (tmp_path / "ndf" / "__init__.py").touch()
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(DataMissing, match="no weights of SqueezeNet"):
            checked("squeezenet")
        (package / "squeezenet_weights.pkl").write_bytes(pickle.dumps({"conv1": []}))
        with pytest.raises(DataCorrupt, match="squeezenet") as error:
            pretrained("squeezenet")
        assert "\n" not in str(error.value)

    def test_a_pickle_names_nothing_but_arrays(self):
        arrays = {"a": [np.arange(6.0, dtype=np.float32).reshape(2, 3), np.float32(2) * np.ones(2)]}
        found = ArraysOnly(io.BytesIO(pickle.dumps(arrays, protocol=3))).load()
        np.testing.assert_array_equal(found["a"][0], arrays["a"][0])

        class Harm:
            def __reduce__(self):
                return (exec, ("raise SystemExit",))

        for harm in (Harm(), np.random.RandomState(0), np.float64):
            with pytest.raises(pickle.UnpicklingError, match="is no array"):
                ArraysOnly(io.BytesIO(pickle.dumps(harm, protocol=3))).load()


def weights_file_of_vgg(home):
    file = home / "hub" / "checkpoints" / "vgg16-397923af.pth"
    file.parent.mkdir(parents=True)
    return file


class TestFeatures:
    def test_both_ways_agree(self, network, images):
        inner = extract(images, network, size=32, hidden=True)
        assert inner.dtype == np.float16
        np.testing.assert_allclose(
            features.activations(inner, network), extract(images, network, size=32), rtol=1e-4, atol=1e-5
        )

    def test_gray_images_fill_three_channels(self, network, images):
        gray, colour = (extract(a, network, size=32) for a in (images, images.repeat(3, axis=1)))
        np.testing.assert_array_equal(gray, colour)

    def test_the_input_is_centred_and_resized(self, network):
        x = features.to_input(torch.full((1, 1, 8, 8), 255, dtype=torch.uint8), network, 32)
        assert x.shape == (1, 3, 32, 32)
        torch.testing.assert_close(x, torch.ones_like(x))

    def test_a_second_call_reads_the_cache(self, network, images, tmp_path, monkeypatch):
        first = extract(images, network, size=32, cache=tmp_path)
        monkeypatch.setattr(features, "_run", None)  # calling it would fail
        np.testing.assert_array_equal(extract(images, network, size=32, cache=tmp_path), first)

    def test_other_images_weights_or_sizes_are_other_files(self, network, images, tmp_path):
        other = pretrained(weights="random", seed=1)
        for arguments in ((images, network, 32), (images[:5], network, 32), (images, other, 32), (images, network, 40)):
            extract(arguments[0], arguments[1], size=arguments[2], cache=tmp_path)
        assert len(list(tmp_path.glob("*-activations.npy"))) == 4

    def test_where_the_trunk_ends_is_other_files(self, images, tmp_path):
        network = pretrained(weights="random")
        kept = {}
        for layers in (1, 2, 1):
            network.trained_layers = layers
            for hidden in (True, False):
                extract(images, network, size=32, hidden=hidden, cache=tmp_path)
            kept[layers] = {file.name for file in tmp_path.glob("*.npy")}
        assert len(kept[2]) == 4 and kept[1] == kept[2]

    def test_the_files_of_one_trained_layer_are_called_as_ever(self, images):
        """As before a trunk could end elsewhere: what is kept on a disk is found."""
        network, total = pretrained(weights="random"), hashlib.sha256()
        shaping = ("EfficientNetLite0", 32, images.shape, images.dtype, network.mean, network.scale, features._RULE)
        total.update(repr(shaping).encode() + images.tobytes())
        for value in network.state_dict().values():
            total.update(value.numpy().tobytes())
        assert features._identity(images, network, 32, "torch") == total.hexdigest()[:32]

    @pytest.mark.parametrize("hidden", [False, True])
    def test_a_killed_extraction_goes_on(self, network, images, tmp_path, monkeypatch, hidden):
        whole = extract(images, network, size=32, hidden=hidden)
        monkeypatch.setattr(features, "_SAVE_EVERY", 8)
        calls, trunk = [], network.trunk

        def interrupted(x):
            calls.append(len(x))
            if len(calls) == 4:
                raise KeyboardInterrupt
            return trunk(x)

        monkeypatch.setattr(network, "trunk", interrupted)
        with pytest.raises(KeyboardInterrupt):
            extract(images, network, size=32, hidden=hidden, cache=tmp_path)
        resumed = extract(images, network, size=32, hidden=hidden, cache=tmp_path)
        assert sum(calls[4:]) == 1 + 8  # a probe of the shape, then the batch that was missing
        np.testing.assert_array_equal(resumed, whole)
        assert not list(tmp_path.glob("*.part"))

    @WITH_OPENVINO
    @pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite2", "squeezenet", "vgg16"])
    @pytest.mark.parametrize("hidden", [False, True])
    def test_openvino_gives_what_torch_gives(self, name, hidden, images, tmp_path):
        network, how = pretrained(name, weights="random"), {"size": 64, "hidden": hidden, "device": "cpu"}
        one, two = (extract(images[:11], network, engine=e, **how, cache=tmp_path) for e in ("torch", "openvino"))
        assert one.shape == two.shape and one.dtype == two.dtype
        # the trunk's output is kept in half precision, so that a rounding can fall the other way
        np.testing.assert_allclose(one.astype(float), two.astype(float), rtol=1e-3, atol=1e-3 * float(one.max()))
        assert len(list(tmp_path.glob("*.npy"))) == 2  # neither is taken for the other

    @WITH_OPENVINO
    def test_openvino_tells_nobody(self):
        """Importing it sends a report, unless its reporter is not there."""
        script = """
import socket, sys
socket.socket.connect = socket.getaddrinfo = lambda *given, **named: sys.exit("asks for a network")
import numpy as np
from clustlib.fcn.extraction import extract
from clustlib.fcn.weights import pretrained
extract(np.zeros((1, 1, 32, 32), np.uint8), pretrained(weights="random"), size=32, device="cpu", engine="openvino")
assert "openvino" in sys.modules and sys.modules["openvino_telemetry"] is None
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr[-500:]

    def test_which_engine_computes(self, network, images, monkeypatch):
        cpu, gpu = torch.device("cpu"), torch.device("cuda")
        monkeypatch.setattr(inference, "installed", lambda: True)
        assert inference.engine_for("auto", cpu) == inference.engine_for("auto", cpu, 128) == "openvino"
        assert inference.engine_for("openvino", cpu, 1) == "openvino"
        assert inference.engine_for("auto", cpu, 127) == inference.engine_for("auto", gpu) == "torch"
        with pytest.raises(UsageError, match="computes on the processor, and device is cuda"):
            inference.engine_for("openvino", gpu)
        monkeypatch.setattr(inference, "installed", lambda: False)
        assert inference.engine_for("auto", cpu, 1000) == "torch"
        with pytest.raises(PackageMissing, match="pip install openvino"):
            extract(images, network, size=32, device="cpu", engine="openvino")
        with pytest.raises(UsageError, match="engine must be one of"):
            extract(images, network, size=32, engine="onnx")

    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            (np.zeros((16, 16)), "shape"),
            (np.zeros((2, 2, 16, 16)), "shape"),
            (np.zeros((0, 1, 16, 16)), "no images"),
            (np.full((1, 1, 16, 16), np.nan), "NaN"),
            (np.array([[[["a"]]]]), "numbers"),
        ],
    )
    def test_bad_images_are_refused(self, network, bad, message):
        with pytest.raises(ValueError, match=message):
            extract(bad, network)
        with pytest.raises(ValueError, match="size"):
            extract(np.zeros((1, 1, 8, 8)), network, size=8)


class TestFCN:
    def test_frozen_it_is_gsnmf_on_unit_features(self, images, network):
        from clustlib import GSNMF
        from clustlib._validation import unit_rows

        model = small(n_clusters=3).fit(images)
        X = unit_rows(extract(images, network, size=32))
        expected = GSNMF(6, max_iter=5, tol=0, transform_iter=10).fit(X)
        np.testing.assert_array_equal(model.factorisation_.embedding_, expected.embedding_)
        np.testing.assert_array_equal(model.embedding_, expected.transform(X))
        np.testing.assert_array_equal(model.transform(images), expected.transform(X))
        assert set(model.labels_) <= {0, 1, 2} and len(model.labels_) == len(images)
        np.testing.assert_array_equal(model.predict(images), model.labels_)

    def test_the_activations_clusters_stand_beside_its_own(self, images, network):
        from clustlib._validation import unit_rows
        from clustlib.cluster.kmeans import KMeans

        model = small(n_clusters=3, compare="coefficients").fit(images)
        of = {line["of"]: line for line in model.history_ if line["stage"] == "cluster"}
        plain = KMeans(3, random_state=0).fit(unit_rows(extract(images, network, size=32)))
        np.testing.assert_array_equal(of["activations"]["labels"], plain.labels_)
        assert of["activations"]["inertia"] == pytest.approx(plain.inertia_)
        np.testing.assert_array_equal(of["coefficients"]["labels"], model.labels_)
        assert list(of) == ["activations", "coefficients"]
        assert not [line for line in small().fit(images).history_ if line["stage"] == "cluster"]

    def test_the_span_is_the_projection_on_the_basis(self):
        """What the basis spans is what least squares makes of the activations."""
        features = np.random.default_rng(0).random((40, 12), dtype=np.float32)
        model = small(n_clusters=3, n_components=5).fit_features(features)
        X, W = features / np.linalg.norm(features, axis=1, keepdims=True), model.factorisation_.components_
        projected = X @ np.linalg.pinv(W) @ W
        projected /= np.linalg.norm(projected, axis=1, keepdims=True)
        rows = model._rows(features)
        np.testing.assert_allclose(rows @ rows.T, projected @ projected.T, atol=1e-4)
        assert model.cluster_centers_.shape == (3, 5) and model.history_[-1]["of"] == "span"

    def test_components_fit_the_images_and_the_activations(self):
        features = np.random.default_rng(0).random((50, 12), dtype=np.float32)
        for images, wanted in ((50, 3), (2, 2)):
            assert small(n_components=None).fit_features(features[:images]).embedding_.shape == (images, wanted)
        for images, asked in ((50, 13), (10, 11)):
            with pytest.warns(UserWarning, match="condenses nothing"):
                small(n_components=asked).fit_features(features[:images])

    def test_as_many_components_as_fit_are_no_reason_to_warn(self, recwarn):
        features = np.random.default_rng(0).random((10, 12), dtype=np.float32)
        small(n_components=10).fit_features(features)
        assert not [warning for warning in recwarn if "condenses" in str(warning.message)]

    def test_fine_tuning_trains_the_last_hidden_layer_only(self, images):
        model = small(fine_tune=True).fit(images)
        before = pretrained(weights="random").state_dict()
        changed = {name for name, value in model.network_.state_dict().items() if not torch.equal(value, before[name])}
        assert changed == {"last.0.weight", "last.0.bias"}
        losses = [entry["loss"] for entry in model.history_ if entry["stage"] == "fine-tune"]
        assert len(losses) == 3 and losses[-1] < losses[0]

    @pytest.mark.parametrize("network", ["efficientnet-lite0", "squeezenet"])
    def test_two_layers_are_trained_where_two_are_asked_for(self, images, network):
        model = small(fine_tune=True, fine_tune_layers=2, network=network).fit(images)
        before = pretrained(network, weights="random").state_dict()
        changed = {name for name, value in model.network_.state_dict().items() if not torch.equal(value, before[name])}
        assert changed == TWO_LAYERS[network]
        losses = [entry["loss"] for entry in model.history_ if entry["stage"] == "fine-tune"]
        assert len(losses) == 3 and losses[-1] < losses[0]

    def test_one_layer_is_what_is_trained_unasked(self, images):
        usual, asked = small(fine_tune=True).fit(images), small(fine_tune=True, fine_tune_layers=1).fit(images)
        frozen, deep = small().fit(images), small(fine_tune_layers=2).fit(images)
        for a, b in ((usual, asked), (frozen, deep)):
            assert (a.embedding_ == b.embedding_).all()
            assert all(map(torch.equal, a.network_.state_dict().values(), b.network_.state_dict().values()))

    def test_a_step_follows_the_gradient_of_the_reconstruction(self, images, network):
        """Section 3.3 by hand, in float64: factors first, then the gradient of |X - H W|² with both fixed."""
        model = small(fine_tune=True, epochs=1, batch_size=len(images), learning_rate=0.1, forget_factor=0.0)
        inner = extract(images, network, size=32, hidden=True)
        frozen = small().fit(images).factorisation_
        H, W = (torch.tensor(a) for a in (frozen.embedding_, frozen.components_))
        layer = network.last_hidden[0]
        weight, bias = (value.detach().double().clone().requires_grad_() for value in (layer.weight, layer.bias))
        x = F.normalize(F.relu6(F.conv2d(torch.tensor(inner).double(), weight, bias)).mean((2, 3)))
        statistics = Statistics.zeros(W)
        update_coefficients(x.detach().float(), H, W, Penalty(0.05, 0.02), statistics=statistics)
        update_basis(W, statistics)
        (x - (H @ W).double()).square().sum(1).mean().backward()
        model.fit_features(inner)
        trained = model.network_.last_hidden[0]
        torch.testing.assert_close(trained.weight.double(), weight - 0.1 * weight.grad, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(trained.bias.double(), bias - 0.1 * bias.grad, rtol=1e-4, atol=1e-6)

    def test_it_is_deterministic_and_seeds_differ(self, images):
        runs = [small(fine_tune=True, random_state=seed).fit(images).embedding_ for seed in (0, 0, 1)]
        assert (runs[0] == runs[1]).all() and (runs[0] != runs[2]).any()

    @pytest.mark.parametrize("layers", [1, 2])
    def test_a_killed_fit_resumes_exactly(self, images, tmp_path, layers):
        how = {"fine_tune": True, "fine_tune_layers": layers}
        whole = small(**how, epochs=4).fit(images)
        file = tmp_path / "fcn.pt"
        small(**how, epochs=2, checkpoint=file).fit(images)
        resumed = small(**how, epochs=4, checkpoint=file).fit(images)
        assert (resumed.embedding_ == whole.embedding_).all()
        assert (resumed.transform(images) == whole.transform(images)).all()
        assert [e["loss"] for e in resumed.history_[5:]] == [e["loss"] for e in whole.history_[5:]]

    def test_a_checkpoint_of_one_layer_is_as_before_the_setting(self, images, tmp_path):
        """So that one from before goes on; one of more layers is another fit's."""
        model, file = small(fine_tune=True, checkpoint=tmp_path / "fcn.pt").fit(images), tmp_path / "fcn.pt"
        said = json.loads(torch.load(io.BytesIO(file.read_bytes()), weights_only=True)["identity"])
        assert "fine_tune_layers" not in said and said["learning_rate"] == model.learning_rate
        for layers, other in ((1, 2), (2, 1)):
            file = tmp_path / f"{layers}.pt"
            small(fine_tune=True, fine_tune_layers=layers, checkpoint=file).fit(images)
            with pytest.raises(UsageError, match="the checkpoint of another fit"):
                small(fine_tune=True, fine_tune_layers=other, checkpoint=file).fit(images)

    @pytest.mark.parametrize("layers", [1, 2])
    def test_a_saved_model_has_the_layers_that_were_trained(self, images, tmp_path, layers):
        model = small(n_clusters=3, fine_tune=True, fine_tune_layers=layers).fit(images)
        model.save(tmp_path / "model")
        again = FCN.load(tmp_path / "model")
        assert again.fine_tune_layers == layers
        assert (again.transform(images) == model.transform(images)).all()
        assert (again.predict(images) == model.predict(images)).all()

    @pytest.mark.parametrize("value", [0, 3, True, "2", None, 1.5])
    def test_other_numbers_of_trained_layers_are_one_line(self, images, value):
        check = fcn.runs.clustering.cluster_features.check
        wanted = {"dataset": "digits", "method": "GSNMF-FCN-FT", "fine_tune_layers": value}
        for call in (lambda: small(fine_tune_layers=value).fit(images), lambda: check(**wanted)):
            with pytest.raises(UsageError, match="fine_tune_layers") as error:
                call()
            assert "\n" not in str(error.value)

    @pytest.mark.parametrize("setting", [{"epochs": 0}, {"learning_rate": 0}, {"batch_size": 0}, {"n_clusters": 99}])
    def test_bad_settings_are_refused(self, images, setting):
        with pytest.raises(ValueError, match=next(iter(setting))):
            small(**setting).fit(images)


class TestBaselines:
    X = np.abs(np.random.default_rng(0).normal(size=(80, 20))).astype(np.float32)

    def test_ensemble_projection_is_a_probability_per_set(self):
        model = EnsembleProjection(3, n_prototypes=4, n_members=2, random_state=0)
        found = model.fit(self.X).transform(self.X)
        assert found.shape == (80, 12)
        np.testing.assert_allclose(found.reshape(80, 3, 4).sum(2), 1, rtol=1e-5)
        own = found.reshape(80, 3, 4)[model.prototypes_[0], 0]
        assert (own.argmax(1) == np.arange(4)).all()  # a prototype looks most like itself

    def test_its_classifier_in_the_span_is_the_full_one(self):
        from sklearn.linear_model import LogisticRegression

        from clustlib.fcn.ensemble_projection import _classifier

        members, classes = self.X[:12].astype(np.float64), np.repeat(np.arange(4), 3)
        coef, intercept = _classifier(members, 4, 1.0)
        full = LogisticRegression(C=1.0, max_iter=2000, tol=1e-8).fit(members, classes)
        expected = full.predict_proba(self.X.astype(np.float64))
        logits = self.X.astype(np.float64) @ coef.T + intercept
        found = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        np.testing.assert_allclose(found, expected, atol=0.02)

    def test_ensemble_projection_refuses(self):
        with pytest.raises(ValueError, match="at least 30"):
            EnsembleProjection(2).fit(self.X[:10])
        with pytest.raises(ValueError, match="n_sets"):
            EnsembleProjection(0).fit(self.X)

    @pytest.mark.parametrize("nonnegative", [False, True])
    def test_the_auto_encoder_learns_and_keeps_the_best_epoch(self, nonnegative):
        low = np.random.default_rng(1).random((120, 3)) @ np.random.default_rng(2).random((3, 20))
        model = LinearAutoencoder(8, nonnegative=nonnegative, epochs=60, learning_rate=0.01, random_state=0).fit(low)
        held = [entry["held_out"] for entry in model.history_]
        assert min(held) < 0.1 * held[0]
        code = model.transform(low.astype(np.float32))
        error = np.square(code @ model.decoder_.T + model.decoder_bias_ - low).mean()
        assert error < 3 * min(held)
        if nonnegative:
            assert model.encoder_.min() >= 0 and model.decoder_.min() >= 0

    def test_the_auto_encoder_is_seeded_and_refuses(self):
        codes = [LinearAutoencoder(4, epochs=2, random_state=s).fit(self.X).transform(self.X) for s in (0, 0, 1)]
        assert (codes[0] == codes[1]).all() and (codes[0] != codes[2]).any()
        with pytest.raises(ValueError, match="epochs"):
            LinearAutoencoder(4, epochs=0).fit(self.X)

    def test_svm(self):
        random = np.random.default_rng(0)
        labels = np.arange(90) % 3
        X = np.eye(3)[labels] + 0.1 * random.normal(size=(90, 3))
        assert svm_accuracy(X[:60], labels[:60], X[60:], labels[60:]) == 1.0
        assert svm_accuracy(X[:60], labels[:60], X[60:], (labels[60:] + 1) % 3) == 0.0
        with pytest.raises(ValueError, match="two classes"):
            svm_accuracy(X[:60], 0 * labels[:60], X[60:], labels[60:])
        with pytest.raises(ValueError, match="learn_labels must be"):
            svm_accuracy(X[:60], labels, X[60:], labels[60:])


@pytest.mark.parametrize("name", ["a\0b", "x" * 300])
def test_a_cache_that_no_folder_can_be_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match=r"zero byte|too long"):
        extract(np.zeros((2, 1, 32, 32), np.uint8), None, cache=f"{tmp_path}/{name}")
