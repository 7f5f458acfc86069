"""Thresholds: what reaches a magnitude is sent, however much that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from pmom_mpi.bias.base import Step
from pmom_mpi.bias.sparsity import Sparsity
from pmom_mpi.kernels.select import select_about, select_at_least
from pmom_mpi.wire.message import Indices, Message
from pmom_mpi.wire.values.raw import Raw
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.streams import Stream, key


def _message(gradient: np.ndarray, step: Step, select) -> tuple[Message, tuple[float, ...]]:
    """What ``select(indices, values) -> count`` chooses, in scratch; statistics: how many."""
    indices = step.buffer("indices", gradient.size, np.uint32)
    values = step.buffer("values", gradient.size, gradient.dtype)
    kept = select(indices, values)
    return Message(gradient.size, Indices(indices[:kept]), Raw(values[:kept])), (float(kept),)


@dataclass(frozen=True)
class Threshold:
    """Hard threshold: keep every |g_j| >= tau.

    The error is absolute, |Q(g) - g|^2 <= d tau^2, and the kept count follows the gradient. NaN is kept. Sahu et al.
    2021, "Rethinking gradient sparsification as total error minimization".

    Parameters
    ----------
    tau : float > 0
        The least magnitude that is kept.
    """

    tau: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    kind: ClassVar[str] = "other"
    statistics: ClassVar[tuple[str, ...]] = ("kept",)

    def alpha(self, layout: Layout) -> None:
        return None

    def omega(self, layout: Layout) -> None:
        return None

    def compress(self, gradient: np.ndarray, step: Step) -> tuple[Message, tuple[float, ...]]:
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
    name: ClassVar[str] = "adaptive_threshold"
    kind: ClassVar[str] = "contractive"
    statistics: ClassVar[tuple[str, ...]] = ("kept",)

    def alpha(self, layout: Layout) -> float | None:
        """K/d where the sample is everything; else k'/d, known only afterwards."""
        return self.count(layout.dimension) / layout.dimension if layout.dimension <= self.sample else None

    def omega(self, layout: Layout) -> None:
        return None

    def compress(self, gradient: np.ndarray, step: Step) -> tuple[Message, tuple[float, ...]]:
        k = self.count(gradient.size)
        draws = key(step.seed, Stream.COMPRESSOR, step.node, step.iteration)
        return _message(gradient, step, lambda *found: select_about(gradient, k, self.sample, draws, *found))
