"""B and C of |eta^k|^2 <= B |grad f(x^k)|^2 + C: what is known of each source of bias, and what a run has measured.

Squares are of 2-norms. ``zeta2`` bounds the heterogeneity (1/n) sum_i |grad f_i(x) - grad f(x)|^2. Derived in
docs/theory.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np

CLIP_EPSILON = 1e-6
"""What `clip_norm` adds to the norm it divides by."""


class Affine(NamedTuple):
    """The two constants of an affine bound of the squared bias."""

    B: float
    C: float


def contractive(alpha: float, zeta2: float, sigma2: float = 0.0, nodes: int = 1) -> Affine:
    """A compressor with E|Q(g) - g|^2 <= (1 - alpha)|g|^2 on every node: Top-K has alpha = K/d.

    Parameters
    ----------
    alpha, zeta2 : float
    sigma2 : float
        Variance of a node's minibatch gradient; 0 for full local gradients.
    nodes : int
        n, whose minibatches are independent and unbiased given x^k: drawn with ``order: replacement``. What is left of
        a reshuffled epoch is not.

    Examples
    --------
    >>> contractive(0.25, zeta2=2.0)
    Affine(B=0.75, C=1.5)
    """
    if sigma2 == 0:
        return Affine(1 - alpha, (1 - alpha) * zeta2)
    s = sqrt(1 - alpha)
    return Affine(s, s * (zeta2 + sigma2) + sigma2 / (nodes * (1 - s)))


def unbiased(omega: float, zeta2: float, nodes: int) -> Affine:
    """A compressor with E Q(g) = g, E|Q(g) - g|^2 <= omega |g|^2, independent on n nodes, of full local gradients.

    True for every omega; the bounds need B = omega / n < 1. (`pmom_mpi.theory.noise` has bounds without that need.)
    """
    return Affine(omega / nodes, omega * zeta2 / nodes)


def clipped(tau: float, largest: float | Sequence[float]) -> Affine:
    """Gradients clipped to norm tau by ``clip_norm``, g min(1, tau / (|g| + 1e-6)).

    Parameters
    ----------
    tau : float
    largest : float or sequence of float
        No node's gradient is longer; with ``scope: layer``, for every tensor its own.

    Examples
    --------
    >>> clipped(1.0, largest=3.0)
    Affine(B=0.0, C=4.00000133...)
    """
    return Affine(0.0, sum(_clipped_off(tau, length) ** 2 for length in _each(largest)))


def _clipped_off(tau: float, length: float) -> float:
    return length * max(length + CLIP_EPSILON - tau, 0.0) / (length + CLIP_EPSILON)


def normalized(largest: float | Sequence[float]) -> Affine:
    """Gradients scaled to norm 1 by ``normalize``.

    Parameters
    ----------
    largest : float or sequence of float
        No node's gradient is longer; for every tensor its own with ``scope: tensor``, the default, where every tensor
        is scaled to norm 1. A single number is meant for ``scope: global`` and for models of one tensor.

    Examples
    --------
    >>> normalized([3.0, 0.5])
    Affine(B=0.0, C=5.0)
    """
    return Affine(0.0, sum(max(length - 1, 1.0) ** 2 for length in _each(largest)))


def reshuffled(variance: float, batches: int) -> float:
    """Mean over an epoch of E|b|^2, b the mean of a reshuffled batch's error given the epoch's earlier batches.

    Parameters
    ----------
    variance : float
        (1/T) sum |g_s - grad f|^2 over the epoch's T batches, at one x.
    batches : int
        T, at least 2.

    Examples
    --------
    >>> reshuffled(1.0, batches=2)
    0.5
    """
    T = batches
    return variance * sum(t / ((T - t) * (T - 1)) for t in range(T)) / T


def cut_horizon(
    discount: float, largest_reward: float, largest_score: float, horizon: int, independent: bool = False
) -> Affine:
    """Of the mean bias of a policy gradient whose episodes end after ``horizon`` steps.

    Parameters
    ----------
    discount : float
        Below 1.
    largest_reward, largest_score : float
        No |reward| and no |grad log pi| is larger.
    independent : bool
        Whether steps are alike and none depends on earlier ones (a bandit), so that the tail is a part of the whole.

    Examples
    --------
    >>> cut_horizon(0.5, 1.0, 1.0, horizon=0)
    Affine(B=0.0, C=16.0)
    """
    if independent:
        return Affine(discount ** (2 * horizon), 0.0)
    left = 1 - discount
    tail = discount**horizon * ((horizon + 1) / left + discount / left**2)
    return Affine(0.0, (largest_reward * largest_score * tail) ** 2)


def _each(largest: float | Sequence[float]) -> Sequence[float]:
    return largest if isinstance(largest, Sequence | np.ndarray) else [largest]


def envelope(gradients: np.ndarray, biases: np.ndarray, largest_B: float = 0.99) -> Affine:
    """The affine bound that holds at every measured point and is smallest on their average.

    Among all 0 <= B <= largest_B and C >= 0 with bias <= B gradient + C at every point, the pair with the least
    B mean(gradient) + C. The bounds need B < 1; ``largest_B`` may be infinite, to see whether that is so.

    Parameters
    ----------
    gradients, biases : ndarray, shape (K,)
        |grad f(x^k)|^2 and |eta^k|^2.

    Examples
    --------
    >>> envelope(np.array([0.0, 2.0, 4.0]), np.array([1.0, 1.0, 3.0]))
    Affine(B=0.5, C=1.0)
    """
    u, w = _upper_hull(np.asarray(gradients, float), np.asarray(biases, float))
    # The least C for a B is piecewise linear and convex in B: an optimum is a corner, where the hull's edge turns or C
    # becomes 0, or an end of the interval.
    to_origin = w[u > 0] / u[u > 0]
    ends = [0.0, largest_B] if np.isfinite(largest_B) else [0.0]
    corners = np.concatenate([ends, np.diff(w) / np.diff(u), to_origin])
    B = np.unique(np.clip(corners, 0, largest_B))
    C = np.maximum((w[:, None] - B * u[:, None]).max(axis=0), 0)
    best = np.argmin(B * np.mean(gradients) + C)
    return Affine(float(B[best]), float(C[best]))


def _upper_hull(u: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners of the least concave function above the points, by u (Andrew's monotone chain)."""
    hull: list[tuple[float, float]] = []
    for point in sorted(zip(u.tolist(), w.tolist(), strict=True)):
        while hull and hull[-1][0] == point[0]:
            hull.pop()
        while len(hull) > 1 and _turns_left(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    return np.array([point[0] for point in hull]), np.array([point[1] for point in hull])


def _turns_left(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0])
