"""Auto-encoders with linear activations: the baselines AE-CNN and NNAE-CNN of the FCN paper."""

from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state

from clustlib._validation import (
    check_features,
    check_numbers,
    check_parameters,
    check_trained,
    integers,
    measured_from,
    numbers,
)


class LinearAutoencoder(TransformerMixin, BaseEstimator):
    """x -> E x + e -> D (E x + e) + d, trained on the squared error (Gui et al., section 4.2).

    Parameters
    ----------
    n_components : int
    nonnegative : bool
        Negative weights become zero after every step (NNAE-CNN). The biases are free.
    epochs, batch_size, validation : int, int, float
        The paper's 200, 128 and a tenth, held out "to avoid over-fitting": the weights of the epoch with the
        smallest held-out error are kept.
    patience : int or None
        Stop after so many epochs without a smaller held-out error; None trains all epochs.
    learning_rate : float
        Of Adam; the paper names no optimiser.
    random_state : int, RandomState or None
    device : str

    Attributes
    ----------
    encoder_ : (n_components, n_features); encoder_bias_ : (n_components,)
    decoder_ : (n_features, n_components); decoder_bias_ : (n_features,)
    history_ : list of dict
        ``{"epoch", "loss", "held_out"}``: mean squared error over entries.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_components": [integers(1)],
        "nonnegative": ["boolean"],
        "epochs": [integers(1)],
        "batch_size": [integers(1)],
        "validation": [numbers(0, 1, closed="neither")],
        "patience": [integers(1), None],
        "learning_rate": [numbers(0, closed="neither")],
        "random_state": ["random_state"],
        "device": "no_validation",  # clustlib._device.resolve names what is wrong
    }

    def __init__(
        self,
        n_components: int = 1024,
        *,
        nonnegative: bool = False,
        epochs: int = 200,
        batch_size: int = 128,
        validation: float = 0.1,
        patience: int | None = 20,
        learning_rate: float = 1e-3,
        random_state: Any = None,
        device: str = "auto",
    ) -> None:
        self.n_components = n_components
        self.nonnegative = nonnegative
        self.epochs = epochs
        self.batch_size = batch_size
        self.validation = validation
        self.patience = patience
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.device = device

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on ``X`` (n_samples, n_features).

        Raises
        ------
        ValueError : NaN or infinite values, wrong rank, fewer than two samples, a count below 1.
        """
        import torch

        from clustlib._device import resolve

        check_parameters(self)
        X = check_features(X, minimum=2, estimator=self).astype(np.float32, copy=False)
        on = resolve(self.device)
        generator = torch.Generator()
        generator.manual_seed(int(check_random_state(self.random_state).randint(2**31 - 1)))
        order = torch.randperm(len(X), generator=generator)
        n_held = min(max(1, round(self.validation * len(X))), len(X) - 1)
        data = torch.from_numpy(X).to(on)
        weights = [w.to(on).requires_grad_() for w in _glorot(X.shape[1], self.n_components, generator)]
        best = self._train(data[order[n_held:]], data[order[:n_held]], weights, generator)
        self.encoder_, self.encoder_bias_, self.decoder_, self.decoder_bias_ = (w.cpu().numpy() for w in best)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """E x + e of each sample, (n_samples, n_components)."""
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        X = measured_from(check_numbers(X, estimator=self, reset=False), None)
        return X @ self.encoder_.T + self.encoder_bias_

    def _train(self, learn: Any, held: Any, weights: list[Any], generator: Any) -> list[Any]:
        """Adam over the epochs; returns the weights of the smallest held-out error."""
        import torch
        from tqdm.auto import tqdm

        optimiser = torch.optim.Adam(weights, self.learning_rate)
        self.history_: list[dict[str, float]] = []
        best, smallest, best_epoch = [w.detach().clone() for w in weights], np.inf, 0
        for epoch in tqdm(range(1, self.epochs + 1), desc="auto-encoder", leave=False, delay=2):
            order, total = torch.randperm(len(learn), generator=generator), 0.0
            for start in range(0, len(order), self.batch_size):
                x = learn[order[start : start + self.batch_size].to(learn.device)]
                loss = _error(x, weights)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                if self.nonnegative:
                    with torch.no_grad():
                        for weight in (weights[0], weights[2]):
                            weight.clamp_(min=0)
                total += float(loss.detach()) * len(x)
            check_trained(weights)
            with torch.no_grad():
                error = float(_error(held, weights))
            self.history_.append({"epoch": epoch, "loss": total / len(learn), "held_out": error})
            if error < smallest:
                best, smallest, best_epoch = [w.detach().clone() for w in weights], error, epoch
            elif self.patience is not None and epoch - best_epoch >= self.patience:
                break
        return best


def _error(x: Any, weights: list[Any]) -> Any:
    from torch.nn import functional as F

    encoder, bias, decoder, offset = weights
    return F.mse_loss(F.linear(F.linear(x, encoder, bias), decoder, offset), x)


def _glorot(n_features: int, n_components: int, generator: Any) -> list[Any]:
    """Keras's initial weights: uniform in ±sqrt(6 / (fan in + fan out)), biases of zero."""
    import torch

    reach = (6 / (n_features + n_components)) ** 0.5
    shapes = ((n_components, n_features), (n_features, n_components))
    encoder, decoder = (torch.rand(shape, generator=generator) * 2 * reach - reach for shape in shapes)
    return [encoder, torch.zeros(n_components), decoder, torch.zeros(n_features)]
