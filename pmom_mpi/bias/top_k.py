"""Top-K: the entries of largest magnitude are sent, the rest is dropped."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from pmom_mpi.bias.base import Step
from pmom_mpi.errors import UserError
from pmom_mpi.kernels.select import gather, select_largest
from pmom_mpi.layout import Layout
from pmom_mpi.wire.message import Indices, Message
from pmom_mpi.wire.values.raw import Raw


@dataclass(frozen=True)
class TopK:
    """Keep every entry whose magnitude is at least the K-th largest; ties stay, so the kept count may exceed K.

    Contractive: |Q(g) - g|^2 <= (1 - K/d) |g|^2, deterministically (Stich, Cordonnier, Jaggi 2018). The published
    experiments use scope ``global``.

    Parameters
    ----------
    k : int, optional
        K; with scope ``layer`` of every tensor (all of a smaller one).
    fraction : float in (0, 1], optional
        K = ceil(fraction d), of the whole gradient or of every tensor. Exactly one of k and fraction is given.
    scope : {"global", "layer"}
        Over the flattened gradient, or within each tensor.
    """

    k: Annotated[int, Field(ge=1)] | None = None
    fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    scope: Literal["global", "layer"] = "global"
    statistics: ClassVar[tuple[str, ...]] = ("kept",)

    def __post_init__(self) -> None:
        if (self.k is None) == (self.fraction is None):
            raise ValueError("give exactly one of k and fraction")

    def check(self, layout: Layout) -> None:
        """Raise `UserError` when K is more than there is."""
        if self.k is not None and self.k > layout.dimension:
            raise UserError(f"bias: top_k.k: {self.k} is more than d = {layout.dimension}, the length of the gradient")

    def compress(self, gradient: np.ndarray, step: Step) -> tuple[Message, tuple[float, ...]]:
        """The kept coordinates and their values, in scratch; statistics: how many."""
        size = gradient.size
        indices = step.buffer("indices", size, np.uint32)
        work = step.buffer("work", size, np.dtype(f"i{gradient.itemsize}"))
        if self.scope == "global":
            kept = select_largest(gradient, self._count(size), indices, work)
        else:
            kept = 0
            bounds = step.layout.offsets.tolist()
            for begin, end in zip(bounds, bounds[1:], strict=False):
                found = indices[kept : kept + end - begin]
                many = select_largest(gradient[begin:end], self._count(end - begin), found, work)
                found[:many] += np.uint32(begin)
                kept += many
        values = step.buffer("values", size, gradient.dtype)[:kept]
        gather(gradient, indices[:kept], values)
        return Message(size, Indices(indices[:kept]), Raw(values)), (float(kept),)

    def _count(self, size: int) -> int:
        return min(self.k, size) if self.k is not None else math.ceil(self.fraction * size)
