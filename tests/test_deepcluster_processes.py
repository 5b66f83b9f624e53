"""DeepCluster on two processes (gloo, on the CPU) and its command: what one process finds, and how all end together."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from PIL import Image

from clustlib import DeepCluster
from clustlib.deepcluster import train as train_deepcluster
from clustlib.deepcluster.feeding import Feed
from clustlib.deepcluster.sharded import share_batch_norm
from clustlib.errors import INTERRUPTED
from clustlib.networks.crops import FolderImages, draw_uniforms, image_source
from clustlib.networks.processes import seeded

HERE = str(Path(__file__).parent)


def pictures(folder: Path, n: int = 40, damaged: tuple[int, ...] = ()) -> Path:
    """Stripes of four kinds, some of them no images at all: clusters that rounding does not move."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        path, wave = folder / f"{i:03d}.png", np.sin(np.arange(40) * (0.4 if i % 4 < 2 else 1.3) + rng.uniform(0, 6))
        stripes = np.broadcast_to(127 + 100 * wave, (40, 40))
        pixels = (stripes.T if i % 2 else stripes)[..., None] + rng.integers(-5, 5, (40, 40, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(path)
        if i in damaged:
            path.write_bytes(b"no image")
    return folder


def small(**settings) -> DeepCluster:
    plain = {
        "network_options": {"width": 1 / 48, "kernel": 3, "stride": 1},
        "image_size": 24,
        "epochs": 3,
        "batch_size": 10,
        "n_components": 3,
        "learning_rate": 0.01,
        "device": "cpu",
        "verbose": False,
    }
    return DeepCluster(4, **{**plain, **settings})


def fade(gone: Sequence[int], patch=setattr) -> None:
    """Have these images vanish once the features are made: what training draws of them cannot be read."""
    whole = FolderImages.pixels

    def pixels(self, index, uniforms):
        found, kept = whole(self, index, uniforms)
        stays = ~np.isin(index[kept], gone) if uniforms else np.ones(len(kept), bool)
        self.unreadable.update({int(i): "gone" for i in index[kept][~stays]})
        return found[torch.from_numpy(stays)], kept[stays]

    patch(FolderImages, "pixels", pixels)


def noted(fitted: DeepCluster) -> dict[str, np.ndarray]:
    names = ("loss", "nmi_previous", "n_clusters", "largest_share", "objective")
    return {name: np.array([entry.get(name, np.nan) for entry in fitted.history_]) for name in names}


def torchrun(tmp_path: Path, body: str, expect: int = 0) -> subprocess.CompletedProcess:
    """Run ``body`` on two processes, with everything of this file in reach."""
    program = tmp_path / "program.py"
    head = f"import sys\nsys.path.insert(0, {HERE!r})\nfrom test_deepcluster_processes import *\n"
    program.write_text(head + textwrap.dedent(body), encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, encoding="utf-8")
    assert (done.returncode == 0) == (expect == 0), done.stderr[-3000:]
    return done


FIT = """
import torch.distributed as dist
dist.init_process_group("gloo")
def fit(where, **settings):
    found = small(**settings).fit(where)
    np.savez(f"{OUT}/found-{dist.get_rank()}.npz", labels=found.labels_, embedding=found.embedding_,
             unreadable=list(found.unreadable_), head=found.network_.head.weight.detach(), **noted(found))
"""


def assert_as_one(tmp_path: Path, one: DeepCluster) -> None:
    """Both processes have the labels, the embedding, the history and the network of a single one."""
    for rank in (0, 1):
        found = np.load(tmp_path / f"found-{rank}.npz")
        assert np.array_equal(found["labels"], one.labels_)
        assert found["embedding"].shape == one.embedding_.shape
        signs = np.sign((found["embedding"] * one.embedding_).sum(0))  # of an eigenvector
        np.testing.assert_allclose(found["embedding"] * signs, one.embedding_, atol=2e-3)
        assert found["unreadable"].tolist() == list(one.unreadable_)
        for name, values in noted(one).items():
            np.testing.assert_allclose(found[name], values, rtol=1e-4, err_msg=name)
        np.testing.assert_allclose(found["head"], one.network_.head.weight.detach(), atol=1e-3)


@pytest.mark.parametrize(
    ("damaged", "settings"),
    [
        ((), {"workers": 2}),
        ((3, 21, 22, 38), {"reassign": 2}),
    ],
    ids=["workers", "damaged"],
)
def test_two_processes_find_what_one_finds(tmp_path, damaged, settings):
    folder = pictures(tmp_path / "images", damaged=damaged)
    torchrun(tmp_path, f"OUT, FOLDER = {str(tmp_path)!r}, {str(folder)!r}" + FIT + f"fit(FOLDER, **{settings})")
    one = small(**{**settings, "workers": 0}).fit(folder)
    assert sorted(one.unreadable_) == list(damaged)
    assert_as_one(tmp_path, one)


def test_shared_batch_norm_of_half_precision_sums_in_single():
    """Maps far from zero, whose variance is lost where squares are summed in the maps' own eight bits."""
    maps = (300 + torch.randn(8, 3, 9, 9, generator=torch.Generator().manual_seed(0))).to(torch.bfloat16)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        layers = torch.nn.Sequential(torch.nn.BatchNorm2d(3))
        share_batch_norm(layers)
        found = layers(maps)
    finally:
        dist.destroy_process_group()
    assert found.dtype == torch.bfloat16
    plain = torch.nn.BatchNorm2d(3)
    torch.testing.assert_close(found.float(), plain(maps.float()), atol=0.02, rtol=0.01)
    torch.testing.assert_close(layers[0].running_var, plain.running_var, rtol=1e-4, atol=1e-4)


def test_a_process_of_whose_share_nothing_can_be_read_goes_on_with_the_others(tmp_path, monkeypatch):
    folder, gone, settings = pictures(tmp_path / "images"), list(range(0, 40, 5)), {"batch_size": 4, "epochs": 2}
    counting = """
    from clustlib.deepcluster.classification import Classification
    step, empty = Classification._step, []
    def counted(self, wrapped, batch, crops, kept, epoch):
        empty.append(len(kept) == 0)
        return step(self, wrapped, batch, crops, kept, epoch)
    Classification._step = counted
    """
    start = f"OUT, FOLDER = {str(tmp_path)!r}, {str(folder)!r}" + FIT + textwrap.dedent(counting)
    count = "\nopen(f'{OUT}/empty-{dist.get_rank()}', 'w').write(str(sum(empty)))"
    torchrun(tmp_path, start + f"fade({gone})\nfit(FOLDER, **{settings})" + count)
    assert sum(int((tmp_path / f"empty-{rank}").read_text(encoding="utf-8")) for rank in (0, 1)) > 0
    fade(gone, monkeypatch.setattr)
    assert_as_one(tmp_path, small(**settings).fit(folder))


def test_two_processes_killed_and_resumed(tmp_path):
    folder, kept = pictures(tmp_path / "images"), tmp_path / "fit.pt"
    settings = {"checkpoint": str(kept), "checkpoint_every": 2}
    start = f"OUT, FOLDER = {str(tmp_path)!r}, {str(folder)!r}" + FIT
    dying = """
    import os
    from clustlib.deepcluster.classification import Classification
    step = Classification._step
    def killing(self, wrapped, batch, crops, kept, epoch):
        if (epoch, batch.number) == (1, 3):
            os._exit(9)
        return step(self, wrapped, batch, crops, kept, epoch)
    Classification._step = killing
    """
    torchrun(tmp_path, start + textwrap.dedent(dying) + f"fit(FOLDER, **{settings})", expect=1)
    assert kept.is_file() and not list(tmp_path.glob("found-*"))
    torchrun(tmp_path, start + f"fit(FOLDER, **{settings})")
    assert_as_one(tmp_path, small().fit(folder))


def test_a_batch_of_which_nothing_can_be_read_is_one_line_of_all(tmp_path):
    folder = pictures(tmp_path / "images")
    names = f"OUT, FOLDER = {str(tmp_path)!r}, {str(folder)!r}"
    done = torchrun(tmp_path, f"{names}\nfade(range(40))" + COMMAND.replace("FAIL", "pass"), expect=1)
    assert done.stderr.count("none of the images of a batch could be read") == 1
    assert "clustlib/deepcluster" not in done.stderr


COMMAND = """
from clustlib.deepcluster.classification import Classification
import os, time
step = Classification._step
def failing(self, wrapped, batch, crops, kept, epoch):
    if (epoch, batch.number, self.processes.rank) == (1, 1, 1):
        FAIL
    return step(self, wrapped, batch, crops, kept, epoch)
Classification._step = failing
train_deepcluster.main([FOLDER, "--out", OUT + "/run", "--clusters", "4", "--width", "0.02", "--size", "64", "--batch",
                        "10", "--epochs", "3", "--device", "cpu", "--workers", "0", "--minutes", "0.1"])
"""


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        ("os._exit(9)", "another process ended, or did not answer"),
        ("time.sleep(60)", "another process ended, or did not answer"),
        ("from clustlib.errors import UsageError; raise UsageError('this disk is full')", "this disk is full"),
    ],
    ids=["dies", "is slow", "fails"],
)
def test_a_failing_process_ends_all_with_one_line(tmp_path, fails, said):
    folder = pictures(tmp_path / "images")
    names = f"OUT, FOLDER = {str(tmp_path)!r}, {str(folder)!r}"
    done = torchrun(tmp_path, names + COMMAND.replace("FAIL", fails), expect=1)
    ours = [line for line in done.stderr.splitlines() if "another process" in line or "disk is full" in line]
    if "_exit" in fails and not ours:  # on a busy machine torchrun ends the other before it can say so, and says it
        ours, said = [line for line in done.stderr.splitlines() if "exitcode: 9) local_rank: 1" in line], "failed"
    assert len(ours) == 1 and said in ours[0], done.stderr[-3000:]
    assert "clustlib/deepcluster" not in done.stderr, "no traceback but that of torchrun itself"
    assert (tmp_path / "run/checkpoint.pt").is_file()


def test_files_decoded_ahead_are_those_that_one_process_decodes(tmp_path):
    folder, device = pictures(tmp_path / "images", 20, damaged=(4, 5, 6, 7, 13)), torch.device("cpu")
    batches = np.split(np.arange(20), [4, 8, 10, 11, 14, 15, 16, 17, 18])  # more than there are slots
    for uniforms in (None, lambda i: draw_uniforms(len(batches[i]), seeded(i))):
        sources = [image_source(folder, 24) for _ in range(2)]
        feeds = [Feed(source, batches, device, uniforms, workers) for source, workers in zip(sources, (0, 2))]
        for alone, ahead in zip(*feeds, strict=True):
            assert torch.equal(alone.crops, ahead.crops) and np.array_equal(alone.kept, ahead.kept)
        assert sources[0].unreadable == sources[1].unreadable and len(sources[0].unreadable) == 5
        assert all(feed.seconds_waiting > 0 for feed in feeds)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_what_workers_have_decoded_stays_as_it_is(tmp_path, monkeypatch, method):
    """Crops are kept while others are decoded into the same memory; where workers are not forked, there is none."""
    monkeypatch.setattr("multiprocessing.get_start_method", lambda: method)
    folder, device = pictures(tmp_path / "images", 20), torch.device("cpu")
    batches = np.array_split(np.arange(20), 10)
    feeds = [Feed(image_source(folder, 24), batches, device, None, workers) for workers in (0, 1)]
    alone, ahead = ([fed.crops for fed in feed] for feed in feeds)
    assert all(map(torch.equal, alone, ahead)) and len(ahead) == 10
    assert [crops.stride() for crops in alone] == [crops.stride() for crops in ahead]


class TestCommand:
    def run(self, tmp_path: Path, *more: str) -> None:
        command = [str(tmp_path / "images"), "--out", str(tmp_path / "run"), "--width", "0.02", "--size", "64"]
        train_deepcluster.main([*command, "--batch", "8", "--device", "cpu", "--workers", "1", *more])

    @pytest.fixture
    def images(self, tmp_path) -> Path:
        for kind in ("a", "b"):
            pictures(tmp_path / "images" / kind, 12)
        (tmp_path / "images/a/damaged.jpg").write_bytes(b"nothing")
        return tmp_path

    def test_it_trains_a_folder_and_goes_on(self, images, capsys):
        for epochs in ("1", "2"):
            self.run(images, "--clusters", "3", "--epochs", epochs, "--snapshots", "1", "--reassign", "2")
        kept = json.loads((images / "run/history.json").read_text(encoding="utf-8"))
        assert [entry["epoch"] for entry in kept["epochs"]] == [0, 1] and len(kept["unreadable"]) == 1
        assert "n_clusters" in kept["epochs"][0] and "n_clusters" not in kept["epochs"][1]
        assert np.load(images / "run/clusters.npy").shape == (25,)
        assert "features.0.weight" in torch.load(images / "run/network-0001.pt", weights_only=True)
        assert "images a second" in capsys.readouterr().out
        with pytest.raises(SystemExit):
            self.run(images, "--clusters", "3", "--epochs", "1", "--snapshots", "1", "--reassign", "2")
        assert "cannot be taken back: 1 more than are asked for" in capsys.readouterr().err
        assert DeepCluster.load(images / "run/model.clustlib", device="cpu").epochs == 2

    def test_files_that_are_all_damaged_are_one_line(self, tmp_path, capsys):
        (tmp_path / "images").mkdir()
        for name in "abc":
            (tmp_path / f"images/{name}.jpg").write_bytes(b"nothing")
        with pytest.raises(SystemExit):
            self.run(tmp_path, "--clusters", "2", "--epochs", "1")
        assert "none of the 3 image files can be read" in capsys.readouterr().err

    def test_clusters_by_file_and_a_model_for_new_images(self, images):
        with pytest.warns(UserWarning, match="2 clusters in place of 10,000"):
            self.run(images, "--epochs", "1")  # a tenth of 25 files: 2 clusters
        lines = (images / "run/clusters.csv").read_text(encoding="utf-8").splitlines()
        assert lines[0] == "file,cluster" and len(lines) == 26
        clusters = dict(line.rsplit(",", 1) for line in lines[1:])
        assert clusters["a/damaged.jpg"] == "-1" and set(clusters.values()) == {"-1", "0", "1"}
        model = DeepCluster.load(images / "run/model.clustlib", device="cpu")
        assert model.clusters_by_file() == {name: int(cluster) for name, cluster in clusters.items()}
        assert np.array_equal(model.predict(images / "images"), model.labels_)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (("--clusters", "10000"), "more than the 25 samples"),
            (("--lr", "0"), "learning_rate"),
            (("--lr", "1e308"), "learning_rate"),
            (("--snapshots", "-1"), "--snapshots must be an integer from 0 on, got -1"),
            (("--minutes", "nan"), "--minutes must be positive and finite"),
            (("--minutes", "1e30"), "--minutes must be positive and finite"),
            (("--out", "images/a/000.png/run"), "the results cannot lie inside the images"),
            (("--out", "images"), "the results cannot lie inside the images"),
            (("--out", "file/run"), "file is no folder"),
            (("--size", "100000"), "--size must be an integer from 1 to 4096"),
            (("--size", "100000000000000000000"), "--size must be an integer from 1 to 4096"),
            (("--device", "meta"), "--device must be"),
        ],
    )
    def test_what_cannot_be_is_one_line(self, images, capsys, monkeypatch, options, said):
        monkeypatch.chdir(images)
        (images / "file").write_bytes(b"")
        with pytest.raises(SystemExit) as end:
            self.run(images, "--clusters", "2", "--epochs", "1", *options)
        error = capsys.readouterr().err.strip()
        assert end.value.code == 1 and said in error and "\n" not in error

    def test_an_interrupt_is_one_line(self, images, capsys, monkeypatch):
        def interrupted(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(DeepCluster, "fit", interrupted)
        with pytest.raises(SystemExit) as end:
            self.run(images)
        assert end.value.code == 130
        assert capsys.readouterr().err.splitlines() == [INTERRUPTED]


def test_an_array_has_no_files():
    fitted = small(epochs=1).fit(np.random.default_rng(0).integers(0, 255, (30, 3, 30, 30), dtype=np.uint8))
    with pytest.raises(ValueError, match="no files"):
        fitted.clusters_by_file()
