"""(B, C) of sources of bias from first principles beside what runs measure; prints a table of docs/theory.md.

Biases of random estimates are the mean of many repeated draws (`diagnostics.repeats`).

Usage: python benchmarks/special_cases.py    (a minute)
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from special_problems import FixedSines
from theory_figures import CONFIGS, SQUARES

import pmom_mpi
from pmom_mpi.analysis import bounds, read
from pmom_mpi.analysis.tables import Table
from pmom_mpi.runtime.setting import ready
from pmom_mpi.runtime.source import Raw
from pmom_mpi.theory import bias
from pmom_mpi.theory.diagnosed import Diagnosed

NODES = 10
SOURCES = {
    "Top-6 of 20": ("bias.0.k=6",),
    "clip_norm 0.2": ("bias=[{kind: clip_norm, tau: 0.2}]",),
    "normalize": ("bias=[normalize]",),
}
MAML: dict[str, Any] = {
    "name": "maml", "nodes": 2, "dtype": "float64", "step_size": 0.02, "momentum": {"kind": "ema", "beta": 0.3},
    "problem": {"kind": "special_problems:FixedSines", "hidden": [8], "activation": "tanh", "tasks": 4, "shots": 10,
                "estimate": "minibatch", "inner_batch": 2, "inner_step_size": 0.05},
}  # fmt: skip
CUT: dict[str, Any] = {
    "name": "cut", "nodes": 3, "dtype": "float64", "step_size": 0.05, "momentum": {"kind": "ema", "beta": 0.3},
    "problem": {"kind": "special_problems:Bandit", "horizon": 20, "discount": 0.9},
}  # fmt: skip


CUT_OFF = "horizon 20, discount 0.9"
CUT_APART = f"{CUT_OFF}, steps independent"


def row(name: str, known: bias.Affine, gradients: np.ndarray, biases: np.ndarray) -> tuple[str, ...]:
    promised, measured = known.B * gradients + known.C, bias.envelope(gradients, biases)
    assert (promised * (1 + 1e-9) >= biases).all(), name
    pairs = (f"{known.B:.3g}, {known.C:.3g}", f"{measured.B:.3g}, {measured.C:.3g}")
    ratios = (promised / biases).min(), promised[-1] / biases[-1]
    return (name, *pairs, *(f"{ratio:.3g}" for ratio in ratios))


@dataclass(frozen=True)
class Measured:
    """A run, the largest zeta^2 on it, and where it ended."""

    run: Diagnosed
    zeta2: float
    end: np.ndarray


def measured(config: Raw, changes: Sequence[str]) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.h5"
        ended = pmom_mpi.run(config, list(changes), output=path)
        assert ended.x is not None
        run = read.load(path)
        return Measured(bounds.diagnosed(run), float(np.nanmax(run.metrics["diag_heterogeneity"])), ended.x)


def plain(name: str, changes: Sequence[str]) -> tuple[str, ...]:
    """Top-K, clipping, normalising on least squares: zeta^2 and the largest gradient are those of the run."""
    seen = measured(CONFIGS / "least-squares.yaml", (*SQUARES, "iterations=300", "step_size=0.05", *changes))
    gradients = seen.run.gradient
    largest = float(np.sqrt(gradients.max()) + np.sqrt(NODES * seen.zeta2))  # no node's gradient is longer
    known = {
        "Top-6 of 20": bias.contractive(6 / 20, seen.zeta2),
        "clip_norm 0.2": bias.clipped(0.2, largest),
        "normalize": bias.normalized(largest),
    }[name]
    return row(name, known, gradients, seen.run.bias)


def maml(iterations: int = 100, every: int = 20, repeats: int = 1000) -> tuple[str, ...]:
    """The mean bias of inner minibatches; constants at both ends of the run, the larger ones."""
    draws = f"diagnostics={{every: {every}, repeats: {repeats}}}"
    seen = measured(MAML, (f"iterations={iterations}", draws))
    problem = ready(MAML | {"iterations": 1}).problem
    assert isinstance(problem, FixedSines) and seen.run.mean_bias is not None
    points, nodes = (problem.initial_point(), seen.end), range(MAML["nodes"])
    C = max(float(np.mean([problem.promised(x, node) for node in nodes])) for x in points) ** 2
    return row("MAML, S = 2", bias.Affine(0.0, C), seen.run.gradient, seen.run.mean_bias)


def cut() -> list[tuple[str, ...]]:
    """Of rewards and scores that are at most 1; and as of steps that do not depend on each other, which these are."""
    run, limits = measured(CUT, ("iterations=300", "diagnostics.every=1")).run, (0.9, 1.0, 1.0, 20)
    rows = [(name, bias.cut_horizon(*limits, independent=name == CUT_APART)) for name in (CUT_OFF, CUT_APART)]
    return [row(name, known, run.gradient, run.bias) for name, known in rows]


def main() -> None:
    rows = [plain(name, changes) for name, changes in SOURCES.items()] + [maml(), *cut()]
    heads = ("source", "B, C derived", "B, C measured", "derived / measured: least", "at the end")
    print(Table("", heads, tuple(rows)).markdown())


if __name__ == "__main__":
    main()
