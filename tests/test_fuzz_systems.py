"""The four systems with any parameters on any images, and every reader of files on any bytes."""

import json
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from fuzzing import JUNK, examples, is_one_line_naming
from hypothesis import given
from hypothesis import strategies as st
from odd_files import encoded, photo
from PIL import Image
from scipy import sparse
from sklearn.utils._param_validation import Interval, StrOptions

from clustlib import DBC, FCN, JULE, DeepCluster, FCAEFeatures, datasets
from clustlib.checkpoints import Checkpoint
from clustlib.datasets.folders import ImageFolder
from clustlib.datasets.pictures import picture
from clustlib.errors import DataMissing, OneLine, UsageError
from clustlib.jule.estimator import PatchJULE
from clustlib.records.store import Store
from clustlib.reproduce.settings import typed

DIGITS = datasets.load("digits").take(30, 0).images
NET = {"network_options": {"width": 1 / 48, "kernel": 3, "stride": 1}, "image_size": 24, "n_components": 4}
JULE_NET = {"network": {"filters": 3, "features": 5}, "n_neighbors": 4, "epochs": 1}
FCN_NET = {"weights": "random", "size": 32, "n_components": 4, "init": "random", "max_iter": 5, "transform_iter": 3}
SYSTEMS = {
    JULE: JULE_NET,
    PatchJULE: JULE_NET,
    FCAEFeatures: {"epochs": 1, "whiten": 4, "batch_size": 16},
    DBC: {"epochs": 1, "n_init": 1},
    DeepCluster: {**NET, "epochs": 1, "batch_size": 16, "verbose": False},
    FCN: FCN_NET,
}
# what costs minutes, is a file or a network's inner shape, or asks for weights from elsewhere
LEFT_ALONE = {"device", "checkpoint", "cache", "network", "network_options", "weights", "features", "size"}
LEFT_ALONE |= {"fine_tune", "n_hypotheses"}
LARGEST = {"epochs": 2, "image_size": 40, "max_iter": 6, "n_init": 2, "kmeans_iterations": 4, "transform_iter": 4}
PLACES = {"images", "X", "features", "pixels", "samples", "clusters", "network", "scale"}
PLACES |= {"nowhere: "}  # the folder that one of the inputs names


def allowed(name, rules):
    """Values that the constraints of a parameter let through, small ones."""
    chosen = []
    for rule in rules:
        if isinstance(rule, StrOptions):
            chosen.append(st.sampled_from(sorted(rule.options)))
        elif isinstance(rule, Interval) and rule.type.__name__ == "Integral":
            chosen.append(st.integers(int(rule.left), LARGEST.get(name, int(rule.left) + 12)))
        elif isinstance(rule, Interval):
            low, high = float(rule.left), 10.0 if rule.right is None else float(rule.right)
            ends = {
                "exclude_min": rule.closed in ("right", "neither"),
                "exclude_max": rule.closed in ("left", "neither"),
            }
            chosen.append(st.floats(low, high, **ends))
        elif rule is None or rule == "boolean":
            chosen.append(st.none() if rule is None else st.booleans())
        elif rule == "random_state":
            chosen.append(st.sampled_from([0, 5, None, np.int64(3)]))
    return st.one_of(chosen)


@st.composite
def images(draw):
    """Mostly small images of many kinds; sometimes what is none."""
    n, c = draw(st.integers(0, 24)), draw(st.sampled_from([1, 1, 3, 3, 2, 4]))
    height, width = draw(st.integers(1, 14)), draw(st.integers(1, 14))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    kind = draw(st.sampled_from(["digits"] * 5 + ["noise", "noise", "constant", "repeated", "wide", "odd"]))
    if kind == "odd":
        odd = [None, "nowhere", 3, [], [[1, 2], [3]], np.zeros(5), DIGITS[0, 0], DIGITS.astype(complex), [["a"]]]
        odd += [sparse.csr_array(np.eye(4)), DIGITS.astype(float), DIGITS / 127.5 - 1, DIGITS.astype(object)]
        odd += [np.repeat(DIGITS, 3, 1).transpose(0, 2, 3, 1), np.where(DIGITS > 200, np.nan, 0.5), DIGITS[None]]
        return draw(st.sampled_from(odd))
    if kind == "digits":
        found = DIGITS[: draw(st.integers(1, 30))]
        found = found[:, 0] if draw(st.booleans()) else np.repeat(found, c, axis=1)
    elif kind == "repeated":
        found = np.repeat(DIGITS[: draw(st.integers(1, 3))], draw(st.integers(1, 9)), axis=0)
    elif kind == "constant":
        found = np.full((n, c, height, width), draw(st.sampled_from([0, 7, 255])), np.uint8)
    else:
        found = rng.integers(0, 256, (n, c, height, width), dtype=np.uint8)
    if kind == "wide":
        return found.astype(np.uint16) * draw(st.sampled_from([1, 257]))
    return draw(st.sampled_from([found, found, found.astype(np.int64), found / 255, (found / 255).astype(np.float32)]))


@st.composite
def fits(draw):
    kind = draw(st.sampled_from(list(SYSTEMS)))
    rules = {name: rule for name, rule in kind._parameter_constraints.items() if name not in LEFT_ALONE}
    names = draw(st.sets(st.sampled_from(sorted(rules)), max_size=4))
    options = {**SYSTEMS[kind], **{name: draw(allowed(name, rules[name])) for name in sorted(names)}}
    if "n_clusters" in rules and "n_clusters" not in names:
        options["n_clusters"] = draw(st.integers(1, 5))
    if kind is DBC:
        options["features"] = FCAEFeatures(epochs=1, whiten=draw(st.sampled_from([2, 5, None])), random_state=0)
    if draw(st.integers(0, 4)) == 0:
        options[draw(st.sampled_from(sorted(rules)))] = draw(JUNK)
    return kind, options, draw(images())


def check_fit(model, X):
    """What every fitted system holds, for the images of the fit and for the same as new ones."""
    n = len(X)
    rows = model.transform(X)
    assert len(rows) == n and np.isfinite(rows).all()
    if getattr(model, "labels_", None) is None:
        return
    for labels in (model.labels_, model.predict(X)):
        assert labels.shape == (n,) and labels.dtype == np.int64 and labels.min() >= 0
        if model.n_clusters is not None and getattr(model, "clustering", "") != "pic":
            assert labels.max() < model.n_clusters


@given(fits())
@examples(60)
def test_systems(case):
    kind, options, X = case
    model = kind(**options, device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model.fit(X)
        except (UsageError, DataMissing) as error:
            assert is_one_line_naming(error, {*model.get_params(), *PLACES}), (type(error), error)
            return
        check_fit(model, X)


# ------------------------------------------------------------------ files


def mutated(draw, content):
    """The bytes with some changed, cut off or put in; or any others."""
    content = bytearray(content)
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        change = draw(st.integers(0, 3))
        if change == 0 and content:
            content[place] = draw(st.integers(0, 255))
        elif change == 1:
            del content[place:]
        elif change == 2:
            content[place:place] = draw(st.binary(max_size=8))
        else:
            del content[place : place + draw(st.integers(1, 30))]
    return bytes(content)


PICTURES = [encoded(photo(seed=1), kind) for kind in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")]
PICTURES += [encoded(Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30)), "TIFF")]
NAMES = st.sampled_from(
    ["a.png", "b.JPG", "c.tif", "d.webp", ".hidden.png", "e.txt", "x/f.png", "y/g.gif", "ü {b}.bmp"]
)


@given(st.data())
@examples(60)
def test_pictures_and_folders_of_them(data):
    with tempfile.TemporaryDirectory() as place:
        for _ in range(data.draw(st.integers(0, 4))):
            file = Path(place) / data.draw(NAMES)
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(mutated(data.draw, data.draw(st.sampled_from(PICTURES))))
        for file in Path(place).rglob("*.*"):
            try:
                found = picture(file.read_bytes())
                assert found.mode == "RGB" and min(found.size) > 0
            except ValueError as error:
                assert isinstance(error, OneLine) and is_one_line_naming(error, [""]), error
        try:
            folder = ImageFolder(place)
        except DataMissing as error:
            assert is_one_line_naming(error, [place])
            return
        read = [folder.read(index) for index in range(len(folder))]
        assert sum(image is None for image in read) == len(folder.unreadable)
        assert folder.labels is None or len(folder.labels) == len(folder)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A model, a checkpoint and a record, whole."""
    place = tmp_path_factory.mktemp("sealed")
    JULE(3, **JULE_NET, device="cpu", checkpoint=place / "checkpoint").fit(DIGITS).save(place / "model")
    Store(place, "quick").write("record", {"a": 1}, {"nmi": 0.5}, {"labels": np.arange(5)}, **provenance())
    return place


def provenance():
    return {"seconds": 1.0, "provenance": {"commit": "0"}, "sources": "0"}


@given(st.data())
@examples(60)
def test_sealed_files_are_whole_or_refused(sealed, data):
    kind = data.draw(st.sampled_from(["model", "checkpoint", "record.json"]))
    whole = (sealed / kind).read_bytes()
    content = mutated(data.draw, whole)
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / kind
        file.write_bytes(content)
        read = {
            "model": lambda: JULE.load(file, device="cpu"),
            "checkpoint": lambda: Checkpoint(file, {}).load(),
            "record.json": lambda: Store(Path(place), "quick").read("record"),
        }[kind]
        try:
            read()
        except OneLine as error:
            assert "\n" not in str(error) and str(file) in str(error)
            assert content != whole or kind == "checkpoint"  # which belongs to another fit
        else:
            assert content == whole or json.loads(content) == json.loads(whole)


TEXTS = st.text(max_size=12) | st.sampled_from(
    ["[1", "15e-1", "1e400", "nan", "!!python/object:os.system", "2020-01-01", "{a: 1}", "[[1], 2]", "&a [*a]", "0x10"]
)
DEFAULTS = st.sampled_from([True, 3, 0.5, "all", [1, 2], [0.5], ["a"], {"a": 1}, {}, [], None, (1, 2)])


@given(TEXTS, DEFAULTS)
@examples(60)
def test_settings_are_read_as_the_default_is_or_refused_by_name(text, default):
    try:
        found = typed("epochs", text, default)
    except UsageError as error:
        assert is_one_line_naming(error, ["epochs"])
        return
    if isinstance(default, (bool, int, float)) and found is not None:
        assert isinstance(found, type(default))
