"""Learning curves against iterations, bits sent, and seconds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # before pyplot is imported: there may be no display
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, MaxNLocator

from pmom_mpi.analysis.read import Run
from pmom_mpi.words.errors import UserError

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
"""Okabe and Ito's palette, distinguishable with any colour vision."""

LABELS = {"iteration": "iteration k", "sent": "sent, up and down", "seconds": "seconds"}
LOG_RATIO = 20.0
"""What falls by more than this factor is drawn on a logarithmic axis."""


@dataclass(frozen=True)
class Curve:
    """The runs that differ in their seed only."""

    label: str
    runs: tuple[Run, ...]


def plot(runs: Sequence[Run], output: str | Path, metrics: Sequence[str] = (), log: bool = False) -> None:
    """Draw ``runs`` into a picture file.

    Parameters
    ----------
    runs : sequence of Run
        Those whose configs differ in the seed only become one curve: the mean, and a band from lowest to highest.
    output : path
        Its ending chooses the format: .png, .pdf, .svg.
    metrics : sequence of str
        What to draw; by default the training loss and the test accuracy, or what the runs have in their place.
    log : bool
        Logarithmic axes for every metric, not only for those that fall far.

    Raises
    ------
    UserError
        When there is nothing to draw, or the picture cannot be written.
    """
    empty = [run for run in runs if run.iterations == 0]
    if empty:
        raise UserError(f"{empty[0].path}: holds no iteration yet")
    names = _metrics(runs, metrics)
    curves = _curves(runs)
    figure, grid = plt.subplots(len(names), 3, figsize=(13, 3.4 * len(names)), squeeze=False, sharey="row")
    for row, name in zip(grid, names, strict=True):
        for axis, against in zip(row, LABELS, strict=True):
            for place, curve in enumerate(curves):
                _draw(axis, curve, name, against, COLORS[place % len(COLORS)])
            _dress(axis, name, against, runs)
            if log:
                axis.set_yscale("log", nonpositive="mask")
    _finish(figure, grid, curves, Path(output))


def _metrics(runs: Sequence[Run], wanted: Sequence[str]) -> list[str]:
    common = [name for name in runs[0].metrics if all(name in run.metrics for run in runs)]
    for name in wanted:
        if name not in common:
            raise UserError(f"{name}: not a metric of all these runs; they share {', '.join(common)}")
    told = [metric.name for metric in runs[0].told]
    chosen = list(wanted) or [name for name in told if name in common][:2]
    if not chosen:
        raise UserError("the runs share no metric; draw them separately")
    return chosen


def _curves(runs: Sequence[Run]) -> list[Curve]:
    groups: dict[str, list[Run]] = {}
    for run in runs:
        same = {key: value for key, value in run.config.items() if key not in ("seed", "output")}
        groups.setdefault(json.dumps(same, sort_keys=True, default=str), []).append(run)
    names = [group[0].name for group in groups.values()]
    curves = []
    for group in groups.values():
        name = group[0].name
        label = name if names.count(name) == 1 else _difference(group[0], runs)
        label = f"{name}: {label}" if 1 < names.count(name) < len(names) else label
        curves.append(Curve(f"{label} ({len(group)} seeds)" if len(group) > 1 else label, tuple(group)))
    return curves


def _difference(run: Run, runs: Sequence[Run]) -> str:
    """The keys in which runs of one name differ, with this run's values."""
    others = [_flat(other.config) for other in runs if other.name == run.name]
    own = _flat(run.config)
    keys = [key for key in own if any(other.get(key) != own[key] for other in others)]
    return ", ".join(f"{key} = {own[key]}" for key in keys if key not in ("seed", "output")) or run.path.stem


def _flat(section: Any, path: str = "") -> dict[str, str]:
    if isinstance(section, dict):
        parts = section.items()
    elif isinstance(section, list):
        parts = enumerate(section)  # type: ignore[assignment]
    else:
        return {path: str(section)}
    flat: dict[str, str] = {}
    for key, value in parts:
        flat |= _flat(value, f"{path}.{key}" if path else str(key))
    return flat


def _abscissa(run: Run, against: str, is_test: bool) -> np.ndarray:
    """Where a row stands; a test value belongs to x^{k+1}, after what its row has sent."""
    if against == "iteration":
        return run.metrics["iteration"] + (1 if is_test else 0)
    if against == "seconds":
        amount = run.metrics["time_total"]
    else:
        amount = (run.metrics["uplink_bits"] + run.metrics["downlink_bits"]) / 8
    total = np.cumsum(amount)
    return total if is_test else total - amount


def _draw(axis: Axes, curve: Curve, name: str, against: str, color: str) -> None:
    rows = min(run.iterations for run in curve.runs)
    values = np.stack([run.metrics[name][:rows] for run in curve.runs])
    places = np.stack([_abscissa(run, against, run.described[name].role == "test")[:rows] for run in curve.runs])
    known = np.isfinite(values).all(axis=0)
    values, place = values[:, known], places.mean(axis=0)[known]
    marker = "o" if known.sum() == 1 else ""
    axis.plot(place, values.mean(axis=0), color=color, linewidth=1.6, marker=marker, label=curve.label)
    if len(values) > 1:
        axis.fill_between(place, values.min(axis=0), values.max(axis=0), color=color, alpha=0.2, linewidth=0)


def _dress(axis: Axes, name: str, against: str, runs: Sequence[Run]) -> None:
    axis.set_xlabel(LABELS[against])
    axis.grid(True, color="0.9", linewidth=0.8)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    if against == "iteration":
        axis.set_ylabel(name.replace("_", " "))
    if against == "sent":
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.xaxis.set_major_formatter(EngFormatter(unit="B"))
    values = np.concatenate([np.empty(0), *(run.metrics[name][np.isfinite(run.metrics[name])] for run in runs)])
    declared = runs[0].described.get(name) if runs else None
    falls = declared is not None and not declared.rises and len(values) > 0 and values.min() > 0
    if falls and values.max() / values.min() > LOG_RATIO:
        axis.set_yscale("log")


def plot_reproduction(pairs: Sequence[tuple[str, Run, Mapping[str, np.ndarray]]], output: str | Path) -> None:
    """Draw runs over their published curves, and the differences below.

    Parameters
    ----------
    pairs : sequence of (label, run, published metrics)
    output : path
    """
    figure, grid = plt.subplots(2, 2, figsize=(11, 6.4), sharex=True, height_ratios=(2, 1))
    for column, name in zip(grid.T, ("train_loss", "test_accuracy"), strict=True):
        for place, (label, run, published) in enumerate(pairs):
            color, ours = COLORS[place % len(COLORS)], run.metrics[name]
            theirs = published[name][: len(ours)]
            column[0].plot(theirs, color=color, linewidth=5, alpha=0.25)
            column[0].plot(ours, color=color, linewidth=1.2, label=label)
            column[1].plot(np.abs(ours - theirs), color=color, linewidth=1)
        _dress(column[0], name, "iteration", [run for _, run, _ in pairs])
        _dress(column[1], f"|{name} - published|", "iteration", [])
        column[1].set_yscale("symlog", linthresh=1e-6)
        column[1].set_ylim(bottom=0)
        column[0].set_xlabel("")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.tight_layout()
    title = "thin: this run, wide and pale: published"
    columns = min(3, len(pairs))
    figure.legend(
        handles, labels, title=title, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, frameon=False
    )
    save(figure, Path(output))


def _finish(figure: plt.Figure, grid: np.ndarray, curves: Sequence[Curve], output: Path) -> None:
    columns = 1 if max(len(curve.label) for curve in curves) > 40 else min(4, len(curves))
    handles, labels = grid[0, 0].get_legend_handles_labels()
    names = {curve.runs[0].name for curve in curves}
    title = names.pop() if len(names) == 1 < len(curves) else None
    figure.tight_layout()
    figure.legend(
        handles, labels, title=title, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, frameon=False
    )
    save(figure, output)


def save(figure: plt.Figure, output: Path) -> None:
    """Write a picture and close it; raises `UserError` when that cannot be done."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(output, dpi=150, bbox_inches="tight")
    except (OSError, ValueError) as error:
        raise UserError(f"-o {output}: cannot write the picture: {getattr(error, 'strerror', None) or error}") from None
    finally:
        plt.close(figure)
