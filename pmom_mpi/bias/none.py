"""The stage that changes nothing, for configs that want to say so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pmom_mpi.bias.base import Numbers, Step, Transform
from pmom_mpi.bias.theory import Theory, scaling
from pmom_mpi.words.layout import Layout


@dataclass(frozen=True)
class Identity(Transform):
    """Send the gradient as it is: Q(g) = g."""

    def theory(self, layout: Layout) -> Theory:
        return scaling(1.0)

    def apply(self, gradient: np.ndarray, step: Step) -> Numbers:
        return ()
