"""Fits of GSNMF and FCN, and of the other embeddings of their tables."""

from pathlib import Path

import numpy as np

from witnesses._data import attributes, error_of, errors_of, given, pictures, raised, rng, shares, untimed, weights_of
from witnesses._find import find, holding, home


def _tiny_network():
    """A maker of networks with the parts that a pretrained one has; the same weights each time."""
    import torch
    from torch import nn

    class Tiny(nn.Module):
        n_features, mean, scale = 6, (10.0, 20.0, 30.0), (50.0, 60.0, 70.0)
        trained_layers = 1

        def __init__(self):
            super().__init__()
            self.convolution = nn.Sequential(nn.Conv2d(3, 4, 5, stride=5), nn.BatchNorm2d(4))
            self.last = nn.Linear(4, 6)

        @property
        def last_hidden(self):
            return self.last if self.trained_layers == 1 else nn.ModuleList([self.convolution, self.last])

        def _pooled(self, x):
            return torch.relu(self.convolution(x)).mean((2, 3))

        def trunk(self, x):
            return self._pooled(x) if self.trained_layers == 1 else x

        def head(self, inner):
            return torch.relu(self.last(inner if self.trained_layers == 1 else self._pooled(inner)))

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
        found["identity"] = np.array("fine_tune_layers" in _identity(kept["checkpoint"]))
        found |= attributes("resumed", again.factorisation_, "embedding_")
        found |= untimed(again.history_, "resumed.history")
        extract, network = find("extract", "models.features", "extraction"), tiny()
        for hidden in (True, False):
            found[f"extracted.{hidden}"] = extract(
                images[:, :1], network, size=32, hidden=hidden, device="cpu", cache="kept"
            )
        found["kept"] = np.array(extract(images[:, :1], network, size=32, device="cpu", cache="kept"))
        found["names"] = np.array(sorted(file.name for file in Path("kept").iterdir()))
        found |= _two_layers(tiny, images, how)
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


def _identity(checkpoint: Path) -> str:
    """What a checkpoint says that its fit is."""
    import torch

    return torch.load(checkpoint, weights_only=True)["identity"]


def takes_layers(call) -> bool:
    """Whether a call takes one and two trained layers and nothing else."""
    return [str(error_of(call, fine_tune_layers=n)) == "ran" for n in (1, 2, 0, 3, True, "2")] == [True] * 2 + [
        False
    ] * 4


def _two_layers(tiny, images: np.ndarray, how: dict) -> dict[str, np.ndarray]:
    """Two trained layers beside the same steps by hand; a revision that trains one alone is taken to agree."""
    FCN, file = find("FCN"), Path("two.pt")
    names = ("weights", "losses", "new", "resumed", "restored", "frozen", "cached", "identity", "refused")
    if not given(FCN, fine_tune_layers=2):
        return {f"two.{name}": np.array(True) for name in names}
    how = {**how, "fine_tune_layers": 2, "forget_factor": 0.0, "batch_size": len(images)}
    one = {**how, "fine_tune_layers": 1, "fine_tune": False}
    whole = FCN(**how, fine_tune=True, epochs=2).fit(images)
    network, losses = _by_hand(tiny(), images, whole, 2)
    FCN(**how, fine_tune=True, epochs=1, checkpoint=file).fit(images)
    told = "fine_tune_layers" in _identity(file)
    resumed = FCN(**how, fine_tune=True, epochs=2, checkpoint=file).fit(images)
    whole.save("two")
    trained, by_hand = weights_of(whole.network_), weights_of(network)
    new, split = whole.transform(images[::2]), tiny()
    split.trained_layers = 2
    extract = find("extract", "models.features", "extraction")
    wanted = {"size": 32, "hidden": True, "device": "cpu"}
    extract(images, tiny(), **wanted, cache="two layers")
    kept, made = extract(images, split, **wanted, cache="two layers"), extract(images, split, **wanted)
    of = [line["loss"] for line in whole.history_ if line["stage"] == "fine-tune"]
    agreed = [
        all(np.allclose(trained[n], value, rtol=1e-4, atol=1e-6) for n, value in by_hand.items()),
        np.allclose(of, losses, rtol=1e-4),
        np.allclose(new, whole.factorisation_.transform(_unit(network, images[::2])), rtol=1e-3, atol=1e-5),
        np.array_equal(resumed.embedding_, whole.embedding_),
        np.array_equal(FCN.load("two", device="cpu").transform(images[::2]), new),
        np.array_equal(FCN(**{**how, "fine_tune": False}).fit(images).embedding_, FCN(**one).fit(images).embedding_),
        kept.shape == made.shape and np.array_equal(kept, made),
        told,
        takes_layers(lambda **asked: FCN(**{**one, "max_iter": 1, **asked}).fit(images)),
    ]
    return {f"two.{name}": np.array(bool(value)) for name, value in zip(names, agreed, strict=True)}


def _seen(network, images: np.ndarray):
    """What the two layers of the tiny network see of images, in half precision's values."""
    import torch

    return find("to_input")(torch.from_numpy(images), network, 32).half().float()


def _unit(network, images: np.ndarray) -> np.ndarray:
    """Activations of unit length (N, 6) float32: convolution, ReLU, mean, linear layer, ReLU."""
    import torch
    from torch.nn import functional as F

    with torch.no_grad():
        inner = torch.relu(network.convolution(_seen(network, images))).mean((2, 3))
        return F.normalize(torch.relu(network.last(inner))).numpy()


def _by_hand(network, images: np.ndarray, model, epochs: int) -> tuple:
    """The network after some steps on all images, both of its layers trained as ``model`` says, and the losses."""
    import torch
    from torch.nn import functional as F

    GSNMF, Penalty, Statistics = find("GSNMF"), find("Penalty"), find("Statistics")
    same = GSNMF().get_params().keys() & model.get_params().keys() - {"batch_size", "checkpoint"}
    start = GSNMF(**{name: getattr(model, name) for name in same}).fit(_unit(network, images))
    H, W = (torch.from_numpy(a.copy()) for a in (start.embedding_, start.components_))
    inner, losses = _seen(network, images), []
    layers = [*network.convolution.parameters(), *network.last.parameters()]
    optimiser = torch.optim.SGD(layers, model.learning_rate, momentum=0.9)
    for _ in range(epochs):
        x = F.normalize(torch.relu(network.last(torch.relu(network.convolution(inner)).mean((2, 3)))))
        statistics = Statistics.zeros(W)
        find("update_coefficients")(x.detach(), H, W, Penalty(model.l1, model.l2), statistics=statistics)
        find("update_basis")(W, statistics)
        loss = (x - H @ W).square().sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
    return network, losses


def networks() -> dict[str, np.ndarray]:
    """The networks with random weights, VGG-16's layers thin; each split below one layer and below two."""
    found, pretrained = {}, find("pretrained")
    import torch
    import torchvision.models  # after clustlib, which sees to it that this can be imported

    x = torch.from_numpy(pictures(3)).float() / 64 - 2
    enters = {"squeezenet": lambda net: net.squeeze, "vgg16": lambda net: net.classifier[0]}
    with holding(torchvision.models, vgg16=_thin_vgg), torch.inference_mode():
        for name in ("efficientnet-lite0", "efficientnet-lite2", "squeezenet", "vgg16"):
            network = pretrained(name, weights="random")
            inner = network.trunk(x)
            values = {"trunk": inner, "head": network.head(inner * 2), "whole": network(x)}
            found |= {f"{name}.{part}": value.numpy() for part, value in values.items()}
            found |= {f"{name}.{part}": value for part, value in weights_of(network.last_hidden).items()}
            second = enters.get(name, lambda net: net.blocks[-1])(network)
            found |= {f"{name}.{part}": np.array(v) for part, v in _split_lower(network, second, x).items()}
    return found


def _thin_vgg(**_):
    """Modules as those of torchvision's VGG-16 are called, a few values wide."""
    from types import SimpleNamespace

    from torch import nn

    lines = nn.Linear(16, 8), nn.ReLU(True), nn.Dropout(), nn.Linear(8, 8), nn.ReLU(True), nn.Dropout(), nn.Linear(8, 3)
    features = nn.Sequential(nn.Conv2d(3, 4, 5, stride=4), nn.ReLU())
    return SimpleNamespace(features=features, avgpool=nn.AdaptiveAvgPool2d(2), classifier=nn.Sequential(*lines))


def _split_lower(network, second, x) -> dict[str, bool]:
    """Whether two trained layers are ``second`` and the last, and the trunk what enters them."""
    import torch

    if not hasattr(network, "trained_layers"):
        return dict.fromkeys(("one", "entered", "both", "trained"), True)
    whole, last, entered = network(x), [*network.last_hidden.parameters()], []
    one = network.trained_layers == 1
    hook = second.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0].clone()))
    network(x)
    hook.remove()
    network.trained_layers = 2
    inner = network.trunk(x)
    wanted = [*second.parameters(), *last]
    trained = [*network.last_hidden.parameters()]
    return {
        "one": one,
        "entered": torch.equal(entered[0], inner),
        "both": torch.equal(network.head(inner), whole) and torch.equal(network(x), whole),
        "trained": len(trained) == len(wanted) and all(a is b for a, b in zip(trained, wanted)),
    }


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
    "networks": networks,
    "other-autoencoders": other_autoencoders,
}
