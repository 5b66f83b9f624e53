"""Few dimensions: the auto-encoder, the readings of "ours", and the stand-in's column."""

import numpy as np
import pandas as pd
import pytest
import torch

from clustlib import _paths, datasets, jule, metrics, records
from clustlib.errors import UsageError
from clustlib.jule.deep_autoencoder import DeepAutoencoder
from clustlib.jule.network import Autoencoder
from clustlib.jule.views import stand_ins

SMALL = {"epochs": 1, "autoencoder_epochs": 1, "autoencoder_width": 16, "nca_images": 60}


@pytest.fixture
def few_digits(book, monkeypatch):
    """A cache of its own, and 300 digits in a train and a test part or in none."""
    monkeypatch.setattr(records.artifacts, "folder", lambda: book / "artifacts")
    digits = datasets.load("digits").take(300, 0)
    split = np.repeat(["train", "test"], 150)
    parted = datasets.ImageSet(digits.images, digits.labels, "digits", split=split)
    chosen = {"digits": digits}
    monkeypatch.setattr(datasets, "load", chosen.__getitem__)
    return {"chosen": chosen, "parted": parted, "digits": digits}


def rows(n: int = 200) -> np.ndarray:
    return datasets.load("digits").pixels("unit")[:n]


class TestAutoencoder:
    def test_the_decoder_mirrors_the_encoder(self):
        torch.manual_seed(0)  # some weights, one in thousands, have no negative code
        network = Autoencoder(64, 3, (20, 10))
        widths = [layer.weight.shape for layer in [*network.encoder, *network.decoder] if hasattr(layer, "weight")]
        assert widths == [(20, 64), (10, 20), (3, 10), (10, 3), (20, 10), (64, 20)]
        code, logits = network(torch.rand(5, 64))
        assert code.shape == (5, 3) and logits.shape == (5, 64)
        assert (code < 0).any()  # a linear code: no rectifier at its end

    def test_learns_to_tell_pixels_again(self):
        model = DeepAutoencoder(8, hidden=(64,), epochs=25, batch_size=20, random_state=0).fit(rows())
        losses = [line["loss"] for line in model.history_]
        mean = rows().mean(0).clip(1e-6, 1 - 1e-6)
        x = rows()
        blind = -(x * np.log(mean) + (1 - x) * np.log(1 - mean)).mean()  # the best that knows nothing of an image
        assert losses[-1] < 0.95 * blind < losses[0] * 0.95
        assert model.transform(rows(7)).shape == (7, 8)

    def test_a_killed_fit_goes_on_exactly(self, tmp_path):
        settings = {"hidden": (16,), "batch_size": 30, "random_state": 3}
        whole = DeepAutoencoder(2, epochs=4, **settings).fit(rows())
        for epochs in (2, 4):
            resumed = DeepAutoencoder(2, epochs=epochs, checkpoint=tmp_path / "fit.pt", **settings).fit(rows())
        np.testing.assert_array_equal(resumed.transform(rows()), whole.transform(rows()))
        assert resumed.history_ == whole.history_

    def test_a_seed_decides(self):
        first, again, other = (
            DeepAutoencoder(2, hidden=(8,), epochs=1, random_state=seed).fit_transform(rows()) for seed in (0, 0, 1)
        )
        np.testing.assert_array_equal(first, again)
        assert not np.allclose(first, other)

    @pytest.mark.parametrize(
        ("parameters", "X", "message"),
        [
            ({"n_components": 0}, np.ones((5, 3)), "n_components"),
            ({"hidden": (0,)}, np.ones((5, 3)), "hidden"),
            ({"learning_rate": 0.0}, np.ones((5, 3)), "learning_rate"),
            ({}, np.full((5, 3), 2.0), "in .0, 1."),
            ({}, np.full((5, 3), np.nan), "NaN"),
            ({}, np.ones((1, 3)), "at least 2"),
        ],
    )
    def test_impossible_input_is_one_clear_error(self, parameters, X, message):
        with pytest.raises(ValueError, match=message):
            DeepAutoencoder(**{"epochs": 1, **parameters}).fit(X)


@pytest.mark.usefixtures("few_digits")
class TestLowDimensional:
    @pytest.mark.parametrize("method", jule.runs.embeddings.METHODS)
    def test_every_row_runs(self, method):
        made = jule.runs.embeddings.low_dimensional("digits", method, 2, **SMALL)
        assert 0 <= made["one_nn_error"] <= 1 and 0 <= made["trustworthiness"] <= 1
        assert made["points"].shape == (300, 2) and made["points"].dtype == np.float32

    def test_ours_lies_on_the_circle_and_its_direction_is_that_of_the_linear_output(self):
        scaled, linear = (
            jule.runs.embeddings.low_dimensional("digits", method, 2, **SMALL)["points"]
            for method in ("OURS", "OURS (not normalised)")
        )
        np.testing.assert_allclose(np.linalg.norm(scaled, axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(linear / np.linalg.norm(linear, axis=1, keepdims=True), scaled, atol=1e-3)

    def test_a_split_is_kept_apart(self, few_digits):
        few_digits["chosen"]["digits"] = few_digits["parted"]
        made = jule.runs.embeddings.low_dimensional("digits", "PCA", 10)
        x, y = few_digits["digits"].pixels("unit").astype(np.float64), few_digits["digits"].labels
        centred = x - x[:150].mean(0)
        _, _, axes = np.linalg.svd(centred[:150], full_matrices=False)
        z = centred @ axes[:10].T
        assert made["one_nn_error"] == metrics.one_nn_error(z[:150], y[:150], z[150:], y[150:])
        assert made["trustworthiness"] == pytest.approx(metrics.trustworthiness(x[150:], z[150:], 12), abs=1e-6)

    def test_a_killed_training_on_the_clusters_goes_on_exactly(self, monkeypatch):
        from clustlib.jule.triplet_training import TripletTraining

        run = {"dataset": "digits", "dimension": 3, "epochs": 2}
        whole = jule.runs.embeddings.train_on_clusters(**run)["scaled"]
        for path in _paths.build("checkpoints").glob("*train-on-clusters*"):
            path.unlink()
        epoch, calls = TripletTraining.epoch, []

        def killed(self, labels):
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return epoch(self, labels)

        monkeypatch.setattr(TripletTraining, "epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            jule.runs.embeddings.train_on_clusters(**run)
        np.testing.assert_array_equal(jule.runs.embeddings.train_on_clusters(**run)["scaled"], whole)
        assert len(calls) == 3  # one epoch, the kill, the epoch that was left

    @pytest.mark.parametrize(
        "bad", [{"method": "LDA"}, {"dimension": 0}, {"seed": -1}, {"autoencoder_width": 3}, {"nca_images": 0.5}]
    )
    def test_bad_parameters_are_refused_before_work(self, bad):
        with pytest.raises(UsageError):
            jule.runs.embeddings.low_dimensional.check(**{"dataset": "digits", "method": "PCA", **bad})

    def test_a_record_depends_on_its_own_methods_sources_alone(self):
        prints = {
            method: records.runs.mark_of(jule.runs.embeddings.low_dimensional, {"dataset": "digits", "method": method})
            for method in jule.runs.embeddings.METHODS
        }
        assert len(set(prints.values())) == len(prints)


class TestStandIns:
    def cells(self, *rows: tuple[str, str, float]) -> pd.DataFrame:
        frame = pd.DataFrame(rows, columns=["dataset", "method", "value"])
        reason = np.where(frame["value"].isna(), "no record yet", None)
        return frame.assign(metric="one_nn_error", seed=0, seconds=1.0, device="cpu", reason=reason)

    def test_a_stand_in_fills_only_what_the_set_itself_lacks(self):
        found = jule.views.embeddings.compare(
            self.cells(
                ("mnist (2-D)", "PCA", 0.78),
                ("mnist (2-D)", "OURS", np.nan),
                ("mnist-test (2-D)", "PCA", 0.5),
                ("mnist-test (2-D)", "OURS", 0.07),
            ),
            "table-13",
        ).set_index(["dataset", "method"])
        assert found.loc[("mnist (2-D)", "PCA"), ["verdict", "stand_in"]].tolist() == ["reproduced", ""]
        assert found.loc[("mnist (2-D)", "OURS"), ["verdict", "stand_in"]].tolist() == ["not run", ""]
        assert found.loc[("mnist (2-D)", "OURS †"), ["verdict", "stand_in"]].tolist() == ["ours", "mnist-test (2-D)"]
        assert found.loc[("mnist-test (2-D)", "PCA"), "verdict"] == "no paper value"
        assert ("mnist-test (2-D)", "OURS") not in found.index
        assert found.loc[("mnist (10-D)", "Param. t-SNE"), "reason"] == "reported by its paper only"

    def test_without_a_measurement_the_papers_column_says_not_run(self):
        found = stand_ins.compare(
            self.cells(("mnist (2-D)", "PCA", np.nan), ("mnist-test (2-D)", "PCA", np.nan)),
            "jule",
            "table-13",
            {"mnist-test (2-D)": "mnist (2-D)"},
        )
        assert (found["verdict"] == "not run").all() and (found["stand_in"] == "").all()
