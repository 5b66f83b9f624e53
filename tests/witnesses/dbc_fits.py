"""Fits of DBC's two stages, and the fused layers of the first."""

import sys
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np

from witnesses._data import attributes, blobs, digits, errors_of, raised, rng, untimed, weights_of
from witnesses._find import find, holding, home
from witnesses._sets import plain, refusals, registered


def convolutional_autoencoder() -> dict[str, np.ndarray]:
    """DBC's stage I by every option, on digits of which one is blank; its fused layers; killed and resumed."""
    Features, found = find("FCAEFeatures"), {}
    images, _ = digits((5, 4, 3))
    variants = {
        "paper": {"whiten": 3},
        "relu": {"code": "bn-relu", "whiten": None, "scaling": "pixels", "optimizer": "sgd", "learning_rate": 0.1},
        "corner": {"unpooling": "corner", "whiten": None, "code": "linear", "batch_size": 11},  # one image is left over
        "nearest": {"unpooling": "nearest", "whiten": None, "code": "relu", "weight_decay": 0.1},
    }
    for name, options in variants.items():
        model = Features(**{"epochs": 1, "batch_size": 5, "random_state": 0, "device": "cpu", **options}).fit(images)
        found |= attributes(name, model, "embedding_") | untimed(model.history_, f"{name}.history")
        found |= {f"{name}.new": model.transform(images[:3]), f"{name}.told": model.reconstruct(images[:2])}
        if name in ("paper", "corner"):
            found |= {f"{name}.{n}": v for n, v in model.activations(images[:2]).items()}
        sums = {n: v.astype(np.float64).sum() for n, v in weights_of(model.model_).items()}
        found[f"{name}.weights"] = np.array(list(sums.values()))
    weights = {n.removeprefix("weights."): v for n, v in weights_of(model.model_).items()}
    found["restored"] = (
        Features(whiten=None, unpooling="nearest", code="relu", device="cpu").restore(images, weights).embedding_
    )
    with holding(home("over_all"), _WHOLE=5, _SETTLING=7):
        kept = {"batch_size": 6, "whiten": None, "random_state": 1, "checkpoint": Path("fcae.pt"), "device": "cpu"}
        Features(epochs=1, **kept).fit(images / np.float32(255))
        again = Features(epochs=2, **kept).fit(images / np.float32(255))
        found |= attributes("resumed", again, "embedding_") | untimed(again.history_, "resumed.history")
        found |= {
            f"other.{n}": v
            for n, v in raised(
                lambda **o: Features(epochs=2, **{**kept, **o}).fit(images / np.float32(255)),
                [{"batch_size": 5}, {"learning_rate": 0.1}, {"random_state": 2}],
            ).items()
        }
    make = lambda **o: Features(**{"epochs": 0, "device": "cpu", "whiten": None, **o}).fit(images)  # noqa: E731
    cases = [
        {"epochs": -1},
        {"batch_size": 1},
        {"batch_size": 2},
        {"learning_rate": 0},
        {"learning_rate": True},
        {"weight_decay": -1},
        {"optimizer": "x"},
        {"scaling": "x"},
        {"code": "x"},
        {"unpooling": "x"},
        {"whiten": 0},
        {"whiten": 1},
        {"whiten": 11},
        {"whiten": 2, "code": "relu"},
        {"checkpoint": "."},
    ]
    found |= raised(make, cases)
    return (
        found
        | errors_of(Features(whiten=None, epochs=0).fit, {"one": ((images[:1],), {}), "two": ((images[:2],), {})})
        | {
            f"wh.{n}": v
            for n, v in errors_of(
                Features(whiten=161, epochs=0).fit, {"161": ((np.repeat(images, 18, 0),), {})}
            ).items()
        }
    )


def fused_layers() -> dict[str, np.ndarray]:
    """Pooling behind batch normalisation and un-pooling before a convolution: ties, negative scales, odd sides."""
    import torch

    found: dict[str, np.ndarray] = {}
    pooled, unpooled, unpool = find("pooled_norm"), find("unpooled_deconvolution"), find("unpool")
    r = torch.Generator().manual_seed(0)
    for shape in ((3, 3, 5, 4), (2, 2, 6, 7), (1, 1, 2, 2)):
        for kind in (torch.float32, torch.float64):
            maps = torch.randn(shape, generator=r).mul(2).round().div(2).to(kind)
            norm = torch.nn.BatchNorm2d(shape[1]).to(kind)
            with torch.no_grad():
                norm.weight[0], norm.bias[-1] = -0.7, 0.4
            for training in (True, False):
                norm.train(training)
                norm.momentum = 0.3 if shape[0] == 3 else None
                x = maps.clone().requires_grad_()
                out, where = pooled(x, norm)
                out.square().sum().add(out[0].sum()).backward()
                key = f"{shape}.{kind}.{training}"
                found |= {
                    f"{key}.out": out.detach().numpy(),
                    f"{key}.where": where.numpy(),
                    f"{key}.by x": x.grad.numpy(),
                }
                found |= {f"{key}.{n}": p.grad.numpy().copy() for n, p in norm.named_parameters()}
                found |= {f"{key}.{n}": v.numpy().copy() for n, v in norm.state_dict().items()}
                norm.zero_grad()
            for out_channels, kernel, padding in ((2, 3, 1), (1, 5, 0), (3, 7, 2), (5, 3, 0)):
                layer = torch.nn.ConvTranspose2d(shape[1], out_channels, kernel, padding=padding).to(kind)
                with torch.no_grad():
                    for p in layer.parameters():
                        p.copy_(torch.randn(p.shape, generator=r))
                value = out.detach().clone().requires_grad_()
                size = tuple(shape[2:])
                if min(s + kernel - 1 - 2 * padding for s in size) < 1:
                    continue
                told = unpooled(value, where, layer, size)
                told.square().sum().add(told[..., 0].sum()).backward()
                key = f"{shape}.{kind}.{out_channels}.{kernel}"
                found |= {
                    f"{key}.told": told.detach().numpy(),
                    f"{key}.by v": value.grad.numpy(),
                    f"{key}.by w": layer.weight.grad.numpy(),
                    f"{key}.by b": layer.bias.grad.numpy(),
                }
            found[f"{shape}.{kind}.unpool"] = unpool(out.detach(), where, tuple(shape[2:])).numpy()
    return found


def _note(seen: list, epoch: int, S: np.ndarray, Z: np.ndarray) -> dict:
    """A monitor that sums up what it is shown."""
    seen.append((epoch, S.sum(0), Z.sum(0)))
    return {"noted": epoch}


def boosted_clustering() -> dict[str, np.ndarray]:
    """DBC by every option: a start that is even, smoothed or not, epochs to the end and resumed."""
    DBC, Features, found = find("DBC"), find("FCAEFeatures"), {}
    images, _ = digits((7, 6, 5, 2))
    features = Features(epochs=1, whiten=6, random_state=0, batch_size=8, device="cpu").fit(images)
    variants = {
        "book": {"features": features},
        "letter": {"features": features, "smoothing": 0, "discriminant": False, "radius": None, "alpha": 1.5},
        "sgd": {
            "features": features,
            "optimizer": "sgd",
            "learning_rate": 0.1,
            "settle": False,
            "start": "even",
            "normalisation": "soft",
            "v": 3.0,
        },
        "none": {
            "features": features,
            "normalisation": "none",
            "decay": 1.0,
            "n_neighbors": 40,
            "smoothing": 1,
            "weight_decay": 0.01,
        },
        "still": {"features": features, "learning_rate": 1e-9, "epochs": 3},
        "two": {"features": features, "n_clusters": 2, "batch_size": 19},  # one image is left over
        "one": {"features": features, "n_clusters": 1},
    }
    for name, options in variants.items():
        made = DBC(
            **{
                "n_clusters": 3,
                "epochs": 2,
                "n_init": 4,
                "smoothing": 3,
                "batch_size": 9,
                "random_state": 0,
                "device": "cpu",
                **options,
            }
        )
        seen = []
        model = made.fit(images, monitor=partial(_note, seen))
        found |= attributes(
            name, model, "labels_ soft_assignments_ embedding_ cluster_centers_ start_labels_ n_iter_ converged_"
        )
        found |= untimed(model.history_, f"{name}.history") | {
            f"{name}.p": model.predict_proba(images[:4]),
            f"{name}.y": model.predict(images[::3]),
        }
        found |= {f"{name}.seen.{i}": np.concatenate([[e], s, z]) for i, (e, s, z) in enumerate(seen)}
    kept = {
        "n_clusters": 3,
        "features": features,
        "n_init": 2,
        "smoothing": 2,
        "batch_size": 7,
        "random_state": 0,
        "checkpoint": Path("dbc.pt"),
        "device": "cpu",
    }
    DBC(epochs=1, **kept).fit(images)
    again = DBC(epochs=3, **kept).fit(images)
    found |= attributes("resumed", again, "labels_ soft_assignments_ cluster_centers_") | untimed(
        again.history_, "resumed.history"
    )
    found |= {
        f"other.{n}": v
        for n, v in raised(
            lambda **o: DBC(epochs=3, **{**kept, **o}).fit(images),
            [{"alpha": 3.0}, {"smoothing": 1}, {"v": 2.0}, {"n_init": 3}],
        ).items()
    }
    own = DBC(
        3,
        features=Features(epochs=1, whiten=4, batch_size=9, random_state=5),
        epochs=1,
        n_init=2,
        smoothing=1,
        random_state=5,
        checkpoint=Path("own.pt"),
        device="cpu",
    ).fit(images)
    found |= attributes("own", own, "labels_ embedding_")
    averaged, evenness, start = find("averaged"), find("evenness"), find("kmeans_start")
    X = blobs((12, 6, 2), 4)
    for neighbours, rounds in ((3, 0), (3, 1), (2, 4), (50, 2)):
        found[f"averaged.{neighbours}.{rounds}"] = averaged(X, neighbours, rounds, "cpu")
    found["even"] = np.array(
        [
            evenness(np.array(y), k)
            for y, k in (([0, 0, 0, 1], 2), ([0, 1, 2], 3), ([0, 0], 1), ([2, 2, 0], 3), ([0, 1], 5))
        ]
    )
    with holding(home("kmeans_start"), SAMPLE=15):
        for choice in ("distortion", "even"):
            for k in (2, 4):
                found[f"start.{choice}.{k}"] = start(rng(9).normal(size=(25, 3)), k, 8, choice, 1)

    def make(**options):
        usual = {"n_clusters": 2, "features": features, "epochs": 0, "n_init": 1, "smoothing": 0, "random_state": 0}
        return DBC(**{**usual, **options}).fit(images)

    cases = [
        {"alpha": 0},
        {"v": -1},
        {"radius": 0},
        {"decay": 0},
        {"decay": 1.01},
        {"decay": 1},
        {"normalisation": "x"},
        {"start": "x"},
        {"n_init": 0},
        {"smoothing": -1},
        {"n_neighbors": 0},
        {"n_neighbors": 1},
        {"features": 3},
        {"epochs": -1},
        {"batch_size": 1},
        {"optimizer": "x"},
        {"n_clusters": 21},
    ]
    found |= raised(make, cases)
    return (
        found
        | errors_of(make, {})
        | {
            f"shape.{n}": v
            for n, v in errors_of(
                DBC(2, features=features, epochs=0, n_init=1).fit, {"other": ((images[:, :, :6],), {})}
            ).items()
        }
    )


def text_alone() -> dict[str, np.ndarray]:
    """Both stages as written, what else the text allows, density peaks, and the runs behind the records."""
    DBC, Features, found = find("DBC"), find("FCAEFeatures"), {}
    images, _ = digits((7, 6, 5, 2))
    bare = {"normalised": False, "code": "relu"}
    for name, options in {"written": {}, "bare": bare, "bare to a corner": {**bare, "unpooling": "corner"}}.items():
        features = Features.as_written(**{"epochs": 2, "batch_size": 9, "random_state": 0, "device": "cpu", **options})
        found |= attributes(name, features.fit(images), "embedding_") | untimed(features.history_, f"{name}.history")
        found[f"{name}.told"] = features.reconstruct(images[:3])
    written = Features.as_written(epochs=1, batch_size=9, random_state=0, device="cpu").fit(images)
    variants = {
        "plain": {},
        "peaks": {"start": "density-peaks"},
        "few": {"updates": 2},
        "many": {"updates": 5, "center_rate": 3.0},
        "frozen": {"frozen": True, "settle": True, "center_rate": 0.0},
    }
    for name, options in variants.items():
        model = DBC.as_written(
            3, features=written, n_init=2, batch_size=8, random_state=1, device="cpu", **{"epochs": 2, **options}
        ).fit(images)
        found |= attributes(name, model, "labels_ soft_assignments_ cluster_centers_ start_labels_")
        found |= untimed(model.history_, f"{name}.history")
    drawn = DBC.as_written(2, epochs=0, random_state=3)
    found["settings"] = np.array([repr(sorted((n, repr(v)) for n, v in drawn.get_params().items()))])
    peaks = find("density_peaks")
    with holding(home("density_peaks"), _ROWS=7, _PAIRS=9):
        for k in (1, 3):
            found[f"peaks.{k}"] = peaks(blobs((12, 6, 2), 4), k)
            found[f"ties.{k}"] = peaks(np.repeat(np.eye(3, 2, dtype=np.float32), 4, 0), k)
    return found | _written_runs() | _layer_by_layer()


def _layer_by_layer() -> dict[str, np.ndarray]:
    """What is asked of ClustPy, of which nothing is needed: a stand-in notes the calls."""
    said: list[str] = []

    class Network:
        def __init__(self, *given, **options):
            said.append(f"made {given} {options}")

        def to(self, device):
            return self

        def layerwise_training(self, epochs, batch_size, data, corruption_fn):
            said.append(f"layers {epochs} {batch_size} {data.sum(dtype=np.float64):.6f} {corruption_fn.__name__}")

        def fit(self, epochs, batch_size, data):
            said.append(f"whole {epochs} {batch_size} {data.sum(dtype=np.float64):.6f}")

        def transform(self, rows):
            return rows[:, 3:9].astype(np.float64)

    networks = ModuleType("clustpy.deep.neural_networks")
    networks.FeedforwardAutoencoder = networks.StackedAutoencoder = Network
    deep = ModuleType("clustpy.deep")
    deep.set_torch_seed = lambda seed: said.append(f"seed {seed}")
    named = {"clustpy": ModuleType("clustpy"), "clustpy.deep": deep, "clustpy.deep.neural_networks": networks}
    before = {name: sys.modules.get(name) for name in named}
    sys.modules |= named
    try:
        with registered():
            run = find("layer_by_layer")
            found = plain(run("digits", seed=1, layer_epochs=3, pretrain_epochs=2, device="cpu"), "layers")
            found |= refusals(run, [{"dataset": "x"}, {"layer_epochs": 0}, {"seed": -1}], dataset="digits")
    finally:
        for name, module in before.items():
            sys.modules.pop(name) if module is None else sys.modules.__setitem__(name, module)
    return found | {"said": np.array(said)}


def _written_runs() -> dict[str, np.ndarray]:
    """The runs by the text alone, and the figures that are read off them."""
    found: dict[str, np.ndarray] = {}
    short = {"pretrain_epochs": 2, "epochs": 2, "device": "cpu"}
    with registered() as made, holding(home("recipe"), RECIPES={}, WATCHED=32, BINS=5):
        run, figures = find("as_written", "written", "runs"), home("score_histograms")
        for name in ("parted", "olivetti"):
            small = made[name]
            made[name] = find("ImageSet")(small.images[:, :, 1:6, 1:7], small.labels, name, split=small.split)
        trials = {"usual": {}, "peaks": {"start": "density-peaks", "updates": 3, "code": "bn", "whiten": 3}}
        for name, trial in trials.items():
            for method in ("FCAE-KMS", "DBC"):
                found |= plain(run("parted", method, **short, **trial), f"{name}.{method}")
        untrained = run("parted", "FCAE-KMS", pretrain_epochs=0, device="cpu")
        found |= plain(untrained, "untrained")
        own = {**short, "variant": "as written"}
        with holding(figures, CONFIDENT=0.2, SHOWN=3, NEIGHBOURS=2):
            for method in ("first epoch", "epoch 4", "last epoch"):
                found |= plain(figures.score_histograms("parted", method, **own), f"histogram.{method}")
            for method in ("first epoch", "epoch 2", "last epoch"):
                found |= plain(figures.plane("olivetti", method, points=31, **own), f"plane.{method}")
            found |= plain(figures.confident_mistakes("parted", **own), "mistakes", without=("second", "x_"))
        maps = {"pretrain_epochs": 1, "variant": "as written", "device": "cpu"}
        found |= plain(figures.inner_activations("parted", classes="0 2", **maps), "maps", without=("second",))
        found |= plain(figures.learned_filters("digits", **maps), "filters")
        for method in ("alpha 4", "soft", "half start", "random start"):
            found |= plain(figures.curve_as_written("parted", method, **short), f"curve.{method}")
        bad = [{"dataset": "x"}, {"method": "KMS"}, {"seed": -1}]
        found |= refusals(run, bad, dataset="parted", method="DBC")
        found |= refusals(figures.curve_as_written, bad, dataset="parted", method="soft")
        found |= refusals(figures.plane, [{"variant": "x"}], dataset="parted")
        pixels = find("kmeans_by_preparation")
        for preparation in ("unit", "l2", "centred", "standardised"):
            found |= plain(pixels("parted", preparation), f"pixels.{preparation}")
        found |= refusals(pixels, [{"dataset": "x"}, {"preparation": "x"}], dataset="digits", preparation="l2")
    return found


WITNESSES = {
    "text-alone": text_alone,
    "convolutional-autoencoder": convolutional_autoencoder,
    "fused-layers": fused_layers,
    "boosted-clustering": boosted_clustering,
}
