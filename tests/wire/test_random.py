"""Counter-based draws and seeded supports."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from pmom_mpi.kernels.random import seeded_indices, uniform, uniform32, uniform_bits


def drawn(key: int, dimension: int, count: int) -> np.ndarray:
    out = np.empty(count, np.uint32)
    seeded_indices(np.uint64(key), dimension, count, out)
    return out


@njit
def _bits(key, first, out):
    for j in range(out.size):
        out[j] = uniform_bits(key, first + j)


def test_bits_are_those_of_splitmix64():
    out = np.empty(3, np.uint64)
    _bits(np.uint64(1234567), 0, out)
    assert out.tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_uniform_numbers_lie_in_the_half_open_interval():
    numbers = np.array([uniform(np.uint64(5), j) for j in range(2000)])
    singles = np.array([uniform32(np.uint64(5), j) for j in range(2000)])
    assert 0 <= numbers.min() and numbers.max() < 1 and abs(numbers.mean() - 0.5) < 0.03
    assert np.abs(numbers - singles).max() <= 2.0**-24 and singles.max() < 1


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(1, 3000), st.floats(0, 1))
def test_seeded_indices_are_distinct_ascending_and_below_d(key, dimension, fraction):
    count = round(fraction * dimension)
    indices = drawn(key, dimension, count)
    assert (np.diff(indices.astype(np.int64)) > 0).all()
    assert count == 0 or indices[-1] < dimension
    assert (indices == drawn(key, dimension, count)).all()


def test_golden_indices():
    assert drawn(42, 1000, 5).tolist() == [38, 159, 278, 344, 741]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_every_subset_is_equally_likely(count):
    draws = 20_000
    seen: dict[tuple[int, ...], int] = {}
    for key in range(draws):
        subset = tuple(drawn(key * 0x2545F4914F6CDD1D % 2**64, 5, count).tolist())
        seen[subset] = seen.get(subset, 0) + 1
    expected = draws / {1: 5, 2: 10, 3: 10, 4: 5, 5: 1}[count]
    statistic = sum((n - expected) ** 2 / expected for n in seen.values())
    assert len(seen) == draws / expected and statistic < 30  # chi-squared, at most 9 degrees of freedom


def test_largest_dimension():
    assert drawn(7, 2**32 - 1, 3)[-1] < 2**32 - 1
