"""Every compressor beside a plain memory copy: compress, encode, decode and add, on one core, in one process.

Usage: python benchmarks/operators.py [--sizes 669706 11181642] [--repeats 20]

GB/s are of float32 gradient. The gradient is made of normal numbers whose scales vary over three orders of magnitude,
as those of layers do. PyTorch's own operators appear where it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import time
from collections.abc import Callable

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is imported

import numpy as np

from pmom_mpi.bias.base import Step
from pmom_mpi.bias.cast import Cast
from pmom_mpi.bias.dithering import QSGD
from pmom_mpi.bias.natural import Natural
from pmom_mpi.bias.power_sgd import PowerSGD
from pmom_mpi.bias.rand_k import RandK
from pmom_mpi.bias.sign import ScaledSign, SignMajority
from pmom_mpi.bias.ternary import TernGrad
from pmom_mpi.bias.threshold import AdaptiveThreshold, Threshold
from pmom_mpi.bias.top_k import TopK
from pmom_mpi.layout import Layout
from pmom_mpi.wire.codec import add, encode, max_bytes
from pmom_mpi.wire.message import Everything, Message

COLUMNS = 512
PARTS = (0.001, 0.01, 0.1)


def compressors(gradient: np.ndarray) -> dict[str, object]:
    """Every compressor, with keys worth comparing."""
    tau = float(np.quantile(np.abs(gradient[:100_000]), 0.99))
    return {
        **{f"top_k {part:.1%}": TopK(fraction=part) for part in PARTS},
        "top_k 1.0% layer": TopK(fraction=0.01, scope="layer"),
        "adaptive_threshold 1.0%": AdaptiveThreshold(fraction=0.01),
        "threshold (keeps 1%)": Threshold(tau=tau),
        "rand_k 1.0%": RandK(fraction=0.01),
        "scaled_sign": ScaledSign(),
        "sign_majority": SignMajority(),
        "qsgd 4 bit": QSGD(),
        "qsgd 4 bit, linf": QSGD(norm="linf"),
        "qsgd 4 bit, entropy": QSGD(entropy=True),
        "natural": Natural(),
        "natural nearest": Natural(rounding="nearest"),
        "terngrad": TernGrad(),
        **{f"cast {dtype}": Cast(dtype=dtype) for dtype in ("float16", "bfloat16", "fp8")},
        "power_sgd 2": PowerSGD(rank=2),
    }


def layout_of(size: int) -> Layout:
    """Some matrices of 512 columns, and the rest as a vector."""
    rows, rest = divmod(size, COLUMNS)
    return Layout(("one", "two", "rest"), ((rows // 2, COLUMNS), (rows - rows // 2, COLUMNS), (rest,)))


def seconds(call: Callable[[], object], repeats: int) -> float:
    """The median time of a call; the first two compile and touch memory."""
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times[2:]))


def row(name: str, nbytes: int, *times: float | None, bits: float | None = None) -> None:
    """One line: milliseconds and GB/s of every time, and the bits a coordinate."""
    cells = [" " * 20 if spent is None else f"{spent * 1e3:9.3f} ms{nbytes / spent / 1e9:8.2f}" for spent in times]
    print(f"{name:26}" + "".join(cells) + ("" if bits is None else f"{bits:12.3f}"), flush=True)


def measure(compressor, gradient: np.ndarray, repeats: int) -> tuple[float, float, float, float]:
    """Seconds of compress, encode, and add; bits a coordinate."""
    step = Step(0, 0, 0, layout_of(gradient.size))
    out = np.empty(max_bytes(gradient.size, gradient.dtype), np.uint8)
    total = np.zeros_like(gradient)

    def compress() -> Message:
        if hasattr(compressor, "compress"):
            return compressor.compress(gradient, step)[0]
        return Message(gradient.size, Everything(), compressor.quantize(gradient, step)[0])

    spent = seconds(compress, repeats)
    message = compress()
    size = encode(message, out)
    encoding = seconds(lambda: encode(message, out), repeats)
    adding = seconds(lambda: add(out[:size], total), repeats)
    return spent, encoding, adding, 8 * size / gradient.size


def others(gradient: np.ndarray, repeats: int) -> None:
    """What numpy and PyTorch take for a Top-1 % and for signs."""
    size = gradient.size
    k = size // 100
    row("np.argpartition 1.0%", gradient.nbytes, seconds(lambda: np.argpartition(np.abs(gradient), size - k), repeats))
    if importlib.util.find_spec("torch") is None:
        return
    import torch

    torch.set_num_threads(1)
    tensor = torch.from_numpy(gradient)
    row("torch.topk 1.0%", gradient.nbytes, seconds(lambda: torch.topk(tensor.abs(), k), repeats))
    row("torch.sign", gradient.nbytes, seconds(lambda: torch.sign(tensor), repeats))
    row("torch to float16", gradient.nbytes, seconds(lambda: tensor.half(), repeats))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[669_706, 11_181_642])
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    for size in options.sizes:
        rng = np.random.default_rng(0)
        gradient = rng.standard_normal(size, np.float32) * np.exp(1.5 * rng.standard_normal(size, np.float32))
        copy = np.empty_like(gradient)
        print(f"\nd = {size:,}\n{'':26}{'compress':>12}{'GB/s':>8}{'encode':>12}{'GB/s':>8}", end="")
        print(f"{'add':>12}{'GB/s':>8}{'bits/coord':>12}")
        row("copy", gradient.nbytes, seconds(lambda g=gradient, c=copy: np.copyto(c, g), options.repeats))
        for name, compressor in compressors(gradient).items():
            *times, bits = measure(compressor, gradient, options.repeats)
            row(name, gradient.nbytes, *times, bits=bits)
        others(gradient, options.repeats)


if __name__ == "__main__":
    main()
