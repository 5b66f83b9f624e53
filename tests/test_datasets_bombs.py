"""Files that ask for more than there is, full disks, and caches that know what shaped them."""

import gzip
import io
import os
import struct
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from odd_files import encoded, photo
from PIL import Image

from clustlib import datasets
from clustlib.datasets import archives, readers, trees
from clustlib.datasets.space import mapped_array
from clustlib.errors import DataCorrupt
from clustlib.fcn import extraction as features


def memory_of(script: str) -> tuple[str, int]:
    """What a script prints, and by how many MB it grows."""
    whole = f"""
import resource
from clustlib.datasets import info, readers
from clustlib.errors import DataCorrupt
from pathlib import Path
import scipy.io, h5py
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    {script}
except DataCorrupt as error:
    print(error, end="|")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, timeout=120, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    said, _, megabytes = done.stdout.partition("|")
    return said, int(megabytes or said)


def npz_bomb(path: Path, shape: tuple[int, ...]) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("images.npy", "w") as file:
        file.write(header.getvalue())
        for _ in range(int(np.prod(shape)) >> 24):
            file.write(bytes(1 << 24))


def test_an_npz_bomb_is_refused_by_its_header(tmp_path):
    npz_bomb(tmp_path / "umist_28x23.npz", (1 << 10, 1 << 10, 1 << 10))
    assert (tmp_path / "umist_28x23.npz").stat().st_size < 2_000_000
    said, grown = memory_of(f'readers.npz(info("umist"), [Path({str(tmp_path / "umist_28x23.npz")!r})])')
    assert "unpacks to 1,073,741,824 bytes" in said
    assert grown < 60


def test_an_npz_whose_strings_are_a_bomb_is_refused(tmp_path):
    path = tmp_path / "x.npz"
    np.savez_compressed(
        path, images=np.zeros((2, 28, 23), np.uint8), labels=np.zeros(2, int), class_names=np.array(["a" * 9])
    )
    assert len(readers.npz(datasets.info("umist"), [path]).images) == 2
    np.savez_compressed(path, images=np.zeros((2, 28, 23), np.uint8), class_names=np.zeros(3, "<U9000000"))
    with pytest.raises(DataCorrupt, match="unpacks to"):
        readers.npz(datasets.info("umist"), [path])


def test_an_idx_bomb_is_refused_by_its_header_and_read_no_further_than_it(tmp_path):
    known = datasets.info("mnist-test")
    path = tmp_path / "images.gz"
    with gzip.open(path, "wb") as file:
        file.write(bytes((0, 0, 8, 3)) + struct.pack(">3I", 60000, 2800, 2800))
    with pytest.raises(DataCorrupt, match="unpacks to"):
        readers._idx_array(known, path, 3)
    with gzip.open(path, "wb") as file:
        file.write(bytes((0, 0, 8, 3)) + struct.pack(">3I", 2, 2, 2) + bytes(9))
    with pytest.raises(DataCorrupt, match="holds more values"):
        readers._idx_array(known, path, 3)


def test_a_matlab_bomb_is_refused_by_its_header(tmp_path):
    from scipy.io import savemat

    savemat(tmp_path / "bomb.mat", {"faces": np.zeros((4096, 9000), np.uint8)}, do_compression=True)
    with pytest.raises(DataCorrupt, match="unpacks to"):
        readers.olivetti_mat(datasets.info("olivetti"), [tmp_path / "bomb.mat"])


def test_an_hdf5_bomb_is_refused_by_its_header(tmp_path):
    import h5py

    with h5py.File(tmp_path / "usps.h5", "w") as file:
        for part in ("train", "test"):
            file.create_dataset(f"{part}/data", (1 << 24, 256), "f8", chunks=True, compression="gzip")
            file.create_dataset(f"{part}/target", (1 << 24,), "i8", chunks=True)
    with pytest.raises(DataCorrupt, match="unpacks to"):
        readers.usps_h5(datasets.info("usps"), [tmp_path / "usps.h5"])


class TestRegisteredImages:
    def test_sixteen_bits_are_scaled(self, tmp_path):
        values = np.array([[0, 4096], [32768, 65535]], np.uint16)
        content = encoded(Image.fromarray(values), "PNG")
        found = archives.decode(content, (1, 2, 2), fit=False)
        assert found.ravel().tolist() == [0, 16, 128, 255]
        assert archives.decode(content, (3, 2, 2), fit=False)[1].ravel().tolist() == [0, 16, 128, 255]

    @pytest.mark.parametrize("mode", ["L", "RGB"])
    def test_eight_bits_are_as_pillow_reads_them(self, mode):
        content = encoded(photo(20, 30), "JPEG")
        wanted = np.asarray(Image.open(io.BytesIO(content)).convert(mode))
        found = archives.decode(content, (1 if mode == "L" else 3, 20, 30), fit=False)
        assert (found == (wanted[None] if mode == "L" else wanted.transpose(2, 0, 1))).all()

    def test_a_bomb_in_a_folder_is_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr(archives, "_LARGEST_MEMBER", 1000)
        (tmp_path / "a.png").write_bytes(bytes(2000))
        with pytest.raises(DataCorrupt, match="unpacks to 2,000 bytes"):
            list(archives.member_contents(tmp_path, ["a.png"]))


def mit67(folder: Path, train: str, test: str) -> list[Path]:
    archive = folder / "indoor.zip"
    if not archive.exists():
        with zipfile.ZipFile(archive, "w") as file:
            for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg"):
                file.writestr(f"Images/{name}", encoded(photo(seed=hash(name) % 97), "JPEG"))
    for name, text in (("train.txt", train), ("test.txt", test)):
        (folder / name).write_text(text, encoding="utf-8")
    return [archive, folder / "train.txt", folder / "test.txt"]


class TestDecodedCache:
    @pytest.fixture(autouse=True)
    def cache(self, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def test_lists_are_part_of_its_key(self, tmp_path):
        known = datasets.info("mit-67")
        one = trees.mit67(known, mit67(tmp_path, "a/1.jpg\nb/1.jpg", "a/2.jpg"))
        assert (one.labels.tolist(), one.split.tolist()) == ([0, 1, 0], ["train", "train", "test"])
        two = trees.mit67(known, mit67(tmp_path, "b/1.jpg", "a/2.jpg\na/1.jpg"))
        assert (two.labels.tolist(), two.split.tolist()) == ([1, 0, 0], ["train", "test", "test"])
        assert (two.images[0] == one.images[1]).all()

    @pytest.mark.parametrize("change", [{"shape": (3, 32, 32)}, {"shape": (1, 224, 224)}, {"n_classes": 5}])
    def test_so_is_what_is_asked_of_the_images(self, change, tmp_path):
        known, paths = datasets.info("mit-67"), mit67(tmp_path, "a/1.jpg", "")
        assert archives._key(known, paths, True) != archives._key(replace(known, **change), paths, True)
        assert archives._key(known, paths, True) != archives._key(known, paths, False)

    def test_so_is_the_decoder(self, tmp_path, monkeypatch):
        import PIL

        known, paths = datasets.info("mit-67"), mit67(tmp_path, "a/1.jpg", "")
        before = archives._key(known, paths, True)
        monkeypatch.setattr(PIL, "__version__", "0")
        assert archives._key(known, paths, True) != before

    def test_a_file_replaced_within_its_old_time_is_seen(self, tmp_path):
        from clustlib.datasets import fetch

        path = tmp_path / "x"
        path.write_bytes(b"one")
        state = path.stat()
        before = fetch.digest(path)
        path.write_bytes(b"two")
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        assert fetch.digest(path) != before


class TestSpace:
    def test_a_mapped_array_is_a_plain_file_of_zeros(self, tmp_path):
        array = mapped_array(tmp_path / "a.npy", np.float16, (3, 5))
        array[1] = 2
        array.flush()
        assert np.load(tmp_path / "a.npy").sum() == 10
        assert mapped_array(tmp_path / "b.npy", np.uint8, (0, 5)).shape == (0, 5)

    def test_space_is_claimed_not_promised(self, tmp_path):
        mapped_array(tmp_path / "a.npy", np.uint8, (1 << 20,))
        assert (tmp_path / "a.npy").stat().st_blocks * 512 >= 1 << 20

    def test_a_full_disk_is_an_error_and_leaves_no_file(self, tmp_path, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "posix_fallocate", full)
        with pytest.raises(OSError, match="No space left"):
            mapped_array(tmp_path / "a.npy", np.uint8, (1 << 20,))
        assert not (tmp_path / "a.npy").exists()

    def test_a_file_system_that_cannot_claim_is_written_to(self, tmp_path, monkeypatch):
        def cannot(*_):
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(os, "posix_fallocate", cannot)
        mapped_array(tmp_path / "a.npy", np.uint8, (1 << 20,))
        assert (tmp_path / "a.npy").stat().st_blocks * 512 >= 1 << 20

    def test_nothing_else_maps_a_new_file(self):
        root = Path(datasets.__file__).parents[1]
        for path in root.rglob("*.py"):
            if path.name != "space.py":
                text = path.read_text(encoding="utf-8")
                assert '"w+"' not in text, path
                assert "np.memmap(" not in text, path

    def test_features_that_have_no_room_are_one_error(self, tmp_path, monkeypatch):
        from clustlib.fcn.weights import pretrained

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "posix_fallocate", full)
        network = pretrained(weights="random")
        with pytest.raises(OSError, match="No space left"):
            features.extract(np.zeros((2, 3, 32, 32), np.uint8), network, size=32, cache=tmp_path)
        assert list(tmp_path.iterdir()) == []
