"""What a diagnosed run says of the assumptions, and what the bounds promise for it: plain numbers in and out.

Names are those of docs/theory.md.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from pmom_mpi.theory import noise, nonconvex, pl, verdicts
from pmom_mpi.theory.bias import Affine, envelope
from pmom_mpi.theory.diagnosed import Diagnosed
from pmom_mpi.theory.verdicts import Verdict
from pmom_mpi.words.errors import UserError

ENVELOPES = 12
"""Largest values of B that are tried; the pair with the least bound is taken."""


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
    pl : float or None
        mu: the problem's, or the smallest |grad f|^2 / (2 (f - f*)) seen; None where f* is not known.
    pl_estimated : bool
        Whether it is the latter.
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
    apart_pl : ndarray or None
        As ``pl_bound``, with noise apart: of the expectation, which a single run may be above.
    """

    verdicts: list[Verdict]
    smoothness: float | None
    estimated: bool
    affine: Affine
    averages: np.ndarray
    pl: float | None = None
    pl_estimated: bool = False
    certificate: np.ndarray | None = None
    bound: np.ndarray | None = None
    pl_bound: np.ndarray | None = None
    residual: float | None = None
    apart: np.ndarray | None = None
    apart_residual: float | None = None
    apart_pl: np.ndarray | None = None


def examine(run: Diagnosed) -> Promise:
    """Hold a run against the assumptions, and evaluate every bound that can be; never raises for what does not hold."""
    averages = np.cumsum(run.gradient) / np.arange(1, len(run.gradient) + 1)
    curvatures = run.seen()
    seen = float(np.nanmax(curvatures)) if np.isfinite(curvatures).any() else None
    estimates = [each for each in (seen, run.lanczos) if each is not None]
    smoothness = run.smoothness if run.smoothness is not None else max(estimates, default=None)
    estimated = run.smoothness is None
    affine = envelope(run.gradient, run.bias)
    found = [
        verdicts.lower(run), verdicts.smooth(run, curvatures), verdicts.step(run, smoothness, estimated),
        verdicts.polyak(run), verdicts.affine(affine, run),
    ]  # fmt: skip
    ratios = run.flatness()
    lowest = None if ratios is None else float(ratios.min())
    mu = lowest if run.pl is None else run.pl
    promise = Promise(found, smoothness, estimated, affine, averages, mu, run.pl is None and mu is not None)
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
    doubt = promise.estimated or run.minimum is None
    found = [*promise.verdicts, verdicts.kept("certificate", promise.averages, certified, promise.estimated)]
    found.append(verdicts.kept("a-priori bound", promise.averages, bound, doubt))
    residual = affine.C / (1 - eps - affine.B)
    linear = None
    if promise.pl is not None and run.minimum is not None:
        known = start | {"smoothness": L, "pl": promise.pl, "step_size": gamma, "beta": beta}
        linear = _linear(after - 1, [each for _, each, _ in tried], known)
        found.append(_linear_kept(run, promise, linear))
    apart, floor = _apart(run, L, largests) or (None, None)
    if apart is not None:
        found.append(verdicts.kept("bound, noise apart", promise.averages, apart, doubt))
    return replace(
        promise, verdicts=found, affine=affine, certificate=certified, bound=bound, pl_bound=linear,
        residual=float(residual), apart=apart, apart_residual=floor, apart_pl=_apart_linear(run, promise, L, largests),
    )  # fmt: skip


def _linear_kept(run: Diagnosed, promise: Promise, linear: np.ndarray | None) -> Verdict:
    if linear is None:
        return Verdict("PL bound", "unknown", "the step size leaves no room for a rate, or B is too large")
    assert run.minimum is not None
    return verdicts.kept("PL bound", run.value - run.minimum, linear, promise.estimated or promise.pl_estimated)


def _apart(run: Diagnosed, L: float, envelopes: list[float]) -> tuple[np.ndarray, float] | None:
    """The bound with noise apart, and its residual, with the best of the envelopes."""
    known = _known_apart(run, L)
    if known is None or run.mean_bias is None:
        return None
    start, method = known
    found = []
    for largest in envelopes:
        affine = envelope(run.gradient, np.maximum(run.mean_bias, 0), largest)._asdict()
        whole = noise.bound(run.iterations + 1, **start, **affine, **method)
        found.append((float(whole[-1]), whole, noise.residual(**affine, **method)))
    return min(found, key=lambda one: one[0])[1:]


def _apart_linear(run: Diagnosed, promise: Promise, L: float, envelopes: list[float]) -> np.ndarray | None:
    """The PL bound with noise apart, with the envelope that is best at the last iteration; None where none has one."""
    known = _known_apart(run, L)
    if known is None or run.mean_bias is None or promise.pl is None or run.minimum is None:
        return None
    start, method = known
    found: list[tuple[float, Affine]] = []
    for largest in envelopes:
        affine = envelope(run.gradient, np.maximum(run.mean_bias, 0), largest)
        with suppress(UserError):
            last = noise.pl_bound(int(run.iterations[-1]), pl=promise.pl, **start, **affine._asdict(), **method)
            found.append((float(last), affine))
    if not found:
        return None
    return noise.pl_bound(run.iterations, pl=promise.pl, **start, **min(found)[1]._asdict(), **method)


def _known_apart(run: Diagnosed, L: float) -> tuple[dict[str, float], dict[str, float]] | None:
    """Where a run began, and its method, for bounds with noise apart; None where draws were not repeated."""
    if run.mean_bias is None or run.noise is None or run.step_size is None or run.beta is None:
        return None
    start = {"gap": float(run.value[0] - (0.0 if run.minimum is None else run.minimum))}
    if run.from_zero:
        start |= {"first_bias": float(run.gradient[0]), "first_noise": 0.0}
    else:
        start["first_bias"] = max(float(run.mean_bias[0]), 0.0)
    method = {"smoothness": L, "step_size": run.step_size, "beta": run.beta, "sigma2": float(run.noise.max())}
    return start, method


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
