"""Compressed broadcasts: every copy of w has the same bits, and w reaches an x that rests."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmom_mpi.bias.cast import Cast
from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.bias.rand_k import RandK
from pmom_mpi.bias.top_k import TopK
from pmom_mpi.method.downlink import Companion, Compressed, Dense
from pmom_mpi.wire.message import WireError
from pmom_mpi.words.layout import Layout

DIMENSION = 23


STAGES = {"top_halves": (TopK(k=4), Cast("float16")), "dense": (), "rand": (RandK(k=4),)}


def downlink(start, stages, checksum=False):
    pipeline = Pipeline(STAGES[stages], Layout.flat(DIMENSION), start.dtype, where="downlink")
    return Compressed(start, pipeline, 1, checksum)


def walk(seed, dtype, steps=10):
    return np.random.default_rng(seed).standard_normal((steps, DIMENSION)).cumsum(axis=0).astype(dtype)


@pytest.mark.parametrize("stages", STAGES)
@pytest.mark.parametrize("checksum", [False, True])
@given(seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from([np.float32, np.float64]))
def test_all_hold_the_same_model(stages, checksum, seed, dtype):
    points = walk(seed, dtype)
    sender = downlink(points[0], stages, checksum)
    receivers = [downlink(points[0], stages) for _ in range(3)]
    for k, x in enumerate(points):
        kept = x.copy()
        payload = sender.pack(x, k)
        for receiver in receivers:
            assert receiver.unpack(payload).tobytes() == sender.memory["w"].tobytes()
        np.testing.assert_array_equal(x, kept)
        if stages == "dense":
            np.testing.assert_allclose(
                sender.memory["w"], x, rtol=0, atol=10 * np.finfo(dtype).eps * np.abs(points).max()
            )


def test_the_error_of_a_resting_model_is_fed_back_until_it_is_gone():
    start, goal = walk(0, np.float32, 2)
    sender = downlink(start, "top_halves")
    errors = [np.linalg.norm(goal - start)]
    for k in range(40):
        sender.pack(goal, k)
        errors.append(np.linalg.norm(goal - sender.memory["w"]))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-6 * errors[0]


def test_start_is_copied_and_the_iteration_is_passed_on():
    start = np.zeros(DIMENSION)
    seventh, again, eighth = (downlink(start, "rand").pack(start + 1, k).copy() for k in (7, 7, 8))
    assert not start.any()
    assert seventh.tobytes() == again.tobytes() != eighth.tobytes()


def test_damaged_payloads_are_refused_and_empty_ones_change_nothing():
    sender, receiver = (
        downlink(np.zeros(DIMENSION), "dense", checksum=True),
        downlink(np.zeros(DIMENSION), "dense"),
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
    sender = downlink(start, "dense")
    assert sender.lag(goal) == pytest.approx(np.linalg.norm(goal - start))
    sender.pack(goal, 0)
    assert sender.lag(goal) <= 1e-15
    assert Dense(np.float64).lag(goal) is None
