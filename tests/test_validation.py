"""The input checks that every estimator shares, as each estimator's user meets them."""

import numpy as np
import pytest

from clustlib import cluster
from clustlib._validation import check_features, check_integer
from clustlib.errors import UsageError

ESTIMATORS = [getattr(cluster, name) for name in cluster.__all__ if name != "AverageLinkage"]


def groups(scale: float) -> np.ndarray:
    """Three well-separated groups of twenty points, (60, 5) float32."""
    rows = np.random.default_rng(0).random((60, 5)) + np.repeat([0, 3, 6], 20)[:, None]
    return (rows * scale).astype(np.float32)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("bad", [1e19, 1e25, 1e37])
def test_rows_whose_squared_distances_overflow_are_refused_in_one_line(estimator, bad):
    with pytest.raises(ValueError, match="squared distances overflow float32"):
        estimator(3).fit(groups(bad))


@pytest.mark.parametrize("method", ["scipy", "low_memory"])
def test_average_linkage_computes_in_float64_and_takes_what_that_holds(method):
    model = cluster.AverageLinkage(3, method=method)
    assert np.bincount(model.fit(groups(1e37)).labels_).tolist() == [20, 20, 20]
    with pytest.raises(ValueError, match="squared distances overflow float64"):
        model.fit(groups(1).astype(np.float64) * 1e160)


def test_the_longest_rows_that_are_let_through_have_finite_squared_distances():
    largest = np.float32(4e18 / 5**0.5) * np.array([[1.0] * 5, [-1.0] * 5], np.float32) * np.float32(0.999)
    first, second = check_features(largest)
    assert np.isfinite(np.float32(((first - second) ** 2).sum()))
    with pytest.raises(ValueError, match="too large"):
        check_features(largest * np.float32(1.01))


@pytest.mark.parametrize("value", [True, 1.0, "1", None, -1])
def test_what_is_no_integer_is_refused_by_name(value):
    with pytest.raises(UsageError, match="epochs must be an integer from 0 on"):
        check_integer("epochs", value, 0)


def test_integers_of_numpy_are_integers():
    check_integer("epochs", np.int64(3), 3)
