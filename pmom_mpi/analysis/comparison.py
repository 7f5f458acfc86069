"""Methods side by side, each with and without momentum: a picture and a table against iterations and bits sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pmom_mpi.analysis.bands import band
from pmom_mpi.analysis.read import Run
from pmom_mpi.analysis.seeds import Seeds, missing_seeds
from pmom_mpi.analysis.style import COLORS, dress, panels
from pmom_mpi.analysis.tables import Table

WINDOW = 25
"""Iterations in the running mean of what is measured on batches; of the final training loss, the last so many."""

METRICS = {"train_loss": f"training loss, mean of {WINDOW} iterations", "test_accuracy": "test accuracy"}
LOWEST_ACCURACY = 0.8
"""Where the axis of the accuracy begins, unless a run ends below."""


@dataclass(frozen=True)
class Method(Seeds):
    """The runs of one method with one momentum parameter; they differ in their seed only."""

    name: str
    beta: float
    runs: tuple[Run, ...]
    missing: tuple[int, ...] = ()


def methods(runs: Sequence[Run]) -> list[Method]:
    """Group runs by name and beta, in the order in which they come."""
    groups: dict[tuple[str, float], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.name, beta(run)), []).append(run)
    return [
        Method(name, value, tuple(group), missing_seeds(group, groups.values()))
        for (name, value), group in groups.items()
    ]


def beta(run: Run) -> float:
    """The momentum parameter, on the nodes where the bias has one, else on the server; 1 where there is none."""
    bias, momentum = run.config.get("bias") or [], run.config.get("momentum")
    for section in (*(bias if isinstance(bias, list) else [bias]), momentum):
        if isinstance(section, dict) and "beta" in section:
            return float(section["beta"])
    return 1.0


def curve(run: Run, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Iterations, uplink bits a node, and values of a metric, where it was measured.

    A training value is about x^k, before its row's payloads, and becomes the mean of the `WINDOW` values up to it; a
    test value is about x^{k+1}, after them.
    """
    sent = np.cumsum(run.metrics["uplink_bits"]) / run.nodes
    values, place = run.metrics[name], run.metrics["iteration"]
    if run.described[name].role == "test":
        known = np.isfinite(values)
        return place[known] + 1, sent[known], values[known]
    return place, np.concatenate([[0.0], sent[:-1]]), _running_mean(values)


def bits_to_reach(run: Run, accuracy: float) -> float:
    """Uplink bits a node until the test accuracy first was at least this; NaN when it never was."""
    _, sent, values = curve(run, "test_accuracy")
    reached = np.flatnonzero(values >= accuracy)
    return float(sent[reached[0]]) if len(reached) else np.nan


def table(found: Sequence[Method], accuracy: float) -> Table:
    """A row a method: where it ended, what it sent, and what reaching ``accuracy`` took.

    Means over the seeds that neither diverged nor ended early; the name says which did, and which are missing.
    """
    reach = f"to {100 * accuracy:g} %"
    heads = ("method", "beta", "step size", "training loss", "test accuracy %", "bits a coordinate",
             "kbit a node, iteration", f"Mbit a node {reach}", "times fewer than uncompressed")  # fmt: skip
    rows = []
    reference = {method.beta: _mean_bits(method, accuracy) for method in found if not method.runs[0].config.get("bias")}
    for method in found:
        runs, first = method.whole, method.runs[0]
        each = np.mean([run.metrics["uplink_bits"].mean() / run.nodes for run in runs])
        needed = _mean_bits(method, accuracy)
        ratio = reference.get(method.beta, np.nan) / needed
        rows.append((
            method.told(method.name), f"{method.beta:g}", str(first.config["step_size"]),
            _spread([run.metrics["train_loss"][-WINDOW:].mean() for run in runs], 4),
            _spread([100 * _accuracy(run) for run in runs], 2),
            f"{each / first.facts['dimension']:.3g}", f"{each / 1e3:.4g}",
            "never" if np.isnan(needed) else f"{needed / 1e6:.3g}", "" if np.isnan(ratio) else f"{ratio:.3g}",
        ))  # fmt: skip
    return Table("comparison", heads, tuple(rows))


def plot(found: Sequence[Method]) -> Figure:
    """Draw training loss and test accuracy against iterations and against bits, a row a metric and beta."""
    names = list(dict.fromkeys(method.name for method in found))
    betas = sorted({method.beta for method in found})
    figure, grid = panels(len(METRICS) * len(betas), 2, (13, 14), sharex="col")
    for name, rows in zip(METRICS, np.split(grid, len(METRICS)), strict=True):
        for value, axes in zip(betas, rows, strict=True):
            axes[0].set_ylabel(f"{METRICS[name]}, beta {value:g}")
            for column, axis in enumerate(axes):
                if axis is not rows[0, 0]:
                    axis.sharey(rows[0, 0])
                for method in (method for method in found if method.beta == value):
                    _draw(axis, method, name, column, COLORS[names.index(method.name) % len(COLORS)])
                dress(axis)
    grid[0, 0].set_yscale("log")
    if min(_accuracy(run) for method in found for run in method.whole) > LOWEST_ACCURACY:
        grid[-1, 0].set_ylim(bottom=LOWEST_ACCURACY)
    grid[-1, 0].set_xlabel("iteration k")
    grid[-1, 1].set_xlabel("uplink bits a node")
    grid[-1, 1].set_xscale("log")
    keys = [Line2D([], [], color=COLORS[i % len(COLORS)], label=_key(name, found)) for i, name in enumerate(names)]
    figure.tight_layout()
    figure.legend(handles=keys, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(keys), frameon=False)
    return figure


def _key(name: str, found: Sequence[Method]) -> str:
    """The name, and what is not as it should be with its seeds."""
    named = {f"{name}, beta {method.beta:g}": method for method in found if method.name == name}
    said = [method.told(label) for label, method in named.items() if method.told(label) != label]
    return "; ".join(said) or name


def _draw(axis: Axes, method: Method, name: str, column: int, color: str) -> None:
    tested = method.runs[0].described[name].role == "test"
    against, scale = ("uplink", method.runs[0].nodes) if column else ("iteration", 1)
    found = band(method, name, against, prepare=np.asarray if tested else _running_mean)
    if len(found.places):
        axis.plot(found.places / scale, found.mean, color=color, linewidth=1.4)
        axis.fill_between(found.places / scale, found.low, found.high, color=color, alpha=0.15, linewidth=0)


def _running_mean(values: np.ndarray) -> np.ndarray:
    """The mean of the last `WINDOW` values, of fewer at the start."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    stop = np.arange(1, len(sums))
    start = np.maximum(stop - WINDOW, 0)
    return (sums[stop] - sums[start]) / (stop - start)


def _accuracy(run: Run) -> float:
    """The last one; NaN where none was measured."""
    values = curve(run, "test_accuracy")[2]
    return float(values[-1]) if len(values) else np.nan


def _mean_bits(method: Method, accuracy: float) -> float:
    return float(np.mean([bits_to_reach(run, accuracy) for run in method.whole]))


def _spread(values: Sequence[float], digits: int) -> str:
    """The mean, and half the range over the seeds."""
    half = (max(values) - min(values)) / 2
    return f"{np.mean(values):.{digits}f}" + (f" ± {half:.{digits}f}" if len(values) > 1 else "")
