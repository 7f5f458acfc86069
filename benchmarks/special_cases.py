"""(B, C) of sources of bias from first principles beside what runs measure; prints a table of docs/theory.md.

Usage: python benchmarks/special_cases.py
"""

from __future__ import annotations

import numpy as np
from theory_figures import SQUARES, diagnosed_run

from pmom_mpi.analysis.tables import Table
from pmom_mpi.theory import bias

NODES = 10
SOURCES = {
    "Top-6 of 20": ("bias.0.k=6",),
    "clip_norm 0.2": ("bias=[{kind: clip_norm, tau: 0.2}]",),
    "normalize": ("bias=[normalize]",),
}


def main() -> None:
    rows = []
    for name, changes in SOURCES.items():
        run, found = diagnosed_run("least-squares.yaml", (*SQUARES, "iterations=300", "step_size=0.05", *changes))
        zeta2 = float(np.nanmax(run.metrics["diag_heterogeneity"]))
        largest = float(np.sqrt(found.gradient.max()) + np.sqrt(NODES * zeta2))  # no node's gradient is longer
        known = {
            "Top-6 of 20": bias.contractive(6 / 20, zeta2),
            "clip_norm 0.2": bias.clipped(0.2, largest),
            "normalize": bias.normalized(largest),
        }[name]
        promised = known.B * found.gradient + known.C
        measured = bias.envelope(found.gradient, found.bias)
        pairs = (f"{known.B:.3g}, {known.C:.3g}", f"{measured.B:.3g}, {measured.C:.3g}")
        ratios = (promised / found.bias).min(), (promised / found.bias)[-1]
        rows.append((name, *pairs, *(f"{ratio:.3g}" for ratio in ratios)))
    heads = ("source", "B, C derived", "B, C measured", "derived / measured: least", "at the end")
    print(Table("", heads, tuple(rows)).markdown())


if __name__ == "__main__":
    main()
