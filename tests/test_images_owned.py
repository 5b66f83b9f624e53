"""Somebody else's is not taken: files named as a cache or a table, what is laid where a result will be."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from clustlib.__main__ import main
from clustlib.errors import UsageError
from clustlib.images import assign, cluster_folder, clusters, load_folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, image in enumerate(np.random.default_rng(0).integers(0, 256, (24, 12, 12, 3), dtype=np.uint8)):
        Image.fromarray(image).save(folder / f"{i:02}.png")
    return folder


def test_a_file_of_the_user_s_is_no_cache(photos, tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    before = (photos / "00.png").read_bytes()
    for place in ("notes.txt", photos / "00.png", photos):
        with pytest.raises(UsageError, match="no cache of features"):
            load_folder(photos, 8, cache=place, verbose=False)
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert (photos / "00.png").read_bytes() == before
    for _ in range(2):
        assert load_folder(photos, 8, cache="own.db", verbose=False).shape == (3, 8, 8)


def test_what_is_laid_at_a_result_s_place_during_the_run_stays(photos, tmp_path, monkeypatch, capsys):
    found = clusters.outcome_of

    def meanwhile(*given, **named):
        outcome = found(*given, **named)
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "thesis.txt").write_text("mine", encoding="utf-8")
        return outcome

    monkeypatch.setattr(clusters, "outcome_of", meanwhile)
    assert main(["cluster", str(photos), "--features", "pixels", "--out", "out"]) == 2
    assert "out-2, since" in capsys.readouterr().err
    assert os.listdir("out") == ["thesis.txt"]
    assert (tmp_path / "out-2" / "clusters.csv").is_file()
    assert not [name for name in os.listdir() if name.startswith(".")]


def test_a_table_replaces_a_table_alone(photos, tmp_path, capsys):
    assert main(["cluster", str(photos), "--features", "pixels", "--out", "result"]) == 0
    for place in ("mine.csv", "photos-clusters.csv"):
        (tmp_path / place).write_text("file,size\na,1\n", encoding="utf-8")
    assert main(["assign", "result", str(photos), "--out", "mine.csv"]) == 2
    assert main(["assign", "result", str(photos)]) == 2
    assert "no table of an earlier run" in capsys.readouterr().err
    assert (tmp_path / "mine.csv").read_text(encoding="utf-8") == "file,size\na,1\n"
    for _ in range(2):
        assert main(["assign", "result", str(photos), "--out", "new.csv"]) == 0


def test_numpy_s_integers_are_parameters(photos):
    how = {"clusters": np.int64(3), "seed": np.uint8(7), "size": np.int16(12), "features": "pixels"}
    outcome = cluster_folder(photos, out="result", verbose=False, **how)
    assert outcome.labels.max() == 2
    assert {name: type(outcome.settings[name]) for name in ("clusters", "seed", "size")} == dict.fromkeys(
        ("clusters", "seed", "size"), int
    )


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"folder": None}, "folder"),
        ({"out": 3}, "out"),
        ({"cache": 3}, "cache"),
        ({"method": np.array(["gdl", "path"])}, "method"),
        ({"device": "tpu"}, "device"),
        ({"device": 3}, "device"),
        ({"folders": "link"}, "out"),
        ({"seed": 5_000_000_000}, "seed"),
        ({"size": 513}, "size"),
        ({"labels": 3}, "labels"),
    ],
)
def test_a_parameter_that_cannot_be_is_named(photos, given, named):
    with pytest.raises(UsageError, match=named):
        cluster_folder(**{"folder": photos, "features": "pixels", "verbose": False, **given})


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")
def test_a_pipe_in_a_result_is_not_waited_for(photos, tmp_path, capsys):
    assert main(["cluster", str(photos), "--features", "pixels", "--out", "result"]) == 0
    place = tmp_path / "result" / "model" / "arrays.npz"
    place.unlink()
    os.mkfifo(place)
    assert main(["cut", "result", "--clusters", "3", "--out", "other"]) == 2
    assert "arrays.npz is no file" in capsys.readouterr().err


def test_a_terminal_without_the_letters_of_a_name(photos):
    command = [sys.executable, "-m", "clustlib", "cluster", photos, "--features", "pixels", "--out", "résumé"]
    ended = subprocess.run(command, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=True)
    assert rb"r\xe9sum\xe9/index.html" in ended.stdout


def test_a_system_runs_where_nothing_can_be_kept(photos, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    command = ["cluster", str(photos), "--method", "deepcluster", "--clusters", "3", "--size", "32", "--out", "result"]
    assert main(command) == 0
    assert "nothing is kept" in capsys.readouterr().err


def test_identical_images_stay_together(tmp_path, capsys):
    folder = tmp_path / "copies"
    folder.mkdir()
    for i, image in enumerate(np.random.default_rng(1).integers(0, 256, (5, 16, 16), dtype=np.uint8)):
        for copy in range(8):
            Image.fromarray(image).save(folder / f"{i}-{copy}.png")
    for method in ("gdl", "kmeans", "gsnmf"):
        for asked in (3, 5, 12):
            found = cluster_folder(folder, clusters=asked, method=method, features="pixels", size=16, verbose=False)
            by_image = found.labels.reshape(5, 8)
            assert (by_image == by_image[:, :1]).all(), (method, asked)
            assert found.n_clusters == min(asked, 5)
            assert any("no more images differ" in note for note in found.notes) == (asked > 5)


def test_what_is_no_path_is_said(tmp_path):
    for bad in (None, 3, b"x", "", ["a"]):
        for call in (load_folder, cluster_folder, lambda it: assign(it, tmp_path), lambda it: assign(tmp_path, it)):
            with pytest.raises(UsageError, match="must be a path"):
                call(bad)
        if bad is not None:
            with pytest.raises(UsageError, match="cache must be a path"):
                load_folder(tmp_path, cache=bad)
