"""The stage that changes nothing, for configs that want to say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pmom_mpi.bias.base import Step


@dataclass(frozen=True)
class Identity:
    """Send the gradient as it is."""

    statistics: ClassVar[tuple[str, ...]] = ()

    def apply(self, gradient: np.ndarray, step: Step) -> tuple[float, ...]:
        return ()
