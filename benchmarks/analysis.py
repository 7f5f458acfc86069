"""How long a run file of 10,000 iterations and 100 nodes takes to be opened, put together and drawn: below 2 s.

And how long 120 runs of 200 iterations take to be opened, grouped and drawn. A first picture, of something else, is
drawn before: it loads fonts and codecs, which is matplotlib's start and not the file's.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import h5py
import numpy as np

from pmom_mpi.analysis import plot
from pmom_mpi.analysis.export import export
from pmom_mpi.analysis.read import open_run
from pmom_mpi.analysis.runs import Runs
from pmom_mpi.analysis.style import applied, save
from pmom_mpi.campaign.opening import open_runs
from pmom_mpi.method.ledger import columns
from pmom_mpi.problems.metrics import ACCURACY, LOSS
from pmom_mpi.record.recorder import Recorder
from pmom_mpi.words.report import Schema

ITERATIONS, NODES, RUNS = 10_000, 100, 120


def make(path: Path, iterations: int, nodes: int) -> None:
    """Write such a file, with made-up values."""
    schema, random = Schema((LOSS, ACCURACY), (), (LOSS, ACCURACY)), np.random.default_rng(0)
    metrics, text = columns(schema), f"name: made\nseed: 0\niterations: {iterations}\n"
    facts = {"nodes": nodes}
    with Recorder(
        path, text, metrics, 10, "float32", {}, facts, node_metrics=schema.node_columns(), nodes=nodes
    ) as written:
        for k in range(iterations):
            each = {metric.name: random.random(nodes) for metric in schema.node_columns()}
            row = {metric.name: random.random() for metric in metrics} | {"uplink_bits": 10**6, "downlink_bits": 10**5}
            written.append(row | {"iteration": k}, each)


def draw(run: Runs, path: Path) -> None:
    with applied():
        save(plot.plot(run.runs), path, exact=True)


def make_many(folder: Path) -> None:
    """Twelve step sizes, ten seeds."""
    make(folder / "0.h5", 200, 10)
    for count in range(RUNS):
        path = folder / f"{count}.h5"
        if count:
            shutil.copyfile(folder / "0.h5", path)
        with h5py.File(path, "r+") as file:
            file.attrs["config"] += f"step_size: {1 + count // 10}\n"
            file.attrs["config"] = file.attrs["config"].replace("seed: 0", f"seed: {count % 10}")


def timed(what: str, steps: dict[str, Callable[[], object]]) -> None:
    began = perf_counter()
    for name, step in steps.items():
        start = perf_counter()
        step()
        print(f"  {name:22s} {perf_counter() - start:.3f} s")
    print(f"{what:24s} {perf_counter() - began:.3f} s")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, many = Path(folder) / "made.h5", Path(folder) / "many"
        many.mkdir()
        make(path, ITERATIONS, NODES)
        make_many(many)
        draw(open_runs(many / "0.h5"), path.with_suffix(".png"))
        run, runs = open_run(path), open_runs(many)
        timed("one long run", {
            "open, all metrics": lambda: list(open_run(path).metrics.values()),
            "/nodes, quantiles": lambda: [np.quantile(each, [0.1, 0.9], axis=1) for each in run.node_metrics.values()],
            "band over seconds": lambda: Runs((run, run)).band("train_loss", "seconds").mean,
            "picture": lambda: draw(Runs((run,)), path.with_suffix(".png")),
        })  # fmt: skip
        timed(f"{RUNS} runs", {
            "open": lambda: open_runs(many),
            "axes, groups": lambda: (runs.axes, runs.groups()),
            "bands": lambda: [group.band("train_loss", "bits").mean for group in runs.groups()],
            "picture": lambda: draw(runs, path.with_suffix(".png")),
        })  # fmt: skip
        timed("export of the long run", {
            name: lambda name=name, form=form: export(Runs((run,)), Path(folder) / name, form)
            for name, form in (("r.csv", None), ("r.jsonl", None), ("r.parquet", None), ("logs", "tensorboard"))
        })  # fmt: skip


if __name__ == "__main__":
    main()
