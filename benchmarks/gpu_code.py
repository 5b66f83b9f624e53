"""What the compiler makes of the Triton kernels: registers, spills, shared memory, tensor cores. No GPU is needed.

    python benchmarks/gpu_code.py

Triton brings NVIDIA's assembler, so each kernel is compiled to machine code for A100 (sm_80) and H100 (sm_90) with
the tiles that the library would choose there. A kernel that spills registers, or needs more shared memory than there
is, is found here before anyone runs it. Writes ``gpu-code.json`` to ``_build/bench`` (``--folder book/benchmarks`` for
the page).
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clustlib.timings import Bar, Timing

SHARED = {80: 163 << 10, 90: 227 << 10}  # bytes that a program may use, by compute capability
CHIPS = {80: "A100 (sm_80)", 90: "H100 (sm_90)"}
NOTE = (
    "Each kernel of `clustlib.kernels.cuda` was compiled to machine code with the tiles that the library chooses on "
    "that chip; nothing was run. *Registers* are those of a thread, of 255 at most; what does not fit them is "
    "*spilled* to memory. *Products* says which unit multiplies: the tensor cores (wgmma on sm_90, mma before), or the "
    "ordinary arithmetic (FMA)."
)


@dataclass(frozen=True)
class Specimen:
    """A kernel with the types of its arguments and the tile that goes with them."""

    name: str
    kernel: Any
    types: dict[str, str]  # an argument that is not named is a 32-bit integer
    tile: dict[str, Any]
    aligned: tuple[str, ...] = ()  # integers that are multiples of 16, as the runtime finds out


def specimens(capability: int) -> Iterator[Specimen]:
    """Every kernel at the sizes of the papers."""
    from clustlib.kernels.cuda import cluster_sums, nearest_centre, scaled_coefficients, soft_assignment

    for precision in ("tf32", "bfloat16"):  # products in float32 are the vendor's
        for dim in (256, 4096) if precision == "bfloat16" else (256,):
            tile = nearest_centre.blocks(precision, dim, SHARED[capability])
            own = "*bf16" if precision == "bfloat16" else "*fp32"
            types = {"points": own, "centres": own, "half_norm2": "*fp32", "labels": "*i32", "values": "*fp32"}
            name = f"nearest centre, {precision}, {dim} features"
            yield Specimen(
                name, nearest_centre._nearest, types, {**tile, "WIDEN": False}, ("dim", "stride_x", "stride_c")
            )
    types = {"points": "*fp32", "order": "*i64", "start": "*i64", "sums": "*fp32"}
    yield Specimen("cluster sums", cluster_sums._segment_sums, types, cluster_sums.blocks(256), ("dim", "stride_x"))
    short = {"float32": "*fp32", "bfloat16": "*bf16", "float64": "*fp64"}
    for own, products in (("float32", "float32"), ("float32", "bfloat16"), ("float64", "float64")):
        types = dict.fromkeys(("h", "constants"), short[own]) | {"terms": "*fp64"}
        types |= dict.fromkeys(("numerator", "denominator"), short[products])
        strides = ("width", "stride_h", "stride_n", "stride_d")
        name = f"GSNMF coefficients, {own}, products {products}"
        yield Specimen(name, scaled_coefficients._scale, types, scaled_coefficients.blocks(1024), strides)
    tables = ("codes", "centres", "origin", "scores", "u", "target", "by_codes", "by_centres")
    types = dict.fromkeys(tables, "*fp32") | {"v": "fp32"}
    for k in (10, 100):
        for name, kernel in (("scores", soft_assignment._scores), ("gradients", soft_assignment._gradients)):
            yield Specimen(f"soft assignment, {name}, {k} clusters", kernel, types, soft_assignment.blocks(k, name))


def machine_code(specimen: Specimen, capability: int) -> Any:
    """The kernel compiled for a chip."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = specimen.kernel.arg_names
    options = {name: value for name, value in specimen.tile.items() if name not in names}
    constants = {name: value for name, value in specimen.tile.items() if name in names}
    types = {name: "constexpr" if name in constants else specimen.types.get(name, "i32") for name in names}
    divisible = [at for at, name in enumerate(names) if types[name].startswith("*") or name in specimen.aligned]
    source = ASTSource(
        fn=specimen.kernel,
        signature=types,
        constexprs={(names.index(name),): value for name, value in constants.items()},
        attrs={(at,): [["tt.divisibility", 16]] for at in divisible},
    )
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)


def resources(code: Any) -> dict[str, int]:
    """Registers of a thread and bytes of its stack, as the assembler counted them."""
    import triton

    reader = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code.asm["cubin"])
        file.flush()
        printed = subprocess.run(
            [reader, "-res-usage", file.name], capture_output=True, text=True, check=True, encoding="utf-8"
        )
    return {name: int(value) for name, value in re.findall(r"(REG|STACK):(\d+)", printed.stdout + printed.stderr)}


def row(specimen: Specimen, capability: int) -> dict[str, Any]:
    """A line of the table."""
    code = machine_code(specimen, capability)
    used, text = resources(code), code.asm["ptx"]
    unit = "wgmma" if "wgmma" in text else "mma" if "mma.sync" in text else "FMA"
    unit = unit if "tl.dot(" in specimen.kernel.src else "none"
    tile = " × ".join(str(value) for name, value in specimen.tile.items() if name.startswith("BLOCK"))
    return {
        "kernel": specimen.name,
        "chip": CHIPS[capability],
        "tile": tile,
        "warps": specimen.tile["num_warps"],
        "registers": used["REG"],
        "spilled (bytes)": used["STACK"],
        "shared memory (KiB)": round(code.metadata.shared / 1024, 1),
        "products": unit,
    }


def bars(rows: list[dict[str, Any]]) -> Iterator[Bar]:
    """What must hold of all kernels together, by chip."""
    for capability, chip in CHIPS.items():
        own = [row for row in rows if row["chip"] == chip]
        spilled = max(row["spilled (bytes)"] for row in own)
        yield Bar(f"all kernels on {chip}", "spilled by a thread", "bytes", 0, spilled)
        most = max(row["shared memory (KiB)"] for row in own)
        yield Bar(f"all kernels on {chip}", "shared memory of a program", "KiB", SHARED[capability] / 1024, most)
        fast = [row["products"] != "FMA" for row in own if "bfloat16," in row["kernel"] or "tf32" in row["kernel"]]
        share = sum(fast) / len(fast)
        yield Bar(
            f"assignment on {chip}", "kernels of 8 and 11 bits on tensor cores", "of all", 1, share, at_least=True
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the JSON goes; default _build/bench")
    folder = parser.parse_args().folder
    if os.environ.pop("TRITON_INTERPRET", None):
        return subprocess.run([sys.executable, *sys.argv], check=False).returncode
    rows = []
    for capability in CHIPS:
        for specimen in specimens(capability):
            rows.append(row(specimen, capability))
            print(rows[-1], flush=True)
    found = list(bars(rows))
    print(Timing("gpu-code", "The GPU kernels as machine code", NOTE, rows, found).save(folder))
    return int(not all(bar.held for bar in found))


if __name__ == "__main__":
    sys.exit(main())
