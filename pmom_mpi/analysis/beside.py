"""Figures of a paper: a panel a method, momentum beside SGD, ours beside what was published."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from pmom_mpi.analysis.bands import band
from pmom_mpi.analysis.plot import LOG_RATIO, label
from pmom_mpi.analysis.published import Published
from pmom_mpi.analysis.runs import Runs
from pmom_mpi.analysis.style import COLORS, DASHES, panels

COLUMNS = 4


@dataclass(frozen=True)
class Panel:
    """One method.

    Attributes
    ----------
    title : str
    betas : tuple of float
        What is to be drawn, whether it is there yet or not.
    ours : dict of float to Runs
        By beta; the seeds that are still missing are the runs' ``missing``.
    published : dict of float to dict of str to Published
        By beta and metric; empty where nothing was published.
    """

    title: str
    betas: tuple[float, ...]
    ours: Mapping[float, Runs]
    published: Mapping[float, Mapping[str, Published]]


@dataclass(frozen=True)
class Beside:
    """A figure's title, metrics (a row each) and methods (a column each, four beside each other)."""

    title: str
    metrics: tuple[str, ...]
    panels: tuple[Panel, ...]


def draw(figure: Beside) -> Figure:
    """Draw it: colours are betas, thin lines ours with a band over the seeds, wide and pale ones published.

    A seed that diverged is left out of means and bands and said, ours and, where it is known, published.
    """
    columns = min(COLUMNS, len(figure.panels))
    blocks = -(-len(figure.panels) // columns)
    betas = sorted({beta for panel in figure.panels for beta in panel.betas}, reverse=True)
    looks = {beta: (COLORS[place % len(COLORS)], DASHES[place % len(DASHES)]) for place, beta in enumerate(betas)}
    rows = blocks * len(figure.metrics)
    shape = (max(6.5, 1.0 + 3.0 * columns), 2.5 * rows + 1.2)
    drawn, grid = panels(rows, columns, shape, fitted=True)
    for row, metric in enumerate(figure.metrics):
        own = grid[row :: len(figure.metrics)].ravel()
        log = _falls_far(figure, metric)
        for axis, panel in zip(own, figure.panels, strict=False):
            _panel(axis, panel, metric, looks)
            if log:
                axis.set_yscale("log", nonpositive="mask")
            axis.sharey(own[0]) if axis is not own[0] else None
            axis.set_title(panel.title if row == 0 else "", fontsize="medium")
        for axis in own[len(figure.panels) :]:
            axis.set_visible(False)
        for axis in own[::columns]:
            axis.set_ylabel(_words(figure, metric))
    for axis in grid.ravel():
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    for axis in grid[len(figure.metrics) - 1 :: len(figure.metrics)].ravel():
        axis.set_xlabel("iteration k")
    _legend(drawn, figure, looks, textwrap.fill(figure.title, int(13 * shape[0])))
    return drawn


def _panel(axis: Axes, panel: Panel, metric: str, looks: Mapping[float, tuple[str, object]]) -> None:
    for beta, (color, _) in looks.items():
        if beta in panel.published:
            theirs = panel.published[beta][metric]
            steps = np.arange(len(theirs.mean)) + metric.startswith("test_")  # row k has the test values of x^{k+1}
            axis.plot(steps, theirs.mean, color=color, linewidth=5, alpha=0.25, solid_capstyle="butt")
            axis.fill_between(steps, theirs.low, theirs.high, color=color, alpha=0.08, linewidth=0)
    for beta, (color, dashes) in looks.items():
        if beta in panel.ours:
            found = band(panel.ours[beta], metric, "iteration")
            if len(found.places):
                axis.plot(found.places, found.mean, color=color, linestyle=dashes, linewidth=1.3)
                axis.fill_between(found.places, found.low, found.high, color=color, alpha=0.25, linewidth=0)


def _falls_far(figure: Beside, metric: str) -> bool:
    values = [run.metrics[metric] for panel in figure.panels for runs in panel.ours.values() for run in runs]
    values += [theirs[metric].mean for panel in figure.panels for theirs in panel.published.values()]
    everything = np.concatenate(values)
    positive = everything[np.isfinite(everything) & (everything > 0)]
    return metric.endswith("loss") and len(positive) > 0 and bool(positive.max() / positive.min() > LOG_RATIO)


def _words(figure: Beside, metric: str) -> str:
    run = next(run for panel in figure.panels for runs in panel.ours.values() for run in runs)
    return label(run.described[metric])


def beta_words(beta: float) -> str:
    """What a curve's momentum parameter is called.

    Examples
    --------
    >>> beta_words(1.0), beta_words(0.1)
    ('SGD (beta = 1)', 'momentum, beta = 0.1')
    """
    return "SGD (beta = 1)" if beta == 1 else f"momentum, beta = {beta:g}"


def notes(figure: Beside) -> list[str]:
    """A line for every curve whose seeds did not all come through: diverged, short or missing, ours and published."""
    found = []
    for panel in figure.panels:
        for beta in sorted(panel.betas, reverse=True):
            name = f"{panel.title}, {beta_words(beta)}"
            ours = panel.ours.get(beta)
            said = f"{name}: not run yet" if ours is None else ours.told(name)
            theirs = next(iter(panel.published.get(beta, {}).values()), None)
            if theirs is not None and theirs.diverged:
                said += f" (published: {theirs.diverged} of {theirs.seeds} seeds diverged)"
            if said != name:
                found.append(said)
    return found


def _legend(drawn: Figure, figure: Beside, looks: Mapping[float, tuple[str, object]], title: str) -> None:
    keys = [
        Line2D([], [], color=color, linestyle=dashes, label=beta_words(beta))  # type: ignore[arg-type]
        for beta, (color, dashes) in looks.items()
    ]
    keys.append(Line2D([], [], color="0.3", linewidth=1.3, label="thin: ours, band: lowest to highest seed"))
    if any(panel.published for panel in figure.panels):
        keys.append(Line2D([], [], color="0.3", linewidth=5, alpha=0.25, label="wide and pale: published"))
    drawn.legend(handles=keys, title=title, loc="outside upper center", ncols=2 if len(figure.panels) < 3 else 3,
                 handlelength=3.2, frameon=False)  # fmt: skip
    said = notes(figure)
    if said:
        drawn.supxlabel("\n".join(said), fontsize="small", color="0.3")
