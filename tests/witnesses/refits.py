"""What stays together: a fit that fails, the settings of a fit, files named by links, tables of other kinds of numbers.

A revision from before is taken to give what is due.
"""

import copy
import inspect
import os
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from witnesses._data import pictures, rng
from witnesses._find import find, home
from witnesses.narrow import _same
from witnesses.refusals import _asked


def wholes() -> dict[str, np.ndarray]:
    """A method that fits and fails: what the object was; one that succeeds: what it made, and its parameters."""
    module = home("check_parameters")
    if "def whole" not in inspect.getsource(module):
        return {n: np.array("as due") for n in ("failed", "made", "result", "parameters")}

    class Made:
        def get_params(self, deep: bool = True) -> dict:
            return {"deep": deep}

        def fit(self, error: type | None = None, *, value: int = 3) -> int:
            self.value_ = value
            if error:
                raise error
            return value

    Made.fit = module.whole(Made.fit)
    made = Made()
    made.kept = 1
    for error in (ValueError, KeyboardInterrupt):
        try:
            made.fit(error)
        except error:
            made.ended = True
    before = sorted(vars(made))
    result = made.fit(value=5)
    pairs = {
        "failed": (lambda: np.array(before), ["ended", "kept"]),
        "made": (lambda: made.value_, 5),
        "result": (lambda: result, 5),
        "parameters": (lambda: made._as_fitted == {"deep": False}, True),
    }
    return _same(module, "def whole", pairs)


def settings() -> dict[str, np.ndarray]:
    """A model saved after its parameters were set anew, and loaded."""
    made = find("FCAEFeatures")(epochs=1, whiten=2, random_state=0).fit(pictures(8))
    found = {"codes": made.transform(pictures(4))}
    with tempfile.TemporaryDirectory() as name:
        made.save(f"{name}/plain")
        again = type(made).load(f"{name}/plain")
        found["plain"] = again.transform(pictures(4))

        def later(model, file: str) -> np.ndarray:
            copy.copy(model).set_params(code="bn-relu").save(f"{name}/{file}")
            return np.array(type(made).load(f"{name}/{file}").code == made.code)

        pairs = {"fitted": (partial(later, made, "a"), True), "loaded": (partial(later, again, "b"), True)}
        return found | _same(home("System", "saving"), "_as_fitted", pairs)


def told() -> dict[str, np.ndarray]:
    """What a monitor returns: a dict, or nothing."""
    start = find("FCAEFeatures")(epochs=1, whiten=None, random_state=0).fit(pictures(9))
    fit = find("DBC")(2, features=start, epochs=1, random_state=0)
    found = {"dict": np.array(fit.fit(pictures(9), monitor=lambda *given: {"x": 1}).history_[-1]["x"])}
    said = {"nothing": (lambda: fit.fit(pictures(9), monitor=lambda *given: None), "refused")}
    return found | _asked(home("DBC"), "must return a dict", said)


def members() -> dict[str, np.ndarray]:
    """Ensemble projection: rows far from the origin, and parameters set after the fit."""
    made, rows = find("EnsembleProjection"), rng(6).normal(size=(30, 3))
    fit = made(2, n_prototypes=3, n_members=3, random_state=0).fit(rows)
    found = {"rows": fit.transform(rows), "prototypes": fit.prototypes_}
    pairs = {
        "far": (
            lambda: made(2, n_prototypes=3, n_members=3, random_state=0).fit(rows + 1e9).prototypes_,
            fit.prototypes_,
        ),
        "later": (lambda: copy.copy(fit).set_params(n_sets=5).transform(rows), found["rows"]),
    }
    return found | _same(made, "origin_of", pairs)


def boxes() -> dict[str, np.ndarray]:
    """Boxes, scores and masks in half precision and small unsigned numbers."""
    overlaps, voc = find("overlaps", "voc"), home("overlaps", "voc")
    one, other = np.array([[0, 0, 199, 199.0]]), np.array([[50, 0, 249, 199.0]])
    found = {"plain": overlaps(one, other)}
    pairs = {
        kind: (lambda k=kind: overlaps(one.astype(k), other.astype(k)), overlaps(one, other)) for kind in ("f2", "u2")
    }
    found |= _same(home("boxes_of"), "np.float32, np.float64", pairs)
    scores, truth = np.array([[0], [10], [100]]), np.array([[0], [0], [1]])
    found["scores"] = np.array(voc.mean_average_precision(scores, truth))
    objects = voc.Objects(np.array([[0, 0, 9, 9.0]], np.float32), np.array([0]), np.array([False]))

    def detected(kind) -> float:
        return voc.detection_precision(
            [voc.Detection(0, np.array([0, 0, 9, 9.0]), kind(s)) for s in (200, 0)], [objects], 0
        )

    found["detected"] = np.array(detected(float))
    masks = [np.eye(2, dtype=np.int64)]
    found["masks"] = np.array(voc.mean_intersection_over_union(masks, masks))
    pairs = {
        "unsigned": (lambda: voc.mean_average_precision(scores.astype("u1"), truth), 1.0),
        "detected unsigned": (lambda: detected(np.uint8), detected(float)),
        "wide masks": (lambda: voc.mean_intersection_over_union([masks[0].astype("u8")], masks), 1.0),
    }
    return found | _same(voc, "float(d.score)", pairs)


def halves() -> dict[str, np.ndarray]:
    """Boosted targets in half precision, of so many samples that their sums are beyond it."""
    import torch

    target = find("boosted_target")
    scores = np.repeat([[0.9, 0.1], [0.8, 0.2]], 50_000, axis=0)
    due = target(scores)
    found = {"plain": due[::49_999], "soft": target(scores[:4], normalisation="soft")}

    def close(made) -> bool:
        return bool(np.abs(np.asarray(made.float() if hasattr(made, "float") else made, np.float64) - due).max() < 5e-3)

    small = scores.astype(np.float16)
    pairs = {
        "array": (lambda: close(target(small)), True),
        "tensor": (lambda: close(target(torch.from_numpy(small))), True),
        "kind": (lambda: target(small).dtype == np.float16, True),
    }
    return found | _same(target, "float16", pairs)


def grids() -> dict[str, np.ndarray]:
    """The regions of R-MAC for NumPy's integers."""
    grid = find("region_grid")
    pairs = {
        k: (lambda k=k: grid(np.dtype(k).type(100), np.dtype(k).type(120), np.int8(2)), grid(100, 120, 2))
        for k in ("u1", "i1")
    }
    return {"plain": np.array(grid(30, 40)), "flat": np.array(grid(7, 7, 2))} | _same(grid, "int(height)", pairs)


def machines() -> dict[str, np.ndarray]:
    """Standardised machines of integers that float64 does not hold; pictures that are not of 0 to 255."""
    accuracy, y = find("standardised_svm_accuracy"), np.repeat([0, 1], 10)
    rows = np.concatenate([rng(1).integers(0, 20, (10, 2)), rng(2).integers(60, 80, (10, 2))])
    found = {"plain": np.array(accuracy(rows, y, rows, y))}
    pairs = {"wide": (lambda: accuracy(rows + 2**60, y, rows + 2**60, y), 1.0)}
    found |= _same(accuracy, "origin_of", pairs)
    patches, floats = find("random_patches"), rng(3).random((2, 1, 8, 8))
    found["patches"] = patches(np.rint(floats * 255), 4, 3)
    cases = {"of 1": (lambda: patches(floats, 4, 3), "refused"), "black": (lambda: patches(floats * 0, 4, 3), "ran")}
    cases["of 255"] = (lambda: patches(floats * 255, 4, 3), "ran")
    return found | _asked(home("random_patches"), "0 to 255", cases)


def units_of_history() -> dict[str, np.ndarray]:
    """The history of released factors in a smaller unit."""
    made, rows = find("LocalityPreservingNMF"), np.abs(rng(5).normal(size=(16, 4))) + 0.1
    how = {"n_components": 2, "n_init": 1, "max_iter": 4, "random_state": 0, "n_neighbors": 3}

    def history(variant: str, unit: float, name: str) -> float:
        return made(2, variant=variant, **how).fit(rows * unit).history_[-1][name]

    small, found, pairs = 2.0**-40, {}, {}
    for variant, grows in (("released", 1 / small), ("published", small)):
        for name in ("objective", "divergence", "roughness"):
            due = history(variant, 1.0, name)
            found[f"{variant} {name}"] = np.array(due)
            by = small if name == "roughness" else grows
            pairs[f"{variant} {name} small"] = (
                lambda v=variant, n=name, due=due, by=by: bool(np.isclose(history(v, small, n), due * by, rtol=1e-6)),
                True,
            )
    return found | _same(made, "grows", pairs)


def files() -> dict[str, np.ndarray]:
    """Where a file is written: links, folders, pipes, circles; its mode; a set of images pickled."""
    paths, checkpoint = home("write_atomically"), find("Checkpoint")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths.write_atomically(folder / "mine", b"a")
        (folder / "link").symlink_to(folder / "there")
        (folder / "circle").symlink_to(folder / "circle")
        os.mkfifo(folder / "pipe")
        os.chmod(folder / "mine", 0o600)
        paths.write_atomically(folder / "mine", b"b")
        found = {"content": np.frombuffer((folder / "mine").read_bytes(), np.uint8)}
        checkpoint(folder / "plain", {}).save({"history": [1]})
        found["kept"] = np.array(checkpoint(folder / "plain", {}).load()["history"])
        checkpoint(folder / "link", {}).save({"history": []})
        pairs = {
            "mode": (lambda: (folder / "mine").stat().st_mode & 0o777, 0o600),
            "link": (lambda: (folder / "link").is_symlink() and (folder / "there").is_file(), True),
        }
        found |= _same(paths, "def real_file", pairs)
        cases = {n: (lambda n=n: checkpoint(folder / n, {}), "refused") for n in ("pipe", "circle", "zero\0")}
        cases |= {
            "folder": (lambda: checkpoint(folder, {}), "refused"),
            "file": (lambda: checkpoint(folder / "mine", {}), "ran"),
        }
        return found | _asked(paths, "def real_file", cases)


def sets() -> dict[str, np.ndarray]:
    """A set of images copied; masked labels."""
    made = find("ImageSet")
    one = made(pictures(3), np.arange(3), "some")
    again = copy.copy(one)
    found = {"images": again.images, "labels": again.labels}
    masked = np.ma.masked_array([0, 1, 2], mask=[1, 0, 0])
    cases = {
        "masked": (lambda: made(pictures(3), masked, "some"), "refused"),
        "bare": (lambda: made(pictures(3), np.ma.array([0, 1, 2]), "a"), "ran"),
    }
    found |= _asked(home("ImageSet"), "__reduce__", cases)
    return found | _same(
        home("ImageSet"), "__reduce__", {"read-only": (lambda: copy.deepcopy(one).images.flags.writeable, False)}
    )


def caches() -> dict[str, np.ndarray]:
    """An extraction's files: whole, damaged, of another number of rows; a cache that is a file."""
    held = find("_Folder", "extraction")
    known = "rows" in inspect.signature(held.read).parameters
    with tempfile.TemporaryDirectory() as name:
        folder = held(Path(name), "x")
        folder.write("hidden", np.arange(6.0).reshape(3, 2))
        read = (
            (lambda rows=3: folder.read("hidden", rows))
            if known
            else (lambda rows=3: folder.read("hidden") if rows == 3 else None)
        )
        found = {
            "whole": np.array(read()),
            "fewer": np.array(read(2) is None),
            "none": np.array(held(None, "x").write("a", np.zeros(1)) is None),
        }
        Path(name, "x-hidden.npy").write_bytes(b"")
        pairs = {"damaged": (lambda: read() is None, True)}
        found |= _same(held, "except (EOFError", pairs)
        Path(name, "file").touch()
        extract = find("extract", "extraction")
        cases = {"file": (lambda: extract(pictures(3)[:1], None, cache=f"{name}/file"), "refused")}
        return found | _asked(extract, "lexists", cases)


def kits() -> dict[str, np.ndarray]:
    """Damaged files of a development kit and of landmarks."""
    from PIL import Image

    voc, retrieval = home("VocKit"), home("read_ground_truth")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for folder in ("ImageSets/Main", "Annotations", "SegmentationClass", "queries"):
            (root / folder).mkdir(parents=True)
        (root / "ImageSets/Main/val.txt").write_text("a\n", encoding="utf-8")
        for c in voc.CLASSES:
            (root / f"ImageSets/Main/{c}_val.txt").write_text("a -1\n", encoding="utf-8")
        sides = "<xmin>{}</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax>"
        box = f"<annotation><object><name>cat</name><bndbox>{sides}</bndbox></object></annotation>"
        (root / "Annotations/a.xml").write_text(box.format(2), encoding="utf-8")
        Image.fromarray(np.eye(4, dtype=np.uint8)).save(root / "SegmentationClass/a.png")
        kit = voc.VocKit(root)
        found = {"labels": kit.labels("val"), "boxes": kit.objects("a").boxes, "mask": kit.segmentation("a")}
        for kind in ("good", "ok", "junk"):
            (root / f"queries/q_1_{kind}.txt").write_text("a\n", encoding="utf-8")
        query = root / "queries/q_1_query.txt"
        query.write_text("a 1 2 3 4", encoding="utf-8")
        found["box"] = np.array(retrieval.read_ground_truth(root / "queries", ["a"])[0].box)
        Image.new("RGB", (4, 4)).save(root / "SegmentationClass/b.png")
        cases = {"colours": (lambda: kit.segmentation("b"), "refused")}
        for i, x in enumerate(("nan", "12")):
            (root / f"Annotations/{i}.xml").write_text(box.format(x), encoding="utf-8")
            cases[f"box {x}"] = (lambda i=i: kit.objects(str(i)), "refused")
        for i, text in enumerate((b"a b 1 2 3", b"a nan 1 2 3", b"a 1 2 3", b"\xe9 1 2 3 4")):
            cases[f"query {i}"] = (
                lambda text=text: (query.write_bytes(text), retrieval.read_ground_truth(root / "queries", ["a"])),
                "refused",
            )
        for i, line in enumerate(("a 7", "a")):
            file = root / f"ImageSets/Main/{voc.CLASSES[0]}_val.txt"
            cases[f"line {i}"] = (
                lambda line=line, file=file: (file.write_text(line, encoding="utf-8"), kit.labels("val")),
                "refused",
            )
        return found | _asked(voc, "text_of", cases)


def positions() -> dict[str, np.ndarray]:
    """Neighbours, edges and clusters that point outside the samples."""
    graph, mutual, initial = find("affinity_graph"), find("mutual_edges"), find("initial_clusters", "linkage")
    right, d2 = np.array([[1], [0], [1]]), np.ones((3, 1))
    found = {"mutual": mutual(right), "initial": initial(right), "graph": graph((right, d2), 1).weights}
    module = home("check_made")
    for wrong in (-1, 3):
        bad = np.array([[1], [0], [wrong]])
        calls = {
            "mutual": lambda b=bad: mutual(b),
            "initial": lambda b=bad: initial(b),
            "graph": lambda b=bad: graph((b, d2), 1),
        }
        calls["recall"] = lambda b=bad: find("neighbour_recall")(np.eye(3), b)
        for name, call in calls.items():
            found[f"{name} {wrong}"] = np.array(_refused(call))
    found["distance"] = np.array(_refused(lambda: graph((right, -d2), 1)))
    if hasattr(module, "check_within"):
        module.check_within("none", np.empty(0, int), 0)
    return found


def _refused(call) -> bool:
    try:
        call()
    except ValueError:
        return True
    return False


def small() -> dict[str, np.ndarray]:
    """Draws of small integers, rows of another width, labels over two lines, labels of texts."""
    import torch

    draw, labels = find("draw_epoch"), np.array([0, 0, 1, 1, 1])
    due = draw(labels, np.random.default_rng(0))
    found = {"drawn": np.asarray(due[0]), "targets": np.asarray(due[1])}
    pairs = {"kind": (lambda: draw(labels.astype("u1"), np.random.default_rng(0))[1].dtype == np.int64, True)}
    found |= _same(draw, "astype(np.int64)", pairs)
    white = find("pca_whiten")([torch.from_numpy(rng(3).normal(size=(9, 2)))])
    found["white"] = white(torch.ones(1, 2)).numpy()
    cases = {"width": (lambda: white(torch.ones(1, 3)), "refused"), "axis": (lambda: white(torch.ones(2)), "refused")}
    found |= _asked(type(white), "must be (n,", cases)
    truth = home("check_truth")
    texts = {
        "whole": ([0, 1.0], "ran"),
        "half": ([0, 0.5], "refused"),
        "texts": (["a", "b"], "refused"),
        "flags": ([True, False], "ran"),
    }
    cases = {n: (lambda y=y: truth.check_truth(y, 2), due) for n, (y, due) in texts.items()}
    return found | _asked(truth, "must be whole numbers, got", cases)


WITNESSES = {
    f"refits_{witness.__name__}": witness
    for witness in (
        *(
            wholes,
            settings,
            told,
            members,
            boxes,
            halves,
            grids,
            machines,
            units_of_history,
            files,
            sets,
            caches,
            kits,
        ),
        *(positions, small),
    )
}
