"""Floors that bias leaves, beside what theory predicts: real runs, a table and a picture.

Linear decay to the residual under Top-K and clipping; composite gradients, whose floor falls like 1/S^2; the floor
against beta with noise and without.

Usage: python benchmarks/theory_figures.py [--picture FILE.png]    (minutes; with the extra pep tight floors too)
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import pmom_mpi
from pmom_mpi.analysis import bounds, read
from pmom_mpi.analysis.style import COLORS, dress, panels, save
from pmom_mpi.analysis.tables import Table
from pmom_mpi.theory import bias, lyapunov, noise, noisy, nonconvex, pl
from pmom_mpi.theory.diagnosed import Diagnosed
from pmom_mpi.theory.live import examine
from pmom_mpi.words.errors import UserError

CONFIGS = Path(__file__).parents[1] / "configs" / "problems"
SQUARES = ("dtype=float64", "diagnostics.every=1", "problem.synthetic.condition=3", "problem.synthetic.dimension=20")
BIASES = {f"Top-{k} of 20": (f"bias.0.k={k}",) for k in (2, 6, 12)} | {
    "clipped to 0.2": ("bias=[{kind: clip_norm, tau: 0.2}]",)
}


@dataclass(frozen=True)
class Row:
    """A floor of f - f*, the mean over the end of a run, and what is promised for it (NaN: not asked for)."""

    name: str
    measured: float
    bound: float
    tight: float = float("nan")


def diagnosed(config: str, changes: Sequence[str]) -> Diagnosed:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.h5"
        pmom_mpi.run(CONFIGS / config, list(changes), output=path)
        return bounds.diagnosed(read.load(path))


def gaps(run: Diagnosed) -> np.ndarray:
    assert run.minimum is not None
    return run.value - run.minimum


def floor(run: Diagnosed) -> float:
    return float(gaps(run)[-(len(run.value) // 4 or 1) :].mean())


def envelopes(run: Diagnosed) -> list[bias.Affine]:
    """Of the run's second half: what a bound tends to does not depend on where it begins."""
    half = len(run.bias) // 2
    return [bias.envelope(run.gradient[half:], run.bias[half:], largest) for largest in (0.0, 0.3, 0.6)]


def residual(run: Diagnosed) -> float:
    """The limit of the PL bound, the least over envelopes."""
    found = [float("inf")]
    for affine in envelopes(run):
        with suppress(UserError):  # no bound with so large a B
            found.append(float(pl.bound(10**9, gap=0.0, first_bias=0.0, **affine._asdict(), **method(run))))
    return min(found)


def tight_floor(run: Diagnosed) -> float:
    """The best Lyapunov function's floor, the least over envelopes; needs the extra pep."""
    return min(C * lyapunov.last_floor(**method(run), B=B) for B, C in envelopes(run))


def method(run: Diagnosed) -> dict[str, float]:
    assert run.smoothness is not None and run.pl is not None and run.step_size is not None and run.beta is not None
    return {"smoothness": run.smoothness, "pl": run.pl, "step_size": run.step_size, "beta": run.beta}


def decays(iterations: int, tight: bool) -> list[tuple[Row, Diagnosed, np.ndarray]]:
    """Top-K at three levels, and clipping: the run, and its PL bound."""
    found = []
    for name, changes in BIASES.items():
        keys = (f"iterations={iterations}", "step_size=0.1", "momentum.beta=0.5")
        run = diagnosed("least-squares.yaml", (*SQUARES, *keys, *changes))
        promised = examine(run).pl_bound
        assert promised is not None
        last = tight_floor(run) if tight else float("nan")
        found.append((Row(name, floor(run), residual(run), last), run, promised))
    return found


def composite(iterations: int, samples: Sequence[int]) -> list[Row]:
    """The step size falls to 0, so what is left is the mean bias': at most C / (2 mu), C of repeated draws."""
    rows = []
    for count in samples:
        draws = f"diagnostics={{every: {max(iterations // 100, 1)}, repeats: 60}}"
        changes = (f"iterations={iterations}", f"problem.inner_samples={count}", "problem.condition=3", "dtype=float64",
                   "step_size.value=0.3", draws)  # fmt: skip
        run = diagnosed("composite-regression.yaml", changes)
        assert run.mean_bias is not None and run.pl is not None
        end = -(len(run.value) // 10 or 1)
        rows.append(
            Row(f"S = {count}", float(gaps(run)[end:].mean()), float(run.mean_bias[end:].mean() / (2 * run.pl)))
        )
    return rows


def against_beta(iterations: int, betas: Sequence[float], batches: bool, tight: bool) -> list[Row]:
    """Top-6 of full gradients, or unbiased batches of 10; half of the largest step size with a bound.

    The bounds of noise ask for its mean over all that may happen: here over the run's second half.
    """
    rows = []
    for beta in betas:
        step = 0.5 * nonconvex.largest_step_size(1.0, beta)
        what = ("bias=none", "gradient.batch=10", "gradient.order=replacement", "diagnostics.repeats=10")
        longer = int(iterations / min(1.0, 4 * step))  # so that all forget where they began
        keys = (f"iterations={longer}", f"step_size={step}", f"momentum.beta={beta}")
        run = diagnosed("least-squares.yaml", (*SQUARES, *keys, *(what if batches else ("bias.0.k=6",))))
        name = f"beta = {beta:g}, {'batches of 10' if batches else 'Top-6'}"
        if not batches:
            rows.append(Row(name, floor(run), residual(run), tight_floor(run) if tight else float("nan")))
            continue
        assert run.noise is not None
        known = {"B": 0.0, "C": 0.0, "sigma2": float(run.noise[len(run.noise) // 2 :].mean())}
        limit = noise.pl_bound(10**9, gap=0, first_bias=0, **known, **method(run))
        least = noisy.mean_floor(**method(run), **known, convex=True) if tight else float("nan")
        rows.append(Row(name, floor(run), float(limit), least))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-tight", action="store_true")
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args()
    decayed = decays(400, not asked.no_tight)
    composed = composite(1500, (2, 4, 8, 16))
    betas = (1.0, 0.5, 0.1)
    still, shaken = (against_beta(300, betas, batches, not asked.no_tight) for batches in (False, True))
    rows = [row for row, _, _ in decayed] + composed + still + shaken
    texts = [(r.name, *map(_number, (r.measured, r.bound, r.bound / r.measured, r.tight / r.measured))) for r in rows]
    print(
        Table("", ("", "f - f* at the end", "bound", "bound / measured", "tight / measured"), tuple(texts)).markdown()
    )
    if asked.picture is None:
        return
    figure, ((decay, samples, beta),) = panels(1, 3, (16, 4.2))
    for place, (row, run, promised) in enumerate(decayed):
        decay.semilogy(run.iterations, gaps(run), color=COLORS[place], label=row.name)
        decay.semilogy(run.iterations, promised, color=COLORS[place], linestyle=":")
    decay.set(xlabel="iteration k", ylabel="f - f*", title="PL bound (dotted) and runs")
    counts = [int(row.name.split()[-1]) for row in composed]
    samples.loglog(counts, [row.measured for row in composed], "o-", color=COLORS[0], label="measured")
    samples.loglog(counts, [row.bound for row in composed], ":", color=COLORS[1], label="C / (2 mu) of the mean bias")
    samples.loglog(counts, composed[0].bound * (counts[0] / np.array(counts)) ** 2, color="0.7", label="1 / S^2")
    samples.set(xlabel="inner samples S", title="composite gradients, falling step size")
    samples.set_xticks(counts, [str(count) for count in counts])
    samples.minorticks_off()
    for place, (name, found) in enumerate((("Top-6", still), ("batches of 10", shaken))):
        beta.loglog(betas, [row.measured for row in found], "o-", color=COLORS[place], label=name)
        beta.loglog(betas, [row.bound for row in found], "o:", color=COLORS[place])
    beta.set(xlabel="beta", title="floors against beta, gamma half of the largest")
    for axis in (decay, samples, beta):
        dress(axis)
        axis.legend(frameon=False, fontsize=9)
    figure.tight_layout()
    save(figure, asked.picture)


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3g}"


if __name__ == "__main__":
    main()
