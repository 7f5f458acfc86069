"""Learning curves against iterations, bits sent, and seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pmom_mpi.analysis.bands import band
from pmom_mpi.analysis.curves import Curve, curves, short
from pmom_mpi.analysis.legend import legend
from pmom_mpi.analysis.places import AXES
from pmom_mpi.analysis.read import Run
from pmom_mpi.analysis.runs import Runs
from pmom_mpi.analysis.style import COLORS, SIZES, dress, palette, panels, plain_powers
from pmom_mpi.analysis.thin import thinned
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.report import Metric

DEFAULT_AXES = ("iteration", "bits", "seconds")
LOG_RATIO = 20.0
"""What falls by more than this factor is drawn on a logarithmic axis."""

TALLEST = 5.5
"""Inches of a panel."""

PREFIXES = ((3, "k"), (6, "M"), (9, "G"), (12, "T"), (15, "P"))


@dataclass(frozen=True)
class Panel:
    """One of a figure's axes: which runs, which metric, against what."""

    runs: Runs
    metric: str
    against: str
    title: str = ""


def plot(
    runs: Sequence[Run],
    metrics: Sequence[str] = (),
    against: Sequence[str] = DEFAULT_AXES,
    log: bool = False,
    log_x: bool = False,
    facet: str = "",
    target: tuple[str, float] | None = None,
    size: str = "screen",
) -> Figure:
    """Draw ``runs``; within `pmom_mpi.analysis.style.applied`.

    Parameters
    ----------
    runs : sequence of Run
        Those whose configs differ in the seed only become one curve: the mean, and a band from lowest to highest, where
        all of them are. A seed that diverged is said and left out of both; so is one that ends early, where it ends.
    metrics : sequence of str
        What to draw; by default the loss and what the problem says is looked at first beside it.
    against : sequence of str
        Keys of `pmom_mpi.analysis.places.AXES`, a panel of each metric's each.
    log, log_x : bool
        Logarithmic axes for every metric, not only for those that fall far; for what it is drawn against.
    facet : str
        A key of the configs, or an axis of the sweep: a panel for each of its values.
    target : (str, float)
        A value of a metric, drawn as a line; where a mean first reaches it there is a point.
    size : str
        A key of `pmom_mpi.analysis.style.SIZES`.

    Raises
    ------
    UserError
        When there is nothing to draw.
    """
    empty = [run for run in runs if run.iterations == 0]
    if empty:
        raise UserError(f"{empty[0].path}: holds no iteration yet")
    everything, chosen = Runs(tuple(runs)), SIZES[size]
    parts = {"": everything}
    if facet:
        parts = {f"{short(facet)} = {value}": part for value, part in everything.by(facet).items()}
    found, names = curves(runs, facet), _metrics(runs, metrics)
    rows = [[Panel(part, name, kind, title) for title, part in parts.items() for kind in against] for name in names]
    if len(rows[0]) == 1:  # beside each other, instead of a tower
        rows = [[panel for row in rows for panel in row]]
    columns = min(len(rows[0]), chosen.columns)
    height = -(-len(rows[0]) // columns)
    width = chosen.width if size != "screen" else (1.0 + 4.0 * columns if columns > 1 else 6.0)
    shape = (width, min(0.75 * width / columns, TALLEST) * height * len(rows))
    figure, grid = panels(height * len(rows), columns, shape, fitted=True)
    for place, row in enumerate(rows):
        axes = grid[place * height : (place + 1) * height].ravel()
        first: dict[str, Axes] = {}
        for at, (axis, panel) in enumerate(zip(axes, row, strict=False)):
            _panel(axis, panel, found, log or _falls_far(runs, panel.metric), log_x, target)
            if panel.metric in first:
                axis.sharey(first[panel.metric])
            if panel.metric not in first or at % columns == 0:
                axis.set_ylabel(label(runs[0].described[panel.metric]))
            first.setdefault(panel.metric, axis)
        for axis in axes[len(row) :]:
            axis.set_visible(False)
    legend(figure, found, parts)
    return figure


def _panel(
    axis: Axes, panel: Panel, found: Sequence[Curve], log: bool, log_x: bool, target: tuple[str, float] | None
) -> None:
    here = [curve for curve in found if curve.runs[0] in panel.runs.runs]
    for place, curve in enumerate(here):
        _draw(axis, curve, panel, log_x, target, 1.8 - place / len(here))
    if target and target[0] == panel.metric:
        axis.axhline(target[1], color="0.4", linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    if log:
        axis.set_yscale("log", nonpositive="mask")
        plain_powers(axis.yaxis)
    axis.set_title(panel.title, fontsize="medium")
    _dress(axis, panel.against, log_x)


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


def _draw(axis: Axes, curve: Curve, panel: Panel, log_x: bool, target: tuple[str, float] | None, point: float) -> None:
    """``point`` is the size of the target's: each curve's is smaller than those before, which may lie beneath."""
    found, look, colors = band(curve, panel.metric, panel.against), curve.look, palette()
    if not len(found.places):
        return
    color = colors[look.color % len(colors)]
    marker = look.marker or ("o" if len(found.places) == 1 else "")
    mean, low, high = found.mean, found.low, found.high
    kept = thinned(found.places, mean, log=log_x)
    axis.plot(found.places[kept], mean[kept], color=color, linestyle=look.dashes, marker=marker, markevery=0.1)
    if len(found.values) > 1:
        kept = thinned(found.places, low, high, log=log_x)
        axis.fill_between(found.places[kept], low[kept], high[kept], color=color, alpha=0.15, linewidth=0)
    if target and target[0] == panel.metric:
        rises = curve.runs[0].described[panel.metric].rises
        there = np.flatnonzero(mean >= target[1] if rises else mean <= target[1])[:1]
        axis.plot(found.places[there], mean[there], "o", color=color, markeredgecolor="white", zorder=3,
                  markersize=point * matplotlib.rcParams["lines.markersize"])  # fmt: skip


def _dress(axis: Axes, against: str, log_x: bool) -> None:
    words, unit = AXES[against]
    if log_x:
        axis.set_xscale("log", nonpositive="mask")
        plain_powers(axis.xaxis)
    elif unit == "bit":
        largest = max(abs(place) for place in axis.get_xlim())
        power, prefix = max((entry for entry in PREFIXES if 10 ** entry[0] <= largest), default=(0, ""))
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda place, _: f"{place / 10**power:g}"))
        unit = prefix + unit
    axis.set_xlabel(f"{words} [{unit}]" if unit else words)


def _falls_far(runs: Sequence[Run], name: str) -> bool:
    values = np.concatenate([run.metrics[name][np.isfinite(run.metrics[name])] for run in runs])
    positive = len(values) > 0 and values.min() > 0
    return bool(positive and not runs[0].described[name].rises and values.max() / values.min() > LOG_RATIO)


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
