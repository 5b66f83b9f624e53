"""A softmax on JULE's network, which section 4.2.2 trains for telling faces apart."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from clustlib._validation import check_integer, check_number, check_seed, check_trained
from clustlib.errors import UsageError


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

    from clustlib.checkpoints import Checkpoint, content_hash
    from clustlib.jule.triplet_training import inv_rate

    if images.ndim != 4 or len(images) != len(labels) or len(images) < 2:
        raise UsageError(f"needs at least two images (N, C, H, W) with a label each, got {images.shape}")
    for name, value, least in (("epochs", epochs, 1), ("batch_size", batch_size, 2)):
        check_integer(name, value, least)
    check_seed(seed)
    check_number("learning_rate", learning_rate)
    drawn = torch.Generator().manual_seed(seed)
    network.to(device)
    head = nn.Linear(network.top.out_features, int(labels.max()) + 1)
    nn.init.normal_(head.weight, std=0.01, generator=drawn)
    nn.init.zeros_(head.bias)
    head.to(device)
    both = nn.ModuleList([network, head])
    optimiser = torch.optim.SGD(both.parameters(), learning_rate, momentum=0.9, weight_decay=5e-5)
    state_file = Checkpoint(
        checkpoint, {"seed": seed, "batch_size": batch_size, "images": content_hash(images, labels)}
    )
    state = state_file.load() or {"epoch": 0, "seconds": 0.0}
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
            optimiser.param_groups[0]["lr"] = inv_rate(learning_rate, epoch * per_epoch + step)
            batch = x[index].to(device).float().div_(255)
            loss = F.cross_entropy(head(softmax_features(network, batch)), y[index.to(device)])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        check_trained(both.parameters())
        seconds += time.perf_counter() - started
        learnt = {"both": both.state_dict(), "optimiser": optimiser.state_dict(), "drawn": drawn.get_state()}
        state_file.save({"epoch": epoch + 1, "seconds": seconds, **learnt})
    return seconds
