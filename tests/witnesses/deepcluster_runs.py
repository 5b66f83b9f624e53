"""DeepCluster's runs: every setting's training and what is read off it."""

import numpy as np

from witnesses._find import find
from witnesses._sets import plain, refusals, registered

TINY = {"n_images": 21, "epochs": 1, "per_class": 2, "width": 0.02, "batch_size": 8, "device": "cpu"}


def deepcluster_runs() -> dict[str, np.ndarray]:
    """Every setting's training, probes, retrieval, filters and classification on a stand-in."""
    found: dict[str, np.ndarray] = {}
    with registered():
        pretrain, probe, retrieve = find("pretrain"), find("probe"), find("retrieve")
        filters, transfer = find("filter_images"), find("transfer_to")
        for method in ("DeepCluster", "DeepCluster PIC", "DeepCluster uncurated"):
            found |= plain(
                pretrain("imagenette", method, **{**TINY, "epochs": 2 if method == "DeepCluster" else 1})
                if method == "DeepCluster"
                else _trained(method),
                method,
            )
        tested = {"n_labelled": 12, "n_tested": 9, "trained_on": "imagenette"}
        for method, dataset in (("DeepCluster", "imagenette"), ("Labels", "parted"), ("Random VGG-16", "flowers-17")):
            run = {**TINY, "width": 0.01} if "VGG" in method else TINY
            if "VGG" not in method:
                found |= plain(probe(dataset, method, probe_epochs=2, **tested, **run), f"probe.{method}")
        found |= plain(
            retrieve("imagenette", "Random", trained_on="imagenette", resolution=40, levels=2, **TINY), "retrieve"
        )
        found |= plain(filters("imagenette", "Random", stage=1, n_filters=2, steps=3, thumbnail=8, **TINY), "filters")
        for layers, norm in (("fc68", "trained"), ("fc68", "frozen"), ("all", "trained")):
            found |= plain(
                transfer("flowers-17", "Labels", "classification", layers, norm, steps=2, **tested, **TINY),
                f"{layers}.{norm}",
            )
        bad = [{"dataset": "x"}, {"method": "x"}, {"seed": -1}, {"n_images": 19}, {"n_images": 20}]
        found |= refusals(pretrain, [*bad, {"method": "Random"}], dataset="digits", method="DeepCluster")
        found |= refusals(probe, [*bad, {"trained_on": "x"}], dataset="digits", method="Random") | refusals(
            retrieve, [{"whitened_on": "x"}], dataset="digits", method="Random"
        )
        found |= refusals(
            transfer,
            [*bad, {"task": "x"}, {"layers": "x"}, {"task": "detection"}, {"task": "detection", "dataset": "voc2007"}],
            dataset="digits",
            method="Random",
        )
        draw, enlarged, first, split = (
            find("draw_images"),
            find("enlarged"),
            find("first_layer"),
            find("split", "transfer"),
        )
        labels = np.repeat([0, 1, 2, 5], [9, 3, 6, 1])
        for how in ("curated", "uncurated"):
            found |= {f"drawn.{how}.{n}": draw(labels, n, how) for n in (4, 7, 12, 19)}
        found["enlarged"] = np.array(
            [
                enlarged(np.zeros((1, 1, h, w), np.uint8)).shape
                for h, w in ((8, 9), (24, 24), (23, 40), (12, 12), (11, 30))
            ]
        )
        found["first layer"] = np.array([repr(first(s)) for s in (224, 112, 111, 48, 47, 28, 27)])
        found["crop size"] = np.array([find("crop_size")(n) for n in ("digits", "imagenette", "coil-20")])
        for name in ("imagenette", "parted", "digits"):
            found |= {
                f"split.{name}.{i}": part.astype(np.int64).sum(axis=tuple(range(1, part.ndim)))
                for i, part in enumerate(split(name, 9, 7))
            }
        settings = find("SETTINGS", "deepcluster")
        found["settings"] = np.array([repr((name, vars(setting))) for name, setting in settings.items()])
    return found


def _trained(method: str) -> dict[str, np.ndarray]:
    arrays = find("train", "experiments", "deepcluster")("imagenette", method, seed=0, **TINY)
    # what chance gives is younger than the witness: that of the agreements has it
    return {n: value for n, value in arrays.items() if not n.startswith("weights") and "chance" not in n}


def deepcluster_agreement() -> dict[str, np.ndarray]:
    """Agreements beside chance, where clusters are kept for two epochs and where they are not."""
    found: dict[str, np.ndarray] = {}
    with registered():
        agreement = find("agreement", "deepcluster")
        for name, how in (("each", {}), ("second", {"reassign": 2, "dropout": 0.1, "n_components": 3})):
            found |= plain(agreement("imagenette", "DeepCluster", **{**TINY, "epochs": 4, **how}), name)
        bad = [{"dataset": "x"}, {"method": "x"}, {"method": "Random"}, {"n_images": 19}]
        found |= refusals(agreement, bad, dataset="digits", method="DeepCluster")
    pool, sizes = find("pool", "deepcluster"), np.repeat([0, 1, 2, 5], [9, 3, 6, 1])
    found |= {f"pool.{how}.{n}": pool(sizes, n, how) for how in ("curated", "uncurated") for n in (12, 18, 19, 20)}
    chance, labels = find("chance_nmi"), np.arange(24) % 4
    cases = {"same": labels, "one": labels * 0, "some": np.arange(24) % 3, "few": np.arange(24) // 9}
    return found | {f"chance.{name}": np.array(chance(labels, other)) for name, other in cases.items()}


WITNESSES = {
    "deepcluster-agreement": deepcluster_agreement,
    "deepcluster-runs": deepcluster_runs,
}
