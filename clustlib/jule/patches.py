"""JULE on patches of images, with the network of its section 4.3."""

from typing import Any

import numpy as np

from clustlib.jule.estimator import JULE


class PatchJULE(JULE):
    """:class:`clustlib.JULE` with :class:`clustlib.jule.network.PatchNet` in place of its network.

    ``network`` holds arguments of ``PatchNet``; ``init`` is not read. ``transform`` knows the layers "top" (the linear
    layer), "top-1" (conv2) and "top-2" (conv1).
    """

    def _training(self, images: np.ndarray, network: Any = None) -> Any:
        import torch

        from clustlib.jule.network import PatchNet

        if network is None:
            generator = torch.Generator().manual_seed(self.random_state)
            network = PatchNet(*images.shape[1:], generator=generator, **(self.network or {}))
        return super()._training(images, network)
