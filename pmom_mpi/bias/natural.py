"""Natural compression: powers of two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from pmom_mpi.bias.base import Numbers, Quantizer, Step
from pmom_mpi.bias.rounding import single
from pmom_mpi.bias.theory import Theory, contractive, unbiased
from pmom_mpi.kernels.quantize import powers_nearest, powers_random
from pmom_mpi.wire.values import natural
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.streams import Stream


@dataclass(frozen=True)
class Natural(Quantizer):
    """Each g_j becomes a neighbouring power of two with its sign: 9 bits.

    Random, up with the probability that keeps the mean: unbiased, E|Q(g) - g|^2 <= |g|^2 / 8. To the nearest:
    |Q(g) - g|^2 <= |g|^2 / 9. Horvath, Ho, Horvath, Sahu, Canini, Richtarik 2022, "Natural compression for distributed
    deep learning". NaN arrives as infinity; the nearest power of a denormal is 0 or 2^-126, and that of
    all that is finite and above 2^127 is 2^127, the largest.

    Parameters
    ----------
    rounding : {"random", "nearest"}
        Up or down so that the mean is kept, or to the nearer one.
    """

    rounding: Literal["random", "nearest"] = "random"
    stream: ClassVar[Stream | None] = Stream.COMPRESSOR

    def theory(self, layout: Layout) -> Theory:
        """Nearest: alpha 1 - (1/3)^2, as the worst number is 3/2 powers of two."""
        return unbiased(1 / 8) if self.rounding == "random" else contractive(8 / 9)

    def max_size(self, count: int, layout: Layout) -> int:
        return natural.Natural.max_size(count)

    def quantize(self, values: np.ndarray, step: Step) -> tuple[natural.Natural, Numbers]:
        bits = single(values, step).view(np.uint32)
        codes = step.buffer("codes", bits.size, np.uint16)
        if self.rounding == "random":
            powers_random(bits, self.key(step), codes)
        else:
            powers_nearest(bits, codes)
        return natural.Natural(codes), ()
