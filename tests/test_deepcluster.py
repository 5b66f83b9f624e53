"""DeepCluster as a whole: determinism, resuming in mid-epoch, several processes, input that breaks others."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from clustlib import DeepCluster
from clustlib.datasets.folders import ImageFolder
from clustlib.deepcluster import features as _features
from clustlib.deepcluster.classification import n_batches
from clustlib.errors import DataMissing, UsageError
from clustlib.networks import crops as _crops

SMALL = {"width": 1 / 48, "kernel": 3, "stride": 1}


def digits(n: int = 200, size: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Handwritten digits, enlarged: (n, 1, size, size) uint8."""
    read = load_digits()
    repeats = size // 8
    images = np.kron(read.images[:n], np.ones((repeats, repeats)))
    return np.round(images[:, None] * 255 / 16).astype(np.uint8), read.target[:n]


def stripes(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two textures in random phase and contrast: (n, 1, 24, 24) uint8, and which."""
    rng = np.random.default_rng(0)
    which, phase = rng.integers(2, size=n), rng.uniform(0, 6, size=(n, 1))
    waves = np.sin(np.arange(24) + phase)[:, None, None, :] * rng.uniform(0.3, 1, size=(n, 1, 1, 1))
    images = 127 + 120 * np.broadcast_to(waves, (n, 1, 24, 24))
    return np.where(which[:, None, None, None], images.swapaxes(2, 3), images).astype(np.uint8), which


def model(n_clusters: int = 10, **settings) -> DeepCluster:
    plain = {
        "network_options": SMALL,
        "epochs": 3,
        "batch_size": 32,
        "n_components": 16,
        "device": "cpu",
        "verbose": False,
    }
    return DeepCluster(n_clusters, **{**plain, **settings})


def weights(fitted: DeepCluster) -> dict[str, torch.Tensor]:
    return fitted.network_.state_dict()


def untimed(fitted: DeepCluster) -> list[dict]:
    return [{k: v for k, v in entry.items() if "second" not in k} for entry in fitted.history_]


def assert_same(one: DeepCluster, other: DeepCluster) -> None:
    assert untimed(one) == untimed(other)
    assert np.array_equal(one.labels_, other.labels_)
    assert all(torch.equal(a, b) for a, b in zip(weights(one).values(), weights(other).values()))


@pytest.fixture(scope="module")
def fitted() -> DeepCluster:
    return model().fit(*digits())


class TestFit:
    def test_what_it_leaves(self, fitted):
        assert fitted.labels_.shape == (200,) and fitted.labels_.dtype == np.int64
        assert fitted.embedding_.shape[0] == 200 and fitted.embedding_.shape[1] <= 16
        np.testing.assert_allclose(np.linalg.norm(fitted.embedding_, axis=1), 1, rtol=1e-4)
        assert [entry["epoch"] for entry in fitted.history_] == [0, 1, 2]
        assert "nmi_previous" not in fitted.history_[0] and "nmi_previous" in fitted.history_[1]
        for entry in fitted.history_:
            assert 0 <= entry["nmi_labels"] <= 1 and entry["largest_share"] < 1.2 and entry["n_empty"] >= 0
            assert {"seconds_features", "seconds_pca", "seconds_clustering", "seconds_training"} <= set(entry)

    def test_it_learns_and_starts_each_epoch_with_a_guess(self):
        trained = model(6, epochs=6, batch_size=16, dropout=0.0, n_components=4).fit(*stripes(300))
        for entry in trained.history_:
            assert entry["first_loss"] == pytest.approx(np.log(6), rel=0.35)
        # the head is new: what is learnt within an epoch is not carried over to the next epoch's first batch
        assert np.mean([e["first_loss"] for e in trained.history_]) == pytest.approx(np.log(6), rel=0.15)
        assert trained.history_[-1]["loss"] < 0.9 * trained.history_[0]["loss"]
        assert trained.history_[-1]["nmi_labels"] > trained.history_[0]["nmi_labels"]

    def test_a_seed_gives_the_same_and_another_does_not(self, fitted):
        assert_same(fitted, model().fit(*digits()))
        other = model(random_state=1).fit(*digits())
        assert not np.array_equal(fitted.labels_, other.labels_)

    def test_the_global_generators_are_left_alone(self):
        torch.manual_seed(5)
        before = torch.get_rng_state()
        model(epochs=1).fit(digits()[0])
        assert torch.equal(before, torch.get_rng_state())

    def test_labels_are_only_watched(self, fitted):
        assert np.array_equal(model().fit(digits()[0]).labels_, fitted.labels_)

    def test_transform_is_the_embedding_of_the_same_images(self, fitted):
        np.testing.assert_allclose(fitted.transform(digits()[0]), fitted.embedding_, atol=1e-4)

    @pytest.mark.parametrize(
        "settings",
        [
            {"front": "rgb"},
            {"sampler": "released"},
            {"clustering": "pic"},
            {"split": "paper"},
            {"network": "vgg16", "network_options": {"width": 1 / 64}, "image_size": 32},
        ],
        ids=lambda s: next(iter(s)),
    )
    def test_variants_run(self, settings):
        variant = model(epochs=1, **settings).fit(*digits(80))
        assert variant.labels_.min() == 0 and np.isfinite(variant.history_[0]["loss"])

    def test_products_in_half_precision(self, fitted):
        half, (images, labels) = model(precision="bfloat16"), digits()
        half.fit(images, labels)
        assert half.embedding_.dtype == np.float32 and np.isfinite(half.embedding_).all()
        crops = _crops.image_source(images, fitted.image_size_).central(np.arange(20))[0]
        with torch.no_grad():
            both = [_features.embed(fitted.network_.eval(), crops, p) for p in ("float32", "bfloat16")]
        error = (both[0] - both[1]).norm() / both[0].norm()
        assert 1e-5 < error < 0.03, "products of eight bits"
        assert all(weight.dtype == torch.float32 for weight in half.network_.parameters())
        np.testing.assert_allclose(half.transform(images), half.embedding_, atol=1e-4)

    def test_colour_images_of_floats(self):
        images = np.random.default_rng(0).random((40, 3, 20, 30), dtype=np.float32)
        assert model(4, epochs=1).fit(images).labels_.shape == (40,)

    def test_features_on_disk_give_the_same(self, fitted):
        assert_same(fitted, model(feature_memory=1000).fit(*digits()))

    def test_a_cluster_emptied_in_training(self):
        images = digits(40)[0]
        images[5:] = images[0]  # six different images, ten clusters
        emptied = model(10, epochs=2).fit(images)
        assert all(entry["n_empty"] >= 1 for entry in emptied.history_)
        assert emptied.labels_.max() + 1 == len(np.unique(emptied.labels_)) <= 9

    def test_one_image_again_and_again(self):
        images = np.repeat(digits(1)[0], 30, axis=0)
        assert (model(2, epochs=1).fit(images).labels_ == 0).all()

    @pytest.mark.parametrize(
        ("change", "images", "message"),
        [
            ({"n_clusters": 41}, digits(40)[0], "more than the 40 samples"),
            ({"n_clusters": 0}, digits(40)[0], "'n_clusters' parameter"),
            ({}, digits(40)[0][0, 0], "must have shape"),
            ({}, np.zeros((40, 24, 24, 3), np.uint8), "channels last"),
            ({}, np.zeros((40, 2, 24, 24), np.uint8), "1 or 3"),
            ({}, np.zeros((0, 1, 8, 8), np.uint8), "no images"),
            ({}, np.full((20, 1, 24, 24), np.nan, np.float32), "infinite"),
            ({}, np.full((20, 1, 24, 24), 2.0, np.float32), r"floats in 0\.\.1"),
            ({}, np.full((20, 1, 24, 24), -1), "uint8 or floats"),
            ({"sampler": "natural"}, digits(40)[0], "'sampler' parameter"),
            ({"clustering": "dbscan"}, digits(40)[0], "'clustering' parameter"),
            ({"network": "resnet"}, digits(40)[0], "'network' parameter"),
            ({"front": "hsv"}, digits(40)[0], "'front' parameter"),
            ({"epochs": 0}, digits(40)[0], "'epochs' parameter"),
            ({"momentum": float("nan")}, digits(40)[0], "'momentum' parameter"),
            ({"image_size": 3}, digits(40)[0], "too small"),
            ({"learning_rate": 1e8}, digits(40)[0], "diverged"),
        ],
    )
    def test_bad_input_is_one_clear_line(self, change, images, message):
        with pytest.raises(ValueError, match=message) as error:
            model(**change).fit(images)
        assert "\n" not in str(error.value)

    def test_as_many_labels_as_images(self):
        with pytest.raises(UsageError, match="y must be"):
            model().fit(digits(40)[0], np.zeros(3))


class Killed(Exception):
    pass


class TestResume:
    def stop_at(self, monkeypatch, epoch: int, batch: int) -> None:
        from clustlib.deepcluster.classification import Classification

        step = Classification._step

        def stopping(self, wrapped, found, crops, kept, at):
            if (at, found.number) == (epoch, batch):
                raise Killed
            return step(self, wrapped, found, crops, kept, at)

        monkeypatch.setattr(Classification, "_step", stopping)

    @pytest.mark.parametrize(("epoch", "batch"), [(0, 0), (1, 4), (2, 0), (1, 3)])
    def test_a_crash_in_the_middle_of_an_epoch(self, tmp_path, monkeypatch, fitted, epoch, batch):
        settings = {"checkpoint": tmp_path / "fit.pt", "checkpoint_every": 2}
        with monkeypatch.context() as patched:
            self.stop_at(patched, epoch, batch)
            with pytest.raises(Killed):
                model(**settings).fit(*digits())
        assert_same(fitted, model(**settings).fit(*digits()))

    def test_a_killed_process(self, tmp_path, fitted):
        program = f"""
import sys, os
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_deepcluster import digits, model
from clustlib.deepcluster.classification import Classification
step = Classification._step
def killing(self, wrapped, batch, crops, kept, epoch):
    if (epoch, batch.number) == (1, 3):
        os._exit(9)
    return step(self, wrapped, batch, crops, kept, epoch)
Classification._step = killing
model(checkpoint={str(tmp_path / "fit.pt")!r}, checkpoint_every=2).fit(*digits())
"""
        assert subprocess.run([sys.executable, "-c", program]).returncode == 9
        assert_same(fitted, model(checkpoint=tmp_path / "fit.pt", checkpoint_every=2).fit(*digits()))

    def test_a_finished_fit_goes_on(self, tmp_path, fitted):
        model(epochs=2, checkpoint=tmp_path / "fit.pt").fit(*digits())
        assert_same(fitted, model(checkpoint=tmp_path / "fit.pt").fit(*digits()))

    def test_another_fit_is_refused(self, tmp_path):
        model(epochs=1, checkpoint=tmp_path / "fit.pt").fit(*digits(60))
        with pytest.raises(UsageError, match="sampler"):
            model(epochs=1, sampler="released", checkpoint=tmp_path / "fit.pt").fit(*digits(60))
        with pytest.raises(UsageError, match="images"):
            model(epochs=1, checkpoint=tmp_path / "fit.pt").fit(*digits(61))


class TestFolder:
    @pytest.fixture
    def folder(self, tmp_path) -> Path:
        rng = np.random.default_rng(0)
        for i in range(30):
            name = tmp_path / f"class-{i % 3}"
            name.mkdir(exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (40 + i, 50, 3), dtype=np.uint8)).save(name / f"{i:02d}.jpg")
        Image.fromarray(rng.integers(0, 255, (30, 30), dtype=np.uint8)).save(tmp_path / "class-0/grey.png")
        Image.fromarray(rng.integers(0, 255, (30, 30, 4), dtype=np.uint8), mode="CMYK").save(
            tmp_path / "class-0/cmyk.jpg"
        )
        Image.new("RGB", (1, 1), (200, 10, 10)).save(tmp_path / "class-1/pixel.png")
        Image.new("P", (9, 200)).save(tmp_path / "class-1/palette.png")
        (tmp_path / "class-2/broken.jpg").write_bytes(b"not an image")
        whole = (tmp_path / "class-2/02.jpg").read_bytes()
        (tmp_path / "class-2/cut.jpg").write_bytes(whole[: len(whole) // 2])
        (tmp_path / "class-2/empty.png").write_bytes(b"")
        return tmp_path

    def test_damaged_files_are_skipped_and_counted(self, folder):
        images = ImageFolder(folder)
        trained = model(4, epochs=2, image_size=32).fit(images, images.labels)
        damaged = {images.paths[i].name for i in trained.unreadable_}
        assert damaged == {"broken.jpg", "cut.jpg", "empty.png"}
        assert {images.paths[i].name for i in np.flatnonzero(trained.labels_ < 0)} == damaged
        assert len(trained.embedding_) == len(images) - 3

    def test_every_mode_is_read_as_rgb(self, folder):
        images = ImageFolder(folder)
        for i, path in enumerate(images.paths):
            read = images.read(i)
            assert (read is None) == (path.name in {"broken.jpg", "cut.jpg", "empty.png"})
            assert read is None or read.mode == "RGB"

    def test_more_clusters_than_readable_files(self, folder):
        with pytest.raises(ValueError, match="more than the 34 samples"):
            model(35, epochs=1, image_size=32).fit(ImageFolder(folder))

    def test_a_folder_without_images(self, tmp_path):
        with pytest.raises(DataMissing, match="no image files"):
            ImageFolder(tmp_path)

    def test_an_array_and_lossless_files_of_it_are_cropped_alike(self, tmp_path):
        rng = np.random.default_rng(0)
        smooth = np.kron(rng.integers(0, 255, (4, 3, 4, 4)), np.ones((16, 16))).astype(np.uint8)
        for i, image in enumerate(smooth):
            Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / f"{i}.png")
        array, files = _crops.image_source(smooth, 48), _crops.image_source(ImageFolder(tmp_path), 48)
        uniforms = _crops.draw_uniforms(4, rng)
        for one, other in ((array.central, files.central), (array.random, files.random)):
            extra = () if one == array.central else (uniforms,)
            difference = (one(np.arange(4), *extra)[0] - other(np.arange(4), *extra)[0]).abs()
            assert difference.mean() < 0.03


class TestCrops:
    def test_boxes_are_inside_and_have_the_asked_areas_and_ratios(self):
        rng = np.random.default_rng(0)
        heights, widths = rng.integers(20, 200, 500), rng.integers(20, 200, 500)
        boxes = _crops.random_boxes(_crops.draw_uniforms(500, rng).boxes, heights, widths)
        top, left, high, wide = boxes.T
        assert (boxes >= 0).all() and (top + high <= heights).all() and (left + wide <= widths).all()
        share = high * wide / (heights * widths)
        assert 0.05 < share.min() < 0.15 and share.max() > 0.8
        assert ((wide / high > 0.65) & (wide / high < 1.5)).mean() > 0.98

    def test_one_pixel_and_long_images_have_a_box(self):
        uniforms = _crops.draw_uniforms(3, np.random.default_rng(0)).boxes
        boxes = _crops.random_boxes(uniforms, np.array([1, 1, 500]), np.array([1, 300, 2]))
        assert (boxes[:, 2:] >= 1).all()

    def test_resampling_a_whole_image_to_its_size_changes_nothing(self):
        images = torch.rand(2, 3, 9, 9)
        boxes = np.array([[0, 0, 9, 9]] * 2)
        same = _crops.resample(images, boxes, np.zeros(2, bool), 9)
        np.testing.assert_allclose(same, images, atol=1e-5)
        flipped = _crops.resample(images, boxes, np.ones(2, bool), 9)
        np.testing.assert_allclose(flipped, images.flip(3), atol=1e-5)

    def test_the_central_crop_is_the_middle(self):
        images = np.arange(64 * 64, dtype=np.float32).reshape(1, 1, 64, 64) / 4096
        crop, kept = _crops.image_source(images, None).central(np.array([0]))
        assert np.array_equal(crop.numpy(), images[:, :, 4:60, 4:60]) and list(kept) == [0]


def test_features_beyond_the_limit_go_to_disk_and_come_back():
    store, parts = _features.FeatureStore(5000), [torch.randn(n, 30) for n in (10, 20, 30, 5)]
    for part in parts:
        store.append(part)
    assert store.spilled
    assert all(torch.equal(a, b) for a, b in zip(store.batches(), parts))
    assert all(torch.equal(a, b) for a, b in zip(store.batches(), parts)), "a second reading"
    store.close()


def test_batches_of_a_pass():
    assert n_batches(512, 256) == 2
    assert n_batches(513, 256) == 2, "batch norm needs two images"
    assert n_batches(514, 256) == 3
    assert n_batches(515, 256, world=2) == 2
    assert n_batches(1, 256) == 1
