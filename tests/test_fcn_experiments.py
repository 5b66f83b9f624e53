"""The FCN paper's runs: who is learnt from and clustered, what the rows compute, what a table says of them."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from clustlib import GSNMF, datasets, fcn, records
from clustlib.datasets import ImageSet
from clustlib.errors import DeviceMissing, UsageError
from clustlib.fcn.runs import protocol
from clustlib.fcn.runs.representations import METHODS, represent, settings_of


def image_set(name: str, n: int, n_classes: int, split: list[str] | None = None, size: int = 8) -> ImageSet:
    images = np.random.default_rng(0).integers(0, 256, (n, 1, size, size), dtype=np.uint8)
    return ImageSet(images, np.arange(n) % n_classes, name, split=None if split is None else np.array(split))


@pytest.fixture
def loaded(monkeypatch):
    """Stands in for ``datasets.load``; returns the function that sets what it gives."""
    return lambda images: monkeypatch.setattr(datasets, "load", lambda name: images)


class TestSplit:
    def test_mnist_leaves_the_validation_images_out(self, loaded):
        loaded(image_set("mnist", 70_000, 10, size=1))
        split = protocol.split("mnist")
        assert len(split.learn.labels) == 50_000 and len(split.cluster.labels) == 10_000
        whole = datasets.load("mnist")
        np.testing.assert_array_equal(split.cluster.images, whole.images[60_000:])
        few = protocol.split("mnist", n_learn=100)
        np.testing.assert_array_equal(few.learn.images, whole.images[:100])
        assert len(few.cluster.labels) == 10_000

    def test_an_official_split_is_kept(self, loaded):
        loaded(image_set("any", 6, 2, ["train", "val", "test", "train", "test", "test"]))
        split = protocol.split("any")
        whole = datasets.load("any").images
        np.testing.assert_array_equal(split.learn.images, whole[[0, 3]])
        np.testing.assert_array_equal(split.cluster.images, whole[[2, 4, 5]])

    def test_flowers_17_holds_every_fourth_of_a_class_out(self, loaded):
        loaded(image_set("flowers-17", 34 * 4, 17))
        split = protocol.split("flowers-17")
        assert np.bincount(split.learn.labels).tolist() == [6] * 17
        assert np.bincount(split.cluster.labels).tolist() == [2] * 17

    def test_coil_20_is_reduced_and_nothing_is_held_out(self, loaded):
        loaded(image_set("coil-20", 40, 20, size=128))
        split = protocol.split("coil-20")
        assert split.learn is split.cluster and split.learn.images.shape == (40, 1, 32, 32)


class TestRows:
    def test_runs_that_are_the_same_share_one_artifact(self):
        base = records.runs.bind(represent, {"dataset": "digits", "method": "PCA-CNN"})
        assert settings_of("digits", "PCA-CNN", seed=2, l1=9.0, ae_epochs=3) == base
        assert settings_of("digits", "GSNMF-FCN-OTS", seed=2)["seed"] == 0  # NNDSVD needs none
        assert settings_of("digits", "GSNMF-FCN-OTS", seed=2, init="random")["seed"] == 2
        assert settings_of("digits", "GSNMF-FCN-FT", seed=2)["seed"] == 2
        plain = settings_of("digits", "NMF-FCN", l1=9.0)
        assert plain["l1"] == plain["l2"] == 0
        with pytest.raises(UsageError, match="l3"):
            settings_of("digits", "NMF-FCN", l3=9.0)

    @pytest.mark.parametrize("run", [fcn.runs.clustering.cluster_features, fcn.runs.usage.components_in_use])
    def test_runs_on_top_are_called_like_the_representation(self, run):
        names = {"dataset": "digits", "method": "CNN", "size": 64}
        assert records.runs.bind(run, names) == records.runs.bind(represent, names)
        with pytest.raises(UsageError, match="sise"):
            records.runs.bind(run, {**names, "sise": 64})

    @pytest.mark.parametrize("method", [m for m in METHODS if m != "GSNMF-FCN-FT"])
    def test_every_row_runs_on_pixels(self, book, method, monkeypatch):
        monkeypatch.setattr(records.artifacts, "folder", lambda: book / "artifacts")
        made = fcn.runs.clustering.cluster_features(
            "digits", method, cnn="pixels", n_images=120, n_components=8, max_iter=5, ae_epochs=2, ep_sets=2
        )
        for name in fcn.views.METRICS:
            assert 0 <= made[name] <= 1
        assert len(made["labels_kmeans"]) == len(made["labels_sc"]) == 120
        assert made["dimension"] == {"CNN": 64, "EP-CNN": 60}.get(method, 8)

    def test_other_numbers_of_clusters(self, book, monkeypatch):
        monkeypatch.setattr(records.artifacts, "folder", lambda: book / "artifacts")
        found = fcn.runs.clustering.cluster_into_k("digits", "CNN", cnn="pixels", n_images=120)
        assert len(found) == 4 * len(fcn.runs.clustering.SHARES_OF_K)
        assert found["accuracy_kmeans_at_0.5"] <= 0.6  # five clusters are right for at most five of ten classes
        assert 0.5 < found["nmi_sc_at_1.25"] <= 1

    def test_a_finished_fit_leaves_no_checkpoint(self, book, monkeypatch):
        monkeypatch.setattr("clustlib.fcn.gsnmf._SAVE_SECONDS", 0)
        saved = []
        fit = GSNMF.fit
        monkeypatch.setattr(GSNMF, "fit", lambda model, X: (fit(model, X), saved.append(model.checkpoint.is_file()))[0])
        settings = {"cnn": "pixels", "n_images": 60, "n_components": 4, "max_iter": 3}
        represent("digits", "GSNMF-FCN-OTS", **settings)
        assert saved == [True] and not list((book / "_build" / "checkpoints").glob("*"))

    def test_fine_tuning_needs_a_network(self, book, monkeypatch):
        monkeypatch.setattr(records.artifacts, "folder", lambda: book / "artifacts")
        with pytest.raises(UsageError, match="no hidden layer"):
            fcn.runs.clustering.cluster_features("digits", "GSNMF-FCN-FT", cnn="pixels", n_images=50, n_components=4)

    def test_a_classifier_and_a_layout(self, book, monkeypatch):
        monkeypatch.setattr(records.artifacts, "folder", lambda: book / "artifacts")
        settings = {"cnn": "pixels", "n_images": 200, "n_components": 16, "max_iter": 20}
        assert fcn.runs.clustering.classify_features("digits", "GSNMF-FCN-OTS", **settings)["accuracy"] > 0.7
        found = fcn.runs.clustering.embed_features("digits", "CNN", n_points=60, **settings)
        assert found["points"].shape == (60, 2) and 0.3 < found["knn_purity"] <= 1

    @pytest.mark.parametrize(
        ("features", "components", "per_image"),
        [
            ([[3.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 0, 0]], 2, 1),  # lengths do not count, nor does an empty row
            ([[1.0, 1, 1, 1], [2, 2, 2, 2]], 4, 4),
            ([[0.0, 0], [0, 0]], 0, 0),
        ],
    )
    def test_components_in_use(self, monkeypatch, features, components, per_image):
        monkeypatch.setattr(records, "artifact", lambda *_, **__: {"learn": np.array(features)})
        found = fcn.runs.usage.components_in_use("digits", "GSNMF-FCN-OTS")
        assert found == pytest.approx({"components": components, "components_per_image": per_image})

    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            ({"dataset": "digit"}, "did you mean digits"),
            ({"method": "GSNMF"}, "unknown method"),
            ({"seed": -1}, "seed must be"),
            ({"cnn": "alexnet"}, "cnn must be"),
            ({"n_components": 0}, "n_components"),
            ({"l1": -1.0}, "l1"),
        ],
    )
    def test_bad_parameters_are_refused_before_work(self, bad, message):
        with pytest.raises(UsageError, match=message):
            fcn.runs.clustering.cluster_features.check(**{"dataset": "digits", "method": "CNN", **bad})


HOW = {"cnn": "pixels", "n_images": 120, "n_components": 8, "max_iter": 5}


class TestEncoding:
    @pytest.fixture(autouse=True)
    def _kept(self, book, monkeypatch):
        monkeypatch.setattr(records.artifacts, "folder", lambda: book / "artifacts")

    @pytest.mark.parametrize("method", ["GSNMF-FCN-OTS", "NMF-FCN"])
    def test_it_is_the_run_of_the_tables_with_as_many_updates(self, method):
        coded = fcn.runs.encoding.encode_features("digits", method, 1, updates="0 3", **HOW)
        usual = fcn.runs.clustering.cluster_features("digits", method, 1, transform_iter=3, **HOW)
        for name in (*fcn.views.METRICS, "zeros"):
            assert coded[f"{name}_after_3"] == usual[name]
        assert coded["components_after_0"] > coded["components_after_3"]

    def test_only_a_random_start_is_drawn_anew(self):
        made = [
            fcn.runs.encoding.encode_features("digits", "NMF-FCN", seed, updates="1", init=init, **HOW)
            for init in ("nndsvd", "random")
            for seed in (0, 1)
        ]
        components = [found["components_after_1"] for found in made]
        assert components[0] == components[1] and components[2] != components[3]

    @pytest.mark.parametrize("updates", ["", "1 x", "-1", "1.5"])
    def test_numbers_of_updates_are_checked(self, updates):
        with pytest.raises(UsageError, match="updates must be"):
            fcn.runs.encoding.encode_features.check("digits", "NMF-FCN", updates=updates)

    def test_a_plain_row_stands_beside_every_number(self):
        seen = {"profile": "quick", "recompute": "all", "seed": [0]}
        grid = fcn.runs.encoding.by_dataset
        how = {"datasets": ["digits"], "images_at_most": {"digits": 120}, "cnn": "pixels", "n_components": 8, **seen}
        plain = {"CNN": grid(fn=fcn.runs.clustering.cluster_features, method="CNN", **how)}
        coded = {"NMF-FCN": grid(method="NMF-FCN", updates="0 2", max_iter=5, **how)}
        cells = fcn.views.by_updates(coded, plain, "0 2", by_network=True)
        shown = fcn.views.scores_by_updates(cells, "nmi_kmeans", "0 2")
        assert list(shown.index) == [("digits (pixels, 120 images)", name) for name in ("CNN", "NMF-FCN")]
        assert shown.loc[shown.index[0]].nunique() == 1 and shown.loc[shown.index[1]].nunique() == 2
        gained = fcn.views.gains_by_network(cells, "nmi_kmeans", "0 2", "NMF-FCN", "CNN")
        assert list(gained.index) == ["pixels"]
        assert gained.iloc[0].tolist() == pytest.approx((shown.iloc[1] - shown.iloc[0]).tolist())


class TestFolders:
    def test_a_small_folder_has_the_first_classes_and_images(self, loaded):
        loaded(image_set("digits", 40, 5))
        part = fcn.runs.defaults.chosen("digits", 2, 3, None)
        assert part.labels.tolist() == [0, 1, 0, 1, 0, 1]
        assert len(fcn.runs.defaults.chosen("digits", None, None, 30).labels) == 30

    def test_both_clusterings_are_of_the_same_activations(self, loaded, monkeypatch):
        images = image_set("digits", 60, 3)
        loaded(images)
        centres = np.eye(3, 12, dtype=np.float32)[images.labels]
        noisy = centres + 0.05 * np.random.default_rng(0).random((60, 12), dtype=np.float32)
        monkeypatch.setattr(protocol, "features", lambda *_, **__: noisy)
        monkeypatch.setattr("clustlib.fcn.weights.pretrained", lambda *_: SimpleNamespace())
        found = fcn.runs.defaults.cluster_a_folder("digits")
        assert found["accuracy"] == found["accuracy_activations"] == found["nmi"] == 1
        assert found["dimension"] == 3 and found["images"] == 60

    def test_a_part_is_named_with_its_images(self):
        whole = {"dataset": "flowers-17", "seed": 0, "n_classes": None, "n_per_class": None}
        part = {**whole, "n_classes": 6, "n_per_class": 40}
        cells = fcn.views.folders(records.Runs([records.Missing(p, "no record yet") for p in (whole, part)]))
        assert list(cells["dataset"].unique()) == ["flowers-17", "flowers-17 (240 images)"]
        assert list(cells["method"].unique()) == ["FCN(k)", "k-means on the activations"]


class TestTables:
    def cells(self, cnn: str, dataset: str = "coil-20") -> pd.DataFrame:
        row = {
            "dataset": dataset,
            "method": "CNN",
            "metric": "accuracy_kmeans",
            "value": 0.74,
            "seed": 0,
            "variant": cnn,
        }
        return pd.DataFrame([{**row, "seconds": 1.0, "device": "cpu", "reason": None}])

    def test_another_network_cannot_reproduce(self):
        found = fcn.views.compare(self.cells("efficientnet-lite0"), "table-01").query("ours == ours").iloc[0]
        assert found["verdict"] == "stand-in" and found["network"] == "EfficientNet-Lite0"
        found = fcn.views.compare(self.cells("vgg16"), "table-01").query("ours == ours").iloc[0]
        assert found["verdict"] == "reproduced" and found["network"] == ""

    def test_fewer_images_are_said(self):
        cells = self.cells("vgg16", "mnist")
        found = fcn.views.compare(cells, "table-01", {"mnist": 500}).query("ours == ours").iloc[0]
        assert found["verdict"] == "stand-in" and found["network"] == "learnt from 500 images"

    def test_penalty_settings(self):
        names = ["paper setting", "lambda1 off", "lambda2 at 0.1"]
        assert fcn.runs.clustering.penalty_grid(names) == [
            (names[0], 0.05, 0.02),
            (names[1], 0.05, 0.0),
            (names[2], 0.1, 0.02),
        ]
        assert fcn.runs.clustering.penalty_grid(names, "text")[0] == (names[0], 0.02, 0.05)
        with pytest.raises(UsageError, match="roles"):
            fcn.runs.clustering.penalty_grid(names, "sentence")
        with pytest.raises(UsageError, match="paper setting"):
            fcn.runs.clustering.penalty_grid(["l1 off"])

    def test_the_count_of_multiplications(self):
        N, M, L = 7, 5, 3
        counts = fcn.runs.cost.multiplications(N, M, L)
        assert sum(counts.values()) == 2 * (N * M * L + L * L * M + N * L * L) and len(counts) == 6

    def test_choices_are_read_from_records(self, book):
        def record(seed, value, **departing):
            params = records.runs.bind(
                fcn.runs.clustering.cluster_features,
                {"dataset": "digits", "method": "GSNMF-FCN-OTS", "seed": seed, **departing},
            )
            key = records.runs.key_of(fcn.runs.clustering.cluster_features, params)
            metrics = {**dict.fromkeys(fcn.views.METRICS, value), "zeros": 1 - value}
            records.open_store("paper").write(key, params, metrics, {}, seconds=1.0, provenance={}, sources="")

        for seed in (0, 1):
            record(seed, 0.5 + 0.1 * seed)
            record(seed, 0.7, init="random")
        found = fcn.views.choices("paper").set_index("choice")
        assert found.loc["as in the tables", "accuracy_kmeans"] == pytest.approx(0.55)
        assert found.loc["init=random", "nmi_sc"] == pytest.approx(0.7)
        assert found.loc["init=random", "zeros"] == pytest.approx(0.3)
        assert (found["seeds"] == 2).all()


def test_cost_of_tiny_updates(book):
    made = fcn.runs.cost.time_updates("digits", "20 40", "4 8", "1 2", N=20, L=4, cnn="pixels", n_images=60)
    assert {"slope_N", "slope_L", "slope_T"} <= set(made) and (made["seconds_N"] > 0).all()


def test_a_pass_on_a_gpu_that_is_not_there_costs_only_its_cell(book, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(DeviceMissing, match="needs a GPU"):
        fcn.runs.cost.time_pass("digits", where="gpu")
    runs = records.grid(fcn.runs.cost.time_pass, dataset="digits", where="gpu")
    assert [missing.reason for missing in runs.missing] == ["needs a GPU"]
    with pytest.raises(UsageError, match="place"):
        records.grid(fcn.runs.cost.time_pass, dataset="digits", where="tpu")
