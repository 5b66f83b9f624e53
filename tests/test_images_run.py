"""A folder in, clusters out: odd files, resumption, result folders, another number of clusters, new images."""

import csv
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from odd_files import READ, encoded, fill, photo
from PIL import Image

from clustlib.__main__ import SKIPPED, main
from clustlib.errors import DataCorrupt, DataMissing, UsageError
from clustlib.images import assign, cluster_folder, figures, load_folder, result_folder
from clustlib.images.store import Row, Store


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def bands(folder: Path, classes: int = 4, each: int = 24, size: int = 24) -> Path:
    """Images of stripes: a class has its own direction and colours."""
    random = np.random.default_rng(0)
    for label in range(classes):
        (folder / f"class-{label}").mkdir(parents=True, exist_ok=True)
        colours = np.random.default_rng(label).integers(0, 256, (2, 3))
        for i in range(each):
            y, x = np.mgrid[:size, :size]
            wave = (np.sin((x * np.cos(label) + y * np.sin(label)) * 0.9 + random.uniform(0, 0.3)) > 0).astype(int)
            noisy = colours[wave] + random.normal(0, 12, (size, size, 3))
            Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(folder / f"class-{label}" / f"{i:02d}.png")
    return folder


@pytest.fixture
def photos(tmp_path):
    return bands(tmp_path / "photos")


def summed_anew(model: Path) -> None:
    """Have the sums of a model be those of its parts, as one who edits them on purpose would."""
    parts = {file.name: file.read_bytes() for file in model.iterdir() if file.name != "SHA256SUMS"}
    lines = [f"{hashlib.sha256(parts[part]).hexdigest()}  {part}\n" for part in sorted(parts)]
    (model / "SHA256SUMS").write_text("".join(lines), encoding="ascii")


def table(result: Path) -> list[dict[str, str]]:
    with open(result / "clusters.csv", encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


def tree_state(folder: Path) -> dict[str, tuple]:
    return {str(p): (p.lstat().st_mtime_ns, p.lstat().st_size) for p in [folder, *sorted(folder.rglob("*"))]}


class TestOddFiles:
    def test_the_run_ends_the_list_is_right_and_the_exit_code_says_so(self, tmp_path, capsys):
        folder = tmp_path / "odd"
        folder.mkdir()
        expected = fill(folder)
        before = tree_state(folder)
        assert main(["cluster", str(folder), "--features", "pixels", "--out", str(tmp_path / "out")]) == SKIPPED
        assert tree_state(folder) == before
        rows = table(tmp_path / "out")
        assert {row["file"] for row in rows} == {name for name, what in expected.items() if what == READ}
        skipped = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))["skipped"]
        assert {name: why.partition(":")[0] for name, why in skipped["list"].items()} == {
            name: what for name, what in expected.items() if what != READ
        }
        assert sum(kind["files"] for kind in skipped["kinds"]) == skipped["files"] == len(skipped["list"])
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("skipped")]
        assert len(lines) == len(skipped["kinds"])

    def test_a_folder_of_nothing_but_images_has_exit_code_0(self, photos, tmp_path):
        arguments = ["cluster", str(photos), "--features", "pixels", "--out", str(tmp_path / "out")]
        assert main(arguments) == 0

    @pytest.mark.parametrize("content", [{}, {"a.txt": b"x"}, {"a.png": b"x", "b.jpg": b""}])
    def test_a_folder_without_an_image_is_one_line(self, content, tmp_path, capsys):
        (tmp_path / "none").mkdir()
        for name, data in content.items():
            (tmp_path / "none" / name).write_bytes(data)
        assert main(["cluster", str(tmp_path / "none")]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
        assert not (tmp_path / "none-clusters").exists()

    def test_a_full_disk_is_one_line_that_names_the_place(self, photos, tmp_path, capsys, monkeypatch):
        out, arguments = tmp_path / "out", ["--features", "pixels", "--method", "kmeans", "--clusters", "2", "--out"]

        def full(self: Path, content: bytes) -> int:
            raise OSError(28, "No space left on device")

        main(["cluster", str(photos), *arguments, str(tmp_path / "before")])
        capsys.readouterr()
        monkeypatch.setattr(Path, "write_bytes", full)
        for asked in (
            ["cluster", str(photos), *arguments, str(out)],
            ["cut", str(tmp_path / "before"), "--clusters", "1", "--out", str(out)],
        ):
            assert main(asked) == 2
            said = capsys.readouterr().err.splitlines()[-1]
            assert said == f"OSError: No space left on device: {out}"
            assert not out.exists()

    @pytest.mark.parametrize("count", [1, 2, 3, 5])
    def test_a_handful_of_images_is_clustered(self, count, tmp_path):
        folder = tmp_path / "few"
        folder.mkdir()
        for i in range(count):
            (folder / f"{i}.png").write_bytes(encoded(photo(seed=i), "PNG"))
        found = cluster_folder(folder, features="pixels", out=tmp_path / "out")
        assert len(found.labels) == count
        for k in range(1, count + 1):
            given = cluster_folder(folder, features="pixels", clusters=k)
            assert sorted(set(given.labels)) == list(range(k))
        with pytest.raises(UsageError, match="more than"):
            cluster_folder(folder, features="pixels", clusters=count + 1)

    def test_images_that_are_all_the_same_are_one_cluster(self, tmp_path):
        folder = tmp_path / "same"
        folder.mkdir()
        for i in range(30):
            (folder / f"{i}.png").write_bytes(encoded(photo(), "PNG"))
        assert cluster_folder(folder, features="pixels", out=tmp_path / "out").n_clusters == 1


class TestClusters:
    def test_classes_are_found(self, photos):
        found = cluster_folder(photos, features="pixels", clusters=4, labels="folders")
        assert found.scores["accuracy"] == 1
        assert np.bincount(found.labels).tolist() == [24] * 4

    def test_scores_and_ranks(self, photos, tmp_path):
        cluster_folder(photos, features="pixels", clusters=3, out=tmp_path / "out")
        rows = table(tmp_path / "out")
        sizes = [sum(row["cluster"] == str(c) for row in rows) for c in (1, 2, 3)]
        assert sizes == sorted(sizes, reverse=True)
        for c, size in zip("123", sizes):
            mine = [row for row in rows if row["cluster"] == c]
            assert [int(row["rank"]) for row in mine] == list(range(1, size + 1))
            assert all(0 <= float(row["score"]) <= 1 for row in mine)

    @pytest.mark.parametrize("method", ["auto", "gdl", "path", "zeta", "kmeans", "gsnmf"])
    def test_the_same_twice_by_every_quick_method(self, method, photos):
        one, two = (cluster_folder(photos, features="pixels", clusters=4, method=method) for _ in range(2))
        assert (one.labels == two.labels).all()
        assert one.n_clusters == 4

    def test_two_seeds_differ(self, photos):
        one, two = (cluster_folder(photos, features="pixels", clusters=9, method="kmeans", seed=s) for s in (0, 1))
        assert (one.labels != two.labels).any()

    @pytest.mark.parametrize(
        "wrong",
        [
            {"method": "dbscan"},
            {"features": "sift"},
            {"clusters": 0},
            {"clusters": 2.5},
            {"clusters": 1000},
            {"labels": "names"},
            {"size": 0},
            {"seed": -1},
            {"folders": "move"},
            {"method": "jule", "features": "cnn"},
        ],
    )
    def test_a_wrong_parameter_is_one_line(self, wrong, photos):
        with pytest.raises(UsageError) as caught:
            cluster_folder(photos, **{"features": "pixels", **wrong})
        assert len(str(caught.value)) <= 200


class TestResult:
    def test_it_is_beside_the_folder_by_default(self, photos, monkeypatch):
        monkeypatch.chdir(photos)
        assert main(["cluster", ".", "--features", "pixels"]) == 0
        assert sorted(p.name for p in (photos.parent / "photos-clusters").iterdir()) == [
            "clusters.csv",
            "index.html",
            "model",
            "run.json",
        ]

    @pytest.mark.parametrize("where", ["photos", "photos/inside", "photos/class-0", ".", "file", "other"])
    def test_a_place_that_cannot_be_is_refused_before_any_work(self, where, photos, tmp_path):
        (tmp_path / "file").write_text("x", encoding="utf-8")
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "precious.txt").write_text("x", encoding="utf-8")
        before = tree_state(tmp_path / "other"), tree_state(photos)
        with pytest.raises(UsageError):
            cluster_folder(photos, features="pixels", out=tmp_path / where)
        assert (tree_state(tmp_path / "other"), tree_state(photos)) == before

    def test_a_link_into_the_images_is_seen_through(self, photos, tmp_path):
        (tmp_path / "elsewhere").symlink_to(photos)
        with pytest.raises(UsageError, match="inside the images"):
            cluster_folder(photos, features="pixels", out=tmp_path / "elsewhere" / "out")

    def test_an_earlier_result_is_replaced_whole(self, photos, tmp_path):
        cluster_folder(photos, features="pixels", clusters=2, out=tmp_path / "out", folders="link")
        cluster_folder(photos, features="pixels", clusters=5, out=tmp_path / "out")
        assert not (tmp_path / "out" / "clusters").exists()
        assert json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))["clusters"] == 5
        assert not list(tmp_path.glob(".out.*"))

    def test_a_failure_while_writing_leaves_the_earlier_result(self, photos, tmp_path, monkeypatch):
        cluster_folder(photos, features="pixels", clusters=2, out=tmp_path / "out")
        before = tree_state(tmp_path / "out")

        def torn(*_):
            yield "clusters.csv", b"file"
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(result_folder, "written", torn)
        with pytest.raises(OSError, match="No space"):
            cluster_folder(photos, features="pixels", clusters=3, out=tmp_path / "out")
        assert tree_state(tmp_path / "out") == before
        assert not list(tmp_path.glob(".out.*"))

    def test_what_a_kill_left_is_cleared_and_an_earlier_result_put_back(self, photos, tmp_path):
        cluster_folder(photos, features="pixels", clusters=2, out=tmp_path / "out")
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        os.rename(tmp_path / "out", tmp_path / f".out.{gone.pid}.old")
        (tmp_path / f".out.{gone.pid}.part").mkdir()
        with pytest.raises(RuntimeError), result_folder.replacing_folder(tmp_path / "out"):
            raise RuntimeError
        assert result_folder.is_result(tmp_path / "out")
        assert not list(tmp_path.glob(".out.*"))

    @pytest.mark.parametrize("how", ["link", "copy"])
    def test_images_are_sorted_into_folders(self, how, photos, tmp_path):
        cluster_folder(photos, features="pixels", clusters=4, out=tmp_path / "out", folders=how)
        for row in table(tmp_path / "out"):
            path = tmp_path / "out" / "clusters" / row["cluster"] / row["file"]
            assert path.is_symlink() == (how == "link")
            assert path.read_bytes() == (photos / row["file"]).read_bytes()

    def test_labels_of_folders_are_in_the_table(self, photos, tmp_path):
        cluster_folder(photos, features="pixels", labels="folders", out=tmp_path / "out")
        assert all(row["label"] == row["file"].split("/")[0] for row in table(tmp_path / "out"))


class TestCut:
    def test_it_gives_what_a_run_with_that_number_gives(self, photos, tmp_path, capsys):
        out = tmp_path / "out"
        cluster_folder(photos, features="pixels", out=out)
        for k in (2, 7):
            wanted = cluster_folder(photos, features="pixels", clusters=k)
            assert main(["cut", str(out), "--clusters", str(k)]) == 0
            read = result_folder.read(out)
            assert (read.labels == wanted.labels).all()
            assert len({row["cluster"] for row in table(out)}) == k

    def test_without_the_images(self, photos, tmp_path):
        out = tmp_path / "out"
        cluster_folder(photos, features="pixels", out=out)
        photos.rename(tmp_path / "moved")
        assert main(["cut", str(out), "--clusters", "3", "--out", str(tmp_path / "three")]) == 0
        assert (tmp_path / "three" / "index.html").is_file()

    @pytest.mark.parametrize("way", ["out/../out", "out/model/..", "."])
    def test_a_result_is_replaced_whatever_the_way_to_it(self, way, photos, tmp_path, monkeypatch):
        cluster_folder(photos, features="pixels", clusters=3, out=tmp_path / "out")
        monkeypatch.chdir(tmp_path / "out" if way == "." else tmp_path)
        assert main(["cut", way, "--clusters", "2"]) == 0
        assert {row["cluster"] for row in table(tmp_path / "out")} == {"1", "2"}
        assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "out", "photos"]

    @pytest.mark.parametrize("laid", ["model/mine.txt", "clusters/mine.txt", "clusters/1/mine.txt", "mine/too.txt"])
    def test_what_somebody_laid_deep_into_a_result_is_not_lost(self, laid, photos, tmp_path, capsys):
        out = tmp_path / "out"
        cluster_folder(photos, features="pixels", clusters=3, out=out, folders="copy")
        assert main(["cut", str(out), "--clusters", "2"]) == 0  # what it wrote itself, it replaces
        (out / laid).parent.mkdir(exist_ok=True, parents=True)
        (out / laid).write_text("mine", encoding="utf-8")
        for asked in (["cut", str(out), "--clusters", "3"], ["cluster", str(photos), "--out", str(out)]):
            capsys.readouterr()
            assert main(asked) == 2
            assert "which would be lost" in capsys.readouterr().err
        assert (out / laid).read_text(encoding="utf-8") == "mine"

    def test_a_table_that_somebody_made_a_folder_is_not_lost(self, photos, tmp_path, capsys):
        out = tmp_path / "out"
        cluster_folder(photos, features="pixels", clusters=3, out=out)
        (out / "clusters.csv").unlink()
        (out / "clusters.csv").mkdir()
        (out / "clusters.csv/mine.txt").write_text("mine", encoding="utf-8")
        assert main(["cluster", str(photos), "--out", str(out)]) == 2
        assert (out / "clusters.csv/mine.txt").is_file()

    def test_only_what_a_killed_run_of_that_name_left_is_cleared(self, photos, tmp_path):
        for name in (".77777777.old", ".77777777.part", ".77777777.mine.old"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "mine.txt").write_text("mine", encoding="utf-8")
        cluster_folder(photos, features="pixels", clusters=3, out=tmp_path / "77777777")
        assert len(list(tmp_path.glob(".7*/mine.txt"))) == 3

    def test_what_somebody_laid_into_a_result_is_not_lost(self, photos, tmp_path, capsys):
        out = tmp_path / "out"
        cluster_folder(photos, features="pixels", out=out)
        (out / "notes.txt").write_text("mine", encoding="utf-8")
        assert main(["cut", str(out), "--clusters", "3"]) == 2
        assert "also holds 'notes.txt', which would be lost" in capsys.readouterr().err
        assert main(["cluster", str(photos), "--features", "pixels", "--out", str(out)]) == 2
        assert (out / "notes.txt").read_text(encoding="utf-8") == "mine" and (out / "index.html").is_file()

    @pytest.mark.parametrize("k", [0, 97])
    def test_an_impossible_number_is_one_line(self, k, photos, tmp_path, capsys):
        cluster_folder(photos, features="pixels", out=tmp_path / "out")
        assert main(["cut", str(tmp_path / "out"), "--clusters", str(k)]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1

    def test_a_method_without_a_tree_can_be_cut_coarser(self, photos, tmp_path):
        cluster_folder(photos, features="pixels", method="kmeans", clusters=6, out=tmp_path / "out")
        assert result_folder.read(tmp_path / "out").cut(3).n_clusters == 3
        with pytest.raises(UsageError, match="run cluster again"):
            result_folder.read(tmp_path / "out").cut(7)


class TestAssign:
    def test_the_table_takes_the_place_of_nothing_else(self, photos, tmp_path, capsys, monkeypatch):
        out, mine = tmp_path / "out", tmp_path / "my.csv"
        cluster_folder(photos, features="pixels", clusters=4, out=out)
        monkeypatch.chdir(tmp_path)
        bands(tmp_path / "my.photos", each=3)
        mine.write_text("mine", encoding="utf-8")
        assert main(["assign", "out", "my.photos"]) == 0
        assert (tmp_path / "my.photos-clusters.csv").is_file() and mine.read_text(encoding="utf-8") == "mine"
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "link").symlink_to(mine)
        before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
        for where in ("pipe", "link", ".", "out", "out/run.json", "out/model/model.json"):
            capsys.readouterr()
            assert main(["assign", "out", "my.photos", "--out", where]) == 2, where
            assert len(capsys.readouterr().err.splitlines()) == 1
        assert (tmp_path / "pipe").is_fifo() and (tmp_path / "link").is_symlink()
        assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    def test_a_link_to_itself_is_one_line(self, photos, tmp_path, capsys):
        (tmp_path / "loop").symlink_to(tmp_path / "loop")
        cluster_folder(photos, features="pixels", clusters=4, out=tmp_path / "out")
        loop = str(tmp_path / "loop")
        for asked in (
            ["cluster", loop],
            ["cluster", str(photos), "--out", loop],
            ["assign", str(tmp_path / "out"), loop],
        ):
            capsys.readouterr()
            assert main(asked) == 2
            assert len(capsys.readouterr().err.splitlines()) == 1

    @pytest.mark.parametrize("method", ["auto", "path", "kmeans", "gsnmf"])
    def test_images_of_the_run_have_their_own_clusters(self, method, photos, tmp_path):
        found = cluster_folder(photos, features="pixels", clusters=5, method=method, out=tmp_path / "out")
        again = assign(tmp_path / "out", photos)
        assert again.files == found.files
        assert np.mean(again.labels == found.labels) >= 0.99

    @pytest.mark.slow
    @pytest.mark.parametrize("method", ["jule", "dbc", "deepcluster"])
    def test_so_they_have_by_the_systems_that_learn(self, method, photos, tmp_path):
        found = cluster_folder(
            photos, clusters=4, method=method, size=32 if method == "deepcluster" else 16, out=tmp_path / "out"
        )
        assert found.n_clusters <= 4
        again = assign(tmp_path / "out", photos)
        assert np.mean(again.labels == found.labels) >= 0.99
        assert "nmi_with_kmeans" in found.scores

    def test_new_images_join_their_kind(self, photos, tmp_path, capsys):
        found = cluster_folder(photos, features="pixels", clusters=4, out=tmp_path / "out")
        new = bands(tmp_path / "new", each=30)
        assert main(["assign", str(tmp_path / "out"), str(new)]) == 0
        with open(tmp_path / "new-clusters.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        cluster_of = {file.split("/")[0]: label + 1 for file, label in zip(found.files, found.labels.tolist())}
        assert len(rows) == 120
        assert all(int(row["cluster"]) == cluster_of[row["file"].split("/")[0]] for row in rows)

    def test_what_is_no_result_is_one_line(self, photos, tmp_path):
        with pytest.raises(DataMissing, match="no result"):
            assign(photos, photos)
        cluster_folder(photos, features="pixels", out=tmp_path / "out")
        arrays = tmp_path / "out" / "model" / "arrays.npz"
        arrays.write_bytes(arrays.read_bytes()[:-200])
        with pytest.raises(DataCorrupt, match="cannot be read"):
            assign(tmp_path / "out", photos)

    def test_a_model_cannot_run_code(self, photos, tmp_path):
        import pickle

        class Evil:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "evil"),)

        cluster_folder(photos, features="pixels", out=tmp_path / "out")
        np.savez(tmp_path / "evil.npz", labels=np.array([Evil()], object))
        model = tmp_path / "out" / "model"
        for name, content in (
            ("network.pt", pickle.dumps(Evil())),
            ("arrays.npz", (tmp_path / "evil.npz").read_bytes()),
        ):
            (model / name).write_bytes(content)
            summed_anew(model)
            with pytest.raises(DataCorrupt, match=r"cannot be read: (Unpickling|Value)Error"):
                assign(tmp_path / "out", photos)
        assert not (tmp_path / "evil").exists()

    @pytest.mark.parametrize(("method", "part"), [("auto", ""), ("auto", "settings"), ("gsnmf", "model")])
    def test_an_edited_model_is_one_line(self, method, part, photos, tmp_path, capsys):
        out, copy = tmp_path / "out", tmp_path / "copy"
        cluster_folder(photos, features="pixels", clusters=4, method=method, out=out)
        whole = json.loads((out / "model/model.json").read_text(encoding="ascii"))
        shutil.copytree(out, copy)
        for name in whole[part] if part else whole:
            for value in (None, -1, "x", {"a": 1}):
                edited = {**whole, **({part: {**whole[part], name: value}} if part else {name: value})}
                (copy / "model/model.json").write_text(json.dumps(edited), encoding="ascii")
                summed_anew(copy / "model")
                for asked in (["cut", str(copy), "--clusters", "2"], ["assign", str(copy), str(photos)]):
                    capsys.readouterr()
                    code = main([*asked, "--out", str(tmp_path / asked[0])])
                    told = capsys.readouterr().err.split("\r")[-1].splitlines()
                    assert code == 0 or (code == 2 and len(told) == 1), (name, value)

    def test_a_changed_byte_is_refused_and_another_s_part_too(self, photos, tmp_path):
        for seed in (0, 1):
            cluster_folder(photos, method="jule", clusters=2, size=16, seed=seed, out=tmp_path / f"out{seed}")
        model, rng = tmp_path / "out0" / "model", np.random.default_rng(0)
        files = {file.name: file.read_bytes() for file in model.iterdir()}
        assert set(files) == {"SHA256SUMS", "arrays.npz", "model.json", "network.pt"}
        whole = assign(tmp_path / "out0", photos).labels
        changed = []
        for name, content in files.items():
            for at in rng.integers(len(content), size=8):
                flipped = bytearray(content)
                flipped[at] ^= 1 << rng.integers(8)
                changed.append((name, bytes(flipped)))
            if name != "SHA256SUMS":
                changed.append((name, (tmp_path / "out1" / "model" / name).read_bytes()))
        for name, content in changed:
            (model / name).write_bytes(content)
            with pytest.raises(DataCorrupt, match=r"out0.model cannot be read: .*run cluster again") as error:
                assign(tmp_path / "out0", photos)
            assert "\n" not in str(error.value)
            (model / name).write_bytes(files[name])
        (model / "Thumbs.db").write_bytes(b"of another program")
        assert np.array_equal(assign(tmp_path / "out0", photos).labels, whole)
        (model / "SHA256SUMS").unlink()
        with pytest.raises(DataCorrupt, match="has no SHA256SUMS"):
            assign(tmp_path / "out0", photos)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("neighbours", lambda a: a + 10_000),
            ("neighbours", lambda a: a[:, :2]),
            ("weights", lambda a: a * np.nan),
            ("weights", lambda a: -a - 1),
            ("sigma2", lambda a: a * np.nan),
            ("lengths", lambda a: a * np.nan),
            ("tree_initial", lambda a: a * 0),
            ("tree_initial", lambda a: a[1:]),
            ("tree_children", lambda a: a + 10_000),
            ("tree_heights", lambda a: a * np.nan),
            ("tree_sizes", lambda a: -a),
            ("thumbnail_of", lambda a: a + 10_000),
            ("thumbnail_ends", lambda a: a * 0),
            ("labels", lambda a: a + 3),
            ("rows", lambda a: a * np.nan),
        ],
    )
    def test_edited_arrays_are_one_line(self, name, value, photos, tmp_path):
        out = tmp_path / "out"
        cluster_folder(photos, features="pixels", clusters=4, out=out)
        with np.load(out / "model/arrays.npz") as file:
            arrays = {each: file[each] for each in file.files}
        np.savez(out / "model/arrays.npz", **{**arrays, name: value(arrays[name])})
        summed_anew(out / "model")
        with pytest.raises(DataCorrupt, match="cannot be"):
            result_folder.read(out)

    @pytest.mark.parametrize("k", [0, -1])
    def test_a_cut_into_no_clusters_names_them(self, photos, tmp_path, capsys, k):
        cluster_folder(photos, features="pixels", out=tmp_path / "out")
        assert main(["cut", str(tmp_path / "out"), "--clusters", str(k)]) == 2
        assert capsys.readouterr().err.splitlines() == [f"UsageError: clusters must be an integer from 1 on, got {k}"]


GSNMF_ON_PIXELS = {"features": "pixels", "method": "gsnmf", "clusters": 4, "verbose": False}


class TestWhatAKilledFitLeft:
    """Beside the cache, named by what is fitted; gone on from where it can be, and never in the way."""

    @pytest.fixture
    def left(self, photos, tmp_path, monkeypatch):
        """The file that a fit of GSNMF keeps, as it is when the fit is killed before its end."""
        from clustlib.checkpoints import Checkpoint
        from clustlib.fcn import gsnmf

        save = Checkpoint.save

        def killed(checkpoint, state):
            save(checkpoint, state)
            raise KeyboardInterrupt

        with monkeypatch.context() as context, pytest.raises(KeyboardInterrupt):
            context.setattr(Checkpoint, "save", killed)
            context.setattr(gsnmf, "_SAVE_SECONDS", 0)
            cluster_folder(photos, cache=tmp_path / "own" / "c", **GSNMF_ON_PIXELS)
        return next((tmp_path / "own" / "c.running").iterdir())

    @pytest.mark.parametrize("damage", [None, b"", b"PK\3\4 other", "of other settings"])
    def test_it_is_gone_on_from_or_begun_anew(self, damage, left, photos, tmp_path):
        from clustlib.checkpoints import Checkpoint

        expected = cluster_folder(photos, **GSNMF_ON_PIXELS)
        if isinstance(damage, bytes):
            left.write_bytes(damage)
        elif damage:
            Checkpoint(left, {"max_iter": 3}).save({"history": []})
        found = cluster_folder(photos, cache=tmp_path / "own" / "c", **GSNMF_ON_PIXELS)
        assert (found.labels == expected.labels).all()
        assert not left.parent.exists()

    def test_another_cache_knows_nothing_of_it(self, left, photos, tmp_path):
        before = left.read_bytes()
        cluster_folder(photos, cache=tmp_path / "another" / "c", **GSNMF_ON_PIXELS)
        assert left.read_bytes() == before

    def test_an_error_of_the_fit_itself_is_not_tried_twice(self, photos, monkeypatch):
        from clustlib.images import systems

        calls = []

        def fit(*given):
            calls.append(given[3])
            given[3].write_bytes(b"begun")
            raise UsageError("no")

        failing = systems.System("vectors", fit, systems.SYSTEMS["gsnmf"].embedder)
        monkeypatch.setitem(systems.SYSTEMS, "gsnmf", failing)
        with pytest.raises(UsageError, match="no"):
            cluster_folder(photos, **GSNMF_ON_PIXELS)
        assert len(calls) == 1 and calls[0].exists()


class TestFewImages:
    @pytest.mark.parametrize("k, start", [(23, "kmeans"), (60, "singletons")])
    def test_jule_begins_otherwise_where_neighbours_make_too_few_clusters(
        self, photos, k, start, tmp_path, monkeypatch
    ):
        from clustlib import kernels
        from clustlib.jule import triplet_training

        epochs = []
        monkeypatch.setattr(kernels, "initial_clusters", lambda graph: np.arange(len(graph.indices)) % 9)
        monkeypatch.setattr(triplet_training.TripletTraining, "epoch", lambda self, labels: epochs.append(1) or 0.0)
        found = cluster_folder(photos, method="jule", clusters=k, size=16, out=tmp_path / "out")
        assert found.n_clusters == k and len(epochs) >= 100
        assert any(f"({start}) in place of" in note for note in found.notes)


class TestCache:
    def test_a_second_run_reads_no_image(self, photos, monkeypatch):
        one = cluster_folder(photos, features="pixels")
        from clustlib.images import features

        monkeypatch.setattr(features, "_batch", None)
        assert (cluster_folder(photos, features="pixels").labels == one.labels).all()
        assert cluster_folder(photos, features="pixels", method="kmeans", clusters=3).n_clusters == 3

    def test_it_is_by_content_not_by_name(self, photos, tmp_path):
        one = load_folder(photos, 16)
        files = sorted(photos.rglob("*.png"))
        swapped = files[0].read_bytes(), files[-1].read_bytes()
        state = files[0].stat()
        files[0].write_bytes(swapped[1])
        files[-1].write_bytes(swapped[0])
        os.utime(files[0], ns=(state.st_atime_ns, state.st_mtime_ns))
        two = load_folder(photos, 16)
        assert (two.images[0] == one.images[-1]).all()
        assert (two.images[-1] == one.images[0]).all()

    def test_a_damaged_or_unwritable_cache_costs_time_only(self, photos, tmp_path, capsys):
        one = cluster_folder(photos, features="pixels")
        store = tmp_path / "cache" / "clustlib" / "images" / "pictures-1.sqlite"
        store.write_bytes(b"SQLite format 3\0" + os.urandom(5000))
        assert (cluster_folder(photos, features="pixels").labels == one.labels).all()
        (tmp_path / "file").write_text("x", encoding="utf-8")
        assert (cluster_folder(photos, features="pixels", cache=tmp_path / "file" / "c").labels == one.labels).all()
        assert "nothing is kept" in capsys.readouterr().err

    def test_a_killed_run_goes_on(self, tmp_path):
        folder = tmp_path / "many"
        folder.mkdir()
        for i in range(60):
            (folder / f"{i:03d}.jpg").write_bytes(encoded(photo(700, 900, i), "JPEG"))
        script = """
import sys, time
from clustlib.images import cluster_folder, features
features._COMMIT = 0
batch = features._batch
features._batch = lambda *a: (time.sleep(.3), batch(*a))[1]
print(cluster_folder(sys.argv[1], features="pixels", out=sys.argv[2], verbose=False).labels.tolist())
"""
        command = [sys.executable, "-c", script, str(folder), str(tmp_path / "out")]
        killed = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        store = tmp_path / "cache" / "clustlib" / "images" / "pictures-1.sqlite"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and _kept(store) < 8:
            time.sleep(0.05)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        kept = _kept(store)
        assert 8 <= kept < 60
        assert not (tmp_path / "out").exists()
        import clustlib.images.features as features

        made = []
        batch = features._batch
        try:
            features._batch = lambda files, maker: made.extend(files) or batch(files, maker)
            after = cluster_folder(folder, features="pixels", out=tmp_path / "out")
        finally:
            features._batch = batch
        assert len(made) <= 60 - kept + 8
        assert (after.labels == cluster_folder(folder, features="pixels", cache=tmp_path / "new").labels).all()


def _kept(store: Path) -> int:
    import sqlite3

    if not store.is_file():
        return 0
    try:
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=5) as connection:
            return connection.execute("SELECT count(*) FROM pictures").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


class TestPage:
    def test_it_asks_the_network_for_nothing_and_runs_no_name(self, tmp_path):
        folder = tmp_path / "odd"
        folder.mkdir()
        fill(folder)
        cluster_folder(folder, features="pixels", out=tmp_path / "out")
        text = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
        assert "default-src 'none'" in text
        assert not re.search(r"(src|href)=\"?(https?:)?//", text)
        assert "<script>alert" not in text
        assert text.count("</script>") == 2

    def test_it_holds_the_clusters(self, photos, tmp_path):
        found = cluster_folder(photos, features="pixels", clusters=4, out=tmp_path / "out")
        text = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
        data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
        assert data["k"] == 4
        assert len(data["images"]) == 96
        assert len(data["groups"]["merges"]) == len(data["groups"]["sizes"]) - 1
        assert sum(data["groups"]["sizes"]) == len(found.files)
        assert data["curve"]["best"] == int(np.argmin(data["curve"]["lengths"])) + 1

    def test_of_many_images_it_shows_some_of_every_cluster(self, photos, tmp_path, monkeypatch):
        from clustlib.images import page

        monkeypatch.setattr(page, "_THUMBNAILS", 40)
        found = cluster_folder(photos, features="pixels", clusters=4)
        shown = page.contents(found, "out")["images"]
        assert len(shown) == 40
        labels = {file: label for file, label in zip(found.files, found.labels.tolist())}
        assert {labels[image["f"]] for image in shown} == {0, 1, 2, 3}

    @pytest.mark.browser
    def test_it_works_in_a_browser(self, photos, tmp_path):
        import shutil

        browser = shutil.which("chromium") or shutil.which("google-chrome")
        if browser is None:
            pytest.skip("no Chromium")
        cluster_folder(photos, features="pixels", clusters=4, out=tmp_path / "out")
        page = tmp_path / "out" / "index.html"
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--dump-dom"]
        options += [f"--user-data-dir={tmp_path / 'profile'}", "--disable-background-networking", "--disable-sync"]
        done = subprocess.run(
            [browser, *options, page.as_uri()], capture_output=True, text=True, timeout=120, encoding="utf-8"
        )
        assert done.stdout.count('class="card cluster"') == 4
        assert "With 3, clusters" in done.stdout


class TestLoadFolder:
    def test_an_image_set_with_files_and_without_labels(self, photos):
        found = load_folder(photos, 20)
        assert found.labels is None
        assert found.images.shape == (96, 3, 20, 20)
        assert found.files[0] == "class-0/00.png"
        assert found.n_classes == 0
        assert "no labels" in repr(found)
        part = found.take(10, 0)
        assert part.labels is None
        assert len(part.files) == 10
        assert len(found.checksum) == 64
        assert found.checksum != part.checksum

    def test_labels_of_folders(self, photos):
        found = load_folder(photos, 20, labels="folders")
        assert found.class_names == ("class-0", "class-1", "class-2", "class-3")
        assert found.labels.tolist() == [i // 24 for i in range(96)]

    def test_grey_images_have_one_channel(self, tmp_path):
        for i in range(3):
            photo(seed=i).convert("L").save(tmp_path / f"{i}.png")
        assert load_folder(tmp_path, 8).shape == (1, 8, 8)


@pytest.mark.parametrize("in_between", [False, True])
def test_a_cache_whose_disk_is_full_when_it_is_committed_loses_no_picture(tmp_path, capsys, in_between):
    with Store(tmp_path / "cache") as store:
        store.keep_picture(b"0", "rule", Row((None, b"vector", b"thumbnail")))
        store.commit()
        store._connection.execute("PRAGMA max_page_count = 4")  # as many pages as there are tables: a full disk
        for number in range(1, 40):
            store.keep_picture(b"%d" % number, "rule", Row((None, b"vector" * 500, b"thumbnail")))
            if in_between:
                store.commit()
        store.commit()
        assert len(dict(store.rows("rule", [b"%d" % number for number in range(40)]))) == 40
    assert capsys.readouterr().err.count("full); features are not kept") == 1


@pytest.mark.parametrize(("clusters", "why"), [(2, "was given"), (None, "too few images")])
def test_the_guide_s_page_goes_on_where_no_number_was_looked_for(photos, tmp_path, clusters, why):
    folder = photos if clusters else tmp_path / "one"
    if clusters is None:
        folder.mkdir()
        photo().save(folder / "alone.png")
    found = cluster_folder(folder, clusters=clusters, method="kmeans", features="pixels", out=tmp_path / "out")
    assert why in figures.curve(found)
    assert len(figures.table(found)) == found.n_clusters == (clusters or 1)
