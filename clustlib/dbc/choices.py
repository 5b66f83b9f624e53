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
        "scaling": "rms",
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

_ADAM: dict[str, Any] = {"pretrain_optimizer": "adam", "pretrain_rate": 0.001, "pretrain_weight_decay": 0}
_AS_MANY_STEPS: dict[str, Any] = {"pretrain_epochs": 9}

# What else the text allows, one thing at a time: parameters of ``clustlib.dbc.runs.written.as_written``. Nobody's code
# decides these; each is a habit of its time, something that the paper cites, or a question that a reader asks.
TRIALS: dict[str, dict[str, Any]] = {
    "as written": {},
    "4 epochs of stage I": {"pretrain_epochs": 4},
    # on MNIST as many steps as the reading takes on USPS, whose images are a sixth as many
    "9 epochs of stage I": _AS_MANY_STEPS,
    "9 epochs of stage I, 6 of stage II": {**_AS_MANY_STEPS, "epochs": 6},
    "9 epochs of stage I, Adam": {**_AS_MANY_STEPS, **_ADAM},
    "9 epochs of stage I, ten times the weight decay": {**_AS_MANY_STEPS, "pretrain_weight_decay": 0.005},
    "9 epochs of stage I, code without ReLU": {**_AS_MANY_STEPS, "code": "bn"},
    "9 epochs of stage I, start on averaged codes (ours)": {**_AS_MANY_STEPS, "smoothing": 32},
    "9 epochs of stage I, whitened code without ReLU (ours)": {**_AS_MANY_STEPS, "code": "bn", "whiten": 60},
    "15 epochs of stage I": {"pretrain_epochs": 15},
    "200 epochs of stage I": {"pretrain_epochs": 200},
    "Adam in stage I": _ADAM,
    "no weight decay in stage I": {"pretrain_weight_decay": 0},
    "ten times the weight decay in stage I": {"pretrain_weight_decay": 0.005},
    # Caffe sums the squared error over the pixels and halves it; under SGD that is a rate times half their number
    "summed error, 28 x 28": {"pretrain_rate": 0.392, "pretrain_weight_decay": 1.3e-6},
    "summed error, 16 x 16": {"pretrain_rate": 0.128, "pretrain_weight_decay": 3.9e-6},
    "batches of 64 in stage I": {"pretrain_batch_size": 64},
    "pixels as they are": {"scaling": "pixels"},
    "code without ReLU": {"code": "bn"},
    "un-pooling to a corner": {"unpooling": "corner"},
    "un-pooling to all four": {"unpooling": "nearest"},
    "no batch normalisation": {"normalised": False, "code": "relu"},
    "no batch normalisation, a tenth of the rate": {"normalised": False, "code": "relu", "pretrain_rate": 0.01},
    "no batch normalisation, Adam": {"normalised": False, "code": "relu", **_ADAM},
    "start at density peaks": {"start": "density-peaks"},
    "start by evenness": {"start": "even"},
    "start on averaged codes (ours)": {"smoothing": 32},
    "statistics taken anew": {"settle": True},
    "statistics of stage I": {"frozen": True},
    "target after 140 steps": {"updates": 140},
    "target after 10 steps": {"updates": 10},
    "centres ten times as fast": {"center_rate": 10},
    "centres stay": {"center_rate": 0},
    "ten times the rate in stage II": {"learning_rate": 0.1},
    "Adam in stage II": {"optimizer": "adam", "learning_rate": 0.001, "weight_decay": 0},
    "no weight decay in stage II": {"weight_decay": 0},
    "100 epochs of stage II": {"epochs": 100},
    "batches of 64 in stage II": {"batch_size": 64},
    "batches of 1,000 in stage II": {"batch_size": 1000},
    # 1/10 over the 40 epochs, in 39 steps down
    "rate of stage II falls to a tenth": {"decay": 0.943},
    "one k-means of 1": {"n_init": 1},
    "best k-means of 200": {"n_init": 200},
    "alpha of 1.5": {"alpha": 1.5},
    "alpha of 4": {"alpha": 4},
    "v of a tenth": {"v": 0.1},
    "v of 10": {"v": 10},
    "sphere of 3 (ours)": {"radius": 3},
    "whitened code without ReLU (ours)": {"code": "bn", "whiten": 60},
    "whitened code without ReLU, discriminants (ours)": {"code": "bn", "whiten": 60, "discriminant": True},
}
