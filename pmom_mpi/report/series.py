"""Curves as the page's script draws them: what there is to see of groups of runs, in a bounded number of bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from pmom_mpi.analysis.curves import Curve
from pmom_mpi.analysis.places import places
from pmom_mpi.analysis.plot import label
from pmom_mpi.analysis.read import Run
from pmom_mpi.analysis.style import COLORS
from pmom_mpi.report.thin import kept, packed
from pmom_mpi.words.report import Metric

AXES = {"iteration": "iteration k", "bits": "sent up and down [bit]", "seconds": "wall time [s]"}
"""What curves can be drawn against, as `pmom_mpi.analysis.places.AXES` calls them."""

ROLES = ("train", "test", "statistic", "step", "diagnosis", "bits")
MOST_METRICS = 16
BYTES = 2_500_000
"""All curves of a page together, about."""

BYTES_A_NUMBER = 16 / 3
LEAST_POINTS, MOST_POINTS = 40, 1000
LOG_RATIO = 20.0
"""What falls by more than this factor is drawn on a logarithmic axis at first."""


class Line(TypedDict):
    """A curve: by metric its columns k, bits, seconds, mean, and with several seeds lowest and highest."""

    label: str
    color: int
    dash: list[float]
    band: bool
    points: dict[str, str]


class Quantity(TypedDict):
    """What can be looked at."""

    name: str
    label: str
    log: bool


def quantities(found: Sequence[Curve]) -> list[Quantity]:
    """What is worth looking at first goes first; only what every run has and some run has measured."""
    runs = [run for curve in found for run in curve.runs]
    common = [name for name in runs[0].described if all(name in run.described for run in runs)]
    first = [metric.name for metric in runs[0].told if metric.name in common]
    rest = [name for name in common if runs[0].described[name].role in ROLES and name not in first]
    names = [name for name in (*first, *rest, "time_total") if any(run.measured(name) for run in runs)]
    return [_quantity(runs, runs[0].described[name]) for name in names[:MOST_METRICS]]


def _quantity(runs: Sequence[Run], metric: Metric) -> Quantity:
    values = np.concatenate([run.metrics[metric.name] for run in runs])
    values = values[np.isfinite(values)]
    positive = len(values) > 0 and values.min() > 0
    log = bool(positive and metric.rises is False and values.max() / values.min() > LOG_RATIO)
    return Quantity(name=metric.name, label=label(metric), log=log)


def lines(found: Sequence[Curve], names: Sequence[str]) -> list[Line]:
    """All groups' curves of these metrics, thinned until they fit into `BYTES`."""
    columns = sum(6 if len(curve.drawn) > 1 else 4 for curve in found) * len(names)
    points = int(np.clip(BYTES / (BYTES_A_NUMBER * max(columns, 1)), LEAST_POINTS, MOST_POINTS))
    return [_line(curve, names, points) for curve in found]


def _line(curve: Curve, names: Sequence[str], points: int) -> Line:
    look = curve.look
    dash = [] if isinstance(look.dashes, str) else [2.0 * length for length in look.dashes[1]]
    band = len(curve.drawn) > 1
    return Line(
        label=curve.title, color=look.color % len(COLORS), dash=dash, band=band,
        points={name: _points(curve, name, points, band) for name in names},
    )  # fmt: skip


def _points(curve: Curve, name: str, points: int, band: bool) -> str:
    values = _padded([run.metrics[name] for run in curve.drawn])
    values = np.where(np.isfinite(values), values, np.nan)
    known = np.isfinite(values).any(axis=0)
    if not known.any():
        return packed([np.empty(0)])
    values = values[:, known]
    drawn = np.stack([values.mean(axis=0) if not np.isnan(values).any() else np.nanmean(values, axis=0)])
    if band:
        drawn = np.stack([drawn[0], np.nanmin(values, axis=0), np.nanmax(values, axis=0)])
    chosen = kept(drawn, points)
    columns = [_padded([places(run, name, axis) for run in curve.whole]).mean(axis=0) for axis in AXES]
    return packed([*(column[known][chosen] for column in columns), *drawn[:, chosen]])


def _padded(rows: Sequence[np.ndarray]) -> np.ndarray:
    """A row a run, NaN behind the end of those that ended early."""
    made = np.full((len(rows), max(len(row) for row in rows)), np.nan)
    for place, row in zip(made, rows, strict=True):
        place[: len(row)] = row
    return made
