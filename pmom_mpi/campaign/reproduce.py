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

NEAR = 2.0
"""Standard deviations within which a value counts as one of the published runs'."""

IMAGES = {"flipped": (False,), "plain": (True,), "both": (False, True)}
"""How test images are evaluated: at random flipped, as in the published Fashion-MNIST runs, or as they are."""


@dataclass(frozen=True)
class Published:
    """A published run; ``plain``: evaluated on test samples as they are."""

    setting: str
    seed: int
    plain: bool = False

    def path(self, folder: Path, what: str) -> Path:
        """Its run file."""
        begins = "" if what == "mnist" else f"{what}-"
        return folder / f"{begins}{self.setting}{'-plain' * self.plain}-seed{self.seed}.h5"


@dataclass(frozen=True)
class Comparison:
    """One run held against its published curve; ``deviation`` is what `published.deviation` says of each metric."""

    what: str
    of: Published
    run: read.Run
    deviation: dict[str, float]

    @property
    def far(self) -> list[str]:
        """The metrics that leave the published mean by more than `NEAR` deviations."""
        return [name for name, away in self.deviation.items() if not away <= NEAR]


@dataclass(frozen=True)
class Wanted:
    """Published runs that are wanted in a folder.

    Attributes
    ----------
    each : tuple of Published
    iterations : int
        Of each, at least.
    folder : Path
        Of the run files.
    what : str
        A key of `pmom_mpi.analysis.published.FIGURES`.
    """

    each: tuple[Published, ...]
    iterations: int
    folder: Path
    what: str = "mnist"

    @classmethod
    def of(
        cls, settings: Sequence[str], seeds: Sequence[int], iterations: int, folder: Path, what: str = "mnist",
        images: str = "flipped",
    ) -> Wanted:  # fmt: skip
        """The settings that match any of the patterns, each with all seeds; raises `UserError` for what is unknown."""
        if any(not 0 <= seed < published.SEEDS for seed in seeds):
            raise UserError(
                f"--seeds: published seeds are 0 to {published.SEEDS - 1}, not {', '.join(map(str, seeds))}"
            )
        ways = IMAGES[images] if what == "fashion" else (False,)
        each = (
            Published(setting, seed, plain)
            for setting in published.settings(settings, what) for seed in seeds for plain in ways
        )  # fmt: skip
        return cls(tuple(each), iterations, folder, what)

    def missing(self) -> Sweep:
        """The runs that have not got all iterations yet, as a sweep: `Pool` begins them or goes on with them.

        Raises
        ------
        UserError
            When a run file is of another config, or ended before these iterations and cannot be gone on with.
        """
        runs = tuple(run for run in (self._planned(one) for one in self.each) if run is not None)
        return Sweep(Path(f"pmom reproduce {self.what}"), self.what, self.folder, (), (), runs, ())

    def _planned(self, one: Published) -> Planned | None:
        path = one.path(self.folder, self.what)
        raw = published.config(one.setting, one.seed, self.iterations, str(path), self.what, one.plain)
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
        return Planned(path.stem, {"setting": one.setting}, raw, identity(raw), raw["iterations"])

    def comparisons(self) -> list[Comparison]:
        """Of the runs that have got all iterations, over these."""
        paths = {one: one.path(self.folder, self.what) for one in self.each}
        runs = {one: read.load(path) for one, path in paths.items() if path.exists()}
        return [self._compare(one, run) for one, run in runs.items() if run.iterations >= self.iterations]

    def _compare(self, one: Published, run: read.Run) -> Comparison:
        metrics = {name: values[: self.iterations] for name, values in run.metrics.items()}
        away = published.deviation(metrics, one.setting, one.seed, self.what)
        return Comparison(self.what, one, replace(run, metrics=metrics), away)


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
        made.add_row(*_head(found), "as they are" if found.of.plain else "flipped", *numbers, verdict)
    return made


def _head(found: Comparison) -> tuple[str, str, str]:
    return found.of.setting, str(found.of.seed), str(found.run.iterations)


def plot(comparisons: Sequence[Comparison], output: str | Path) -> None:
    """Draw the runs over their published curves."""
    from pmom_mpi.analysis.plot import reproduction  # matplotlib takes a second to import
    from pmom_mpi.analysis.style import save

    pairs = []
    for found in comparisons:
        one = found.of
        words = f"{one.setting}, seed {one.seed}{', test images as they are' * one.plain}"
        pairs.append((words, found.run, published.curve(one.setting, one.seed, found.what)))
    save(reproduction(pairs), output)
