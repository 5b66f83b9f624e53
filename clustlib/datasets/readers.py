"""One function per layout: the files of a set in, an :class:`ImageSet` out.

Pickles are never read: ``np.load`` runs with ``allow_pickle=False`` and CIFAR-10 is taken in its binary form.
"""

import gzip
import math
import struct
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from clustlib.datasets import trees
from clustlib.datasets.archives import member_contents
from clustlib.datasets.description import DatasetInfo
from clustlib.datasets.imageset import ImageSet, joined
from clustlib.datasets.room import check_npz, check_room
from clustlib.errors import DataCorrupt

Reader = Callable[[DatasetInfo, Sequence[Path]], ImageSet]

_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_FASHION = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def digits(info: DatasetInfo, paths: Sequence[Path]) -> ImageSet:
    """scikit-learn's 8x8 digits; values 0..16 to 0..255 by (255 v + 8) // 16, halves up."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    values = bunch.images.astype(np.int64)
    return ImageSet(((255 * values + 8) // 16).astype(np.uint8)[:, None], bunch.target, info.name)


def idx(info: DatasetInfo, paths: Sequence[Path]) -> ImageSet:
    """The idx files of MNIST's home: images and labels, of one part or of train and test."""
    pairs = [(_idx_array(info, paths[i], 3), _idx_array(info, paths[i + 1], 1)) for i in range(0, len(paths), 2)]
    for (images, labels), path in zip(pairs, paths[::2]):
        if len(images) != len(labels):
            raise DataCorrupt(f"{path} holds {len(images):,} images for {len(labels):,} labels")
    names = _FASHION if info.name.startswith("fashion-mnist") else None
    if len(pairs) == 1:
        return ImageSet(pairs[0][0][:, None], pairs[0][1].astype(np.int64), info.name, names)
    both = joined(info.name, [(part, x[:, None], y) for part, (x, y) in zip(("train", "test"), pairs)])
    return ImageSet(both.images, both.labels, info.name, names, both.split)


def _idx_array(info: DatasetInfo, path: Path, rank: int) -> np.ndarray:
    """An idx file of unsigned bytes: two zero bytes, type 8, the rank, sizes (big endian), then the values."""
    with gzip.open(path) as file:
        head = file.read(4 + 4 * rank)
        if len(head) < 4 + 4 * rank or head[:4] != bytes((0, 0, 8, rank)):
            raise DataCorrupt(f"{path} is not an idx file of unsigned bytes with {rank} dimension(s)")
        shape = struct.unpack(f">{rank}I", head[4:])
        wanted = math.prod(shape)
        check_room(info, path, wanted)
        values = np.frombuffer(file.read(wanted + 1), np.uint8)
    if len(values) != wanted:
        held = f"{len(values):,}" if len(values) < wanted else "more"
        raise DataCorrupt(f"{path} holds {held} values, its header says {shape}")
    return values.reshape(shape)


def npz(info: DatasetInfo, paths: Sequence[Path]) -> ImageSet:
    """``images`` uint8 (N, H, W) or (N, H, W, C), ``labels``, and ``class_names`` where there are any."""
    check_npz(info, paths[0])
    with np.load(paths[0], allow_pickle=False) as file:
        images, labels = file["images"], file["labels"]
        class_names = tuple(file["class_names"]) if "class_names" in file else None
    images = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    return ImageSet(images, labels, info.name, class_names)


def usps_h5(info: DatasetInfo, paths: Sequence[Path]) -> ImageSet:
    """Groups train and test, each with ``data`` (N, 256) in [0, 1], row-major, and ``target``."""
    import h5py

    with h5py.File(paths[0], "r") as file:
        for part in ("train", "test"):
            for name in ("data", "target"):
                check_room(info, paths[0], file[part][name].size * file[part][name].dtype.itemsize)
        parts = [(part, file[part]["data"][:], file[part]["target"][:]) for part in ("train", "test")]
    return joined(info.name, [(part, _usps_pixels(2 * data - 1), target) for part, data, target in parts])


def usps_libsvm(info: DatasetInfo, paths: Sequence[Path]) -> ImageSet:
    """LIBSVM's text files, values in [-1, 1], labels 1..10 for digits 0..9."""
    from sklearn.datasets import load_svmlight_file

    parts = []
    for part, path in zip(("train", "test"), paths):
        data, target = load_svmlight_file(str(path), n_features=256)
        parts.append((part, _usps_pixels(data.toarray()), target.astype(np.int64) - 1))
    return joined(info.name, parts)


def _usps_pixels(values: np.ndarray) -> np.ndarray:
    """[-1, 1] in steps of 0.001 to 0..255, halves up, in integers so that every copy gives the same pixels."""
    thousandths = np.rint(values.astype(np.float64) * 1000).astype(np.int64) + 1000
    if thousandths.min() < 0 or thousandths.max() > 2000:
        raise ValueError("USPS values must lie in [-1, 1]")
    return ((thousandths * 255 + 1000) // 2000).astype(np.uint8).reshape(-1, 1, 16, 16)


def usps_all(info: DatasetInfo, paths: Sequence[Path]) -> ImageSet:
    """Roweis's ``data`` (256, 1100, 10) uint8: column-major images, digits in the order 1 to 9, then 0."""
    data = _mat(info, paths[0], "data")["data"]
    if data.ndim != 3 or data.shape[0] != 256 or data.shape[2] != 10 or data.dtype != np.uint8:
        raise DataCorrupt(f"{paths[0]}: data is {data.dtype} {data.shape}, must be uint8 (256, 1100, 10)")
    images = data.transpose(2, 1, 0).reshape(-1, 1, 16, 16).swapaxes(2, 3)
    return ImageSet(images, np.repeat(np.arange(1, 11) % 10, data.shape[1]), info.name)


def pie(info: DatasetInfo, paths: Sequence[Path]) -> ImageSet:
    """Deng Cai's layout: ``fea`` (N, 1024), column-major 32x32, and ``gnd`` from 1."""
    file = _mat(info, paths[0], "fea", "gnd")
    images = file["fea"].reshape(-1, 1, 32, 32).swapaxes(2, 3)
    return ImageSet(images, file["gnd"].ravel().astype(np.int64) - 1, info.name)


def olivetti_mat(info: DatasetInfo, paths: Sequence[Path]) -> ImageSet:
    """Roweis's ``faces`` (4096, 400): column-major 64x64, ten images of each subject in turn."""
    faces = _mat(info, paths[0], "faces")["faces"]
    images = np.rint(faces.T).astype(np.uint8).reshape(-1, 1, 64, 64).swapaxes(2, 3)
    return ImageSet(images, np.arange(len(images)) // 10, info.name)


def umist_mat(info: DatasetInfo, paths: Sequence[Path]) -> ImageSet:
    """Roweis's ``facedat``: a cell of 20 arrays, each (112, 92, images of one subject)."""
    stacks = [np.asarray(stack) for stack in _mat(info, paths[0], "facedat")["facedat"].ravel()]
    images = np.concatenate([stack.transpose(2, 0, 1) for stack in stacks]).astype(np.uint8)
    labels = np.repeat(np.arange(len(stacks)), [stack.shape[2] for stack in stacks])
    return ImageSet(images[:, None], labels, info.name)


def _mat(info: DatasetInfo, path: Path, *names: str) -> dict[str, np.ndarray]:
    from scipy.io import loadmat, whosmat

    try:
        for name, shape, _ in whosmat(path):
            check_room(info, path, 8 * math.prod(shape) if name in names else 0)
        file = loadmat(path, variable_names=names)
    except DataCorrupt:
        raise
    except Exception as error:  # scipy raises whatever the damaged bytes lead it to
        raise DataCorrupt(f"{path} cannot be read as a MATLAB file: {error}") from error
    lacking = [name for name in names if name not in file]
    if lacking:
        raise DataCorrupt(f"{path} lacks the variable {lacking[0]}")
    return file


_CIFAR10_TEST = ("test_batch.bin",)
_CIFAR10_TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))


def cifar_binary(info: DatasetInfo, paths: Sequence[Path], batches: Sequence[str] = _CIFAR10_TEST) -> ImageSet:
    """Batches of the binary archive: records of one label byte and 3 x 32 x 32 values."""
    names = [f"cifar-10-batches-bin/{batch}" for batch in batches]
    contents = dict(member_contents(paths[0], names))
    for name in names:
        if name not in contents:
            raise DataCorrupt(f"{paths[0]} lacks {name}")
    records = np.frombuffer(b"".join(contents[name] for name in names), np.uint8).reshape(-1, 1 + 3 * 32 * 32)
    return ImageSet(records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64), info.name, _CIFAR10)


READERS: dict[str, Reader] = {
    "digits": digits,
    "idx": idx,
    "npz": npz,
    "usps-h5": usps_h5,
    "usps-libsvm": usps_libsvm,
    "usps-all": usps_all,
    "pie": pie,
    "olivetti-mat": olivetti_mat,
    "umist-mat": umist_mat,
    "cifar-binary": cifar_binary,
    "cifar-binary-train": partial(cifar_binary, batches=_CIFAR10_TRAIN),
    **trees.READERS,
}
