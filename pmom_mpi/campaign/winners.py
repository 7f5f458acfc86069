"""The settings of a sweep, and which of them is best: step sizes are tuned this way, for each method by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pmom_mpi import config as configs
from pmom_mpi.analysis import read
from pmom_mpi.analysis.curves import curves
from pmom_mpi.campaign import outcome
from pmom_mpi.campaign.outcome import Group
from pmom_mpi.campaign.sweep_file import Planned, Sweep
from pmom_mpi.words.errors import UserError


def groups(sweep: Sweep) -> list[Group]:
    """The runs whose files there are, by setting, in the order of the sweep file, named as in every other place."""
    settings: dict[str, list[Planned]] = {}  # by all choices: labels are shortened
    for run in sweep.runs:
        if sweep.file(run).exists():
            settings.setdefault(repr(run.told), []).append(run)
    found = []
    for runs in settings.values():
        loaded = tuple(run for run in map(read.load, map(sweep.file, runs)) if run.iterations)
        if loaded:
            found.append((loaded, runs[0].told))
    labels = {run: curve.label for curve in curves([run for own, _ in found for run in own]) for run in curve.runs}
    return [Group(labels[own[0]], own, told) for own, told in found]


def name(sweep: Sweep, found: Sequence[Group], metric: str) -> list[str]:
    """Say who is best, and write his config to the sweep's folder; of every variant by itself where there are some.

    Returns
    -------
    list of str
        A line a winner.
    """
    contests: dict[str, list[Group]] = {}
    for group in found:
        contests.setdefault("-".join(str(group.told[axis]) for axis in sweep.variants), []).append(group)
    lines = []
    for variant, rivals in contests.items():
        winner = outcome.best(rivals, metric)
        if winner is None:
            lines.append(f"best {metric}" + (f" of {variant}" if variant else "") + ": none; every setting diverged")
            continue
        place = _write(sweep, winner, "-".join(["best", *([variant] if variant else [])]))
        mean = float(np.mean(winner.values(metric, "last")))
        lines.append(f"best {metric}: {winner.label} with {mean:.5g} -> {place}")
    return lines


def _write(sweep: Sweep, winner: Group, name: str) -> Path:
    """The winner's config, with the first of its seeds and a place for its run file by name and seed."""
    raw = dict(winner.runs[0].config)
    raw["output"] = "results/{name}-{seed}.h5"
    place = sweep.folder / f"{name}.yaml"
    try:
        place.write_text(configs.to_yaml(raw), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{place}: cannot write the winner's config: {error.strerror}") from None
    return place
