"""What every rank of the paper's MNIST setting holds beside the interpreter and its libraries.

    mpirun -n 3 python benchmarks/memory.py [--data mnist]

A short warm-up loads libraries and kernels; then the peak of the real setting (100 nodes, Top-10 %) is read from the
kernel's own account, and put beside what must be held.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is imported

from mpi4py import MPI
from rich.console import Console
from rich.table import Table

from pmom_mpi.runtime import experiment

NODES, SAMPLES, TEST_SAMPLES, FEATURES, DIMENSION, KEPT = 100, 600, 10_000, 784, 669_706, 67_000
MIB = 1 << 20


def status(field: str) -> float:
    """VmRSS, VmHWM, ... of this process in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def config(data: str, hidden: list[int], nodes: int, folder: str) -> dict:
    return {
        "name": "memory", "iterations": 3, "step_size": 0.5, "momentum": {"kind": "ema", "beta": 0.1},
        "problem": {"kind": "mlp", "hidden": hidden}, "data": {"name": data, "nodes": nodes},
        "bias": [{"kind": "top_k", "fraction": 0.1}], "output": os.path.join(folder, "memory.h5"),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist", help="a data set of 60,000 samples with 784 features")
    data, comm = parser.parse_args().data, MPI.COMM_WORLD
    with tempfile.TemporaryDirectory() as mine:
        folder = comm.bcast(mine)
        experiment.run(config("digits", [16, 16], comm.size * 2, folder), overwrite=True)
        before = status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
        experiment.run(config(data, [512, 512], NODES, folder), overwrite=True)
        peak = status("VmHWM") - before
        comm.Barrier()
    rows = comm.gather((before, peak))
    if comm.rank == 0:
        report(rows)


def report(rows: list[tuple[float, float]]) -> None:
    workers = len(rows) - 1
    vector = 4 * DIMENSION / MIB
    shards = 4 * NODES * SAMPLES * FEATURES / workers / MIB
    tests = 4 * TEST_SAMPLES * FEATURES / workers / MIB
    mapped = (NODES * SAMPLES + TEST_SAMPLES) * FEATURES / workers / MIB
    payloads = NODES * KEPT * 4.6 / MIB
    table = Table("rank", "before MiB", "added at the peak MiB", "of which must be")
    server = f"x, v, g, sums: {5 * vector:.0f}; all payloads of an iteration, were all in flight: {payloads:.0f}"
    worker = f"shards: {shards:.0f}; test samples: {tests:.0f}; file pages read: {mapped:.0f}; a vector: {vector:.1f}"
    for rank, (before, peak) in enumerate(rows):
        table.add_row(str(rank), f"{before:.0f}", f"{peak:.0f}", worker if rank else server)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
