"""Every assumption of docs/theory.md held against a diagnosed run: held, violated (where, by how much), or unknown."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from pmom_mpi.theory import nonconvex
from pmom_mpi.theory.bias import Affine, envelope
from pmom_mpi.theory.diagnosed import Diagnosed


class Verdict(NamedTuple):
    """What became of an assumption."""

    name: str
    state: Literal["held", "violated", "unknown"]
    why: str


def lower(run: Diagnosed) -> Verdict:
    name = "A1: f is bounded from below"
    if run.minimum is None:
        return Verdict(name, "unknown", "f* is not known; 0 is taken for it, right for losses that are not negative")
    return Verdict(name, "held", f"f* = {run.minimum:.6g}, exactly")


def smooth(run: Diagnosed, curvatures: np.ndarray) -> Verdict:
    name = "A2: f is L-smooth"
    known = np.isfinite(curvatures).any()
    worst = int(np.nanargmax(curvatures)) if known else 0
    seen = f"steepest step at k = {run.iterations[worst]}: L >= {curvatures[worst]:.4g}" if known else "no steps seen"
    if run.lanczos is not None:
        seen, known = f"{seen}; by Lanczos' method at points of the run L >= {run.lanczos:.4g}; the larger", True
    if run.smoothness is None:
        return Verdict(name, "unknown", f"no L is known; {seen}, used as an estimate" if known else seen)
    if known and curvatures[worst] > run.smoothness * (1 + 1e-6):
        times = curvatures[worst] / run.smoothness
        return Verdict(name, "violated", f"L = {run.smoothness:.4g}, but {seen} ({times:.3g} times as much)")
    return Verdict(name, "held", f"L = {run.smoothness:.4g} of the problem; {seen}")


def step(run: Diagnosed, smoothness: float | None, estimated: bool) -> Verdict:
    name = "step size"
    if run.step_size is None or run.beta is None:
        return Verdict(name, "unknown", "the bounds are for ema and sgd at a constant step size, at x^k = w^k")
    if smoothness is None or smoothness <= 0:
        return Verdict(name, "unknown", "no L is known; diagnose every iteration for an estimate")
    limit = nonconvex.largest_step_size(smoothness, run.beta)
    words = f"gamma = {run.step_size:.4g}, with beta = {run.beta:g} at most {limit:.4g}"
    if run.step_size > limit:
        return Verdict(name, "violated", f"{words}: {run.step_size / limit:.3g} times too large for any bound")
    return Verdict(name, "unknown" if estimated else "held", f"{words} with the estimate of L" if estimated else words)


def polyak(run: Diagnosed) -> Verdict:
    name = "A3: |grad f|^2 >= 2 mu (f - f*)"
    if run.minimum is None:
        return Verdict(name, "unknown", "f* is not known")
    ratios = run.flatness()
    if ratios is None:
        return Verdict(name, "unknown", "f - f* is lost in rounding errors")
    worst = int(np.argmin(ratios))
    seen = f"least |grad f|^2 / (2 (f - f*)) seen: {ratios[worst]:.4g} at k = {run.iterations[worst]}"
    if run.pl is None:
        return Verdict(name, "unknown", f"no mu is known; {seen}, used as an estimate")
    violated = ratios[worst] < run.pl * (1 - 1e-2)
    return Verdict(name, "violated" if violated else "held", f"mu = {run.pl:.4g} of the problem; {seen}")


def affine(affine: Affine, run: Diagnosed) -> Verdict:
    name = "A4: |eta|^2 <= B |grad f|^2 + C"
    larger = run.bias > run.gradient
    free = envelope(run.gradient, run.bias, np.inf)
    if free.B >= 1:
        worst = int(np.argmax(run.bias / np.maximum(run.gradient, np.finfo(float).tiny)))
        return Verdict(
            name, "violated", f"B = {free.B:.4g} and C = {free.C:.4g} fit best, and B < 1 is needed: |eta|^2 is "
            f"{run.bias[worst] / run.gradient[worst]:.4g} |grad f|^2 at k = {run.iterations[worst]}; with B < 1 the "
            f"bounds can only use C = {affine.C:.4g}",
        )  # fmt: skip
    words = f"smallest envelope of {len(run.bias)} points: B = {affine.B:.4g}, C = {affine.C:.4g}"
    if larger.any():
        share = f"{larger.mean():.0%} of the points have |eta| > |grad f|"
        return Verdict(name, "held", f"{words}; {share}, first at k = {run.iterations[np.argmax(larger)]}")
    return Verdict(name, "held", words)


def kept(name: str, measured: np.ndarray, promised: np.ndarray | None, estimated: bool) -> Verdict:
    """Whether what was measured stayed below."""
    if promised is None:
        return Verdict(name, "unknown", "needs a diagnosis of every iteration (diagnostics.every: 1)")
    ratios = measured[: len(promised)] / promised
    worst = int(np.nanargmax(ratios))
    words = f"measured / promised: last {ratios[-1]:.3g}, largest {ratios[worst]:.3g} at point {worst + 1}"
    if ratios[worst] > 1 + 1e-6:
        return Verdict(name, "violated", f"{words}: an assumption is wrong" + (" (L is an estimate)" * estimated))
    guess = "; no promise: L, mu or f* is a guess" * estimated
    return Verdict(name, "unknown" if estimated else "held", words + guess)
