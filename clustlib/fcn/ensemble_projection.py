"""Ensemble projection (Dai and Van Gool): the baseline EP-CNN of the FCN paper."""

from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state

from clustlib._validation import (
    check_numbers,
    check_parameters,
    integers,
    measured_from,
    numbers,
    origin_of,
    whole,
)
from clustlib.transfer.svm import LARGEST_C


class EnsembleProjection(TransformerMixin, BaseEstimator):
    """Describe a sample by how much it looks like each of many prototypes that were drawn from the data.

    ``n_sets`` times: draw ``n_hypotheses`` sets of ``n_prototypes`` samples, keep the one whose samples lie furthest
    apart, widen each of them to a class by its nearest neighbours, train a classifier between these classes. A
    sample's features are the class probabilities under all classifiers.

    Parameters
    ----------
    n_sets, n_prototypes : int
        Their product is the dimension, 3,000 in the FCN paper. It does not say how it divides: 30 prototypes as in
        the authors' papers leave 100 sets.
    n_members : int
        Samples to a prototype's class, itself included.
    n_hypotheses : int
    C : float
        Inverse regularisation of the logistic regression.
    random_state : int, RandomState or None

    Attributes
    ----------
    coef_ : (n_sets, n_prototypes, n_features), intercept_ : (n_sets, n_prototypes)
        Of the classifiers' logits.
    prototypes_ : (n_sets, n_prototypes) int64, rows of the fitted data

    References
    ----------
    Dai, Prasad, Leistner, Van Gool, "Ensemble partitioning for unsupervised image categorization", ECCV 2012;
    Dai, Van Gool, "Unsupervised high-level feature learning by ensemble projection ...", arXiv 1602.00955, 2016.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_sets": [integers(1)],
        "n_prototypes": [integers(2)],
        "n_members": [integers(1)],
        "n_hypotheses": [integers(1)],
        "C": [numbers(0, LARGEST_C, closed="right")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_sets: int = 100,
        *,
        n_prototypes: int = 30,
        n_members: int = 6,
        n_hypotheses: int = 50,
        C: float = 15.0,
        random_state: Any = None,
    ) -> None:
        self.n_sets = n_sets
        self.n_prototypes = n_prototypes
        self.n_members = n_members
        self.n_hypotheses = n_hypotheses
        self.C = C
        self.random_state = random_state

    @whole
    def fit(self, X: Any, y: Any = None) -> Self:
        """Draw the prototypes from ``X`` (n_samples, n_features) and train the classifiers.

        Raises
        ------
        ValueError : NaN or infinite values, wrong rank, fewer samples than prototypes or members, a count below 1.
        """
        from tqdm.auto import tqdm

        check_parameters(self)
        X = check_numbers(X, minimum=max(self.n_prototypes, self.n_members), estimator=self)
        self._origin = origin_of(X)
        X = measured_from(X, self._origin)
        random = check_random_state(self.random_state)
        squares = np.einsum("ij,ij->i", X, X)
        coef, intercept, prototypes = [], [], []
        for _ in tqdm(range(self.n_sets), desc="ensemble projection", leave=False, delay=2):
            chosen = self._spread_out(X, squares, random)
            members = _nearest(X, squares, chosen, self.n_members)
            weights, offsets = _classifier(X[members.ravel()], self.n_prototypes, self.C)
            coef.append(weights)
            intercept.append(offsets)
            prototypes.append(chosen)
        self.coef_, self.intercept_, self.prototypes_ = np.array(coef), np.array(intercept), np.array(prototypes)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Class probabilities (n_samples, n_sets * n_prototypes) float32."""
        from scipy.special import softmax
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        X = measured_from(check_numbers(X, estimator=self, reset=False), self._origin)
        out = np.empty((len(X), *self.intercept_.shape), np.float32)
        for number, (weights, offsets) in enumerate(zip(self.coef_, self.intercept_)):
            out[:, number] = softmax(X @ weights.T + offsets, axis=1)
        return out.reshape(len(X), -1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # float32 for all
        return tags

    def _spread_out(self, X: np.ndarray, squares: np.ndarray, random: np.random.RandomState) -> np.ndarray:
        """Of several random sets of samples the one with the largest sum of mutual distances."""
        best, furthest = np.empty(0, int), -1.0
        for _ in range(self.n_hypotheses):
            drawn = random.choice(len(X), self.n_prototypes, replace=False)
            between = squares[drawn, None] + squares[drawn] - 2 * X[drawn] @ X[drawn].T
            total = float(np.sqrt(np.maximum(between, 0)).sum())
            if total > furthest:
                best, furthest = drawn, total
        return best


def _classifier(members: np.ndarray, n_classes: int, C: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights (n_classes, n_features) and offsets of a logistic regression between equal runs of rows.

    With a squared penalty the weights lie in the span of the samples, so it is solved there: 180 dimensions, not 4,096.
    """
    from sklearn.linear_model import LogisticRegression

    basis = np.linalg.qr(members.T)[0]
    classes = np.repeat(np.arange(n_classes), len(members) // n_classes)
    solved = LogisticRegression(C=C, max_iter=200, tol=1e-3).fit(members @ basis, classes)
    coef, intercept = solved.coef_, solved.intercept_
    if n_classes == 2:  # scikit-learn keeps one logit of two
        coef, intercept = np.concatenate([0 * coef, coef]), np.concatenate([0 * intercept, intercept])
    return (coef @ basis.T).astype(members.dtype), intercept.astype(members.dtype)


def _nearest(X: np.ndarray, squares: np.ndarray, chosen: np.ndarray, n: int) -> np.ndarray:
    """Each chosen sample and its ``n - 1`` nearest, (len(chosen), n)."""
    distances = squares - 2 * X[chosen] @ X.T
    distances[np.arange(len(chosen)), chosen] = -np.inf
    return np.argpartition(distances, n - 1, axis=1)[:, :n] if n < len(X) else np.argsort(distances, axis=1)
