"""Group-sparse non-negative matrix factorisation (Gui et al., 2017, sections 3.1 and 3.2)."""

import os
import time
import warnings
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state

from clustlib._validation import (
    check_features,
    check_numbers,
    check_parameters,
    choices,
    integers,
    measured_from,
    numbers,
    whole,
)
from clustlib.checkpoints import Checkpoint, content_hash, identity
from clustlib.cluster._rows import in_units, measured_in
from clustlib.errors import UsageError

_VANISHED = 0.1  # of the largest feature: coefficients of basis vectors of unit length that explain nothing of it

INITS = ("nndsvd", "nndsvda", "random")
CONSTRAINTS: dict[str, Any] = {
    "n_components": [integers(1)],
    "l1": [numbers(0)],
    "l2": [numbers(0)],
    "l21": [numbers(0)],
    "init": [choices(*INITS)],
    "basis_norm": [choices("unit", "compensated", "ball"), None],
    "batch_size": [integers(1), None],
    "forget_factor": [numbers(0, 1, closed="both")],
    "max_iter": [integers(1)],
    "tol": [numbers(0)],
    "transform_iter": [integers(0)],
    "products": [choices("float32", "bfloat16")],
    "random_state": ["random_state"],
    "device": "no_validation",  # clustlib._device.resolve names what is wrong
    "checkpoint": [str, os.PathLike, None],
}
_SAVE_SECONDS = 20.0  # the factors of a large set take a second to write
_LEAST, _MOST = 2.0**-13, 2.0**20  # a largest feature between which the updates' floor of 1e-12 does no harm
_LARGEST = 1e15  # of a penalty; under one as large, in units of the features, nothing is left of the coefficients


class GSNMF(TransformerMixin, BaseEstimator):
    """X ≈ H W with H, W >= 0, minimising ½ |X - H W|² + l2/2 |H|² + l1 |H|_1, Eq. (2), by Eq. (6).

    Rows of X are samples: X (N, M), coefficients H (N, L), basis W (L, M), the transposes of the paper's.

    Parameters
    ----------
    n_components : int
        L; may exceed the data's rank, the surplus then starts at random.
    l1, l2 : float
        Weights of |H|_1 and of the squared norm. Eq. (2) calls them lambda_2 = 0.05 and lambda_1 = 0.02; the sentences
        around it have the two the other way round.
    l21 : float
        Weight of the mixed norm Σ_k |h_k| of Table 4, h_k the k-th coefficient of all samples (of a mini-batch).
    init : {"nndsvd", "nndsvda", "random"}
        The paper's NNDSVD has exact zeros, which Eq. (6) never leaves; "nndsvda" fills them with the mean of X.
        From either, a few components keep nearly all the energy (28 of 1,024 after 200 updates on Flowers-17); from a
        random start it spreads, and the clusters of H are better on every data set of the book.
    basis_norm : {"unit", "compensated", "ball", None}
        Without a bound on W the penalty is void: W grows, H shrinks. "unit" scales the rows of W to unit length after
        each update (section 3.3), which may raise the objective; "compensated" scales H up by as much; "ball" solves
        the update of W under |w_k| <= 1, and the objective never rises; None leaves W alone (plain NMF).
    batch_size : int or None
        None: every update sees all samples. Else mini-batches (the paper's 256), W carried across.
    forget_factor : float in [0, 1]
        With mini-batches, the share of the earlier statistics HᵀX and HᵀH that the update of W keeps per pass over the
        data; 0: of the current batch alone, as the paper's text has it.
    max_iter : int
        Passes over the data; the paper does not say, and the book's tables take 50.
    tol : float
        Stop when the objective's relative change over a pass is below it; 0 never stops early.
    transform_iter : int
        Updates of H in ``transform``, which begins at X Wᵀ; the paper does not say, and the tables take 50. 0
        leaves X Wᵀ. The fewer, the more components a new image uses: see the book's page on encoding.
    products : {"float32", "bfloat16"}
        bfloat16 rounds the factors of every matrix product: faster where the processor has units for it.
    random_state : int, RandomState or None
        Of the random start and of the order of mini-batches; a full-batch NNDSVD start needs none.
    device : str
    checkpoint : path or None
        A file; a killed fit resumes from it and ends as if it had not been killed.

    Attributes
    ----------
    components_ : (n_components, n_features)
        W.
    embedding_ : (n_samples, n_components)
        H of the samples that were fitted.
    n_iter_ : int
    history_ : list of dict
        ``{"iteration", "objective", "seconds"}`` per pass; the objective is the one before the pass (with
        mini-batches: the sum of what each batch met).

    References
    ----------
    Gui et al., "Factorized convolutional networks: unsupervised fine-tuning for image clustering", WACV 2018.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = CONSTRAINTS

    def __init__(
        self,
        n_components: int = 1024,
        *,
        l1: float = 0.05,
        l2: float = 0.02,
        l21: float = 0.0,
        init: Literal["nndsvd", "nndsvda", "random"] = "nndsvd",
        basis_norm: str | None = "unit",
        batch_size: int | None = None,
        forget_factor: float = 0.7,
        max_iter: int = 50,
        tol: float = 1e-4,
        transform_iter: int = 50,
        products: str = "float32",
        random_state: Any = None,
        device: str = "auto",
        checkpoint: str | Path | None = None,
    ) -> None:
        self.n_components = n_components
        self.l1 = l1
        self.l2 = l2
        self.l21 = l21
        self.init = init
        self.basis_norm = basis_norm
        self.batch_size = batch_size
        self.forget_factor = forget_factor
        self.max_iter = max_iter
        self.tol = tol
        self.transform_iter = transform_iter
        self.products = products
        self.random_state = random_state
        self.device = device
        self.checkpoint = checkpoint

    def fit(self, X: Any, y: Any = None) -> Self:
        """Factorise ``X`` of shape (n_samples, n_features), no value below 0; it is neither copied nor changed.

        A row of zeros gets coefficients of zero, a column of zeros a basis of zeros.

        Raises
        ------
        ValueError
            Negative, NaN or infinite values, wrong rank, nothing but zeros; a penalty below zero, an unknown choice.
        """
        self.fit_transform(X)
        return self

    @whole
    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """:meth:`fit`, then H (n_samples, n_components) of the samples themselves."""
        from clustlib._device import resolve

        check_parameters(self)
        X = check_features(X, nonnegative=True, estimator=self)
        if not X.any():
            raise UsageError("features are all zero: nothing to factorise")
        fitting = _Fit(self, X, resolve(self.device))
        self.history_ = measured_in(fitting.run(), fitting.unit**2, "objective")
        self.embedding_, self.components_ = fitting.H.cpu().numpy(), fitting.W.cpu().numpy()
        self.embedding_ *= fitting.unit
        self.n_iter_ = len(self.history_)
        if self.embedding_.max() < _VANISHED * X.max() and self.basis_norm is not None:
            from sklearn.exceptions import ConvergenceWarning

            problem = f"the coefficients vanish: l1={self.l1:g} is too large for features of at most {X.max():.3g}"
            warnings.warn(problem, ConvergenceWarning, stacklevel=2)
        return self.embedding_

    def transform(self, X: Any) -> np.ndarray:
        """H (n_samples, n_components) of new samples: ``transform_iter`` updates of Eq. (6) with W fixed, or none.

        The start is X Wᵀ: where it is zero, zero is the best coefficient.
        """
        import torch
        from sklearn.utils.validation import check_is_fitted

        from clustlib._device import resolve

        check_is_fitted(self)
        X = measured_from(check_numbers(X, estimator=self, reset=False), None)
        if X.min() < 0:
            raise UsageError("X must be non-negative: Negative values in data")
        on = resolve(self.device)
        W = torch.from_numpy(self.components_).to(on)
        X, unit = _in_own_unit(X.astype(self.components_.dtype, copy=False))
        H = encode(torch.from_numpy(X).to(on), W, self, unit).cpu().numpy()
        H *= unit
        return H

    def inverse_transform(self, H: Any) -> np.ndarray:
        """H W, (n_samples, n_features)."""
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        H = check_numbers(H, reset=False, name="H")
        if H.shape[1] != len(self.components_):
            raise UsageError(f"H has {H.shape[1]} components, the basis {len(self.components_)}")
        return H @ self.components_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags


def encode(X: Any, W: Any, model: GSNMF, unit: float) -> Any:
    """H (N, L) for X (N, M) in ``unit`` with W (L, M) held fixed, torch tensors; X Wᵀ and W Wᵀ are computed once."""
    import torch

    l1 = _in_unit(model.l1, unit)
    gram = W @ W.T
    gram.diagonal().add_(model.l2)
    H = torch.empty(len(X), len(W), dtype=W.dtype, device=W.device)
    for start in range(0, len(X), 1024):
        numerator = X[start : start + 1024] @ W.T
        h, denominator = numerator.clone(), torch.empty_like(numerator)
        for _ in range(model.transform_iter):
            torch.mm(h, gram, out=denominator)
            h.mul_(numerator).div_(denominator.add_(l1).clamp_min_(1e-12))
        H[start : start + 1024] = h
    return H


def _in_own_unit(X: np.ndarray) -> tuple[np.ndarray, float]:
    """``X`` divided by a unit, and that; ``X`` itself and 1 where the updates' absolute floor does no harm."""
    return in_units(X, _LEAST, _MOST)


def _in_unit(penalty: float, unit: float) -> float:
    """The weight of a norm that grows as X does, beside a square of it, for X divided by ``unit``."""
    return penalty if unit == 1 else min(penalty / unit, _LARGEST)


def _identity(model: GSNMF, X: np.ndarray) -> dict[str, Any]:
    return identity(model, ("max_iter", "transform_iter"), data=content_hash(X))


class _Fit:
    """The factors of one fit, their iterations and what a checkpoint needs of them."""

    def __init__(self, model: GSNMF, X: np.ndarray, device: Any) -> None:
        import torch

        from clustlib.kernels.gsnmf import Penalty, Statistics

        self.model, self.device = model, device
        self.random = check_random_state(model.random_state)
        same = _identity(model, X) if model.checkpoint else {}
        X, self.unit = _in_own_unit(X)
        self.penalty = Penalty(_in_unit(model.l1, self.unit), model.l2, _in_unit(model.l21, self.unit))
        self.X = torch.from_numpy(X).to(device)
        self.history: list[dict[str, float]] = []
        self.checkpoint = Checkpoint(model.checkpoint, same)
        saved = self.checkpoint.load(device, most=model.max_iter)
        if saved is None:
            from clustlib.fcn.nndsvd import start

            H, W = (torch.from_numpy(a).to(device) for a in start(X, model.n_components, model.init, self.random))
            if model.basis_norm is not None:
                norms = torch.linalg.vector_norm(W, dim=1)
                norms.masked_fill_(norms == 0, 1)
                W /= norms[:, None]
                H *= norms
            self.H, self.W, self.statistics = H, W, Statistics.zeros(W)
        else:
            self.H, self.W = saved["H"], saved["W"]
            self.statistics = Statistics(saved["HX"], saved["HH"])
            self.history = saved["history"]
            self.random.set_state(("MT19937", saved["random"].numpy(), *saved["position"]))

    def run(self) -> list[dict[str, float]]:
        from tqdm.auto import tqdm

        saved_at = time.perf_counter()
        bar = tqdm(total=self.model.max_iter, initial=len(self.history), desc="GSNMF", leave=False, delay=2)
        while len(self.history) < self.model.max_iter and not self._settled():
            clock = time.perf_counter()
            value = self._pass() if self.model.batch_size is None else self._batches(self.model.batch_size)
            seconds = round(time.perf_counter() - clock, 4)
            self.history.append({"iteration": len(self.history) + 1, "objective": value, "seconds": seconds})
            bar.update()
            bar.set_postfix(objective=f"{value:.5g}")
            if time.perf_counter() - saved_at >= _SAVE_SECONDS:
                self._save()
                saved_at = time.perf_counter()
        bar.close()
        return self.history

    def _settled(self) -> bool:
        last = [entry["objective"] for entry in self.history[-2:]]
        return len(last) == 2 and abs(last[0] - last[1]) < self.model.tol * last[0]

    def _pass(self) -> float:
        from clustlib.kernels.gsnmf import gsnmf_update

        model = self.model
        return gsnmf_update(self.X, self.H, self.W, self.penalty, basis_norm=model.basis_norm, products=model.products)

    def _batches(self, size: int) -> float:
        """One pass in mini-batches: of each, H's update, then W's from what is remembered."""
        import torch

        order = torch.from_numpy(self.random.permutation(len(self.X))).to(self.device)
        keep = self.model.forget_factor ** (size / len(self.X)) if self.model.forget_factor else 0.0
        value = 0.0
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            h = self.H[rows]
            value += self.update_batch(self.X[rows], h, keep)
            self.H[rows] = h
        return value

    def update_batch(self, x: Any, h: Any, keep: float) -> float:
        """Eq. (6) on a batch x (B, M), h (B, L); changes h and W. Returns the batch's objective before."""
        from clustlib.kernels.gsnmf import update_basis, update_coefficients

        model = self.model
        self.statistics.fade(keep)
        value = update_coefficients(x, h, self.W, self.penalty, products=model.products, statistics=self.statistics)
        norms = update_basis(self.W, self.statistics, basis_norm=model.basis_norm, products=model.products)
        if model.basis_norm == "compensated":
            h *= norms
        return value

    def _save(self) -> None:
        import torch

        _, state, *position = self.random.get_state()
        self.checkpoint.save(
            {
                "H": self.H,
                "W": self.W,
                "HX": self.statistics.HX,
                "HH": self.statistics.HH,
                "history": self.history,
                "random": torch.from_numpy(np.asarray(state)),
                "position": position,
            }
        )
