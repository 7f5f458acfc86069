"""One node's CNN gradient against the same network in PyTorch, on one core, in one process.

Usage: python benchmarks/convolution.py [--repeats 20]
"""

from __future__ import annotations

import argparse
import os
from types import SimpleNamespace

for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[variable] = "1"  # read when numpy and torch are imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
from gradient import medians  # noqa: E402

from pmom_mpi.data.sampling import Batch  # noqa: E402
from pmom_mpi.problems.base import Context  # noqa: E402
from pmom_mpi.problems.cnn import CNN  # noqa: E402

CHANNELS, KERNEL, HIDDEN, CLASSES = (16, 32), 5, 128, 10


def network(side: int) -> torch.nn.Module:
    layers: list[torch.nn.Module] = []
    before = 1
    for after in CHANNELS:
        layers += [torch.nn.Conv2d(before, after, KERNEL, padding=KERNEL // 2), torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
        before = after
    features = before * (side // 4) ** 2
    dense = [torch.nn.Linear(features, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, CLASSES)]
    return torch.nn.Sequential(*layers, torch.nn.Flatten(), *dense)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    print(f"{'image':>8} {'batch':>6} {'gradient ms':>12} {'PyTorch ms':>11} {'x faster':>9}")
    for side, batch in ((28, 64), (28, 600), (8, 32)):
        inputs = rng.standard_normal((batch, side * side), dtype=np.float32)
        targets = rng.integers(CLASSES, size=batch)
        split = SimpleNamespace(features=side * side, inputs=inputs, load=lambda *_, i=inputs, t=targets: (i, t))
        problem = CNN(channels=CHANNELS, kernel=KERNEL, hidden=(HIDDEN,))
        data = SimpleNamespace(train=split, test=None, classes=CLASSES)
        problem.setup(Context(1, range(1), 0, np.dtype(np.float32), data, [np.arange(batch)], Batch()))
        x = problem.initial_point()
        out = np.empty_like(x)
        model, lossfunction = network(side), torch.nn.CrossEntropyLoss()
        images, labels = torch.from_numpy(inputs.reshape(batch, 1, side, side)), torch.from_numpy(targets)

        def loop(model=model, lossfunction=lossfunction, images=images, labels=labels) -> None:
            model.zero_grad()
            lossfunction(model(images), labels).backward()
            torch.cat([p.grad.reshape(-1) for p in model.parameters()])

        ours = lambda p=problem, x=x, i=inputs, t=targets, o=out: p.batch_gradient(x, i, t, o)  # noqa: E731
        seconds = medians([ours, loop], repeats)
        print(
            f"{f'{side} x {side}':>8} {batch:>6} {1e3 * seconds[0]:>12.2f} {1e3 * seconds[1]:>11.2f}"
            f" {seconds[1] / seconds[0]:>9.2f}"
        )


if __name__ == "__main__":
    main()
