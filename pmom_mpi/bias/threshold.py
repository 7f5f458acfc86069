"""Thresholds: what reaches a magnitude is sent, however much that is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from pmom_mpi.bias.base import KEPT, Numbers, Sparsifier, Step
from pmom_mpi.bias.sparsity import Sparsity
from pmom_mpi.bias.theory import Theory, contractive
from pmom_mpi.kernels.select import select_about, select_at_least
from pmom_mpi.wire.message import Indices, Message
from pmom_mpi.wire.values.raw import Raw
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.report import Metric
from pmom_mpi.words.streams import Stream


def _message(
    gradient: np.ndarray, step: Step, select: Callable[[np.ndarray, np.ndarray], int]
) -> tuple[Message, Numbers]:
    """What ``select(indices, values) -> count`` chooses, in scratch; statistics: how many."""
    indices = step.buffer("indices", gradient.size, np.uint32)
    values = step.buffer("values", gradient.size, gradient.dtype)
    kept = select(indices, values)
    return Message(gradient.size, Indices(indices[:kept]), Raw(values[:kept])), (float(kept),)


@dataclass(frozen=True)
class Threshold(Sparsifier):
    """Hard threshold: keep every |g_j| >= tau.

    The error is absolute, |Q(g) - g|^2 <= d tau^2, and the kept count follows the gradient. NaN is kept. Sahu et al.
    2021, "Rethinking gradient sparsification as total error minimization".

    Parameters
    ----------
    tau : float > 0
        The least magnitude that is kept.
    """

    tau: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    statistics: ClassVar[tuple[Metric, ...]] = (KEPT,)

    def compress(self, gradient: np.ndarray, step: Step) -> tuple[Message, Numbers]:
        return _message(gradient, step, lambda *found: select_at_least(gradient, self.tau, *found))


@dataclass(frozen=True)
class AdaptiveThreshold(Sparsity):
    """Approximate Top-K: keep every entry that reaches the threshold which a random sample of the entries suggests.

    One pass. The kept count k' is K within a relative standard deviation of about sqrt(d / (K sample)), 8 % at
    K/d = 1 %, ties excepted; |Q(g) - g|^2 <= (1 - k'/d) |g|^2. With d up to ``sample`` it is Top-K itself. NaN counts
    as larger than everything; zeros are not sent. Lin, Han, Mao, Wang, Dally 2018, "Deep gradient compression".

    Parameters
    ----------
    k : int, optional
        K.
    fraction : float in (0, 1], optional
        K = ceil(fraction d). Exactly one of k and fraction is given.
    sample : int
        How many entries are looked at, one of each of as many equal stretches.
    """

    sample: Annotated[int, Field(ge=1)] = 16384
    stream: ClassVar[Stream | None] = Stream.COMPRESSOR

    def theory(self, layout: Layout) -> Theory:
        """K/d where the sample is everything; else k'/d, known only afterwards."""
        d = layout.dimension
        return contractive(self.count(d) / d if d <= self.sample else None)

    def compress(self, gradient: np.ndarray, step: Step) -> tuple[Message, Numbers]:
        k = self.count(gradient.size)
        draws = self.key(step)
        return _message(gradient, step, lambda *found: select_about(gradient, k, self.sample, draws, *found))
