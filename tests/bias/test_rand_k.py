import numpy as np
import pytest
from compressor_cases import sent, step_for

from pmom_mpi.bias.dithering import QSGD
from pmom_mpi.bias.rand_k import RandK
from pmom_mpi.wire.codec import bits, encode, max_bytes
from pmom_mpi.wire.message import Seeded
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout

VECTOR = np.arange(1, 1001, dtype=np.float32)


def test_sends_k_values_as_they_are_or_times_d_over_k():
    for scale, factor in (("biased", 1), ("unbiased", 10)):
        found = sent(RandK(k=100, scale=scale), VECTOR)
        kept = np.flatnonzero(found)
        assert kept.size == 100
        np.testing.assert_array_equal(found[kept], VECTOR[kept] * factor)


def test_no_indices_travel():
    message, kept = RandK(fraction=0.1).compress(VECTOR, step_for(VECTOR))
    assert isinstance(message.support, Seeded)
    assert kept == (100.0,)
    size = encode(message, np.empty(max_bytes(1000, np.float32), np.uint8))
    assert 8 * size == bits(message) <= 32 * 100 + 64 + 128


def test_nodes_and_iterations_draw_different_coordinates():
    supports = {
        tuple(np.flatnonzero(sent(RandK(k=5), VECTOR, step_for(VECTOR, node=node, iteration=k))))
        for node in range(5)
        for k in range(5)
    }
    assert len(supports) == 25


def test_a_quantizer_behind_it_has_draws_of_its_own():
    step = step_for(VECTOR)
    message, _ = RandK(k=5).compress(VECTOR, step)
    assert QSGD().key(step) != message.support.key


def test_k_above_d_is_the_users_error():
    with pytest.raises(UserError, match=r"^downlink\[1\]\.k: 6 is more than d = 5"):
        RandK(k=6).check((), Layout.flat(5), "downlink[1]")
