"""Logistic regression: two classes, with an l2 penalty or one that is bounded and not convex."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pmom_mpi.data.dataset import DataSet, shown
from pmom_mpi.kernels.regression import LOGISTIC, add_bounded_penalty
from pmom_mpi.problems.linear import Constants, Convex, Labels, LinearModel, Period, Weight
from pmom_mpi.problems.rows import Finite, Loss
from pmom_mpi.problems.synthetic import Made
from pmom_mpi.words.errors import UserError

CURVATURE = 0.25
"""The largest second derivative of log(1 + e^-t)."""


class TwoClasses(LinearModel):
    """phi(z, y) = log(1 + exp(-y z)), y = +-1."""

    accurate = True
    curvature: ClassVar[float] = CURVATURE

    @property
    def loss(self) -> Loss:
        return Loss(LOGISTIC)

    def check_targets(self, data: DataSet) -> None:
        """Two classes, or ``positive`` says which of them are +1."""
        data.check_labels()
        if self.positive is None and data.classes != 2:
            found = data.what_targets_are()
            if data.labels is not None and len(data.labels) > 2:
                found = f"the data has {data.classes} classes, {shown(data.labels)}"
            raise UserError(f"problem.positive: list the labels that are +1, the others being -1; {found}")
        super().check_targets(data)

    def targets(self, loaded: np.ndarray, data: DataSet) -> np.ndarray:
        """y = +1 for the labels in ``positive``, of two classes for the larger label."""
        return super().targets(loaded, data) if self.positive is not None else np.where(loaded == 1, 1, -1)

    def synthetic_targets(self, predictions: np.ndarray, noise: np.ndarray) -> np.ndarray:
        return np.where(predictions + noise > 0, 1.0, -1.0)


@dataclass
class Logistic(TwoClasses, Convex):
    """f_i(x) = (1/m_i) sum_j log(1 + exp(-y_ij a_ij^T x)) + l2/2 |x|^2, y = +-1.

    mu = l2, and L = lambda_max / 4 + l2 with the largest eigenvalue of the mean over nodes of (1/m_i) sum_j a a^T.
    With l2 = 0 neither mu nor f* exist in general (separable classes have no minimiser).

    Parameters
    ----------
    positive : list of int, optional
        The labels, as in the file, that are +1; the others are -1. May be left out for two: the larger one is +1.
    synthetic : Synthetic, optional
        Samples that are made, in place of a data section; their y are signs.
    """

    l2: Weight = 0.01
    positive: Labels | None = None
    synthetic: Made | None = None
    constants: bool = True
    measure_every: Period = 1


@dataclass
class NonconvexLogistic(TwoClasses):
    """f_i(x) = (1/m_i) sum_j log(1 + exp(-y_ij a_ij^T x)) + penalty sum_j x_j^2 / (1 + x_j^2).

    The penalty's second derivative lies in [-penalty/2, 2 penalty]: L <= lambda_max / 4 + 2 penalty, and f need not be
    convex. f >= 0.

    Parameters
    ----------
    penalty : float
        The weight of the penalty.
    positive : list of int, optional
        The classes that are +1; the others are -1. May be left out for two classes: class 1 is.
    synthetic : Synthetic, optional
        Samples that are made, in place of a data section; their y are signs.
    """

    penalty: Weight = 0.1
    positive: Labels | None = None
    synthetic: Made | None = None
    constants: bool = True
    l2 = 0.0  # not a field, so not a config key

    def add_penalty(self, x: np.ndarray, out: np.ndarray) -> float:
        return self.penalty * add_bounded_penalty(x, self.penalty, out)

    def examine(self, f: Finite) -> Constants:
        return Constants(smoothness=CURVATURE * float(self.spectrum(f)[-1]) + 2 * self.penalty)
