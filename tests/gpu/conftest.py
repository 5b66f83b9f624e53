"""The GPU kernels: compiled where there is CUDA, else under Triton's interpreter on small inputs."""

import os

import pytest
import torch

CUDA = torch.cuda.is_available()
if not CUDA:
    os.environ.setdefault("TRITON_INTERPRET", "1")
pytest.importorskip("triton", reason="needs triton")


@pytest.fixture
def device() -> torch.device:
    """Where the kernels run."""
    return torch.device("cuda" if CUDA else "cpu")


@pytest.fixture
def large() -> int:
    """How many times larger the inputs may be where the kernels are compiled."""
    return 16 if CUDA else 1
