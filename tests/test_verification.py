"""Table 7: pairs, thresholds, folds, the softmax; YouTube Faces and LFW in their official layouts, made up."""

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clustlib import datasets, jule, records
from clustlib.datasets import DataFile, Layout, fetch, registry
from clustlib.datasets.faces import lfw_pairs, pairs_within, read_pairs, ytf_faces
from clustlib.errors import DataCorrupt, DataMissing, UsageError
from clustlib.jule import softmax
from clustlib.jule.network import JuleNet
from clustlib.records import Missing, Runs
from clustlib.transfer import verification

RNG = np.random.default_rng(0)
PAIRS = "2\t1\nAda_L\t1\t2\nAda_L\t1\tBo_X\t1\nBo_X\t1\t3\nCy\t1\tBo_X\t3\n"


def jpeg(pixels: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def supplied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with 24 "faces" of 4 people as YouTube Faces lies, and six photographs as LFW's archive."""
    folder = tmp_path / "data"
    monkeypatch.setenv("CLUSTLIB_DATA", str(folder))
    monkeypatch.setattr(fetch, "cache_folder", lambda: tmp_path / "cache")
    for person in range(4):
        for video in range(2):
            where = folder / f"ytf/person_{person}/{video}"
            where.mkdir(parents=True)
            for frame in range(3):
                face = np.clip(RNG.normal(60 * person + 30, 20, (60, 50, 3)), 0, 255).astype(np.uint8)
                (where / f"{frame}.png").write_bytes(jpeg(face))
    (folder / "lfw").mkdir()
    names = ["Ada_L_0001", "Ada_L_0002", "Bo_X_0001", "Bo_X_0003", "Cy_0001", "Dee_0001"]
    with tarfile.open(folder / "lfw/lfw.tgz", "w:gz") as archive:
        for i, name in enumerate(names):
            photograph = np.full((250, 250, 3), 250, np.uint8)
            photograph[62:188, 62:188] = 40 * i  # what the middle half shows
            header = tarfile.TarInfo(f"lfw/{name[:-5]}/{name}.jpg")
            header.size = len(content := jpeg(photograph))
            archive.addfile(header, io.BytesIO(content))
    (folder / "lfw/pairs.txt").write_text(PAIRS, encoding="utf-8")
    known = datasets.info("lfw")
    bare = replace(known, layouts=(Layout("lfw", (DataFile("lfw/lfw.tgz"),)),))
    table = {**registry._registered(), "lfw": bare}
    monkeypatch.setattr(registry, "_registered", lambda: table)
    return folder


class TestPairs:
    def test_the_official_list(self):
        names, pairs = read_pairs(PAIRS)
        found = [(names[a], names[b]) for a, b in zip(pairs.first, pairs.second)]
        ada, bo = [f"Ada_L/Ada_L_000{i}.jpg" for i in (1, 2)], [f"Bo_X/Bo_X_000{i}.jpg" for i in (1, 3)]
        assert found == [tuple(ada), (ada[0], bo[0]), tuple(bo), ("Cy/Cy_0001.jpg", bo[1])]
        assert pairs.same.tolist() == [True, False, True, False] and pairs.fold.tolist() == [0, 0, 1, 1]

    @pytest.mark.parametrize(
        "text", ["", "2\t1\nAda_L\t1\t2\n", PAIRS.replace("Cy\t1", "Cy"), PAIRS.replace("2\t1", "two\t1", 1)]
    )
    def test_a_damaged_list_is_one_clear_error(self, text):
        with pytest.raises(DataCorrupt, match=r"pairs\.txt"):
            read_pairs(text)

    @settings(deadline=None, max_examples=25)
    @given(st.integers(2, 6), st.integers(1, 20), st.integers(0, 99))
    def test_made_pairs_have_lfws_form(self, n_folds, n_each, seed):
        labels = np.repeat(np.arange(13), 4)
        pairs = pairs_within(labels, n_folds, n_each, seed)
        np.testing.assert_array_equal(labels[pairs.first] == labels[pairs.second], pairs.same)
        assert (pairs.first != pairs.second).all()
        people = [
            set(labels[pairs.first[pairs.fold == f]]) | set(labels[pairs.second[pairs.fold == f]])
            for f in range(n_folds)
        ]
        assert sum(map(len, people)) == len(set.union(*people))  # nobody in two folds
        for fold in range(n_folds):
            kinds = pairs.same[pairs.fold == fold]
            assert kinds.sum() == (~kinds).sum() > 0
        chosen = np.sort(np.stack([pairs.first, pairs.second]), axis=0)
        assert len(np.unique(chosen, axis=1).T) == len(pairs.same)  # no pair twice

    def test_too_few_people(self):
        with pytest.raises(UsageError, match="two persons"):
            pairs_within([0, 0, 1, 1, 2, 2], 2)
        with pytest.raises(UsageError, match="two images"):
            pairs_within([0, 1, 2, 3], 2)


class TestLayouts:
    def test_lfw(self, supplied):
        images, pairs = lfw_pairs(10)
        assert images.shape == (5, 3, 10, 10) and len(pairs.same) == 4  # Dee is in no pair
        assert images[:, 0, 5, 5].tolist() == [0, 40, 80, 120, 160] and (images.max() < 200)
        assert lfw_pairs(10, crop=1.0)[0].max() >= 240  # with its surroundings

    def test_lfw_without_its_list_or_an_image(self, supplied):
        (supplied / "lfw/pairs.txt").write_text(PAIRS.replace("Cy", "Eve"), encoding="utf-8")
        with pytest.raises(DataCorrupt, match="4 of the 5"):
            lfw_pairs(10)
        (supplied / "lfw/pairs.txt").unlink()
        with pytest.raises(DataMissing, match=r"pairs\.txt"):
            lfw_pairs(10)

    def test_youtube_faces(self, supplied):
        faces = ytf_faces(20, 0, 16)
        assert faces.shape == (3, 16, 16) and faces.n_classes == 4 and len(faces) == 20
        means = faces.images.mean((1, 2, 3))
        np.testing.assert_allclose(means, 60 * faces.labels + 30, atol=15)
        assert not np.array_equal(ytf_faces(5, 0).images, ytf_faces(5, 1).images)
        with pytest.raises(UsageError, match="24 images"):
            ytf_faces(25, 0)

    def test_without_the_data_it_says_what_to_fetch(self, tmp_path, monkeypatch):
        monkeypatch.setenv("CLUSTLIB_DATA", str(tmp_path))
        monkeypatch.setattr(fetch, "cache_folder", lambda: tmp_path / "cache")
        for read in (lambda: ytf_faces(10, 0), lambda: lfw_pairs(10)):
            with pytest.raises(DataMissing):
                read()

    def test_the_whole_protocol_on_them(self, supplied, book, monkeypatch):
        monkeypatch.setattr(records.artifacts, "folder", lambda: book / "artifacts")
        made = jule.runs.faces.verify("ytf", "Supervised", "lfw", n_train=24, softmax_epochs=1)
        assert 0 <= made["accuracy"] <= 1 and made["n_pairs"] == 4


class TestThresholds:
    @settings(deadline=None, max_examples=60)
    @given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=12))
    def test_none_is_better(self, cells):
        similarity, same = np.array([c[0] for c in cells], float), np.array([c[1] for c in cells])
        right = lambda t: np.mean((similarity >= t) == same)  # noqa: E731
        best = verification.best_threshold(similarity, same)
        assert right(best) == max(right(t) for t in np.arange(-4, 5) - 0.5)

    def test_the_fold_that_is_tested_has_no_say(self):
        similarity = np.array([0.9, 0.1, 0.8, 0.2, 0.3, 0.7])
        same = np.array([True, False, True, False, True, False])  # the last fold is upside down
        fold = np.array([0, 0, 1, 1, 2, 2])
        # threshold of folds 0+1 is .5: fold 2 is all wrong; 0+2 and 1+2 separate three of four
        thresholds = {f: verification.best_threshold(similarity[fold != f], same[fold != f]) for f in range(3)}
        wanted = np.mean([np.mean((similarity[fold == f] >= thresholds[f]) == same[fold == f]) for f in range(3)])
        assert verification.verification_accuracy(similarity, same, fold) == pytest.approx(wanted)
        assert thresholds[2] == pytest.approx(0.5) and wanted < 1

    def test_noise_is_a_coin(self):
        same = np.arange(4000) % 2 == 0
        found = verification.verification_accuracy(RNG.normal(size=4000), same, np.arange(4000) // 400)
        assert 0.45 < found < 0.55

    def test_cosine(self):
        a, b = RNG.normal(size=(2, 6, 5))
        wanted = [x @ y / np.sqrt((x @ x) * (y @ y)) for x, y in zip(a, b)]
        np.testing.assert_allclose(verification.cosine(a, b), wanted)
        assert verification.cosine(np.zeros((1, 3)), np.ones((1, 3))) == 0

    @pytest.mark.parametrize(
        "cells", [([1.0, 0], [True, False], [0, 0]), ([1.0], [True], [0, 1]), ([np.nan, 1], [True, False], [0, 1])]
    )
    def test_refuses(self, cells):
        with pytest.raises(UsageError):
            verification.verification_accuracy(*map(np.array, cells))


class TestSoftmax:
    def images(self) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(60) % 3
        shades = 40 + 80 * labels[:, None, None, None]
        return np.clip(RNG.normal(shades, 10, (60, 1, 8, 8)), 0, 255).astype(np.uint8), labels

    def test_learns_its_labels(self):
        images, labels = self.images()
        network = JuleNet(1, 8, 8, features=6, init="torch", generator=torch.Generator().manual_seed(0))
        before = network.top.weight.detach().clone()
        softmax.fine_tune_softmax(network, images, labels, epochs=25, batch_size=20, learning_rate=0.05)
        assert not torch.equal(before, network.top.weight)
        with torch.inference_mode():
            z = softmax.softmax_features(network.eval(), torch.from_numpy(images).float() / 255).numpy()
        pairs = np.array([(i, j) for i in range(60) for j in range(i)])
        same, fold = labels[pairs[:, 0]] == labels[pairs[:, 1]], np.arange(len(pairs)) % 10
        found = verification.verification_accuracy(verification.cosine(z[pairs[:, 0]], z[pairs[:, 1]]), same, fold)
        assert found > 0.9 > max(same.mean(), 1 - same.mean())

    def test_a_killed_training_goes_on_exactly(self, tmp_path):
        images, labels = self.images()

        def fit(network: JuleNet, epochs: int, checkpoint: Path | None) -> torch.Tensor:
            softmax.fine_tune_softmax(network, images, labels, epochs=epochs, batch_size=16, checkpoint=checkpoint)
            return torch.cat([value.flatten().double() for value in network.state_dict().values()])

        def new() -> JuleNet:
            return JuleNet(1, 8, 8, features=5, generator=torch.Generator().manual_seed(1))

        whole = fit(new(), 3, None)
        fit(new(), 2, tmp_path / "softmax.pt")
        assert torch.equal(fit(new(), 3, tmp_path / "softmax.pt"), whole)


class TestTable:
    def test_both_rows_on_digits(self, book, monkeypatch):
        monkeypatch.setattr(records.artifacts, "folder", lambda: book / "artifacts")
        for method in jule.runs.faces.METHODS:
            made = jule.runs.faces.verify(
                "digits", method, "digits", n_train=200, epochs=1, softmax_epochs=1, n_folds=5
            )
            assert 0.4 < made["accuracy"] <= 1 and made["raw_accuracy"] > 0.6 and made["n_pairs"] == 1000

    def test_a_stand_in_fills_the_first_column(self):
        run = {"dataset": "ytf", "method": "OURS", "target": "lfw", "seed": 0, "n_train": 10_000}
        cells = jule.views.faces.cells_of(Runs([Missing(run, "no record yet")]))
        assert cells["dataset"].tolist() == ["ytf (10k)->lfw"]
        cells.loc[1] = [jule.views.faces.STAND_IN, "OURS", "accuracy", 0.7, 0, 1.0, "cpu", None]
        found = jule.views.faces.compare(cells).set_index(["dataset", "method"])
        assert found.loc[("ytf (10k)->lfw", "OURS †"), ["ours", "verdict"]].tolist() == [0.7, "ours"]
        assert found.loc[("ytf (10k)->lfw", "OURS †"), "stand_in"] == jule.views.faces.STAND_IN
        assert found.loc[("ytf (20k)->lfw", "OURS"), "verdict"] == "not run"

    def test_the_stand_ins_name_is_that_of_its_runs(self):
        run = {"dataset": "cmu-pie", "method": "OURS", "target": "olivetti", "seed": 0, "n_train": 0}
        assert jule.views.faces.cells_of(Runs([Missing(run, "")]))["dataset"].tolist() == [jule.views.faces.STAND_IN]

    @pytest.mark.parametrize(
        "bad",
        [{"method": "JULE"}, {"target": "ytf"}, {"dataset": "lfw"}, {"n_folds": 1}, {"crop": 0.0}, {"n_train": -1}],
    )
    def test_bad_parameters_are_refused_before_work(self, bad):
        with pytest.raises(UsageError):
            jule.runs.faces.verify.check(**{"dataset": "digits", "method": "OURS", "target": "digits", **bad})
