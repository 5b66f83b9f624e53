"""Images as counts of patches: the pipeline of Coates, Lee and Ng (2011), which JULE's section 4.3 follows.

Patches are normalised for contrast and whitened, a codebook is learnt on them, every patch of an image is coded, codes
are summed over the four quadrants, and a linear SVM tells the classes apart. Constants are those of the code that the
authors published.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm.auto import tqdm

from clustlib import _device
from clustlib._arrays import array_of, check_made
from clustlib._validation import (
    check_integer,
    check_number,
    check_numbers,
    check_seed,
    measured_from,
    origin_of,
)
from clustlib.errors import UsageError
from clustlib.kernels import Moments, zca_whitening
from clustlib.kernels.whitening import Whitening

_CONTRAST = 10.0  # added to a patch's variance, in squared gray levels of 0..255
_ZCA = 0.1  # added to the eigenvalues
_AT_ONCE = 1 << 22  # entries of the table patches x codes in memory


def random_patches(images: np.ndarray, n_patches: int, size: int, seed: int = 0) -> np.ndarray:
    """``n_patches`` squares from random places of images taken in turn: (n, C, size, size), dtype of ``images``.

    Raises
    ------
    UsageError : no patch is asked for, or an image is smaller than a patch.
    """
    check_integer("n_patches", n_patches, 1)
    check_integer("size", size, 1)
    check_seed(seed)
    images = _four_sides(images)
    n, _, height, width = images.shape
    if size > min(height, width):
        raise UsageError(f"cannot take {n_patches} patches of {size} x {size} from images of {height} x {width}")
    drawn = np.random.default_rng(seed)
    top = drawn.integers(height - size + 1, size=n_patches)
    left = drawn.integers(width - size + 1, size=n_patches)
    windows = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(2, 3))
    return windows[np.arange(n_patches) % n, :, top, left]


def _four_sides(images: Any, name: str = "images") -> np.ndarray:
    images = array_of(name, images, "(N, C, H, W)", rows=1)
    if 0 in images.shape:
        raise UsageError(f"{name} must have shape (N, C, H, W), got {images.shape}")
    if images.dtype.kind == "f" and 0 < images.max() <= 1:
        raise UsageError(f"{name} must be numbers of 0 to 255; these are at most {images.max():.3g}")
    return images


def normalised(patches: Tensor) -> Tensor:
    """Rows (n, d) of 0..255 without their mean and over the root of their variance plus 10: float32."""
    rows = patches.float()
    variance = rows.var(1, keepdim=True, correction=1 if rows.shape[1] > 1 else 0)
    return (rows - rows.mean(1, keepdim=True)) / (variance + _CONTRAST).sqrt()


@dataclass(frozen=True)
class Codebook:
    """What turns an image into numbers.

    Parameters
    ----------
    size, channels : of a patch. whitening : of normalised patches.
    codes : (K, D) float32.
    represent : whitened patches (n, C, size, size) to what the codes are made of, (n, D); None leaves them as rows.
    """

    size: int
    channels: int
    whitening: Whitening
    codes: Tensor
    represent: Callable[[Tensor], Tensor] | None = None

    def __call__(self, patches: Tensor) -> Tensor:
        """The activations (n, K) of rows of raw patches: max(0, mean distance - distance), the "triangle" code."""
        rows = self.represented(patches)
        # in place: the table of patches by codes is what the time goes into
        distances = torch.addmm((self.codes * self.codes).sum(1), rows, self.codes.T, alpha=-2)
        distances.add_((rows * rows).sum(1, keepdim=True)).clamp_(min=0).sqrt_()
        mean = distances.mean(1, keepdim=True)
        return distances.neg_().add_(mean).relu_()

    def represented(self, patches: Tensor) -> Tensor:
        """Rows of raw patches (n, C size^2) as the codes see them, (n, D)."""
        white = self.whitening(normalised(patches), normalise=False)
        if self.represent is None:
            return white
        return self.represent(white.view(len(white), self.channels, self.size, self.size))


def whiten_patches(patches: np.ndarray) -> tuple[Whitening, Tensor]:
    """ZCA whitening of raw patches (n, C, s, s), and the whitened patches as rows (n, C s^2) float32."""
    patches = _four_sides(patches, "patches")
    rows = normalised(torch.from_numpy(patches.reshape(len(patches), -1).astype(np.float32)))
    moments = Moments(rows.shape[1])
    moments.update(rows)
    whitening = zca_whitening(moments, _ZCA)
    return whitening, whitening(rows, normalise=False)


def image_features(images: np.ndarray, codebook: Codebook, device: Any = "cpu") -> np.ndarray:
    """Codes of every patch at stride 1, summed over each quadrant: (N, 4 K) float32.

    ``images`` are (N, C, H, W) uint8. Where a side is odd, the first half takes the middle. Memory grows with the
    batch, which holds as many images as keep the table of patches and codes under 16 MB.
    """
    images = _four_sides(images)
    check_made("codebook", codebook, "a Codebook", "size", "codes", "whitening")
    device = _device.resolve(device)
    if images.shape[1] != codebook.channels:
        raise UsageError(f"images have {images.shape[1]} channels, the codebook's patches {codebook.channels}")
    height, width = (side - codebook.size + 1 for side in images.shape[2:])
    if min(height, width) < 2:
        raise UsageError(f"patches of {codebook.size} x {codebook.size} leave no quadrants in {images.shape[2:]}")
    batch = max(1, _AT_ONCE // (height * width * len(codebook.codes)))
    parts = []
    with torch.inference_mode():
        for start in tqdm(range(0, len(images), batch), desc="coding", unit="batch", leave=False, delay=5):
            x = torch.from_numpy(images[start : start + batch].copy()).to(device).float()
            patches = F.unfold(x, codebook.size).transpose(1, 2).flatten(0, 1)
            parts.append(quadrants(codebook(patches).view(len(x), height, width, -1)).cpu())
    return torch.cat(parts).numpy()


def quadrants(maps: Tensor) -> Tensor:
    """Sums over the four quadrants of maps (B, H, W, K), side by side: (B, 4 K)."""
    top, left = (round(side / 2 + 1e-9) for side in maps.shape[1:3])
    halves = (slice(None, top), slice(top, None)), (slice(None, left), slice(left, None))
    return torch.cat([maps[:, rows, columns].sum((1, 2)) for columns in halves[1] for rows in halves[0]], 1)


def standardised_svm_accuracy(
    learn: np.ndarray, learn_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray, *, C: float = 100.0
) -> float:
    """Accuracy of one-against-the-rest linear SVMs with squared hinge on standardised features.

    Each class minimises |w|^2 / 2 + C mean(max(0, 1 - y w x)^2), the bias being one of the weights, by L-BFGS over all
    classes at once, as the published code does; liblinear, a class at a time, takes minutes for 6,400 features.
    """
    check_number("C", C)
    learn, test = check_numbers(learn, name="learn"), check_numbers(test, name="test")
    if learn.shape[1] != test.shape[1]:
        raise UsageError(f"{learn.shape[1]} features to learn from, {test.shape[1]} to test")
    learn_labels = array_of("learn_labels", learn_labels, f"({len(learn)},)", "iu")
    test_labels = array_of("test_labels", test_labels, f"({len(test)},)", "iu")
    classes, targets = np.unique(learn_labels, return_inverse=True)
    if len(classes) < 2:
        raise UsageError("needs at least two classes to learn from")
    origin = origin_of(learn)
    learn, test = measured_from(learn, origin), measured_from(test, origin)
    mean, scale = learn.mean(0), np.sqrt(learn.var(0) + 0.01)
    weights = squared_hinge_svm(_with_bias((learn - mean) / scale), torch.from_numpy(targets), C)
    predicted = classes[(_with_bias((test - mean) / scale) @ weights).argmax(1).numpy()]
    return float(np.mean(predicted == test_labels))


def squared_hinge_svm(rows: Tensor, targets: Tensor, C: float, max_iter: int = 500) -> Tensor:
    """The weights (d, classes) that minimise the sum over classes of |w|^2 / 2 + C mean(max(0, 1 - y w x)^2).

    ``rows`` are (n, d) floating, ``targets`` (n,) integers from 0.
    """
    signs = 2.0 * F.one_hot(targets).to(rows) - 1
    weights = torch.zeros(rows.shape[1], signs.shape[1], dtype=rows.dtype, requires_grad=True)
    descent = torch.optim.LBFGS([weights], max_iter=max_iter, history_size=10, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        descent.zero_grad()
        value = 0.5 * weights.square().sum() + C * (1 - signs * (rows @ weights)).relu().square().mean(0).sum()
        value.backward()
        return value

    descent.step(loss)  # type: ignore[arg-type]
    return weights.detach()


def _with_bias(rows: np.ndarray) -> Tensor:
    return torch.cat([torch.from_numpy(rows.astype(np.float32)), torch.ones(len(rows), 1)], 1)
