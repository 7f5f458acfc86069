"""Runs the paper's published settings and says how far each is from its published curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from pmom_mpi.analysis import published, read
from pmom_mpi.campaign.identity import complete, identity
from pmom_mpi.runtime import experiment
from pmom_mpi.runtime.legs import Watcher
from pmom_mpi.runtime.together import from_server
from pmom_mpi.transport import connect
from pmom_mpi.words.errors import UserError


@dataclass(frozen=True)
class Comparison:
    """One run held against its published curve; ``deviation`` is what `published.deviation` says of each metric."""

    what: str
    setting: str
    seed: int
    run: read.Run
    deviation: dict[str, float]


def reproduce(
    settings: Sequence[str],
    seeds: Sequence[int],
    iterations: int,
    folder: Path,
    watcher: Watcher | None,
    what: str = "mnist",
) -> list[Comparison]:
    """Run each setting and seed whose run file is not there yet; comparisons of all of them on rank 0, none elsewhere.

    Every rank of an MPI job calls this alike. A run file with at least ``iterations`` rows is used as it is, so that a
    long reproduction that was stopped goes on where it was; a run file of another config is refused with a `UserError`.
    """
    if any(not 0 <= seed < published.SEEDS for seed in seeds):
        raise UserError(f"--seeds: published seeds are 0 to {published.SEEDS - 1}, not {', '.join(map(str, seeds))}")
    wanted = [(setting, seed) for setting in published.settings(settings, what) for seed in seeds]
    prefix = "" if what == "mnist" else f"{what}-"
    paths = {(setting, seed): folder / f"{prefix}{setting}-seed{seed}.h5" for setting, seed in wanted}
    ranks = connect()
    raws = {key: published.config(*key, iterations, str(paths[key]), what) for key in wanted}
    missing = from_server(ranks, lambda: [key for key in wanted if not _there(paths[key], raws[key])])
    ranks.close()
    for key in missing:
        result = experiment.run(raws[key], overwrite=True, watcher=watcher)
        if result.exit_code:
            raise SystemExit(result.exit_code)
    return [_compare(what, *key, paths[key], iterations) for key in wanted] if ranks.serves else []


def _compare(what: str, setting: str, seed: int, path: Path, iterations: int) -> Comparison:
    run = read.load(path)
    metrics = {name: values[:iterations] for name, values in run.metrics.items()}
    away = published.deviation(metrics, setting, seed, what)
    return Comparison(what, setting, seed, replace(run, metrics=metrics), away)


def _there(path: Path, raw: Mapping[str, Any]) -> bool:
    """Whether a file holds the whole run of a config, or of the same with more iterations."""
    if not path.exists():
        return False
    run = read.load(path)
    if identity({**run.config, "iterations": raw["iterations"]}, str(path)) != identity(raw):
        raise UserError(f"{path}: a run of another config than the published one; choose another folder with -o")
    return complete(run, raw["iterations"])


def table(comparisons: Sequence[Comparison]) -> Table:
    """The largest deviations, a row a run."""
    spread = comparisons[0].what == "fashion"
    names = (f"{name} / std" if spread else name for name in comparisons[0].deviation)
    made = Table("setting", "seed", "iterations", *names)
    for found in comparisons:
        numbers = (f"{value:.2f}" if spread else f"{value:.1e}" for value in found.deviation.values())
        made.add_row(found.setting, str(found.seed), str(found.run.iterations), *numbers)
    return made


def plot(comparisons: Sequence[Comparison], output: str | Path) -> None:
    """Draw the runs over their published curves."""
    from pmom_mpi.analysis.plot import reproduction  # matplotlib takes a second to import
    from pmom_mpi.analysis.style import save

    pairs = [
        (f"{found.setting}, seed {found.seed}", found.run, published.curve(found.setting, found.seed, found.what))
        for found in comparisons
    ]
    save(reproduction(pairs), output)
