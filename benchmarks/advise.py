"""Is a proposed step size any good? f - f* (f, where f* is unknown) after the whole run, beside the best of a grid.

python benchmarks/advise.py                                  the convex ready configs
python benchmarks/advise.py -s data.nodes=20 -s iterations=20 configs/paper/mnist-top10.yaml    MNIST, shrunk
python benchmarks/advise.py --no-grid -s iterations=10 --trials 5 configs/paper/mnist-top10.yaml
                                            the full size, few iterations: only whether the proposal goes downhill

The measure is the exact value at the last iteration, the mean of the last three of ten diagnoses, of runs of the
config's own length; the grid is the proposal times 2^-4 to 2^4. A ratio above 4 is marked, and a proposal that ends no
lower than it began.
"""

from __future__ import annotations

import argparse
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


def ends(config: str, overrides: list[str], step_size: float) -> tuple[float, float]:
    """f - f*, or f, at the start and at the end; infinite where the run diverged."""
    source = Source.read(config, overrides)
    schedule, total = from_raw(source.raw, source.name).step_size, source.raw["iterations"]
    changes = [f"{step_key(schedule)}={step_size!r}", f"diagnostics.every={max(1, (total - 1) // 10)}"]
    with tempfile.TemporaryDirectory() as folder:
        ended = run(config, [*overrides, *changes, "evaluate.every=0"], output=Path(folder) / "run.h5")
        found = read.load(Path(folder) / "run.h5")
        values = found.metrics["diag_value"] - float(found.facts.get("problem_minimum", 0.0))
    values = values[np.isfinite(values)]
    return float(values[0]), float(values[-3:].mean()) if ended.status == "finished" else float("inf")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*", default=[f"configs/problems/{name}.yaml" for name in CONVEX])
    parser.add_argument("-s", dest="overrides", action="append", default=[])
    parser.add_argument("--trials", type=int, help="iterations of every trial, as pmom advise --iterations")
    parser.add_argument("--no-grid", action="store_true")
    asked = parser.parse_args()
    print(f"{'config':24}{'proposed':>10}{'begins at':>12}{'ends at':>12}{'best of grid':>14}{'with':>10}{'ratio':>8}")
    for config in asked.configs:
        proposed = advise(config, asked.overrides, asked.trials).step_size
        began, mine = ends(config, asked.overrides, proposed)
        powers = [0] if asked.no_grid else range(-4, 5)
        grid = {proposed * 2.0**n: ends(config, asked.overrides, proposed * 2.0**n)[1] if n else mine for n in powers}
        best = min(grid, key=lambda step_size: grid[step_size])
        ratio = mine / grid[best]
        mark = "" if ratio <= 4 and mine < began else "  !"
        print(f"{Path(config).stem:24}{proposed:10.4g}{began:12.4g}{mine:12.4g}{grid[best]:14.4g}{best:10.4g}"
              f"{ratio:8.3g}{mark}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
