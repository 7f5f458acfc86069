"""The stage that changes nothing, for configs that want to say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pmom_mpi.bias.base import Step
from pmom_mpi.words.layout import Layout


@dataclass(frozen=True)
class Identity:
    """Send the gradient as it is: Q(g) = g."""

    kind: ClassVar[str] = "contractive"
    statistics: ClassVar[tuple[str, ...]] = ()

    def alpha(self, layout: Layout) -> float:
        return 1.0

    def omega(self, layout: Layout) -> float:
        return 0.0

    def apply(self, gradient: np.ndarray, step: Step) -> tuple[float, ...]:
        return ()
