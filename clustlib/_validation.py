"""What every estimator does with its input: checks, each failure one clear ``ValueError``; rows of unit length."""

import functools
import math
import os
import re
import warnings
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np

from clustlib._arrays import LONGEST as _LONGEST
from clustlib._arrays import NotNumbers, held, not_numbers, one_line, shown
from clustlib.errors import UsageError

_LARGEST = {"float32": 4e18, "float64": 6e153}  # length of a row whose fourfold square, a squared distance, it holds
_SMALLEST = {"float32": 1e-18, "float64": 1e-290}  # largest number of which so small a square is still told from 0
_LARGE = 1e15  # for a parameter: its square, times what data bring along, is still a number of float32
_MOST = 2**31 - 1  # of a whole number: what compiled code counts with
_LARGEST_SEED = 2**63 - 1  # torch's generators take no more
_WHOLE = {np.float32: 1 << 24, np.float64: 1 << 53}  # whole numbers up to here are exact
_FAR = 32.0  # rows further from 0 than so many times their spread lose a fifth of float32's digits in products

# ---------------------------------------------------------------- rows of features


def check_features(
    X: Any,
    n_clusters: Any = None,
    *,
    minimum: int = 1,
    nonnegative: bool = False,
    distances: Literal["float32", "float64"] = "float32",
    translate: bool = False,
    estimator: Any = None,
    name: str = "X",
) -> np.ndarray:
    """Return ``X`` as a C-contiguous float32 or float64 array of shape (n_samples, n_features).

    float32 and float64 stay what they are. Other numbers become float32 where it holds them exactly, else float64;
    Fortran-ordered and strided input is copied.

    Parameters
    ----------
    distances : what the caller computes distances in.
    translate : for what depends on differences of rows alone. Where their common distance from 0 would drown those,
        the rows are measured from one of them (see :func:`origin_of`); everywhere else they keep their bits.
    estimator : whose fit it is; it gets ``n_features_in_`` and ``feature_names_in_``.
    name : what the caller calls ``X``, for the message.

    Raises
    ------
    UsageError
        Wrong rank, empty, sparse, not numbers, NaN or infinite, so large that squared distances overflow
        ``distances`` or so small that they underflow, negative where that is not allowed, fewer samples than
        ``minimum`` or than ``n_clusters``.
    """
    X = check_numbers(X, minimum=minimum, distances=distances, estimator=estimator, name=name)
    if nonnegative and X.min() < 0:
        raise UsageError(f"{name} must be non-negative: Negative values in data")
    if n_clusters is not None:
        check_n_clusters(n_clusters, len(X))
    return measured_from(X, origin_of(X) if translate else None)


def check_numbers(
    X: Any,
    *,
    minimum: int = 1,
    distances: Literal["float32", "float64"] = "float32",
    estimator: Any = None,
    reset: bool = True,
    name: str = "X",
) -> np.ndarray:
    """The checks of :func:`check_features` on (n_samples, n_features) numbers, whose dtype stays what it is.

    ``reset=False`` is for new rows, which have the width of those of the fit and may be as small as they like.
    """
    X = _as_array(X, estimator, reset, name)
    if len(X) < minimum:
        raise UsageError(f"{name} needs at least {minimum} samples, got {len(X)} sample{'s' * (len(X) != 1)}")
    if X.dtype.kind not in "fiub":
        raise NotNumbers(f"{name} must hold numbers, got dtype {X.dtype}")
    low, high = X.min(), X.max()  # NaN is passed on to the extremes, and no mask is made
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UsageError(f"{name} must be finite: features contain NaN or infinite values")
    # integers are measured from one of them, see origin_of
    length = int(high) - int(low) if X.dtype.kind in "iu" else max(-float(low), float(high))
    if length > _LARGEST[distances] / X.shape[1] ** 0.5:
        raise UsageError(f"{name}: features are too large: their squared distances overflow {distances}")
    if reset and 0 < length < _SMALLEST[distances]:
        raise UsageError(f"{name}: features are too small, at most {length:.2g}: their squared distances are lost")
    return X


def _as_array(X: Any, estimator: Any, reset: bool, name: str) -> np.ndarray:
    """scikit-learn's ``check_array``, with names and widths kept for an ``estimator``; its messages on one line."""
    from sklearn.utils.validation import check_array, validate_data

    X = held(X, name)
    rules: dict[str, Any] = {"ensure_all_finite": False, "order": "C"}
    try:
        if estimator is None:
            return check_array(X, input_name=name, **rules)
        return validate_data(estimator, X, reset=reset, **rules)
    except ValueError as error:
        if "feature names" in str(error):  # scikit-learn promises this text, a list over several lines
            raise
        text = one_line(error)
        wanted = "have shape (n_samples, n_features)" if re.search(r"with dim|D array", text) else "hold numbers"
        wanted = "not be empty" if re.search(r" 0 (?:sample|feature)", text) else wanted
        raise UsageError(f"{name} must {wanted}: {text}"[:_LONGEST]) from None
    except MemoryError:
        raise
    except Exception as error:  # whatever an object's own conversion raises
        raise not_numbers(name, error) from None


def origin_of(X: np.ndarray) -> np.ndarray | None:
    """The row from which rows that lie close together, far from 0, are better measured; None for all others.

    Products of large numbers leave little of small differences, and float64 does not hold every wide integer. Measured
    from one of the rows, a sample of lattice points keeps its ties, and integers stay exact.
    """
    if X.dtype.kind not in "fiu" or X.dtype.itemsize == 1:
        return None
    low, high = X.min(axis=0), X.max(axis=0)
    if X.dtype.kind in "iu":
        widest = max(int(top) - int(bottom) for bottom, top in zip(low, high))
        largest = max(-int(low.min()), int(high.max()))
        if largest > _WHOLE[np.float64]:
            return X[0].copy() if widest < 1 << 62 else None
    spread = np.linalg.norm(high.astype(np.float64) - low.astype(np.float64))
    here = X[0].astype(np.float64)
    return X[0].copy() if 0 < _FAR * spread < np.linalg.norm(here) else None


def measured_from(X: np.ndarray, origin: np.ndarray | None) -> np.ndarray:
    """``X`` less ``origin`` as C-contiguous floats; of integers, the exact differences."""
    if origin is None:
        return _as_floats(X)
    if X.dtype.kind in "iu" and origin.dtype.kind in "iu":
        # modulo 2**64, where the difference of two 64-bit integers is right whatever their signs
        return _as_floats((X.astype(np.uint64) - origin.astype(np.uint64)).view(np.int64))
    return _as_floats(_as_floats(X) - origin)


def _as_floats(X: np.ndarray) -> np.ndarray:
    """float32 or float64, C-contiguous: the narrower that holds integers exactly, and what floats already are."""
    return np.ascontiguousarray(X, dtype=_float_for(X))


def _float_for(X: np.ndarray) -> type[np.floating]:
    if X.dtype in (np.float32, np.float64):
        return X.dtype.type
    if X.dtype.kind == "f":
        return np.float32 if X.dtype.itemsize < 4 else np.float64
    narrow = X.dtype.itemsize < 4 or max(-int(X.min()), int(X.max())) <= _WHOLE[np.float32]
    return np.float32 if narrow else np.float64


# ---------------------------------------------------------------- parameters


def check_parameters(estimator: Any, **values: Any) -> None:
    """Raise :class:`UsageError` unless every parameter meets the ``_parameter_constraints`` of its class.

    Those are scikit-learn's. Booleans are no numbers here. ``values`` stand in for parameters of their names, where
    None has been resolved. NumPy's scalars become Python's, equal ones: neither torch nor a file takes all of them.
    A parameter that is a dict may hold what the estimator's ``_options()`` names for it, each with its constraint.
    """
    rules, owner = estimator._parameter_constraints, type(estimator).__name__
    given = {**estimator.get_params(deep=False), **values}
    _check_each(owner, given, rules)
    for name, known in getattr(estimator, "_options", dict)().items():
        options = given[name] or {}
        if unknown := [option for option in options if option not in known]:
            raise UsageError(f"{name} takes {', '.join(known)}; got {shown(unknown[0])}"[:_LONGEST])
        _check_each(name, options, known)
    for name, value in given.items():
        if name not in values and any(isinstance(part, np.generic) for part in _parts(value)):
            setattr(estimator, name, _of_python(value))


def _parts(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else list(value) if type(value) in (list, tuple) else [value]


def _of_python(value: Any) -> Any:
    """A NumPy scalar as Python's; a dict, list or tuple of such as a new one."""
    if isinstance(value, dict):
        return {name: _of_python(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_of_python, value))
    return value.item() if isinstance(value, np.generic) else value


def whole(fit: Callable) -> Callable:
    """A method that fits: where it ends with an error, the estimator is what it was before it began.

    What was fitted stays together: no new network beside old labels. The parameters of a fit that succeeded are kept as
    ``_as_fitted``, for those set afterwards are not what the fitted parts belong to.
    """

    @functools.wraps(fit)
    def fitted(self: Any, *given: Any, **named: Any) -> Any:
        before = dict(vars(self))
        try:
            result = fit(self, *given, **named)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise
        self._as_fitted = self.get_params(deep=False)
        return result

    return fitted


def _check_each(owner: str, values: dict[str, Any], rules: dict[str, Any]) -> None:
    """Raise :class:`UsageError` unless every value of ``owner`` meets the rules for its name."""
    from sklearn.utils._param_validation import InvalidParameterError, validate_parameter_constraints

    for name, value in values.items():
        if isinstance(value, (bool, np.bool_)) and "boolean" not in rules.get(name, ["boolean"]):
            raise UsageError(f"The {name!r} parameter of {owner} must not be a boolean, got {shown(value)}")
        try:
            validate_parameter_constraints(rules, {name: value}, owner)
        except InvalidParameterError as error:
            raise UsageError(one_line(error)[:_LONGEST]) from None


def integers(least: int, most: int = _MOST) -> Any:
    """A constraint: whole numbers from ``least`` to ``most``, both included."""
    from sklearn.utils._param_validation import Interval

    return Interval(Integral, least, most, closed="both")


def numbers(least: float, most: float | None = _LARGE, *, closed: str = "left") -> Any:
    """A constraint: numbers from ``least`` to ``most``; ``closed`` says which of the two are included."""
    from sklearn.utils._param_validation import Interval

    return Interval(Real, least, most, closed=closed)


def choices(*names: str) -> Any:
    """A constraint: one of ``names``."""
    from sklearn.utils._param_validation import StrOptions

    return StrOptions(set(names))


def check_integer(name: str, value: Any, least: int, most: int = _MOST) -> None:
    """Raise :class:`UsageError` unless ``value`` is an integer from ``least`` to ``most``."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or not least <= value <= most:
        until = "on" if most == _MOST and not (whole and value > most) else f"to {most}"
        raise UsageError(f"{name} must be an integer from {least} {until}, got {shown(value)}"[:_LONGEST])


def check_number(name: str, value: Any, *, zero: bool = False, most: float = _LARGE) -> None:
    """Raise :class:`UsageError` unless ``value`` is a positive number, or with ``zero`` also 0, up to ``most``."""
    real = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    # an integer may be beyond what math.isfinite takes; NaN is neither
    if not real or not 0 <= value <= most or (value == 0 and not zero) or not math.isfinite(value):
        kind = "a finite number from 0 on" if zero else "positive and finite"
        raise UsageError(f"{name} must be {kind}, at most {most:g}, got {shown(value)}"[:_LONGEST])


def check_choice(name: str, value: Any, known: tuple[Any, ...]) -> None:
    """Raise :class:`UsageError` unless ``value`` is one of ``known``."""
    if not (value is None or isinstance(value, str)) or value not in known:
        raise UsageError(f"{name} must be one of {', '.join(map(str, known))}; got {shown(value)}"[:_LONGEST])


def check_n_clusters(n_clusters: Any, n_samples: int) -> None:
    """Raise :class:`UsageError` unless ``n_clusters`` is an integer between 1 and ``n_samples``."""
    check_integer("n_clusters", n_clusters, 1)
    if n_clusters > n_samples:
        raise UsageError(f"n_clusters={n_clusters} is more than the {n_samples} sample{'s' * (n_samples != 1)}")


def warn_of_fewer(labels: np.ndarray, n_clusters: int | None) -> None:
    """Warn (``ConvergenceWarning``) where a system found fewer clusters than ``n_clusters``; None asked for none."""
    n_found = len(np.unique(labels))
    if n_clusters is not None and n_found < n_clusters:
        from sklearn.exceptions import ConvergenceWarning

        warnings.warn(f"found {n_found} clusters, fewer than n_clusters={n_clusters}", ConvergenceWarning, stacklevel=3)


def check_generator(random_state: Any) -> None:
    """Raise :class:`UsageError` unless :func:`seed_of` takes it; nothing is drawn."""
    whole = isinstance(random_state, (int, np.integer)) and not isinstance(random_state, bool)
    if not (whole or random_state is None or isinstance(random_state, np.random.RandomState)):
        raise UsageError(f"random_state must be an integer, a RandomState or None, got {shown(random_state)}")


def seed_of(random_state: Any) -> int:
    """The integer that a fit draws everything from: an int itself, else one drawn from ``random_state``."""
    from sklearn.utils import check_random_state

    if isinstance(random_state, (int, np.integer)) and not isinstance(random_state, bool):
        return int(random_state)
    check_generator(random_state)
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def check_truth(y: Any, n_samples: int) -> np.ndarray | None:
    """Labels (n_samples,) to compare with, as an array; None where there are none."""
    if y is None:
        return None
    try:
        y = np.asarray(held(y, "y"))
    except ValueError as error:  # a ragged list
        raise not_numbers("y", error) from None
    if y.shape != (n_samples,):
        raise UsageError(f"y must be ({n_samples},), got {y.shape}")
    if y.dtype.kind not in "iubf" or (y.dtype.kind == "f" and not (y == np.trunc(y)).all()):
        raise UsageError(f"y must be whole numbers, got {shown(y[0])}")
    return y


def unit_rows(samples: np.ndarray) -> np.ndarray:
    """Each sample as a row of unit Euclidean length, (N, D) float32; a sample of zeros stays zero."""
    rows = samples.reshape(len(samples), -1).astype(np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    rows /= np.where(lengths == 0, 1, lengths).astype(np.float32)[:, None]
    return rows


def check_seed(seed: Any) -> None:
    """Raise :class:`UsageError` unless ``seed`` is an integer that every generator takes."""
    check_integer("seed", seed, 0, _LARGEST_SEED)


def check_callable(name: str, value: Any) -> None:
    """Raise :class:`UsageError` unless ``value`` is None or can be called."""
    if value is not None and not callable(value):
        raise UsageError(f"{name} must be a function or None, got {shown(value)}")


def check_path(name: str, value: Any) -> None:
    """Raise :class:`UsageError` unless ``value`` is a path, as text or as a path object."""
    if not isinstance(value, (str, os.PathLike)) or not isinstance(os.fspath(value), str) or not os.fspath(value):
        raise UsageError(f"{name} must be a path, got {shown(value)}")


def check_flag(name: str, value: Any) -> None:
    """Raise :class:`UsageError` unless ``value`` is true or false."""
    if not isinstance(value, (bool, np.bool_)):
        raise UsageError(f"{name} must be true or false, got {shown(value)}")


def check_trained(values: Iterable[Any]) -> None:
    """Refuse weights, or what a network makes of images, once a training has diverged: some are NaN or infinite.

    ``values`` are tensors on any device, or arrays. Asked once an epoch, before a checkpoint is written.
    """
    for value in values:
        finite = np.isfinite(value) if isinstance(value, np.ndarray) else value.isfinite()
        if not bool(finite.all()):
            raise UsageError("training has diverged to NaN or infinite values: try a smaller learning_rate")
