import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pmom_mpi.kernels import quantize
from pmom_mpi.kernels.random import uniform_bits
from pmom_mpi.wire.values.casts import e4m3

KEY = np.uint64(2026)
single = hnp.arrays(np.float32, st.integers(0, 50), elements=st.floats(width=32))


def every_pattern(step):
    return np.arange(0, 2**32, step, dtype=np.uint64).astype(np.uint32).view(np.float32)


def halves():
    """All binary16 numbers, the middles between neighbours, and float32 just beside both."""
    numbers = np.arange(0x7C01, dtype=np.uint16).view(np.float16).astype(np.float32)
    numbers[-1] = 65536
    middles = ((numbers[1:].astype(float) + numbers[:-1]) / 2).astype(np.float32)
    exact = np.concatenate([numbers, middles])
    below, above = (np.nextafter(exact, np.float32(end)) for end in (-np.inf, np.inf))
    return np.concatenate([exact, below, above, -exact])


@pytest.mark.parametrize("vector", [every_pattern(4099), halves()])
def test_float16_is_numpys(vector):
    out = np.empty(vector.size, np.uint16)
    quantize.to_float16(vector, out)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = vector.astype(np.float16)
    number = ~np.isnan(vector)
    np.testing.assert_array_equal(out[number], expected[number].view(np.uint16))
    assert np.isnan(out[~number].view(np.float16)).all()


@pytest.mark.parametrize("vector", [every_pattern(4099)])
def test_bfloat16_is_the_nearest_with_ties_to_even(vector):
    out = np.empty(vector.size, np.uint16)
    quantize.to_bfloat16(vector.view(np.uint32), out)
    decoded = (out.astype(np.uint32) << 16).view(np.float32)
    assert np.isnan(decoded[np.isnan(vector)]).all()
    finite = np.isfinite(vector) & np.isfinite(decoded)
    words = vector.view(np.uint32)[finite] & 0xFFFF0000
    down, up = words.view(np.float32).astype(float), (words + 0x10000).view(np.float32).astype(float)
    exact, found = vector[finite].astype(float), decoded[finite].astype(float)
    near = np.where(np.abs(exact - down) < np.abs(up - exact), down, up)
    tie = np.abs(exact - down) == np.abs(up - exact)
    near[tie] = np.where(words[tie] >> 16 & 1, up[tie], down[tie])
    np.testing.assert_array_equal(found, near)


@pytest.mark.parametrize("scale", [1.0, 2.0**-100, 2.0**20])
def test_e4m3_is_the_nearest_with_ties_to_even(scale):
    codes = e4m3()[:0x7F].astype(float)
    middles = (codes[1:] + codes[:-1]) / 2
    points = np.concatenate([codes, middles, middles * (1 - 1e-6), middles * (1 + 1e-6), [449, 1e6], -codes])
    vector = (points * scale).astype(np.float32)
    out = np.empty(vector.size, np.uint8)
    quantize.to_e4m3(vector, np.float32(scale), out)
    magnitudes = np.abs(vector.astype(float) / scale)
    distance = np.abs(codes - magnitudes[:, None])
    even = np.arange(codes.size) % 2
    best = np.lexsort((np.broadcast_to(even, distance.shape), distance))[:, 0]
    np.testing.assert_array_equal(out & 0x7F, best)
    np.testing.assert_array_equal(out >> 7, np.signbit(vector))


@given(single)
def test_largest_is_the_largest_magnitude_or_nan(vector):
    found = np.array([quantize.largest(vector.view(np.uint32))], np.uint32).view(np.float32)[0]
    np.testing.assert_equal(found, np.max(np.abs(vector), initial=0))


def reference_levels(vector, key, norms, bucket, levels):
    """The formula, one coordinate after the other, in float32."""
    codes = []
    for j, value in enumerate(vector):
        word = int(uniform_bits(key, j // 2)) >> 32 * (j % 2) & 0xFFFFFFFF
        uniform = np.float32(word >> 8) * np.float32(2.0**-24)
        norm = norms[j // bucket]
        level = abs(value) * (np.float32(levels) / norm) + uniform if norm else np.float32(0)
        codes.append(int(np.copysign(min(int(level), levels), value)))
    return codes


@given(st.integers(1, 40), st.integers(1, 200), st.integers(1, 5000))
def test_levels_follow_the_formula(bucket, levels, size):
    vector = np.random.default_rng(size).standard_normal(size).astype(np.float32)
    norms = np.empty(-(-size // bucket), np.float32)
    quantize.bucket_maxima(vector.view(np.uint32), bucket, norms.view(np.uint32))
    parts = [vector[b * bucket : (b + 1) * bucket] for b in range(norms.size)]
    np.testing.assert_array_equal(norms, [np.abs(part).max() for part in parts])
    codes = np.empty(size, np.int16)
    quantize.dither(vector, KEY, norms, bucket, levels, codes)
    some = slice(0, 200)
    assert codes[some].tolist() == reference_levels(vector[some], KEY, norms, bucket, levels)
    quantize.bucket_norms(vector, bucket, norms)
    np.testing.assert_allclose(norms, [np.linalg.norm(part) for part in parts], rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-45, 1e-38, 1e-20, 1e20, 3e38])
def test_levels_survive_any_scale(scale):
    vector = (np.array([1, -0.5, 0, 0.25]) * scale).astype(np.float32)
    codes = np.empty(4, np.int8)
    quantize.dither(vector, KEY, np.abs(vector[:1]), 4, 4, codes)
    assert codes[0] == 4
    assert codes[2] == 0
    if scale > 1e-40:
        assert codes.tolist() == [4, -2, 0, 1]


def test_levels_of_a_spoilt_bucket_are_finite():
    vector = np.array([np.nan, np.inf, -np.inf, 0, 1], np.float32)
    for norm in (np.nan, np.inf):
        codes = np.empty(5, np.int8)
        quantize.dither(vector, KEY, np.array([norm], np.float32), 5, 3, codes)
        assert np.abs(codes).max() <= 3


def test_powers_round_to_a_neighbour_with_the_right_mean():
    tiny = np.float32(2.0**-126)
    for value in [1.0, 1.25, -1.9, 3.0, 1e-20, float(tiny) * 0.3]:
        codes = np.empty(40_000, np.uint16)
        vector = np.full(codes.size, value, np.float32)
        quantize.powers_random(vector.view(np.uint32), KEY, codes)
        decoded = (codes.astype(np.uint32) << 23).view(np.float32).astype(float)
        assert len(set(decoded)) <= 2
        assert np.mean(decoded) == pytest.approx(value, rel=0.02)


@given(single)
def test_nearest_powers(vector):
    codes = np.empty(vector.size, np.uint16)
    quantize.powers_nearest(vector.view(np.uint32), codes)
    decoded = (codes.astype(np.uint32) << 23).view(np.float32).astype(float)
    assert np.isinf(decoded[~np.isfinite(vector)]).all()
    normal = np.isfinite(vector) & (np.abs(vector) >= 2.0**-126) & (np.abs(vector) < 1.5 * 2.0**127)
    exact = vector[normal].astype(float)
    assert (np.abs(decoded[normal] - exact) <= np.abs(exact) / 3).all()
    assert (np.sign(decoded[normal]) == np.sign(exact)).all()
    assert (decoded[vector == 0] == 0).all()


def test_draws_depend_on_the_coordinate_only():
    long = np.linspace(-1, 1, 3 * quantize.CHUNK + 5).astype(np.float32)
    norm = np.ones(1, np.float32)
    codes, start = np.empty(long.size, np.int8), np.empty(101, np.int8)
    quantize.dither(long, KEY, norm, long.size, 5, codes)
    quantize.dither(long[:101], KEY, norm, long.size, 5, start)
    np.testing.assert_array_equal(codes[:101], start)
