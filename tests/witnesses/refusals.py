"""What is refused that once was not: calls at both sides of each line, whose outcome is "refused" or "ran"."""

import inspect
import re
import tempfile
from pathlib import Path

import numpy as np

from witnesses._data import blobs, digits, error_of, pictures, rng
from witnesses._find import find, holding, home
from witnesses.downstream import _network
from witnesses.factorised import _tiny_network


def _asked(definition, marker: str, cases: dict) -> dict[str, np.ndarray]:
    """Calls, each with what is due; a revision whose ``definition`` does not say ``marker`` is taken to give that."""
    known = marker in inspect.getsource(definition)
    return {name: _ended(call) if known else np.array(due) for name, (call, due) in cases.items()}


def _ended(call) -> np.ndarray:
    """How a call ends; an error that is not one clear line is none that was meant."""
    try:
        call()
        return np.array("ran")
    except find("OneLine"):
        return np.array("refused")
    except Exception as error:
        return np.array(type(error).__name__)


def devices() -> dict[str, np.ndarray]:
    """Names of devices, those that torch knows and this project does not among them."""
    resolve, due = find("resolve"), {"cpu": "ran", "cpu:0": "ran", "auto": "ran"}
    due |= dict.fromkeys(("mps", "meta", "cpu:1", "xla", "zz", ""), "refused")
    cases = {name: (lambda name=name: resolve(name), said) for name, said in due.items()}
    return _asked(resolve, '("cpu", "cuda")', cases)


def sizes() -> dict[str, np.ndarray]:
    """Numbers that float32 cannot be multiplied with, and those just below; a weight for which liblinear never ends."""
    check, module = find("check_number"), home("check_number")
    tests = {"1e15": (1e15, {}, "ran"), "1.1e15": (1.1e15, {}, "refused"), "zero": (0, {}, "refused")}
    tests |= {"a zero": (0, {"zero": True}, "ran"), "most": (2, {"most": 1}, "refused"), "nan": (np.nan, {}, "refused")}
    cases = {n: (lambda v=v, how=how: check("name", v, **how), due) for n, (v, how, due) in tests.items()}
    found = _asked(module, "_LARGE = 1e15", cases)
    deep, parameters, fit = find("DeepCluster"), find("check_parameters"), find("EnsembleProjection")
    cases = {
        f"rate {rate}": (lambda rate=rate: parameters(deep(learning_rate=rate)), due)
        for rate, due in ((0.9e15, "ran"), (1.1e15, "refused"), (1e308, "refused"), (0, "refused"))
    }
    cases |= {
        f"C {C}": (lambda C=C: parameters(fit(C=C)), due) for C, due in ((1e9, "ran"), (2e9, "refused"), (0, "refused"))
    }
    return found | _asked(module, "_LARGE = 1e15", cases)


def arrays() -> dict[str, np.ndarray]:
    """Arrays and tensors by their form, their kind of numbers, their rows; flags, seeds, random states."""
    import torch

    module, checks = home("held"), home("check_integer")
    rows, whole = np.ones((2, 4), np.float32), torch.zeros(3, dtype=torch.int64)
    forms = {
        "right": (rows, "(r, 4)", "fiub", 0, "ran"), "any": (rows, "(N, d)", "fiub", 2, "ran"),
        "fewer": (rows, "(r, 4)", "fiub", 3, "refused"), "side": (rows, "(r, 3)", "fiub", 0, "refused"),
        "axes": (rows[0], "(r, 4)", "fiub", 0, "refused"), "kind": (rows, "(r, 4)", "iu", 0, "refused"),
        "number": (3, "()", "iu", 0, "ran"), "numbers": ([3], "()", "iu", 0, "refused"),
        "none": (rows[:0], "(r, 4)", "f", 0, "ran"),
        "one": (rows[:0], "(r, 4)", "f", 1, "refused"), "nan": (rows * np.nan, "(r, 4)", "f", 0, "refused"),
        "ragged": ([[1], [1, 2]], "(N, d)", "f", 0, "refused"), "tensor": (whole, "(N,)", "iu", 0, "ran"),
    }  # fmt: skip
    cases = {n: (lambda v=v: module.array_of("it", *v), due) for n, (*v, due) in forms.items()}
    tensors = {
        "floats": (torch.ones(2, 4), "(r, 4)", True, "ran"), "form": (torch.ones(2, 4), "(r, 3)", True, "refused"),
        "whole": (whole, "(N,)", False, "ran"), "not whole": (torch.ones(3), "(N,)", False, "refused"),
        "not floats": (whole, "(N,)", True, "refused"), "complex": (torch.ones(3) + 0j, "(N,)", False, "refused"),
        "an array": (rows, "(r, 4)", True, "refused"),
    }  # fmt: skip
    cases |= {n: (lambda v=v: module.check_tensor("it", *v), due) for n, (*v, due) in tensors.items()}
    return _asked(module, "def array_of", cases) | _asked(checks, "def check_flag", _numbers(checks))


def _numbers(checks) -> dict:
    seeds = {-1: "refused", 0: "ran", 2**63 - 1: "ran", 2**63: "refused", True: "refused"}
    cases = {f"seed {n}": (lambda n=n: checks.check_seed(n), due) for n, due in seeds.items()}
    flags = {"yes": "refused", None: "refused", 2: "refused"}
    cases |= {f"flag {flag}": (lambda flag=flag: checks.check_flag("it", flag), due) for flag, due in flags.items()}
    cases |= {f"flag {flag!r}": (lambda flag=flag: checks.check_flag("it", flag), "ran") for flag in (False, np.True_)}
    states = {
        "3": (3, "ran"),
        "np": (np.int64(3), "ran"),
        "none": (None, "ran"),
        "state": (np.random.RandomState(0), "ran"),
    }
    states |= {"true": (True, "refused"), "2.5": (2.5, "refused"), "text": ("a", "refused")}
    return cases | {f"state {n}": (lambda s=s: checks.check_generator(s), due) for n, (s, due) in states.items()}


def models() -> dict[str, np.ndarray]:
    """Saved models: missing, a folder, another device, parts that do not belong together; and one that is right."""
    System, module = find("System"), home("System")
    made = find("FCAEFeatures")(epochs=0, whiten=2, random_state=0, device="cpu")
    images = digits((4, 4))[0]
    deep = find("DBC")(2, features=made, epochs=1, device="cpu", random_state=0).fit(images)
    tests = {"whole": ({}, "ran"), "rows": ({"embedding": deep.embedding_[1:]}, "refused")}
    tests |= {"nan": ({"cluster_centers": deep.cluster_centers_ * np.nan}, "refused")}
    tests |= {"width": ({"cluster_centers": deep.cluster_centers_[:, 1:]}, "refused")}
    tests |= {
        "flat": ({"embedding": deep.embedding_[0]}, "refused"),
        "labels": ({"labels": deep.labels_[:0]}, "refused"),
    }
    tests |= {"weights": ({"weights:features.0.weight": np.zeros((1, 2), np.float32)}, "refused")}
    tests |= {"complex": ({"embedding": deep.embedding_ + 0j}, "refused")}
    tests |= {"beyond": ({"labels": deep.labels_ + 1}, "refused"), "halves": ({"labels": deep.labels_ / 2}, "refused")}
    tests |= {
        "below": ({"labels": deep.labels_ - 2}, "refused"),
        "damaged": ({"labels": deep.labels_ * 0 - 1}, "refused"),
    }
    tests |= {"centre": ({"cluster_centers": deep.cluster_centers_[:1]}, "refused")}
    facts, arrays = deep._fitted()
    cases = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        for name, (changed, due) in tests.items():

            def saved(changed=changed, name=name):
                deep._fitted = lambda: (facts, {**arrays, **changed})
                deep.save(path.with_name(name))
                type(deep).load(path.with_name(name), device="cpu").transform(images)

            cases[name] = (saved, due)
        cases["missing"] = (lambda: type(deep).load(path), "refused")
        cases["folder"] = (lambda: type(deep).load(folder), "refused")
        cases["into a folder"] = (lambda: deep.save(folder), "refused")
        cases["no name"] = (lambda: deep.save(None), "refused")
        cases["from no name"] = (lambda: type(deep).load(3), "refused")
        cases["below a file"] = (lambda: deep.save(path.with_name("whole") / "x"), "refused")
        cases["device"] = (lambda: type(deep).load(path.with_name("whole"), device="zz"), "refused")
        cases["parameter"] = (lambda: _with(deep, path, epochs=-1), "refused")
        found = _asked(System.load, "_try_out", cases)
    if hasattr(module, "_check_arrays"):
        unread = {"labels": np.array([0, -1, 1]), "embedding": np.ones((2, 3), np.float32)}
        found["unreadable"] = error_of(module._check_arrays, unread)
        found["without rows"] = error_of(module._check_arrays, {"components": np.ones((2, 3))})
    else:
        found |= dict.fromkeys(("unreadable", "without rows"), np.array("ran"))
    return found


def trees() -> dict[str, np.ndarray]:
    """Saved fits of JULE and DeepCluster: a merge tree that is none, a whitening that does not fit; and right ones."""
    images = digits((6, 5))[0]
    jule = find("JULE")(2, epochs=1, random_state=0, device="cpu").fit(images)
    tree = jule.merge_tree_
    late, twice, sizes = tree.children.copy(), tree.children.copy(), tree.sizes.copy()
    late[0, 1], twice[1], sizes[-1] = len(late) + 1, twice[0], 1
    tests = {"whole": ({}, "ran"), "late": ({"tree:children": late}, "refused")}
    tests |= {"twice": ({"tree:children": twice}, "refused"), "sizes": ({"tree:sizes": sizes}, "refused")}
    tests |= {"below": ({"tree:children": tree.children - 1}, "refused")}
    tests |= {
        "leaf": ({"tree:initial": tree.initial + 1}, "refused"),
        "rows": ({"tree:initial": tree.initial[1:]}, "refused"),
    }
    tests |= {"minus": ({"tree:initial": tree.initial - 1}, "refused")}
    tests |= {
        "heights": ({"tree:heights": tree.heights[1:]}, "refused"),
        "floats": ({"tree:sizes": sizes / 1}, "refused"),
    }
    tests |= {"flat": ({"tree:children": tree.children[:, 0]}, "refused")}
    found = _resealed(jule, tests, images)
    facts = {"n": ({"n_clusters": "a"}, "refused"), "n 0": ({"n_clusters": 0}, "refused")}
    found |= _resealed(jule, {name: ({}, due, changed) for name, (changed, due) in facts.items()}, images)
    how = {"network": "vgg16", "network_options": {"width": 0.02}, "image_size": 32, "n_components": 4, "epochs": 1}
    deep = find("DeepCluster")(2, verbose=False, **how, **_SMALL).fit(pictures(8))
    whole = deep.whitening_.matrix.cpu().numpy()
    tests = {
        "deep": ({}, "ran"),
        "matrix": ({"matrix": whole[1:]}, "refused"),
        "mean": ({"mean": whole[:, 0][1:]}, "refused"),
    }
    tests |= {"text": ({"matrix": whole.astype(str)}, "refused"), "columns": ({"matrix": whole[:, 1:]}, "refused")}
    return found | _resealed(deep, tests, pictures(8))


def _resealed(model, tests: dict, images) -> dict[str, np.ndarray]:
    """A model saved with other arrays or facts, loaded, and asked about images."""
    facts, arrays = model._fitted()
    cases = {}
    with tempfile.TemporaryDirectory() as folder:

        def saved(name, changed, other):
            model._fitted = lambda: ({**facts, **other}, {**arrays, **changed})
            model.save(Path(folder) / name)
            type(model).load(Path(folder) / name, device="cpu").predict(images)

        for name, (changed, due, *other) in tests.items():
            cases[name] = (lambda name=name, c=changed, o=(other or [{}])[0]: saved(name, c, o), due)
        found = _asked(find("System").load, "_try_out", cases)
    del model._fitted
    return found


def _with(model, path: Path, **parameters) -> None:
    """Save a model with parameters that its fit would have refused, and load it."""
    before = {name: getattr(model, name) for name in parameters}
    try:
        for name, value in parameters.items():
            setattr(model, name, value)
        model.save(path)
    finally:
        for name, value in before.items():
            setattr(model, name, value)
    type(model).load(path, device="cpu")


def _longer(fit) -> dict[str, np.ndarray]:
    """A fit that is asked for fewer passes than its checkpoint has: refused; for as many and for more: goes on."""
    with tempfile.TemporaryDirectory() as folder:
        asked = [(2, "ran"), (1, "refused"), (2, "ran"), (3, "ran")]
        cases = {f"{i}: {n}": (lambda n=n: fit(n, f"{folder}/kept"), due) for i, (n, due) in enumerate(asked)}
        return _asked(find("Checkpoint").load, "most", cases)


_SMALL = {"random_state": 0, "device": "cpu", "batch_size": 4}


def longer_autoencoder() -> dict[str, np.ndarray]:
    """Stage I of DBC."""
    images, made = digits((4, 4))[0], find("FCAEFeatures")
    return _longer(lambda n, kept: made(epochs=n, whiten=2, checkpoint=kept, **_SMALL).fit(images))


def longer_boosting() -> dict[str, np.ndarray]:
    """Stage II, which notes its start before the first epoch."""
    images, how = digits((9, 8, 7, 6))[0], {**_SMALL, "learning_rate": 0.05, "discriminant": False}
    start = find("FCAEFeatures")(epochs=0, whiten=2, random_state=0, device="cpu")
    return _longer(lambda n, kept: find("DBC")(4, features=start, epochs=n, checkpoint=kept, **how).fit(images))


def longer_deepcluster() -> dict[str, np.ndarray]:
    """DeepCluster, and files none of which can be read."""
    how = {"network": "vgg16", "network_options": {"width": 0.02}, "image_size": 32, "n_components": 4}
    how |= {**_SMALL, "verbose": False}
    deep = find("DeepCluster")
    found = _longer(lambda n, kept: deep(2, epochs=n, checkpoint=kept, **how).fit(pictures(8)))
    for name in "abc":
        Path(f"{name}.jpg").write_bytes(b"nothing")
    damaged = {"damaged": (lambda: deep(clustering="pic", epochs=1, **how).fit("."), "refused")}
    return found | _asked(deep, "can be read", damaged)


def longer_deep_autoencoder() -> dict[str, np.ndarray]:
    """The auto-encoder of JULE's tables."""
    rows, made = np.abs(blobs((6, 5), 4)) / 99, find("DeepAutoencoder")
    return _longer(lambda n, kept: made(2, epochs=n, checkpoint=kept, **_SMALL).fit(rows))


def longer_factorisation() -> dict[str, np.ndarray]:
    """GSNMF, which saves by the clock."""
    rows, how = np.abs(blobs((6, 5), 4)), {"tol": 0, "init": "random", "random_state": 0, "device": "cpu"}
    with holding(home("GSNMF"), _SAVE_SECONDS=0):
        return _longer(lambda n, kept: find("GSNMF")(2, max_iter=n, checkpoint=kept, **how).fit(rows))


def longer_fine_tuning() -> dict[str, np.ndarray]:
    """FCN's last layer on what a small random network makes of pictures."""
    tiny, how = _tiny_network(), {**_SMALL, "fine_tune": True, "size": 32, "n_components": 3, "max_iter": 2}
    made = {"pretrained": lambda *_, **__: tiny()}
    with holding(home("pretrained"), **made), holding(home("FCN"), **made):
        return _longer(lambda n, kept: find("FCN")(epochs=n, checkpoint=kept, **how).fit(pictures(8, 3, 10, 12)))


def recalled() -> dict[str, np.ndarray]:
    """What is told of an approximate search: the share, and on how many images it was taken."""
    rows, module = blobs((30, 20), 4), home("recall_note", "images")
    graph = module.graph_of(rows, "exact", 0)
    note = module.recall_note(rows, graph, "approximate", 0)[0]
    known = "tried" in inspect.getsource(module.recall_note)
    many = rng(0).normal(size=(1_001, 2)).astype(np.float32)
    most = module.recall_note(many, module.graph_of(many, "exact", 0), "approximate", 0)[0]
    return {
        "share": np.array(re.findall(r"0\.\d+|1\.0+", note)),
        "images": np.array(note[-10:] if known else "50 images."),
        "most": np.array(most[-13:]),
        "exact": np.array(len(module.recall_note(rows, graph, "exact", 0))),
    }


def transfers() -> dict[str, np.ndarray]:
    """Numbers, labels, boxes and masks that no protocol of transfer can mean."""
    import torch

    found = {}
    svm = find("svm_accuracy")
    X, y = blobs((6, 5), 3), np.arange(11) % 2
    cases = {f"C {C:g}": (lambda C=C: svm(X, y, X, y, C=C), due) for C, due in ((1e9, "ran"), (1.1e9, "refused"))}
    found |= _asked(svm, "most", cases)

    probes, images = find("linear_probes"), pictures(10, height=28, width=28)
    how = {"size": 24, "epochs": 1, "device": "cpu"}
    tests = {"0.1": (y[:10], 0.1, "refused"), "none": (y[:10], [], "refused"), "list": (y[:10], [0.1], "ran")}
    tests |= {"below": (y[:10] - 1, [0.1], "refused"), "float": (y[:10] / 1, [0.1], "refused")}
    cases = {
        name: (lambda y=labels, r=rates: probes(_network(), images, y, images, y, learning_rates=r, **how), due)
        for name, (labels, rates, due) in tests.items()
    }
    found |= {f"probes.{n}": v for n, v in _asked(probes, "isinstance(learning_rates", cases).items()}

    verified = find("verification_accuracy")
    s, fold = np.linspace(0, 1, 8), np.arange(8) % 2
    kinds = {"nan": (np.full(8, np.nan), "refused"), "two": (np.full(8, 2), "refused"), "ints": (fold[::-1], "ran")}
    cases = {name: (lambda same=same: verified(s, same, fold), due) for name, (same, due) in kinds.items()}
    found |= {f"same.{n}": v for n, v in _asked(verified, "_pairs", cases).items()}

    Query, searched = find("Query"), find("mean_average_precision", "retrieval")
    rows = np.eye(4)
    queries = [Query(i, None, frozenset([3 - i]), frozenset()) for i in range(2)]
    cases = {
        "as many": (lambda: searched(rows, rows[:2], queries), "ran"),
        "fewer": (lambda: searched(rows, rows[:1], queries), "refused"),
        "none": (lambda: searched(rows, rows[:0], []), "refused"),
        "nan": (lambda: searched(rows * np.nan, rows[:2], queries), "refused"),
    }
    found |= {f"retrieval.{n}": v for n, v in _asked(searched, "_check_query", cases).items()}

    rmac, maps = find("rmac"), torch.rand(2, 3, 5, 6)
    shapes = {"tensor": (maps, "ran"), "array": (maps.numpy(), "refused"), "three": (maps[0], "refused")}
    cases = {name: (lambda m=m: rmac(m), due) for name, (m, due) in shapes.items()}
    return found | {f"rmac.{n}": v for n, v in _asked(rmac, "check_made", cases).items()}


def pascal() -> dict[str, np.ndarray]:
    """The same of VOC's three tasks."""
    found = {}
    mean, intersection = find("mean_average_precision", "voc"), find("mean_intersection_over_union")
    s, t = np.linspace(1, 0, 8).reshape(4, 2), np.array([[1, 0], [0, 1], [1, 1], [0, 0]])
    row, part, infinite = s.copy(), s.copy(), s.copy()
    row[1], part[1, 0], infinite[1, 0] = np.nan, np.nan, np.inf
    tests = {"whole": (s, "ran"), "row": (row, "ran"), "part": (part, "refused"), "inf": (infinite, "refused")}
    tests |= {"all": (s * np.nan, "refused")}
    cases = {name: (lambda one=one: mean(one, t), due) for name, (one, due) in tests.items()}
    found |= {f"scores.{n}": v for n, v in _asked(mean, "damaged", cases).items()}

    mask = np.arange(12, dtype=np.uint8).reshape(3, 4)
    pairs = {"same": ([mask], [mask], "ran"), "fewer": ([mask], [mask, mask], "refused"), "none": ([], [], "refused")}
    pairs |= {"size": ([mask[1:]], [mask], "refused"), "beyond": ([mask + 10], [mask], "refused")}
    pairs |= {"last": ([mask + 9], [mask], "ran"), "truth": ([mask], [mask + 10], "refused")}
    pairs["void"] = ([mask], [np.where(mask < 3, 255, mask).astype(np.uint8)], "ran")
    cases = {n: (lambda a=a, b=b: intersection(a, b), due) for n, (a, b, due) in pairs.items()}
    found |= {f"masks.{n}": v for n, v in _asked(intersection, "as many, of the same sizes", cases).items()}

    Detection, Objects, precision = find("Detection"), find("Objects"), find("detection_precision")
    box = np.array([[0, 0, 9, 9]], np.float32)
    one = Objects(box, np.array([3]), np.array([False]))
    cases = {
        str(score): (lambda score=score: precision([Detection(0, box[0], score)], [one], 3), due)
        for score, due in ((0.5, "ran"), (np.nan, "refused"), (np.inf, "refused"))
    }
    found |= {f"detections.{n}": v for n, v in _asked(precision, "_check_detection", cases).items()}
    return found | _trained(one, mask)


def _trained(one, mask: np.ndarray) -> dict[str, np.ndarray]:
    """Trainings on one picture: objects, proposals and masks that cannot be, and a step on what can."""
    from PIL import Image

    Image.fromarray(pictures(2, height=40, width=40)[0].transpose(1, 2, 0)).save("one.png")
    folder = find("ImageFolder")(".")
    detect, segment, tune = find("train_detector"), find("train_segmenter"), find("fine_tune")
    boxes = {"right": (one.boxes, "ran"), "nan": (one.boxes * np.nan, "refused"), "flat": (one.boxes[0], "refused")}
    boxes |= {"three": (one.boxes[:, 1:], "refused"), "turned": (one.boxes[:, [2, 1, 0, 3]], "refused")}
    boxes |= {"upside down": (one.boxes[:, [0, 3, 2, 1]], "refused"), "a point": (one.boxes * 0, "ran")}
    how = {"steps": 1, "regions": 4, "short": 36, "device": "cpu"}
    cases = {
        f"boxes {name}": (lambda b=b: detect(_network(), folder, [one], [b], **how), due)
        for name, (b, due) in boxes.items()
    }
    for c, due in ((19, "ran"), (20, "refused"), (-1, "refused")):
        other = one._replace(classes=np.array([c]))
        cases[f"class {c}"] = (lambda other=other: detect(_network(), folder, [other], [one.boxes], **how), due)
    bent = one._replace(boxes=one.boxes * np.nan)
    cases["object"] = (lambda: detect(_network(), folder, [bent], [one.boxes], **how), "refused")
    cases["network"] = (lambda: detect("net", folder, [one], [one.boxes], **how), "refused")
    cases["folder"] = (lambda: detect(_network(), ".", [one], [one.boxes], **how), "refused")
    found = _asked(detect, "check_boxes", cases)
    found |= _asked(find("detect"), "check_boxes", {"found in": (lambda: _detected(one, folder), "refused")})

    whole, cases = np.zeros((40, 40), np.uint8), {}

    def segmented(value: int, n: int = 21) -> None:
        marked = whole.copy()
        marked[:2] = value
        segment(_network(), folder, [marked], steps=1, n_classes=n, device="cpu")

    for value, due in ((20, "ran"), (21, "refused"), (254, "refused"), (255, "ran")):
        cases[f"pixel {value}"] = (lambda value=value: segmented(value), due)
    for n, due in ((1, "ran"), (0, "refused"), (255, "ran"), (256, "refused")):
        cases[f"{n} classes"] = (lambda n=n: segmented(0, n), due)
    cases["of a path"] = (lambda: segment(_network(), ".", [whole], steps=1), "refused")
    cases["of no network"] = (lambda: segment(None, folder, [whole], steps=1), "refused")
    found |= _asked(segment, "check_network", cases)

    source = find("image_source")(pictures(4, height=28, width=28), 24)
    truth = np.eye(4, dtype=np.int8)
    cases = {
        "tuned": (lambda: tune(_network(), source, truth, steps=1, batch_size=2), "ran"),
        "rows": (lambda: tune(_network(), source, truth[:3], steps=1), "refused"),
        "flat": (lambda: tune(_network(), source, truth[0], steps=1), "refused"),
        "path": (lambda: tune(_network(), ".", truth, steps=1), "refused"),
        "no network": (lambda: tune(None, source, truth, steps=1), "refused"),
    }
    found |= _asked(tune, "check_network", cases)
    scores, bare = find("class_scores"), _Bare(source)
    cases = {"scored": (lambda: scores(_network(), source, crops=1), "ran")}
    cases["bare"] = (lambda: scores(_network(), bare, crops=1), "refused")
    found |= _asked(scores, "check_network", cases)
    return found | _asked(
        tune, "check_network", {"tuned bare": (lambda: tune(_network(), bare, truth, steps=1), "refused")}
    )


class _Bare:
    """Images that could be read, by what does not say which could not."""

    def __init__(self, source) -> None:
        self.random, self.central, self.size, self._n = source.random, source.central, source.size, len(source)

    def __len__(self) -> int:
        return self._n


def _detected(one, folder) -> None:
    find("detect")(find("FastRCNN")(_network()), folder, [one.boxes * np.nan], short=36)


WITNESSES = {
    f"refusals_{witness.__name__}": witness
    for witness in (
        *(devices, sizes, arrays, models, trees, transfers, pascal, recalled),
        *(longer_autoencoder, longer_boosting, longer_deepcluster),
        *(longer_deep_autoencoder, longer_factorisation, longer_fine_tuning),
    )
}
