"""The runs behind the records of JULE, DBC and the classical rows, on made-up sets."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np

from witnesses._data import errors_of, rng
from witnesses._find import find, holding, home
from witnesses._sets import plain, refusals, registered


def classical_runs() -> dict[str, np.ndarray]:
    """Rows on pixels and on centred pixels, initial clusters, merge curves."""
    found: dict[str, np.ndarray] = {}
    with registered():
        run, centred, first, curve = (
            find("cluster_pixels"),
            find("cluster_centred_pixels"),
            find("initial_clusters", "experiments", "runs", "pixels"),
            find("merge_curve"),
        )
        for method in ("K-means", "AC-GDL", "SC-NJW"):
            found |= plain(run("digits", method, device="cpu"), method) | plain(
                centred("digits", method, 1, "published"), f"centred.{method}"
            )
        found |= plain(first("digits"), "initial") | plain(first("digits", True), "initial centred")
        with holding(home("merge_curve"), SMALL=3):
            for linkage, isolated in (("gdl", "keep"), ("path", "nearest"), ("zeta", "keep")):
                found |= plain(curve("digits", linkage, isolated, points=4), f"{linkage}.{isolated}")
        found["row"] = np.array(
            repr({name: (row.options, row.random, row.variants) for name, row in find("ROWS", "rows").items()})
        )
        bad = [{"dataset": "x"}, {"method": "x"}, {"variant": "x"}, {"seed": -1}, {"seed": 0}, {"method": "NMF-LP"}]
        found |= refusals(run, bad, dataset="digits", method="K-means") | refusals(
            centred, bad, dataset="digits", method="K-means"
        )
        found |= refusals(
            curve,
            [{"linkage": "x"}, {"isolated": "x"}, {"variant": "x"}, {"points": 1}, {"points": 2}],
            dataset="digits",
        )
        scores, compact = find("scores", "experiments"), find("compact")
        y = np.array([0, 0, 1, 2, 2])
        found |= plain(scores(y, np.array([3, 3, 1, 1, 0])), "scores") | {
            f"compact.{n}": compact(np.array([0, n])) for n in (1, 255, 256, 65536)
        }
    return found


def jule_runs() -> dict[str, np.ndarray]:
    """JULE's rows, stages, neighbours and transfer between sets of other shapes."""
    found: dict[str, np.ndarray] = {}
    with registered():
        joint, learned, stages = find("joint_clustering"), find("cluster_learned"), find("stages")
        how = {"epochs": 1, "device": "cpu"}
        for method in ("OURS-SF", "OURS-RC"):
            found |= plain(joint("digits", method, unrolling_rate=0.5, n_neighbors=6, **how), method)
        found |= plain(find("train_jule")("digits", variant="all-released", features=5, **how), "released")
        for method in ("K-means", "NMF-LP"):
            found |= plain(learned("digits", method, **how), f"learned.{method}")
        with holding(home("stages"), _SHOWN=13):
            found |= plain(stages("digits", **how), "stages")
        settings = find("settings", "jule")
        cases = [("digits",), ("umist",), ("olivetti", "default", 0.3), ("digits", "nearest-negatives", 0.0, 7, 2)]
        found["settings"] = np.array([repr(sorted(settings(*case).items())) for case in cases])
        purity, transfer, shaped = (
            find("neighbour_purity"),
            find("transfer", "jule_features", "jule"),
            find("as_shaped"),
        )
        with holding(home("neighbour_purity"), NEIGHBOURS=(1, 5, 29, 30, 50)):
            for method in ("raw", "learned"):
                found |= plain(purity("digits", method, **how), f"purity.{method}")
        for layer in ("data", "top(ip)", "top-1"):
            found |= plain(transfer("imagenette", layer, "digits", **how), f"transfer.{layer}")
        pictures = rng(0).integers(0, 256, (3, 3, 9, 7)).astype(np.uint8)
        for shape in ((1, 9, 7), (3, 9, 7), (1, 5, 8), (2, 12, 7)):
            found[f"shaped.{shape}"] = shaped(pictures, shape)
        centred = find("cluster_centred")
        found |= plain(centred("digits", "OURS-RC", **how), "centred")
        bad = [{"dataset": "x"}, {"method": "x"}, {"variant": "x"}, {"epochs": 0}, {"epochs": 1}, {"seed": -1}]
        found |= refusals(joint, bad, dataset="digits", method="OURS-SF") | refusals(
            learned, bad, dataset="digits", method="K-means"
        )
        found |= refusals(purity, bad, dataset="digits", method="raw") | refusals(
            transfer, [*bad, {"source": "x"}, {"method": "top-1"}], dataset="digits", method="data", source="digits"
        )
    return found


def jule_readings() -> dict[str, np.ndarray]:
    """What rests on JULE as released in place of ours."""
    found: dict[str, np.ndarray] = {}
    with registered():
        how = {"epochs": 1, "device": "cpu", "reading": "as-released"}
        found |= plain(find("cluster_learned")("digits", "K-means", **how), "learned")
        found |= plain(find("stages")("digits", **how), "stages")
        found |= plain(find("neighbour_purity")("digits", "learned", **how), "purity")
        transfer = find("transfer", "jule_features", "jule")
        for layer in ("data", "top-1"):
            found |= plain(transfer("imagenette", layer, "digits", **how), f"transfer.{layer}")
        found |= plain(find("low_dimensional")("parted", "OURS (PCA of 160-D)", 2, **how), "plane")
    return found


def jule_embeddings() -> dict[str, np.ndarray]:
    """Few dimensions by every method, with a test part and without."""
    found: dict[str, np.ndarray] = {}
    with registered():
        run = find("low_dimensional")
        how = {"epochs": 1, "autoencoder_epochs": 1, "autoencoder_width": 8, "nca_images": 9, "device": "cpu"}
        with holding(home("low_dimensional"), NEIGHBOURS=4, _AT_ONCE=8):
            for method in (
                "PCA",
                "NCA",
                "Autoencoder",
                "OURS",
                "OURS (not normalised)",
                "OURS (final clusters)",
                "OURS (PCA of 160-D)",
            ):
                found |= plain(run("parted", method, 2, **how), method)
            found |= plain(run("digits", "PCA", 3, **how), "whole") | plain(
                run("digits", "OURS", 3, seed=1, **how), "ours"
            )
        bad = [
            {"dataset": "x"},
            {"method": "x"},
            {"dimension": 0},
            {"autoencoder_width": 3},
            {"autoencoder_width": 4},
            {"nca_images": 0},
            {"autoencoder_epochs": 0},
        ]
        found |= refusals(run, bad, dataset="digits", method="PCA")
    return found


def jule_patches() -> dict[str, np.ndarray]:
    """Codebooks of patches: by K-means, by each layer of a network; and the parts of the pipeline by themselves."""
    import torch

    found: dict[str, np.ndarray] = {}
    with registered():
        run = find("classify", "patches")
        how = {"sizes": "6 14 99", "n_patches": 40, "n_codes": 5, "n_clusters": 3, "epochs": 1, "device": "cpu"}
        for method in ("K-means", "conv1", "conv2", "conv1&2", "ip"):
            found |= plain(run("digits", method, **how), method)
        found |= plain(run("parted", "conv2", batch_norm=False, **how), "parted")
        found["parts"] = np.concatenate([p.ravel() for p in find("parts", "patches")("parted")])
        found |= errors_of(run, {"too few": (("digits", "K-means"), {**how, "sizes": "9999"})})
        bad = [
            {"dataset": "x"},
            {"method": "x"},
            {"n_codes": 1},
            {"n_codes": 2},
            {"n_patches": 1},
            {"n_clusters": 1},
            {"sizes": "0"},
            {"sizes": "a"},
            {"sizes": "1"},
        ]
        found |= refusals(run, bad, dataset="digits", method="K-means")
    patches, quadrants, normalised, svm = (
        find("random_patches"),
        find("quadrants"),
        find("normalised", "coates"),
        find("squared_hinge_svm"),
    )
    accuracy, whiten, features, Codebook = (
        find("standardised_svm_accuracy"),
        find("whiten_patches"),
        find("image_features"),
        find("Codebook"),
    )
    r = rng(2)
    images = r.integers(0, 256, (5, 2, 8, 7)).astype(np.uint8)
    images[1] = 9
    found["patches"] = patches(images, 13, 3, 4)
    cut = patches(images, 17, 4)
    whitening, white = whiten(cut)
    found |= {
        "white": white.numpy(),
        "normalised": normalised(torch.arange(12.0).view(3, 4) ** 2).numpy(),
        "one": normalised(torch.arange(3.0)[:, None]).numpy(),
    }
    book = Codebook(4, 2, whitening, white[:6] * 0.9)
    with holding(home("image_features"), _AT_ONCE=200):
        found["coded"] = features(images, book)
    found |= {
        f"quadrants.{s}": quadrants(torch.arange(float(np.prod(s))).view(s)).numpy()
        for s in ((1, 2, 2, 1), (1, 3, 5, 2), (2, 4, 3, 1), (1, 5, 2, 1))
    }
    rows, y = r.normal(size=(19, 3)).astype(np.float32), np.arange(19) % 3
    rows[:, 0] += y
    found["weights"] = svm(torch.from_numpy(rows), torch.from_numpy(y), 3.0, 20).numpy()
    found["accuracy"] = np.array([accuracy(rows, y, rows[::2] + 0.3, y[::2], C=c) for c in (0.1, 100.0)])

    found |= errors_of(patches, {str(a): ((images, *a), {}) for a in ((0, 3), (1, 8), (1, 7), (1, 0))})
    small = Codebook(6, 2, whitening, white[:1])
    found |= errors_of(
        features, {"7": ((images, Codebook(7, 2, whitening, white[:1])), {}), "6": ((images, small), {})}
    )
    return found | errors_of(accuracy, {"C": ((rows, y, rows, y), {"C": 0}), "classes": ((rows, y * 0, rows, y), {})})


def jule_patches_learned_elsewhere() -> dict[str, np.ndarray]:
    """A codebook by JULE as released on the images of another set."""
    with registered():
        how = {"sizes": "6 14 99", "n_patches": 40, "n_codes": 5, "n_clusters": 3, "epochs": 1, "device": "cpu"}
        run = find("classify", "patches")
        return plain(run("digits", "conv2", train="parted", reading="as-released", **how), "elsewhere")


def face_verification() -> dict[str, np.ndarray]:
    """Networks by clusters and by labels, pairs in folds, thresholds where similarities are equal."""
    import torch

    from witnesses._data import digits, weights_of

    found: dict[str, np.ndarray] = {}
    with registered():
        run = find("verify", "faces")
        how = {"target": "olivetti", "epochs": 1, "softmax_epochs": 2, "n_folds": 2, "device": "cpu"}
        for method, n_train in (("Supervised", 0), ("OURS", 0), ("OURS", 20)):
            found |= plain(run("digits", method, n_train=n_train, **how), f"{method}.{n_train}")
        bad = [
            {"dataset": "x"},
            {"method": "x"},
            {"target": "x"},
            {"dataset": "lfw"},
            {"n_train": -1},
            {"softmax_epochs": 0},
            {"n_folds": 1},
            {"n_folds": 2},
            {"crop": 0},
            {"crop": 1},
            {"crop": 1.1},
        ]
        found |= refusals(run, bad, dataset="digits", method="OURS", target="olivetti")
    cosine, best, accuracy, tune = (
        find("cosine"),
        find("best_threshold"),
        find("verification_accuracy"),
        find("fine_tune_softmax"),
    )
    r = rng(3)
    a, b = r.integers(-2, 3, (14, 3)), r.integers(-2, 3, (14, 3))
    a[2] = 0
    found["cosine"] = cosine(a, b)
    same = r.random(14) < 0.5
    levels = np.round(r.random(14) * 4) / 4
    found["threshold"] = np.array(
        [best(levels[:n], same[:n]) for n in range(2, 15)] + [best(levels, s) for s in (same | True, same & False)]
    )
    found["accuracy"] = np.array([accuracy(levels, same, np.arange(14) % k) for k in (2, 3, 7)])
    at_the_threshold = np.array([0, 1, 0.5, 0.75]), np.array([False, True, True, True])  # 0.5, by the first two
    found["accuracy.at"] = np.array(accuracy(*at_the_threshold, np.arange(4) // 2))
    cases = {
        "one fold": ((levels, same, same * 0), {}),
        "length": ((levels[1:], same, np.arange(14) % 2), {}),
        "nan": ((levels * np.nan, same, np.arange(14) % 2), {}),
    }
    found |= errors_of(accuracy, cases)
    images, labels = digits((4, 4, 3))
    make = lambda: find("JuleNet")(1, 8, 8, filters=2, features=3, generator=torch.Generator().manual_seed(2))  # noqa: E731
    network = make()
    tune(network, images, labels, epochs=3, batch_size=5, checkpoint="s.pt")
    found |= weights_of(network)
    tune(again := make(), images, labels, epochs=4, batch_size=5, checkpoint="s.pt")
    found |= {f"resumed.{n}": v for n, v in weights_of(again).items()}
    cases = {
        "one": ((make(), images[:1], labels[:1]), {}),
        "labels": ((make(), images, labels[1:]), {}),
        "rank": ((make(), images[0], labels[:1]), {}),
    }
    cases |= {
        str(o): ((make(), images[:4], labels[:4]), {"epochs": 1, **o})
        for o in ({"epochs": 0}, {"batch_size": 1}, {"batch_size": 2}, {"learning_rate": 0})
    }
    return found | errors_of(tune, cases)


def dbc_runs() -> dict[str, np.ndarray]:
    """DBC's rows, curves and figures, and one departure from the book's settings."""
    found: dict[str, np.ndarray] = {}
    with registered() as made, holding(home("recipe"), RECIPES={}, WATCHED=7, BINS=5):
        tiny = find("ImageSet")(
            made["parted"].images[:, :, 1:6, 1:7], made["parted"].labels, "parted", split=made["parted"].split
        )
        made["parted"] = tiny
        made["olivetti"] = find("ImageSet")(tiny.images, tiny.labels, "olivetti")
        made["digits"] = find("ImageSet")(made["digits"].images[:16], made["digits"].labels[:16], "digits")
        cluster, curve = find("cluster", "experiments", "dbc"), find("learning_curve")
        recipe = find("recipe")
        Recipe = type(recipe("parted"))
        with holding(home("recipe"), USUAL=Recipe(1, 2, 4), RECIPES={"digits": Recipe(1, 1, 3)}):
            for method in ("KMS", "FCAE-KMS", "DBC"):
                found |= plain(cluster("parted", method, device="cpu"), method)
            found |= plain(cluster("digits", "DBC", 1, 1, 1, device="cpu"), "digits")
            for method in ("alpha 1.5", "none", "half start", "random start", "FCAE-KMS"):
                found |= plain(curve("parted", method, pretrain_epochs=2, epochs=1, device="cpu"), method)
            switched = find("switched")
            for choice in ("by-the-letter", "sgd-in-stage-1"):
                found |= plain(switched("parted", choice, epochs=1, device="cpu"), choice)
            figures = home("score_histograms")
            with holding(figures, CONFIDENT=0.3, SHOWN=3, NEIGHBOURS=2):
                for method in ("first epoch", "last epoch"):
                    found |= plain(figures.score_histograms("parted", method, device="cpu"), f"histogram.{method}")
            with holding(figures, NEIGHBOURS=2), holding(home("recipe"), WATCHED=32):
                found |= plain(figures.plane("olivetti", "first epoch", points=31, device="cpu"), "plane")
                found |= plain(figures.confident_mistakes("parted", device="cpu"), "mistakes", without=("second", "x_"))
            found |= plain(figures.learned_filters("digits", device="cpu"), "filters")
            found |= plain(
                figures.inner_activations("digits", classes="0 2", device="cpu"), "maps", without=("second",)
            )
            found["classes"] = figures._as_classes(np.array([0, 0, 1, 2, 2, 1]), np.array([3, 3, 0, 1, 1, 1]))
        found["recipe"] = np.array([repr(recipe(n, *e)) for n in ("parted", "digits") for e in ((), (3,), (None, 4))])
        found["decay"] = np.array([find("decay_over")(n) for n in (0, 1, 2, 50)])
        bad = [
            {"dataset": "x"},
            {"method": "x"},
            {"seed": -1},
            {"epochs": 0},
            {"epochs": 1},
            {"pretrain_epochs": -1},
            {"pretrain_epochs": 0},
        ]
        found |= refusals(cluster, bad, dataset="digits", method="DBC", seed=0) | refusals(
            curve, bad, dataset="digits", method="soft", seed=0
        )
        found |= refusals(switched, [*bad, {"choice": "x"}], dataset="digits", choice="by-the-letter")
        found |= refusals(figures.plane, [{"dataset": "x"}, {"seed": -1}], dataset="digits")
    return found


def dbc_peers() -> dict[str, np.ndarray]:
    """What is asked of ClustPy, of which nothing is needed: a stand-in notes the calls."""
    import torch

    found: dict[str, np.ndarray] = {}
    said: list[str] = []

    class Network(torch.nn.Linear):
        def transform(self, rows):
            return self(torch.from_numpy(rows)).detach().numpy()

    def network(size):
        with torch.random.fork_rng([]):
            torch.manual_seed(1)
            return Network(size, 10)

    def told(name, options):
        said.append(
            f"{name} " + " ".join(f"{k}={v}" for k, v in sorted(options.items()) if k not in ("data", "neural_network"))
        )

    def estimator(name):
        class Estimator:
            def __init__(self, k, **options):
                told(f"{name} {k}", options)
                self.k, self.network = k, options.get("neural_network")

            def fit(self, X):
                sums = X[:, ::3].sum(1) if self.network is None else self.network.transform(X).sum(1)
                order = np.argsort(np.argsort(sums, kind="stable"))
                self.labels_, self.dec_labels_ = order % self.k, order * self.k // len(X)
                self.dcn_labels_ = self.dec_labels_[::-1].copy()
                return self

        return Estimator

    def trained(**options):
        told("trained", options)
        return network(options["data"].shape[1])

    def untrained(size, **options):
        told(f"untrained {size}", options)
        return network(size)

    deep = SimpleNamespace(
        get_trained_network=trained,
        get_neural_network=untrained,
        set_torch_seed=lambda seed: told("seed", {"is": seed}),
        **{name: estimator(name) for name in ("AEC", "DEN", "DCN", "DEC")},
    )
    package = ModuleType("clustpy")
    package.deep = deep
    before = {name: sys.modules.get(name) for name in ("clustpy", "clustpy.deep")}
    sys.modules |= {"clustpy": package, "clustpy.deep": deep}
    try:
        with registered():
            run = find("cluster", "dbc_peers", "peers")
            for method in ("DAE-KMS", "AEC", "DEN", "DCN", "DEC"):
                found |= plain(run("digits", method, device="cpu"), method)
            found |= plain(run("digits", "DEC", 2, 7, 9, device="cpu"), "given")
            flat = np.arange(96, dtype=np.uint8).reshape(4, 3, 4, 2) * np.array([0, 1, 2], np.uint8)[:, None, None]
            found["standardised"] = find("standardised")(find("ImageSet")(flat, np.arange(4), "flat"))
            bad = [
                {"dataset": "x"},
                {"method": "x"},
                {"epochs": 0},
                {"epochs": 1},
                {"pretrain_epochs": 0},
                {"seed": -1},
            ]
            found |= refusals(run, bad, dataset="digits", method="DEC")
    finally:
        for name, module in before.items():
            sys.modules.pop(name) if module is None else sys.modules.__setitem__(name, module)
    return found | {"said": np.array(said)}


WITNESSES = {
    "classical-runs": classical_runs,
    "jule-runs": jule_runs,
    "jule-readings": jule_readings,
    "jule-embeddings": jule_embeddings,
    "jule-patches": jule_patches,
    "jule-patches-learned-elsewhere": jule_patches_learned_elsewhere,
    "face-verification": face_verification,
    "dbc-runs": dbc_runs,
    "dbc-peers": dbc_peers,
}
