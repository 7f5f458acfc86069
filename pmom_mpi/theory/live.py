"""What a diagnosed run says of the assumptions, and what the bounds promise for it: plain numbers in and out.

Names are those of docs/theory.md.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from pmom_mpi.theory import noise, nonconvex, pl
from pmom_mpi.theory.bias import Affine, envelope
from pmom_mpi.words.errors import UserError

ENVELOPES = 12
"""Largest values of B that are tried; the pair with the least bound is taken."""


class Verdict(NamedTuple):
    """What became of an assumption."""

    name: str
    state: Literal["held", "violated", "unknown"]
    why: str


@dataclass(frozen=True)
class Diagnosed:
    """What is known of a run.

    Attributes
    ----------
    iterations : ndarray of int, shape (m,)
        The diagnosed ones, ascending.
    value, gradient, bias, error, momentum : ndarray, shape (m,)
        f, |grad f|^2, |eta|^2, |e|^2, |v|^2 there.
    step_size, beta : float or None
        None where they are not constant, or the method is another.
    from_zero : bool
        Whether the momentum starts from zero.
    smoothness, pl, minimum : float or None
        L, mu and f* as the problem knows them.
    rounding : float
        The relative error of the numbers.
    mean_bias, noise : ndarray or None, shape (m,)
        |E eta|^2 and E|eta - E eta|^2, where draws were repeated.
    """

    iterations: np.ndarray
    value: np.ndarray
    gradient: np.ndarray
    bias: np.ndarray
    error: np.ndarray
    momentum: np.ndarray
    step_size: float | None
    beta: float | None
    from_zero: bool
    smoothness: float | None
    pl: float | None
    minimum: float | None
    rounding: float
    mean_bias: np.ndarray | None = None
    noise: np.ndarray | None = None
    secants: np.ndarray | None = None
    """Of each diagnosis, |change of grad f| / |change of x| since the one before; NaN where there is none."""

    @property
    def complete(self) -> bool:
        """Whether every iteration from the first on was diagnosed."""
        return bool(np.array_equal(self.iterations, np.arange(len(self.iterations))))

    def curvatures(self) -> np.ndarray:
        """Of each diagnosed step from x^k to the next, the least L that agrees with what was measured; else NaN.

        f(x^{k+1}) <= f(x^k) - gamma <grad f, v> + (L gamma^2 / 2) |v|^2, and |grad f| changes by L gamma |v| at most.
        """
        found = np.full(len(self.iterations), np.nan)
        if self.step_size is None or len(found) < 2:
            return found
        gamma, f, g, v = self.step_size, self.value, self.gradient, self.momentum
        along = gamma * (g + v - self.error)[:-1] / 2
        sure = self.rounding * (np.abs(f[1:]) + np.abs(f[:-1]) + gamma * (g + v)[:-1])
        with np.errstate(divide="ignore", invalid="ignore"):
            descent = 2 * (np.diff(f) + along - sure) / (gamma**2 * v[:-1])
            secant = (np.abs(np.diff(np.sqrt(g))) - self.rounding * np.sqrt(g[:-1])) / (gamma * np.sqrt(v[:-1]))
        found[:-1] = np.where(np.diff(self.iterations) == 1, np.maximum(descent, secant), np.nan)
        return found

    def seen(self) -> np.ndarray:
        """`curvatures`, and by the secants, which stand with their later end, of any two neighbouring diagnoses."""
        found = self.curvatures()
        if self.secants is not None:
            sure = np.ones(len(found))
            if self.step_size is not None and len(found) > 1:
                apart = self.step_size * np.sqrt(self.momentum[:-1])
                with np.errstate(divide="ignore", invalid="ignore"):
                    sure[1:] -= self.rounding * np.sqrt(self.gradient[1:]) / (apart * self.secants[1:])
            found = np.fmax(found, self.secants * np.where(np.isfinite(sure), np.maximum(sure, 0), 0))
        return found


@dataclass(frozen=True)
class Promise:
    """Bounds beside what happened.

    Attributes
    ----------
    verdicts : list of Verdict
    smoothness : float or None
        The L that was used.
    estimated : bool
        Whether it is an estimate from the trajectory: then nothing is promised.
    affine : Affine
        The smallest affine envelope of the biases.
    averages : ndarray, shape (m,)
        Running mean of |grad f|^2 over the diagnosed iterations.
    certificate, bound, pl_bound : ndarray or None
        By iteration; the certificate has one value less.
    residual : float or None
        What ``bound`` tends to.
    apart, apart_residual : ndarray and float, or None
        The same with noise apart, where draws were repeated: of expectations, with sigma^2 the largest noise seen.
    """

    verdicts: list[Verdict]
    smoothness: float | None
    estimated: bool
    affine: Affine
    averages: np.ndarray
    certificate: np.ndarray | None = None
    bound: np.ndarray | None = None
    pl_bound: np.ndarray | None = None
    residual: float | None = None
    apart: np.ndarray | None = None
    apart_residual: float | None = None


def examine(run: Diagnosed) -> Promise:
    """Hold a run against the assumptions, and evaluate every bound that can be; never raises for what does not hold."""
    averages = np.cumsum(run.gradient) / np.arange(1, len(run.gradient) + 1)
    curvatures = run.seen()
    seen = float(np.nanmax(curvatures)) if np.isfinite(curvatures).any() else None
    smoothness = run.smoothness if run.smoothness is not None else seen
    estimated = run.smoothness is None
    affine = envelope(run.gradient, run.bias)
    verdicts = [
        _lower(run), _smooth(run, curvatures), _step(run, smoothness, estimated), _polyak(run), _affine(affine, run),
    ]  # fmt: skip
    promise = Promise(verdicts, smoothness, estimated, affine, averages)
    if smoothness is None or smoothness <= 0 or run.step_size is None or run.beta is None:
        return promise
    try:
        eps = nonconvex.admissible_eps(smoothness * run.step_size, run.beta)
    except UserError:
        return promise
    return _bounds(run, promise, smoothness, eps)


def _bounds(run: Diagnosed, promise: Promise, L: float, eps: float) -> Promise:
    assert run.step_size is not None and run.beta is not None
    gamma, beta = run.step_size, run.beta
    minimum = 0.0 if run.minimum is None else run.minimum
    first = run.gradient[0] if run.from_zero else run.bias[0]
    start = {"gap": run.value[0] - minimum, "first_bias": first}
    after = run.iterations + 1
    tried = []
    largests = np.linspace(0, 0.999 * (1 - eps), ENVELOPES).tolist()
    for largest in largests:
        affine = envelope(run.gradient, run.bias, largest)
        whole = nonconvex.bound(after, **start, **affine._asdict(), smoothness=L, step_size=gamma, beta=beta)
        tried.append((whole[-1], affine, whole))
    _, affine, bound = min(tried, key=lambda one: one[0])
    certified = None
    if run.complete and len(run.value) > 1:
        zero = run.gradient[0] if run.from_zero else None
        certified = nonconvex.certificate(
            run.value, run.bias[:-1], smoothness=L, step_size=gamma, beta=beta, first_gradient=zero
        )
    verdicts = [*promise.verdicts, _kept("certificate", promise.averages, certified, promise.estimated)]
    verdicts.append(_kept("a-priori bound", promise.averages, bound, promise.estimated or run.minimum is None))
    residual = affine.C / (1 - eps - affine.B)
    linear = None
    if run.pl is not None and run.minimum is not None:
        known = start | {"smoothness": L, "pl": run.pl, "step_size": gamma, "beta": beta}
        linear = _linear(after - 1, [each for _, each, _ in tried], known)
        if linear is None:
            verdicts.append(
                Verdict("PL bound", "unknown", "the step size leaves no room for a rate, or B is too large")
            )
        else:
            verdicts.append(_kept("PL bound", run.value - run.minimum, linear, promise.estimated))
    apart, floor = _apart(run, L, largests) or (None, None)
    if apart is not None:
        verdicts.append(_kept("bound, noise apart", promise.averages, apart, promise.estimated or run.minimum is None))
    return Promise(
        verdicts,
        L,
        promise.estimated,
        affine,
        promise.averages,
        certified,
        bound,
        linear,
        float(residual),
        apart,
        floor,
    )


def _apart(run: Diagnosed, L: float, envelopes: list[float]) -> tuple[np.ndarray, float] | None:
    """The bound with noise apart, and its residual, with the best of the envelopes."""
    if run.mean_bias is None or run.noise is None or run.step_size is None or run.beta is None:
        return None
    biases = np.maximum(run.mean_bias, 0)
    first = {"first_bias": run.gradient[0], "first_noise": 0.0} if run.from_zero else {"first_bias": biases[0]}
    method = {"smoothness": L, "step_size": run.step_size, "beta": run.beta, "sigma2": float(run.noise.max())}
    gap = run.value[0] - (0.0 if run.minimum is None else run.minimum)
    found = []
    for largest in envelopes:
        affine = envelope(run.gradient, biases, largest)._asdict()
        whole = noise.bound(run.iterations + 1, gap=gap, **first, **affine, **method)
        found.append((float(whole[-1]), whole, noise.residual(**affine, **method)))
    return min(found, key=lambda one: one[0])[1:]


def _linear(iterations: np.ndarray, envelopes: list[Affine], known: dict[str, float]) -> np.ndarray | None:
    """The PL bound with the envelope that is best at the last iteration; None where none has a bound."""
    found: list[tuple[float, Affine]] = []
    for affine in envelopes:
        with suppress(UserError):
            found.append((float(pl.bound(int(iterations[-1]), **affine._asdict(), **known)), affine))
    if not found:
        return None
    best = min(found)[1]
    return np.concatenate([pl.bound(part, **best._asdict(), **known) for part in np.array_split(
        iterations, 1 + len(iterations) // 500)])  # fmt: skip


def _lower(run: Diagnosed) -> Verdict:
    name = "A1: f is bounded from below"
    if run.minimum is None:
        return Verdict(name, "unknown", "f* is not known; 0 is taken for it, right for losses that are not negative")
    return Verdict(name, "held", f"f* = {run.minimum:.6g}, exactly")


def _smooth(run: Diagnosed, curvatures: np.ndarray) -> Verdict:
    name = "A2: f is L-smooth"
    known = np.isfinite(curvatures).any()
    worst = int(np.nanargmax(curvatures)) if known else 0
    seen = f"steepest step at k = {run.iterations[worst]}: L >= {curvatures[worst]:.4g}" if known else "no steps seen"
    if run.smoothness is None:
        return Verdict(name, "unknown", f"no L is known; {seen}, used as an estimate" if known else seen)
    if known and curvatures[worst] > run.smoothness * (1 + 1e-6):
        times = curvatures[worst] / run.smoothness
        return Verdict(name, "violated", f"L = {run.smoothness:.4g}, but {seen} ({times:.3g} times as much)")
    return Verdict(name, "held", f"L = {run.smoothness:.4g} of the problem; {seen}")


def _step(run: Diagnosed, smoothness: float | None, estimated: bool) -> Verdict:
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


def _polyak(run: Diagnosed) -> Verdict:
    name = "A3: |grad f|^2 >= 2 mu (f - f*)"
    if run.minimum is None:
        return Verdict(name, "unknown", "f* is not known")
    gaps = run.value - run.minimum
    sure = gaps > 100 * run.rounding * np.abs(run.value)
    if not sure.any():
        return Verdict(name, "unknown", "f - f* is lost in rounding errors")
    ratios = np.where(sure, run.gradient / (2 * np.where(sure, gaps, 1)), np.inf)
    worst = int(np.argmin(ratios))
    seen = f"least |grad f|^2 / (2 (f - f*)) seen: {ratios[worst]:.4g} at k = {run.iterations[worst]}"
    if run.pl is None:
        return Verdict(name, "unknown", f"no mu is known; {seen}")
    violated = ratios[worst] < run.pl * (1 - 1e-2)
    return Verdict(name, "violated" if violated else "held", f"mu = {run.pl:.4g} of the problem; {seen}")


def _affine(affine: Affine, run: Diagnosed) -> Verdict:
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


def _kept(name: str, measured: np.ndarray, promised: np.ndarray | None, estimated: bool) -> Verdict:
    """Whether what was measured stayed below."""
    if promised is None:
        return Verdict(name, "unknown", "needs a diagnosis of every iteration (diagnostics.every: 1)")
    ratios = measured[: len(promised)] / promised
    worst = int(np.nanargmax(ratios))
    words = f"measured / promised: last {ratios[-1]:.3g}, largest {ratios[worst]:.3g} at the {worst + 1}. point"
    if ratios[worst] > 1 + 1e-6:
        return Verdict(name, "violated", f"{words}: an assumption is wrong" + (" (L is an estimate)" * estimated))
    return Verdict(name, "unknown" if estimated else "held", words + ("; no promise: L or f* is a guess" * estimated))
