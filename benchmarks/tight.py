"""Where momentum helps in the worst case: performance estimation over beta, B and step sizes; tables and a picture.

Usage: python benchmarks/tight.py [-K ITERATIONS] [--picture FILE.png]      (needs the extra pep; a minute or two)
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pmom_mpi.analysis.style import COLORS, dress, panels, save
from pmom_mpi.analysis.tables import Table
from pmom_mpi.theory import lyapunov, noisy, nonconvex, tight
from pmom_mpi.theory.tight import Setting

BETAS = (1.0, 0.9, 0.8, 0.7, 0.5, 0.3, 0.1)
BIASES = (0.0, 0.1, 0.25, 0.5)
MU = 0.1


def average(one: Setting) -> float:
    return tight.average(one).value


def last(one: Setting) -> float:
    return tight.last(one, MU, convex=True).value


def least(worst: Callable[[Setting], float], iterations: int) -> np.ndarray:
    """The worst case at the best step size, (biases, betas)."""
    return np.array([
        [tight.best_step_size(worst, Setting(1.0, 1.0, beta, B, 0.0, iterations))[0] for beta in BETAS] for B in BIASES
    ])  # fmt: skip


def largest_step(beta: float, B: float) -> float:
    """Of the steps with a bounded mean of |grad f|^2: by bisection, to 2 %."""
    low, high = 0.4 * nonconvex.largest_step_size(1.0, beta, B), 5.0
    while high > 1.02 * low:
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if lyapunov.average_floor(1.0, middle, beta, B) < 1e3 else (low, middle)
    return low


def show(title: str, rows: dict[str, np.ndarray], columns: tuple[str, ...]) -> None:
    print(f"{title}\n")
    texts = tuple((name, *(f"{value:.3g}" for value in values)) for name, values in rows.items())
    print(Table("", ("", *columns), texts).markdown() + "\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-K", "--iterations", type=int, default=5)
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args()
    heads = tuple(f"beta = {beta:g}" for beta in BETAS)
    figure, axes = panels(1, 4, (19, 4))
    worsts = {"mean of |grad f|^2, L-smooth": average, f"f - f*, mu = {MU:g}-strongly convex": last}
    for axis, (what, worst) in zip(axes[0], worsts.items(), strict=False):
        found = least(worst, asked.iterations)
        show(f"{what}, K = {asked.iterations}, at the best step size", dict(zip(names(), found, strict=True)), heads)
        for place, values in enumerate(found):
            axis.plot(BETAS, values / values[0], "o-", color=COLORS[place], label=names()[place])
        axis.set(xlabel="beta", ylabel="worst case / that of SGD", title=what, ylim=(0, 3))
    steps = {f"worst case, B = {B:g}": np.array([largest_step(beta, B) for beta in BETAS]) for B in (0.0, 0.5)}
    steps |= {
        f"our bound, B = {B:g}": np.array([nonconvex.largest_step_size(1.0, beta, B) for beta in BETAS]) for B in (0.0,)
    }
    show("largest gamma L", steps, heads)
    for place, (name, values) in enumerate(steps.items()):
        axes[0, 2].semilogy(BETAS, values, "o-", color=COLORS[place], label=name)
    axes[0, 2].set(xlabel="beta", ylabel="largest gamma L", title="steps with a bound")
    gammas = np.geomspace(0.05, 6, 200)
    for place, beta in enumerate((1.0, 0.5, 0.1)):
        floors = np.array([noisy.parabola_floor(1.0, step, beta, C=0.0, sigma2=1.0) for step in gammas])
        axes[0, 3].loglog(gammas, floors, color=COLORS[place], label=f"beta = {beta:g}")
    axes[0, 3].set(xlabel="gamma L", ylabel="f - f*", title="noise on a parabola, exactly", ylim=(1e-2, 1e2))
    for axis in axes[0]:
        dress(axis)
        axis.legend(frameon=False, fontsize=9)
    figure.tight_layout()
    if asked.picture:
        save(figure, asked.picture)


def names() -> list[str]:
    return [f"B = {B:g}" for B in BIASES]


if __name__ == "__main__":
    main()
