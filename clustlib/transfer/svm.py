"""A linear SVM on fixed features: the protocol of the FCN paper's Table 5."""

from typing import Any

import numpy as np

from clustlib._arrays import array_of
from clustlib._validation import check_features, check_flag, check_integer, check_number
from clustlib.errors import UsageError

LARGEST_C = 1e9  # beyond some 1e15 liblinear's step has no end; the losses decide all long before


def svm_accuracy(
    learn: Any, learn_labels: Any, test: Any, test_labels: Any, *, C: float = 1.0, normalise: bool = True, seed: int = 0
) -> float:
    """Share of the test samples that a one-against-the-rest linear SVM, trained on ``learn``, labels correctly.

    Parameters
    ----------
    learn, test : (N, D) and (N', D) features. learn_labels, test_labels : (N,) and (N',) integers.
    C : weight of the losses; the paper does not say.
    normalise : scale each sample to unit length first, as the paper does before clustering.
    seed : of liblinear's coordinate order.

    Raises
    ------
    ValueError : NaN or infinite features, wrong ranks or lengths, fewer than two classes, C not positive.
    """
    from sklearn.svm import LinearSVC

    check_number("C", C, most=LARGEST_C)
    check_integer("seed", seed, 0, 2**32 - 1)
    check_flag("normalise", normalise)
    learn, test = check_features(learn, name="learn"), check_features(test, name="test")
    learn_labels = array_of("learn_labels", learn_labels, f"({len(learn)},)", "iub")
    test_labels = array_of("test_labels", test_labels, f"({len(test)},)", "iub")
    if learn.shape[1] != test.shape[1]:
        raise UsageError(f"{learn.shape[1]} features to learn from, {test.shape[1]} to test")
    if len(np.unique(learn_labels)) < 2:
        raise UsageError("needs at least two classes to learn from")
    if normalise:
        learn, test = _unit(learn), _unit(test)
    machine = LinearSVC(C=C, random_state=seed).fit(learn, learn_labels)
    return float(np.mean(machine.predict(test) == test_labels))


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows of unit length; a row of zeros stays zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths == 0, 1, lengths)
