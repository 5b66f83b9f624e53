"""Distances that products lose, and what is asked of the inputs of kernels and of sets of images.

A revision from before is taken to give what is due.
"""

import tempfile
from functools import partial

import numpy as np

from witnesses._data import pictures, rng
from witnesses._find import find, home
from witnesses.narrow import _same
from witnesses.refusals import _asked


def losses() -> dict[str, np.ndarray]:
    """The triplet loss of unit features; of groups far from the origin; with positions that are none."""
    import torch

    loss, made = find("weighted_triplet_loss"), find("Triplets")
    few = made(torch.tensor([0, 2]), torch.tensor([1, 3]), torch.tensor([[2], [0]]))
    unit = torch.nn.functional.normalize(torch.from_numpy(rng(3).normal(size=(4, 3))).float())
    found = {"unit": loss(unit, few).numpy(), "long": loss(3 * unit, few).numpy()}
    far = torch.tensor([[0, 0], [1, 0], [1e4, 1e4], [1e4, 1e4 + 1]])  # pairs of distance 1
    near = made(torch.tensor([0, 2]), torch.tensor([1, 3]), torch.tensor([[1], [3]]))
    pairs = {
        f"far {scale}": (lambda s=scale: float(loss(far * s, near, 2.0, None)), scale**2) for scale in (1.0, 2.0**-12)
    }
    found |= _same(home("weighted_triplet_loss"), "_beyond_unit", pairs)
    right = [[0], [1], [[2]]]
    cases = {"none": (lambda: loss(unit, made(*map(torch.tensor, right))), "ran")}
    for place, part in enumerate(("anchor", "positive", "negative")):
        for wrong in (-1, 4):
            parts = [torch.tensor(p) for p in right]
            parts[place] = torch.full_like(parts[place], wrong)
            cases[f"{part} {wrong}"] = (partial(loss, unit, made(*parts)), "refused")
    return found | _asked(loss, "check_within", cases)


def beyond() -> dict[str, np.ndarray]:
    """From which length on features are measured by their differences."""
    import torch

    module = home("weighted_triplet_loss")
    rows = {1.0: False, 1.9: False, 2.1: True, 3.0: True}
    pairs = {
        str(square): (lambda s=square: module._beyond_unit(torch.tensor([[0.0, 1.0], [s**0.5, 0.0]])), due)
        for square, due in rows.items()
    }
    return _same(module, "_beyond_unit", pairs)


def batches() -> dict[str, np.ndarray]:
    """Triplets of a batch without images."""
    import torch

    sample, none = find("sample_triplets"), torch.zeros(0, dtype=torch.long)
    labels = torch.tensor([0, 0, 1])
    found = {"some": sample(labels, 1).negative.numpy()}
    pairs = {
        kind: (lambda kind=kind: len(sample(none, 2, negatives=kind, distances=torch.zeros(0, 0))), 0)
        for kind in ("spread", "random", "nearest")
    }
    return found | _same(home("sample_triplets"), "max(0, min(n_negatives", pairs)


def scores() -> dict[str, np.ndarray]:
    """Eq. (1) to (5) of codes in two groups, close by and far apart, in both kinds of floats."""
    import torch

    soft, divergence, module = find("soft_assign"), find("boosted_kl"), home("boosted_kl")
    groups = rng(4).normal(size=(6, 2))
    target = torch.full((6, 2), 0.5)

    def codes(apart: float) -> np.ndarray:
        return groups + apart * (np.arange(6) > 2)[:, None]

    def slopes(apart: float, kind: torch.dtype) -> list:
        Z, centers = (torch.tensor(a, dtype=kind, requires_grad=True) for a in (codes(apart), codes(apart)[[0, 1]]))
        value = divergence(Z, centers, target.to(kind))
        value.backward()
        return [value.detach(), Z.grad, centers.grad]

    found = {"plain": soft(codes(1.0), codes(1.0)[[0, 4]])}
    found |= {f"slopes {i}": part.numpy() for i, part in enumerate(slopes(1.0, torch.float32))}
    u = 1 + np.square(codes(1e8)[:, None] - codes(1e8)[None, [0, 4, 5]]).sum(axis=2)
    due = (1 / u) / (1 / u).sum(axis=1, keepdims=True)
    pairs = {"double": (lambda: bool(np.allclose(soft(codes(1e8), codes(1e8)[[0, 4, 5]]), due, atol=1e-12)), True)}

    def agree() -> bool:
        both = zip(slopes(1e4, torch.float32), slopes(1e4, torch.float64))
        return all(a.dtype == torch.float32 and torch.allclose(a.double(), b, rtol=1e-3, atol=1e-5) for a, b in both)

    pairs["single"] = (agree, True)
    cases = [torch.tensor([[x, 0.0]]) for x in (1e3, 2e3)] + [torch.tensor([[x, 0.0]]).double() for x in (1e7, 1e8)]
    cases.append(torch.zeros(0, 2))
    pairs["lost"] = (lambda: [module._is_lost(Z, torch.zeros(1, 2).to(Z.dtype), 1.0) for Z in cases], [0, 1, 0, 1, 0])
    return found | _same(module, "donot_use_mm", pairs)


def updates() -> dict[str, np.ndarray]:
    """An update of GSNMF with negative numbers, NaN, factors that cannot be written."""
    update, X = find("gsnmf_update"), rng(5).random((5, 4))
    H, W = rng(6).random((5, 2)), rng(7).random((2, 4))
    found = {"plain": np.array(update(X, H.copy(), W.copy()))}
    cases = {"zero": (lambda: update(X * 0, H.copy(), W.copy()), "ran")}
    for name in "XHW":
        for wrong in (-1e-9, np.nan):
            parts = {"X": X.copy(), "H": H.copy(), "W": W.copy()}
            parts[name][0, 0] = wrong
            cases[f"{name} {wrong}"] = (partial(update, **parts), "refused")
        parts = {"X": X.copy(), "H": H.copy(), "W": W.copy()}
        parts[name].flags.writeable = False
        cases[f"{name} read-only"] = (partial(update, **parts), "ran" if name == "X" else "refused")
    return found | _asked(update, "without NaN", cases)


def neighbourhoods() -> dict[str, np.ndarray]:
    """Eq. (7) with more neighbours than there are clusters, those that are missing at affinity 0."""
    fit, X = find("GraphLinkage"), rng(8).normal(size=(12, 2))
    found = {}
    for k_c in (1, 2, 5, 40):
        for weight in (0.5, 1e3):
            made = fit(3, criterion="local", k_c=k_c, weight=weight, n_neighbors=4).fit(X)
            found |= {f"{k_c} {weight}": made.labels_, f"{k_c} {weight} tree": made.tree_.children}
    return found


def sets() -> dict[str, np.ndarray]:
    """Names of classes, parts and files: as many as there should be, and fewer."""
    made, images, y = find("ImageSet"), pictures(3)[:3], np.array([0, 1, 1])
    one = made(images, y, "some", ("a", "b"), ["x", "y", "y"], ["1", "2", "3"])
    found = {"names": np.array(one.class_names), "split": one.split, "files": np.array(one.files)}
    names = {"two": (("a", "b"), "ran"), "three": (list("abc"), "ran"), "one": (("a",), "refused")}
    names |= {"text": ("ab", "refused"), "number": (3, "refused")}
    cases = {n: (partial(made, images, y, "some", class_names=value), due) for n, (value, due) in names.items()}
    cases["nobody's"] = (partial(made, images, None, "some", class_names=()), "ran")
    cases["files"] = (partial(made, images, y, "some", files="abc"), "refused")
    cases["ragged"] = (partial(made, images, y, "some", split=[[1], 2, 3]), "refused")
    return found | _asked(made, "def _names", cases)


def labels() -> dict[str, np.ndarray]:
    """Labels in tensors: whole numbers of any kind, and those that no array can hold."""
    import torch

    nmi, check = find("nmi", "metrics"), home("nmi", "metrics")
    y = torch.tensor([0, 1, 1, 2])
    found = {str(kind): np.array(nmi(y.to(kind), y, average="max")) for kind in (torch.int8, torch.float32)}
    cases = {"sparse": (lambda: nmi(y.to_sparse(), y, average="max"), "refused")}
    cases["meta"] = (lambda: nmi(y.to("meta"), y, average="max"), "refused")
    cases["bfloat16"] = (lambda: nmi(y.bfloat16(), y, average="max"), "ran")
    return found | _asked(check._check_labels, "held(", cases)


def caches() -> dict[str, np.ndarray]:
    """A cache of activations where no folder can be."""
    extract = find("extract", "extraction")
    with tempfile.TemporaryDirectory() as name:
        cases = {
            n: (partial(extract, pictures(3)[:1], None, cache=f"{name}/{n}"), "refused") for n in ("a\0b", "x" * 300)
        }
        return _asked(extract, "check_place", cases)


WITNESSES = {
    f"edges_{witness.__name__}": witness
    for witness in (losses, beyond, batches, scores, updates, neighbourhoods, sets, labels, caches)
}
