"""Exact Top-K of one gradient: selection and encoding here, beside numpy.argpartition and torch.topk, in turn.

python benchmarks/selection.py
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from pmom_mpi.bias.base import Step  # noqa: E402
from pmom_mpi.bias.top_k import TopK  # noqa: E402
from pmom_mpi.wire import codec  # noqa: E402
from pmom_mpi.words.layout import Layout  # noqa: E402

DIMENSION = 669_706
KEPT = (67_000, 6_700, 670)
ROUNDS = 30


def gradient() -> np.ndarray:
    """Magnitudes over several decades, as in a network's gradient."""
    rng = np.random.default_rng(0)
    return (rng.standard_normal(DIMENSION) * np.exp(2 * rng.standard_normal(DIMENSION))).astype(np.float32)


def contenders(vector: np.ndarray, k: int) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    step = Step(0, 0, 0, Layout.flat(DIMENSION))
    out = np.empty(codec.max_bytes(DIMENSION, np.float32), np.uint8)
    stage = TopK(k=k)
    message, _ = stage.compress(vector, step)
    found: dict[str, Callable[[], object]] = {
        "select": lambda: stage.compress(vector, step),
        "encode": lambda: codec.encode(message, out),
        "np.argpartition": lambda: np.argpartition(np.abs(vector), DIMENSION - k),
        "plain copy": lambda: vector.copy(),
    }
    try:
        import torch

        torch.set_num_threads(1)
        tensor = torch.from_numpy(vector)
        found["torch.topk"] = lambda: torch.topk(tensor.abs(), k)
    except ImportError:
        pass
    return found


def main() -> None:
    vector = gradient()
    table = Table("K", "what", "ms", "GB/s of gradient", title=f"d = {DIMENSION:,}, float32, one core")
    for k in KEPT:
        works = contenders(vector, k)
        seconds: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(ROUNDS):
            for name, work in works.items():
                began = time.perf_counter()
                work()
                seconds[name].append(time.perf_counter() - began)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        medians["select + encode"] = medians["select"] + medians["encode"]
        for name, value in medians.items():
            table.add_row(f"{k:,}", name, f"{1e3 * value:.3f}", f"{vector.nbytes / value / 1e9:.2f}")
        table.add_section()
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
