"""What theory promises beside what happened, of runs that were diagnosed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pmom_mpi.analysis.read import Run
from pmom_mpi.analysis.tables import Table
from pmom_mpi.report.series import Line
from pmom_mpi.report.thin import kept, packed
from pmom_mpi.words.errors import UserError

MOST_RUNS, POINTS = 4, 600
DASHES = [12.0, 5.0]


@dataclass(frozen=True)
class Panel:
    """A diagnosed run: its tables, and the curves of ``decay``."""

    title: str
    tables: tuple[Table, ...]
    lines: tuple[Line, ...]


def panels(runs: Sequence[Run]) -> list[Panel]:
    """Of the first few runs that were diagnosed."""
    due = [run for run in runs if "diag_gradient" in run.metrics]
    found = [panel for panel in map(_panel, due[:MOST_RUNS]) if panel is not None]
    return found


def _panel(run: Run) -> Panel | None:
    from pmom_mpi.analysis import bounds
    from pmom_mpi.theory.live import examine

    try:
        seen = bounds.diagnosed(run)
    except UserError:  # before the first diagnosis, or the config's classes are not here
        return None
    promise = examine(seen)
    doubt = " (L estimated)" if promise.estimated else ""
    after = seen.iterations + 1
    curves = [
        _line("measured: running mean of |∇f|²", 0, [], after, promise.averages),
        _line(f"certificate{doubt}", 2, [], after, promise.certificate),
        _line(f"a-priori bound{doubt}", 1, DASHES, after, promise.bound),
        _line("measured |∇f|²", 5, [4.0, 4.0], after, seen.gradient),
    ]
    return Panel(run.name, tuple(bounds.tables(run, seen, promise)), tuple(line for line in curves if line is not None))


def _line(label: str, color: int, dash: list[float], after: np.ndarray, values: np.ndarray | None) -> Line | None:
    if values is None or not np.isfinite(values).any():
        return None
    places = after[: len(values)].astype(float)
    chosen = kept(values[np.newaxis], POINTS)
    columns = [places[chosen], places[chosen], places[chosen], values[chosen]]
    return Line(label=label, color=color, dash=dash, band=False, points={"decay": packed(columns)})
