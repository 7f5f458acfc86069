"""Iterations of small minibatches against their GEMM floor and against the same loop in PyTorch.

    mpirun -n 3 python benchmarks/minibatch.py [--seconds 2] [--rounds 5] [--nodes 2 10 100]

The 784-512-512-10 network, 64 samples a node and iteration, drawn by reshuffling. Rank 0 serves, the other ranks are
workers. In one job and in turn, ``rounds`` times: the floor (the GEMMs that the minibatch gradients of all nodes need,
nothing else, all workers at once), our iteration, and, where PyTorch is installed, its loop on as many threads as there
are workers. Every number is the median over the rounds of the median over a round's iterations; ratios are taken within
a round.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402
from iteration import STATIONS, WIDTHS, Rows, products, quietly  # noqa: E402
from mpi4py import MPI  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from pmom_mpi.runtime import experiment  # noqa: E402
from pmom_mpi.words.nodes import block  # noqa: E402

SAMPLES, BATCH = 60000, 64
TOP = 6697  # 1 % of d = 669,706
BIASES: dict[str, list[dict]] = {"none": [], "Top-1 %": [{"kind": "top_k", "k": TOP}]}


def floor(nodes: int, seconds: float) -> float:
    """Median seconds that the GEMMs of ``nodes`` minibatch gradients take on this rank."""
    node, batch = products(BATCH), np.random.default_rng(1).standard_normal((BATCH, WIDTHS[0]), dtype=np.float32)

    def iteration() -> None:
        for _ in range(nodes):
            node(batch)

    iteration()
    MPI.COMM_WORLD.Barrier()
    return timed(iteration, seconds)


def timed(iteration: object, seconds: float) -> float:
    """Median seconds of a call, called until ``seconds`` have passed."""
    found: list[float] = []
    while sum(found) < seconds or len(found) < 3:
        began = time.perf_counter()
        iteration()  # type: ignore[operator]
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def torch_loop(bias: str, nodes: int, inputs: np.ndarray, targets: np.ndarray, seconds: float) -> float | None:
    """Median seconds of an iteration of the same method written as one PyTorch loop; None without PyTorch."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(MPI.COMM_WORLD.size - 1)
    layers: list[torch.nn.Module] = []
    for inp, out in pairwise(WIDTHS):
        layers += [torch.nn.Linear(inp, out), torch.nn.ReLU()]
    model, lossfunction = torch.nn.Sequential(*layers[:-1]), torch.nn.CrossEntropyLoss()
    images, labels = torch.from_numpy(inputs), torch.from_numpy(targets)
    shards = torch.arange(SAMPLES).chunk(nodes)
    orders = [shard[torch.randperm(len(shard))] for shard in shards]
    places, velocity = [0] * nodes, None

    def iteration() -> None:
        nonlocal velocity
        average = torch.zeros(sum(p.numel() for p in model.parameters()))
        for node in range(nodes):
            if places[node] >= len(orders[node]):
                places[node], orders[node] = 0, shards[node][torch.randperm(len(shards[node]))]
            rows = orders[node][places[node] : places[node] + BATCH]
            places[node] += BATCH
            model.zero_grad()
            lossfunction(model(images[rows]), labels[rows]).backward()
            gradient = torch.cat([p.grad.reshape(-1) for p in model.parameters()])
            if bias.startswith("Top"):
                magnitude = gradient.abs()
                kth = torch.topk(magnitude, TOP).values[-1]
                gradient = torch.where(magnitude >= kth, gradient, torch.zeros(()))
            average += gradient / nodes
        velocity = average if velocity is None else 0.9 * velocity + 0.1 * average
        torch.nn.utils.vector_to_parameters(
            torch.nn.utils.parameters_to_vector(model.parameters()).detach() - 0.1 * velocity, model.parameters()
        )

    iteration()
    return timed(iteration, seconds)


def ours(bias: str, nodes: int, iterations: int, arguments: argparse.Namespace, folder: Path) -> Rows:
    """The rows of a run of about so many iterations."""
    rows = Rows()
    config = {
        "name": "bench", "iterations": iterations + 1, "step_size": 0.1, "momentum": {"kind": "ema", "beta": 0.1},
        "problem": {"kind": "mlp", "hidden": list(WIDTHS[1:-1])}, "data": {"name": arguments.data, "nodes": nodes},
        "gradient": {"batch": BATCH}, "bias": BIASES[bias], "evaluate": {"every": 0},
        "output": str(folder / "bench.h5"),
    }  # fmt: skip
    experiment.run(config, overwrite=True, watcher=rows)
    return rows


def measure(nodes: int, bias: str, arguments: argparse.Namespace, folder: Path) -> dict[str, list]:
    """Floor, ours and PyTorch's, in turn, ``rounds`` times."""
    comm = MPI.COMM_WORLD
    generator = np.random.default_rng(1)
    images = generator.standard_normal((SAMPLES, WIDTHS[0]), dtype=np.float32) if comm.rank == 0 else None
    labels = generator.integers(10, size=SAMPLES) if comm.rank == 0 else None
    found: dict[str, list] = {"floor": [], "ours": [], "torch": []}
    for _ in range(arguments.rounds):
        share = len(block(nodes, comm.size - 1, 0))
        here = floor(share, arguments.seconds / 2) if comm.rank else comm.Barrier() or 0.0
        found["floor"].append(max(quietly_gathered(here)))
        iterations = max(5, int(arguments.seconds / (1.5 * found["floor"][-1])))
        found["ours"].append(ours(bias, nodes, iterations, arguments, folder))
        found["torch"].append(quietly(lambda: torch_loop(bias, nodes, images, labels, arguments.seconds)))
    return found


def quietly_gathered(value: float) -> list[float]:
    """Every rank's value, gathered while rank 0 sleeps instead of spinning on a worker's core."""
    comm = MPI.COMM_WORLD
    request = comm.Ibarrier()
    while not request.Test():
        time.sleep(0.001)
    return comm.allgather(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement, about")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--nodes", type=int, nargs="+", default=[2, 10, 100])
    parser.add_argument("--data", default="mnist", help="a data set of 60,000 samples with 784 features")
    arguments = parser.parse_args()
    table = Table(
        "nodes", "bias", "floor ms", "iteration ms", "x floor (min - max)", "PyTorch ms", "x faster (min - max)"
    )
    shares = Table("nodes", "bias", *STATIONS, title="share of the iteration in %")
    comm = MPI.COMM_WORLD
    with tempfile.TemporaryDirectory() as own:
        folder = Path(comm.bcast(own))
        for nodes in arguments.nodes:
            for bias in BIASES:
                found = measure(nodes, bias, arguments, folder)
                if comm.rank == 0:
                    add_rows(table, shares, nodes, bias, found)
    if comm.rank == 0:
        Console(width=130).print(table, shares)


def add_rows(table: Table, shares: Table, nodes: int, bias: str, found: dict[str, list]) -> None:
    totals = [rows.median("time_total") for rows in found["ours"]]
    over = [total / least for total, least in zip(totals, found["floor"], strict=True)]
    loops = [seconds for seconds in found["torch"] if seconds is not None]
    faster = [seconds / total for seconds, total in zip(loops, totals, strict=bool(loops))]
    table.add_row(
        str(nodes), bias, milliseconds(found["floor"]), milliseconds(totals), spread(over),
        milliseconds(loops), spread(faster),
    )  # fmt: skip
    parts = [statistics.median(r.median(f"time_{s}") / r.median("time_total") for r in found["ours"]) for s in STATIONS]
    shares.add_row(str(nodes), bias, *(f"{100 * part:.1f}" for part in parts))


def milliseconds(values: list[float]) -> str:
    return f"{1e3 * statistics.median(values):.2f}" if values else "-"


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} - {max(values):.2f})" if values else "-"


if __name__ == "__main__":
    main()
