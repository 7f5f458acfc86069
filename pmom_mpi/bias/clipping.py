"""Clipping and normalising: the direction stays, the length changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from pmom_mpi.bias.base import Step
from pmom_mpi.kernels.norms import clamp_in_place, norm, scale_in_place

CLIP_EPSILON = 1e-6
"""PyTorch's clip_grad_norm_, which the published runs used, divides by the norm plus this."""

Positive = Annotated[float, Field(gt=0)]


def _tensors(gradient: np.ndarray, step: Step) -> list[np.ndarray]:
    bounds = step.layout.offsets
    return [gradient[bounds[t] : bounds[t + 1]] for t in range(len(bounds) - 1)]


@dataclass(frozen=True)
class ClipNorm:
    """g min(1, tau / (|g| + 1e-6)): the 2-norm of a node's gradient is at most tau.

    Parameters
    ----------
    tau : float > 0
        The largest norm that is left as it is.
    scope : {"global", "layer"}
        The norm of the whole gradient, or each tensor's own.
    """

    tau: Positive
    scope: Literal["global", "layer"] = "global"
    statistics: ClassVar[tuple[str, ...]] = ("clip_active",)

    def apply(self, gradient: np.ndarray, step: Step) -> tuple[float, ...]:
        """Returns 1.0 when the clip changed the gradient (layer: the fraction of tensors it changed)."""
        parts = [gradient] if self.scope == "global" else _tensors(gradient, step)
        active = [self._clip(part) for part in parts]
        return (sum(active) / len(active),)

    def _clip(self, part: np.ndarray) -> bool:
        factor = self.tau / (norm(part) + CLIP_EPSILON)
        if factor >= 1.0:
            return False
        scale_in_place(part, factor)
        return True


@dataclass(frozen=True)
class ClipValue:
    """Every entry is clamped to [-tau, tau]."""

    tau: Positive
    statistics: ClassVar[tuple[str, ...]] = ("clip_active",)

    def apply(self, gradient: np.ndarray, step: Step) -> tuple[float, ...]:
        """Returns 1.0 when any entry was outside."""
        return (float(clamp_in_place(gradient, self.tau) > 0),)


@dataclass(frozen=True)
class Normalize:
    """g / |g|: each tensor by its own 2-norm, as published, or the whole gradient; a zero gradient stays zero."""

    scope: Literal["tensor", "global"] = "tensor"
    statistics: ClassVar[tuple[str, ...]] = ()

    def apply(self, gradient: np.ndarray, step: Step) -> tuple[float, ...]:
        for part in [gradient] if self.scope == "global" else _tensors(gradient, step):
            length = norm(part)
            if length != 0.0:  # NaN divides too, so that divergence stays visible
                scale_in_place(part, 1.0 / length)
        return ()
