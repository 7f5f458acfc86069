"""Samples made to order for linear models: condition number, rank, heterogeneity, noise, outliers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field

from pmom_mpi.problems.base import Context
from pmom_mpi.words.registry import construct
from pmom_mpi.words.streams import Stream, generator

Count = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
OUTLIER = 10.0
"""How far an outlier's target is shifted."""


@dataclass(frozen=True)
class Synthetic:
    """Node i holds m_i rows a_ij and predictions a_ij^T x_i + noise, |x_true| = 1, x_i = x_true + what is its own.

    (1/m_i) sum_j a_ij a_ij^T has the same eigenvectors at every node and the eigenvalues 1 to 1/condition, in geometric
    progression, and 0 where rank < dimension.

    Parameters
    ----------
    dimension : int
        d.
    samples : int or pair of int
        Of every node; or of the first and the last, with evenly spaced sizes between.
    condition : float
        The largest eigenvalue over the smallest that is not zero.
    rank : int, optional
        How many eigenvalues are not zero; all, unless given.
    heterogeneity : float
        Length of x_i - x_true on average.
    noise : float
        Standard deviation of a target around its prediction.
    outliers : float
        The share of targets that are shifted by +-10.
    """

    dimension: Count = 50
    samples: Count | tuple[Count, Count] = 200
    condition: Annotated[float, Field(ge=1)] = 10.0
    rank: Count | None = None
    heterogeneity: NonNegative = 0.5
    noise: NonNegative = 0.1
    outliers: Annotated[float, Field(ge=0, le=1)] = 0.0

    def __post_init__(self) -> None:
        if self.rank is not None and self.rank > self.dimension:
            raise ValueError(f"rank may be at most the dimension, {self.dimension}")
        if min(np.atleast_1d(self.samples)) < self._rank:
            raise ValueError(f"samples must be at least the rank, {self._rank}")

    @property
    def _rank(self) -> int:
        return self.dimension if self.rank is None else self.rank

    def sizes(self, nodes: int) -> list[int]:
        """m_i of every node."""
        first, last = self.samples if isinstance(self.samples, tuple) else (self.samples, self.samples)
        return [int(size) for size in np.rint(np.linspace(first, last, nodes))]

    def truth(self, context: Context) -> tuple[np.ndarray, np.ndarray]:
        """The eigenvectors, shape (d, rank), and x_true in their span, |x_true| = 1."""
        random = generator(context.seed, Stream.DATA)
        axes = np.linalg.qr(random.standard_normal((self.dimension, self._rank)))[0]
        inside = random.standard_normal(self._rank)
        return axes, axes @ (inside / np.linalg.norm(inside))

    def node(self, context: Context, node: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Inputs (m_i, d), predictions a^T x_i and what is added to them, both (m_i,); float64."""
        samples = self.sizes(context.nodes)[node]
        axes, truth = self.truth(context)
        random = generator(context.seed, Stream.DATA, node + 1)
        frame = np.linalg.qr(random.standard_normal((samples, self._rank)))[0]
        singular = self.condition ** (-0.5 * np.linspace(0, 1, self._rank))
        inputs = np.sqrt(samples) * (frame * singular) @ axes.T
        own = truth + self.heterogeneity / np.sqrt(self.dimension) * random.standard_normal(self.dimension)
        noise = self.noise * random.standard_normal(samples)
        shifted = random.random(samples) < self.outliers
        return inputs, inputs @ own, noise + OUTLIER * shifted * random.choice([-1.0, 1.0], samples)


def _make(raw: Any) -> Any:
    return construct(Synthetic, "problem.synthetic", raw) if isinstance(raw, dict) else raw


Made = Annotated[Synthetic, BeforeValidator(_make)]
"""A config section that becomes a `Synthetic`; a key it does not know is an error."""
