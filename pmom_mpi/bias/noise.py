"""Noise on gradients, as differential privacy adds it after clipping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from pmom_mpi.bias.base import Numbers, Stage, Step, Transform
from pmom_mpi.bias.clipping import sample_clip
from pmom_mpi.kernels.normal import add_normal
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.streams import Stream

Deviation = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class GaussianNoise(Transform):
    """g + sigma xi with xi standard normal, drawn anew for every node and iteration.

    For privacy: behind `clip_per_sample` with threshold tau, ``multiplier: z`` is sigma = z tau / m, where m is the
    size of the very batch that the gradient is the mean over; an epoch's last batch may be smaller than the others, and
    one sample moves its mean further. Abadi et al. 2016, "Deep learning with differential privacy".

    Parameters
    ----------
    sigma : float >= 0, optional
        The standard deviation of each coordinate, whatever the batch.
    multiplier : float >= 0, optional
        z. Exactly one of sigma and multiplier is given.
    """

    sigma: Deviation | None = None
    multiplier: Deviation | None = None
    stream: ClassVar[Stream | None] = Stream.NOISE

    def __post_init__(self) -> None:
        if (self.sigma is None) == (self.multiplier is None):
            raise ValueError("give exactly one of sigma and multiplier")

    def settled(self, before: tuple[Stage, ...], after: tuple[Stage, ...], layout: Layout, where: str) -> Stage:
        if self.multiplier is None:
            return self
        tau = sample_clip(before)
        if tau is None:
            raise UserError(f"{where}.multiplier: counts the threshold of clip_per_sample before it; give sigma")
        return BatchNoise(self.multiplier * tau)

    def apply(self, gradient: np.ndarray, step: Step) -> Numbers:
        if self.sigma is None:
            raise TypeError("noise by a multiplier is settled by the pipeline")
        add_normal(self.key(step), self.sigma, gradient)
        return ()


@dataclass(frozen=True)
class BatchNoise(Transform):
    """g + (spread / m) xi for a mean over m samples: `GaussianNoise` by a multiplier, once the threshold is known."""

    spread: Deviation
    stream: ClassVar[Stream | None] = Stream.NOISE

    def apply(self, gradient: np.ndarray, step: Step) -> Numbers:
        if step.samples is None:
            raise TypeError("the pipeline has not been told the sizes of the batches")
        add_normal(self.key(step), self.spread / step.samples, gradient)
        return ()


def constant_noise(stages: tuple[Stage, ...]) -> int | None:
    """The place of a noise of the same sigma for every batch behind `ClipPerSample`, if there is one."""
    if sample_clip(stages) is None:
        return None
    return next((place for place, stage in enumerate(stages) if isinstance(stage, GaussianNoise)), None)
