"""One node's MLP gradient against its matrix products alone, on one core, in one process.

Usage: python benchmarks/gradient.py [--repeats 40]
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is imported

import numpy as np

from pmom_mpi.data.sampling import Batch
from pmom_mpi.problems.base import Context
from pmom_mpi.problems.mlp import MLP

FEATURES, HIDDEN, CLASSES = 784, (512, 512), 10


class Samples:
    """Random samples of MNIST's shape, but without its constant pixels: no product gets smaller."""

    features = FEATURES

    def __init__(self, count: int):
        rng = np.random.default_rng(0)
        self.inputs = rng.standard_normal((count, FEATURES))
        self.targets = rng.integers(CLASSES, size=count)

    def __len__(self) -> int:
        return len(self.targets)

    def load(self, rows, dtype):
        return self.inputs[rows].astype(dtype), self.targets[rows]


class Data:
    classes = CLASSES
    test = None

    def __init__(self, count: int):
        self.train = Samples(count)


def products(problem: MLP, x: np.ndarray, inputs: np.ndarray, out: np.ndarray):
    """A function that does the gradient's matrix products and nothing else."""
    weights, gradients = problem.layout.views(x)[::2], problem.layout.views(out)[::2]
    values = [inputs] + [np.full((len(inputs), len(w)), 0.1, x.dtype) for w in weights]
    spare = [np.empty_like(value) for value in values]

    def run():
        for layer, weight in enumerate(weights):
            np.matmul(values[layer], weight.T, out=spare[layer + 1])
        for layer in reversed(range(len(weights))):
            np.matmul(values[layer + 1].T, values[layer], out=gradients[layer])
            if layer:
                np.matmul(values[layer + 1], weights[layer], out=spare[layer])

    return run


def medians(functions, repeats: int) -> list[float]:
    """Median seconds of each, the functions taking turns so that the machine's moods hit all alike."""
    seconds = np.empty((repeats, len(functions)))
    for repeat in range(-3, repeats):
        for column, function in enumerate(functions):
            start = time.perf_counter()
            function()
            if repeat >= 0:
                seconds[repeat, column] = time.perf_counter() - start
    return list(np.median(seconds, axis=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=40)
    repeats = parser.parse_args().repeats
    print(f"{'batch':>6} {'products ms':>12} {'gradient ms':>12} {'ratio':>7} {'GFLOP/s of products':>20}")
    for batch in (Batch(), Batch(64, "replacement")):
        problem = MLP(hidden=HIDDEN)
        rows = np.arange(600)
        context = Context(1, range(1), 0, np.dtype(np.float32), Data(600), [rows], batch)
        problem.setup(context)
        x = problem.initial_point()
        out = np.empty_like(x)
        inputs, _ = problem.batch(0, 0)
        count = len(inputs)
        floor = products(problem, x, np.array(inputs), out)
        floor_s, gradient_s = medians([floor, lambda p=problem, x=x, o=out: p.gradient(x, 0, 1, o)], repeats)
        matrices = [np.prod(shape) for shape in problem.layout.shapes[::2]]
        flop = 2 * count * (3 * sum(matrices) - matrices[0])
        print(
            f"{count:>6} {1e3 * floor_s:>12.2f} {1e3 * gradient_s:>12.2f} {gradient_s / floor_s:>7.3f}"
            f" {1e-9 * flop / floor_s:>20.0f}"
        )


if __name__ == "__main__":
    main()
