"""How long a run file of 10,000 iterations and 100 nodes takes to be opened, put together and drawn: below 2 s."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

from pmom_mpi.analysis import plot
from pmom_mpi.analysis.read import open_run
from pmom_mpi.analysis.runs import Runs
from pmom_mpi.analysis.style import applied, save
from pmom_mpi.method.ledger import columns
from pmom_mpi.problems.metrics import ACCURACY, LOSS
from pmom_mpi.record.recorder import Recorder
from pmom_mpi.words.report import Schema

ITERATIONS, NODES = 10_000, 100


def make(path: Path) -> None:
    """Write such a file, with made-up values."""
    schema, random = Schema((LOSS, ACCURACY), (), (LOSS, ACCURACY)), np.random.default_rng(0)
    metrics, text = columns(schema), f"name: made\nseed: 0\niterations: {ITERATIONS}\n"
    facts = {"nodes": NODES}
    with Recorder(
        path, text, metrics, 10, "float32", {}, facts, node_metrics=schema.node_columns(), nodes=NODES
    ) as written:
        for k in range(ITERATIONS):
            each = {metric.name: random.random(NODES) for metric in schema.node_columns()}
            row = {metric.name: random.random() for metric in metrics} | {"uplink_bits": 10**6, "downlink_bits": 10**5}
            written.append(row | {"iteration": k}, each)


def draw(run: Runs, path: Path) -> None:
    with applied():
        save(plot.plot(run.runs), path, exact=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.h5"
        make(path)
        began = perf_counter()
        run = open_run(path)
        steps: dict[str, Callable[[], object]] = {
            "all metrics": lambda: list(run.metrics.values()),
            "/nodes, quantiles": lambda: [np.quantile(each, [0.1, 0.9], axis=1) for each in run.node_metrics.values()],
            "band over seconds": lambda: Runs((run, run)).band("train_loss", "seconds").mean,
            "picture": lambda: draw(Runs((run,)), path.with_suffix(".png")),
        }
        print(f"open               {perf_counter() - began:.3f} s")
        for name, step in steps.items():
            start = perf_counter()
            step()
            print(f"{name:18s} {perf_counter() - start:.3f} s")
        print(f"together           {perf_counter() - began:.3f} s")


if __name__ == "__main__":
    main()
