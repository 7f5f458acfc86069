"""PowerSGD: matrices as products of thin factors, from one warm-started step of the power method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from pmom_mpi.bias.base import Numbers, Sparsifier, Step
from pmom_mpi.wire.message import Everything, Message
from pmom_mpi.wire.values.low_rank import LowRank, Part, Shape
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.memory import Memory
from pmom_mpi.words.streams import Stream

DEPENDENT = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 2e-15}
"""A column of which orthogonalisation leaves less than this part is rounding noise, and becomes zero."""


@dataclass(frozen=True)
class PowerSGD(Sparsifier):
    """For every matrix M of the gradient: P = orthonormal(M Q), Q = M^T P, and P Q^T is sent for M.

    Q is kept for the node's next iteration, so that P approaches the leading left singular vectors of a slowly changing
    M. P P^T is a projection, |Q(g) - g| <= |g|, but no contraction: where the rows of M are orthogonal to Q, which
    comes from the last M, nothing is sent (and Q is drawn anew for the next). Every node factors its own gradient.
    Tensors of more than two axes are matrices of their first axis by the rest; vectors, and matrices which factors
    would not make smaller, are sent as they are. NaN spreads over its matrix; Q is then drawn anew. All is computed and
    sent in the gradient's own type.
    Vogels, Karimireddy, Jaggi 2019, "PowerSGD: practical low-rank gradient compression for distributed optimization".

    Parameters
    ----------
    rank : int
        Columns of P and Q.
    """

    rank: Annotated[int, Field(ge=1)] = 2
    coded: ClassVar[bool] = True
    stream: ClassVar[Stream | None] = Stream.COMPRESSOR

    def init(self, layout: Layout, dtype: np.dtype) -> Memory:
        """Q of every matrix; zero until it is drawn."""
        matrices = [(t, shape) for t, (_, _, shape) in enumerate(self._parts(layout)) if shape[2]]
        return {f"q{t}": np.zeros((columns, rank), dtype) for t, (_, columns, rank) in matrices}

    def max_size(self, layout: Layout, dtype: np.dtype) -> int:
        return LowRank.max_size([shape for _, _, shape in self._parts(layout)], dtype)

    def compress(self, gradient: np.ndarray, step: Step) -> tuple[Message, Numbers]:
        parts: list[Part] = []
        for t, (begin, end, (rows, columns, rank)) in enumerate(self._parts(step.layout)):
            part = gradient[begin:end]
            parts.append(self._factor(part.reshape(rows, columns), t, step) if rank else part)
        return Message(gradient.size, Everything(), LowRank(parts)), ()

    def _parts(self, layout: Layout) -> list[tuple[int, int, Shape]]:
        """Begin, end and shape of each part: a matrix that is factored, or all that lies between two of these."""
        parts: list[tuple[int, int, Shape]] = []
        bounds = layout.offsets.tolist()
        plain = 0  # where the tensors that are sent as they are begin
        for t, shape in enumerate(layout.shapes):
            begin, end = bounds[t], bounds[t + 1]
            rows = shape[0] if len(shape) > 1 else 0
            columns = (end - begin) // rows if rows else 0
            if self.rank * (rows + columns) >= rows * columns:
                continue
            if plain < begin:
                parts.append((plain, begin, (begin - plain, 1, 0)))
            parts.append((begin, end, (rows, columns, self.rank)))
            plain = end
        if plain < bounds[-1]:
            parts.append((plain, bounds[-1], (bounds[-1] - plain, 1, 0)))
        return parts

    def _factor(self, matrix: np.ndarray, part: int, step: Step) -> tuple[np.ndarray, np.ndarray]:
        right = step.memory[f"q{part}"]
        if not np.all(np.isfinite(right)) or not np.all(np.any(right, axis=0)):
            right[:] = self.generator(step, part).standard_normal(right.shape, right.dtype)
        with np.errstate(invalid="ignore", over="ignore"):
            left = orthonormal(matrix @ right)
            right[:] = matrix.T @ left
        return left, right


def orthonormal(columns: np.ndarray) -> np.ndarray:
    """The columns made orthonormal by Gram and Schmidt, twice for accuracy; one that depends on others becomes zero."""
    rows = columns.T.astype(np.float64)
    for i, row in enumerate(rows):
        before = np.sqrt(row @ row)
        for _ in range(2):
            row -= (rows[:i] @ row) @ rows[:i]
        length = np.sqrt(row @ row)
        row *= 0.0 if length <= DEPENDENT[columns.dtype] * before else 1.0 / length
    return np.ascontiguousarray(rows.T, columns.dtype)
