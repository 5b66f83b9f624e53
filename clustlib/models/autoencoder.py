"""A fully connected auto-encoder that narrows to a few components (Hinton and Salakhutdinov 2006)."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Autoencoder(nn.Module):
    """x (B, D) to a code (B, d) and back: linear layers with ReLU between, a linear code, logits of pixels at the end.

    With ``hidden=(500, 500, 2000)`` and 784 inputs this is the shape used for MNIST: 784-500-500-2000-d and its mirror.
    Weights are drawn by He's rule, biases are 0.

    Parameters
    ----------
    n_inputs, n_components : int
        D and d.
    hidden : widths between them, from the input on.
    generator : torch.Generator, optional
        For the weights.
    """

    def __init__(
        self,
        n_inputs: int,
        n_components: int,
        hidden: Sequence[int] = (500, 500, 2000),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        widths = [n_inputs, *hidden, n_components]
        self.encoder = _stack(widths, generator)
        self.decoder = _stack(widths[::-1], generator)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Code (B, d) and logits of the reconstruction (B, D)."""
        code = self.encoder(x)
        return code, self.decoder(code)


def _stack(widths: Sequence[int], generator: torch.Generator | None) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        linear = nn.Linear(before, after)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
