"""Normal numbers: their law (moments, distribution function, tails), their independence, and that keys decide all."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmom_mpi.kernels.normal import add_normal
from pmom_mpi.kernels.random import uniform_bits

MANY = 1_000_000


def normal(key, size, dtype=np.float64, sigma=1.0):
    vector = np.zeros(size, dtype)
    add_normal(np.uint64(key), sigma, vector)
    return vector


@pytest.fixture(scope="module")
def many():
    return normal(2024, MANY)


@given(st.integers(0, 2**64 - 1), st.integers(1, 5000))
def test_is_the_transform_of_box_and_muller(key, size):
    half = (size + 1) // 2
    words = np.array([int(uniform_bits(np.uint64(key), i)) for i in range(half)], object)
    radius = np.sqrt(-2 * np.log(np.array([((w >> 26) + 1) / 2**38 for w in words])))
    angle = np.array([((w & (2**24 - 1)) + 0.5) / 2**24 - 0.5 for w in words], float) * math.pi / 2
    angle += np.array([[0, 1, 2, 3][(w >> 24) & 3] for w in words]) * math.pi / 2
    expected = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:size]
    np.testing.assert_allclose(normal(key, size), expected, rtol=0, atol=2e-7)


def test_moments(many):
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((many**power).mean() - expected) < 5 * math.sqrt(variance / MANY)


def test_distribution_function_and_tails(many):
    for point in np.linspace(-4, 4, 33):
        below = 0.5 * math.erfc(-point / math.sqrt(2))
        assert abs((many < point).mean() - below) < 5 * math.sqrt(below * (1 - below) / MANY)
    assert 4.3 < np.abs(many).max() < 7.3


def test_pairs_and_neighbours_are_independent(many):
    half = MANY // 2
    for a, b in ((many[:half], many[half:]), (many[:-1], many[1:]), (many, normal(2025, MANY))):
        for transform in (np.asarray, np.square, np.sign):
            assert abs(np.corrcoef(transform(a), transform(b))[0, 1]) < 5 / math.sqrt(half)


@given(st.integers(0, 2**64 - 1), st.integers(1, 3000), st.floats(0, 100))
def test_float32_is_float64_rounded_and_sigma_scales(key, size, sigma):
    np.testing.assert_array_equal(normal(key, size, np.float32, sigma), normal(key, size, sigma=sigma).astype("f4"))
    np.testing.assert_array_equal(normal(key, size, sigma=sigma), sigma * normal(key, size))


def test_is_added():
    vector = np.arange(999.0)
    add_normal(np.uint64(7), 1.0, vector)
    np.testing.assert_array_equal(vector, np.arange(999.0) + normal(7, 999))
