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

NEAR = 2.0
"""Standard deviations within which a value counts as one of the published runs'."""

IMAGES = {"flipped": (False,), "plain": (True,), "both": (False, True)}
"""How test images are evaluated: at random flipped, as in the published Fashion-MNIST runs, or as they are."""


@dataclass(frozen=True)
class Wanted:
    """A published run; ``plain``: evaluated on test samples as they are."""

    setting: str
    seed: int
    plain: bool

    def path(self, folder: Path, what: str) -> Path:
        """Its run file."""
        return (
            folder / f"{'' if what == 'mnist' else f'{what}-'}{self.setting}{'-plain' * self.plain}-seed{self.seed}.h5"
        )


@dataclass(frozen=True)
class Comparison:
    """One run held against its published curve; ``deviation`` is what `published.deviation` says of each metric."""

    what: str
    wanted: Wanted
    run: read.Run
    deviation: dict[str, float]

    @property
    def far(self) -> list[str]:
        """The metrics that leave the published mean by more than `NEAR` deviations."""
        return [name for name, away in self.deviation.items() if not away <= NEAR]


def reproduce(
    settings: Sequence[str],
    seeds: Sequence[int],
    iterations: int,
    folder: Path,
    watcher: Watcher | None,
    what: str = "mnist",
    images: str = "flipped",
) -> list[Comparison]:
    """Run each setting and seed whose run file is not there yet; comparisons of all of them on rank 0, none elsewhere.

    Every rank of an MPI job calls this alike. A run file with at least ``iterations`` rows is used as it is, so that a
    long reproduction that was stopped goes on where it was; a run file of another config is refused with a `UserError`.
    """
    if any(not 0 <= seed < published.SEEDS for seed in seeds):
        raise UserError(f"--seeds: published seeds are 0 to {published.SEEDS - 1}, not {', '.join(map(str, seeds))}")
    ways = IMAGES[images] if what == "fashion" else (False,)
    chosen = [
        Wanted(setting, seed, plain)
        for setting in published.settings(settings, what) for seed in seeds for plain in ways
    ]  # fmt: skip
    paths = {one: one.path(folder, what) for one in chosen}
    raws = {
        one: published.config(one.setting, one.seed, iterations, str(path), what, one.plain)
        for one, path in paths.items()
    }
    ranks = connect()
    missing = from_server(ranks, lambda: [one for one in chosen if not _there(paths[one], raws[one])])
    ranks.close()
    for one in missing:
        result = experiment.run(raws[one], overwrite=True, watcher=watcher)
        if result.exit_code:
            raise SystemExit(result.exit_code)
    return [_compare(what, one, paths[one], iterations) for one in chosen] if ranks.serves else []


def _compare(what: str, wanted: Wanted, path: Path, iterations: int) -> Comparison:
    run = read.load(path)
    metrics = {name: values[:iterations] for name, values in run.metrics.items()}
    away = published.deviation(metrics, wanted.setting, wanted.seed, what)
    return Comparison(what, wanted, replace(run, metrics=metrics), away)


def _there(path: Path, raw: Mapping[str, Any]) -> bool:
    """Whether a file holds the whole run of a config, or of the same with more iterations."""
    if not path.exists():
        return False
    run = read.load(path)
    if identity({**run.config, "iterations": raw["iterations"]}, str(path)) != identity(raw):
        raise UserError(f"{path}: a run of another config than the published one; choose another folder with -o")
    return complete(run, raw["iterations"])


def table(comparisons: Sequence[Comparison]) -> Table:
    """The largest deviations, a row a run; of Fashion-MNIST in standard deviations, and which are beyond `NEAR`."""
    if comparisons[0].what == "fashion":
        return _in_deviations(comparisons)
    made = Table("setting", "seed", "iterations", *comparisons[0].deviation)
    for found in comparisons:
        made.add_row(*_head(found), *(f"{value:.1e}" for value in found.deviation.values()))
    return made


def _in_deviations(comparisons: Sequence[Comparison]) -> Table:
    names = [f"{name} / std" for name in comparisons[0].deviation]
    made = Table("setting", "seed", "iterations", "test images", *names, f"within {NEAR:g} std")
    for found in comparisons:
        numbers = (f"{value:.2f}" for value in found.deviation.values())
        verdict = f"no: {', '.join(found.far)}" if found.far else "yes"
        made.add_row(*_head(found), "as they are" if found.wanted.plain else "flipped", *numbers, verdict)
    return made


def _head(found: Comparison) -> tuple[str, str, str]:
    return found.wanted.setting, str(found.wanted.seed), str(found.run.iterations)


def plot(comparisons: Sequence[Comparison], output: str | Path) -> None:
    """Draw the runs over their published curves."""
    from pmom_mpi.analysis.plot import reproduction  # matplotlib takes a second to import
    from pmom_mpi.analysis.style import save

    pairs = []
    for found in comparisons:
        one = found.wanted
        words = f"{one.setting}, seed {one.seed}{', test images as they are' * one.plain}"
        pairs.append((words, found.run, published.curve(one.setting, one.seed, found.what)))
    save(reproduction(pairs), output)
