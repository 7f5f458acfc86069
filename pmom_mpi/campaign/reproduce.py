"""The paper's published settings as runs, and how far each is from its published curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.table import Table

from pmom_mpi.analysis import published, read
from pmom_mpi.campaign.identity import complete, identity
from pmom_mpi.campaign.sweep_file import Planned, Sweep
from pmom_mpi.record.checkpoint import generations
from pmom_mpi.words.errors import UserError


@dataclass(frozen=True)
class Comparison:
    """One run held against its published curve; ``deviation`` is what `published.deviation` says of each metric."""

    what: str
    setting: str
    seed: int
    run: read.Run
    deviation: dict[str, float]


@dataclass(frozen=True)
class Wanted:
    """Published runs that are wanted in a folder.

    Attributes
    ----------
    keys : tuple of (str, int)
        Settings and seeds.
    iterations : int
        Of each, at least.
    folder : Path
        Of the run files.
    what : str
        A key of `pmom_mpi.analysis.published.FIGURES`.
    """

    keys: tuple[tuple[str, int], ...]
    iterations: int
    folder: Path
    what: str = "mnist"

    @classmethod
    def of(
        cls, settings: Sequence[str], seeds: Sequence[int], iterations: int, folder: Path, what: str = "mnist"
    ) -> Wanted:
        """The settings that match any of the patterns, each with all seeds; raises `UserError` for what is unknown."""
        if any(not 0 <= seed < published.SEEDS for seed in seeds):
            raise UserError(
                f"--seeds: published seeds are 0 to {published.SEEDS - 1}, not {', '.join(map(str, seeds))}"
            )
        found = published.settings(settings, what)
        return cls(tuple((setting, seed) for setting in found for seed in seeds), iterations, folder, what)

    def file(self, setting: str, seed: int) -> Path:
        """Where a run's file is."""
        return self.folder / f"{'' if self.what == 'mnist' else f'{self.what}-'}{setting}-seed{seed}.h5"

    def missing(self) -> Sweep:
        """The runs that have not got all iterations yet, as a sweep: `Pool` begins them or goes on with them.

        Raises
        ------
        UserError
            When a run file is of another config, or ended before these iterations and cannot be gone on with.
        """
        runs = tuple(run for run in (self._planned(*key) for key in self.keys) if run is not None)
        return Sweep(Path(f"pmom reproduce {self.what}"), self.what, self.folder, (), (), runs, ())

    def _planned(self, setting: str, seed: int) -> Planned | None:
        path = self.file(setting, seed)
        raw = published.config(setting, seed, self.iterations, str(path), self.what)
        if path.exists():
            run = read.load(path)
            if identity({**run.config, "iterations": self.iterations}, str(path)) != identity(raw):
                raise UserError(
                    f"{path}: a run of another config than the published one; choose another folder with -o"
                )
            if run.iterations >= self.iterations:
                return None
            if complete(run) and (run.status == "diverged" or not generations(path)):
                raise UserError(
                    f"{path}: {run.status} after {run.iterations} iterations, with no checkpoint to go on from; remove "
                    "it, or choose another folder with -o"
                )
            raw["iterations"] = max(self.iterations, run.planned)  # a run cannot be made shorter than it was begun
        return Planned(
            stem=path.stem, label=setting, told={"setting": setting}, raw=raw, identity=identity(raw),
            iterations=raw["iterations"],
        )  # fmt: skip

    def comparisons(self) -> list[Comparison]:
        """Of the runs that have got all iterations, over these."""
        there = [key for key in self.keys if self.file(*key).exists()]
        runs = {key: read.load(self.file(*key)) for key in there}
        return [self._compare(*key, run) for key, run in runs.items() if run.iterations >= self.iterations]

    def _compare(self, setting: str, seed: int, run: read.Run) -> Comparison:
        metrics = {name: values[: self.iterations] for name, values in run.metrics.items()}
        away = published.deviation(metrics, setting, seed, self.what)
        return Comparison(self.what, setting, seed, replace(run, metrics=metrics), away)


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
