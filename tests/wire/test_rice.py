"""Index bits against the entropy bound, and Rice codes of any numbers."""

from __future__ import annotations

from math import lgamma, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmom_mpi.kernels import rice, rice_read
from pmom_mpi.wire.codec import encode, max_bytes, sections
from pmom_mpi.wire.message import Indices, Message
from pmom_mpi.wire.rice import rice_plan, rice_section
from pmom_mpi.wire.values import Raw


def log2_binomial(n: int, k: int) -> float:
    return (lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)) / log(2)


@pytest.mark.parametrize("fraction", [0.001, 0.01, 0.1])
@pytest.mark.parametrize("dimension", [669_706, 2_000_000])
def test_index_bits_are_within_5_percent_of_the_entropy(dimension, fraction):
    count = round(fraction * dimension)
    indices = np.sort(np.random.default_rng(0).choice(dimension, count, replace=False)).astype(np.uint32)
    out = np.empty(max_bytes(dimension, np.float32), np.uint8)
    size = encode(Message(dimension, Indices(indices), Raw(np.ones(count, np.float32))), out)
    spent = sections(out[:size])
    assert spent["support"] == "rice"
    assert spent["index_bits"] <= 1.03 * log2_binomial(dimension, count)


def test_clustered_indices_cost_less_than_the_entropy_of_random_ones():
    rng = np.random.default_rng(1)
    dense, thin = rng.choice(20_000, 6_000, replace=False), 20_000 + rng.choice(600_000, 6_000, replace=False)
    gaps = np.empty(12_000, np.uint32)
    rice.gaps(np.sort(np.concatenate([dense, thin])).astype(np.uint32), gaps)
    assert 8 * rice_plan(gaps).size < 0.9 * log2_binomial(620_000, 12_000)


@pytest.mark.parametrize("fraction, support", [(0.4, "bitmap"), (0.1, "rice"), (0.0, "raw")])
def test_cheapest_code_is_taken(fraction, support):
    indices = np.flatnonzero(np.random.default_rng(2).random(20_000) < fraction).astype(np.uint32)
    out = np.empty(max_bytes(20_000, np.float32), np.uint8)
    size = encode(Message(20_000, Indices(indices), Raw(np.ones(indices.size, np.float32))), out)
    assert sections(out[:size])["support"] == support


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 32), min_size=1, max_size=8), st.integers(0, 2000))
def test_any_numbers_round_trip(seed, widths, count):
    rng = np.random.default_rng(seed)
    numbers = (rng.integers(0, 2**32, count) >> (32 - rng.choice(widths, count))).astype(np.uint32)
    plan = rice_plan(numbers)
    out = np.full(plan.size + 16, 0xAA, np.uint8)
    plan.write(out[: plan.size])
    assert (out[plan.size :] == 0xAA).all()
    size, padded = rice_section(out[: plan.size].copy(), count)
    assert size == plan.size
    found = np.empty(count, np.uint32)
    assert rice_read.rice_numbers(padded, 2**32, found)
    assert (found == numbers).all()
    if count:
        assert not rice_read.rice_numbers(padded, int(numbers.max()), found)
