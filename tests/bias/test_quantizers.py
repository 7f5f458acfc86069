import numpy as np
import pytest
from compressor_cases import sent, squared, step_for

from pmom_mpi.bias.cast import Cast
from pmom_mpi.bias.dithering import QSGD
from pmom_mpi.bias.natural import Natural
from pmom_mpi.bias.sign import ScaledSign
from pmom_mpi.bias.ternary import TernGrad
from pmom_mpi.wire.codec import bits
from pmom_mpi.wire.message import Everything, Message
from pmom_mpi.words.layout import Layout

VECTOR = np.random.default_rng(0).standard_normal(50_000).astype(np.float32)


def bits_a_coordinate(compressor, vector=VECTOR):
    values, _ = compressor.quantize(vector, step_for(vector))
    return bits(Message(vector.size, Everything(), values)) / vector.size


@pytest.mark.parametrize(
    ("compressor", "width"),
    [
        (QSGD(levels=7, bucket=None), 4),
        (QSGD(levels=7, bucket=512), 4 + 32 / 512),
        (QSGD(levels=127, bucket=None), 8),
        (Natural(), 9),
        (TernGrad(), 1.6),
        (Cast(dtype="float16"), 16),
        (Cast(dtype="bfloat16"), 16),
        (Cast(dtype="fp8"), 8),
    ],
)
def test_bits_a_coordinate(compressor, width):
    assert width <= bits_a_coordinate(compressor) < width + 0.02


def test_entropy_coded_levels_are_the_same_levels_in_fewer_bits():
    packed, coded = QSGD(levels=7, bucket=None), QSGD(levels=7, bucket=None, entropy=True)
    assert bits_a_coordinate(coded) < 1.5 < bits_a_coordinate(packed)
    np.testing.assert_array_equal(sent(packed, VECTOR), sent(coded, VECTOR))


def test_levels_are_multiples_of_the_buckets_norm():
    found = sent(QSGD(levels=5, bucket=1000), VECTOR).reshape(-1, 1000)
    norms = np.linalg.norm(VECTOR.reshape(-1, 1000).astype(float), axis=1)
    levels = found / norms[:, None] * 5
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-5)


def test_the_largest_magnitude_is_exact_under_the_max_norm():
    found = sent(QSGD(levels=4, bucket=None, norm="linf"), VECTOR)
    top = np.argmax(np.abs(VECTOR))
    assert found[top] == VECTOR[top]


def test_constants_of_the_theory():
    layout = Layout.flat(10_000)
    assert QSGD(levels=1, bucket=None).theory(layout).omega == pytest.approx(100)
    assert QSGD(levels=7, bucket=512).theory(layout).omega == pytest.approx(512 / 196)
    assert QSGD(levels=7, bucket=512).theory(Layout.flat(4)).omega == pytest.approx(4 / 196)
    assert TernGrad().theory(layout).omega == pytest.approx(49.5)


def test_terngrads_variance_is_its_formula_and_reaches_the_bound():
    vector = np.full(26, 1 / (1 + np.sqrt(26)), np.float32)
    vector[3] = -1
    errors = [squared(sent(TernGrad(), vector, step_for(vector, iteration=i)) - vector) for i in range(3000)]
    assert np.mean(errors) == pytest.approx(TernGrad().theory(Layout.flat(26)).omega * squared(vector), rel=0.05)


LARGEST = np.finfo(np.float32).max
NEAR = LARGEST * np.array([1, -1, 0.999999, -0.9999, 0.75, -0.6, 0.4999, 1e-3], np.float32)


@pytest.mark.parametrize("largest", [LARGEST, np.nextafter(LARGEST, np.float32(0)), np.float32(3e38)])
@pytest.mark.parametrize(
    "compressor",
    [
        Natural(),
        Natural(rounding="nearest"),
        Cast(dtype="bfloat16"),
        Cast(dtype="fp8"),
        TernGrad(),
        ScaledSign(),
        *(QSGD(levels=s, norm="linf") for s in (1, 7, 25, 31, 100, 127, 32767)),
        QSGD(levels=25, bucket=1),
    ],
    ids=repr,
)
def test_what_is_finite_stays_finite_up_to_the_largest_float32(compressor, largest):
    vector = NEAR / LARGEST * largest
    for iteration in range(20):
        found = sent(compressor, vector, step_for(vector, iteration=iteration))
        assert np.isfinite(found).all() and np.abs(found).max() <= LARGEST
    assert not np.isfinite(sent(compressor, np.append(vector, np.float32(np.inf)))).all()


def test_saturated_numbers_are_the_largest_there_are():
    vector = np.array([LARGEST, -LARGEST], np.float32)
    for rounding in ("random", "nearest"):
        assert sent(Natural(rounding=rounding), vector).tolist() == [2.0**127, -(2.0**127)]
    assert sent(Cast(dtype="bfloat16"), vector).tolist() == [LARGEST_BFLOAT16, -LARGEST_BFLOAT16]


LARGEST_BFLOAT16 = (2 - 2.0**-7) * 2.0**127


@pytest.mark.parametrize("compressor", [QSGD(), Natural(), TernGrad()])
def test_float64_beyond_float32_is_seen_to_diverge(compressor):
    assert not np.isfinite(sent(compressor, np.array([1e300, 1.0]))).all()
