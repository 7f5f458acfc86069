"""Runs side by side: results, costs, speed-ups, and in what their configs differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pmom_mpi.analysis import read
from pmom_mpi.analysis.curves import curves
from pmom_mpi.analysis.read import Run
from pmom_mpi.analysis.tables import Table
from pmom_mpi.analysis.varying import differing
from pmom_mpi.campaign import outcome
from pmom_mpi.campaign.identity import IMMATERIAL
from pmom_mpi.campaign.outcome import Group, Target
from pmom_mpi.words.errors import UserError

IGNORED = ("seed", *IMMATERIAL)


def load(places: Iterable[str | Path]) -> list[Run]:
    """The runs of files, and of all files below folders; raises `UserError` where there is none."""
    begun = [run for run in map(read.load, read.run_files(places)) if run.iterations]
    if not begun:
        raise UserError("none of these runs has an iteration yet")
    return begun


def groups(runs: Sequence[Run]) -> list[Group]:
    """Runs that differ in their seed only together, labelled by what sets them apart, the first run's group first."""
    found = [Group(curve.label, curve.runs, {}) for curve in curves(runs)]
    return sorted(found, key=lambda group: runs[0] not in group.runs)


def compare(runs: Sequence[Run], target: Target | None = None, shared: bool = False) -> list[Table]:
    """Two tables: what came of each group and at what cost, beside the first; and the keys in which they differ."""
    found = groups(runs)
    made = [outcome.table(found, target, shared, against=True)]
    differing = _differing(found)
    return [*made, differing] if differing.rows else made


def _differing(found: Sequence[Group]) -> Table:
    """The keys that are not the same in all groups: a row a group, or a row a key where there are more keys."""
    labels = [group.label for group in found]
    values = differing([group.runs[0] for group in found], IGNORED)
    rows = [("setting", *values), *zip(labels, *values.values(), strict=True)]
    if len(values) > len(found):
        rows = [("key", *labels), *((key, *told) for key, told in values.items())]
    return Table("what differs", rows[0], tuple(rows[1:]) if values else (), texts=len(rows[0]))
