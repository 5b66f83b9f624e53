"""A deep auto-encoder as an embedding: the row "Autoencoder" of the tables 13 and 14 of JULE's talk."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from tqdm.auto import tqdm

from clustlib._validation import check_features
from clustlib.checkpoints import Checkpoint, content_hash
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
    random_state : int
    device : {"auto", "cpu", "cuda", ...}
    checkpoint : path, optional
        Holds the fit's state after every epoch; a fit with the same parameters and rows goes on from it exactly.

    Attributes
    ----------
    network_ : clustlib.jule.network.Autoencoder
    history_ : list of dict
        ``{"epoch", "loss"}``: mean cross-entropy a pixel, in nats.
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        hidden: Sequence[int] = (500, 500, 2000),
        epochs: int = 30,
        batch_size: int = 100,
        learning_rate: float = 1e-3,
        random_state: int = 0,
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

        self._check_parameters()
        X = check_features(X, minimum=2).astype(np.float32, copy=False)
        if X.min() < 0 or X.max() > 1:
            raise UsageError(f"values must lie in [0, 1], got {X.min():.3g} to {X.max():.3g}")
        where = resolve(self.device)
        drawn = torch.Generator().manual_seed(self.random_state)
        network = Autoencoder(X.shape[1], self.n_components, self.hidden, drawn).to(where)
        optimiser = torch.optim.Adam(network.parameters(), self.learning_rate, fused=True)
        kept = Checkpoint(self.checkpoint, self._identity(X))
        state = kept.load()
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
            self.history_.append({"epoch": epoch + 1, "loss": loss})
            state = {"network": network.state_dict(), "optimiser": optimiser.state_dict()}
            kept.save({**state, "drawn": drawn.get_state(), "history": self.history_})
        self.network_, self.n_features_in_ = network, X.shape[1]
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The code of each row, (n, n_components) float32."""
        import torch
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        X = check_features(X).astype(np.float32, copy=False)
        if X.shape[1] != self.n_features_in_:
            raise UsageError(f"rows must have {self.n_features_in_} values, as those fitted; got {X.shape[1]}")
        where = next(self.network_.parameters()).device
        with torch.inference_mode():
            parts = torch.from_numpy(np.array(X)).split(_WHOLE)
            return torch.cat([self.network_.encoder(part.to(where)).cpu() for part in parts]).numpy()

    def _check_parameters(self) -> None:
        for name in ("n_components", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)!r}")
        if any(width < 1 for width in self.hidden):
            raise UsageError(f"hidden widths must be at least 1, got {self.hidden!r}")
        if not self.learning_rate > 0:
            raise UsageError(f"learning_rate must be positive, got {self.learning_rate!r}")

    def _identity(self, X: np.ndarray) -> dict[str, Any]:
        named = ("n_components", "batch_size", "learning_rate", "random_state")
        parameters = {name: getattr(self, name) for name in named}
        return {**parameters, "hidden": list(self.hidden), "rows": content_hash(X)}


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
