"""Every message survives the wire bit for bit, and what is added is what the sender thinks is added."""

from __future__ import annotations

import dataclasses
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmom_mpi.wire.codec import CHECKSUM, add, bits, decode, encode, max_bytes, sections, to_dense
from pmom_mpi.wire.message import Everything, Indices, Message, Seeded, WireError
from pmom_mpi.wire.values import Half, LowRank, Raw, Signs

from .messages import messages, some_floats

BYTES = dict(deadline=None, max_examples=300)


def payload_of(message: Message, checksum: bool = False) -> np.ndarray:
    out = np.full(bits(message) // 8 + 4 + 64, 0xAA, np.uint8)
    size = encode(message, out, checksum)
    assert (out[size:] == 0xAA).all(), "encode wrote behind the payload"
    return out[:size].copy()


def same(a, b) -> bool:
    """Equal to the last bit, NaN and signed zeros included."""
    if isinstance(a, np.ndarray):
        return a.shape == b.shape and (a.tobytes() == b.tobytes() or (a.dtype.kind == "i" and (a == b).all()))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def assert_equal(a: Message, b: Message) -> None:
    assert a.dimension == b.dimension and type(a.support) is type(b.support) and type(a.values) is type(b.values)
    for left, right in ((a.support, b.support), (a.values, b.values)):
        for field in dataclasses.fields(left):
            if field.compare:
                assert same(getattr(left, field.name), getattr(right, field.name)), field.name


@settings(**BYTES)
@given(messages(), st.booleans())
def test_round_trip(message, checksum):
    payload = payload_of(message, checksum)
    assert_equal(message, decode(payload))
    assert 8 * payload.size == bits(message) + 32 * checksum


@settings(**BYTES)
@given(messages(), st.sampled_from([np.float32, np.float64]), st.integers(0, 2**32), st.integers(0, 7))
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:overflow:RuntimeWarning")
def test_add_is_to_dense_and_add(message, dtype, seed, shift):
    dense = np.empty(message.dimension, dtype)
    to_dense(message, dense)
    zeros = np.zeros(message.dimension, dtype)
    payload = np.zeros(shift, np.uint8)
    payload = np.concatenate([payload, payload_of(message)])[shift:]  # at any address, as in a receive buffer
    add(payload, zeros)
    assert dense.tobytes() == zeros.tobytes()

    total = np.random.default_rng(seed).standard_normal(message.dimension).astype(dtype)
    expected = total + dense
    add(payload, total)
    np.testing.assert_array_equal(expected, total)


@settings(**BYTES)
@given(messages())
def test_sections_add_up(message):
    payload = payload_of(message, checksum=True)
    spent = sections(payload)
    assert 8 * payload.size == sum(spent[f"{part}_bits"] for part in ("header", "index", "value", "checksum"))


def test_header_byte_by_byte():
    payload = payload_of(Message(6, Indices(np.array([5], np.uint32)), Raw(np.array([1.5], np.float32))), checksum=True)
    assert payload[:16].tobytes() == b"pm" + bytes([1, 1, 2, 1, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0])
    assert payload[16:21].tobytes() == bytes([1 << 5, 0, 0, 0xC0, 0x3F])
    assert payload[21:].tobytes() == zlib.crc32(payload[:21]).to_bytes(4, "little")


def test_raw_keeps_nan_payloads_and_signed_zeros():
    patterns = np.array([0x7FC00001, 0xFFFFFFFF, 0x7F800001, 0x80000000, 0x00000001], np.uint32)
    found = decode(payload_of(Message(5, Everything(), Raw(patterns.view(np.float32)))))
    assert found.values.array.view(np.uint32).tolist() == patterns.tolist()


@settings(**BYTES)
@given(messages(), st.data())
def test_checksum_finds_any_flipped_bit(message, data):
    payload = payload_of(message, checksum=True)
    bit = data.draw(st.integers(0, 8 * payload.size - 1).filter(lambda b: b // 8 != 3))
    payload[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(WireError):
        decode(payload)
    assert payload[3] == CHECKSUM


def test_dimension_of_the_total_must_match():
    payload = payload_of(Message(6, Everything(), Raw(np.ones(6, np.float32))))
    with pytest.raises(WireError, match="d = 6, not 7"):
        add(payload, np.zeros(7, np.float32))


@pytest.mark.parametrize(
    "message",
    [
        Message(3, Everything(), Raw(np.ones(2, np.float32))),
        Message(3, Indices(np.array([0, 3], np.uint32)), Raw(np.ones(2, np.float32))),
        Message(3, Indices(np.array([1, 1], np.uint32)), Raw(np.ones(2, np.float32))),
        Message(3, Indices(np.array([2, 1], np.uint32)), Raw(np.ones(2, np.float32))),
        Message(3, Indices(np.array([1, 2])), Raw(np.ones(2, np.float32))),
        Message(3, Seeded(np.uint64(1), 4), Raw(np.ones(4, np.float32))),
        Message(4, Indices(np.arange(4, dtype=np.uint32)), LowRank([np.ones(4, np.float32)])),
        Message(2**32, Indices(np.zeros(1, np.uint32)), Raw(np.ones(1, np.float32))),
    ],
)
def test_senders_own_mistakes_are_refused(message):
    with pytest.raises(ValueError):
        encode(message, np.zeros(1000, np.uint8))


def test_buffer_too_small():
    message = Message(3, Everything(), Raw(np.ones(3, np.float32)))
    with pytest.raises(ValueError, match="takes 28 bytes, the buffer has 27"):
        encode(message, np.zeros(27, np.uint8))
    assert encode(message, np.zeros(28, np.uint8)) == 28


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dimension", [1, 2, 9, 1000])
def test_max_bytes_are_enough_and_tight(dimension, dtype):
    rng = np.random.default_rng(0)
    most = max_bytes(dimension, dtype)
    for count in {0, 1, dimension // 2, dimension}:
        indices = np.sort(rng.choice(dimension, count, replace=False)).astype(np.uint32)
        values = Raw(some_floats(rng, count).astype(dtype))
        assert encode(Message(dimension, Indices(indices), values), np.zeros(most, np.uint8), checksum=True) <= most
    assert most <= dimension * (np.dtype(dtype).itemsize + 1 / 8) + 100


def test_indices_above_2_to_the_24_stay_exact():
    indices = np.array([0, 2**24 + 1, 2**24 + 3, 2**31 + 1, 2**32 - 2], np.uint32)
    payload = payload_of_sparse(2**32 - 1, indices)
    assert decode(payload).support.indices.tolist() == indices.tolist()


def payload_of_sparse(dimension: int, indices: np.ndarray) -> np.ndarray:
    out = np.zeros(10_000, np.uint8)
    return out[: encode(Message(dimension, Indices(indices), Raw(np.ones(indices.size, np.float32))), out)]


def test_one_bit_signs_are_one_bit():
    d = 669_706
    signs = Signs(np.zeros((d + 7) // 8, np.uint8), d, 1.0)
    assert 8 * payload_of(Message(d, Everything(), signs)).size / d <= 1.01


def test_sizes_are_those_of_each_message_not_of_the_largest():
    sizes = [payload_of_sparse(1000, np.arange(m, dtype=np.uint32)).size for m in (1, 10, 20)]
    assert sizes[0] < sizes[1] < sizes[2] and sizes[0] == 16 + 4 + 4


def test_signs_of_magnitudes_travel():
    indices = np.array([1, 2], np.uint32)
    message = Message(4, Indices(indices), Half(np.array([-2.0, 3.0], np.float16).view(np.uint16)))
    total = np.zeros(4, np.float32)
    add(payload_of(message), total)
    assert total.tolist() == [0.0, -2.0, 3.0, 0.0]


def test_index_bits_are_counted():
    rng = np.random.default_rng(0)
    indices = np.sort(rng.choice(1000, 100, replace=False)).astype(np.uint32)
    spent = sections(payload_of_sparse(1000, indices))
    assert spent["support"] == "rice" and spent["index_bits"] >= 450 and spent["value_bits"] == 3200
