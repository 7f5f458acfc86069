"""Scaling: what makes a contraction of an unbiased operator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pmom_mpi.bias.base import Numbers, Stage, Step, Transform
from pmom_mpi.bias.compose import unbiased_omega
from pmom_mpi.bias.theory import TRANSFORM, Theory, scaling
from pmom_mpi.kernels.norms import scale_in_place
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout


@dataclass(frozen=True)
class Scale(Transform):
    """c g. Before an unbiased operator Q of variance omega, c = 1 / (1 + omega) makes a contraction of it.

    E|Q(c g) - g|^2 <= (c^2 omega + (1 - c)^2) |g|^2, which is least for this c, and then (1 - alpha) |g|^2 with alpha =
    1 / (1 + omega). Behind error feedback an operator must be a contraction. Richtarik, Sokolov, Fatkhullin 2021,
    "EF21: a new, simpler, theoretically better, and practically faster error feedback".

    Parameters
    ----------
    factor : float > 0, or "auto"
        c; ``auto`` is 1 / (1 + omega) of what stands behind.
    """

    factor: Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["auto"] = "auto"

    def settled(self, before: tuple[Stage, ...], after: tuple[Stage, ...], layout: Layout, where: str) -> Stage:
        if self.factor != "auto":
            return self
        omega = unbiased_omega(after, layout)
        if omega is None:
            raise UserError(f"{where}.factor: auto needs an unbiased operator behind this stage; give a number")
        return replace(self, factor=1.0 / (1.0 + omega))

    def theory(self, layout: Layout) -> Theory:
        return TRANSFORM if self.factor == "auto" else scaling(self.factor)

    def apply(self, gradient: np.ndarray, step: Step) -> Numbers:
        if self.factor == "auto":
            raise TypeError("a factor of auto is settled by the pipeline")
        scale_in_place(gradient, self.factor)
        return ()
