"""The GPU kernels: compiled where there is CUDA, else under Triton's interpreter on small inputs."""

import os
from importlib.util import find_spec

import pytest
import torch

CUDA = torch.cuda.is_available()
if not CUDA:
    os.environ.setdefault("TRITON_INTERPRET", "1")
pytest.importorskip("triton", reason="needs triton")

# a bare GPU machine may have torch, triton and scikit-learn only
_NEEDS = {
    "test_dispatch.py": ["numba"],
    "test_on_the_device.py": ["numba"],
    "test_torch_neighbours.py": ["numba", "hypothesis"],
}
collect_ignore = [name for name, packages in _NEEDS.items() if not all(map(find_spec, packages))]


@pytest.fixture
def device() -> torch.device:
    """Where the kernels run."""
    return torch.device("cuda" if CUDA else "cpu")


@pytest.fixture
def large() -> int:
    """How many times larger the inputs may be where the kernels are compiled."""
    return 16 if CUDA else 1
