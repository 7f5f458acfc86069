"""What it costs to save a run every 10 iterations.

    mpirun -n 3 python benchmarks/checkpoint.py [--pairs 6] [--folder .]

In one run, of which every 20th iteration begins with a checkpoint: the 10 iterations from there on, with the writing
and the syncing that go on beside them, against the mean of the 10 before and the 10 after. Two settings on MNIST's
network (d = 669,706): the paper's with Top-10 %, whose nodes remember nothing, and EF21-SGDM on 20 nodes, which
remember 12 bytes a coordinate each. 20 iterations a pair and setting; 5 minutes in all on two cores, and
`pmom data get mnist` before.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from mpi4py import MPI  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from pmom_mpi.record.checkpoint import generations  # noqa: E402
from pmom_mpi.runtime import experiment  # noqa: E402

WINDOW = 10
TOP = {"kind": "top_k", "fraction": 0.1}
SETTINGS = {
    "Top-10 %, 100 nodes": (3.0, {"bias": [TOP], "data": {"name": "mnist", "nodes": 100}}),
    "EF21-SGDM, Top-10 %, 20 nodes": (
        5.0, {"bias": [{"kind": "ef21_sgdm", "beta": 0.1}, TOP], "data": {"name": "mnist", "nodes": 20}}
    ),
}  # fmt: skip
"""Each with its goal in %."""


class Seconds:
    """Keeps how long every iteration took; `pmom_mpi.runtime.experiment.Watcher`."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def begin(self, *_: object) -> None: ...

    def ready(self, *_: object) -> None: ...

    def end(self, *_: object) -> None: ...

    def row(self, row: dict[str, float]) -> None:
        self.seconds.append(row["time_total"])


def config(changes: dict, pairs: int, folder: Path) -> dict:
    return {
        "name": "checkpoint", "iterations": 2 * WINDOW * (pairs + 1), "step_size": 0.3,
        "momentum": {"kind": "ema", "beta": 0.1}, "problem": {"kind": "mlp", "hidden": [512, 512]},
        "evaluate": {"every": 0}, "checkpoint": {"every": 2 * WINDOW}, "output": str(folder / "run.h5"),
    } | changes  # fmt: skip


def overheads(seconds: list[float], pairs: int) -> list[float]:
    """Of every checkpoint the share by which its window is longer than its neighbours.

    What is done before broadcast k counts to row k - 1.
    """
    found = []
    for place in range(2 * WINDOW, 2 * WINDOW * pairs + 1, 2 * WINDOW):
        begin = place - 1
        before, saved, after = (sum(seconds[begin + shift : begin + shift + WINDOW]) for shift in (-WINDOW, 0, WINDOW))
        found.append(saved / ((before + after) / 2) - 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=6, help="checkpoints a setting")
    parser.add_argument("--folder", default=".", help="on the file system that is meant; never one in memory")
    arguments, comm = parser.parse_args(), MPI.COMM_WORLD
    table = Table("setting", "iteration s", "checkpoint MB", f"overhead % (every {WINDOW})", "each", "goal %")
    Path(arguments.folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as mine:
        folder = Path(comm.bcast(mine))
        for name, (goal, changes) in SETTINGS.items():
            watcher = Seconds()
            experiment.run(config(changes, arguments.pairs, folder), overwrite=True, watcher=watcher)
            if comm.rank == 0:
                found = [100 * share for share in overheads(watcher.seconds, arguments.pairs)]
                size = generations(folder / "run.h5")[0].stat().st_size / 1e6
                table.add_row(
                    name, f"{statistics.median(watcher.seconds[1:-1]):.3f}", f"{size:.0f}",
                    f"{statistics.median(found):.1f}", " ".join(f"{share:.1f}" for share in found), f"< {goal:g}",
                )  # fmt: skip
        comm.Barrier()
    if comm.rank == 0:
        Console(width=120).print(table)


if __name__ == "__main__":
    main()
