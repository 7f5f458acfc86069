"""How many coordinates a sparsifier keeps: the keys k and fraction, alike for all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, ClassVar

from pydantic import Field

from pmom_mpi.bias.base import KEPT, Sparsifier, Stage
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.report import Metric


@dataclass(frozen=True)
class Sparsity(Sparsifier):
    """Exactly one of k, a number of coordinates, and fraction, a part of them."""

    k: Annotated[int, Field(ge=1)] | None = None
    fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    statistics: ClassVar[tuple[Metric, ...]] = (KEPT,)

    def __post_init__(self) -> None:
        if (self.k is None) == (self.fraction is None):
            raise ValueError("give exactly one of k and fraction")

    def check(self, before: tuple[Stage, ...], layout: Layout, where: str) -> None:
        """Raise `UserError` when K is more than there is."""
        if self.k is not None and self.k > layout.dimension:
            raise UserError(f"{where}.k: {self.k} is more than d = {layout.dimension}, the length of the gradient")

    def keeps(self, layout: Layout) -> int:
        return self.count(layout.dimension)

    def count(self, size: int) -> int:
        """K of ``size`` coordinates: k, or ceil(fraction size) with the fraction taken as the decimal it is written as.

        Examples
        --------
        >>> from pmom_mpi.bias.top_k import TopK
        >>> TopK(fraction=0.07).count(100), math.ceil(0.07 * 100)
        (7, 8)
        """
        if self.k is not None:
            return min(self.k, size)
        return math.ceil(Fraction(repr(self.fraction)) * size)
