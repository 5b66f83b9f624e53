"""A small folder of images, made of what comes with installed packages: something to cluster on any machine."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

_EACH = 40
_SIDE = 96


def write_sample(folder: str | Path, seed: int = 0) -> Path:
    """Five kinds of images, 40 of each, and three files that are none; the folder, which is left alone if it is there.

    Three kinds are pieces of photographs: scikit-learn's temple and flower, and matplotlib's portrait of Grace Hopper.
    Two are scikit-learn's handwritten zeros and ones. Each kind lies in a folder of its own.
    """
    folder = Path(folder)
    if folder.is_dir() and any(folder.iterdir()):
        return folder
    random = np.random.default_rng(seed)
    for name, photograph in _photographs().items():
        _write(folder / name, (_piece(photograph, random) for _ in range(_EACH)), "jpg")
    for name, digits in _digits().items():
        _write(folder / name, digits[:_EACH], "png")
    (folder / "notes.txt").write_text("not an image\n", encoding="utf-8")
    (folder / "empty.jpg").write_bytes(b"")
    whole = (folder / "temple" / "00.jpg").read_bytes()
    (folder / "cut off.jpg").write_bytes(whole[: len(whole) // 3])
    return folder


def _photographs() -> dict[str, np.ndarray]:
    from matplotlib import cbook
    from PIL import Image
    from sklearn.datasets import load_sample_images

    temple, flower = load_sample_images().images
    file: Any = cbook.get_sample_data("grace_hopper.jpg")
    with file, Image.open(file) as portrait:
        return {"temple": temple, "flower": flower, "portrait": np.asarray(portrait.convert("RGB"))}


def _digits() -> dict[str, np.ndarray]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = (255 * digits.images / 16).astype(np.uint8)
    return {name: images[digits.target == value] for value, name in enumerate(("zeros", "ones"))}


def _piece(photograph: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A square of a third to four fifths of the photograph, from anywhere in it, at times mirrored."""
    from PIL import Image

    height, width = photograph.shape[:2]
    side = int(min(height, width) * random.uniform(1 / 3, 4 / 5))
    top, left = random.integers(0, height - side + 1), random.integers(0, width - side + 1)
    piece = photograph[top : top + side, left : left + side]
    piece = piece[:, ::-1] if random.random() < 0.5 else piece
    return np.asarray(Image.fromarray(piece).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC))


def _write(folder: Path, images: Iterable[np.ndarray], suffix: str) -> None:
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:02d}.{suffix}")
