"""The paper's own sets, made up in their official layouts: from folders, through a training, to the tables."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from test_transfer_voc import PARTS, write_kit

from clustlib import datasets
from clustlib.deepcluster import train as train_deepcluster
from clustlib.deepcluster.runs import own_training, transfer
from clustlib.errors import DataCorrupt, DataMissing, UsageError

ROOT = Path(__file__).resolve().parents[1]
CLASSES = {"imagenet": ("n01440764", "n02102040"), "places": ("abbey", "zoo")}
LANDMARKS = {"oxford5k": ("all_souls", "oxc1_"), "paris6k": ("louvre", "")}


def picture(path: Path, kind: int, rng: np.random.Generator) -> None:
    """Stripes of a kind, in any shape."""
    height, width = rng.integers(70, 110, 2)
    wave = 127 + 100 * np.sin(np.arange(width) * (0.3 if kind else 1.2) + rng.uniform(0, 6))
    pixels = np.broadcast_to(wave[None, :, None], (height, width, 3)) + rng.integers(-20, 20, (height, width, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path, format="JPEG")


def of_classes(where: Path, classes: tuple[str, ...], rng: np.random.Generator) -> None:
    for part, n in (("train", 8), ("val", 3)):
        for kind, name in enumerate(classes):
            for i in range(n):
                picture(where / part / name / f"{name}_{i}.JPEG", kind, rng)
    (where / "val" / classes[0] / "damaged.JPEG").write_bytes(b"no image")


def of_buildings(where: Path, landmark: str, prefix: str, rng: np.random.Generator) -> None:
    """Six views, as Paris has them in a folder a landmark: four of the landmark, a distractor, one that is broken."""
    names = [f"{landmark}_{i:06d}" for i in range(4)] + ["elsewhere_000001", "elsewhere_000002"]
    for i, name in enumerate(names):
        picture(where / "jpg" / landmark / f"{name}.jpg", int(i >= 4), rng)
    (where / "jpg" / landmark / f"{names[5]}.jpg").write_bytes(b"no image")
    (where / "gt").mkdir()
    lists = {"query": f"{prefix}{names[0]} 5.5 3.25 64.0 60.0", "good": names[1], "ok": names[2], "junk": names[3]}
    for kind, text in lists.items():
        (where / "gt" / f"{landmark}_1_{kind}.txt").write_text(f"{text}\n", encoding="utf-8")


def of_objects(where: Path, year: str) -> None:
    """A development kit, and the regions that were released with Fast R-CNN for its two parts."""
    kit = write_kit(where / "VOCdevkit" / f"VOC{year}", times=2)
    (where / "selective_search_data").mkdir()
    for part, ids in PARTS.items():
        boxes = np.empty((1, len(ids)), object)
        for i, name in enumerate(ids):
            found = kit.objects(name).boxes[:, [1, 0, 3, 2]] + 1  # (top, left, bottom, right) from 1
            boxes[0, i] = np.concatenate([found, found + 2, [[1, 1, 30, 30]]]).astype(np.uint16)
        savemat(where / "selective_search_data" / f"voc_{year}_{part}.mat", {"boxes": boxes})


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with ``data`` in the official layouts and what the training's command left in ``run`` and ``vgg``."""
    where, rng = tmp_path_factory.mktemp("full"), np.random.default_rng(0)
    for name, classes in CLASSES.items():
        of_classes(where / "data" / name, classes, rng)
    for name, (landmark, prefix) in LANDMARKS.items():
        of_buildings(where / "data" / name, landmark, prefix, rng)
    for year in ("2007", "2012"):
        of_objects(where / "data" / f"voc{year}", year)
    command = [
        str(where / "data/imagenet/train"),
        "--clusters",
        "2",
        "--epochs",
        "1",
        "--width",
        "0.02",
        "--batch",
        "8",
    ]
    command += ["--size", "64", "--pca", "4", "--device", "cpu", "--workers", "0", "--out"]
    train_deepcluster.main([*command, str(where / "run")])
    train_deepcluster.main([*command, str(where / "vgg"), "--network", "vgg16"])
    return where


@pytest.fixture
def data(place, monkeypatch) -> Path:
    monkeypatch.setenv("CLUSTLIB_DATA", str(place / "data"))
    return place


def table(place: Path, book: Path, notebook: str, *settings: str) -> dict:
    """Run a page at the paper's scale in a book without records; its result."""
    shutil.copytree(ROOT / "book/published", book / "book/published")
    shutil.copytree(ROOT / "notebooks/deepcluster", book / "notebooks/deepcluster")
    shutil.copy(ROOT / "_config.yml", book)
    command = [sys.executable, "-m", "clustlib.reproduce", "run", f"deepcluster/{notebook}", "--profile", "imagenet"]
    command += ["--plain", *(part for setting in settings for part in ("--set", setting))]
    environment = {**os.environ, "CLUSTLIB_DATA": str(place / "data"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=book, env=environment, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = (book / "_build/own").rglob("result.json")
    return json.loads(result.read_text(encoding="utf-8"))


def ours(result: dict, metric: str) -> dict[tuple[str, str], float]:
    rows = result["comparison"]
    return {(r["dataset"], r["method"]): r["ours"] for r in rows if r["metric"] == metric and r["ours"] is not None}


def test_table_1_from_folders(place, tmp_path):
    settings = (f"weights={place / 'run'}", "probe_epochs=1", "device=cpu")
    found = ours(table(place, tmp_path, "table-01-linear-probes", *settings), "conv3")
    rows = {(d, m) for d in ("imagenet", "places") for m in ("Random", "DeepCluster")}
    assert {key for key, value in found.items() if np.isfinite(value)} == rows
    assert all(0 <= found[key] <= 6 / 7 for key in rows), "a damaged file counts as wrong"


def test_table_5_from_queries_with_boxes(place, tmp_path):
    settings = (f"weights={place / 'vgg'}", "resolution=80", "device=cpu")
    found = ours(table(place, tmp_path, "table-05-retrieval", *settings), "map")
    known = {key for key, value in found.items() if np.isfinite(value)}
    assert known == {(d, m) for d in LANDMARKS for m in ("Random", "DeepCluster")}
    assert all(0 < found[key] <= 1 for key in known)


def test_table_2_from_the_development_kits(place, tmp_path):
    """All three tasks, with fc6 to fc8 and with all layers; a column that nothing fills would not be there."""
    steps = "steps={classification: 2, detection: 2, segmentation: 2}"
    result = table(place, tmp_path, "table-02-voc-transfer", f"weights={place / 'run'}", steps, "device=cpu")
    for task, year in (("classification", 2007), ("detection", 2007), ("segmentation", 2012)):
        for layers in ("fc68", "all"):
            found = ours(result, f"{task}_{layers}")
            known = {key for key, value in found.items() if np.isfinite(value)}
            assert known == {(f"voc{year}", m) for m in ("Random-sobel", "DeepCluster")}, task
            assert all(0 <= found[key] <= 1 for key in known)


def test_a_query_is_its_box(data):
    """What lies in the box decides: over the wrong half of a picture the landmark is not found first."""
    from clustlib.deepcluster.runs import buildings

    network = own_training.network(str(data / "vgg"), "DeepCluster VGG-16", 0)[0]
    image = Image.fromarray(np.concatenate([np.zeros((64, 64, 3)), np.full((64, 64, 3), 200)], 1).astype(np.uint8))
    maps = [buildings._sized_maps(network, image, 128, "cpu", box) for box in (None, (0, 0, 64, 64), (64, 0, 128, 64))]
    assert maps[0].shape[3] == 2 * maps[1].shape[3] and maps[1].shape == maps[2].shape
    assert buildings._inside((-0.5, 1.0, 70.2, 64.4), (70, 64)) == (0.0, 1.0, 70.0, 64.0)


def test_all_images_or_some_of_each_class(data):
    images, labels, test_images, test_labels = transfer.split("imagenet", 10**7, 10**7)
    assert len(images) == len(labels) == 16 and len(test_images) == 7 and test_labels.max() == 1
    fewer, few_labels, *_ = transfer.split("imagenet", 6, 4)
    assert np.bincount(few_labels).tolist() == [3, 3]
    assert all(file.startswith(CLASSES["imagenet"][label]) for file, label in zip(fewer.files, few_labels))


def test_weights_that_do_not_fit_are_one_line(data, monkeypatch):
    run = {"dataset": "imagenet", "weights": str(data / "run")}
    with pytest.raises(UsageError, match="was trained without"):
        transfer.probe.check(method="Labels", **run)
    with pytest.raises(DataMissing, match=r"clustlib\.deepcluster\.train FOLDER --out"):
        transfer.probe.check(dataset="imagenet", method="Random", weights=str(data / "nowhere"))
    with pytest.raises(UsageError, match="is alexnet on sobel, and DeepCluster VGG-16 is vgg16"):
        own_training.network(str(data / "run"), "DeepCluster VGG-16", 0)
    with pytest.raises(UsageError, match="a training for each"):
        list(own_training.by_method(str(data / "run"), ["DeepCluster", "DeepCluster uncurated"]))
    found = list(own_training.by_method({"DeepCluster": "a"}, ["Labels", "Random", "DeepCluster", "Random VGG-16"]))
    assert found == [(["Random"], "a"), (["DeepCluster"], "a")]


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (7, "weights takes a folder, or {method: folder}; got 7"),
        (["a"], "weights takes a folder"),
        ({"DeepCluster": 3}, "weights takes a folder"),
        ({"Deepcluster": "run"}, "unknown method of weights 'Deepcluster'; did you mean DeepCluster"),
    ],
)
def test_weights_that_name_no_folder_are_one_line(weights, said):
    with pytest.raises(UsageError, match=said):
        list(own_training.by_method(weights, ["DeepCluster"]))


def test_other_weights_are_another_run(data):
    both = [own_training.uses(str(data / name)) for name in ("run", "vgg")]
    assert both[0] != both[1] and own_training.uses(None) == own_training.uses(str(data / "nowhere")) == []


def test_classes_of_train_and_val_must_agree(data, tmp_path, monkeypatch):
    shutil.copytree(data / "data/places", tmp_path / "places")
    (tmp_path / "places/val/abbey").rename(tmp_path / "places/val/unheard")
    monkeypatch.setenv("CLUSTLIB_DATA", str(tmp_path))
    with pytest.raises(DataCorrupt, match="the same classes"):
        transfer.split("places", 10, 10)
    assert datasets.folder("places") == tmp_path / "places"
