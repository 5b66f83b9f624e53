"""Table 8: patches, whitening, triangle codes, quadrants, the SVM, and JULE on patches."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from clustlib import datasets, jule, records
from clustlib.errors import UsageError
from clustlib.jule.estimator import PatchJULE
from clustlib.jule.network import PatchNet
from clustlib.jule.runs import patches
from clustlib.kernels import Moments, zca_whitening
from clustlib.records import Missing, Runs
from clustlib.transfer import coates

RNG = np.random.default_rng(0)
SMALL = {"sizes": "150 800", "n_patches": 300, "n_codes": 12, "n_clusters": 12, "epochs": 1}


def moments_of(rows: np.ndarray) -> Moments:
    found = Moments(rows.shape[1])
    for part in np.array_split(rows, 3):
        found.update(torch.from_numpy(part))
    return found


class TestZca:
    def test_against_the_published_formula(self):
        rows = RNG.normal(size=(400, 7)) @ RNG.normal(size=(7, 7)) + 3
        whitening = zca_whitening(moments_of(rows), 0.1)
        values, vectors = np.linalg.eig(np.cov(rows.T))
        wanted = (rows - rows.mean(0)) @ vectors @ np.diag((values + 0.1) ** -0.5) @ vectors.T
        found = whitening(torch.from_numpy(rows), normalise=False).numpy()
        np.testing.assert_allclose(found, wanted, atol=1e-4)

    def test_whitens_and_stays_near_its_axes(self):
        rows = RNG.normal(size=(500, 5)) @ np.diag([1, 2, 3, 4, 5.0])
        matrix = zca_whitening(moments_of(rows), 1e-9).matrix.numpy()
        np.testing.assert_allclose(np.cov(((rows - rows.mean(0)) @ matrix).T), np.eye(5), atol=1e-4)
        np.testing.assert_allclose(matrix, matrix.T, atol=1e-6)  # PCA's is not symmetric

    @pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan")])
    def test_refuses(self, epsilon):
        with pytest.raises(UsageError, match="epsilon"):
            zca_whitening(moments_of(RNG.normal(size=(9, 2))), epsilon)
        with pytest.raises(UsageError, match="two rows"):
            zca_whitening(Moments(2))


class TestPatches:
    @settings(deadline=None, max_examples=20)
    @given(st.integers(1, 30), st.integers(1, 5), st.integers(0, 99))
    def test_each_is_a_square_of_the_image_whose_turn_it_is(self, n, size, seed):
        images = np.arange(4 * 2 * 6 * 5, dtype=np.int64).reshape(4, 2, 6, 5)  # every pixel has its own value
        found = coates.random_patches(images, n, size, seed)
        assert found.shape == (n, 2, size, size)
        for i, patch in enumerate(found):
            place = np.argwhere(images[i % 4, 0] == patch[0, 0, 0])
            assert len(place) == 1
            (y, x), image = place[0], images[i % 4]
            np.testing.assert_array_equal(patch, image[:, y : y + size, x : x + size])

    def test_every_place_is_drawn(self):
        images = np.arange(36).reshape(1, 1, 6, 6)
        assert set(coates.random_patches(images, 2000, 3)[:, 0, 0, 0]) == {
            6 * y + x for y in range(4) for x in range(4)
        }

    def test_refuses_what_does_not_fit(self):
        for n, size, message in ((0, 2, "n_patches"), (3, 7, "cannot take"), (3, 0, "size"), (3.5, 2, "n_patches")):
            with pytest.raises(UsageError, match=message):
                coates.random_patches(np.zeros((2, 1, 6, 8), np.uint8), n, size)

    def test_contrast_is_normalised_as_published(self):
        rows = RNG.integers(0, 256, (20, 27)).astype(np.float64)
        wanted = (rows - rows.mean(1, keepdims=True)) / np.sqrt(rows.var(1, ddof=1, keepdims=True) + 10)
        np.testing.assert_allclose(coates.normalised(torch.from_numpy(rows)).numpy(), wanted, atol=1e-5)
        assert (coates.normalised(torch.full((1, 9), 255)) == 0).all()


def codebook(channels: int = 2, size: int = 3, n_codes: int = 5, represent=None) -> coates.Codebook:
    patches = RNG.integers(0, 256, (60, channels, size, size)).astype(np.uint8)
    whitening, rows = coates.whiten_patches(patches)
    codes = rows[:n_codes] if represent is None else represent(rows[:n_codes].view(-1, channels, size, size))
    return coates.Codebook(size, channels, whitening, codes, represent)


class TestCodes:
    def test_against_a_loop_over_patches(self):
        images = RNG.integers(0, 256, (3, 2, 8, 7)).astype(np.uint8)
        book = codebook()
        found = coates.image_features(images, book)
        mean, matrix = book.whitening.mean.double().numpy(), book.whitening.matrix.double().numpy()
        for image, row in zip(images, found):
            maps = np.zeros((6, 5, 5))
            for y in range(6):
                for x in range(5):
                    patch = image[:, y : y + 3, x : x + 3].astype(np.float64).ravel()
                    patch = (patch - patch.mean()) / np.sqrt(patch.var(ddof=1) + 10)
                    z = cdist(((patch - mean) @ matrix)[None], book.codes.numpy())[0]
                    maps[y, x] = np.maximum(0, z.mean() - z)
            wanted = [maps[:3, :3], maps[3:, :3], maps[:3, 3:], maps[3:, 3:]]  # five columns: three and two
            np.testing.assert_allclose(row, np.concatenate([q.sum((0, 1)) for q in wanted]), atol=1e-3)

    def test_quadrants_hold_every_place_once(self):
        maps = torch.rand(2, 5, 4, 3)
        parts = coates.quadrants(maps).view(2, 4, 3)
        torch.testing.assert_close(parts.sum(1), maps.sum((1, 2)))
        torch.testing.assert_close(parts[:, 0], maps[:, :3, :2].sum((1, 2)))

    def test_batches_change_nothing(self, monkeypatch):
        images = RNG.integers(0, 256, (7, 2, 6, 6)).astype(np.uint8)
        book = codebook()
        whole = coates.image_features(images, book)
        monkeypatch.setattr(coates, "_AT_ONCE", 1)
        np.testing.assert_allclose(coates.image_features(images, book), whole, atol=1e-4)

    def test_a_representation_stands_between_patch_and_code(self):
        def double(x: torch.Tensor) -> torch.Tensor:
            return 2 * x.flatten(1)

        patches = torch.from_numpy(RNG.integers(0, 256, (9, 18)))
        plain = codebook()
        doubled = coates.Codebook(3, 2, plain.whitening, 2 * plain.codes, double)
        torch.testing.assert_close(doubled(patches), 2 * plain(patches), rtol=1e-3, atol=1e-3)

    def test_images_need_room_for_quadrants(self):
        with pytest.raises(UsageError, match="no quadrants"):
            coates.image_features(np.zeros((1, 2, 3, 9), np.uint8), codebook())


class TestSvm:
    def test_finds_liblinears_minimum(self):
        from sklearn.svm import LinearSVC

        rows, labels = RNG.normal(size=(120, 6)), np.arange(120) % 3
        rows[:, 0] += labels
        biased = np.hstack([rows, np.ones((120, 1))])
        found = coates.squared_hinge_svm(torch.from_numpy(biased), torch.from_numpy(labels), 100.0).numpy()
        wanted = LinearSVC(C=100 / 120, dual=False, tol=1e-10, fit_intercept=False).fit(biased, labels).coef_.T
        np.testing.assert_allclose(found, wanted, atol=2e-3)

    def test_tells_shifted_clouds_apart_and_not_noise(self):
        labels = np.arange(200) % 2
        clouds = RNG.normal(size=(200, 5)) + 4 * labels[:, None]
        assert coates.standardised_svm_accuracy(clouds[:100], labels[:100], clouds[100:], labels[100:]) > 0.95
        noise = RNG.normal(size=(400, 5))
        chance = coates.standardised_svm_accuracy(noise[:200], labels, noise[200:], labels)
        assert 0.3 < chance < 0.7

    def test_units_do_not_matter_beyond_the_constant(self):
        labels = np.arange(90) % 3
        rows = RNG.normal(size=(90, 4)) * 100 + 60 * labels[:, None]
        plain, shifted = (
            coates.standardised_svm_accuracy(x[:60], labels[:60], x[60:], labels[60:]) for x in (rows, 7 * rows - 3)
        )
        assert plain == shifted

    def test_refuses(self):
        rows, labels = np.ones((4, 2)), np.array([0, 1, 0, 1])
        with pytest.raises(UsageError, match="C must"):
            coates.standardised_svm_accuracy(rows, labels, rows, labels, C=0)
        with pytest.raises(UsageError, match="two classes"):
            coates.standardised_svm_accuracy(rows, labels * 0, rows, labels)


class TestPatchNet:
    def test_shapes_are_those_of_the_section(self):
        network = PatchNet(3, 6, 6)
        x = torch.rand(4, 3, 6, 6)
        assert [network(x, layer).shape[1] for layer in ("top-2", "top-1", "top")] == [450, 200, 160]
        torch.testing.assert_close(network(x).norm(dim=1), torch.ones(4))
        with pytest.raises(UsageError, match="layer"):
            network(x, "top-3")

    def test_conv1_against_a_plain_convolution(self):
        network = PatchNet(1, 6, 6, batch_norm=False).double()
        x = torch.rand(2, 1, 6, 6, dtype=torch.float64)
        weight, bias = network.conv1.weight.detach().numpy(), network.conv1.bias.detach().numpy()
        padded = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        maps = np.einsum("bchwyx,fcyx->bfhw", windows, weight) + bias[:, None, None]
        pooled = np.maximum(maps, 0).reshape(2, 50, 3, 2, 3, 2).max((3, 5))
        np.testing.assert_allclose(network(x, "top-2").detach().numpy(), pooled.reshape(2, -1), atol=1e-12)

    def test_jule_runs_on_it_and_the_seed_decides(self):
        white = RNG.normal(size=(120, 3, 6, 6)).astype(np.float32)
        fits = [PatchJULE(6, epochs=1, scaled=False, random_state=seed).fit(white) for seed in (0, 0, 1)]
        assert isinstance(fits[0].network_, PatchNet)
        assert len(np.unique(fits[0].labels_)) <= 6 and fits[0].transform(white[:5], "top-1").shape == (5, 200)
        np.testing.assert_array_equal(fits[0].embedding_, fits[1].embedding_)
        assert not np.allclose(fits[0].embedding_, fits[2].embedding_)


class TestClassify:
    @pytest.mark.parametrize("method", ["K-means", "conv1&2", "ip"])
    def test_on_digits(self, book, monkeypatch, method):
        monkeypatch.setattr(records.artifacts, "folder", lambda: book / "artifacts")
        made = jule.runs.patches.classify("digits", method, **SMALL)
        assert made["accuracy_800"] > 0.5 and made["accuracy_800"] >= made["accuracy_150"] - 0.02
        assert ("training_seconds" in made) == (method != "K-means")

    def test_both_layers_count_the_same(self):
        network = PatchNet(1, 6, 6)
        fit = {f"weights:{name}": value.numpy() for name, value in network.state_dict().items()}
        fit["weights:conv1.weight"] = fit["weights:conv1.weight"] * 1000
        patches = torch.rand(50, 1, 6, 6)
        with torch.inference_mode():
            found = jule.runs.patches._representation(fit, "conv1&2", patches, torch.device("cpu"))(patches)
        lengths = [float(part.square().sum(1).mean()) for part in (found[:, :450], found[:, 450:])]
        assert lengths == pytest.approx([1, 1], abs=1e-4)

    def test_halves_without_a_split_do_not_overlap(self):
        learn, labels, test, test_labels = jule.runs.patches.parts("digits")
        assert len(learn) == 898 and len(test) == 899 and len(labels) == 898
        assert len(np.unique(np.concatenate([learn, test]).reshape(1797, -1), axis=0)) == 1797
        assert len(set(labels)) == len(set(test_labels)) == 10

    def test_half_of_the_test_part_stands_in(self):
        run = {"dataset": "cifar-10", "seed": 0, "sizes": "5000 10000"}
        measured = jule.views.patches.cells_of(Runs([Missing({**run, "method": "conv1"}, "no record yet")]))
        assert set(jule.views.patches.compare(measured)["verdict"]) == {"not run"}
        cell = {
            "dataset": "halves of cifar-10's test part (5k)",
            "method": "K-means",
            "metric": "accuracy",
            "value": 0.6,
        }
        cells = pd.concat([measured, pd.DataFrame([{**cell, "seed": 0, "seconds": 1.0, "device": "cpu"}])])
        found = jule.views.patches.compare(cells.reset_index(drop=True)).set_index(["dataset", "method"])
        assert found.loc[("cifar-10 (5k)", "K-means"), "verdict"] == "stand-in"
        assert "cifar-10-train" in found.loc[("cifar-10 (10k)", "K-means"), "reason"]

    def test_a_set_to_learn_from_leaves_the_whole_other_to_be_tested(self, monkeypatch):
        digits = datasets.load("digits")
        sets = {"digits": digits, "usps": digits.take(300, 0)}
        monkeypatch.setattr(datasets, "load", sets.__getitem__)
        learn, labels, test, test_labels = jule.runs.patches.parts("digits", "usps")
        assert len(learn) == len(labels) == 300 and np.array_equal(test, digits.images)
        assert np.array_equal(test_labels, digits.labels)
        assert sorted(labels) == sorted(sets["usps"].labels) and not np.array_equal(learn, sets["usps"].images)
        assert "accuracy_150" in jule.runs.patches.classify("digits", "K-means", train="usps", **SMALL)

    def test_learned_from_the_training_part_the_cells_are_the_papers_columns(self):
        run = {"dataset": "cifar-10", "train": "cifar-10-train", "seed": 0, "sizes": "5000 50000", "method": "conv1"}
        runs = [Missing({**run, "reading": reading}, "no record yet") for reading in ("default", "as-released")]
        cells = jule.views.patches.cells_of(Runs(runs))
        assert set(cells["dataset"]) == {"cifar-10 (5k)", "cifar-10 (50k)"}
        assert list(cells["variant"]) == ["default"] * 2 + ["as-released"] * 2

    def test_another_reading_is_another_network(self, book, monkeypatch):
        monkeypatch.setattr(records.artifacts, "folder", lambda: book / "artifacts")
        small = {name: SMALL[name] for name in ("n_patches", "n_clusters", "epochs")}
        train, name = jule.runs.patches.train_patches, "weights:conv1.weight"
        weights = [train("digits", reading=reading, **small)[name] for reading in ("default", "as-released")]
        assert not np.array_equal(*weights)

    @pytest.mark.parametrize(
        "bad",
        [
            {"method": "conv3"},
            {"n_codes": 1},
            {"sizes": "5k"},
            {"epochs": 0},
            {"seed": -1},
            {"train": "x"},
            {"reading": "x"},
        ],
    )
    def test_bad_parameters_are_refused_before_work(self, bad):
        with pytest.raises(UsageError):
            jule.runs.patches.classify.check(**{"dataset": "digits", "method": "conv1", **bad})

    def test_too_few_images_are_an_error(self):
        with pytest.raises(UsageError, match="898 training images"):
            jule.runs.patches.classify("digits", "K-means", sizes="5000")


class TestCostOfCompression:
    def test_images_are_brought_to_their_size_by_the_mean(self):
        images = np.arange(2 * 3 * 4 * 6, dtype=np.uint8).reshape(2, 3, 4, 6)
        found = patches._brought_to(images[..., :4], 2)
        assert found.shape == (2, 3, 2, 2) and found.dtype == np.uint8
        assert found[0, 0, 0, 0] == np.rint(images[0, 0, :2, :2].mean())
        with pytest.raises(UsageError, match="4 x 6 pixels cannot be divided"):
            patches._brought_to(images, 2)

    @pytest.mark.parametrize("channels", [1, 3])
    def test_a_compression_changes_colours_and_edges_little_and_flat_grey_not_at_all(self, channels):
        drawn = np.random.default_rng(0).integers(0, 256, (3, channels, 16, 16), dtype=np.uint8)
        found = patches._compressed(drawn, 75)
        assert found.shape == drawn.shape and found.dtype == np.uint8 and not np.array_equal(found, drawn)
        assert (
            np.abs(patches._compressed(drawn, 95).astype(int) - drawn).mean() < np.abs(found.astype(int) - drawn).mean()
        )
        flat = np.full_like(drawn, 128)
        assert np.array_equal(patches._compressed(flat, 75), flat)

    def test_both_accuracies_are_told(self):
        found = patches.cost_of_compression("digits", side=8, n_patches=300, n_codes=20)
        assert set(found) == {"accuracy", "accuracy_compressed", "change"}
        assert 0.7 < found["accuracy_compressed"] <= 1 and 0.7 < found["accuracy"] <= 1 and found["change"] > 0

    @pytest.mark.parametrize("wrong", [{"quality": 0}, {"quality": 96}, {"side": 6}, {"n_codes": 1}, {"seed": -1}])
    def test_what_cannot_be_names_the_parameter(self, wrong):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            patches.cost_of_compression.check("digits", **wrong)
