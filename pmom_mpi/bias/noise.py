"""Noise on gradients, as differential privacy adds it after clipping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from pmom_mpi.bias.base import Numbers, Step, Transform
from pmom_mpi.kernels.normal import add_normal
from pmom_mpi.words.streams import Stream


@dataclass(frozen=True)
class GaussianNoise(Transform):
    """g + sigma xi with xi standard normal, drawn anew for every node and iteration.

    Abadi et al. 2016, "Deep learning with differential privacy": after clipping samples at tau, their noise
    multiplier z and m samples a batch are ``sigma = z tau / m`` here, because gradients are means over the batch.

    Parameters
    ----------
    sigma : float >= 0
        The standard deviation of each coordinate.
    """

    sigma: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    stream: ClassVar[Stream | None] = Stream.NOISE

    def apply(self, gradient: np.ndarray, step: Step) -> Numbers:
        add_normal(self.key(step), self.sigma, gradient)
        return ()
