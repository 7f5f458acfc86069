"""The runs of files, folders and sweeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pmom_mpi.analysis import read
from pmom_mpi.analysis.runs import Runs
from pmom_mpi.campaign import sweep_file
from pmom_mpi.words.errors import UserError

SWEEPS = (".yaml", ".yml")


def open_runs(*places: str | Path) -> Runs:
    """Open run files, all below folders, and those of a sweep (a YAML file), as far as there are any yet.

    Runs of a sweep know its axes: the names of its variants can be selected by, and are dimensions.

    Raises
    ------
    UserError
        When there is nothing at a place, or no run has begun.

    Examples
    --------
    >>> open_runs("results/tune").select({"momentum.beta": 0.1})  # doctest: +SKIP
    """
    found: list[read.Run] = []
    for place in map(Path, places):
        if place.suffix in SWEEPS:
            sweep = sweep_file.load(place)
            planned = [(sweep.file(run), run.told) for run in sweep.runs if sweep.file(run).exists()]
            found += [replace(read.open_run(path), choices=told) for path, told in planned]
        else:
            found += map(read.open_run, read.run_files([place]))
    begun = tuple(run for run in found if run.iterations)
    if not begun:
        raise UserError(f"{', '.join(map(str, places))}: no run has an iteration yet")
    return Runs(begun)
