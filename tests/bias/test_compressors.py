"""What every compressor promises: its class, its constant, and sane answers to odd vectors."""

import numpy as np
import pytest
from compressor_cases import FLOATS, sent, squared, step_for, vectors
from hypothesis import given, settings
from hypothesis import strategies as st

from pmom_mpi.bias.base import Quantizer, Sparsifier
from pmom_mpi.bias.cast import Cast
from pmom_mpi.bias.dithering import QSGD
from pmom_mpi.bias.natural import Natural
from pmom_mpi.bias.power_sgd import PowerSGD
from pmom_mpi.bias.rand_k import RandK
from pmom_mpi.bias.sign import ScaledSign, SignMajority
from pmom_mpi.bias.ternary import TernGrad
from pmom_mpi.bias.threshold import AdaptiveThreshold, Threshold
from pmom_mpi.bias.top_k import TopK
from pmom_mpi.wire.codec import add, bits, decode, encode, to_dense
from pmom_mpi.wire.message import Everything, Message
from pmom_mpi.words.layout import Layout

CONTRACTIVE = [
    TopK(fraction=0.3),
    TopK(fraction=0.3, scope="layer"),
    AdaptiveThreshold(fraction=0.3),
    ScaledSign(),
    ScaledSign(scope="layer"),
    Natural(rounding="nearest"),
    Cast(dtype="bfloat16"),
    Cast(dtype="fp8"),
]
UNBIASED = [
    RandK(fraction=0.3, scale="unbiased"),
    QSGD(levels=1, bucket=None),
    QSGD(levels=4, bucket=16),
    QSGD(levels=7, norm="linf"),
    QSGD(levels=200, entropy=True),
    Natural(),
    TernGrad(),
]
OTHERS = [Threshold(tau=0.5), SignMajority(), Cast(dtype="float16"), PowerSGD(), RandK(fraction=0.3)]
EVERY = CONTRACTIVE + UNBIASED + OTHERS


def named(compressors):
    return pytest.mark.parametrize("compressor", compressors, ids=repr)


def message_of(compressor, vector, step):
    if isinstance(compressor, Sparsifier):
        step.memory = compressor.init(step.layout, vector.dtype)
        return compressor.compress(vector, step)
    values, statistics = compressor.quantize(vector, step)
    return Message(vector.size, Everything(), values), statistics


@named(EVERY)
def test_says_what_it_is(compressor):
    theory = compressor.theory(Layout(("w", "b"), ((30, 20), (20,))))
    assert theory.family in ("contractive", "unbiased", "other")
    assert (theory.omega is not None) == (theory.family == "unbiased")
    assert theory.alpha is None or (theory.family == "contractive" and 0 < theory.alpha <= 1)


@named([*CONTRACTIVE, PowerSGD(), PowerSGD(rank=1)])
@pytest.mark.parametrize("dtype", FLOATS)
@settings(max_examples=25)
@given(data=st.data())
def test_contracts(compressor, dtype, data):
    vector = data.draw(vectors(dtype))
    # denormals have no relative precision; they are tested below
    vector[np.abs(vector) < 1e-30] = 0
    cut = vector.size // 2
    layout = Layout(("w", "b"), ((2, cut // 2), (vector.size - cut // 2 * 2,)))
    alpha = compressor.theory(layout).alpha or 0
    error = squared(sent(compressor, vector, step_for(vector, layout)) - vector)
    assert error <= (1 - alpha) * squared(vector) * (1 + 1e-5) + 1e-12 * squared(vector)


@named(UNBIASED)
@pytest.mark.parametrize("dtype", FLOATS)
def test_is_unbiased_and_varies_as_it_says(compressor, dtype):
    rng = np.random.default_rng(5)
    vector = (rng.standard_normal(40) * np.exp(rng.standard_normal(40))).astype(dtype)
    repetitions = 2000
    draws = np.array([sent(compressor, vector, step_for(vector, iteration=i)) for i in range(repetitions)])
    errors = draws - vector
    deviation = errors.std(axis=0) / np.sqrt(repetitions)
    assert (np.abs(errors.mean(axis=0)) <= 4.5 * deviation + 1e-6 * np.abs(vector)).all()
    variance = np.mean(np.sum(errors**2, axis=1)) / squared(vector)
    omega = compressor.theory(Layout.flat(40)).omega
    assert variance <= omega * 1.05
    if isinstance(compressor, RandK):
        assert variance == pytest.approx(omega, rel=0.05)


def test_rand_k_contracts_in_the_mean_by_what_it_says():
    vector = np.random.default_rng(5).standard_normal(40).astype(np.float32)
    compressor = RandK(k=12)
    errors = [squared(sent(compressor, vector, step_for(vector, iteration=i)) - vector) for i in range(2000)]
    assert np.mean(errors) == pytest.approx((1 - 12 / 40) * squared(vector), rel=0.02)


@named([TopK(fraction=0.3), Threshold(tau=0.5), Cast(dtype="float16"), Cast(), Natural(), Natural(rounding="nearest")])
@settings(max_examples=25)
@given(vectors(np.float32))
def test_is_idempotent(compressor, vector):
    once = sent(compressor, vector).astype(np.float32)
    np.testing.assert_array_equal(sent(compressor, once), once)


@named(EVERY)
@pytest.mark.parametrize("dtype", FLOATS)
@settings(max_examples=25)
@given(data=st.data())
def test_survives_the_wire(compressor, dtype, data):
    vector = data.draw(vectors(dtype))
    step = step_for(vector)
    message, statistics = message_of(compressor, vector, step)
    assert len(statistics) == len(compressor.statistics)
    out = np.empty(bits(message) // 8, np.uint8)
    payload = out[: encode(message, out)]
    total, seen, direct = np.zeros_like(vector), np.empty_like(vector), np.empty_like(vector)
    add(payload, total)
    to_dense(decode(payload), seen)
    to_dense(message, direct)
    np.testing.assert_array_equal(total, direct)
    np.testing.assert_array_equal(seen, direct)
    assert np.isfinite(direct).all()


@named(EVERY)
def test_zero_stays_zero_and_the_gradient_is_left_alone(compressor):
    zero = np.zeros(37, np.float32)
    if not isinstance(compressor, SignMajority):
        assert not sent(compressor, zero).any()
    vector = np.random.default_rng(0).standard_normal(37).astype(np.float32)
    before = vector.copy()
    sent(compressor, vector)
    np.testing.assert_array_equal(vector, before)


@named(EVERY)
@pytest.mark.parametrize("scale", [1e-45, 1e-40])
def test_denormals_do_no_harm(compressor, scale):
    vector = (np.random.default_rng(0).integers(-9, 9, 50) * np.float64(scale)).astype(np.float32)
    assert np.isfinite(sent(compressor, vector)).all()


@named(EVERY)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_divergence_reaches_the_server(compressor, bad):
    layout = Layout(("w", "b"), ((5, 6), (4,)))
    vector = np.random.default_rng(0).standard_normal(34).astype(np.float32)
    vector[7] = bad
    seen = [sent(compressor, vector, step_for(vector, layout, iteration=i)) for i in range(30)]
    assert any(not np.isfinite(one).all() for one in seen)


@named(EVERY)
@pytest.mark.parametrize("dtype", FLOATS)
def test_one_coordinate(compressor, dtype):
    found = sent(compressor, np.array([-1.5], dtype))
    assert found.size == 1
    assert found[0] <= 0


@named(EVERY)
def test_depends_on_seed_node_and_iteration_only(compressor):
    layout = Layout(("w", "b"), ((30, 20), (20,)))
    vector = np.random.default_rng(0).standard_normal(620).astype(np.float32)
    where = {"seed": 4, "node": 2, "iteration": 9}
    first = sent(compressor, vector, step_for(vector, layout, **where))
    np.testing.assert_array_equal(sent(compressor, vector, step_for(vector, layout, **where)), first)
    if compressor in UNBIASED:
        for name in where:
            other = sent(compressor, vector, step_for(vector, layout, **{**where, name: 1}))
            assert (other != first).any()


QUANTIZERS = [stage for stage in EVERY if isinstance(stage, Quantizer) and stage != ScaledSign(scope="layer")]


@named(QUANTIZERS)
def test_quantizes_the_values_of_a_sparsifier(compressor):
    vector = np.random.default_rng(0).standard_normal(300).astype(np.float32)
    step = step_for(vector)
    message, _ = TopK(k=40).compress(vector, step)
    support, kept = message.support, message.values.array.copy()
    values, _ = compressor.quantize(message.values.array, step_for(vector))
    quantized = Message(300, support, values)
    payload = np.empty(bits(quantized) // 8, np.uint8)
    encode(quantized, payload)
    total = np.zeros_like(vector)
    add(payload, total)
    np.testing.assert_array_equal(total[support.indices], sent(compressor, kept))
    assert np.count_nonzero(total) <= 40
    empty, _ = compressor.quantize(message.values.array[:0], step_for(vector))
    assert empty.count == 0
