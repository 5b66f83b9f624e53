"""What DBC's auto-encoder is made of: Table 2, and what Figures 4 and 5 draw of it."""

from collections.abc import Iterable

import pandas as pd

from clustlib import datasets
from clustlib.records.runs import CELL_COLUMNS


def layers(names: Iterable[str]) -> pd.DataFrame:
    """The encoder's layers for data sets' images, as cells like those of ``Runs.cells``.

    Methods are layers ("conv1", "pool1", ..., "features"); metrics are filter_size, filters, output_size and
    output_channels, as in Table 2. Nothing is trained and no data is read.
    """
    import torch

    from clustlib.models import FCAE

    rows = []
    for name in names:
        shape = datasets.info(name).shape
        assert shape is not None, name
        model = FCAE(shape).eval()
        with torch.no_grad():
            maps = model.activations(torch.zeros(1, *shape))
        for layer, filters in model.layer_filters().items():
            channels, size, _ = maps[layer].shape[1:]
            found = {"filter_size": filters, "output_size": size, "output_channels": channels}
            if not layer.startswith("pool"):
                found["filters"] = channels
            rows += [
                (name, layer, metric, float(value or 0), None, 0.0, "none", None) for metric, value in found.items()
            ]
    return pd.DataFrame(rows, columns=CELL_COLUMNS)


def parameter_counts(names: Iterable[str]) -> pd.DataFrame:
    """How many numbers are learnt, by data set: the encoder's convolutions, its layers, the whole."""
    from torch import nn

    from clustlib.models import FCAE

    rows = []
    for name in names:
        shape = datasets.info(name).shape
        assert shape is not None, name
        model = FCAE(shape)
        encoder = [*model.encoder.modules(), *model.features.modules()]
        convolutions = [p for layer in encoder if isinstance(layer, nn.Conv2d) for p in layer.parameters()]
        parts = (convolutions, model.encoder_parameters(), list(model.parameters()))
        rows.append((name, *(sum(p.numel() for p in part) for part in parts)))
    columns = ["data set", "encoder's convolutions", "encoder with batch normalisation", "encoder and decoder"]
    return pd.DataFrame(rows, columns=columns)


def image_properties(names: Iterable[str]) -> pd.DataFrame:
    """The registered properties of data sets as cells of Table 1: samples, categories, height, width, channels."""
    rows = []
    for name in names:
        known = datasets.info(name)
        assert known.shape is not None, name
        channels, height, width = known.shape
        found = {"samples": known.n_samples, "categories": known.n_classes, "height": height, "width": width}
        for metric, value in {**found, "channels": channels}.items():
            rows.append((name, "images", metric, float(value or 0), None, 0.0, "none", None))
    return pd.DataFrame(rows, columns=CELL_COLUMNS)
