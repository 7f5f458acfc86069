"""The classical comparison goes by the one rule for seeds that diverged, ended early or are missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pmom_mpi.analysis import comparison, read
from pmom_mpi.runtime import experiment


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three seeds of two methods."""
    folder = tmp_path_factory.mktemp("runs")
    raw = {
        "iterations": 6, "step_size": 0.3, "momentum": {"kind": "ema", "beta": 0.5},
        "problem": {"kind": "softmax_regression"}, "data": {"name": "digits", "nodes": 4}, "evaluate": {"every": 2},
    }  # fmt: skip
    found = []
    for name, bias in (("dense", None), ("top", [{"kind": "top_k", "fraction": 0.2}])):
        for seed in range(3):
            path = folder / f"{name}-{seed}.h5"
            experiment.run(raw | {"name": name, "seed": seed, "bias": bias}, output=path)
            found.append(read.load(path))
    return found


def shortened(run, rows):
    return replace(run, metrics={name: values[:rows] for name, values in run.metrics.items()})


def spoilt(run):
    broken = dict(run.metrics, train_loss=np.full(6, 1e30), test_accuracy=np.zeros(6))
    return replace(run, status="diverged", metrics=broken)


def ends(figure):
    """The last place of every line."""
    return [line.get_xdata()[-1] for axis in figure.axes[::2] for line in axis.lines]


def test_a_short_seed_shortens_nobody_and_is_no_end(runs):
    short = [*runs[:4], shortened(runs[4], 3), runs[5]]
    whole, found = (comparison.methods(these) for these in (runs, short))
    assert ends(comparison.plot(found)) == ends(comparison.plot(whole)) == [5, 5, 6, 6]
    row = comparison.table(found, 0.5).rows[1]
    assert row[0] == "top (1 short: 3 of 6 iterations)"
    without = comparison.table(comparison.methods([*runs[:4], runs[5]]), 0.5).rows[1]
    assert row[1:] == without[1:] and without[0] == "top (seed 1 missing)"


def test_a_diverged_seed_is_said_and_left_out(runs):
    found = comparison.methods([*runs[:4], spoilt(runs[4]), runs[5]])
    row = comparison.table(found, 0.5).rows[1]
    assert row[0] == "top (1 of 3 seeds diverged)" and float(row[3].split()[0]) < 3
    figure = comparison.plot(found)
    assert max(line.get_ydata().max() for line in figure.axes[0].lines) < 3
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "dense", "top, beta 0.5 (1 of 3 seeds diverged)",
    ]  # fmt: skip


def test_a_short_seed_counts_in_the_mean_up_to_its_end(runs):
    """Of the training loss against iterations; test values where any seed has one."""
    found = comparison.methods([*runs[:3], shortened(runs[4], 3), runs[5]])
    line = comparison.plot(found).axes[0].lines[1]
    both = [comparison._running_mean(run.metrics["train_loss"]) for run in (runs[4], runs[5])]
    np.testing.assert_allclose(line.get_ydata(), [*np.mean(both, axis=0)[:3], *both[1][3:]])


def test_whole_groups_are_drawn_as_the_mean_of_their_runs(runs):
    figure = comparison.plot(comparison.methods(runs))
    for axis, name in ((figure.axes[1], "train_loss"), (figure.axes[3], "test_accuracy")):
        for line, group in zip(axis.lines, (runs[:3], runs[3:]), strict=True):
            parts = [comparison.curve(run, name) for run in group]
            np.testing.assert_allclose(line.get_xdata(), np.mean([part[1] for part in parts], axis=0))
            np.testing.assert_allclose(line.get_ydata(), np.mean([part[2] for part in parts], axis=0))
