"""FCN's runs: every row of its tables on pixels and on a small network's features."""

from functools import partial

import numpy as np

from witnesses._data import errors_of, given
from witnesses._find import find, holding, home
from witnesses._sets import plain, refusals, registered


def fcn_runs() -> dict[str, np.ndarray]:
    """Every row of FCN's tables on pixels and on a small network's features; its splits, costs and components."""
    from witnesses.factorised import _tiny_network

    found: dict[str, np.ndarray] = {}
    tiny = _tiny_network()
    with (
        registered() as made,
        holding(home("pretrained"), pretrained=lambda *_, **__: tiny()),
        holding(home("FCN"), pretrained=lambda *_, **__: tiny()),
    ):
        cluster, classify, embed, usage = (
            find("cluster_features"),
            find("classify_features"),
            find("embed_features"),
            find("components_in_use"),
        )
        how = {"n_components": 4, "max_iter": 3, "transform_iter": 2, "device": "cpu"}
        for method in ("CNN", "PCA-CNN", "LLE-CNN", "AE-CNN", "NNAE-CNN", "NMF-FCN", "GSNMF-FCN-OTS"):
            found |= plain(cluster("parted", method, cnn="pixels", ae_epochs=2, **how), method)
        with holding(home("LLE_LIMIT"), LLE_LIMIT=20):
            found |= plain(cluster("digits", "LLE-CNN", cnn="pixels", **how), "limited")
        ep = find("EnsembleProjection")
        del ep
        for method in ("CNN", "GSNMF-FCN-FT"):
            found |= plain(
                cluster("flowers-17", method, cnn="efficientnet-lite0", size=32, epochs=1, **how), f"network.{method}"
            )
        found |= plain(
            cluster(
                "digits", "GSNMF-FCN-OTS", 2, cnn="pixels", init="random", batch_size=8, n_images=22, n_learn=15, **how
            ),
            "random",
        )
        for dataset in ("parted", "digits"):
            found |= plain(classify(dataset, "PCA-CNN", cnn="pixels", C=2.0, **how), f"svm.{dataset}")
        found |= plain(embed("digits", "CNN", cnn="pixels", n_points=13, **how), "plane")
        found |= plain(usage("digits", "GSNMF-FCN-OTS", cnn="pixels", **how), "usage") | plain(
            usage("parted", "CNN", cnn="pixels", **how), "usage CNN"
        )
        found |= _two_layers()
        settings_of, split = find("settings_of"), find("split", "protocol", "fcn")
        asked = {"seed": 3, "n_components": 5, "l1": 0.7, "ae_epochs": 3, "ep_sets": 4, "epochs": 2}
        methods = list(find("METHODS", "representations"))
        found["settings"] = np.array([_said(settings_of("digits", m, **asked)) for m in methods])
        found["settings random"] = np.array(_said(settings_of("digits", "NMF-FCN", seed=3, init="random")))
        many = find("ImageSet")(
            np.arange(70_000, dtype=np.int64).astype(np.uint8).reshape(-1, 1, 1, 1), np.arange(70_000) % 10, "mnist"
        )
        made["mnist"] = many
        for name, rest in (
            ("parted", ()),
            ("digits", ()),
            ("flowers-17", ()),
            ("coil-20", ()),
            ("mnist", ()),
            ("parted", (12,)),
            ("digits", (None, 7)),
            ("mnist", (30,)),
            ("parted", (99, 5)),
        ):
            got = split(name, *rest)
            found |= {
                f"split.{name}.{rest}.{part}": np.array(
                    [
                        len(getattr(got, part).labels),
                        *getattr(got, part).labels[[0, -1]],
                        getattr(got, part).images.astype(np.int64).sum(),
                    ]
                )
                for part in ("learn", "cluster")
            }
            found[f"split.{name}.{rest}.same"] = np.array([got.learn is got.cluster, *got.learn.images.shape[1:]])
        updates, one_pass, spread = find("time_updates"), find("time_pass"), find("_participation", "usage")
        timed = updates("digits", "8 16", "2 4", "1 2", N=8, L=3, cnn="pixels", device="cpu")
        found |= {f"cost.{n}": v for n, v in timed.items() if n.startswith("sizes")} | {
            "cost.names": np.array(sorted(timed))
        }
        found["pass"] = np.array(sorted(one_pass("flowers-17", size=32, batch=6, n_components=3)))
        found["spread"] = spread(np.array([[1.0, 1, 0], [0, 0, 0], [3, 1, 0]]))
        found["multiplications"] = np.array(list(find("multiplications")(3, 5, 7).values()))
        bad = [
            {"dataset": "x"},
            {"method": "x"},
            {"seed": -1},
            {"cnn": "x"},
            {"n_components": 0},
            {"n_components": 1},
            {"max_iter": 0},
            {"l1": -1},
            {"l1": 0},
            {"l21": -0.1},
            {"epochs": 0},
        ]
        found |= refusals(cluster, bad, dataset="digits", method="CNN") | refusals(
            one_pass, [{"where": "x"}, {"dataset": "x"}], dataset="digits"
        )
        found |= errors_of(one_pass, {"gpu": (("digits",), {"where": "gpu"})}) | errors_of(
            find("features", "protocol"), {"hidden": ((got.learn, "pixels"), {"hidden": True})}
        )
    return found | _ensembles()


# settings at their defaults, each younger than some records
_YOUNGER = {("learning_rate", 0.01), ("ae_patience", 20), ("fine_tune_layers", 1)}


def _said(settings: dict) -> str:
    """A run's settings, but for those that were at their defaults before they were settings."""
    return repr(sorted((n, v) for n, v in settings.items() if (n, v) not in _YOUNGER))


def _two_layers() -> dict[str, np.ndarray]:
    """A run that trains two layers beside the estimator; what reads how many, and what is refused."""
    from witnesses.factorised import takes_layers

    represent, split, settings_of = find("represent"), find("split", "protocol", "fcn"), find("settings_of")
    asked = given(represent, fine_tune_layers=2)
    read = [settings_of("digits", m, **asked).get("fine_tune_layers") for m in ("GSNMF-FCN-FT", "GSNMF-FCN-OTS")]
    check = partial(find("cluster_features").check, dataset="digits", method="GSNMF-FCN-FT")
    found = {"two.read": np.array(read == [2, 1] if asked else True)}
    found["two.refused"] = np.array(takes_layers(check) if asked else True)
    if not asked:
        return found | {"two.learn": np.array(True), "two.cluster": np.array(True)}
    how = {"n_components": 4, "max_iter": 3, "transform_iter": 2, "device": "cpu", "epochs": 2, **asked}
    made = represent("flowers-17", "GSNMF-FCN-FT", cnn="efficientnet-lite0", size=32, **how)
    parts = split("flowers-17")
    model = find("FCN")(fine_tune=True, size=32, init="nndsvd", random_state=0, **how).fit(parts.learn.images)
    for name in ("learn", "cluster"):
        coefficients = model.transform(getattr(parts, name).images)
        found[f"two.{name}"] = np.array(np.allclose(made[name], coefficients, rtol=1e-4, atol=1e-6))
    return found


def _ensembles() -> dict[str, np.ndarray]:
    with registered(), holding(home("represent"), METHODS=find("METHODS", "representations")):
        represent, protocol = find("represent"), home("STAND_IN_CNN")
        del protocol
        made = represent("digits", "EP-CNN", cnn="pixels", ep_sets=1, n_images=32, device="cpu")
        return plain(made, "ensemble")


def fcn_questions() -> dict[str, np.ndarray]:
    """FCN's coding of new images by number of updates, and the estimator with its defaults on a folder's images."""
    from witnesses.factorised import _tiny_network

    found: dict[str, np.ndarray] = {}
    tiny = _tiny_network()
    with (
        registered(),
        holding(home("pretrained"), pretrained=lambda *_, **__: tiny()),
        holding(home("FCN"), pretrained=lambda *_, **__: tiny()),
    ):
        encode, folder, into_k = find("encode_features"), find("cluster_a_folder"), find("cluster_into_k")
        how = {"cnn": "pixels", "n_components": 4, "max_iter": 3, "device": "cpu"}
        for method in find("PENALTIES", "fcn"):
            found |= plain(encode("parted", method, 1, updates="0 1 4", **how), method)
        found |= plain(encode("digits", "NMF-FCN", 2, updates="2", init="random", n_images=22, **how), "random")
        found |= plain(folder("digits", 1, n_classes=3, n_per_class=4, size=32, device="cpu"), "folder")
        asked = {"n_components": 3, "init": "random", "transform_iter": 2, "max_iter": 4}
        found |= plain(folder("flowers-17", n_images=20, size=32, device="cpu", **asked), "asked")
        found |= plain(into_k("parted", "NMF-FCN", 1, transform_iter=2, **how), "into k")
        found |= plain(into_k("digits", "AE-CNN", 1, n_images=22, ae_epochs=3, ae_patience=1, **how), "impatient")
        bad = [{"dataset": "x"}, {"method": "x"}, {"seed": -1}, {"updates": "1 x"}, {"updates": ""}]
        found |= refusals(encode, bad, dataset="digits", method="NMF-FCN")
        bad = [{"dataset": "x"}, {"seed": -1}, {"transform_iter": -1}]
        found |= {f"folder.{name}": value for name, value in refusals(folder, bad, dataset="digits").items()}
    return found


WITNESSES = {
    "fcn-runs": fcn_runs,
    "fcn-questions": fcn_questions,
}
