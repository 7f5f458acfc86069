"""TernGrad: minus, zero or plus the largest magnitude."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pmom_mpi.bias.base import Numbers, Quantizer, Step
from pmom_mpi.bias.rounding import single
from pmom_mpi.bias.theory import Theory, unbiased
from pmom_mpi.kernels.quantize import bucket_maxima, dither
from pmom_mpi.wire.values.ternary import Ternary
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.streams import Stream


@dataclass(frozen=True)
class TernGrad(Quantizer):
    """|g|_inf sign(g_j) with probability |g_j| / |g|_inf, else 0.

    Unbiased: E|Q(g) - g|^2 = |g|_inf |g|_1 - |g|^2 <= (sqrt(d) - 1)/2 |g|^2. A NaN or infinity spoils the vector. Wen
    et al. 2017, "TernGrad: ternary gradients to reduce communication in distributed deep learning"; their clipping is a
    stage before, `clip_value`.
    """

    stream: ClassVar[Stream | None] = Stream.COMPRESSOR

    def theory(self, layout: Layout) -> Theory:
        """(sqrt(d) - 1) / 2, when all entries but one are 1 / (1 + sqrt(d)) of it."""
        return unbiased((math.sqrt(layout.dimension) - 1) / 2)

    def max_size(self, count: int, layout: Layout) -> int:
        return Ternary.max_size(count)

    def quantize(self, values: np.ndarray, step: Step) -> tuple[Ternary, Numbers]:
        vector = single(values, step)
        scale = np.zeros(1, np.float32)
        bucket_maxima(vector.view(np.uint32), max(vector.size, 1), scale.view(np.uint32))
        codes = step.buffer("codes", vector.size, np.int8)
        dither(vector, self.key(step), scale, max(vector.size, 1), 1, codes)
        return Ternary(codes, float(scale[0])), ()
