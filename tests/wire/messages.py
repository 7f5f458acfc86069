"""Messages of every kind for the tests of this folder."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from pmom_mpi.wire.message import Everything, Indices, Message, Seeded
from pmom_mpi.wire.values import FP8, BFloat16, Half, Levels, LowRank, Natural, Raw, Signs, Ternary, Values

SPECIALS = np.array([0.0, -0.0, 1e-45, -1e-45, 1e-40, 3e38, -3e38, np.inf, -np.inf, np.nan, 1.0, 1.0], np.float32)
"""Signed zeros, denormals, huge numbers, non-finite ones, ties."""


def some_floats(rng: np.random.Generator, count: int) -> np.ndarray:
    array = rng.standard_normal(count).astype(np.float32)
    special = rng.random(count) < 0.3
    array[special] = rng.choice(SPECIALS, special.sum())
    return array


def random_bits(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.integers(0, 2**16, count).astype(np.uint16)


def packed_signs(rng: np.random.Generator, count: int) -> np.ndarray:
    return np.packbits(rng.integers(0, 2, count).astype(np.uint8), bitorder="little")


def grouped_signs(rng: np.random.Generator, count: int) -> Signs:
    sizes = np.array([count // 3, count - count // 3], np.uint32)
    return Signs(packed_signs(rng, count), count, rng.random(2).astype(np.float32), sizes)


def levels(rng: np.random.Generator, count: int, entropy: bool = False) -> Levels:
    s = int(rng.choice([1, 2, 4, 7, 127, 128, 1000, 32767]))
    bucket = int(rng.choice([1, 3, 64, 512]))
    spread = s if rng.random() < 0.5 else 1
    codes = rng.integers(-spread, spread + 1, count).astype(np.int16)
    return Levels(codes, rng.random(-(-count // bucket)).astype(np.float32), bucket, s, entropy)


def low_rank(rng: np.random.Generator, count: int, dtype: type = np.float32) -> LowRank:
    if count < 12:
        return LowRank([some_floats(rng, count).astype(dtype)])
    rows, columns = 3, count // 4
    left = rng.standard_normal((rows, 1)).astype(dtype)
    right = rng.standard_normal((columns, 1)).astype(dtype)
    return LowRank([(left, right), some_floats(rng, count - rows * columns).astype(dtype)])


MAKERS = {
    "raw32": lambda rng, m: Raw(some_floats(rng, m)),
    "raw64": lambda rng, m: Raw(rng.standard_normal(m)),
    "half": lambda rng, m: Half(random_bits(rng, m)),
    "bfloat16": lambda rng, m: BFloat16(random_bits(rng, m)),
    "fp8": lambda rng, m: FP8(rng.integers(0, 256, m).astype(np.uint8), 0.3),
    "signs": lambda rng, m: Signs(packed_signs(rng, m), m, 0.7),
    "grouped_signs": grouped_signs,
    "levels": levels,
    "coded_levels": lambda rng, m: levels(rng, m, entropy=True),
    "natural": lambda rng, m: Natural(rng.integers(0, 512, m).astype(np.uint16)),
    "ternary": lambda rng, m: Ternary(rng.integers(-1, 2, m).astype(np.int8), -0.4),
    "low_rank": low_rank,
    "low_rank64": lambda rng, m: low_rank(rng, m, np.float64),
}


def subset(rng: np.random.Generator, dimension: int, count: int) -> np.ndarray:
    """Ascending indices; one time in two clustered, as those of gradients are."""
    if rng.random() < 0.5:
        start = rng.integers(0, dimension - count + 1)
        return np.arange(start, start + count, dtype=np.uint32)
    return np.sort(rng.choice(dimension, count, replace=False)).astype(np.uint32)


@st.composite
def messages(draw, largest: int = 3000) -> Message:
    """Any message: any codec on any support, d = 1, empty and full supports included."""
    kind = draw(st.sampled_from(sorted(MAKERS)))
    dimension = draw(st.one_of(st.integers(1, 40), st.integers(1, largest)))
    support = (
        "everything" if kind.startswith("low_rank") else draw(st.sampled_from(["everything", "indices", "seeded"]))
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    if support == "everything":
        return Message(dimension, Everything(), MAKERS[kind](rng, dimension))
    count = draw(st.one_of(st.just(0), st.just(dimension), st.integers(0, dimension), st.integers(0, dimension // 20)))
    values: Values = MAKERS[kind](rng, count)
    if support == "seeded":
        return Message(dimension, Seeded(np.uint64(draw(st.integers(0, 2**64 - 1))), count), values)
    return Message(dimension, Indices(subset(rng, dimension, count)), values)
