"""The paper's figures as campaigns: which runs each is of, and what was published of them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from pmom_mpi import config as configs
from pmom_mpi.analysis import published, read
from pmom_mpi.analysis.beside import Beside, Panel
from pmom_mpi.analysis.published import Published
from pmom_mpi.analysis.runs import Runs
from pmom_mpi.campaign import sweep_file
from pmom_mpi.campaign.sweep_file import Planned, Sweep
from pmom_mpi.config import places
from pmom_mpi.words.errors import UserError

METRICS = ("train_loss", "test_accuracy")


@dataclass(frozen=True)
class PaperFigure:
    """The runs of a ready sweep with one step size.

    Attributes
    ----------
    sweep : str
    what : str
        A key of `pmom_mpi.analysis.published.FIGURES`.
    step_size : float
    words : str
    """

    sweep: str
    what: str
    step_size: float
    words: str

    @property
    def name(self) -> str:
        return f"{self.what}-{self.step_size:g}"

    @property
    def published(self) -> bool:
        """Whether the package has the published curves of it."""
        return self.step_size == published.FIGURES[self.what].experiment["step_size"]


FIGURES = {
    figure.name: figure
    for figure in (
        *(PaperFigure("paper-mnist", "mnist", step, "MNIST, fully connected network") for step in (0.5, 0.7)),
        *(PaperFigure("paper-fashion", "fashion", step, "Fashion-MNIST, ResNet-18") for step in (0.3, 0.5, 0.7)),
    )
}


@dataclass(frozen=True)
class Part:
    """What of a figure is wanted; empty is all of it.

    Attributes
    ----------
    methods : sequence of str
        Names of the sweep's variants.
    betas : sequence of float
    seeds : sequence of int
    iterations : int, optional
        As many as the paper's, unless told otherwise.
    """

    methods: Sequence[str] = ()
    betas: Sequence[float] = ()
    seeds: Sequence[int] = ()
    iterations: int | None = None


def chosen(patterns: Sequence[str]) -> list[PaperFigure]:
    """The figures whose names match any of the patterns, in their order.

    Raises
    ------
    UserError
        When a pattern matches none.

    Examples
    --------
    >>> [figure.name for figure in chosen(["mnist-*"])]
    ['mnist-0.5', 'mnist-0.7']
    """
    for pattern in patterns:
        if not fnmatch.filter(FIGURES, pattern):
            raise UserError(f"--figure {pattern}: no figure of the paper matches; there are {', '.join(FIGURES)}")
    return [figure for name, figure in FIGURES.items() if any(fnmatch.fnmatch(name, one) for one in patterns)]


def prepare(figure: PaperFigure, part: Part, folder: Path, place: Path | None = None) -> Sweep:
    """The figure's sweep, with its run files in the folder; written there, or at another place, as ``FIGURE.yaml``.

    Runs are found by their identity, so those that ``pmom sweep`` or ``pmom submit`` made of the ready sweep count.

    Raises
    ------
    UserError
        When the figure has not what is wanted.
    """
    raw = configs.load(places.sweeps()[figure.sweep])
    method, grid, whole = raw["variants"]["method"], raw["grid"], int(raw["base"]["iterations"])
    if part.iterations is not None and part.iterations > whole:
        raise UserError(f"--iterations: {part.iterations} is more than the paper's {whole} of {figure.name}")
    kept = _among("--methods", part.methods, list(method), figure)
    betas = _among("--betas", part.betas, list(grid["momentum.beta"]), figure)
    raw["base"]["iterations"] = part.iterations or whole
    raw["variants"] = {"method": {name: method[name] for name in kept}}
    raw["grid"] = {"step_size": [figure.step_size], "momentum.beta": betas}
    raw["seeds"], raw["output"] = list(part.seeds) or raw["seeds"], str(folder)
    path = (place or folder) / f"{figure.name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# Written by pmom reproduce paper.\n{yaml.safe_dump(raw, sort_keys=False)}")
    return sweep_file.load(path, folder)


def _among(option: str, wanted: Sequence[Any], known: list[Any], figure: PaperFigure) -> list[Any]:
    for one in wanted:
        if one not in known:
            raise UserError(f"{option}: {one} is not in {figure.name}, which has {', '.join(map(str, known))}")
    return [one for one in known if one in wanted or not wanted]


def beside(figure: PaperFigure, sweep: Sweep) -> Beside:
    """What is to be drawn: of every method ours, as far as there is any, beside what was published.

    Raises
    ------
    UserError
        When no run has begun.
    """
    settings: dict[str, dict[float, list[Planned]]] = {}
    for run in sweep.runs:
        settings.setdefault(run.told["method"], {}).setdefault(float(run.told["momentum.beta"]), []).append(run)
    panels = tuple(
        Panel(
            _method(name),
            tuple(betas),
            {beta: found for beta, planned in betas.items() if (found := _runs(sweep, planned)) is not None},
            {beta: _published(figure, planned) for beta, planned in betas.items()} if figure.published else {},
        )
        for name, betas in settings.items()
    )
    if not any(panel.ours for panel in panels):
        raise UserError(f"{sweep.folder}: no run of {figure.name} with these seeds and iterations has begun there")
    raw = sweep.runs[0].raw
    rows, whole = int(raw["iterations"]), published.FIGURES[figure.what].iterations
    horizon = f"{rows} iterations" if rows == whole else f"only the first {rows} of {whole} iterations"
    seeds = sorted({run.seed for run in sweep.runs})
    counted = f"{len(seeds)} seeds" if len(seeds) > 1 else f"seed {seeds[0]} only"
    title = f"{figure.words}: n = {raw['data']['nodes']}, step size {figure.step_size:g}, {horizon}, {counted}"
    return Beside(title, METRICS, panels)


def _runs(sweep: Sweep, planned: Sequence[Planned]) -> Runs | None:
    paths = [(sweep.file(run), run) for run in planned]
    found = [replace(read.open_run(path), choices=run.told) for path, run in paths if path.exists()]
    begun = tuple(run for run in found if run.iterations)
    absent = {run.seed for run in planned} - {int(run.config.get("seed", 0)) for run in begun}
    return Runs(begun, missing=tuple(sorted(absent))) if begun else None


def _published(figure: PaperFigure, planned: Sequence[Planned]) -> dict[str, Published]:
    """Of the same seeds, where every seed's curve was published, and as many iterations."""
    name, rows = published.setting(planned[0].raw), int(planned[0].raw["iterations"])
    seeds = [run.seed for run in planned if run.seed < published.SEEDS]
    return {metric: published.band(name, metric, seeds, figure.what, rows) for metric in METRICS}


def _method(name: str) -> str:
    """A variant's name in words.

    Examples
    --------
    >>> _method("top10"), _method("clip1"), _method("none")
    ('Top-10 %', 'clipped to 1', 'no bias')
    """
    words = {"none": "no bias", "normalize": "normalised"}.get(name, name)
    return re.sub(r"^clip([\d.]+)$", r"clipped to \1", re.sub(r"^top([\d.]+)$", r"Top-\1 %", words))
