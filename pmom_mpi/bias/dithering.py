"""QSGD: random dithering to a few levels of a norm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from pmom_mpi.bias.base import Numbers, Quantizer, Step
from pmom_mpi.bias.rounding import single
from pmom_mpi.bias.theory import Theory, unbiased
from pmom_mpi.kernels.quantize import bucket_maxima, bucket_norms, dither
from pmom_mpi.wire.values.levels import MAX_LEVELS, Levels
from pmom_mpi.words.layout import Layout
from pmom_mpi.words.streams import Stream

LARGEST = np.finfo(np.float32).max
BELOW = np.nextafter(LARGEST, np.float32(0))


@dataclass(frozen=True)
class QSGD(Quantizer):
    """|g| sign(g_j) xi_j / s, where xi_j is s |g_j| / |g| rounded up or down at random so that its mean is kept.

    Unbiased: E|Q(g) - g|^2 <= min(b / (4 s^2), sqrt(b) / s) |g|^2 for buckets of b coordinates, each with a norm of its
    own, float32. Alistarh, Grubic, Li, Tomioka, Vojnovic 2017, "QSGD: communication-efficient SGD via gradient
    quantization and encoding". A bucket with a NaN or infinity, or of a norm beyond
    float32, arrives as NaN.

    Parameters
    ----------
    levels : int
        s. A coordinate takes ceil(log2(2 s + 1)) bits: 4 for the default.
    bucket : int or null
        b; null: one bucket of everything.
    norm : {"l2", "linf"}
        |g|: the 2-norm, as in the paper, or the largest magnitude, which uses the levels better.
    entropy : bool
        Rice-code the levels where that is smaller: fewer bits, more time.
    """

    levels: Annotated[int, Field(ge=1, le=MAX_LEVELS)] = 7
    bucket: Annotated[int, Field(ge=1, lt=2**32)] | None = 512
    norm: Literal["l2", "linf"] = "l2"
    entropy: bool = False
    stream: ClassVar[Stream | None] = Stream.COMPRESSOR

    def theory(self, layout: Layout) -> Theory:
        """min(b / (4 s^2), sqrt(b) / s): a rounding varies by at most 1/4 of a level squared, and by |g_j| levels."""
        b = min(self.bucket or layout.dimension, layout.dimension)
        return unbiased(min(b / (4 * self.levels**2), math.sqrt(b) / self.levels))

    def max_size(self, count: int, layout: Layout) -> int:
        return Levels.max_size(count, self.bucket or max(count, 1), self.levels)

    def quantize(self, values: np.ndarray, step: Step) -> tuple[Levels, Numbers]:
        vector = single(values, step)
        bucket = self.bucket or max(vector.size, 1)
        norms = step.buffer("norms", -(-vector.size // bucket), np.float32)
        codes = step.buffer("codes", vector.size, np.int8 if self.levels <= 127 else np.int16)
        if self.norm == "l2":
            bucket_norms(vector, bucket, norms)
        else:
            bucket_maxima(vector.view(np.uint32), bucket, norms.view(np.uint32))
        norms[norms == LARGEST] = BELOW  # whose s-th part times s is still finite
        dither(vector, self.key(step), norms, bucket, self.levels, codes)
        return Levels(codes, norms, bucket, self.levels, self.entropy), ()
