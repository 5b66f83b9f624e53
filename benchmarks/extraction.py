"""An image through EfficientNet-Lite0 on one core: PyTorch, OpenVINO and other ways, side by side.

    OMP_NUM_THREADS=1 python benchmarks/extraction.py             # a minute
    OMP_NUM_THREADS=1 python benchmarks/extraction.py --rounds 2 --images 8

Batch normalisation is folded into the convolutions as the weights are read, and memory is channels last, so neither is
a variant here. Every round times each variant once, in turn; the ratio is the median over rounds of the seconds of
PyTorch's eager pass over the variant's. Prints a table and writes ``extraction.json`` to ``_build/bench``.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from clustlib.fcn.inference import Pass, compiled, installed
from clustlib.fcn.weights import pretrained
from clustlib.timings import Bar, Timing

NOTE = (
    "Milliseconds of one core for an image of 224 x 224, features of the last hidden layer. *PyTorch*: its eager pass "
    "in batches of 8, *OpenVINO* what is in use where it is installed. *Frozen* is the network traced and frozen, its "
    "clamps fused into convolutions by oneDNN. *Apart* is the largest difference from PyTorch's of a feature, whose "
    "range is 0 to 6. Medians over rounds."
)
USUAL = "PyTorch"
RATIO, APART = 1.3, 1e-3
Variant = Callable[[Tensor], Tensor]


def in_batches(model: Variant, size: int) -> Variant:
    return lambda x: torch.cat([model(part) for part in x.split(size)])


def frozen(model: nn.Module, size: int) -> Variant:
    example = torch.zeros(size, 3, 224, 224).to(memory_format=torch.channels_last)
    return torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(model, example)))


def variants() -> dict[str, Variant]:
    model = Pass(pretrained().to(memory_format=torch.channels_last), whole=True).eval()  # type: ignore[call-overload]
    found = {USUAL: in_batches(model, 8)}
    if installed():
        found["OpenVINO"] = in_batches(compiled(model, (8, 3, 224, 224), threads=1), 8)
    found |= {f"PyTorch, batches of {size}": in_batches(model, size) for size in (1, 2, 4, 16)}
    found |= {f"frozen, batches of {size}": in_batches(frozen(model, size), size) for size in (1, 8)}

    def rounded(x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return model(x).float()

    return found | {"bfloat16": in_batches(rounded, 8)}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--images", type=int, default=32, help="a multiple of 16")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--folder", type=Path, help="where the JSON goes; default _build/bench")
    given = options.parse_args()
    warnings.simplefilter("ignore")  # TorchScript is to be replaced; it is timed because torch.compile needs a compiler
    torch.set_num_threads(1)
    x = torch.rand(given.images, 3, 224, 224, generator=torch.Generator().manual_seed(0)) * 2 - 1
    x = x.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        tried = variants()
        expected = tried[USUAL](x)
        apart = {name: float((run(x) - expected).abs().max()) for name, run in tried.items()}
        spent: dict[str, list[float]] = {name: [] for name in tried}
        for _ in range(given.rounds):
            for name, run in tried.items():
                started = time.process_time()
                run(x)
                spent[name].append(time.process_time() - started)
    rows, bars = [], []
    for name, seconds in spent.items():
        ratio = statistics.median(usual / own for usual, own in zip(spent[USUAL], seconds, strict=True))
        milliseconds = 1e3 * statistics.median(seconds) / given.images
        rows.append({"variant": name, "ms an image": milliseconds, "ratio": ratio, "apart": apart[name]})
        print(f"{name:<24}{milliseconds:>8.2f} ms{ratio:>8.2f} times{apart[name]:>12.2g} apart")
        if apart[name] <= APART and name != USUAL:
            bars.append(
                Bar(f"EfficientNet-Lite0, {name}", "speed beside PyTorch's eager pass", "times", RATIO, ratio, True)
            )
    best = max(bars, key=lambda bar: bar.measured)
    print(Timing("extraction", "Features of EfficientNet-Lite0", NOTE, rows, [best]).save(given.folder))


if __name__ == "__main__":
    main()
