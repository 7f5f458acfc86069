"""Signs: one bit a coordinate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from pmom_mpi.bias.base import Step
from pmom_mpi.kernels.quantize import absolute_sum
from pmom_mpi.wire.values.signs import Signs
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout


def _pack(values: np.ndarray) -> np.ndarray:
    return np.packbits(values < 0, bitorder="little")


@dataclass(frozen=True)
class ScaledSign:
    """(|g|_1 / d) sign(g): |Q(g) - g|^2 = (1 - |g|_1^2 / (d |g|^2)) |g|^2 <= (1 - 1/d) |g|^2.

    A zero travels as plus the scale; a NaN makes the scale NaN. Karimireddy, Rebjock, Stich, Jaggi 2019, "Error
    feedback fixes SignSGD and other gradient compression schemes".

    Parameters
    ----------
    scope : {"global", "layer"}
        One scale for the whole gradient, or each tensor its own (not behind a sparsifier).
    """

    scope: Literal["global", "layer"] = "global"
    kind: ClassVar[str] = "contractive"
    statistics: ClassVar[tuple[str, ...]] = ()

    def alpha(self, layout: Layout) -> float:
        """1/d, or with scope ``layer`` that of the largest tensor; ordinary gradients are far better."""
        return 1 / (layout.dimension if self.scope == "global" else int(np.diff(layout.offsets).max()))

    def omega(self, layout: Layout) -> None:
        return None

    def quantize(self, values: np.ndarray, step: Step) -> tuple[Signs, tuple[float, ...]]:
        bounds = np.array([0, values.size]) if self.scope == "global" else step.layout.offsets
        if bounds[-1] != values.size:
            raise UserError("bias: scaled_sign.scope: layer cannot follow a sparsifier; use global")
        sizes = np.diff(bounds)
        sums = [absolute_sum(values[bounds[t] : bounds[t + 1]]) for t in range(sizes.size)]
        scales = (np.array(sums) / np.maximum(sizes, 1)).astype(np.float32)
        return Signs(_pack(values), values.size, scales, sizes.astype(np.uint32)), ()


@dataclass(frozen=True)
class SignMajority:
    """sign(g) from every node; the server goes by the majority, sign(sum_i sign(g_i)), coordinate by coordinate.

    A zero votes plus; a tie of the votes is 0. A NaN or infinity among the values makes the whole vote NaN. Bernstein,
    Wang, Azizzadenesheli, Anandkumar 2018, "signSGD: compressed optimisation for non-convex problems".
    """

    kind: ClassVar[str] = "other"
    statistics: ClassVar[tuple[str, ...]] = ()

    def alpha(self, layout: Layout) -> None:
        return None

    def omega(self, layout: Layout) -> None:
        return None

    def quantize(self, values: np.ndarray, step: Step) -> tuple[Signs, tuple[float, ...]]:
        scale = 1.0 if np.isfinite(absolute_sum(values)) else np.nan
        return Signs(_pack(values), values.size, scale), ()

    @staticmethod
    def combine(mean: np.ndarray) -> None:
        """What the server makes of the mean of all nodes' messages, in place: its sign."""
        np.sign(mean, out=mean)
