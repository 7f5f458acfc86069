"""Phase retrieval: a vector from the squares of linear measurements."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pmom_mpi.kernels.regression import QUARTIC
from pmom_mpi.problems.base import Context
from pmom_mpi.problems.linear import Constants, LinearModel
from pmom_mpi.problems.metrics import LOSS
from pmom_mpi.problems.rows import Loss
from pmom_mpi.problems.synthetic import Made, Synthetic
from pmom_mpi.words.report import Metric
from pmom_mpi.words.streams import Stream, generator


@dataclass
class PhaseRetrieval(LinearModel):
    """f_i(x) = 1/(4 m_i) sum_j ((a_ij^T x)^2 - y_ij)^2 with y_ij = (a_ij^T x_i)^2 + noise.

    Not convex: x and -x are alike, 0 is a stationary point, and f grows like |x|^4, so no L holds everywhere. The
    metric ``distance`` is min(|x - x_true|, |x + x_true|). The start has length 1 and a random direction.

    Parameters
    ----------
    synthetic : Synthetic
        Nodes agree on x_true unless ``heterogeneity`` is set; without noise, outliers and heterogeneity f* = 0.
    """

    synthetic: Made = field(default_factory=lambda: Synthetic(20, 200, condition=1.0, heterogeneity=0.0, noise=0))
    positive = None  # no fields, so no config keys
    l2 = 0.0
    constants = False

    @property
    def loss(self) -> Loss:
        return Loss(QUARTIC)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (
            LOSS,
            Metric("distance", "2-norm of x less x_true or less -x_true, the smaller", rises=False, headline=True),
        )

    def synthetic_targets(self, predictions: np.ndarray, noise: np.ndarray) -> np.ndarray:
        return predictions**2 + noise

    def setup(self, context: Context) -> None:
        super().setup(context)
        self._truth = self.synthetic.truth(context)[1]

    def initial_point(self) -> np.ndarray:
        """A random unit vector."""
        x = generator(self.context.seed, Stream.INIT).standard_normal(self.layout.dimension)
        return (x / np.linalg.norm(x)).astype(self.context.dtype)

    def further(self, x: np.ndarray, node: int, iteration: int, predictions: np.ndarray | None) -> tuple[float, ...]:
        return (min(float(np.linalg.norm(x - self._truth)), float(np.linalg.norm(x + self._truth))),)

    def solve(self) -> Constants:
        exact = self.synthetic.noise == self.synthetic.outliers == self.synthetic.heterogeneity == 0
        return Constants(minimum=0.0 if exact else None)
