"""Data sets: what is registered, what is read from made-up files of every layout, what the network may do, and,
where ``CLUSTLIB_DATA`` names a data folder, the real sets against what is known about them."""

import bz2
import gzip
import hashlib
import io
import os
import re
import struct
import subprocess
import sys
import tarfile
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from clustlib import datasets
from clustlib.datasets import DataFile, ImageSet, Layout, archives, fetch, readers, registry
from clustlib.datasets.__main__ import main
from clustlib.errors import DataCorrupt, DataMissing, UsageError

STREAMED = ["imagenet", "yfcc100m", "voc2007", "voc2012", "places", "oxford5k", "paris6k"]
LOADED = [
    *("digits", "mnist", "mnist-test", "usps", "coil-20", "cmu-pie", "umist", "olivetti"),
    *("cifar-10", "cifar-10-train", "flowers-17", "scene-15", "imagenette", "imagenette-val"),
    *("fashion-mnist", "fashion-mnist-test"),
]
SUPPLIED = [
    *("usps-11000", "coil-100", "frgc", "ytf", "lfw", "umist-112x92", "flowers-102", "cub-200", "mit-67"),
    *STREAMED,
]
PAGE = Path(__file__).parents[1] / "book" / "datasets.md"
REAL = os.environ.get("CLUSTLIB_DATA")
_REAL_STREAM = fetch._stream
RNG = np.random.default_rng(0)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, an empty cache, and no network."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("CLUSTLIB_DATA", str(folder))
    monkeypatch.setattr(fetch, "cache_folder", lambda: tmp_path / "cache")

    def offline(url: str, path: Path, label: str) -> None:
        from requests import ConnectionError

        raise ConnectionError("no network in tests")

    monkeypatch.setattr(fetch, "_stream", offline)
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Register a set anew with other facts, by default without checksums."""

    def change(name: str, *, keep_pins: bool = False, **facts) -> datasets.DatasetInfo:
        known = datasets.info(name)
        if not keep_pins and "layouts" not in facts:
            bare = lambda file: DataFile(file.path, folder=file.folder)  # noqa: E731
            facts["layouts"] = tuple(Layout(x.reader, tuple(map(bare, x.files))) for x in known.layouts)
        changed = replace(known, **facts)
        table = {**registry._registered(), name: changed}
        monkeypatch.setattr(registry, "_registered", lambda: table)
        return changed

    return change


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def leftovers(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and "checked" not in p.parts)


def picture(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    """An image file of (C, H, W) pixels."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(buffer, kind)
    return buffer.getvalue()


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return buffer.getvalue()


def matlab(**variables) -> bytes:
    from scipy.io import savemat

    buffer = io.BytesIO()
    savemat(buffer, variables)
    return buffer.getvalue()


def idx(values: np.ndarray) -> bytes:
    return bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


# --- the registry and its page ----------------------------------------------------------------------------------------


def test_every_set_of_the_design_is_registered() -> None:
    assert datasets.names() == LOADED + SUPPLIED


@pytest.mark.parametrize("name", LOADED + SUPPLIED)
def test_facts_are_complete(name: str) -> None:
    known = datasets.info(name)
    assert all((known.title, known.source, known.licence, known.how, known.differs)) and known.n_samples > 0
    assert known.supplied == (name in SUPPLIED) and known.streamed == (name in STREAMED)
    assert (known.shape is None) == known.streamed
    assert known.stand_in is None or known.stand_in in LOADED
    assert {layout.reader for layout in known.layouts} <= {"stream", *readers.READERS}
    for file in known.files:
        assert not file.path.startswith("/") and ".." not in file.path
        assert all(url.startswith(("http://", "https://")) for url in file.urls)
        assert bool(file.urls) <= file.pinned, "an address without a checksum"
        for digest, length in ((file.sha256, 64), (file.unpacked_sha256, 64), (file.md5, 32)):
            assert digest is None or re.fullmatch(rf"[0-9a-f]{{{length}}}", digest)
    with pytest.raises(FrozenInstanceError):
        known.name = "other"  # type: ignore[misc]


def test_all_but_umist_and_digits_can_be_downloaded() -> None:
    assert [name for name in LOADED if datasets.info(name).download is None] == ["digits", "umist"]


def test_one_path_means_one_file() -> None:
    pins: dict[str, DataFile] = {}
    for name in datasets.names():
        for file in datasets.info(name).files:
            assert pins.setdefault(file.path, file) == file


def _page_rows() -> dict[str, list[str]]:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.read_text(encoding="utf-8").splitlines()]
    return {row[0].strip("`"): row for row in rows if len(row) >= 6 and re.fullmatch("`[a-z0-9-]+`", row[0])}


def test_the_page_and_the_registry_say_the_same() -> None:
    rows = _page_rows()
    assert list(rows) == datasets.names()
    for name, row in rows.items():
        known = datasets.info(name)
        size = "varies" if known.shape is None else "x".join(map(str, known.shape))
        classes = "-" if known.n_classes is None else f"{known.n_classes:,}"
        assert row[1:4] == [f"{known.n_samples:,}", classes, size], name
        assert re.findall("`([^`]+)`", row[4]) == [file.path for file in known.files], name
        others = re.findall("`([^`]+)`", row[-1])
        if name in SUPPLIED:
            assert others == [known.stand_in] * (known.stand_in is not None), name
        else:
            assert others == [other for other in SUPPLIED if datasets.info(other).stand_in == name], name


@pytest.mark.parametrize(
    ("wrong", "close"), [("MNIST", "mnist"), ("coil20", "coil-20"), ("usps_11000", "usps-11000"), (3, "digits")]
)
def test_an_unknown_name_lists_close_ones(wrong: object, close: str) -> None:
    with pytest.raises(UsageError, match=close) as caught:
        datasets.load(wrong)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_the_import_is_light() -> None:
    heavy = ("torch", "torchvision", "sklearn", "scipy", "PIL", "h5py", "pooch", "requests", "tqdm", "pandas")
    code = f"import sys, clustlib.datasets; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8")
    assert done.stdout.strip() == "[]"


# --- ImageSet ---------------------------------------------------------------------------------------------------------


def some(n: int = 20, shape: tuple[int, int, int] = (1, 4, 3)) -> ImageSet:
    split = np.where(np.arange(n) < n // 2, "train", "test")
    return ImageSet(noise(n, *shape), np.arange(n) % 3, "some", split=split)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (np.zeros((3, 4, 4), np.uint8), np.zeros(3, int)),
        (np.zeros((3, 1, 4, 4), np.float32), np.zeros(3, int)),
        (np.zeros((3, 1, 4, 4), np.uint8), np.zeros(2, int)),
        (np.zeros((3, 1, 4, 4), np.uint8), np.zeros(3)),
        (np.zeros((0, 1, 4, 4), np.uint8), np.zeros(0, int)),
    ],
)
def test_what_is_not_a_set_of_images_is_refused(images: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(UsageError, match="some"):
        ImageSet(images, labels, "some")


def test_a_set_is_read_only_and_leaves_the_callers_array_alone() -> None:
    mine = noise(3, 1, 2, 2)
    made = ImageSet(mine, np.arange(3, dtype=np.uint8), "some")
    assert made.labels.dtype == np.int64
    mine[0] = 0
    for array in (made.images, made.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(FrozenInstanceError):
        made.name = "other"  # type: ignore[misc]


def test_length_representation_and_parts() -> None:
    made = some()
    assert len(made) == 20 and made.n_classes == 3 and made.shape == (1, 4, 3) and made.parts == ("train", "test")
    assert repr(made) == "<ImageSet some: 20 images of 1x4x3, 3 classes, 10 train + 10 test>"
    test = made.part("test")
    assert test.name == "some-test" and test.split is None
    np.testing.assert_array_equal(test.images, made.images[10:])
    with pytest.raises(UsageError, match="train, test"):
        made.part("val")
    with pytest.raises(UsageError, match="no official split"):
        test.part("train")


def test_the_checksum_is_of_content_not_of_memory_layout() -> None:
    images, labels = noise(6, 3, 5, 4), np.arange(6)
    made = ImageSet(images, labels, "some")
    strided = np.asfortranarray(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert ImageSet(strided, labels.astype(np.int16), "other name").checksum == made.checksum
    one_pixel, one_label = images.copy(), labels.copy()
    one_pixel[3, 1, 2, 2] ^= 1
    one_label[2] = 5
    different = {
        made.checksum,
        ImageSet(one_pixel, labels, "some").checksum,
        ImageSet(images, one_label, "some").checksum,
        ImageSet(images.reshape(6, 3, 4, 5), labels, "some").checksum,
    }
    assert len(different) == 4 and all(re.fullmatch("[0-9a-f]{64}", digest) for digest in different)


_IMAGES = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=4, max_dims=4, max_side=5))


@settings(max_examples=60, deadline=None)
@given(_IMAGES, st.booleans())
def test_pixels_are_the_scaled_images(images: np.ndarray, blank: bool) -> None:
    if blank:
        images[0] = 0
    made = ImageSet(images, np.zeros(len(images), int), "some")
    rows = images.reshape(len(images), -1).astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    expected = {"l2": rows / np.where(lengths == 0, 1, lengths), "unit": rows / 255, None: rows}
    for norm, reference in expected.items():
        got = made.pixels(norm)
        assert got.dtype == np.float32 and got.shape == rows.shape and got.flags.c_contiguous
        np.testing.assert_allclose(got, reference, rtol=3e-7, atol=0)
    np.testing.assert_allclose(np.linalg.norm(made.pixels(), axis=1), (lengths > 0).ravel(), atol=1e-6)


def test_pixels_of_an_unknown_norm() -> None:
    with pytest.raises(UsageError, match="'l1'"):
        some().pixels("l1")


@pytest.mark.parametrize("norm", ["l2", "unit", None])
def test_pixels_make_one_float_copy(norm: str | None) -> None:
    made = ImageSet(noise(2000, 1, 32, 32), np.zeros(2000, int), "some")
    tracemalloc.start()
    rows = made.pixels(norm)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.1 * rows.nbytes


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(0, 2**32), st.data())
def test_take_draws_nested_subsets_in_order(total: int, seed: int, choice: st.DataObject) -> None:
    n = choice.draw(st.integers(1, total))
    images = np.arange(total, dtype=np.uint8).reshape(-1, 1, 1, 1)
    made = ImageSet(images, np.arange(total), "some", split=np.repeat("train", total))
    drawn, fewer = made.take(n, seed), made.take(max(1, n - 1), seed)
    assert len(drawn) == n and len(set(drawn.labels)) == n and (np.diff(drawn.labels) > 0).all()
    assert set(fewer.labels) <= set(drawn.labels)
    np.testing.assert_array_equal(drawn.images.ravel(), drawn.labels)
    assert drawn.checksum == made.take(n, seed).checksum and drawn.split is not None and len(drawn.split) == n


def test_take_depends_on_the_seed_and_covers_everything() -> None:
    made = some(200)
    assert len({made.take(50, seed).checksum for seed in range(5)}) == 5
    assert made.take(200, 3).checksum == made.checksum


@pytest.mark.parametrize(("n", "seed"), [(0, 0), (-1, 0), (21, 0), (2.0, 0), (True, 0), (5, -1), (5, None), (5, 1.5)])
def test_take_refuses_what_cannot_be(n: object, seed: object) -> None:
    with pytest.raises(UsageError):
        some(20).take(n, seed)  # type: ignore[arg-type]


# --- looking for files ------------------------------------------------------------------------------------------------


def test_digits_need_no_file(data: Path) -> None:
    from sklearn.datasets import load_digits

    loaded = datasets.load("digits")
    assert loaded.images.shape == (1797, 1, 8, 8) and datasets.available() == ["digits"]
    exact = load_digits().images * 255 / 16
    np.testing.assert_array_equal(loaded.images[:, 0], np.floor(exact + 0.5))
    np.testing.assert_array_equal(loaded.labels, load_digits().target)


@pytest.mark.parametrize("name", [name for name in LOADED + SUPPLIED if name != "digits"])
def test_a_missing_set_says_what_to_fetch_and_where_to_put_it(name: str, data: Path, tmp_path: Path) -> None:
    known = datasets.info(name)
    with pytest.raises(DataMissing) as caught:
        datasets.folder(name) if known.streamed else datasets.load(name)
    said = str(caught.value)
    assert "\n" not in said and known.name in said and str(data) in said and str(tmp_path / "cache") in said
    assert all(file.path in said for file in known.files)
    assert (known.stand_in or "") in said
    if known.supplied or known.download is None:
        assert known.how in said
    else:
        assert all(file.urls[0] in said for file in known.download.files) and "ConnectionError" in said
    assert leftovers(tmp_path / "cache") == []


def test_a_data_folder_that_is_not_there_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTLIB_DATA", "/nowhere/at/all")
    with pytest.raises(DataMissing, match=r"/nowhere/at/all, which is not a folder"):
        datasets.load("umist")


@pytest.mark.parametrize("name", STREAMED)
def test_streamed_sets_have_a_folder_instead(name: str, data: Path) -> None:
    put(data / name / "train" / "n01" / "a.jpeg", b"")
    assert datasets.folder(name) == data / name and name in datasets.available()
    with pytest.raises(UsageError, match="too large for one array"):
        datasets.load(name)
    with pytest.raises(UsageError, match="load"):
        datasets.folder("mnist")


def umist_file(images: np.ndarray | None = None) -> bytes:
    buffer = io.BytesIO()
    images = noise(575, 28, 23) if images is None else images
    np.savez(buffer, images=images, labels=np.arange(len(images)) % 20)
    return buffer.getvalue()


def test_the_data_folder_comes_before_the_cache(data: Path, tmp_path: Path, small: Callable) -> None:
    small("umist", content=None)
    put(tmp_path / "cache/umist/umist_28x23.npz", umist_file(np.ones((575, 28, 23), np.uint8)))
    assert datasets.load("umist").images.max() == 1
    put(data / "umist/umist_28x23.npz", umist_file(np.zeros((575, 28, 23), np.uint8)))
    assert datasets.load("umist").images.max() == 0


def test_a_renamed_file_is_found_by_its_size(data: Path, small: Callable) -> None:
    content = umist_file()
    file = DataFile("umist/umist_28x23.npz", sha256(content), len(content))
    small("umist", layouts=(Layout("npz", (file,)),), content=None)
    put(data / "umist/umist-small.npz", content)
    with pytest.raises(DataMissing, match=r"umist-small\.npz has the size of umist_28x23\.npz: was it renamed\?"):
        datasets.load("umist")


# --- damaged files ----------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny_mnist(data: Path, small: Callable) -> tuple[Path, dict[str, bytes]]:
    """A set in MNIST's layout with pinned content: 30 train and 20 test images."""
    values = {
        "train-images-idx3-ubyte.gz": noise(30, 28, 28),
        "train-labels-idx1-ubyte.gz": np.arange(30, dtype=np.uint8) % 10,
        "t10k-images-idx3-ubyte.gz": noise(20, 28, 28),
        "t10k-labels-idx1-ubyte.gz": np.arange(20, dtype=np.uint8) % 10,
    }
    plain = {name: idx(array) for name, array in values.items()}
    files = tuple(
        DataFile(f"mnist/{name}", sha256(b"as packed at home"), None, (), unpacked_sha256=sha256(content))
        for name, content in plain.items()
    )
    small("mnist", layouts=(Layout("idx", files),), n_samples=50)
    small("mnist-test", layouts=(Layout("idx", files[2:]),), n_samples=20)
    for name, content in plain.items():
        put(data / "mnist" / name, gzip.compress(content))
    return data / "mnist", plain


def test_mnist_layout(tiny_mnist: tuple[Path, dict[str, bytes]]) -> None:
    folder, plain = tiny_mnist
    loaded = datasets.load("mnist")
    assert loaded.parts == ("train", "test") and loaded.images.shape == (50, 1, 28, 28)
    assert loaded.images[:30].tobytes() == plain["train-images-idx3-ubyte.gz"][16:]
    assert loaded.part("test").checksum == datasets.load("mnist-test").checksum
    assert loaded.part("test").name == "mnist-test"
    packed_anew = gzip.compress(plain["t10k-images-idx3-ubyte.gz"], compresslevel=1, mtime=12345)
    put(folder / "t10k-images-idx3-ubyte.gz", packed_anew)
    assert datasets.load("mnist").checksum == loaded.checksum


def test_a_truncated_gzip_file(tiny_mnist: tuple[Path, dict[str, bytes]]) -> None:
    folder, plain = tiny_mnist
    path = folder / "train-images-idx3-ubyte.gz"
    put(path, path.read_bytes()[:-2000])
    with pytest.raises(DataCorrupt) as caught:
        datasets.load("mnist")
    said = str(caught.value)
    assert str(path) in said and sha256(plain[path.name]) in said and sha256(path.read_bytes()) in said
    assert "\n" not in said


def test_a_changed_gzip_file(tiny_mnist: tuple[Path, dict[str, bytes]]) -> None:
    folder, plain = tiny_mnist
    path = folder / "t10k-labels-idx1-ubyte.gz"
    other = idx(np.zeros(20, np.uint8))
    datasets.load("mnist")
    put(path, gzip.compress(other))
    with pytest.raises(DataCorrupt, match=f"expected {sha256(plain[path.name])}, found {sha256(other)}") as caught:
        datasets.load("mnist")
    assert str(path) in str(caught.value)


def test_two_swapped_files_name_each_other(tiny_mnist: tuple[Path, dict[str, bytes]]) -> None:
    folder, _ = tiny_mnist
    path = folder / "train-images-idx3-ubyte.gz"
    put(path, (folder / "t10k-images-idx3-ubyte.gz").read_bytes())
    with pytest.raises(DataCorrupt, match=r"that is mnist/t10k-images-idx3-ubyte\.gz"):
        datasets.load("mnist")


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_a_pinned_file_that_is_damaged(damage: str, data: Path, small: Callable) -> None:
    content = umist_file()
    bad = {"cut": content[:-100], "flip": content[:999] + b"?" + content[1000:], "empty": b"", "text": b"<html>"}[
        damage
    ]
    file = DataFile("umist/umist_28x23.npz", sha256(content), len(content))
    small("umist", layouts=(Layout("npz", (file,)),), content=None)
    path = put(data / "umist/umist_28x23.npz", bad)
    with pytest.raises(DataCorrupt, match=f"expected {sha256(content)}, found {sha256(bad)}") as caught:
        datasets.load("umist")
    assert str(path) in str(caught.value)
    assert ("umist" in datasets.available()) == (damage == "flip")


def test_an_unpinned_file_that_cannot_be_read_is_named_with_its_checksum(data: Path) -> None:
    path = put(data / "umist/umist_28x23.npz", umist_file()[:-100])
    with pytest.raises(DataCorrupt, match=f"{path}.*{sha256(path.read_bytes())}"):
        datasets.load("umist")


def test_another_content_than_the_registered_one(data: Path) -> None:
    put(data / "umist/umist_28x23.npz", umist_file())
    with pytest.raises(DataCorrupt, match=str(datasets.info("umist").content)):
        datasets.load("umist")


@pytest.mark.parametrize("shape", [(574, 28, 23), (575, 23, 28), (575, 28, 23, 3)])
def test_a_set_of_the_wrong_shape(shape: tuple[int, ...], data: Path, small: Callable) -> None:
    small("umist", content=None)
    put(data / "umist/umist_28x23.npz", umist_file(np.zeros(shape, np.uint8)))
    with pytest.raises(DataCorrupt, match="575 images of 1x28x23 in 20 classes"):
        datasets.load("umist")


def test_pickles_are_not_loaded(data: Path, small: Callable) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, images=np.array([print], dtype=object), labels=np.zeros(1, int))
    small("umist", content=None)
    put(data / "umist/umist_28x23.npz", buffer.getvalue())
    with pytest.raises(DataCorrupt, match="allow_pickle"):
        datasets.load("umist")


def test_a_second_load_reads_no_file_twice(
    tiny_mnist: tuple[Path, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    checksum = fetch.checksum

    def counting(path: Path, *args, **kwargs) -> str:
        read.append(path)
        return checksum(path, *args, **kwargs)

    monkeypatch.setattr(fetch, "checksum", counting)
    datasets.load("mnist")
    assert len(read) == 4
    assert datasets.load("mnist") is datasets.load("mnist") and len(read) == 4
    changed = tiny_mnist[0] / "t10k-labels-idx1-ubyte.gz"
    os.utime(changed, (1, 1))
    datasets.load("mnist")
    assert read[4:] == [changed]


def test_a_cache_that_cannot_be_written_costs_no_load(
    tiny_mnist: tuple[Path, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tiny_mnist[0].parent / "a-file", b"")
    monkeypatch.setattr(fetch, "cache_folder", lambda: tiny_mnist[0].parent / "a-file" / "cache")
    assert len(datasets.load("mnist")) == 50


# --- downloads --------------------------------------------------------------------------------------------------------


class _Home(BaseHTTPRequestHandler):
    content = b""
    asked: list[str]

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        if self.path.startswith("/gone"):
            self.send_error(404)
            return
        body = b"<html>moved</html>" if self.path.startswith("/moved") else self.content
        self.send_response(200)
        if not self.path.startswith("/cut-silently"):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path.startswith("/cut") else body)

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def home(data: Path, small: Callable, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable]:
    """A web server that holds a UMIST file, and a registration of UMIST that downloads from it."""
    monkeypatch.setattr(fetch, "_stream", _REAL_STREAM)
    content = umist_file()
    handler = type("Home", (_Home,), {"content": content, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def register(*pages: str, sha: str | None = sha256(content), md5: str | None = None) -> type[_Home]:
        urls = tuple(f"http://127.0.0.1:{server.server_port}/{page}/umist.npz" for page in pages)
        file = DataFile("umist/umist_28x23.npz", sha, None, urls, md5)
        small("umist", layouts=(Layout("npz", (file,)),), content=None)
        return handler

    yield register
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("pin", ["sha256", "md5"])
def test_a_download_lands_in_the_cache_once(pin: str, home: Callable, data: Path, tmp_path: Path) -> None:
    server = home("here")
    if pin == "md5":
        home("here", sha=None, md5=hashlib.md5(server.content).hexdigest())
    assert len(datasets.load("umist")) == 575
    assert leftovers(tmp_path / "cache") == ["umist/umist_28x23.npz"] and leftovers(data) == []
    datasets.load("umist")
    assert server.asked == ["/here/umist.npz"] and "umist" in datasets.available()


@pytest.mark.parametrize("pages", [("gone", "here"), ("moved", "here"), ("cut", "cut-silently", "here")])
def test_the_next_address_is_tried(pages: tuple[str, ...], home: Callable) -> None:
    server = home(*pages)
    assert len(datasets.load("umist")) == 575 and len(server.asked) == len(pages)


@pytest.mark.parametrize("page", ["moved", "cut-silently"])
def test_a_damaged_download_leaves_nothing(page: str, home: Callable, tmp_path: Path) -> None:
    server = home(page)
    arrived = b"<html>moved</html>" if page == "moved" else server.content[: len(server.content) // 2]
    with pytest.raises(DataCorrupt, match=f"expected {sha256(server.content)}, found {sha256(arrived)}") as caught:
        datasets.load("umist")
    assert "umist/umist_28x23.npz" in str(caught.value) and leftovers(tmp_path / "cache") == []


@pytest.mark.parametrize(("page", "why"), [("gone", "HTTP 404"), ("cut", "(ChunkedEncoding|Connection)Error")])
def test_a_failed_download_says_what_to_fetch(page: str, why: str, home: Callable, tmp_path: Path, data: Path) -> None:
    home(page)
    with pytest.raises(DataMissing, match=why) as caught:
        datasets.load("umist")
    assert f"/{page}/umist.npz" in str(caught.value) and str(data) in str(caught.value)
    assert leftovers(tmp_path / "cache") == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_download_leaves_nothing(
    error: BaseException, home: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home("here")

    def half(url: str, path: Path, label: str) -> None:
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(fetch, "_stream", half)
    with pytest.raises((KeyboardInterrupt, DataMissing)) as caught:
        datasets.load("umist")
    assert isinstance(caught.value, KeyboardInterrupt) or "No space left" in str(caught.value)
    assert leftovers(tmp_path / "cache") == []


def test_what_a_killed_process_left_is_swept(home: Callable, tmp_path: Path) -> None:
    home("here")
    old = put(tmp_path / "cache/umist/.umist_28x23.npz.1.part", b"half")
    new = put(tmp_path / "cache/umist/.umist_28x23.npz.2.part", b"half")
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)
    datasets.load("umist")
    assert not old.exists() and new.exists()


def test_fetch_replaces_a_damaged_download(home: Callable, tmp_path: Path) -> None:
    server = home("here")
    path = put(tmp_path / "cache/umist/umist_28x23.npz", b"damaged")
    with pytest.raises(DataCorrupt):
        datasets.load("umist")
    assert main(["fetch", "umist"]) == 0
    assert path.read_bytes() == server.content
    assert main(["fetch", "umist"]) == 0 and len(server.asked) == 1


def test_supplied_sets_are_not_downloaded_unasked(home: Callable, small: Callable, data: Path) -> None:
    server = home("here")
    small("umist", keep_pins=True, supplied=True)
    with pytest.raises(DataMissing):
        datasets.load("umist")
    assert server.asked == [] and main(["fetch", "umist"]) == 0


# --- archives of images -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../evil.jpg", "/etc/evil.jpg", "a/../../evil.jpg", "C:/evil.jpg", "a\\..\\evil.jpg"])
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_names_that_point_outside_are_refused(name: str, pack: Callable, tmp_path: Path) -> None:
    path = put(tmp_path / ("a.zip" if pack is zipped else "a.tgz"), pack({"fine.jpg": b"x", name: b"x"}))
    if pack is zipped and "\\" in name:  # zipfile itself writes and reads them with slashes on some systems
        with zipfile.ZipFile(path) as archive:
            name = archive.namelist()[1]
    with pytest.raises(DataCorrupt, match="unsafe name"):
        archives.member_names(path)


def test_a_member_too_large_to_be_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_LARGEST_MEMBER", 1000)
    for path in (
        put(tmp_path / "a.zip", zipped({"x": b"0" * 1001})),
        put(tmp_path / "a.tgz", tarred({"x": b"0" * 1001})),
    ):
        with pytest.raises(DataCorrupt, match="1,001 bytes"):
            archives.member_names(path)


@pytest.mark.parametrize(("width", "height"), [(8, 8), (13, 8), (8, 9), (31, 8)])
def test_a_fitting_short_side_keeps_its_pixels(width: int, height: int) -> None:
    pixels = noise(3, height, width)
    left, top = (width - 8) // 2, (height - 8) // 2
    got = archives.decode(picture(pixels), (3, 8, 8), fit=True)
    np.testing.assert_array_equal(got, pixels[:, top : top + 8, left : left + 8])


def test_a_larger_image_is_scaled_to_the_short_side() -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, 80, dtype=np.uint8), (1, 40, 80))
    got = archives.decode(picture(ramp), (1, 20, 20), fit=True)
    np.testing.assert_allclose(got[0, 10], np.linspace(0, 255, 80)[20:60].reshape(20, 2).mean(1), atol=2)
    with pytest.raises(DataCorrupt, match="80x40 pixels, must be 20x20"):
        archives.decode(picture(ramp), (1, 20, 20), fit=False)


def test_colour_becomes_gray_and_gray_becomes_colour() -> None:
    gray = noise(1, 8, 8)
    np.testing.assert_array_equal(archives.decode(picture(gray), (3, 8, 8), fit=False), np.repeat(gray, 3, 0))
    assert archives.decode(picture(np.repeat(gray, 3, 0)), (1, 8, 8), fit=False).shape == (1, 8, 8)


@pytest.fixture
def flowers(data: Path, small: Callable) -> Path:
    """A Flowers-17 of four images a class in the official archive."""
    small("flowers-17", n_samples=68)
    members = {"jpg/files.txt": b"image_0001.jpg"}
    for i in range(68):
        number = i // 4 * 80 + i % 4 + 1
        members[f"jpg/image_{number:04d}.jpg"] = picture(np.full((3, 224, 230), i, np.uint8), "JPEG")
    return put(data / "flowers17/17flowers.tgz", tarred(dict(sorted(members.items(), reverse=True))))


def test_a_decoded_archive_is_kept(flowers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = datasets.load("flowers-17")
    np.testing.assert_array_equal(loaded.labels, np.repeat(np.arange(17), 4))
    np.testing.assert_allclose(loaded.images.mean((1, 2, 3)), np.arange(68), atol=2)
    assert loaded.class_names is not None and loaded.class_names[:2] == ("daffodil", "snowdrop")
    kept = leftovers(tmp_path / "cache")
    assert len(kept) == 2 and all(name.startswith("decoded/flowers-17-224x224-") for name in kept)

    monkeypatch.setattr(archives, "decode", None)
    datasets._read.cache_clear()
    again = datasets.load("flowers-17")
    assert again is not loaded and again.checksum == loaded.checksum and again.class_names == loaded.class_names


@pytest.mark.parametrize("damage", ["cut", "flip", "lost", "notes"])
def test_a_damaged_decoded_array_is_made_again(damage: str, flowers: Path, tmp_path: Path) -> None:
    first = datasets.load("flowers-17")
    array, notes = sorted((tmp_path / "cache/decoded").iterdir())
    content = array.read_bytes()
    if damage == "lost":
        notes.unlink()
    elif damage == "notes":
        notes.write_bytes(b"PK half")
    else:
        array.unlink()
        array.write_bytes(content[:-50] if damage == "cut" else content[:-50] + b"?" * 50)
    datasets._read.cache_clear()
    assert datasets.load("flowers-17").checksum == first.checksum
    assert array.read_bytes() == content


def test_interrupted_decoding_leaves_nothing(flowers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    decode = archives.decode

    def interrupted(*args, **kwargs) -> np.ndarray:
        calls.append(1)
        if len(calls) == 30:
            raise KeyboardInterrupt
        return decode(*args, **kwargs)

    monkeypatch.setattr(archives, "decode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        datasets.load("flowers-17")
    assert leftovers(tmp_path / "cache") == []
    assert len(datasets.load("flowers-17")) == 68


def test_decoding_without_a_cache(flowers: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(data / "a-file", b"")
    monkeypatch.setattr(fetch, "cache_folder", lambda: data / "a-file" / "cache")
    assert len(datasets.load("flowers-17")) == 68


def test_an_archive_with_a_broken_image_or_without_images(data: Path, small: Callable, tmp_path: Path) -> None:
    small("flowers-17")
    path = put(data / "flowers17/17flowers.tgz", tarred({"jpg/image_0001.jpg": b"not a JPEG"}))
    with pytest.raises(DataCorrupt, match=r"17flowers\.tgz: jpg/image_0001\.jpg cannot be decoded"):
        datasets.load("flowers-17")
    put(path, tarred({"readme": b""}))
    with pytest.raises(DataCorrupt, match="none of the images"):
        datasets.load("flowers-17")
    put(path, b"not a tar file")
    with pytest.raises(DataCorrupt, match=f"cannot be read as Oxford Flowers-17.*{sha256(b'not a tar file')}"):
        datasets.load("flowers-17")
    assert leftovers(tmp_path / "cache") == []


# --- every other layout -----------------------------------------------------------------------------------------------


def test_usps_from_either_copy_is_the_same(data: Path, small: Callable) -> None:
    import h5py

    small("usps", n_samples=40)
    levels, digits = RNG.integers(-1000, 1001, (40, 256)), np.arange(40) % 10
    parts = {"train": slice(0, 25), "test": slice(25, 40)}
    for part, name in (("train", "usps.bz2"), ("test", "usps.t.bz2")):
        lines = [
            " ".join([str(digit + 1), *(f"{i + 1}:{v / 1000:g}" for i, v in enumerate(row) if v)])
            for row, digit in zip(levels[parts[part]], digits[parts[part]])
        ]
        put(data / "usps" / name, bz2.compress("\n".join(lines).encode()))
    from_text = datasets.load("usps")
    with h5py.File(data / "usps/usps.h5", "w") as file:
        for part, rows in parts.items():
            file[f"{part}/data"] = ((levels[rows] + 1000) / 2000).astype(np.float32)
            file[f"{part}/target"] = digits[rows].astype(np.int32)
    from_h5 = datasets.load("usps")
    assert from_h5 is not from_text and from_h5.checksum == from_text.checksum and from_h5.parts == ("train", "test")
    np.testing.assert_array_equal(from_text.images.reshape(40, 256), np.floor((levels + 1000) * 255 / 2000 + 0.5))
    np.testing.assert_array_equal(from_text.labels, digits)


def test_usps_11000_is_read_column_by_column(data: Path) -> None:
    upright = noise(10, 1100, 16, 16)
    columns = upright.transpose(0, 1, 3, 2).reshape(10, 1100, 256)
    put(data / "usps/usps_all.mat", matlab(data=columns.transpose(2, 1, 0)))
    loaded = datasets.load("usps-11000")
    np.testing.assert_array_equal(loaded.images[:, 0], upright.reshape(11000, 16, 16))
    np.testing.assert_array_equal(loaded.labels, np.repeat([1, 2, 3, 4, 5, 6, 7, 8, 9, 0], 1100))


@pytest.mark.parametrize("content", [b"not matlab", matlab(other=np.zeros(3)), matlab(data=np.zeros((256, 5)))])
def test_a_matlab_file_of_something_else(content: bytes, data: Path) -> None:
    put(data / "usps/usps_all.mat", content)
    with pytest.raises(DataCorrupt, match=r"usps_all\.mat"):
        datasets.load("usps-11000")


def test_face_sets_in_matlab_files(data: Path, small: Callable) -> None:
    small("cmu-pie", n_samples=68)
    small("olivetti")
    pie, faces = noise(68, 32, 32), noise(400, 64, 64)
    put(data / "cmu_pie/PIE_pose27.mat", matlab(fea=pie.swapaxes(1, 2).reshape(68, -1), gnd=np.arange(1, 69)[:, None]))
    put(data / "orl_olivetti/olivettifaces.mat", matlab(faces=faces.swapaxes(1, 2).reshape(400, -1).T))
    np.testing.assert_array_equal(datasets.load("cmu-pie").images[:, 0], pie)
    np.testing.assert_array_equal(datasets.load("olivetti").images[:, 0], faces)
    np.testing.assert_array_equal(datasets.load("olivetti").labels, np.repeat(np.arange(40), 10))


def test_umist_at_full_size_from_either_form(data: Path) -> None:
    counts = [29] * 15 + [28] * 5
    stacks = np.empty((1, 20), object)
    for i, count in enumerate(counts):
        stacks[0, i] = noise(112, 92, count)
    path = put(data / "umist/umist_cropped.mat", matlab(facedat=stacks))
    loaded = datasets.load("umist-112x92")
    np.testing.assert_array_equal(loaded.images[29, 0], stacks[0, 1][:, :, 0])
    path.unlink()
    for i, stack in enumerate(stacks[0]):
        for k in range(stack.shape[2]):
            name = f"umist/umist_cropped/1{chr(ord('a') + i)}/face/{k:03d}.pgm"
            put(data / name, picture(stack[None, :, :, k], "PPM"))
    from_folders = datasets.load("umist-112x92")
    assert from_folders is not loaded and from_folders.checksum == loaded.checksum


def test_cifar_10_in_binary_form(data: Path, small: Callable) -> None:
    small("cifar-10", n_samples=20)
    records = noise(20, 3073)
    records[:, 0] = np.arange(20) % 10
    name = "cifar-10-batches-bin/test_batch.bin"
    put(data / "cifar10/cifar-10-binary.tar.gz", tarred({"x": b"", name: records.tobytes()}))
    loaded = datasets.load("cifar-10")
    np.testing.assert_array_equal(loaded.images.reshape(20, -1), records[:, 1:])
    assert loaded.class_names is not None and loaded.class_names[int(loaded.labels[9])] == "truck"
    put(data / "cifar10/cifar-10-binary.tar.gz", tarred({"x": b""}))
    with pytest.raises(DataCorrupt, match=r"lacks cifar-10-batches-bin/test_batch\.bin"):
        datasets.load("cifar-10")


def test_cifar_10_training_images(data: Path, small: Callable) -> None:
    small("cifar-10-train", n_samples=50)
    records = noise(50, 3073)
    records[:, 0] = np.arange(50) % 10
    parts = {f"cifar-10-batches-bin/data_batch_{i + 1}.bin": records[10 * i : 10 * i + 10].tobytes() for i in range(5)}
    put(data / "cifar10/cifar-10-binary.tar.gz", tarred(dict(reversed(parts.items()))))
    loaded = datasets.load("cifar-10-train")
    np.testing.assert_array_equal(loaded.images.reshape(50, -1), records[:, 1:])
    assert loaded.labels.tolist() == records[:, 0].tolist()


def test_cifar_10_training_images_in_folders_of_classes(data: Path, small: Callable) -> None:
    small("cifar-10-train", n_samples=20)
    names = [f"train/{kind}/{i:04d}.jpg" for kind in "jihgfedcba" for i in (1, 0)]
    images = noise(20, 3, 32, 32)
    put(data / "cifar10/cifar10_train.zip", zipped({n: picture(x, "PNG") for n, x in zip(names, images)}))
    loaded = datasets.load("cifar-10-train")
    assert loaded.class_names == tuple("abcdefghij") and loaded.labels.tolist() == sorted(list(range(10)) * 2)
    np.testing.assert_array_equal(loaded.images[0], images[-1])


@pytest.mark.parametrize("name", ["coil-20", "coil-100"])
def test_coil_is_sorted_by_object_and_pose(name: str, data: Path, small: Callable) -> None:
    known = small(name, n_samples=24, n_classes=12)
    channels = known.shape[0]
    poses = {(obj, pose): noise(channels, 128, 128) for obj in range(1, 13) for pose in (5, 10)}
    members = {f"x/obj{obj}__{pose}.png": picture(pixels) for (obj, pose), pixels in reversed(poses.items())}
    archive = next(file.path for file in known.files if file.path.endswith(".zip"))
    put(data / archive, zipped({"x/convert.pl": b"", **members}))
    loaded = datasets.load(name)
    np.testing.assert_array_equal(loaded.images, np.stack(list(poses.values())))
    np.testing.assert_array_equal(loaded.labels, np.repeat(np.arange(12), 2))
    if name == "coil-100":
        for member, content in members.items():
            put(data / "coil100/coil-100" / Path(member).name, content)
        assert datasets.load(name).checksum == loaded.checksum


@pytest.mark.parametrize(("name", "folders"), [("frgc", 20), ("ytf", 45)])
def test_one_folder_a_subject(name: str, folders: int, data: Path) -> None:
    known = datasets.info(name)
    subjects = [f"subject-{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(folders)]
    pixels = noise(folders, 2, *known.shape)
    for subject, pair in reversed(list(zip(subjects, pixels))):
        put(data / name / subject / "b.png", picture(pair[1]))
        put(data / name / subject / "a.png", picture(pair[0]))
    put(data / name / "readme.txt", b"")
    loaded = datasets.load(name)
    np.testing.assert_array_equal(loaded.images, pixels[: known.n_classes].reshape(-1, *known.shape))
    assert loaded.class_names == tuple(subjects[: known.n_classes])
    put(data / name / subjects[0] / "c.png", picture(noise(3, 20, 20)))
    datasets._read.cache_clear()
    with pytest.raises(DataCorrupt, match="20x20 pixels"):
        datasets.load(name)


def test_frgc_with_another_number_of_subjects(data: Path) -> None:
    for subject in "abc":
        put(data / "frgc" / subject / "1.png", picture(noise(3, 32, 32)))
    with pytest.raises(DataCorrupt, match="3 images of 3x32x32 in 3 classes; frgc is 3 images of 3x32x32 in 20"):
        datasets.load("frgc")


def test_scene_15_from_either_archive(data: Path, small: Callable) -> None:
    small("scene-15", n_samples=30)
    others = ["bedroom", "CALsuburb", "industrial", "kitchen", "livingroom", "PARoffice", "store"]
    outdoor = ["coast", "forest", "highway", "insidecity", "mountain", "opencountry", "street", "tallbuilding"]
    official = others + ["MIT" + name for name in outdoor]
    members, ours = {}, {}
    for name in official:
        for i in (1, 2):
            content = picture(noise(1, 128, 128))
            members[f"scene_categories/{name}/image_{i:04d}.jpg"] = content
            short = re.sub("^[A-Z]{3}", "", name).lower()
            ours[f"{'train' if i == 1 else 'test'}/{short}/image_{i:04d}.jpg"] = content
    put(data / "scene15/scene_categories.zip", zipped(members))
    first = datasets.load("scene-15")
    put(data / "scene15/scene15_128.zip", zipped(dict(sorted(ours.items()))))
    second = datasets.load("scene-15")
    assert second is not first and second.checksum == first.checksum and second.class_names == first.class_names
    assert first.split is None and second.part("train").n_classes == 15 and len(second.part("test")) == 15


def test_imagenette_parts(data: Path, small: Callable) -> None:
    numbers = (1440764, 2102040, 2979186, 3000684, 3028079, 3394916, 3417042, 3425413, 3445777, 3888257)
    wnids = [f"n{number:08d}" for number in numbers]
    members = {"imagenette2-160/noisy_imagenette.csv": b""}
    for part in ("train", "val"):
        for i, wnid in enumerate(wnids):
            value = np.full((3, 160, 200), 20 * i + 5 * (part == "val"), np.uint8)
            members[f"imagenette2-160/{part}/{wnid}/ILSVRC2012_{part}_1.JPEG"] = picture(value, "JPEG")
    put(data / "imagenette/imagenette2-160.tgz", tarred(members))
    for name, size, shift in (("imagenette", 64, 0), ("imagenette-val", 160, 5)):
        small(name, n_samples=10)
        loaded = datasets.load(name)
        assert loaded.shape == (3, size, size) and loaded.class_names is not None
        assert loaded.class_names[0] == "tench" and loaded.class_names[-1] == "parachute"
        np.testing.assert_allclose(loaded.images.mean((1, 2, 3)), 20 * np.arange(10) + shift, atol=2)


def test_lfw(data: Path, small: Callable) -> None:
    small("lfw", n_samples=3, n_classes=2)
    people = ["lfw/Ada_L/Ada_L_0001.jpg", "lfw/Ada_L/Ada_L_0002.jpg", "lfw/Bo_X/Bo_X_0001.jpg"]
    put(data / "lfw/lfw.tgz", tarred({name: picture(noise(3, 250, 250), "JPEG") for name in people}))
    loaded = datasets.load("lfw")
    assert loaded.class_names == ("Ada_L", "Bo_X") and loaded.labels.tolist() == [0, 0, 1]


def flat(value: int) -> bytes:
    return picture(np.full((3, 240, 300), value, np.uint8), "JPEG")


def test_flowers_102(data: Path, small: Callable) -> None:
    small("flowers-102", n_samples=6, n_classes=3)
    members = {f"jpg/image_{i:05d}.jpg": flat(10 * i) for i in (6, 2, 4, 1, 5, 3)}
    put(data / "flowers102/102flowers.tgz", tarred(members))
    put(data / "flowers102/imagelabels.mat", matlab(labels=np.array([[3, 1, 2, 3, 1, 2]])))
    put(
        data / "flowers102/setid.mat",
        matlab(trnid=np.array([[1, 2]]), valid=np.array([[3]]), tstid=np.array([[6, 5, 4]])),
    )
    loaded = datasets.load("flowers-102")
    assert loaded.labels.tolist() == [2, 0, 1, 2, 0, 1] and loaded.parts == ("train", "val", "test")
    np.testing.assert_allclose(loaded.images.mean((1, 2, 3)), 10 * np.arange(1, 7), atol=2)
    assert len(loaded.part("test")) == 3


def test_cub_200(data: Path, small: Callable) -> None:
    small("cub-200", n_samples=3, n_classes=2)
    members = {
        "CUB_200_2011/images/002.Crow/c.jpg": flat(30),
        "CUB_200_2011/images/001.Auk/a.jpg": flat(10),
        "CUB_200_2011/images/001.Auk/b.jpg": flat(20),
        "CUB_200_2011/images.txt": b"1 001.Auk/a.jpg\n2 001.Auk/b.jpg\n3 002.Crow/c.jpg\n",
        "CUB_200_2011/image_class_labels.txt": b"1 1\n2 1\n3 2\n",
        "CUB_200_2011/train_test_split.txt": b"1 1\n2 0\n3 1\n",
    }
    put(data / "cub200/CUB_200_2011.tgz", tarred(members))
    loaded = datasets.load("cub-200")
    assert loaded.class_names == ("Auk", "Crow") and loaded.labels.tolist() == [0, 0, 1]
    assert loaded.split is not None and loaded.split.tolist() == ["train", "test", "train"]
    np.testing.assert_allclose(loaded.images.mean((1, 2, 3)), [10, 20, 30], atol=2)
    del members["CUB_200_2011/images.txt"]
    put(data / "cub200/CUB_200_2011.tgz", tarred(members))
    with pytest.raises(DataCorrupt, match=r"CUB_200_2011/images\.txt"):
        datasets.load("cub-200")


def test_mit_67(data: Path, small: Callable) -> None:
    small("mit-67", n_samples=3, n_classes=2)
    names = ["Images/gym/a.jpg", "Images/bar/b.jpg", "Images/bar/c.jpg", "Images/bar/unlisted.jpg"]
    put(data / "mit67/indoorCVPR_09.tar", tarred({name: flat(10 * i) for i, name in enumerate(names)}))
    put(data / "mit67/TrainImages.txt", b"gym/a.jpg\r\nbar/c.jpg\r\n")
    put(data / "mit67/TestImages.txt", b"bar/b.jpg")
    loaded = datasets.load("mit-67")
    assert loaded.class_names == ("bar", "gym") and loaded.labels.tolist() == [1, 0, 0]
    np.testing.assert_allclose(loaded.images.mean((1, 2, 3)), [0, 20, 10], atol=2)
    put(data / "mit67/TestImages.txt", b"bar/b.jpg\nbar/gone.jpg")
    archives_cache = list((data.parent / "cache/decoded").iterdir())
    for path in archives_cache:
        path.unlink()
    with pytest.raises(DataCorrupt, match="holds 3 of the 4 images"):
        datasets.load("mit-67")


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_table_names_every_set(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(data / "umist/umist_28x23.npz", b"x")
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines[2:] if line and line.split()[0] in datasets.names()}
    assert list(rows) == datasets.names() and max(map(len, lines[:-1])) <= 120
    assert " yes " in rows["umist"] and " no " in rows["mnist"] and "usps-11000" in rows["usps"]
    assert "70,000" in rows["mnist"] and "1x28x28" in rows["mnist"] and str(data) in lines[-1]


def test_info_and_failed_commands(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "coil-100", "usps"]) == 0
    said = capsys.readouterr().out
    assert datasets.info("coil-100").how in said and datasets.info("usps").differs in said
    assert main(["fetch", "frgc", "minst"]) == 1
    failed = capsys.readouterr().err.strip().splitlines()
    assert failed[0].startswith("DataMissing: frgc") and failed[1].startswith("UsageError: unknown data set 'minst'")
    for wrong in (["fetch"], ["list", "mnist"], ["drop", "mnist"]):
        with pytest.raises(SystemExit) as caught:
            main(wrong)
        assert caught.value.code == 2


def test_the_module_runs_as_a_command(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "CLUSTLIB_DATA": ""}
    command = [sys.executable, "-m", "clustlib.datasets"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, encoding="utf-8")
    assert "paris6k" in done.stdout and done.stderr == ""


# --- the real data ----------------------------------------------------------------------------------------------------

_MNIST_COUNTS = [6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958]
_USPS_TRAIN = [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644]
_USPS_TEST = [359, 264, 198, 166, 200, 160, 170, 147, 166, 177]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable]:
    if not REAL:
        pytest.skip("CLUSTLIB_DATA is not set: no real data to check")
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLUSTLIB_DATA", REAL)
        patch.setattr(fetch, "cache_folder", lambda: cache)

        def load(name: str) -> ImageSet:
            if name not in datasets.available():
                pytest.skip(f"{name} is not in CLUSTLIB_DATA")
            return datasets.load(name)

        yield load


@pytest.mark.parametrize(
    ("name", "shape", "smallest", "largest"),
    [
        ("mnist", (70000, 1, 28, 28), 6313, 7877),
        ("mnist-test", (10000, 1, 28, 28), 892, 1135),
        ("usps", (9298, 1, 16, 16), 708, 1553),
        ("coil-20", (1440, 1, 128, 128), 72, 72),
        ("cmu-pie", (2856, 1, 32, 32), 42, 42),
        ("umist", (575, 1, 28, 23), 19, 48),
        ("olivetti", (400, 1, 64, 64), 10, 10),
        ("cifar-10", (10000, 3, 32, 32), 1000, 1000),
        ("cifar-10-train", (50000, 3, 32, 32), 5000, 5000),
        ("flowers-17", (1360, 3, 224, 224), 80, 80),
        ("scene-15", (4485, 1, 128, 128), 210, 410),
        ("imagenette", (9469, 3, 64, 64), 858, 993),
        ("imagenette-val", (3925, 3, 160, 160), 357, 419),
        ("fashion-mnist", (70000, 1, 28, 28), 7000, 7000),
        ("fashion-mnist-test", (10000, 1, 28, 28), 1000, 1000),
    ],
)
def test_real_sets(name: str, shape: tuple[int, ...], smallest: int, largest: int, real: Callable) -> None:
    loaded = real(name)
    counts = np.bincount(loaded.labels)
    assert loaded.images.shape == shape and (counts.min(), counts.max()) == (smallest, largest)
    assert len(counts) == datasets.info(name).n_classes and loaded.images.max() > 200
    assert loaded.class_names is None or len(loaded.class_names) == len(counts)


def test_real_class_counts_and_splits(real: Callable) -> None:
    mnist, usps, scenes = real("mnist"), real("usps"), real("scene-15")
    assert np.bincount(mnist.labels).tolist() == _MNIST_COUNTS
    assert mnist.part("test").checksum == real("mnist-test").checksum
    assert np.bincount(usps.part("train").labels).tolist() == _USPS_TRAIN
    assert np.bincount(usps.part("test").labels).tolist() == _USPS_TEST
    assert np.bincount(scenes.part("train").labels).tolist() == [100] * 15


@pytest.mark.parametrize(("name", "upright"), [("usps", 1.5), ("mnist-test", 1.5)])
def test_real_ones_stand_upright(name: str, upright: float, real: Callable) -> None:
    loaded = real(name)
    ink = loaded.images[loaded.labels == 1, 0].mean(0).astype(float)
    rows, columns = (np.cov(np.arange(len(ink)), aweights=ink.sum(axis)) for axis in (1, 0))
    assert rows > upright**2 * columns


@pytest.mark.parametrize("name", ["cmu-pie", "olivetti"])
def test_real_faces_stand_upright(name: str, real: Callable) -> None:
    """A frontal face is nearly its own mirror image left to right, not top to bottom."""
    face = real(name).images.mean((0, 1), dtype=float)
    assert np.abs(face - face[:, ::-1]).mean() < np.abs(face - face[::-1]).mean()


def test_what_the_caller_does_with_an_array_afterwards_is_nothing_to_the_set() -> None:
    for mine in (
        noise(4, 1, 3, 3),
        np.asfortranarray(noise(4, 1, 3, 3)),
        noise(8, 1, 3, 3)[::2],
        noise(8, 1, 3, 3)[:4],
    ):
        before = mine.copy()
        made = ImageSet(mine, None, "some")
        checksum = ImageSet(before, None, "some").checksum
        mine[:] = 0
        np.testing.assert_array_equal(made.images, before)
        assert made.checksum == checksum


def test_images_that_nobody_can_write_into_are_not_copied() -> None:
    fixed = np.frombuffer(bytes(range(36)), np.uint8).reshape(4, 1, 3, 3)
    assert np.shares_memory(ImageSet(fixed, None, "some").images, fixed)


def test_labels_beyond_64_bits_are_refused() -> None:
    with pytest.raises(UsageError, match=r"below 2\*\*63"):
        ImageSet(noise(2, 1, 2, 2), np.array([0, 2**64 - 1], np.uint64), "some")
    assert ImageSet(noise(2, 1, 2, 2), np.array([0, 2**63 - 1], np.uint64), "some").n_classes == 2
