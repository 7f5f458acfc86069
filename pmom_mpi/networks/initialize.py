"""Starting points of networks: weights and biases of dense and convolutional layers, drawn into one flat vector."""

from __future__ import annotations

import math

import numpy as np

from pmom_mpi.words.layout import Layout
from pmom_mpi.words.streams import Stream, generator


def initialize(kind: str, layout: Layout, seed: int, dtype: np.dtype | type) -> np.ndarray:
    """x^0 for a layout of layers: weight (out, in) or (out, in, height, width), bias (out,), weight, bias, ...

    Parameters
    ----------
    kind : {"pytorch", "glorot", "he", "zeros"}
        One of `INITIALIZERS`.
    layout : Layout
    seed : int
    dtype : numpy dtype
        Draws are made in float32 and cast, so that a float64 run starts where the float32 run does.

    Examples
    --------
    >>> initialize("zeros", Layout(("weight1", "bias1"), ((2, 3), (2,))), 0, "float32").shape
    (8,)
    """
    x = np.zeros(layout.dimension, np.float32)
    INITIALIZERS[kind](layout.views(x), seed)
    return x.astype(dtype, copy=False)


def pytorch(tensors: list[np.ndarray], seed: int) -> None:
    """Bit for bit what ``torch.manual_seed(seed)`` and then one Linear or Conv2d a layer give (torch 2.13, CPU).

    Weights are kaiming_uniform_(a=sqrt(5)), biases uniform on +-1/sqrt(fan_in). Torch draws with MT19937 seeded with
    the seed's low 32 bits, one 32-bit word a number.
    """
    words = np.random.RandomState(seed & 0xFFFFFFFF)
    for weight, bias in zip(tensors[::2], tensors[1::2], strict=True):
        fan_in, _ = _fans(weight)
        gain = math.sqrt(2.0 / (1 + math.sqrt(5) ** 2))
        _torch_uniform(words, math.sqrt(3.0) * (gain / math.sqrt(fan_in)), weight)
        _torch_uniform(words, 1 / math.sqrt(fan_in), bias)


def _torch_uniform(words: np.random.RandomState, bound: float, out: np.ndarray) -> None:
    """Torch's float32 ``uniform_(-bound, bound)``: fma(u, to - from, from) with u the word's low 24 bits times 2^-24.

    The product and the sum are exact in float64, so the one rounding, at the end, is that of the fused operation.
    """
    start, stop = np.float32(-bound), np.float32(bound)
    word = words.randint(0, 2**32, size=out.shape, dtype=np.uint32)
    unit = (word & np.uint32(0xFFFFFF)) * 2.0**-24
    out[...] = unit * np.float64(stop - start) + np.float64(start)


def _fans(weight: np.ndarray) -> tuple[int, int]:
    """How many numbers one output is made of, and how many outputs one input goes into."""
    window = math.prod(weight.shape[2:])
    return weight.shape[1] * window, weight.shape[0] * window


def glorot(tensors: list[np.ndarray], seed: int) -> None:
    """Weights uniform on +-sqrt(6 / (fan_in + fan_out)), biases zero (Glorot and Bengio, 2010)."""
    draws = generator(seed, Stream.INIT)
    for weight in tensors[::2]:
        bound = math.sqrt(6.0 / sum(_fans(weight)))
        weight[...] = draws.uniform(-bound, bound, weight.shape)


def he(tensors: list[np.ndarray], seed: int) -> None:
    """Weights normal with variance 2 / fan_in, biases zero (He et al., 2015)."""
    draws = generator(seed, Stream.INIT)
    for weight in tensors[::2]:
        weight[...] = draws.normal(0.0, math.sqrt(2.0 / _fans(weight)[0]), weight.shape)


def zeros(tensors: list[np.ndarray], seed: int) -> None:
    """All zero: right for convex models; a network with hidden layers cannot leave this point."""


INITIALIZERS = {"pytorch": pytorch, "glorot": glorot, "he": he, "zeros": zeros}
