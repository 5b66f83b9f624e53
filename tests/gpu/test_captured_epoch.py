"""An epoch of JULE in CUDA graphs against the same steps without."""

import numpy as np
import pytest
import torch

from clustlib.jule import triplet_training
from clustlib.jule.network import JuleNet
from clustlib.jule.triplet_training import Descent, TripletLoss, TripletTraining

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="graphs are captured on a CUDA device only")

N = 38  # three batches of ten and one of eight: each has triplets


def training(n_negatives=20, **how):
    images = np.random.default_rng(0).integers(0, 256, (N, 1, 12, 12), dtype=np.uint8)
    loss = TripletLoss(2.0, 0.2, n_negatives, "spread", "exact")
    how = {"rate": 0.01, "momentum": 0.9, "dampening": 0.0, "weight_decay": 5e-5, "decay": 0.1, "power": 0.75} | how
    descent = Descent(batch_size=10, precision="float32", **how)
    network = JuleNet(1, 12, 12, filters=4, features=6, generator=torch.Generator().manual_seed(0))
    return TripletTraining(images, network, loss, descent, 0, torch.device("cuda"))


def weights(one):
    return {name: value.double().cpu() for name, value in one.network.state_dict().items()}


def same(one, other, **tolerance):
    for name, value in weights(one).items():
        torch.testing.assert_close(value, weights(other)[name], **tolerance)


@pytest.fixture
def alone():
    """Clusters in which a pair has no choice: every image of another cluster is alone in its own."""
    return np.where(np.arange(N) % 2, 0, np.arange(N))


@pytest.mark.parametrize("dampening", [0.0, 0.9])
def test_the_same_weights_as_without_graphs(alone, dampening, monkeypatch):
    captured, plain = (training(dampening=dampening) for _ in range(2))
    losses = [captured.epoch(alone) for _ in range(3)]
    monkeypatch.setattr(triplet_training, "on_gpu", lambda device: False)
    wanted = [plain.epoch(alone) for _ in range(3)]
    assert captured.captured is not None and plain.captured is None
    assert captured.iteration == plain.iteration == 12
    np.testing.assert_allclose(losses, wanted, rtol=1e-3)
    same(captured, plain, rtol=1e-3, atol=1e-4)


def test_a_restored_training_goes_on_as_if_it_had_never_stopped():
    labels = np.arange(N) % 5
    whole, first, second = (training(n_negatives=2) for _ in range(3))
    for _ in range(4):
        whole.epoch(labels)
    first.epoch(labels)
    first.epoch(labels)
    second.epoch(labels)  # captures graphs, which restoring has to forget
    second.restore(first.state())
    for _ in range(2):
        second.epoch(labels)
    same(whole, second, rtol=1e-3, atol=1e-4)


def test_batches_without_triplets():
    one = training()
    assert one.epoch(np.zeros(N, np.int64)) == 0
    assert one.epoch(np.zeros(N, np.int64)) == 0
    assert all(bool(value.isfinite().all()) for value in weights(one).values())
