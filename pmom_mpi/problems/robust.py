"""Regression that outliers cannot pull: Welsch's loss, which is not convex, and Huber's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from pmom_mpi.kernels.regression import HUBER, WELSCH
from pmom_mpi.problems.linear import Labels, LinearModel, Weight
from pmom_mpi.problems.rows import Loss
from pmom_mpi.problems.synthetic import Made

CODES = {"welsch": WELSCH, "huber": HUBER}


@dataclass
class RobustRegression(LinearModel):
    """f_i(x) = (1/m_i) sum_j phi(a_ij^T x - y_ij) + l2/2 |x|^2.

    welsch: phi(r) = scale^2/2 (1 - exp(-(r/scale)^2)), bounded, not convex (Dennis and Welsch, 1978).
    huber: phi(r) = r^2/2 for |r| <= scale, else scale (|r| - scale/2), convex (Huber, 1964).
    Both are r^2/2 near 0 with phi'' <= 1, so L is at most that of least squares.

    Parameters
    ----------
    penalty : {"welsch", "huber"}
        phi.
    scale : float
        Residuals much larger count as outliers.
    """

    penalty: Literal["welsch", "huber"] = "welsch"
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    l2: Weight = 0.0
    positive: Labels | None = None
    synthetic: Made | None = None
    constants: bool = True

    @property
    def loss(self) -> Loss:
        return Loss(CODES[self.penalty], self.scale)
