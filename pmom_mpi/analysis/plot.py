"""Learning curves against iterations, bits sent, and seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from pmom_mpi.analysis.curves import AXES, Curve, curves
from pmom_mpi.analysis.read import Run
from pmom_mpi.analysis.style import COLORS, dress, panels
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.report import Metric

DEFAULT_AXES = ("iteration", "bits", "seconds")
LOG_RATIO = 20.0
"""What falls by more than this factor is drawn on a logarithmic axis."""

LONG_LABEL = 40
"""Labels longer than this stand below each other."""


def plot(
    runs: Sequence[Run],
    metrics: Sequence[str] = (),
    against: Sequence[str] = DEFAULT_AXES,
    log: bool = False,
    log_x: bool = False,
) -> Figure:
    """Draw ``runs``.

    Parameters
    ----------
    runs : sequence of Run
        Those whose configs differ in the seed only become one curve: the mean, and a band from lowest to highest. A
        seed that diverged is said and left out of both; so is one that ends early, where it ends.
    metrics : sequence of str
        What to draw; by default the loss and what the problem says is looked at first beside it.
    against : sequence of str
        Keys of `pmom_mpi.analysis.curves.AXES`, a column of the figure each.
    log, log_x : bool
        Logarithmic axes for every metric, not only for those that fall far; for what it is drawn against.

    Raises
    ------
    UserError
        When there is nothing to draw.
    """
    empty = [run for run in runs if run.iterations == 0]
    if empty:
        raise UserError(f"{empty[0].path}: holds no iteration yet")
    names, found = _metrics(runs, metrics), curves(runs)
    width = 1.0 + 4.0 * len(against) if len(against) > 1 else 6.0
    figure, grid = panels(len(names), len(against), (width, 3.4 * len(names)), sharey="row")
    for row, name in zip(grid, names, strict=True):
        for axis, kind in zip(row, against, strict=True):
            for curve in found:
                _draw(axis, curve, name, kind)
            _dress(axis, kind, log_x)
        row[0].set_ylabel(label(runs[0].described[name]))
        if log or _falls_far(runs, name):
            row[0].set_yscale("log", nonpositive="mask")
    _legend(figure, grid[0, 0], found)
    return figure


def label(metric: Metric) -> str:
    """A metric in words, with its unit.

    Examples
    --------
    >>> label(Metric("train_loss", "", role="train")), label(Metric("time_total", "", "s", role="time"))
    ('training loss', 'time total [s]')
    """
    words = metric.name.replace("_", " ")
    if metric.role == "train":
        words = f"training {words.removeprefix('train ')}"
    return words if metric.unit in ("", "1") else f"{words} [{metric.unit}]"


def _metrics(runs: Sequence[Run], wanted: Sequence[str]) -> list[str]:
    common = [name for name in runs[0].metrics if all(name in run.metrics for run in runs)]
    for name in wanted:
        if name not in common:
            raise UserError(f"{name}: not a metric of all these runs; they share {', '.join(common)}")
    chosen = list(wanted) or [metric.name for metric in runs[0].told if metric.name in common][:2]
    if not chosen:
        raise UserError("the runs share no metric; draw them separately")
    return chosen


def _draw(axis: Axes, curve: Curve, name: str, against: str) -> None:
    values, places = curve.values(name), curve.places(name, against)
    known = np.isfinite(values).any(axis=0)
    values = np.where(np.isfinite(values), values, np.nan)[:, known]
    place, look = places[known], curve.look
    mean = np.nanmean(values, axis=0) if known.any() else np.empty(0)
    marker = look.marker or ("o" if known.sum() == 1 else "")
    axis.plot(
        place, mean, color=look.color, linestyle=look.dashes, linewidth=1.6, marker=marker, markevery=0.1,
        markersize=4, label=curve.title,
    )  # fmt: skip
    if len(values) > 1 and known.any():
        low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        axis.fill_between(place, low, high, color=look.color, alpha=0.15, linewidth=0)


def _dress(axis: Axes, against: str, log_x: bool) -> None:
    dress(axis)
    words, unit = AXES[against]
    axis.set_xlabel(f"{words} [{unit}]" if unit else words)
    if log_x:
        axis.set_xscale("log", nonpositive="mask")
    elif unit == "bit":
        axis.xaxis.set_major_locator(MaxNLocator(5))
    if unit == "bit":
        axis.xaxis.set_major_formatter(EngFormatter(unit="", sep=""))


def _falls_far(runs: Sequence[Run], name: str) -> bool:
    values = np.concatenate([run.metrics[name][np.isfinite(run.metrics[name])] for run in runs])
    positive = len(values) > 0 and values.min() > 0
    return bool(positive and not runs[0].described[name].rises and values.max() / values.min() > LOG_RATIO)


def _legend(figure: Figure, axis: Axes, found: Sequence[Curve]) -> None:
    columns = 1 if max(len(curve.title) for curve in found) > LONG_LABEL else min(4, len(found))
    names = {curve.runs[0].name for curve in found}
    title = names.pop() if len(names) == 1 < len(found) else None
    handles, labels = axis.get_legend_handles_labels()
    figure.tight_layout()
    figure.legend(
        handles, labels, title=title, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, frameon=False,
        handlelength=3.2,
    )  # fmt: skip


def reproduction(pairs: Sequence[tuple[str, Run, Mapping[str, np.ndarray]]]) -> Figure:
    """Draw runs over their published curves, and the differences below.

    Parameters
    ----------
    pairs : sequence of (label, run, published metrics)
    """
    figure, grid = panels(2, 2, (11, 6.4), sharex=True, height_ratios=(2, 1))
    for column, name in zip(grid.T, ("train_loss", "test_accuracy"), strict=True):
        for place, (words, run, published) in enumerate(pairs):
            color, ours = COLORS[place % len(COLORS)], run.metrics[name]
            theirs = published[name][: len(ours)]
            column[0].plot(theirs, color=color, linewidth=5, alpha=0.25)
            column[0].plot(ours, color=color, linewidth=1.2, label=words)
            column[1].plot(np.abs(ours - theirs), color=color, linewidth=1)
        for axis in column:
            dress(axis)
        column[0].set_ylabel(label(pairs[0][1].described[name]))
        if _falls_far([run for _, run, _ in pairs], name):
            column[0].set_yscale("log")
        column[1].set_ylabel("|difference|")
        column[1].set_xlabel("iteration k")
        column[1].set_yscale("symlog", linthresh=1e-6)
        column[1].set_ylim(bottom=0)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.tight_layout()
    title = "thin: this run, wide and pale: published"
    columns = min(3, len(pairs))
    figure.legend(
        handles, labels, title=title, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, frameon=False
    )
    return figure
