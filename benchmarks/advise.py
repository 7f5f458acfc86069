"""Is a proposed step size any good? f - f* (f, where f* is unknown) after the whole run, beside the best of a grid.

python benchmarks/advise.py                                  the convex ready configs
python benchmarks/advise.py -s data.nodes=20 -s iterations=20 configs/paper/mnist-top10.yaml    MNIST, shrunk

The measure is the exact value at the last iteration, the mean of the last three of ten diagnoses, of runs of the
config's own length; the grid is the proposal times 2^-4 to 2^4. A ratio above 4 is marked.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from pmom_mpi.analysis import read
from pmom_mpi.config import from_raw
from pmom_mpi.measure.advise import advise, step_key
from pmom_mpi.runtime.experiment import run
from pmom_mpi.runtime.source import Source

CONVEX = (
    *("ridge", "least-squares", "rank-deficient", "logistic", "logistic-svmlight", "softmax-regression"),
    *("order", "composite-regression", "portfolio"),
)


def ends(config: str, overrides: list[str], step_size: float) -> float:
    """f - f*, or f, at the end; infinite where the run diverged."""
    source = Source.read(config, overrides)
    schedule, total = from_raw(source.raw, source.name).step_size, source.raw["iterations"]
    changes = [f"{step_key(schedule)}={step_size!r}", f"diagnostics.every={max(1, (total - 1) // 10)}"]
    with tempfile.TemporaryDirectory() as folder:
        ended = run(config, [*overrides, *changes, "evaluate.every=0"], output=Path(folder) / "run.h5")
        found = read.load(Path(folder) / "run.h5")
        values = found.metrics["diag_value"]
    value = float(values[np.isfinite(values)][-3:].mean())
    return value - float(found.facts.get("problem_minimum", 0.0)) if ended.status == "finished" else float("inf")


def main() -> None:
    print(f"{'config':24}{'proposed':>10}{'ends at':>12}{'best of grid':>14}{'with':>10}{'ratio':>8}")
    words = sys.argv[1:]
    overrides = []
    while words and words[0] == "-s":
        overrides.append(words[1])
        words = words[2:]
    for config in words or [f"configs/problems/{name}.yaml" for name in CONVEX]:
        proposed = advise(config, overrides).step_size
        mine = ends(config, overrides, proposed)
        grid = {proposed * 2.0**power: ends(config, overrides, proposed * 2.0**power) for power in range(-4, 5)}
        best = min(grid, key=lambda step_size: grid[step_size])
        ratio = mine / grid[best]
        mark = "" if ratio <= 4 else "  !"
        print(
            f"{Path(config).stem:24}{proposed:10.4g}{mine:12.4g}{grid[best]:14.4g}{best:10.4g}{ratio:8.3g}{mark}",
            flush=True,
        )


if __name__ == "__main__":
    main()
