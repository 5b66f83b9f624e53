"""Fitted systems as files: settings as JSON, arrays and weights as numbers, sealed; nothing in them runs code."""

import io
import json
import os
from pathlib import Path
from typing import Any, Self

import numpy as np

from clustlib import _device, _paths
from clustlib._arrays import shown
from clustlib._validation import check_parameters, check_path
from clustlib.checkpoints import identity, seal, unsealed
from clustlib.errors import DataCorrupt, DataMissing, OneLine, PackageMissing, UsageError

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
        place = _paths.real_file(_place(path), "path")
        facts, arrays = self._fitted()
        of_fit = vars(self).get("_as_fitted", self._parameters())
        left_out = ("features", *(n for n, v in of_fit.items() if isinstance(v, np.random.RandomState)))
        parameters = identity(type(self)(**of_fit), left_out)
        settings = {"class": type(self).__name__, "parameters": parameters, "fitted": facts}
        text = np.frombuffer(json.dumps(settings).encode(), np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **{_SETTINGS: text, **arrays})
        _paths.write_atomically(place, seal(buffer))  # what a link points to is written, and the link stays

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> Self:
        """An estimator as :meth:`save` left it, on ``device``.

        Raises
        ------
        DataMissing : there is no such file. DataCorrupt : it is damaged or was not written by ``save``, or its parts do
        not belong together. UsageError : it holds another estimator; a device that this machine does not have.
        """
        _device.resolve(device)
        place = _place(path)
        if not os.path.isfile(place):
            what = "a folder" if os.path.isdir(place) else "missing"
            raise DataMissing(f"{shown(str(path))} is {what}, not a saved {cls.__name__}")
        content = unsealed(place, "save the model again")
        try:
            with np.load(content, allow_pickle=False) as found:
                arrays = {name: found[name] for name in found.files}
            settings = json.loads(arrays.pop(_SETTINGS).tobytes())
            kind, parameters, facts = (settings[name] for name in ("class", "parameters", "fitted"))
        except Exception as error:  # NumPy and json raise half a dozen types
            raise DataCorrupt(f"{path} holds no fitted estimator ({type(error).__name__})") from None
        if kind != cls.__name__:
            raise UsageError(f"{path} holds a fitted {kind}, not a {cls.__name__}")
        try:
            _check_arrays(arrays)
            model: Any = cls(**{**parameters, "device": device})
            check_parameters(model)
            model._restore(facts, arrays)
            model._try_out()
            model._as_fitted = model._parameters()
        except (DataMissing, PackageMissing):  # of what a model does not hold: pre-trained weights
            raise
        except OneLine as error:
            raise DataCorrupt(f"{path}: {error}") from None
        except Exception as error:  # torch and NumPy raise half a dozen types on parts of other shapes
            raise DataCorrupt(f"{path}: its parts do not belong together ({type(error).__name__})") from None
        return model

    def _parameters(self) -> dict[str, Any]:
        return self.get_params(deep=False)  # type: ignore[attr-defined]

    def _fitted(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """JSON values, and arrays by name."""
        raise NotImplementedError

    def _restore(self, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Become fitted from what :meth:`_fitted` gave."""
        raise NotImplementedError

    def _image_shape(self) -> tuple[int, ...]:
        """(C, H, W) of an image that this fitted estimator takes."""
        raise NotImplementedError

    def _try_out(self) -> None:
        """Treat a black image as a new one: parts that do not go together show. Raises :class:`DataCorrupt`."""
        image: Any = np.zeros((1, *self._image_shape()), np.uint8)
        row = self.transform(image)  # type: ignore[attr-defined]
        found = self.predict(image)[0] if hasattr(self, "predict") else 0
        labels = getattr(self, "labels_", np.zeros(1, np.int64))
        if row.ndim != 2 or not np.isfinite(row).all() or not 0 <= found <= labels.max():
            raise DataCorrupt("what it makes of an image is no number, or no cluster that it knows")


def _check_arrays(arrays: dict[str, np.ndarray]) -> None:
    """Raise :class:`DataCorrupt` on numbers that are not finite, and on labels and rows that do not go together."""
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub" or (array.dtype.kind == "f" and not np.isfinite(array).all()):
            raise DataCorrupt(f"a saved model's {name} is not finite numbers")
        if name.startswith("labels") and not _are_labels(array, arrays):
            raise DataCorrupt(f"a saved model's {name} are no clusters of its")
    rows, centres = arrays.get("embedding"), arrays.get("cluster_centers")
    if rows is None:
        return
    counted = [int((arrays[name] >= 0).sum()) for name in ("labels", "labels_rc", "labels_sf") if name in arrays]
    if rows.ndim != 2 or any(n != len(rows) for n in counted):
        raise DataCorrupt(f"a saved model's embedding is {rows.shape} for {counted[0]} labels")
    if centres is not None and centres.shape[1:] != rows.shape[1:]:
        raise DataCorrupt(f"a saved model's centres are {centres.shape} beside rows of {rows.shape[1]}")


def _are_labels(array: np.ndarray, arrays: dict[str, np.ndarray]) -> bool:
    """Whether an array numbers clusters, of which there are no more than centres, or than rows without centres."""
    most = len(arrays.get("cluster_centers", array))
    return array.ndim == 1 and array.dtype.kind in "iu" and len(array) > 0 and -1 <= array.min() <= array.max() < most


def _place(path: Any) -> Path:
    check_path("path", path)
    return Path(path)


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
