"""What is known of a diagnosed run: plain numbers, and what follows from them alone. Names: docs/theory.md."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
    lanczos: float | None = None
    """The largest curvature at points of the run, as Lanczos' method finds it: L is not less."""

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

    def flatness(self) -> np.ndarray | None:
        """|grad f|^2 / (2 (f - f*)) of each diagnosis, infinite where rounding hides f - f*; None where that is all."""
        if self.minimum is None:
            return None
        gaps = self.value - self.minimum
        sure = gaps > 100 * self.rounding * np.abs(self.value)
        return np.where(sure, self.gradient / (2 * np.where(sure, gaps, 1)), np.inf) if sure.any() else None

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
