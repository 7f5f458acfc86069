"""Bias and noise of stochastic composite gradients, and of MAML, from first principles; derived in docs/theory.md.

f_i(x) = F_i(G_i(x)) with G_i(x) = E G_i(x; xi). A node takes the means Gs and Js of S samples of G_i and of its
Jacobian J_i, of the same draws or not, and sends Js^T grad F_i(Gs). Constants bound those of every node, wherever the
run goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from pmom_mpi.theory.bias import Affine


@dataclass(frozen=True)
class Composite:
    """The constants of outer and inner maps.

    Attributes
    ----------
    smoothness : float
        L_F: grad F is Lipschitz with it.
    inner_slope : float
        l_G: the 2-norm of J is at most this.
    inner_deviation, jacobian_deviation : float
        s_G and s_J: E|G(x; xi) - G(x)|^2 <= s_G^2, and the same of the Jacobian in the operator's norm.
    hessian_smoothness : float or None
        H_F: the Hessian of F is Lipschitz with it (0: F is quadratic); None where it is not.
    slope : float
        l_F: |grad F| is at most this; only the noise needs it.

    Examples
    --------
    >>> inner = Composite(smoothness=1.0, inner_slope=1.0, inner_deviation=0.5, jacobian_deviation=0.2,
    ...                   hessian_smoothness=0.0)
    >>> inner.bias(samples=10).C / inner.bias(samples=20).C
    4.0
    """

    smoothness: float
    inner_slope: float
    inner_deviation: float
    jacobian_deviation: float
    hessian_smoothness: float | None = None
    slope: float = float("inf")

    def bias(self, samples: int) -> Affine:
        """B and C of the squared mean bias: C falls like 1/S^2, or like 1/S where the Hessian of F may jump."""
        s_g, s_j = self.inner_deviation / sqrt(samples), self.jacobian_deviation / sqrt(samples)
        bent = self.smoothness * s_g
        if self.hessian_smoothness is not None:
            bent = min(bent, self.hessian_smoothness * s_g**2 / 2)
        return Affine(0.0, (self.smoothness * s_g * s_j + self.inner_slope * bent) ** 2)

    def noise(self, samples: int, nodes: int) -> float:
        """sigma^2 of the average of n nodes with independent draws: it falls like 1/(n S)."""
        each = self.slope * self.jacobian_deviation if self.jacobian_deviation else 0.0
        return (each + self.inner_slope * self.smoothness * self.inner_deviation) ** 2 / samples / nodes


def maml(
    step: float, smoothness: float, gradient_deviation: float, hessian_deviation: float,
    hessian_smoothness: float | None = None, slope: float = float("inf"),
) -> Composite:  # fmt: skip
    """One inner step of length ``step`` on S samples: f_i(x) = l_i(x - a grad l_i(x)), G(x; xi) = x - a grad l(x; xi).

    Parameters
    ----------
    step : float
        a.
    smoothness, hessian_smoothness, slope : float
        Of every l_i: Lipschitz constants of its gradient and of its Hessian, and its largest slope.
    gradient_deviation, hessian_deviation : float
        Roots of the variances of one sample's gradient and Hessian (in the operator's norm).

    Examples
    --------
    >>> maml(0.1, smoothness=2.0, gradient_deviation=1.0, hessian_deviation=1.0, hessian_smoothness=0.5).inner_slope
    1.2
    """
    return Composite(
        smoothness,
        1 + step * smoothness,
        step * gradient_deviation,
        step * hessian_deviation,
        hessian_smoothness,
        slope,
    )
