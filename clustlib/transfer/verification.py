"""Do two faces show one person? Cosine similarity against a threshold, fold by fold: LFW's restricted protocol."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from clustlib._validation import check_features, check_integer, check_number
from clustlib.errors import UsageError


def cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine similarity (P,) float64 of the rows of two (P, D) tables; 0 where a row is zero."""
    first, second = (
        check_features(rows, distances="float64", name=name).astype(np.float64, copy=False)
        for rows, name in ((first, "first"), (second, "second"))
    )
    if first.shape != second.shape:
        raise UsageError(f"first and second must have one shape, got {first.shape} and {second.shape}")
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.einsum("ij,ij->i", first, second) / np.where(lengths == 0, 1, lengths)


def best_threshold(similarity: np.ndarray, same: np.ndarray) -> float:
    """The threshold that separates most pairs rightly (a pair at or above it is called the same); midway between pairs.

    Of several equally good ones the lowest.
    """
    order = np.argsort(similarity, kind="stable")
    s, y = similarity[order], same[order].astype(np.int64)
    below = np.concatenate([[0], np.cumsum(1 - y)])  # rightly told apart if the first k are called different
    right = below + (y.sum() - np.concatenate([[0], np.cumsum(y)]))
    cuts = np.concatenate([[s[0] - 1], (s[1:] + s[:-1]) / 2, [s[-1] + 1]])
    right[1:-1][s[1:] == s[:-1]] = -1  # equal similarities cannot be separated
    return float(cuts[np.argmax(right)])


def verification_accuracy(similarity: np.ndarray, same: np.ndarray, fold: np.ndarray) -> float:
    """Mean accuracy over the folds, each with the best threshold of all others.

    Parameters
    ----------
    similarity : (P,) numbers. same : (P,) bool. fold : (P,) integers, at least two different ones.
    """
    similarity, same, fold = np.asarray(similarity, np.float64), np.asarray(same, bool), np.asarray(fold)
    folds = np.unique(fold)
    if len(folds) < 2 or not similarity.shape == same.shape == fold.shape:
        raise UsageError("needs pairs in at least two folds, with a similarity and a kind each")
    if not np.isfinite(similarity).all():
        raise UsageError("similarities contain NaN or infinite values")
    found = []
    for held_out in folds:
        test = fold == held_out
        threshold = best_threshold(similarity[~test], same[~test])
        found.append(np.mean((similarity[test] >= threshold) == same[test]))
    return float(np.mean(found))


def softmax_features(network: Any, images: Any) -> Any:
    """What the softmax reads: the last linear layer of a ``JuleNet`` before it is scaled to unit length, (B, D)."""
    return network.top(network(images, "top-1"))


def fine_tune_softmax(
    network: Any,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    epochs: int = 20,
    batch_size: int = 100,
    learning_rate: float = 0.01,
    seed: int = 0,
    device: Any = "cpu",
    checkpoint: str | Path | None = None,
) -> float:
    """Train a ``JuleNet`` with a softmax layer in place of its normalisation (section 4.2.2), in place.

    SGD as in section 4.1.2: momentum 0.9, weight decay 5e-5, the "inv" policy. Images are (N, C, H, W) uint8, labels
    (N,) integers from 0. The head is thrown away.

    Returns
    -------
    Seconds of training, those before a resume included.
    """
    import torch
    import torch.nn.functional as F
    from torch import nn
    from tqdm.auto import tqdm

    from clustlib.methods._checkpoint import Checkpoint, content_hash

    if images.ndim != 4 or len(images) != len(labels) or len(images) < 2:
        raise UsageError(f"needs at least two images (N, C, H, W) with a label each, got {images.shape}")
    for name, value, least in (("epochs", epochs, 1), ("batch_size", batch_size, 2), ("seed", seed, 0)):
        check_integer(name, value, least)
    check_number("learning_rate", learning_rate)
    drawn = torch.Generator().manual_seed(seed)
    network.to(device)
    head = nn.Linear(network.top.out_features, int(labels.max()) + 1)
    nn.init.normal_(head.weight, std=0.01, generator=drawn)
    nn.init.zeros_(head.bias)
    head.to(device)
    both = nn.ModuleList([network, head])
    optimiser = torch.optim.SGD(both.parameters(), learning_rate, momentum=0.9, weight_decay=5e-5)
    kept = Checkpoint(checkpoint, {"seed": seed, "batch_size": batch_size, "images": content_hash(images, labels)})
    state = kept.load() or {"epoch": 0, "seconds": 0.0}
    if "both" in state:
        both.load_state_dict(state["both"])
        optimiser.load_state_dict(state["optimiser"])
        drawn.set_state(state["drawn"].cpu())
    x, y = torch.from_numpy(np.array(images)), torch.from_numpy(np.array(labels, np.int64)).to(device)
    done, seconds = state["epoch"], state["seconds"]
    per_epoch = -(-len(x) // batch_size)
    for epoch in tqdm(range(done, epochs), desc="softmax", unit="epoch", leave=False, delay=3):
        started = time.perf_counter()
        network.train()
        for step, index in enumerate(torch.randperm(len(x), generator=drawn).split(batch_size)):
            if len(index) < 2:  # batch normalisation has nothing to normalise by
                continue
            optimiser.param_groups[0]["lr"] = learning_rate * (1 + 1e-4 * (epoch * per_epoch + step)) ** -0.75
            batch = x[index].to(device).float().div_(255)
            loss = F.cross_entropy(head(softmax_features(network, batch)), y[index.to(device)])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        seconds += time.perf_counter() - started
        learnt = {"both": both.state_dict(), "optimiser": optimiser.state_dict(), "drawn": drawn.get_state()}
        kept.save({"epoch": epoch + 1, "seconds": seconds, **learnt})
    return seconds
