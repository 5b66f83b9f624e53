"""What is plain PyTorch gives on the device what it gives in float64 on the CPU; and whole fits run there."""

import numpy as np
import pytest
import torch
from torch import nn

from clustlib import DBC, GSNMF, JULE, DeepCluster, FCAEFeatures, datasets, kernels
from clustlib.kernels.pooled_norm import pooled_norm
from clustlib.kernels.unpooled_deconvolution import unpooled_deconvolution


def drawn(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=shape))


@pytest.mark.parametrize(("n", "dim", "k"), [(1, 3, 2), (37, 20, 5), (70, 4, 9)])
def test_one_update_of_the_factors(n, dim, k, device):
    x, h, w = (drawn(*shape, seed=i).abs() for i, shape in enumerate(((n, dim), (n, k), (k, dim))))
    on_device = [t.float().to(device) for t in (x, h, w)]
    for penalty in (kernels.Penalty(), kernels.Penalty(0.1, 0.2)):
        wanted = kernels.gsnmf_update(x, h, w, penalty)
        found = kernels.gsnmf_update(*on_device, penalty)
        assert found == pytest.approx(wanted, rel=1e-4)
    for ours, exact in zip(on_device, (x, h, w), strict=True):
        torch.testing.assert_close(ours.cpu().double(), exact, rtol=1e-3, atol=1e-5)


def test_whitening_gives_an_identity_covariance(device):
    rows = (drawn(400, 12) @ drawn(12, 12, seed=1)).float().to(device)
    whitened = kernels.pca_whiten(rows.split(70), 8)(rows, normalise=False)
    assert whitened.device.type == device.type
    covariance = (whitened - whitened.mean(0)).T @ (whitened - whitened.mean(0)) / len(rows)
    torch.testing.assert_close(covariance.cpu(), torch.eye(8), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("classes", [1, 3, 40])
def test_triplets_are_sampled_where_the_labels_are(classes, device):
    labels = (torch.arange(60) % classes).to(device)
    found = kernels.sample_triplets(labels, 5, generator=torch.Generator(device).manual_seed(0))
    parts = (found.anchor, found.positive, found.negative)
    assert all(part.device.type == device.type for part in parts)
    anchor, positive, negative = (labels[part] for part in parts)
    assert (anchor == positive).all() and (anchor[:, None] != negative).all()
    assert (len(found) == 0) == (classes == 1)


def test_target_and_loss(device):
    codes, centres = drawn(50, 6), drawn(4, 6, seed=1)
    exact = kernels.boosted_target(kernels.soft_assign(codes, centres))
    ours = kernels.boosted_target(kernels.soft_assign(codes.float().to(device), centres.float().to(device)))
    torch.testing.assert_close(ours.cpu().double(), exact, rtol=1e-4, atol=1e-6)
    moved = [t.float().to(device).requires_grad_() for t in (codes, centres)]
    fixed = [t.clone().requires_grad_() for t in (codes, centres)]
    kernels.boosted_kl(*moved, ours).backward()
    kernels.boosted_kl(*fixed, exact).backward()
    for one, other in zip(moved, fixed, strict=True):
        torch.testing.assert_close(one.grad.cpu().double(), other.grad, rtol=1e-3, atol=1e-5)


def test_pooling_and_its_inverse(device):
    torch.manual_seed(0)
    norm, layer = nn.BatchNorm2d(3), nn.ConvTranspose2d(3, 2, 5)
    maps = drawn(4, 3, 8, 8).float()
    pooled, switches = pooled_norm(maps, norm)
    image = unpooled_deconvolution(pooled, switches, layer, (8, 8))
    norm, layer = nn.BatchNorm2d(3).to(device), layer.to(device)
    there, where = pooled_norm(maps.to(device), norm)
    positive = pooled > 0  # which of four zeros was pooled makes no difference
    assert torch.equal(where.cpu()[positive], switches[positive])
    torch.testing.assert_close(there.detach().cpu(), pooled.detach(), rtol=1e-4, atol=1e-5)
    again = unpooled_deconvolution(there, where, layer, (8, 8))
    torch.testing.assert_close(again.detach().cpu(), image.detach(), rtol=1e-3, atol=1e-4)


def test_whole_fits(device):
    images = datasets.load("digits").take(300, 0)
    shared = {"random_state": 0, "device": device.type}
    features = FCAEFeatures(epochs=1, whiten=20, **shared).fit(images.images)
    dbc = DBC(10, features=features, epochs=1, **shared).fit(images.images)
    assert np.isfinite(dbc.soft_assignments_).all() and len(dbc.labels_) == 300
    jule = JULE(10, epochs=1, **shared).fit(images.images)
    assert len(np.unique(jule.labels_sf_)) == 10
    factorised = GSNMF(5, max_iter=3, **shared).fit(images.pixels("unit"))
    assert np.isfinite(factorised.embedding_).all()
    large = np.kron(images.images, np.ones((3, 3))).astype(np.uint8)  # 24 x 24 pixels
    small = {"width": 1 / 48, "kernel": 3, "stride": 1}
    deep = DeepCluster(8, network_options=small, epochs=1, batch_size=32, n_components=16, **shared).fit(large)
    assert len(deep.labels_) == 300
