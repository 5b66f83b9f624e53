"""JULE on patches of images, with the network of its section 4.3."""

from typing import Any, ClassVar

from clustlib.jule.estimator import JULE
from clustlib.jule.parameters import PATCH_NETWORK


class PatchJULE(JULE):
    """:class:`clustlib.JULE` with :class:`clustlib.jule.network.PatchNet` in place of its network.

    ``network`` holds arguments of ``PatchNet``; ``init`` is not read. ``transform`` knows the layers "top" (the linear
    layer), "top-1" (conv2) and "top-2" (conv1). Whitened patches need ``scaled=False``.
    """

    _network_constraints: ClassVar[dict[str, Any]] = PATCH_NETWORK

    def _new_network(self, shape: Any, generator: Any = None) -> Any:
        from clustlib.jule.network import PatchNet

        return PatchNet(*shape, generator=generator, **(self.network or {}))
