"""What else could be chosen, by the bounds of docs/theory.md and what was measured: beta, and an operator."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from pmom_mpi.measure import catalogue, constants
from pmom_mpi.measure.bias import Probe
from pmom_mpi.runtime.setting import Setting
from pmom_mpi.theory import noise, nonconvex
from pmom_mpi.theory.bias import Affine
from pmom_mpi.words import registry
from pmom_mpi.words.errors import UserError

BETAS = (1.0, 0.5, 0.3, 0.1, 0.03, 0.01)
HALF = 0.5
"""Every choice is looked at with this part of its largest step size with a bound."""
DRAWS = 8
"""Of a random operator, for each node."""
OPERATORS: tuple[dict[str, Any], ...] = (
    {"kind": "none"}, {"kind": "natural"}, {"kind": "qsgd"}, {"kind": "top_k", "fraction": 0.1}, {"kind": "terngrad"},
    {"kind": "scaled_sign"}, {"kind": "rand_k", "fraction": 0.1, "scale": "unbiased"},
    {"kind": "top_k", "fraction": 0.01},
)  # fmt: skip


@dataclass(frozen=True)
class Momentum:
    """A beta: its step size, the floors of |grad f|^2 and, where mu is known, of f - f*, and the bound in so long.

    ``sgd`` is the floor of |grad f|^2 with beta 1 and the same step size.
    """

    beta: float
    step_size: float
    floor: float
    gap: float | None
    bound: float
    sgd: float


@dataclass(frozen=True)
class Operator:
    """An operator: bits a coordinate; the largest |Q(g_i) - g_i|^2 / |g_i|^2 of a node; the predicted floor."""

    label: str
    bits: float
    error: float
    floor: float


def momenta(
    bias: Affine, sigma2: float, L: float, mu: float | None, *, gap: float, iterations: int, M: float = 0.0
) -> list[Momentum]:
    """Every beta with half of its largest step size, less where M asks for it, by "Bias and noise apart".

    Parameters
    ----------
    bias : Affine
        Of the mean bias.
    sigma2, M : float
        Of the noise.
    L : float
    mu : float, optional
    gap : float
        f(x^0) - f*, for the bound of the mean of |grad f|^2 over ``iterations``.
    """
    found = []
    for beta in BETAS:
        step_size = HALF * nonconvex.largest_step_size(L, beta, bias.B)
        if M > 0:  # noise of M gamma L |grad f|^2, or a little more, comes off 1 - B
            step_size = min(step_size, HALF * (1 - bias.B) / (M * L))
        method = {"smoothness": L, "step_size": step_size, "sigma2": sigma2, "M": M, **bias._asdict()}
        sgd, floor = noise.residual(**method, beta=1.0), noise.residual(**method, beta=beta)
        method["beta"] = beta
        left = None
        if mu is not None:
            with suppress(UserError):
                left = float(noise.pl_bound(10**12, gap=gap, first_bias=0.0, pl=mu, **method))
        bound = float(noise.bound(iterations, gap=gap, first_bias=bias.C, **method))
        found.append(Momentum(beta, step_size, floor, left, bound, sgd))
    return found


def admissible(bias: Affine, sigma2: float, M: float, L: float, beta: float) -> tuple[float, float]:
    """The largest step size with a bound, and what half of it leaves of |grad f|^2."""

    def floor(step_size: float) -> float:
        known = {"smoothness": L, "step_size": step_size, "beta": beta, "sigma2": sigma2, "M": M, **bias._asdict()}
        return noise.residual(**known)

    high = nonconvex.largest_step_size(L, beta, bias.B)
    low = 0.0 if floor(high) == np.inf else high
    for _ in range(20 if low < high else 0):  # relative noise asks for less: by bisection
        middle = (low + high) / 2
        low, high = (low, middle) if floor(middle) == np.inf else (middle, high)
    return low, floor(HALF * low)


def which_beta(momenta: list[Momentum], bias: float, noise: float) -> tuple[float, str]:
    """The beta with the least bound, and why.

    Parameters
    ----------
    bias, noise : float
        Means of both, of which one is told the share.
    """
    best = min(momenta, key=lambda one: one.bound)
    if not noise > 0.01 * bias:
        return 1.0, "beta: 1 by the bounds: there is no noise to average out, and a bias keeps its floor for every beta"
    share = f"noise is {noise / (noise + bias):.0%} of the error"
    if best.beta == 1:
        return 1.0, f"beta: 1 by the bounds: {share}, but in so few iterations the smaller steps of momentum cost more"
    floors = f"{best.floor:.3g}; beta = 1 {momenta[0].floor:.3g} with a step of its own, {best.sgd:.3g} with this one"
    return best.beta, f"beta: {best.beta:g} by the bounds: {share}, and its small step lets less through ({floors})"


def operators(setting: Setting, x: np.ndarray, L: float, beta: float, iteration: int) -> list[Operator]:
    """What each of `OPERATORS`, alone on every node, would leave of |grad f|^2, by its error on gradients at x.

    With half of the largest step size for its B; heterogeneity zeta^2 and the noise of batches are those at x.
    """
    problem, nodes = setting.problem, setting.config.nodes
    full = constants.full(setting, x)[1]
    exact, drawn = np.empty_like(x), np.empty_like(x)
    built = [([registry.build(registry.BIAS, "bias", dict(one))], catalogue.label([dict(one)])) for one in OPERATORS]
    probes = [Probe(stages, label, problem.layout, x.dtype, setting.config.seed) for stages, label in built]
    apart = spread = 0.0
    for node in range(nodes):
        constants.exact(setting, x, node, exact)
        problem.gradient(x, node, iteration, drawn)
        apart += float(np.sum((exact - full) ** 2)) / nodes
        spread += float(np.sum((drawn.astype(np.float64) - exact) ** 2)) / nodes**2
        for probe in probes:
            probe.take(drawn, node, DRAWS)
    return [_predicted(probe, apart, spread, L, beta, nodes) for probe in probes if probe.found.errors]


def _predicted(probe: Probe, apart: float, spread: float, L: float, beta: float, nodes: int) -> Operator:
    """|Q(g_i) - g_i|^2 <= error |g_i|^2, whose mean over nodes is |grad f|^2 + zeta^2 (and the noise of batches)."""
    found = probe.found
    error = float(np.max(found.errors))
    known: Mapping[str, float]
    if found.kind == "unbiased":
        known = {"B": 0.0, "C": 0.0, "M": error / nodes, "sigma2": error / nodes * (apart + nodes * spread) + spread}
    else:
        known = {"B": error, "C": error * (apart + nodes * spread), "M": 0.0, "sigma2": spread}
    floor = float("inf")
    with suppress(UserError):
        step_size = HALF * nonconvex.largest_step_size(L, beta, known["B"])
        far = 10**12
        floor = float(noise.bound(far, gap=0.0, first_bias=0.0, smoothness=L, step_size=step_size, beta=beta, **known))
    return Operator(found.label, float(np.mean(found.bits)), error, floor)


def which_operator(operators: list[Operator]) -> str:
    """Which would pay: those that no other beats in both bits and floor."""
    front = [
        one for one in operators
        if not any(other.bits <= one.bits and other.floor < one.floor for other in operators) and one.floor < np.inf
    ]  # fmt: skip
    if not front:
        return "operators: the bounds promise a floor for none of them"
    words = ", ".join(f"{one.label} ({one.bits:.3g} bits, {one.floor:.3g})" for one in sorted(
        front, key=lambda one: -one.bits))  # fmt: skip
    return f"operators that pay, from many bits to few, and what they leave of |grad f|^2: {words}"
