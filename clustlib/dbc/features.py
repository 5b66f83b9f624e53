"""Stage I of DBC: a fully convolutional auto-encoder trained end to end (Li et al., 2017, section 3.1, Algorithm 1)."""

import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from torch.nn import functional as F
from tqdm.auto import tqdm

from clustlib import _device
from clustlib._arrays import check_made, one_line
from clustlib._images import check_images
from clustlib._validation import check_parameters, check_trained, choices, integers, seed_of, whole
from clustlib.checkpoints import Checkpoint, content_hash, identity
from clustlib.dbc.choices import AS_WRITTEN
from clustlib.dbc.linear_code import whitened_encoder, with_code
from clustlib.dbc.minibatch import (
    SCALINGS,
    TRAINING,
    as_tensor,
    floats,
    optimizer_of,
    over_all,
    settle_batch_norm,
    shuffled,
)
from clustlib.dbc.network import CODES, FCAE, UNPOOLINGS
from clustlib.errors import UsageError
from clustlib.saving import System, state_of, weights_of


class FCAEFeatures(System, TransformerMixin, BaseEstimator):
    """The codes of a fully convolutional auto-encoder. With k-means on them: the row FCAE-KMS.

    The paper names no optimiser, learning rate, batch size, number of epochs or scaling of the pixels: the defaults
    here are this book's, and "How the settings were found" in the book tells what others gave.

    Parameters
    ----------
    epochs : passes over the images; 0 leaves the network as it was drawn.
    batch_size : images to a step.
    learning_rate, weight_decay, optimizer : "adam", or "sgd" with momentum 0.9.
    unpooling, code, normalised : see :class:`clustlib.dbc.network.FCAE`.
    scaling : "rms" divides each image by the root of its mean square, "pixels" takes it as it is (uint8 as [0, 1]).
    whiten : how many principal components of a linear code to keep, each scaled to variance 1; None keeps the
        code as it is. So many images or fewer have half as many components as images, with a warning.
    random_state : int, RandomState or None; the weights and the order of the images follow from it.
    device : "auto", "cpu" or "cuda".
    checkpoint : a file; saved after every epoch, resumed exactly where it exists.

    Attributes
    ----------
    model_ : the trained :class:`clustlib.dbc.network.FCAE`, in evaluation mode.
    encoder_ : the encoder that :meth:`transform` and DBC use: that of ``model_``, whitened.
    embedding_ : (N, d) float32 codes of the training images by ``encoder_``.
    history_ : one ``{"epoch", "loss", "seconds"}`` an epoch; the loss is the mean squared error of a pixel.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **TRAINING,
        "unpooling": [choices(*UNPOOLINGS)],
        "code": [choices(*CODES)],
        "scaling": [choices(*SCALINGS)],
        "whiten": [integers(1), None],
        "normalised": ["boolean"],
    }

    def __init__(
        self,
        *,
        epochs: int = 10,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        optimizer: str = "adam",
        unpooling: str = "switches",
        code: str = "bn",
        scaling: str = "rms",
        whiten: int | None = 60,
        normalised: bool = True,
        random_state: Any = None,
        device: str = "auto",
        checkpoint: str | Path | None = None,
    ) -> None:
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.optimizer = optimizer
        self.unpooling = unpooling
        self.code = code
        self.scaling = scaling
        self.whiten = whiten
        self.normalised = normalised
        self.random_state = random_state
        self.device = device
        self.checkpoint = checkpoint

    @classmethod
    def as_written(cls, **settings: Any) -> Self:
        """The auto-encoder with nothing that the text does not have: the code is as it is.

        Batch normalisation and ReLU follow the code's convolution as they do the others ("very sparse" codes,
        Section 4.2.1). What the text leaves open is as in networks of 2016, SGD with momentum and weight decay, and
        images have a mean square of 1, as DEC asks, whose scores the paper takes over.
        ``settings`` are arguments that replace these.
        """
        return cls(**{**AS_WRITTEN[0], **settings})

    @whole
    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on (N, C, H, W) images: uint8 or floats in [0, 1]; an ``ImageSet``, or a folder of image files.

        Raises
        ------
        ValueError : wrong rank, empty, NaN, an unknown option, a checkpoint of another fit.
        """
        check_parameters(self)
        X = check_images(X)
        directions = self._directions(len(X))
        same = identity(self, ("epochs", "whiten"), data=content_hash(X), stage=1)
        seed, images = seed_of(self.random_state), as_tensor(X, _device.resolve(self.device))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model_ = FCAE(X.shape[1:], self.unpooling, self.code, self.normalised).to(images.device)
        if directions is not None and directions > self.model_.code_length:
            raise UsageError(f"whiten={directions} is more than the {self.model_.code_length} numbers of the code")
        self.history_: list[dict[str, Any]] = []
        self._train(images, seed, Checkpoint(self.checkpoint, same))
        return self._finish(images, directions)

    def _directions(self, n_images: int) -> int | None:
        """``whiten``, or what so few images have of it."""
        if n_images < 2:
            raise UsageError("batch normalisation needs at least 2 images, got 1")
        if self.whiten is None:
            return None
        if self.code != "bn":
            raise UsageError(f'only a linear code can be whitened: code="bn" or whiten=None, got code={self.code!r}')
        if self.whiten < n_images:
            return self.whiten
        directions = max(1, n_images // 2)
        warnings.warn(f"whiten={self.whiten} directions are {directions} for {n_images} images", stacklevel=3)
        return directions

    @whole
    def restore(self, X: Any, weights: Mapping[str, np.ndarray]) -> Self:
        """What :meth:`fit` on (N, C, H, W) images made, from the trained weights of ``model_`` by name."""
        check_parameters(self)
        X = check_images(X)
        directions = self._directions(len(X))
        self.model_ = FCAE(X.shape[1:], self.unpooling, self.code, self.normalised)
        check_made("weights", weights, "arrays by name", "items", "keys")
        try:
            state = {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
            self.model_.load_state_dict(state)
        except (AttributeError, RuntimeError, TypeError, ValueError) as error:  # torch lists every name on a line each
            raise UsageError(
                f"weights are not those of a network for images of {X.shape[1:]}: {one_line(error)}"
            ) from None
        images = as_tensor(X, _device.resolve(self.device))
        self.model_.to(images.device)
        self.history_ = []
        return self._finish(images, directions)

    def _finish(self, images: torch.Tensor, directions: int | None) -> Self:
        """The encoder and the codes that a trained network gives."""
        settle_batch_norm(self.model_, self.model_, images, self.scaling)
        self.encoder_ = (
            self.model_ if directions is None else whitened_encoder(self.model_, images, self.scaling, directions)
        )
        self.embedding_ = over_all(self.encoder_.encode, images, self.scaling).cpu().numpy()
        check_trained([self.embedding_])
        return self

    def _train(self, images: torch.Tensor, seed: int, kept: Checkpoint) -> None:
        model = self.model_
        optimizer = optimizer_of(self.optimizer, model.parameters(), self.learning_rate, self.weight_decay)
        drawn = torch.Generator().manual_seed(seed)
        state = kept.load(images.device, most=self.epochs)
        if state:
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            drawn.set_state(state["drawn"].cpu())
            self.history_ = state["history"]
        bar = tqdm(range(len(self.history_), self.epochs), desc="auto-encoder", unit="epoch", leave=False)
        for epoch in bar:
            clock = time.perf_counter()
            loss = self._epoch(images, optimizer, drawn)
            self.history_.append({"epoch": epoch + 1, "loss": loss, "seconds": time.perf_counter() - clock})
            bar.set_postfix(loss=f"{loss:.5f}")
            check_trained(model.parameters())
            states = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "drawn": drawn.get_state()}
            kept.save({**states, "history": self.history_})

    def _epoch(self, images: torch.Tensor, optimizer: torch.optim.Optimizer, drawn: torch.Generator) -> float:
        """One pass over the images; the mean squared error of a pixel on the way."""
        self.model_.train()
        total = torch.zeros((), device=images.device)
        for index, batch in shuffled(images, self.batch_size, drawn, self.scaling):
            _, output = self.model_(batch)
            loss = F.mse_loss(output, batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(index)
        return float(total) / len(images)

    def _images(self, X: Any) -> torch.Tensor:
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        device = next(self.model_.parameters()).device
        return as_tensor(check_images(X, shape=self.model_.shape), device)

    def transform(self, X: Any) -> np.ndarray:
        """The codes of (N, C, H, W) images, (N, d) float32."""
        images = self._images(X)
        return over_all(self.encoder_.encode, images, self.scaling).cpu().numpy()

    def reconstruct(self, X: Any) -> np.ndarray:
        """What the decoder makes of the (scaled) images, (N, C, H, W) float32."""
        return over_all(lambda batch: self.model_(batch)[1], self._images(X), self.scaling).cpu().numpy()

    def activations(self, X: Any) -> dict[str, np.ndarray]:
        """Every layer's maps of a few images, by its name (see :meth:`clustlib.dbc.network.FCAE.activations`)."""
        images = self._images(X)
        with torch.no_grad():
            maps = self.model_.activations(floats(images, self.scaling))
        return {name: values.cpu().numpy() for name, values in maps.items()}

    def _fitted(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        encoder = {f"encoder {name}": array for name, array in weights_of(self.encoder_).items()}
        return {"shape": list(self.model_.shape)}, {**weights_of(self.model_), **encoder}

    def _image_shape(self) -> tuple[int, ...]:
        return tuple(self.model_.shape)

    def _restore(self, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        device = _device.resolve(self.device)
        chosen = (facts["shape"], self.code, self.unpooling)
        self.model_ = network_of(*chosen, state_of(arrays), self.normalised).to(device)
        encoder = {name.removeprefix("encoder "): a for name, a in arrays.items() if name.startswith("encoder ")}
        self.encoder_ = network_of(*chosen, state_of(encoder), self.normalised).to(device)


def network_of(shape: list[int], code: str, unpooling: str, state: dict[str, Any], normalised: bool = True) -> FCAE:
    """The network, or the encoder with a code of its own, whose weights these are; in evaluation mode."""
    with torch.random.fork_rng(devices=[]):  # a new network draws weights, which are not wanted here
        network = FCAE(tuple(shape), unpooling, code, normalised)  # type: ignore[arg-type]
    if not any(name.startswith("decoder.") for name in state):
        length = len(state["features.0.weight"])
        network = with_code(network, torch.zeros(network.code_length, length, dtype=torch.double))
    network.load_state_dict(state)
    return network.eval()
