"""What each codec's bits mean, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from pmom_mpi.wire.codec import decode, encode
from pmom_mpi.wire.message import Everything, Message
from pmom_mpi.wire.values import (
    CODECS,
    FP8,
    BFloat16,
    Half,
    Levels,
    LowRank,
    Natural,
    Raw,
    Signs,
    Ternary,
    register,
)  # fmt: skip
from pmom_mpi.wire.values.casts import e4m3
from pmom_mpi.words.errors import UserError

from .messages import messages

ALL_WORDS = np.arange(2**16, dtype=np.uint32).astype(np.uint16)


def dense(values, dtype=np.float32) -> np.ndarray:
    total = np.zeros(values.count, dtype)
    values.add(total)
    return total


def test_every_float16():
    np.testing.assert_array_equal(dense(Half(ALL_WORDS)), ALL_WORDS.view(np.float16).astype(np.float32))


def test_every_bfloat16():
    expected = (ALL_WORDS.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(dense(BFloat16(ALL_WORDS)), expected)


def test_e4m3_is_the_ocp_format():
    table = e4m3()
    assert table[[0x00, 0x01, 0x07, 0x08, 0x38, 0x7E]].tolist() == [0, 2**-9, 7 * 2**-9, 2**-6, 1, 448]
    assert np.isnan(table[[0x7F, 0xFF]]).all() and np.isfinite(table).sum() == 254
    np.testing.assert_array_equal(table[128:], -table[:128])


def test_fp8_scales():
    codes = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(dense(FP8(codes, 0.1)), e4m3() * np.float32(0.1))


@pytest.mark.parametrize("scale", [0.3, 0.0, np.inf, np.nan])
def test_signs(scale):
    negative = np.random.default_rng(0).random(77) < 0.5
    values = Signs(np.packbits(negative, bitorder="little"), 77, scale)
    np.testing.assert_array_equal(dense(values), np.where(negative, -np.float32(scale), np.float32(scale)))


def test_signs_with_a_scale_for_each_tensor():
    negative = np.random.default_rng(0).random(50) < 0.5
    sizes = np.array([0, 3, 30, 17], np.uint32)
    scale = np.array([9, 1, 2, 3], np.float32)
    values = Signs(np.packbits(negative, bitorder="little"), 50, scale, sizes)
    np.testing.assert_array_equal(dense(values), np.where(negative, -1, 1) * np.repeat(scale, sizes))


@pytest.mark.parametrize("levels", [1, 3, 4, 127, 500, 32767])
def test_levels(levels):
    rng = np.random.default_rng(0)
    codes = rng.integers(-levels, levels + 1, 1000).astype(np.int16)
    norms = rng.random(16).astype(np.float32)
    expected = np.repeat(norms / np.float32(levels), 64)[:1000] * codes.astype(np.float32)
    np.testing.assert_array_equal(dense(Levels(codes, norms, 64, levels)), expected)


@pytest.mark.parametrize("levels, bits", [(1, 2), (2, 3), (3, 3), (4, 4), (7, 4), (8, 5), (127, 8)])
def test_levels_take_ceil_log2_bits(levels, bits):
    values = Levels(np.zeros(800, np.int8), np.ones(1, np.float32), 800, levels)
    assert values.size() == 8 + 4 + 100 * bits


def test_entropy_coded_levels_are_smaller_where_most_are_zero():
    codes = (np.random.default_rng(0).random(10_000) < 0.04).astype(np.int8)
    norms = np.ones(20, np.float32)
    assert Levels(codes, norms, 512, 7, entropy=True).size() < 0.35 * Levels(codes, norms, 512, 7).size()
    spread = np.random.default_rng(0).integers(-7, 8, 10_000).astype(np.int8)
    assert Levels(spread, norms, 512, 7, entropy=True).size() <= Levels(spread, norms, 512, 7).size()


def test_natural_is_the_top_of_a_float32():
    powers = np.array([0.0, 1.0, -2.0, 2.0**-126, -(2.0**127), np.inf, -np.inf], np.float32)
    codes = (powers.view(np.uint32) >> 23).astype(np.uint16)
    np.testing.assert_array_equal(dense(Natural(codes)), powers)
    assert Natural(codes).size() == 7 + 1


def test_ternary():
    codes = np.random.default_rng(0).integers(-1, 2, 1003).astype(np.int8)
    np.testing.assert_array_equal(dense(Ternary(codes, 0.7)), np.float32(0.7) * codes)
    assert Ternary(codes).size() == 4 + 201


def test_low_rank():
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((n, 2)).astype(np.float32) for n in (30, 20))
    rest = rng.standard_normal(7).astype(np.float32)
    found = dense(LowRank([rest, (left, right), rest]), np.float64)
    np.testing.assert_allclose(found[7:-7].reshape(30, 20), left @ right.T, rtol=1e-5, atol=1e-6)
    assert (found[:7] == rest).all() and (found[-7:] == rest).all()


def test_low_rank_takes_strided_factors():
    left, right = np.arange(12, dtype=np.float32).reshape(2, 6).T, np.ones((5, 2), np.float32, order="F")
    message = Message(30, Everything(), LowRank([(left, right)]))
    out = np.zeros(500, np.uint8)
    found = decode(out[: encode(message, out)])
    np.testing.assert_array_equal(dense(found.values), dense(message.values))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Raw(np.ones(3, np.int32)),
        lambda: Half(np.ones(3, np.float16)),
        lambda: FP8(np.ones(3, np.int8)),
        lambda: Signs(np.zeros(1, np.uint8), 9),
        lambda: Signs(np.array([8], np.uint8), 3),
        lambda: Signs(np.zeros(1, np.uint8), 8, np.ones(2), np.array([4, 5])),
        lambda: Levels(np.array([2], np.int8), np.ones(1, np.float32), 1, 1),
        lambda: Levels(np.zeros(3, np.int8), np.ones(1, np.float32), 2, 1),
        lambda: Levels(np.zeros(3, np.int8), np.ones(1, np.float32), 3, 0),
        lambda: Natural(np.array([512], np.uint16)),
        lambda: Ternary(np.array([2], np.int8)),
        lambda: LowRank([(np.ones((2, 2), np.float32), np.ones((2, 2), np.float32))]),
        lambda: LowRank([(np.ones((9, 1), np.float32), np.ones((9, 2), np.float32))]),
        lambda: LowRank([np.ones(3), np.ones(3, np.float32)]),
        lambda: LowRank([(np.ones((9, 1)), np.ones((9, 1), np.float32))]),
    ],
)
def test_data_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError):
        wrong()


def test_low_rank_in_float64_keeps_every_bit():
    rng = np.random.default_rng(0)
    left, right, rest = rng.standard_normal((30, 2)), rng.standard_normal((20, 2)), rng.standard_normal(7)
    values = LowRank([(left, right), rest])
    out = np.zeros(2000, np.uint8)
    found = decode(out[: encode(Message(607, Everything(), values), out)]).values
    assert found.code == 12
    for total in (dense(values, np.float64), dense(found, np.float64)):
        np.testing.assert_array_equal(total[:600], (left[:, :1] * right[:, 0] + left[:, 1:] * right[:, 1]).ravel())
        np.testing.assert_array_equal(total[600:], rest)


@settings(max_examples=300)
@given(messages())
def test_no_values_take_more_than_their_codec_says(message):
    values, count = message.values, message.values.count
    most = {
        Raw: lambda: Raw.max_size(count, values.array.dtype),
        Signs: lambda: Signs.max_size(count, values.scale.size),
        Levels: lambda: Levels.max_size(count, values.bucket, values.levels),
        LowRank: lambda: LowRank.max_size(
            [(*(a.shape[0] for a in part), part[0].shape[1]) if isinstance(part, tuple) else (part.size, 1, 0)
             for part in values.parts], np.float64 if values.code == 12 else np.float32),
    }.get(type(values), lambda: type(values).max_size(count))()  # fmt: skip
    assert values.size() <= most
    if not (isinstance(values, Levels) and values.code == 8):
        assert values.size() == most
    assert values.nominal_bits() <= 8 * most


def test_the_codes_of_built_in_codecs_are_not_for_others():
    class Mine(Natural):
        value_codes = (42,)

    with pytest.raises(UserError, match=r"Mine: value code 42 is not one of 128 to 255"):
        register(Mine)
    Mine.value_codes = (200,)
    register(Mine)
    try:
        assert register(Mine) is CODECS[200]

        class Other(Natural):
            value_codes = (200,)

        with pytest.raises(UserError, match=r"Other: value code 200 is that of .*Mine"):
            register(Other)
    finally:
        del CODECS[200]
