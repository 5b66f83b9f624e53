"""The pass around the products of a GSNMF update against float64."""

import numpy as np
import pytest
import torch

from clustlib.kernels.cuda.scaled_coefficients import scale_coefficients

TINY = 1e-12


def drawn(n, width, seed=0):
    rng = np.random.default_rng(seed + n + 31 * width)
    return [torch.tensor(rng.random((n, width)) * (rng.random((n, width)) > 0.2)) for _ in range(3)]


def exact(h, above, below, l1):
    terms = h * (below - 2 * above + 2 * l1)
    return h * above / (below + l1).clamp_min(TINY), float(terms.sum())


@pytest.mark.parametrize(("n", "width"), [(0, 3), (1, 1), (1, 1030), (37, 20), (130, 17), (1024, 2)])
@pytest.mark.parametrize("l1", [0.0, 0.3])
@pytest.mark.parametrize(("dtype", "products", "rtol"), [
    (torch.float64, torch.float64, 1e-13), (torch.float32, torch.float32, 1e-6), (torch.float32, torch.bfloat16, 1e-6),
])  # fmt: skip
def test_against_float64(n, width, l1, dtype, products, rtol, device):
    h, above, below = drawn(n, width)
    h, above, below = h.to(device, dtype), above.to(device, products), below.to(device, products)
    wanted, value = exact(h.double(), above.double(), below.double(), l1)
    found = scale_coefficients(h, above, below, l1, TINY)
    assert found == pytest.approx(value, rel=100 * rtol, abs=rtol * max(n * width, 1))
    torch.testing.assert_close(h.double(), wanted, rtol=4 * rtol, atol=0)


def test_rows_and_columns_at_any_distance(device):
    h, above, below = (part.float().to(device) for part in drawn(40, 9))
    wanted, value = exact(h.double(), above.double(), below.double(), 0.1)
    wide = torch.full((40, 30), 7.0, device=device)
    for place in (wide[:, 3:12], torch.zeros(9, 40, device=device).T):
        place.copy_(h)
        assert scale_coefficients(place, above, below, 0.1, TINY) == pytest.approx(value, rel=1e-5)
        torch.testing.assert_close(place.double(), wanted, rtol=1e-5, atol=0)
    untouched = torch.cat([wide[:, :3], wide[:, 12:]], dim=1)
    assert (untouched == 7).all()


def test_zeros_stay_and_nothing_is_divided_by_zero(device):
    h = torch.tensor([[0.0, 2.0, 3.0]], device=device)
    above, below = torch.tensor([[1.0, 0.0, 1.0]], device=device), torch.tensor([[0.0, 0.0, 2.0]], device=device)
    scale_coefficients(h, above, below, 0.0, TINY)
    assert h.tolist() == [[0.0, 0.0, 1.5]]
