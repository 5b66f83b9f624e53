"""Registered data sets that are made up, for runs that load theirs by name."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace

import numpy as np

from witnesses._data import digits, pictures
from witnesses._find import find, holding, home


def sets() -> dict:
    """Small sets by name: digits with and without a split, coloured pictures of three kinds."""
    ImageSet = find("ImageSet")
    images, labels = digits((10, 9, 8, 6))
    split = np.where(np.arange(len(labels)) % 3 == 0, "test", "train")
    colour, kind = pictures(30, 3, 26, 26), np.arange(30) % 3
    return {
        "digits": ImageSet(images, labels, "digits"),
        "parted": ImageSet(images, labels, "parted", split=split),
        "olivetti": ImageSet(images[::-1].copy(), labels[::-1].copy(), "olivetti"),
        "flowers-17": ImageSet(colour, kind, "flowers-17"),
        "imagenette": ImageSet(colour, kind, "imagenette"),
        "imagenette-val": ImageSet(colour[::-1].copy(), kind[::-1].copy(), "imagenette-val"),
        "coil-20": ImageSet(colour[:, :1].repeat(2, 2).repeat(2, 3), kind, "coil-20"),
    }


@contextmanager
def registered() -> Iterator[dict]:
    """Have ``datasets.load`` give the made-up sets, and artifacts and checkpoints know nothing of sources."""
    import clustlib.datasets as datasets
    from clustlib import records

    made, kept = sets(), {}

    def artifact(run, **params):
        key = repr((run.__module__, run.__qualname__, sorted(params.items(), key=lambda item: item[0])))
        if key not in kept:
            kept[key] = run(**params)
        return kept[key]

    with ExitStack() as held:
        info = lambda name: SimpleNamespace(name=name, shape=made[name].shape, streamed=False)  # noqa: E731
        held.enter_context(holding(datasets, load=made.__getitem__, names=lambda: list(made), info=info))
        held.enter_context(holding(records, artifact=artifact))
        held.enter_context(holding(home("checkpoint_of"), fingerprint=lambda *_, **__: "now"))
        yield made


def plain(result: dict, prefix: str, without: tuple[str, ...] = ("second", "share_")) -> dict[str, np.ndarray]:
    """A run's numbers and arrays, without what a clock says."""
    return {f"{prefix}.{n}": np.asarray(v) for n, v in result.items() if not any(word in n for word in without)}


def refusals(run, cases: list[dict], **usual) -> dict[str, np.ndarray]:
    """What the check of a run refuses."""
    from witnesses._data import errors_of

    check = getattr(run, "check", lambda **_: None)
    return errors_of(check, {f"{run.__name__}.{case}": ((), {**usual, **case}) for case in cases})
