"""Casts to narrow floating-point numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pmom_mpi.bias.base import Numbers, Quantizer, Step
from pmom_mpi.bias.rounding import single
from pmom_mpi.bias.theory import OTHER, Theory, contractive
from pmom_mpi.kernels.quantize import largest, to_bfloat16, to_e4m3, to_float16
from pmom_mpi.wire.values.casts import FP8, BFloat16, Half
from pmom_mpi.words.layout import Layout

E4M3_MAX = 448.0


@dataclass(frozen=True)
class Cast(Quantizer):
    """Every entry rounded to the nearest number of a narrow type, ties to even.

    ``float16`` keeps 11 bits from 6e-5 to 65504: smaller gradients lose digits, larger ones become infinite.
    ``bfloat16`` keeps 8 bits in float32's range, whose ends are not rounded to
    infinity: |Q(g) - g|^2 <= 2^-16 |g|^2. ``fp8`` is OCP E4M3, 4 bits, scaled so
    that the largest magnitude is 448: |Q(g) - g|^2 <= (2^-8 + d (2^-10 / 448)^2) |g|^2. NaN stays NaN; under fp8 it
    spoils the vector, and so does an infinity. Kalamkar et al. 2019, "A study of BFLOAT16 for deep learning training";
    Micikevicius et al. 2022, "FP8 formats for deep learning".

    Parameters
    ----------
    dtype : {"float16", "bfloat16", "fp8"}
        The narrow type.
    """

    dtype: Literal["float16", "bfloat16", "fp8"] = "bfloat16"

    def theory(self, layout: Layout) -> Theory:
        """For numbers that are not denormal in float32; nothing of float16, whose range is too narrow for any bound."""
        if self.dtype == "float16":
            return OTHER
        if self.dtype == "bfloat16":
            return contractive(1 - 2.0**-16)
        return contractive(max(0.0, 1 - 2.0**-8 - layout.dimension * (2.0**-10 / E4M3_MAX) ** 2))

    def max_size(self, count: int, layout: Layout) -> int:
        return {"float16": Half, "bfloat16": BFloat16, "fp8": FP8}[self.dtype].max_size(count)

    def quantize(self, values: np.ndarray, step: Step) -> tuple[Half | BFloat16 | FP8, Numbers]:
        vector = single(values, step)
        if self.dtype == "fp8":
            scale = np.array([largest(vector.view(np.uint32))], np.uint32).view(np.float32) / np.float32(E4M3_MAX)
            narrow = step.buffer("narrow", vector.size, np.uint8)
            to_e4m3(vector, scale[0], narrow)
            return FP8(narrow, float(scale[0])), ()
        words = step.buffer("words", vector.size, np.uint16)
        if self.dtype == "float16":
            to_float16(vector, words)
            return Half(words), ()
        to_bfloat16(vector.view(np.uint32), words)
        return BFloat16(words), ()
