"""A deep auto-encoder as an embedding: the row "Autoencoder" of the tables 13 and 14 of JULE's talk."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from tqdm.auto import tqdm

from clustlib._validation import (
    check_features,
    check_integer,
    check_numbers,
    check_parameters,
    check_trained,
    integers,
    measured_from,
    numbers,
    seed_of,
)
from clustlib.checkpoints import Checkpoint, content_hash, identity
from clustlib.errors import UsageError

_WHOLE = 2000  # rows a batch where nothing is learnt


class DeepAutoencoder(TransformerMixin, BaseEstimator):
    """Learn a code of ``n_components`` numbers from which pixels can be told again (Hinton and Salakhutdinov 2006).

    The cross-entropy between pixels and their reconstruction is minimised by Adam from random weights. The cited paper
    pre-trains with restricted Boltzmann machines instead, which was needed before rectified units and Adam.

    Parameters
    ----------
    n_components : int
    hidden : tuple of int
        Widths from the input to the code; the decoder is the mirror.
    epochs, batch_size, learning_rate : int, int, float
    random_state : int, RandomState or None
    device : {"auto", "cpu", "cuda", ...}
    checkpoint : path, optional
        Holds the fit's state after every epoch; a fit with the same parameters and rows goes on from it exactly.

    Attributes
    ----------
    network_ : clustlib.jule.network.Autoencoder
    history_ : list of dict
        ``{"epoch", "loss"}``: mean cross-entropy a pixel, in nats.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_components": [integers(1)],
        "hidden": ["array-like"],
        "epochs": [integers(1)],
        "batch_size": [integers(1)],
        "learning_rate": [numbers(0, closed="neither")],
        "random_state": ["random_state"],
        "device": "no_validation",  # clustlib._device.resolve names what is wrong
        "checkpoint": [str, os.PathLike, None],
    }

    def __init__(
        self,
        n_components: int = 2,
        *,
        hidden: Sequence[int] = (500, 500, 2000),
        epochs: int = 30,
        batch_size: int = 100,
        learning_rate: float = 1e-3,
        random_state: Any = 0,
        device: str = "auto",
        checkpoint: str | Path | None = None,
    ) -> None:
        self.n_components = n_components
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.device = device
        self.checkpoint = checkpoint

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on rows ``X`` (n, D) of values in [0, 1].

        Raises
        ------
        ValueError : NaN or infinite values, wrong rank, fewer than two rows, values outside [0, 1], a count below 1.
        """
        import torch

        from clustlib._device import resolve
        from clustlib.jule.network import Autoencoder

        check_parameters(self)
        for width in self.hidden:
            check_integer("hidden", width, 1)
        X = check_features(X, minimum=2, estimator=self).astype(np.float32, copy=False)
        if X.min() < 0 or X.max() > 1:
            raise UsageError(f"values must lie in [0, 1], got {X.min():.3g} to {X.max():.3g}")
        where = resolve(self.device)
        drawn = torch.Generator().manual_seed(seed_of(self.random_state))
        network = Autoencoder(X.shape[1], self.n_components, self.hidden, drawn).to(where)
        optimiser = torch.optim.Adam(network.parameters(), self.learning_rate, fused=True)
        checkpoint = Checkpoint(self.checkpoint, identity(self, ("epochs",), rows=content_hash(X)))
        state = checkpoint.load(most=self.epochs)
        self.history_: list[dict[str, float]] = []
        if state is not None:
            network.load_state_dict(state["network"])
            optimiser.load_state_dict(state["optimiser"])
            drawn.set_state(state["drawn"].cpu())
            self.history_ = state["history"]
        rows = torch.from_numpy(np.array(X)).to(where)
        done = len(self.history_)
        for epoch in tqdm(range(done, self.epochs), desc="auto-encoder", unit="epoch", leave=False, delay=3):
            loss = _epoch(network, optimiser, rows, self.batch_size, drawn)
            check_trained(network.parameters())
            self.history_.append({"epoch": epoch + 1, "loss": loss})
            state = {"network": network.state_dict(), "optimiser": optimiser.state_dict()}
            checkpoint.save({**state, "drawn": drawn.get_state(), "history": self.history_})
        self.network_ = network
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The code of each row, (n, n_components) float32."""
        import torch
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        X = measured_from(check_numbers(X, estimator=self, reset=False), None).astype(np.float32, copy=False)
        where = next(self.network_.parameters()).device
        with torch.inference_mode():
            parts = torch.from_numpy(np.array(X)).split(_WHOLE)
            return torch.cat([self.network_.encoder(part.to(where)).cpu() for part in parts]).numpy()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # float32 for all
        return tags


def _epoch(network: Any, optimiser: Any, rows: Any, batch_size: int, drawn: Any) -> float:
    """One pass over the rows in random order; the mean cross-entropy a pixel."""
    import torch
    from torch.nn import functional as F

    total = torch.zeros((), device=rows.device)
    for index in torch.randperm(len(rows), generator=drawn).split(batch_size):
        x = rows[index.to(rows.device)]
        loss = F.binary_cross_entropy_with_logits(network(x)[1], x)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        total += loss.detach() * len(x)
    return float(total) / len(rows)
