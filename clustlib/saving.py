"""Fitted systems as files: settings as JSON, arrays and weights as numbers, sealed; nothing in them runs code."""

import io
import json
from pathlib import Path
from typing import Any, Self

import numpy as np

from clustlib import _paths
from clustlib.checkpoints import identity, seal, unsealed
from clustlib.errors import DataCorrupt, UsageError

_SETTINGS = "settings"
_WEIGHTS = "weights:"


class System:
    """What estimators of images share beside scikit-learn's contract: their tags, and a file for what was fitted.

    A class says in ``_fitted`` what new images need and takes it back in ``_restore``.
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True
        return tags

    def save(self, path: str | Path) -> None:
        """Write what :meth:`load` needs to treat new images as this fitted estimator does; a whole file or none."""
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        facts, arrays = self._fitted()
        left_out = ("features", *(n for n, v in self._parameters().items() if isinstance(v, np.random.RandomState)))
        settings = {"class": type(self).__name__, "parameters": identity(self, left_out), "fitted": facts}
        text = np.frombuffer(json.dumps(settings).encode(), np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **{_SETTINGS: text, **arrays})
        _paths.write_atomically(Path(path), seal(buffer))

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> Self:
        """An estimator as :meth:`save` left it, on ``device``.

        Raises
        ------
        DataCorrupt : the file is damaged or was not written by ``save``. UsageError : it holds another estimator.
        """
        content = unsealed(Path(path), "save the model again")
        try:
            with np.load(content, allow_pickle=False) as found:
                arrays = {name: found[name] for name in found.files}
            settings = json.loads(arrays.pop(_SETTINGS).tobytes())
            kind, parameters, facts = (settings[name] for name in ("class", "parameters", "fitted"))
        except Exception as error:  # NumPy and json raise half a dozen types
            raise DataCorrupt(f"{path} holds no fitted estimator ({type(error).__name__})") from None
        if kind != cls.__name__:
            raise UsageError(f"{path} holds a fitted {kind}, not a {cls.__name__}")
        model: Any = cls(**{**parameters, "device": device})
        model._restore(facts, arrays)
        return model

    def _parameters(self) -> dict[str, Any]:
        return self.get_params(deep=False)  # type: ignore[attr-defined]

    def _fitted(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """JSON values, and arrays by name."""
        raise NotImplementedError

    def _restore(self, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Become fitted from what :meth:`_fitted` gave."""
        raise NotImplementedError


def weights_of(network: Any) -> dict[str, np.ndarray]:
    """A network's weights and statistics as arrays by name."""
    return {f"{_WEIGHTS}{name}": value.detach().cpu().numpy() for name, value in network.state_dict().items()}


def state_of(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """:func:`weights_of` back as a network's state."""
    import torch

    named = {name: array for name, array in arrays.items() if name.startswith(_WEIGHTS)}
    return {name.removeprefix(_WEIGHTS): torch.from_numpy(array.copy()) for name, array in named.items()}


def by_neighbours(known: np.ndarray, labels: np.ndarray, rows: np.ndarray, n_neighbors: int = 10) -> np.ndarray:
    """The cluster (n,) int64 of ``rows`` by their nearest ``known`` ones, weighted by the inverse distance.

    A row that is known has its own cluster; one that is not finite has none, -1.
    """
    from sklearn.neighbors import KNeighborsClassifier

    clusters = np.full(len(rows), -1, dtype=np.int64)
    good = np.isfinite(rows).all(axis=1)
    if good.any():
        model = KNeighborsClassifier(min(n_neighbors, len(known)), weights="distance", algorithm="brute")
        clusters[good] = model.fit(known, labels).predict(rows[good])
    return clusters
