"""Numbers of any size: what updates with an absolute floor, products in float32 and compiled counters make of them.

Outcomes at both sides of each line; a revision from before is taken to give what is due.
"""

import inspect
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from witnesses._data import digits, pictures, rng
from witnesses._find import find, home
from witnesses._sets import registered
from witnesses.narrow import _same
from witnesses.refusals import _asked


def _fits(scale: float, **settings) -> tuple[np.ndarray, np.ndarray, float]:
    """Coefficients, those of new rows and the objective of rows of another size, each in the unit of the rows."""
    X = np.float32(scale) * rng(4).random((12, 5), np.float32)
    X[:, 0] *= np.float32(1e-9)  # beside the largest numbers, those that a floor would lift
    settings = {"l2": 0.25, "init": "random", "max_iter": 3, "transform_iter": 3, "random_state": 0} | settings
    model = find("GSNMF", "fcn")(3, **settings).fit(X)
    return model.embedding_, model.transform(X[:4]), np.array([e["objective"] for e in model.history_])


def factors() -> dict[str, np.ndarray]:
    """GSNMF of rows of ordinary size as ever; of the tiniest and the largest what their size gives."""
    found = {f"plain {i}": part for i, part in enumerate(_fits(1.0, l1=0.05))}
    gate, near = home("GSNMF", "fcn"), {}
    for power in (-40, 40):
        unit = 2.0**power
        for penalty in ("l1", "l21"):
            due = _fits(1.0, **{"l1": 0.0, penalty: 2.0**-9})
            for i, of in enumerate((unit, unit, unit**2)):
                near[f"{penalty} {power} {i}"] = (partial(_scaled, penalty, unit, i), due[i] * of)
    for power in (-9, 0):  # a penalty that would be 2**50, and one that is cut to the largest there is
        fit = partial(_fits, 2.0**-59, l1=2.0**power, max_iter=1)
        near[f"cut {power}"] = (lambda fit=fit: fit()[0].max() > 1e-36, True)
    return found | _same(gate, "_in_unit", near)


def _scaled(penalty: str, unit: float, part: int) -> np.ndarray:
    """A part of the fit in another unit, which is a power of two: the same bits."""
    return _fits(unit, **{"l1": 0.0, penalty: 2.0**-9 * unit})[part]


def units() -> dict[str, np.ndarray]:
    """From where on GSNMF takes rows in a unit of their own, and what a penalty is there."""
    gate, around = home("GSNMF", "fcn"), {"least": -13, "below": -14, "most": 20, "above": 21}
    pairs = {
        name: (lambda power=power: gate._in_own_unit(np.full((2, 2), 2.0**power))[1] == 1, name in ("least", "most"))
        for name, power in around.items()
    }
    penalties = {"same": (3.0, 1.0, 3.0), "smaller": (3.0, 2.0, 1.5), "cut": (3.0, 2.0**-60, 1e15)}
    pairs |= {n: (lambda given=given: gate._in_unit(*given), due) for n, (*given, due) in penalties.items()}
    return _same(gate, "_in_own_unit", pairs)


def lines() -> dict[str, np.ndarray]:
    """K-means of float32: groups just so narrow that they are told apart, and narrower."""
    made, found = find("KMeans"), {}
    for width in (255.0, 255.5):
        X = np.array([[-width - 1], [-width + 1], [width - 1], [width + 1], [width + 1]][:4], np.float32)
        fit = made(2, n_init=2, random_state=0).fit(X)
        found[f"{width} labels"], found[f"{width} new"] = fit.labels_, fit.predict(X)
        wide = "_are_lost" in inspect.getsource(made.fit) and width > 255
        due = np.float64 if wide else np.float32
        found[f"{width} kind"] = np.array("as due" if fit.cluster_centers_.dtype == due else "otherwise")
    groups = np.concatenate([np.arange(8.0), 50 + np.arange(8.0), [1e5, 1e5]]).astype(np.float32)[:, None]
    wanted = np.repeat([0, 1, 2], [8, 8, 2])
    pairs = {
        f"groups {seed}": (lambda seed=seed: _partition(made(3, random_state=seed).fit(groups).labels_), wanted)
        for seed in range(3)
    }
    return found | _same(made.fit, "_are_lost", pairs)


def _partition(labels: np.ndarray) -> np.ndarray:
    first = np.unique(labels, return_index=True)[1]
    return np.argsort(np.argsort(first))[np.searchsorted(np.unique(labels), labels)]


def distances() -> dict[str, np.ndarray]:
    """Squared distances of a batch: ordinary pairs as ever, close ones from their differences, with gradients."""
    import torch

    between = find("squared_distances", "triplets")
    x = torch.from_numpy(rng(5).normal(size=(12, 4)).astype(np.float32))
    found = {"batch": between(x[5:], x[:5]).numpy()}
    steps = [1.0, 0.25, 2.0**-6, 2.0**-8, 2.0**-12]
    near = torch.tensor([[3.0, step] for step in [0.0, *steps]], requires_grad=True)

    def close() -> np.ndarray:
        d2 = between(near[:1], near)
        (slope,) = torch.autograd.grad(d2[0, 1:].sum(), near)
        return np.concatenate([d2[0, 1:].detach().numpy(), slope[1:, 1].numpy()])

    due = np.array([*(step**2 for step in steps), *(2 * step for step in steps)], np.float32)
    far = {"close": (close, due), "itself": (lambda: between(near[2:3], near[2:3]).item(), 0.0)}
    found |= _same(between, "near", far)
    step = torch.tensor([[1.0, 0.0], [1.0, 0.3]])  # two digits of it are right in products of float32
    found["kept"] = between(step[:1], step[1:]).numpy()
    return found


def counts() -> dict[str, np.ndarray]:
    """Whole numbers that compiled code counts with, and one more; seeds of 64 bits."""
    module, check, seed = home("check_integer"), find("check_integer"), find("check_seed")
    parameters, kmeans = find("check_parameters"), find("KMeans")
    numbers = {"least": (1, "ran"), "below": (0, "refused"), "most": (2**31 - 1, "ran"), "above": (2**31, "refused")}
    cases = {f"plain {n}": (lambda v=v: check("it", v, 1), due) for n, (v, due) in numbers.items()}
    cases |= {f"parameter {n}": (lambda v=v: parameters(kmeans(max_iter=v)), due) for n, (v, due) in numbers.items()}
    cases |= {"bounded": (lambda: check("it", 4, 1, 4), "ran"), "beyond": (lambda: check("it", 5, 1, 4), "refused")}
    cases |= {"seed": (lambda: seed(2**63 - 1), "ran"), "large seed": (lambda: seed(2**63), "refused")}
    cases |= {"negative": (lambda: seed(-1), "refused"), "boolean": (lambda: check("it", True, 0), "refused")}
    deep = find("DeepCluster")
    memory = {"bytes": (1 << 62, "ran"), "more bytes": ((1 << 62) + 1, "refused"), "fewer": (-1, "refused")}
    cases |= {n: (lambda v=v: parameters(deep(feature_memory=v)), due) for n, (v, due) in memory.items()}
    return _asked(module, "_MOST = 2**31", cases)


def scalars() -> dict[str, np.ndarray]:
    """NumPy's numbers alone, in dicts and in tuples are Python's after the check, and what was given is not changed."""
    parameters, jule, deep = find("check_parameters"), find("JULE"), find("DeepSemiNMF")

    def checked(model, name: str):
        parameters(model)
        return getattr(model, name)

    given = {"filters": np.uint8(200), "features": 3}
    pairs = {
        "one": (lambda: type(checked(jule(np.int16(3)), "n_clusters")) is int, True),
        "dict": (lambda: [type(v) for v in checked(jule(network=given), "network").values()] == [int, int], True),
        "given": (lambda: type(given["filters"]) is np.uint8, True),
        "tuple": (lambda: [type(v) for v in checked(deep(layers=(np.int8(4), 3)), "layers")] == [int, int], True),
        "none": (lambda: checked(jule(), "network") is None, True),
        "plain": (lambda: checked(deep(layers=[4, 3]), "layers"), [4, 3]),
    }
    return _same(home("check_parameters"), "_of_python", pairs)


def truths() -> dict[str, np.ndarray]:
    """Labels to compare with, functions to call, names of files: what they are not is refused."""
    module = home("check_truth")
    cases = {
        "labels": (lambda: module.check_truth([0, 1], 2), "ran"), "none": (lambda: module.check_truth(None, 2), "ran"),
        "fewer": (lambda: module.check_truth([0], 2), "refused"),
        "ragged": (lambda: module.check_truth([[0], [1, 2]], 2), "refused"),
    }  # fmt: skip
    paths = {"text": ("a", "ran"), "path": (Path("a"), "ran"), "empty": ("", "refused"), "bytes": (b"a", "refused")}
    paths |= {"number": (3, "refused"), "none": (None, "refused")}
    cases |= {f"path {n}": (lambda p=p: module.check_path("it", p), due) for n, (p, due) in paths.items()}
    calls = {"call": (print, "ran"), "no call": (None, "ran"), "number": (3, "refused"), "text": ("print", "refused")}
    cases |= {f"call {n}": (lambda c=c: module.check_callable("it", c), due) for n, (c, due) in calls.items()}
    return _asked(module, "_of_python", cases)


def places() -> dict[str, np.ndarray]:
    """What is no path where a folder, a cache or a saved model is asked for."""
    listing, store, model = find("list_images"), find("Store", "images"), find("FCAEFeatures")
    with tempfile.TemporaryDirectory() as name:
        pairs = {"folder": (lambda: listing(name).files, [])}
        found = _same(listing, "def", pairs)
        cases = {f"folder {bad!r}": (lambda bad=bad: listing(bad), "refused") for bad in (None, 3, "", b"a")}
        found |= _asked(listing, "check_path", cases)
        cases = {f"cache {bad!r}": (lambda bad=bad: _opened(store, bad), "refused") for bad in (3, "", b"a")}
        cases |= {"own": (lambda: _opened(store, f"{name}/own"), "ran")}
        found |= _asked(store, "check_path", cases)
        cases = {f"model {bad!r}": (lambda bad=bad: model.load(bad), "refused") for bad in (None, 3, "", b"a")}
        return found | _asked(home("System", "saving"), "check_path", cases)


def _opened(store, path) -> None:
    with store(path):
        pass


def sets() -> dict[str, np.ndarray]:
    """A set of images that its maker goes on writing into; labels beyond 64 bits; seeds and numbers of a draw."""
    made, mine = find("ImageSet"), pictures(6)[:, :1].copy()
    kept = mine.copy()
    held, shared = (
        made(mine, None, "mine"),
        made(np.frombuffer(kept.tobytes(), np.uint8).reshape(kept.shape), None, "a"),
    )
    taken = held.take(3, 1)
    found = {"images": held.images.copy(), "taken": taken.images, "checksum": np.array(shared.checksum)}
    mine[:], sliced = 0, made(mine[::2][:, :, ::2], None, "some")
    pairs = {
        "held": (lambda: held.images, kept),
        "sum": (lambda: held.checksum == shared.checksum, True),
        "strided": (lambda: sliced.images, kept[::2][:, :, ::2]),
        "read-only": (lambda: held.images.flags.writeable or taken.images.flags.writeable, False),
        "not copied": (lambda: shared.images.base is not None, True),
    }
    found |= _same(home("ImageSet"), "def _own", pairs)
    labels = {"largest": (2**63 - 1, "ran"), "beyond": (2**63, "refused")}
    cases = {n: (lambda v=v: made(kept, np.full(6, v, np.uint64), "a"), due) for n, (v, due) in labels.items()}
    draws = {"seed": ((2, 2**63 - 1), "ran"), "large": ((2, 2**63), "refused"), "none": ((0, 1), "refused")}
    cases |= {f"take {n}": (lambda how=how: shared.take(*how), due) for n, (how, due) in draws.items()}
    return found | _asked(home("ImageSet"), "def _own", cases)


def handed() -> dict[str, np.ndarray]:
    """What fits call and what they are restored from, looked at before any work."""
    images, deep, dbc = pictures(8), find("DeepCluster"), find("DBC")
    features = find("FCAEFeatures")(epochs=1, whiten=2, random_state=0)
    features.fit(images)
    weights = {name: value.numpy().copy() for name, value in features.model_.state_dict().items()}
    restored = find("FCAEFeatures")(epochs=1, whiten=2, random_state=0).restore(images, weights)
    found = {"restored": restored.embedding_}
    cases = {
        f"weights {n}": (lambda w=w: find("FCAEFeatures")(whiten=2).restore(images, w), "refused")
        for n, w in {"none": None, "empty": {}, "other": {"a": 3}}.items()
    }
    found |= _asked(home("FCAEFeatures"), "are not those of a network", cases)
    cases = {"monitor": (lambda: dbc(2, features=features, epochs=1).fit(images, monitor=3), "refused")}
    found |= _asked(home("DBC"), "check_callable", cases)
    cases = {"after": (lambda: deep(2, epochs=1).fit(images, after_epoch=3), "refused")}
    cases |= {"truth": (lambda: deep(2, epochs=1).fit(images, [[1], [2, 3]]), "refused")}
    return found | _asked(home("DeepCluster"), "check_callable", cases)


def twins() -> dict[str, np.ndarray]:
    """Identical rows of a folder: numbered by appearance, together in the tree, one cluster at the most each."""
    module, systems = home("grouped", "images"), home("cluster_folder", "images")
    rows = np.repeat(np.eye(4, 3, dtype=np.float32) + np.float32(0.25), 3, axis=0)[
        [11, 0, 1, 3, 6, 7, 2, 4, 8, 5, 9, 10]
    ]
    tree = module.grouped(rows, least=2).tree
    found = {
        "tree": tree.labels(2),
        "all": module.grouped(rng(1).normal(size=(9, 3)).astype("f4"), least=9).tree.labels(9),
    }
    wanted = [0, 1, 1, 2, 3, 3, 1, 2, 3, 2, 0, 0]
    pairs = {
        "duplicates": (lambda: module.duplicates(rows), wanted),
        "leaves": (lambda: module.grouped(rows, least=12).tree.labels(4), wanted),
        "possible": (lambda: systems._possible(3, 3) == (3, ()) and systems._possible(None, 2) == (None, ()), True),
        "fewer": (lambda: (systems._possible(4, 3)[0], len(systems._possible(4, 3)[1])), (3, 1)),
    }
    found |= _same(module, "def duplicates", pairs)
    choices = {"size": (None, 32, "ran"), "small": (None, 3, "refused"), "large": (None, 513, "refused")}
    choices |= {"clusters": (1, None, "ran"), "no cluster": (0, None, "refused"), "neither": (None, None, "ran")}
    cases = {
        n: (lambda k=k, size=size: systems._check(k, "gdl", "pixels", size, None, 0), due)
        for n, (k, size, due) in choices.items()
    }
    return found | _asked(systems._check, "def", cases)


def prices() -> dict[str, np.ndarray]:
    """The rule for the number of clusters at other prices: where they are its own, what the runs beside it find."""
    runs = home("count_clusters", "images")
    with registered() as sets:
        images, labels = digits((40, 30, 20, 12))
        sets["digits"] = type(sets["digits"])(images, labels, "digits")
        due = runs.count_on_subsets("digits", features="pixels", draws=3, seed=2)

        def made(name: str) -> np.ndarray:
            return runs.vary_the_rule("digits", features="pixels", draws=3, seed=2)[name]

        pairs = {
            "ours": (lambda: made("found mutual")[1:, 3, 4], due["found Description length"]),
            "plain": (lambda: made("found all")[1:, 0, 0], due["found Planted partition"]),
            "error": (lambda: made("mean_error"), due["mean_error"]),
            "classes": (lambda: made("classes")[1:], due["classes"]),
            "fewer": (lambda: made("found mutual")[:, 0].shape, (4, 7)),
        }
        return _same(runs, "OTHER_GRAPHS", pairs)


WITNESSES = {
    f"scales_{witness.__name__}": witness
    for witness in (factors, units, lines, distances, counts, scalars, truths, places, sets, handed, twins, prices)
}
