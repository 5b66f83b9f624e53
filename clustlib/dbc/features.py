"""Stage I of DBC: a fully convolutional auto-encoder trained end to end (Li et al., 2017, section 3.1, Algorithm 1)."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from torch.nn import functional as F
from tqdm.auto import tqdm

from clustlib import _device
from clustlib._validation import check_images, check_integer
from clustlib.checkpoints import Checkpoint, content_hash
from clustlib.dbc.linear_code import whitened_encoder
from clustlib.dbc.minibatch import (
    SCALINGS,
    as_tensor,
    floats,
    optimizer_of,
    over_all,
    seed_of,
    settle_batch_norm,
    shuffled,
)
from clustlib.dbc.network import CODES, FCAE
from clustlib.dbc.options import check_choice, check_training
from clustlib.errors import UsageError


class FCAEFeatures(TransformerMixin, BaseEstimator):
    """The codes of a fully convolutional auto-encoder. With k-means on them: the row FCAE-KMS.

    The paper names no optimiser, learning rate, batch size, number of epochs or scaling of the pixels: the defaults
    here are this book's, and the page of the method tells what others gave.

    Parameters
    ----------
    epochs : passes over the images; 0 leaves the network as it was drawn.
    batch_size : images to a step.
    learning_rate, weight_decay, optimizer : "adam", or "sgd" with momentum 0.9.
    unpooling, code : see :class:`clustlib.dbc.network.FCAE`.
    scaling : "rms" divides each image by the root of its mean square, "pixels" takes it as it is (uint8 as [0, 1]).
    whiten : how many principal components of a linear code to keep, each scaled to variance 1; None keeps the
        code as it is.
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
        self.random_state = random_state
        self.device = device
        self.checkpoint = checkpoint

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on (N, C, H, W) images: uint8, or floats on the scale that they are to be learnt in.

        Raises
        ------
        ValueError : wrong rank, empty, NaN, an unknown option, a checkpoint of another fit.
        """
        X = check_images(X)
        self._check(len(X))
        seed, images = seed_of(self.random_state), as_tensor(X, _device.resolve(self.device))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model_ = FCAE(X.shape[1:], self.unpooling, self.code).to(images.device)
        if self.whiten is not None and self.whiten > self.model_.code_length:
            raise UsageError(f"whiten={self.whiten} is more than the {self.model_.code_length} numbers of the code")
        self.history_: list[dict[str, Any]] = []
        self._train(images, seed, Checkpoint(self.checkpoint, self._identity(X, seed)))
        return self._finish(images)

    def _check(self, n_images: int) -> None:
        check_training(self)
        check_choice("scaling", self.scaling, SCALINGS)
        check_choice("code", self.code, CODES)
        if n_images < 2:
            raise UsageError("batch normalisation needs at least 2 images, got 1")
        if self.whiten is None:
            return
        check_integer("whiten", self.whiten, 1)
        if self.code != "bn":
            raise UsageError(f'only a linear code can be whitened: code="bn" or whiten=None, got code={self.code!r}')
        if self.whiten >= n_images:
            raise UsageError(f"whiten={self.whiten} directions need more images than {n_images}")

    def restore(self, X: Any, weights: Mapping[str, np.ndarray]) -> Self:
        """What :meth:`fit` on (N, C, H, W) images made, from the trained weights of ``model_`` by name."""
        X = check_images(X)
        self._check(len(X))
        self.model_ = FCAE(X.shape[1:], self.unpooling, self.code)
        self.model_.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
        images = as_tensor(X, _device.resolve(self.device))
        self.model_.to(images.device)
        self.history_ = []
        return self._finish(images)

    def _finish(self, images: torch.Tensor) -> Self:
        """The encoder and the codes that a trained network gives."""
        settle_batch_norm(self.model_, self.model_, images, self.scaling)
        self.encoder_ = (
            self.model_ if self.whiten is None else whitened_encoder(self.model_, images, self.scaling, self.whiten)
        )
        self.embedding_ = over_all(self.encoder_.encode, images, self.scaling).cpu().numpy()
        return self

    def _identity(self, X: np.ndarray, seed: int) -> dict[str, Any]:
        """What a checkpoint belongs to; ``epochs`` is not in it, so that a finished fit can go on."""
        names = ("batch_size", "learning_rate", "weight_decay", "optimizer", "unpooling", "code", "scaling")
        return {**{name: getattr(self, name) for name in names}, "seed": seed, "data": content_hash(X), "stage": 1}

    def _train(self, images: torch.Tensor, seed: int, kept: Checkpoint) -> None:
        model = self.model_
        optimizer = optimizer_of(self.optimizer, model.parameters(), self.learning_rate, self.weight_decay)
        drawn = torch.Generator().manual_seed(seed)
        state = kept.load(images.device)
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
