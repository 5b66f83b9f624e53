"""A network's pass over images on a processor: PyTorch's own way, or OpenVINO's where that is installed.

OpenVINO keeps what a layer gives in the blocks that the next convolution reads and clamps it there, which is
faster than PyTorch's way (``benchmarks/extraction.py``). What both give differs by less than 1e-4.
"""

import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor, nn

from clustlib._validation import check_choice
from clustlib.errors import PackageMissing, UsageError

ENGINES = ("auto", "openvino", "torch")
_WORTH = 128  # images: compiling takes a second
_compiling = threading.Lock()  # tracing is not for two threads at once


class Pass(nn.Module):
    """A network of :mod:`clustlib.fcn.weights` from its input to what goes into its trained layers, or to its end."""

    def __init__(self, network: Any, whole: bool = False) -> None:
        super().__init__()
        self.network, self.whole = network, whole

    def forward(self, x: Tensor) -> Tensor:
        inner = self.network.trunk(x)
        return self.network.head(inner) if self.whole else inner


def engine_for(engine: str, device: torch.device, n_images: int | None = None) -> Literal["openvino", "torch"]:
    """What computes on ``device``: "auto" is OpenVINO on a processor where it is installed, else PyTorch.

    So it is for fewer ``n_images`` than make up for compiling the network.

    Raises
    ------
    UsageError : an unknown name; OpenVINO on another device than the processor.
    PackageMissing : OpenVINO is asked for and not installed.
    """
    check_choice("engine", engine, ENGINES)
    if engine == "torch":
        return "torch"
    few = n_images is not None and n_images < _WORTH
    if engine == "auto" and (few or device.type != "cpu" or not installed()):
        return "torch"
    if device.type != "cpu":
        raise UsageError(f"engine='openvino' computes on the processor, and device is {device}")
    if not installed():
        raise PackageMissing("engine='openvino' needs OpenVINO: pip install openvino")
    return "openvino"


def installed() -> bool:
    """Whether there is an OpenVINO to import."""
    return find_spec("openvino") is not None


def compiled(module: nn.Module, shape: Sequence[int], *, threads: int, streams: int = 1) -> Callable[[Tensor], Tensor]:
    """``module`` in evaluation mode, compiled by OpenVINO for float32 inputs (N, ...) of ``shape``, N of them at most.

    Parameters
    ----------
    threads : that compute, in all. streams : passes that run at once; each of as many Python threads has its own.
    """
    # OpenVINO reports over the network that it is imported, unasked; without this module it does not
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    from openvino import Core
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    shape = tuple(shape)
    with _compiling, torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a padding is computed from the shape, which is fixed here
        frontend = FrontEndManager().load_by_framework("pytorch")
        traced = TorchScriptPythonDecoder(torch.jit.trace(module.eval(), torch.zeros(shape), check_trace=False))
        model = frontend.convert(frontend.load(traced))
        model.reshape(list(shape))
        how: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": streams}
        # no core is claimed: two processes would claim the same one; and no rounding where the processor has bfloat16
        how |= {"ENABLE_CPU_PINNING": False, "INFERENCE_PRECISION_HINT": "f32"}
        ready = Core().compile_model(model, "CPU", how)
    local = threading.local()

    def run(x: Tensor) -> Tensor:
        if not hasattr(local, "request"):
            local.request = ready.create_infer_request()
        n = len(x)
        if n < shape[0]:  # what is added is computed and thrown away
            x = torch.cat([x, x[-1:].expand(shape[0] - n, *x.shape[1:])])
        out = local.request.infer([x.contiguous().numpy()], share_inputs=True)[0]
        return torch.from_numpy(out[:n].copy())

    return run
