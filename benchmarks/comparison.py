"""The classical comparison of compressors, with momentum (beta 0.1) and without (beta 1): runs, a table, a picture.

    mpirun -n 3 python benchmarks/comparison.py [--seeds 0,1,2] [-s KEY=VALUE]... [-o results/compare]

Runs every config of configs/compare for every seed and beta; a run file that is complete and of the same config is
not made again. Without mpirun the same bits come from one process. docs/comparison.md explains what comes out.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from pmom_mpi import config as configs  # noqa: E402
from pmom_mpi.analysis import read  # noqa: E402
from pmom_mpi.runtime import experiment  # noqa: E402
from pmom_mpi.runtime.progress import Narrator  # noqa: E402
from pmom_mpi.transport import connect  # noqa: E402

FOLDER = Path(__file__).resolve().parent.parent / "configs" / "compare"
METHODS = ("none", "top1", "top1-ef14", "ef21-sgdm", "sign-ef14", "qsgd", "power-sgd-ef14")
BETAS = (0.1, 1.0)
ACCURACY = 0.95


def experiments(seeds: Sequence[int], overrides: Sequence[str], output: Path) -> Iterator[dict[str, Any]]:
    """The config of every run, in the order of the table."""
    for method in METHODS:
        raw = configs.load(FOLDER / f"{method}.yaml")
        where = "momentum.beta" if isinstance(raw["momentum"], dict) else "bias.0.beta"  # EF21-SGDM: on the nodes
        for beta in BETAS:
            for seed in seeds:
                path = output / f"{method}-beta{beta:g}-{seed}.h5"
                yield configs.amend(raw, [f"{where}={beta}", f"seed={seed}", *overrides], path)


def there(raw: dict[str, Any]) -> bool:
    """Whether this very run is complete already."""
    path = Path(raw["output"])
    if not path.exists():
        return False
    run = read.load(path)
    return run.status in ("finished", "diverged") and run.config == raw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("-s", "--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("-o", "--output", type=Path, default=Path("results/compare"), help="a folder")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    wanted = list(experiments(seeds, arguments.overrides, arguments.output))
    group = connect()
    missing, rank = group.share([raw for raw in wanted if not there(raw)] if group.rank == 0 else None), group.rank
    group.close()
    for raw in missing:
        result = experiment.run(raw, overwrite=True, watcher=Narrator())
        if result.status not in ("finished", "diverged"):
            raise SystemExit(result.exit_code)
    if rank == 0:
        report([read.load(raw["output"]) for raw in wanted], arguments.output / "comparison.png")


def report(runs: Sequence[read.Run], picture: Path) -> None:
    from rich.console import Console  # with matplotlib: a second of import that workers need not spend

    from pmom_mpi.analysis import comparison
    from pmom_mpi.analysis.style import save
    from pmom_mpi.commands.tables import rich_table

    found = comparison.methods(runs)
    Console(width=140).print(rich_table(comparison.table(found, ACCURACY)))
    print(save(comparison.plot(found), picture))


if __name__ == "__main__":
    main()
