"""Bytes from anywhere: a clear error or a message, never a touch outside the arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pmom_mpi.kernels.rice import BLOCK
from pmom_mpi.wire.codec import HEADER, MAGIC, VERSION, add, decode, encode
from pmom_mpi.wire.indices import CODECS as SUPPORTS
from pmom_mpi.wire.message import Everything, Indices, Message, WireError
from pmom_mpi.wire.values import CODECS, LowRank, Raw

from .messages import messages
from .test_codec import payload_of

EVERYTHING, RAW, BITMAP, RICE, SEEDED = sorted(SUPPORTS)
GUARD = 4096
FUZZ = dict(deadline=None, max_examples=500)


def try_both(payload: np.ndarray, dimension: int) -> None:
    """`decode` and `add` agree on whether the bytes are valid, and write nothing beside the total."""
    payload = payload.copy()
    payload.flags.writeable = False
    fenced = np.zeros(dimension + 2 * GUARD, np.float32)
    total = fenced[GUARD : GUARD + dimension]
    try:
        add(payload, total)
        added = True
    except WireError as error:
        added = False
        assert "\n" not in str(error)
    assert not fenced[:GUARD].any() and not fenced[GUARD + dimension :].any()
    try:
        message = decode(payload)
    except WireError:
        assert not added
    else:
        assert added or message.dimension != dimension
        if added:
            again = np.zeros(payload.size + 64, np.uint8)
            encode(message, again)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(**FUZZ)
@given(st.binary(max_size=200))
def test_random_bytes(data):
    try_both(np.frombuffer(data, np.uint8), 10)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(**FUZZ)
@given(
    st.sampled_from([EVERYTHING, RAW, BITMAP, RICE, SEEDED]),
    st.sampled_from(sorted(code for code in CODECS if code < 128)),  # others are users'
    st.integers(0, 600),
    st.integers(0, 600),
    st.binary(max_size=300),
)
@example(RICE, 1, 9, 1, b"\xff\xff\xff\xff\x1f" + b"\xff" * 20)
def test_valid_header_random_body(support, code, dimension, count, body):
    count = min(count, dimension)
    header = HEADER.pack(MAGIC, VERSION, 0, support, code, 0, dimension, count)
    try_both(np.frombuffer(header + body, np.uint8), dimension)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(**FUZZ)
@given(messages(), st.data())
def test_flipped_bits(message, data):
    payload = payload_of(message)
    for _ in range(data.draw(st.integers(1, 3))):
        bit = data.draw(st.integers(0, 8 * payload.size - 1))
        payload[bit // 8] ^= 1 << (bit % 8)
    try_both(payload, message.dimension)


@settings(**FUZZ)
@given(messages(), st.booleans(), st.data())
def test_truncated(message, checksum, data):
    payload = payload_of(message, checksum)
    shorter = payload[: data.draw(st.integers(0, payload.size - 1))]
    with pytest.raises(WireError):
        decode(shorter)
    with pytest.raises(WireError):
        add(shorter, np.zeros(message.dimension, np.float32))


@settings(**FUZZ)
@given(messages(), st.booleans(), st.binary(min_size=1, max_size=20))
def test_overlong(message, checksum, more):
    payload = np.concatenate([payload_of(message, checksum), np.frombuffer(more, np.uint8)])
    with pytest.raises(WireError):
        decode(payload)
    with pytest.raises(WireError):
        add(payload, np.zeros(message.dimension, np.float32))


@pytest.mark.parametrize("indices", [[0, 10], [3, 3], [5, 2]])
def test_raw_indices_must_ascend_and_stay_below_d(indices):
    header = HEADER.pack(MAGIC, VERSION, 0, RAW, 1, 0, 10, 2)
    payload = np.frombuffer(header + np.array(indices, "<u4").tobytes() + bytes(8), np.uint8)
    with pytest.raises(WireError, match="ascending numbers below d = 10"):
        decode(payload)
    with pytest.raises(WireError):
        add(payload, np.zeros(10, np.float32))


def test_rice_gaps_that_run_past_d():
    indices = np.arange(0, 40 * (2 * BLOCK + 9), 40).astype(np.uint32)
    out = np.zeros(100_000, np.uint8)
    d = int(indices[-1]) + 1
    payload = out[: encode(Message(d, Indices(indices), Raw(np.ones(indices.size, np.float32))), out)]
    assert payload[4] == RICE
    payload[8:12] = np.array([d - 1], "<u4").view(np.uint8)
    try_both(payload, d - 1)
    with pytest.raises(WireError):
        decode(payload)


@pytest.mark.parametrize(
    "change, message",
    [({0: ord("x")}, "begins with"), ({2: 9}, "version 9"), ({3: 2}, "flags 2"), ({5: 200}, "value code 200")],
)
def test_header_errors_say_what_is_wrong(change, message):
    payload = payload_of(Message(3, Indices(np.array([1], np.uint32)), Raw(np.ones(1, np.float32))))
    for position, byte in change.items():
        payload[position] = byte
    with pytest.raises(WireError, match=message):
        decode(payload)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "shape", [(2, 2, 2), (6, 2, 0), (2**31, 2**31, 1), (4, 4, 2**32 - 1), (12, 1, 0), (11, 1, 0), (0, 0, 9)]
)
def test_shapes_of_factors_that_lie(dtype, shape):
    parts = LowRank([(np.ones((3, 1), dtype), np.ones((3, 1), dtype)), np.ones(3, dtype)])
    payload = payload_of(Message(12, Everything(), parts))
    assert payload[5] == (11 if dtype == np.float32 else 12)
    for part in (20, 32):
        wrong = payload.copy()
        wrong[part : part + 12] = np.array(shape, "<u4").view(np.uint8)
        try_both(wrong, 12)
        with pytest.raises(WireError):
            decode(wrong)


@pytest.mark.parametrize("code, other", [(11, 12), (12, 11)])
def test_factors_of_one_type_are_not_read_as_the_other(code, other):
    parts = LowRank([np.ones(12, np.float32 if code == 11 else np.float64)])
    payload = payload_of(Message(12, Everything(), parts))
    payload[5] = other
    with pytest.raises(WireError, match="bytes where"):
        decode(payload)
