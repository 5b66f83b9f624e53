"""Fits of GSNMF and FCN, and of the other embeddings of their tables."""

from pathlib import Path

import numpy as np

from witnesses._data import attributes, errors_of, pictures, raised, rng, shares, untimed, weights_of
from witnesses._find import find, holding, home


def _tiny_network():
    """A maker of networks with the parts that a pretrained one has; the same weights each time."""
    import torch
    from torch import nn

    class Tiny(nn.Module):
        n_features, mean, scale = 6, (10.0, 20.0, 30.0), (50.0, 60.0, 70.0)

        def __init__(self):
            super().__init__()
            self.convolution = nn.Sequential(nn.Conv2d(3, 4, 5, stride=5), nn.BatchNorm2d(4))
            self.last_hidden = nn.Linear(4, 6)

        def trunk(self, x):
            return torch.relu(self.convolution(x)).mean((2, 3))

        def head(self, inner):
            return torch.relu(self.last_hidden(inner))

    def make():
        with torch.random.fork_rng([]):
            torch.manual_seed(4)
            return Tiny().eval()

    return make


def group_sparse_nmf() -> dict[str, np.ndarray]:
    """Every start and norm of the basis, whole and in batches, killed and resumed."""
    GSNMF = find("GSNMF")
    X, found = shares(20, 9), {}
    variants = {
        "paper": {},
        "more than rank": {"n_components": 12, "random_state": 0},
        "mixed": {"l21": 0.3},
        "nndsvda": {"init": "nndsvda"},
        "random": {"init": "random", "random_state": 0, "basis_norm": "compensated"},
        "ball": {"basis_norm": "ball", "l1": 0.0},
        "free": {"basis_norm": None, "l2": 0.5},
        "bfloat16": {"products": "bfloat16", "init": "random", "random_state": 1},
        "batches": {"batch_size": 6, "random_state": 0},
        "last batch": {"batch_size": 7, "forget_factor": 0.0, "random_state": 0, "basis_norm": "compensated"},
        "early": {"tol": 0.05, "max_iter": 40, "init": "random", "random_state": 3},
    }
    with holding(home("update_coefficients"), _ROWS={"cpu": 8}):
        for name, options in variants.items():
            model = GSNMF(**{"n_components": 4, "max_iter": 5, "transform_iter": 3, "device": "cpu", **options}).fit(X)
            found |= attributes(name, model, "embedding_ components_ n_iter_") | untimed(
                model.history_, f"{name}.history"
            )
            found[f"{name}.new"], found[f"{name}.back"] = (
                model.transform(X[::-1] * 2),
                model.inverse_transform(model.embedding_),
            )
    with holding(home("_Fit", "gsnmf"), _SAVE_SECONDS=0.0):
        kept = {"n_components": 3, "batch_size": 6, "random_state": 2, "checkpoint": Path("gsnmf.pt"), "device": "cpu"}
        GSNMF(max_iter=2, **kept).fit(X)
        again = GSNMF(max_iter=4, **kept).fit(X)
        found |= attributes("resumed", again, "embedding_ components_") | untimed(again.history_, "resumed.history")
        found |= {
            f"other.{n}": v
            for n, v in raised(lambda **o: GSNMF(**{**kept, **o}).fit(X), [{"l1": 0.1}, {"max_iter": 5}]).items()
        }
    from scipy.sparse import csr_array

    leading, start = find("leading_svd"), find("start", "nndsvd")
    with holding(home("leading_svd"), _DENSE=5):
        for init in ("nndsvd", "nndsvda", "random"):
            found |= dict(
                zip((f"start.{init}.H", f"start.{init}.W"), start(shares(30, 14), 6, init, np.random.RandomState(0)))
            )
    update, Penalty = find("gsnmf_update"), find("Penalty")
    H, W = rng(1).random((20, 3)), rng(2).random((3, 9))
    found["no penalty"] = np.array([update(X.astype(np.float64), H.copy(), W.copy()), Penalty(0.5).l2, Penalty().l1])
    for norm in ("unit", "compensated", "ball", None):
        h, w = H.copy(), W.copy() * 3
        value = [update(X.astype(np.float64), h, w, Penalty(0.1, 0.2, 0.3), basis_norm=norm) for _ in range(2)]
        found |= {f"update.{norm}.value": np.array(value), f"update.{norm}.H": h, f"update.{norm}.W": w}
    del csr_array, leading
    make = lambda **o: GSNMF(**{"n_components": 2, "max_iter": 1, **o}).fit(X)  # noqa: E731
    cases = [
        {"l1": -1},
        {"l2": np.inf},
        {"l21": 0},
        {"init": "x"},
        {"basis_norm": "x"},
        {"products": "x"},
        {"n_components": 0},
        {"n_components": 1},
        {"max_iter": 0},
        {"batch_size": 0},
        {"batch_size": 1},
        {"forget_factor": 1.01},
        {"forget_factor": 1},
        {"forget_factor": -0.1},
    ]
    found |= raised(make, cases)
    fitted = make()
    found |= errors_of(fitted.transform, {"width": ((X[:, :4],), {}), "negative": ((-X,), {})}) | errors_of(
        GSNMF(2).fit, {"zeros": ((X * 0,), {})}
    )
    h, w = H[:, :2].copy(), W[:2].copy()
    shapes = {
        "H": ((X.astype(float), H[:3], W), {}),
        "dtype": ((X, H, W), {}),
        "norm": ((X.astype(float), H, W), {"basis_norm": "x"}),
        "products": ((X.astype(float), H, W), {"products": "x"}),
    }
    return found | {f"update.{n}": v for n, v in errors_of(update, shapes).items()}


def factorised_network() -> dict[str, np.ndarray]:
    """FCN on what a small random network makes of pictures, off the shelf and fine-tuned; folded batch norms."""
    import torch

    FCN, found = find("FCN"), {}
    torch.manual_seed(0)
    models = home("pretrained")
    tiny = _tiny_network()
    with holding(models, pretrained=lambda *_, **__: tiny()), holding(home("FCN"), pretrained=lambda *_, **__: tiny()):
        images = pictures(14, 3, 10, 12)
        for name, options in {
            "shelf": {"n_clusters": 3},
            "tuned": {"fine_tune": True, "epochs": 2, "basis_norm": "compensated", "n_clusters": 2},
            "last": {"fine_tune": True, "epochs": 1, "forget_factor": 0.0},
        }.items():
            how = {
                "n_components": 3,
                "init": "nndsvd",
                "max_iter": 3,
                "transform_iter": 3,
                "size": 32,
                "batch_size": 5,
                "random_state": 0,
                "device": "cpu",
            }
            model = FCN(**{**how, **options}).fit(images)
            learnt = [line for line in model.history_ if line["stage"] != "cluster"]
            found |= (
                attributes(name, model.factorisation_, "embedding_")
                | untimed(learnt, f"{name}.history")
                | {f"{name}.new": model.transform(images[::2])}
            )
            found |= {f"{name}.{n}": v for n, v in weights_of(model.network_.last_hidden).items()}
        kept = {**how, "fine_tune": True, "checkpoint": Path("fcn.pt")}
        FCN(**kept, epochs=1).fit(images)
        again = FCN(**kept, epochs=3).fit(images)
        found |= attributes("resumed", again.factorisation_, "embedding_")
        found |= untimed(again.history_, "resumed.history")
        extract, network = find("extract", "models.features", "extraction"), tiny()
        for hidden in (True, False):
            found[f"extracted.{hidden}"] = extract(
                images[:, :1], network, size=32, hidden=hidden, device="cpu", cache="kept"
            )
        found["kept"] = np.array(extract(images[:, :1], network, size=32, device="cpu", cache="kept"))
        with holding(home("to_input"), _SAVE_EVERY=8, _BATCH=4):
            found["noted"] = np.array(extract(images, network, size=32, device="cpu", cache="noted"))
        cases = {
            "rank": ((images[0], network), {}),
            "channels": ((images[:, :2], network), {}),
            "none": ((images[:0], network), {}),
            "31": ((images, network), {"size": 31}),
            "nan": ((images * np.nan, network), {}),
        }
        found |= errors_of(extract, cases)
        make = lambda **o: FCN(**{**how, "max_iter": 1, **o}).fit(images)  # noqa: E731
        found |= raised(
            make,
            [
                {"epochs": 0},
                {"batch_size": 0},
                {"learning_rate": 0},
                {"learning_rate": np.inf},
                {"n_clusters": 15},
                {"n_clusters": 14},
            ],
        )
    return found


def other_autoencoders() -> dict[str, np.ndarray]:
    """Linear and deep auto-encoders and ensemble projection."""
    found: dict[str, np.ndarray] = {}
    X = shares(21, 6)
    Linear, Deep, Ensemble = find("LinearAutoencoder"), find("DeepAutoencoder"), find("EnsembleProjection")
    for name, options in {
        "free": {"epochs": 3},
        "nonnegative": {"nonnegative": True, "validation": 0.3, "epochs": 2},
        "patient": {"patience": 1, "learning_rate": 0.5, "epochs": 12},
        "all": {"patience": None, "epochs": 2, "batch_size": 100, "validation": 0.01},
    }.items():
        model = Linear(**{"n_components": 3, "batch_size": 6, "random_state": 0, "device": "cpu", **options}).fit(X)
        found |= attributes(name, model, "encoder_ encoder_bias_ decoder_ decoder_bias_") | untimed(
            model.history_, f"{name}.history"
        )
        found[f"{name}.new"] = model.transform(X[:3])
    pixels = X / X.max()
    kept = {"hidden": (5, 4), "batch_size": 8, "random_state": 1, "device": "cpu", "checkpoint": Path("deep.pt")}
    Deep(2, epochs=1, **kept).fit(pixels)
    model = Deep(2, epochs=3, **kept).fit(pixels)
    with holding(home("DeepAutoencoder"), _WHOLE=5):
        found |= {
            "deep": model.transform(pixels),
            "back": model.reconstruct(pixels) if hasattr(model, "reconstruct") else np.zeros(0),
        }
    found |= untimed(model.history_, "deep.history") | {f"deep.{n}": v for n, v in weights_of(model.network_).items()}
    found |= {
        f"other.{n}": v
        for n, v in raised(
            lambda **o: Deep(2, epochs=3, **{**kept, **o}).fit(pixels), [{"hidden": (5,)}, {"batch_size": 7}]
        ).items()
    }
    for name, options in {
        "ensemble": {},
        "two": {"n_prototypes": 2, "n_members": 21, "C": 2.0},
        "alone": {"n_members": 1, "n_hypotheses": 1},
    }.items():
        model = Ensemble(
            **{"n_sets": 2, "n_prototypes": 4, "n_members": 3, "n_hypotheses": 5, "random_state": 0, **options}
        ).fit(X)
        found |= attributes(name, model, "coef_ intercept_ prototypes_") | {f"{name}.new": model.transform(X[:5])}
    cases = [
        {"n_components": 0},
        {"epochs": 0},
        {"batch_size": 0},
        {"batch_size": 1},
        {"validation": 0},
        {"validation": 1},
        {"learning_rate": 0},
    ]
    found |= raised(lambda **o: Linear(**{"n_components": 1, "epochs": 1, **o}).fit(X), cases)
    cases = [
        {"n_components": 0},
        {"epochs": 0},
        {"batch_size": 0},
        {"batch_size": 1},
        {"learning_rate": 0},
        {"hidden": ()},
        {"hidden": (0,)},
    ]
    found |= {
        f"deep.{n}": v
        for n, v in raised(
            lambda **o: Deep(**{"n_components": 1, "hidden": (2,), "epochs": 1, **o}).fit(pixels), cases
        ).items()
    }
    found |= {
        f"range.{n}": v
        for n, v in errors_of(
            Deep(1, hidden=(2,), epochs=1).fit,
            {"over": ((pixels * 1.01,), {}), "under": ((pixels - 0.01,), {}), "one": ((pixels[:1],), {})},
        ).items()
    }
    cases = [
        {"n_sets": 0},
        {"n_prototypes": 1},
        {"n_prototypes": 2},
        {"n_members": 0},
        {"n_members": 22},
        {"n_hypotheses": 0},
        {"C": 0},
    ]
    return found | {
        f"ensemble.{n}": v
        for n, v in raised(
            lambda **o: Ensemble(**{"n_sets": 1, "n_prototypes": 2, "n_members": 2, "n_hypotheses": 1, **o}).fit(X),
            cases,
        ).items()
    }


WITNESSES = {
    "group-sparse-nmf": group_sparse_nmf,
    "factorised-network": factorised_network,
    "other-autoencoders": other_autoencoders,
}
