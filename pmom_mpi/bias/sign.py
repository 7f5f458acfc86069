"""Signs: one bit a coordinate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from pmom_mpi.bias.base import UPLINK, Feedback, Numbers, Quantizer, Stage, Step, sparsifier_of
from pmom_mpi.bias.theory import OTHER, Theory, contractive
from pmom_mpi.kernels.quantize import absolute_sum
from pmom_mpi.wire.values.signs import Signs
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout


def _pack(values: np.ndarray) -> np.ndarray:
    return np.packbits(values < 0, bitorder="little")


@dataclass(frozen=True)
class ScaledSign(Quantizer):
    """(|g|_1 / d) sign(g): |Q(g) - g|^2 = (1 - |g|_1^2 / (d |g|^2)) |g|^2 <= (1 - 1/d) |g|^2.

    A zero travels as plus the scale; a NaN makes the scale NaN. Karimireddy, Rebjock, Stich, Jaggi 2019, "Error
    feedback fixes SignSGD and other gradient compression schemes".

    Parameters
    ----------
    scope : {"global", "layer"}
        One scale for the whole gradient, or each tensor its own (not behind a sparsifier).
    """

    scope: Literal["global", "layer"] = "global"

    def check(self, before: tuple[Stage, ...], layout: Layout, where: str) -> None:
        if self.scope == "layer" and sparsifier_of(before) is not None:
            raise UserError(f"{where}.scope: layer cannot follow a sparsifier, which knows no tensors; use global")

    def theory(self, layout: Layout) -> Theory:
        """1/d, or with scope ``layer`` that of the largest tensor; ordinary gradients are far better."""
        return contractive(1 / (layout.dimension if self.scope == "global" else int(np.diff(layout.offsets).max())))

    def max_size(self, count: int, layout: Layout) -> int:
        return Signs.max_size(count, 1 if self.scope == "global" else len(layout.shapes))

    def quantize(self, values: np.ndarray, step: Step) -> tuple[Signs, Numbers]:
        bounds = np.array([0, values.size]) if self.scope == "global" else step.layout.offsets
        sizes = np.diff(bounds)
        sums = [absolute_sum(values[bounds[t] : bounds[t + 1]]) for t in range(sizes.size)]
        scales = (np.array(sums) / np.maximum(sizes, 1)).astype(np.float32)
        return Signs(_pack(values), values.size, scales, sizes.astype(np.uint32)), ()


@dataclass(frozen=True)
class SignMajority(Quantizer):
    """sign(g) from every node; the server goes by the majority, sign(sum_i sign(g_i)), coordinate by coordinate.

    A zero votes plus; a tie of the votes is 0. A NaN or infinity among the values makes the whole vote NaN. Bernstein,
    Wang, Azizzadenesheli, Anandkumar 2018, "signSGD: compressed optimisation for non-convex problems".
    """

    places: ClassVar[tuple[str, ...]] = (UPLINK,)

    def check(self, before: tuple[Stage, ...], layout: Layout, where: str) -> None:
        if any(isinstance(stage, Feedback) for stage in before):
            raise UserError(
                f"{where}: sign_majority cannot stand behind error feedback, which would add up votes as if they were "
                "gradients; use scaled_sign"
            )

    def theory(self, layout: Layout) -> Theory:
        return OTHER

    def max_size(self, count: int, layout: Layout) -> int:
        return Signs.max_size(count)

    def quantize(self, values: np.ndarray, step: Step) -> tuple[Signs, Numbers]:
        scale = 1.0 if np.isfinite(absolute_sum(values)) else np.nan
        return Signs(_pack(values), values.size, scale), ()

    def combine(self, mean: np.ndarray) -> None:
        """The mean's sign."""
        np.sign(mean, out=mean)
