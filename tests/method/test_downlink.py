"""Compressed broadcasts: every copy of w has the same bits, and w reaches an x that rests."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmom_mpi.method.downlink import Companion, Compressed, Dense
from pmom_mpi.wire.message import Everything, Indices, Message, WireError
from pmom_mpi.wire.values import Half, Raw

DIMENSION = 23


def top_halves(difference, iteration):
    """The 4 largest entries, as float16."""
    kept = np.sort(np.argsort(-np.abs(difference), kind="stable")[:4]).astype(np.uint32)
    return Message(DIMENSION, Indices(kept), Half(difference[kept].astype(np.float16).view(np.uint16)))


def dense(difference, iteration):
    return Message(DIMENSION, Everything(), Raw(difference))


def walk(seed, dtype, steps=10):
    return np.random.default_rng(seed).standard_normal((steps, DIMENSION)).cumsum(axis=0).astype(dtype)


@pytest.mark.parametrize("compress", [top_halves, dense])
@pytest.mark.parametrize("checksum", [False, True])
@given(seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from([np.float32, np.float64]))
def test_all_hold_the_same_model(compress, checksum, seed, dtype):
    points = walk(seed, dtype)
    sender = Compressed(points[0], compress, 256, checksum)
    receivers = [Compressed(points[0], compress, 256) for _ in range(3)]
    for k, x in enumerate(points):
        kept = x.copy()
        payload = sender.pack(x, k)
        for receiver in receivers:
            assert receiver.unpack(payload).tobytes() == sender.memory["w"].tobytes()
        np.testing.assert_array_equal(x, kept)
        if compress is dense:
            np.testing.assert_allclose(
                sender.memory["w"], x, rtol=0, atol=10 * np.finfo(dtype).eps * np.abs(points).max()
            )


def test_the_error_of_a_resting_model_is_fed_back_until_it_is_gone():
    start, goal = walk(0, np.float32, 2)
    sender = Compressed(start, top_halves, 256)
    errors = [np.linalg.norm(goal - start)]
    for k in range(40):
        sender.pack(goal, k)
        errors.append(np.linalg.norm(goal - sender.memory["w"]))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-6 * errors[0]


def test_start_is_copied_and_the_iteration_is_passed_on():
    start, asked = np.zeros(DIMENSION), []

    def compress(difference, iteration):
        asked.append(iteration)
        return dense(difference, iteration)

    sender = Compressed(start, compress, 256)
    sender.pack(start + 1, 7)
    assert asked == [7]
    assert not start.any()
    assert (sender.memory["w"] == 1).all()


def test_damaged_payloads_are_refused_and_empty_ones_change_nothing():
    sender, receiver = (
        Compressed(np.zeros(DIMENSION), dense, 256, checksum=True),
        Compressed(np.zeros(DIMENSION), dense, 256),
    )
    payload = sender.pack(np.ones(DIMENSION), 0).copy()
    payload[30] ^= 1
    with pytest.raises(WireError):
        receiver.unpack(payload)
    assert not receiver.unpack(payload[:0]).any()


def test_a_companion_of_no_numbers_is_no_companion():
    """A network without batch norms has a state of size 0."""

    class Problem:
        state = np.zeros(0, np.float32)

    x = np.arange(5, dtype=np.float32)
    way = Companion(Dense(np.float32), Problem())
    assert way.unpack(way.pack(x, 0)).tolist() == x.tolist()


def test_the_lag_is_how_far_the_nodes_model_is_behind():
    start, goal = walk(0, np.float64, 2)
    sender = Compressed(start, dense, 256)
    assert sender.lag(goal) == pytest.approx(np.linalg.norm(goal - start))
    sender.pack(goal, 0)
    assert sender.lag(goal) <= 1e-15
    assert Dense(np.float64).lag(goal) is None
