"""What the text of DBC leaves open: each departure from the book's settings by its name."""

from typing import Any

# The text and nothing else: arguments of ``FCAEFeatures`` (stage I) and of ``DBC`` (stage II)
AS_WRITTEN: tuple[dict[str, Any], dict[str, Any]] = (
    {
        "epochs": 60,
        "learning_rate": 0.1,
        "weight_decay": 5e-4,
        "optimizer": "sgd",
        "code": "bn-relu",
        "scaling": "pixels",
        "whiten": None,
    },
    {
        "radius": None,
        "epochs": 40,
        "learning_rate": 0.01,
        "weight_decay": 5e-4,
        "optimizer": "sgd",
        "decay": 1.0,
        "settle": False,
        "smoothing": 0,
        "discriminant": False,
    },
)

# One departure at a time: arguments of ``FCAEFeatures`` (stage I) and of ``DBC`` (stage II)
DBC_CHOICES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "pixels-unscaled": ({"scaling": "pixels"}, {}),
    "code-with-relu": ({"code": "bn-relu", "whiten": None}, {}),
    "code-not-whitened": ({"whiten": None}, {}),
    "unpooling-to-a-corner": ({"unpooling": "corner"}, {}),
    "unpooling-to-all-four": ({"unpooling": "nearest"}, {}),
    "sgd-in-stage-1": ({"optimizer": "sgd", "learning_rate": 0.1}, {}),
    "by-the-letter": ({}, {"smoothing": 0, "discriminant": False}),
    "start-not-averaged": ({}, {"smoothing": 0}),
    "start-by-evenness": ({}, {"start": "even"}),
    "start-not-averaged-by-evenness": ({}, {"smoothing": 0, "start": "even"}),
    "principal-components": ({}, {"discriminant": False}),
    "one-restart": ({}, {"n_init": 1}),
    "codes-off-the-sphere": ({}, {"radius": None}),
    "sphere-of-1": ({}, {"radius": 1.0}),
    "sphere-of-10": ({}, {"radius": 10.0}),
    "v-of-10": ({}, {"v": 10.0}),
    "sgd-in-stage-2": ({}, {"optimizer": "sgd", "learning_rate": 0.1}),
    "rate-of-a-tenth": ({}, {"learning_rate": 1e-4}),
    "rate-never-falls": ({}, {"decay": 1.0}),
    "statistics-that-run": ({}, {"settle": False}),
    "batches-of-64": ({}, {"batch_size": 64}),
    "batches-of-1000": ({}, {"batch_size": 1000}),
}
