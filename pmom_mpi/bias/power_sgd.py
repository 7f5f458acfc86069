"""PowerSGD: matrices as products of thin factors, from one warm-started step of the power method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from pmom_mpi.bias.base import Step
from pmom_mpi.wire.message import Everything, Message
from pmom_mpi.wire.values.low_rank import LowRank
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.streams import Stream, generator

DEPENDENT = 1e-6
"""A column of which orthogonalisation leaves less than this part is rounding noise, and becomes zero."""


@dataclass(frozen=True)
class PowerSGD:
    """For every matrix M of the gradient: P = orthonormal(M Q), Q = M^T P, and P Q^T is sent for M.

    Q is kept for the node's next iteration, so that P approaches the leading left singular vectors of a slowly changing
    M. P P^T is a projection: |Q(g) - g| <= |g|, with a factor that depends on the spectrum of M. Every node factors its
    own gradient. Tensors of more than two axes are matrices of their first axis by the rest; vectors, and matrices
    which factors would not make smaller, are sent as they are. NaN spreads over its matrix; Q is then drawn anew.
    Vogels, Karimireddy, Jaggi 2019, "PowerSGD: practical low-rank gradient compression for distributed optimization".

    Parameters
    ----------
    rank : int
        Columns of P and Q.
    """

    rank: Annotated[int, Field(ge=1)] = 2
    kind: ClassVar[str] = "contractive"
    statistics: ClassVar[tuple[str, ...]] = ()

    def alpha(self, layout: Layout) -> None:
        return None

    def omega(self, layout: Layout) -> None:
        return None

    def check(self, layout: Layout) -> None:
        """Any layout will do."""

    def compress(self, gradient: np.ndarray, step: Step) -> tuple[Message, tuple[float, ...]]:
        parts: list = []
        bounds = step.layout.offsets.tolist()
        plain = 0  # where the tensors that are sent as they are begin
        for t, shape in enumerate(step.layout.shapes):
            begin, end = bounds[t], bounds[t + 1]
            rows = shape[0] if len(shape) > 1 else 0
            columns = (end - begin) // rows if rows else 0
            if self.rank * (rows + columns) >= rows * columns:
                continue
            if plain < begin:
                parts.append(gradient[plain:begin].astype(np.float32, copy=False))
            matrix = gradient[begin:end].reshape(rows, columns).astype(np.float32, copy=False)
            parts.append(self._factor(matrix, f"q{t}", step))
            plain = end
        if plain < gradient.size:
            parts.append(gradient[plain:].astype(np.float32, copy=False))
        return Message(gradient.size, Everything(), LowRank(parts)), ()

    def _factor(self, matrix: np.ndarray, name: str, step: Step) -> tuple[np.ndarray, np.ndarray]:
        right = step.state.get(name)
        if right is None or not np.all(np.isfinite(right)) or not np.all(np.any(right, axis=0)):
            draw = generator(step.seed, Stream.COMPRESSOR, step.node, step.iteration)
            right = draw.standard_normal((matrix.shape[1], self.rank), np.float32)
        with np.errstate(invalid="ignore", over="ignore"):
            left = orthonormal(matrix @ right)
            right = step.state[name] = matrix.T @ left
        return left, right


def orthonormal(columns: np.ndarray) -> np.ndarray:
    """The columns made orthonormal by Gram and Schmidt, twice for accuracy; one that depends on others becomes zero."""
    rows = columns.T.astype(np.float64)
    for i, row in enumerate(rows):
        before = np.sqrt(row @ row)
        for _ in range(2):
            row -= (rows[:i] @ row) @ rows[:i]
        length = np.sqrt(row @ row)
        row *= 0.0 if length <= DEPENDENT * before else 1.0 / length
    return np.ascontiguousarray(rows.T, np.float32)
