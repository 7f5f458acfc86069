"""Sparse logistic regression: a node's gradient against plainly reading the same bytes, on one core, in one process.

The matrix (float32 values, uint32 indices) is larger than the caches. Columns are drawn as words in texts are, few of
them often and many of them seldom; `--uniform` draws them evenly, the worst case for the caches.

Usage: python benchmarks/sparse.py [--samples 400000] [--features 50000] [--entries 80] [--rounds 15] [--uniform]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is imported

import numba
import numpy as np
from rich.console import Console
from rich.table import Table

from pmom_mpi.data.dataset import DataSet
from pmom_mpi.data.sampling import Batch
from pmom_mpi.data.sparse import SparseSplit
from pmom_mpi.problems.base import Context
from pmom_mpi.problems.logistic import Logistic


def matrix(samples: int, features: int, entries: int, uniform: bool) -> SparseSplit:
    """Random samples of ``entries`` entries each, indices ascending within a sample."""
    rng = np.random.default_rng(0)
    drawn = rng.random((samples, entries), dtype=np.float32)
    drawn = drawn if uniform else drawn**3
    indices = np.sort((drawn * features).astype(np.uint32), axis=1)
    np.minimum(indices, features - 1, out=indices)
    values = rng.random(indices.size, dtype=np.float32)
    starts = np.arange(samples + 1) * entries
    return SparseSplit(starts, indices.ravel(), values, rng.integers(2, size=samples), features)


@numba.njit(fastmath=True)
def read(values, indices):
    """The fastest thing that touches every byte: two sums."""
    real, whole = np.float32(0), np.uint32(0)
    for p in range(values.size):
        real += values[p]
        whole += indices[p]
    return real, whole


def medians(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median CPU seconds of each (other processes take none of them), in turn, so that moods hit all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(-1, rounds):
        for name, work in works.items():
            began = time.thread_time()
            work()
            if turn >= 0:
                seconds[name].append(time.thread_time() - began)
    return {name: statistics.median(found) for name, found in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("samples", 400_000), ("features", 50_000), ("entries", 80), ("rounds", 15)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--uniform", action="store_true")
    asked = parser.parse_args()
    split = matrix(asked.samples, asked.features, asked.entries, asked.uniform)
    size = split.values.nbytes + split.indices.nbytes

    problem = Logistic(l2=1e-4, constants=False)
    shards = [np.arange(asked.samples)]
    problem.setup(
        Context(1, range(1), 0, np.dtype(np.float32), DataSet("", split, None, np.arange(2)), shards, Batch())
    )
    x = np.random.default_rng(1).standard_normal(asked.features).astype(np.float32)
    out = np.empty_like(x)
    works = {
        "gradient": lambda: problem.gradient(x, 0, 0, out),
        "plain read": lambda: read(split.values, split.indices),
    }
    title = f"{asked.samples:,} x {asked.features:,}, {asked.entries} entries a sample, {size / 1e6:.0f} MB, one core"
    table = Table("what", "ms", "MB/s of values and indices", "of a plain read", title=title)
    found = medians(works, asked.rounds)
    for name, seconds in found.items():
        table.add_row(
            name, f"{1e3 * seconds:.1f}", f"{size / seconds / 1e6:,.0f}", f"{found['plain read'] / seconds:.2f}"
        )
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
