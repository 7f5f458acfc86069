"""An iteration of the paper's MNIST setting against its GEMM floor and against the same loop in PyTorch.

    mpirun -n 3 python benchmarks/iteration.py [--iterations 8] [--rounds 2]

Rank 0 serves, two workers host 50 of the 100 nodes each. In one job and in turn: the floor (the GEMMs that full-batch
gradients of all nodes need, nothing else, both workers at once), our iteration for each bias, and, where PyTorch is
installed, its loop on as many threads as there are workers. Evaluation is off; it has a row of its own.

Pixels that are constant over a node's images stay out of our products, but not out of the floor's. With
`--data fashion-mnist`, which has hardly any, both are the same products.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402
from mpi4py import MPI  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from pmom_mpi.runtime import experiment  # noqa: E402

T = TypeVar("T")
NODES, SAMPLES, WIDTHS = 100, 600, (784, 512, 512, 10)
BIASES = {
    "none": [],
    "clip_norm 1": [{"kind": "clip_norm", "tau": 1.0}],
    "Top-10 %": [{"kind": "top_k", "k": 67000}],
    "Top-2 %": [{"kind": "top_k", "k": 13400}],
}
STATIONS = ("gradient", "bias", "encode", "send", "evaluate", "broadcast", "wait", "decode", "momentum", "record")


class Rows:
    """Keeps the rows of a run; `pmom_mpi.runtime.experiment.Watcher`."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def begin(self, *_: object) -> None: ...

    def ready(self, *_: object) -> None: ...

    def end(self, *_: object) -> None: ...

    def row(self, row: dict[str, float]) -> None:
        self.rows.append(dict(row))

    def median(self, name: str) -> float:
        """Of all iterations but the first, which still loads kernels, and the last, whose row waits for no other."""
        return statistics.median(row[name] for row in self.rows[1:-1])


def products(samples: int) -> Callable[[np.ndarray], None]:
    """The matrix products of one gradient from so many inputs (samples, WIDTHS[0]), and nothing else."""
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((out, inp), dtype=np.float32) for inp, out in pairwise(WIDTHS)]
    outputs = [rng.standard_normal((samples, width), dtype=np.float32) for width in WIDTHS]
    gradients = [np.empty_like(weight) for weight in weights]
    deltas = [np.empty_like(output) for output in outputs]

    def node(inputs: np.ndarray) -> None:
        layers = [inputs, *outputs[1:]]
        for layer, weight in enumerate(weights):
            np.matmul(layers[layer], weight.T, out=deltas[layer + 1])
        for layer in reversed(range(len(weights))):
            np.matmul(outputs[layer + 1].T, layers[layer], out=gradients[layer])
            if layer > 0:
                np.matmul(outputs[layer + 1], weights[layer], out=deltas[layer])

    return node


def gemm_floor(nodes: int) -> float:
    """Seconds that the GEMMs of ``nodes`` full-batch gradients take on this rank."""
    rng, node = np.random.default_rng(1), products(SAMPLES)
    shards = [rng.standard_normal((SAMPLES, WIDTHS[0]), dtype=np.float32) for _ in range(4)]
    for shard in shards:
        node(shard)
    began = time.perf_counter()
    for place in range(nodes):
        node(shards[place % len(shards)])
    return time.perf_counter() - began


def torch_loop(bias: str, threads: int, inputs: np.ndarray, targets: np.ndarray, iterations: int) -> float | None:
    """Median seconds of an iteration of the same method written as one PyTorch loop; None without PyTorch."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(threads)
    layers: list[torch.nn.Module] = []
    for inp, out in pairwise(WIDTHS):
        layers += [torch.nn.Linear(inp, out), torch.nn.ReLU()]
    model, lossfunction = torch.nn.Sequential(*layers[:-1]), torch.nn.CrossEntropyLoss()
    images, labels = torch.from_numpy(inputs), torch.from_numpy(targets)
    velocity, seconds = None, []
    for _ in range(iterations + 1):
        began = time.perf_counter()
        total = torch.zeros(sum(p.numel() for p in model.parameters()))
        for node in range(NODES):
            rows = slice(node * SAMPLES, (node + 1) * SAMPLES)
            model.zero_grad()
            lossfunction(model(images[rows]), labels[rows]).backward()
            if bias == "clip_norm 1":
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            gradient = torch.cat([p.grad.reshape(-1) for p in model.parameters()])
            if bias.startswith("Top"):
                magnitude = gradient.abs()
                kth = torch.topk(magnitude, BIASES[bias][0]["k"]).values[-1]
                gradient = torch.where(magnitude >= kth, gradient, torch.zeros(()))
            total += gradient
        total /= NODES
        velocity = total if velocity is None else 0.9 * velocity + 0.1 * total
        torch.nn.utils.vector_to_parameters(
            torch.nn.utils.parameters_to_vector(model.parameters()).detach() - 0.5 * velocity, model.parameters()
        )
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def rest() -> None:
    """Wait for the other ranks, asleep: a rank that spins in MPI would take a core from those that are measured."""
    request = MPI.COMM_WORLD.Ibarrier()
    while not request.Test():
        time.sleep(0.01)


def quietly(work: Callable[[], T]) -> T | None:
    """Run ``work`` on rank 0 while the other ranks sleep."""
    found = work() if MPI.COMM_WORLD.rank == 0 else None
    rest()
    return found


def slowest_worker(work: Callable[[], float]) -> float:
    """Run ``work``, which says how many seconds it took, on all workers at once while rank 0 sleeps."""
    rest()
    seconds = work() if MPI.COMM_WORLD.rank else 0.0
    rest()
    return MPI.COMM_WORLD.allreduce(seconds, MPI.MAX)


def measure(arguments: argparse.Namespace, folder: Path, data: str) -> tuple[dict, list[float], dict]:
    """Floor, ours and PyTorch's, in turn, ``rounds`` times."""
    comm = MPI.COMM_WORLD
    generator = np.random.default_rng(1)
    images = generator.standard_normal((NODES * SAMPLES, WIDTHS[0]), dtype=np.float32) if comm.rank == 0 else None
    labels = generator.integers(10, size=NODES * SAMPLES) if comm.rank == 0 else None
    ours: dict[str, list[Rows]] = {}
    floors: list[float] = []
    loops: dict[str, list[float | None]] = {}
    for _ in range(arguments.rounds):
        for name, bias in [*BIASES.items(), ("Top-10 %, evaluated", BIASES["Top-10 %"])]:
            share = NODES // max(1, comm.size - 1)
            floors.append(slowest_worker(lambda share=share: gemm_floor(share)))
            rows = Rows()
            experiment.run(config(name, bias, data, arguments.iterations, folder), overwrite=True, watcher=rows)
            ours.setdefault(name, []).append(rows)
            if name in BIASES:
                work = lambda name=name: torch_loop(name, comm.size - 1, images, labels, 3)  # noqa: E731
                loops.setdefault(name, []).append(quietly(work))
    return ours, floors, loops


def config(name: str, bias: list, data: str, iterations: int, folder: Path) -> dict:
    return {
        "name": "bench", "iterations": iterations + 1, "step_size": 0.5, "momentum": {"kind": "ema", "beta": 0.1},
        "problem": {"kind": "mlp", "hidden": list(WIDTHS[1:-1])},
        "data": {"name": data, "nodes": NODES}, "bias": bias,
        "evaluate": {"every": 1 if name.endswith("evaluated") else 0}, "output": str(folder / "bench.h5"),
    }  # fmt: skip


def report(ours: dict, floors: list[float], loops: dict) -> None:
    console = Console(width=120)
    floor = statistics.median(floors)
    console.print(
        f"GEMM floor of one iteration: {floor:.3f} s (of {len(floors)}: {min(floors):.3f} - {max(floors):.3f})"
    )
    table = Table("bias", "iteration s", "x floor", "PyTorch s", "x faster", "select+encode ms/node", "MB sent")
    shares = Table(
        "bias", *STATIONS, title="share of the iteration in % (workers' stations run beside the server's wait)"
    )
    for name, runs in ours.items():
        total = statistics.median(run.median("time_total") for run in runs)
        found = [value for value in loops.get(name, []) if value is not None]
        torch_seconds = statistics.median(found) if found else None
        nodes_a_worker = NODES / (MPI.COMM_WORLD.size - 1)
        coding = statistics.median(run.median("time_bias") + run.median("time_encode") for run in runs) / nodes_a_worker
        table.add_row(
            name, f"{total:.3f}", f"{total / floor:.3f}",
            f"{torch_seconds:.3f}" if torch_seconds else "-", f"{torch_seconds / total:.2f}" if torch_seconds else "-",
            f"{1e3 * coding:.2f}", f"{runs[0].median('uplink_bits') / 8e6:.1f}",
        )  # fmt: skip
        shares.add_row(
            name, *(f"{100 * statistics.median(r.median(f'time_{s}') for r in runs) / total:.1f}" for s in STATIONS)
        )
    console.print(table)
    console.print(shares)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--data", default="mnist", help="a data set of 60,000 samples with 784 features")
    arguments = parser.parse_args()
    comm = MPI.COMM_WORLD
    with tempfile.TemporaryDirectory() as folder:
        ours, floors, loops = measure(arguments, Path(comm.bcast(folder)), arguments.data)
    peaks = comm.gather(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    if comm.rank == 0:
        report(ours, floors, loops)
        print("peak memory of each rank, MiB:", ", ".join(f"{peak:.0f}" for peak in peaks))


if __name__ == "__main__":
    main()
