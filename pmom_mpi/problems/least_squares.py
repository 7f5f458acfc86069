"""Least squares, and with l2 > 0 ridge regression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pmom_mpi.kernels.regression import SQUARED
from pmom_mpi.problems.linear import MAX_SPECTRUM, Constants, Convex, Labels, Period, Weight
from pmom_mpi.problems.rows import Finite, Loss
from pmom_mpi.problems.synthetic import Made
from pmom_mpi.words.errors import UserError

REFINEMENTS = 3
"""Steps of iterative refinement after the normal equations."""


@dataclass
class LeastSquares(Convex):
    """f_i(x) = 1/(2 m_i) sum_j (a_ij^T x - y_ij)^2 + l2/2 |x|^2.

    f satisfies the PL inequality also where its Hessian is singular and it is not strongly convex: mu is the smallest
    eigenvalue that is not zero.
    Its keys are those of `LinearModel` and `Convex`.
    """

    l2: Weight = 0.0
    positive: Labels | None = None
    synthetic: Made | None = None
    constants: bool = True
    measure_every: Period = 1

    @property
    def loss(self) -> Loss:
        return Loss(SQUARED)

    @property
    def solvable_without_l2(self) -> bool:
        return self.layout.dimension <= MAX_SPECTRUM

    def examine(self, f: Finite) -> Constants:
        if f.dimension > MAX_SPECTRUM:
            return super().examine(f)
        values, vectors = np.linalg.eigh(f.gram_matrix())
        if values[-1] <= 0 and self.l2 == 0:
            raise UserError("data: all inputs are zero, so f does not depend on x")
        # Rounding the samples to the run's type turns zeros into about its epsilon squared.
        epsilon = np.finfo(self.context.dtype).eps
        zero = values <= values[-1] * f.dimension * max(np.finfo(np.float64).eps, float(epsilon) ** 2)
        values = np.where(zero, 0.0, values) + self.l2
        inverse = np.divide(1.0, values, out=np.zeros_like(values), where=values > 0)
        x = np.zeros(f.dimension)
        for _ in range(1 + REFINEMENTS):
            x -= vectors @ (inverse * (vectors.T @ f.value_and_gradient(x)[1]))
        minimum = f.value_and_gradient(x)[0]
        return Constants(float(values[-1]), float(values[values > 0][0]), minimum, x)
