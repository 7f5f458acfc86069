"""Error feedback: nothing is lost, memories hold what the receiver has, and Top-1 converges where it alone diverges."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmom_mpi.bias.base import Sparsifier, Step
from pmom_mpi.bias.feedback import EF14, EF21, EF21SGDM
from pmom_mpi.bias.local_momentum import LocalMomentum
from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.kernels.random import seeded_indices
from pmom_mpi.wire import codec
from pmom_mpi.wire.message import Everything, Indices, Message, Seeded
from pmom_mpi.wire.values import BFloat16, Half, Levels, LowRank, Raw, Signs, Ternary
from pmom_mpi.words import registry
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout

DIMENSION = 40
LAYOUT = Layout.flat(DIMENSION)
SEEDS = st.integers(0, 2**32 - 1)
DTYPES = st.sampled_from([np.float32, np.float64])


def largest(vector, k):
    return np.sort(np.argsort(-np.abs(vector), kind="stable")[:k]).astype(np.uint32)


def top(k):
    def compress(vector):
        kept = largest(vector, k)
        return Message(vector.size, Indices(kept), Raw(vector[kept]))

    return compress


def same(vector):
    return Message(vector.size, Everything(), Raw(vector))


def nothing(vector):
    return Message(vector.size, Indices(np.empty(0, np.uint32)), Raw(np.empty(0, vector.dtype)))


def half_of_top(vector):
    kept = largest(vector, 7)
    return Message(vector.size, Indices(kept), Half(vector[kept].astype(np.float16).view(np.uint16)))


def seeded(vector):
    drawn = np.empty(9, np.uint32)
    seeded_indices(np.uint64(5), vector.size, 9, drawn)
    return Message(vector.size, Seeded(np.uint64(5), 9), Raw(vector[drawn]))


def upper_halves(vector):
    return Message(vector.size, Everything(), BFloat16((vector.astype(np.float32).view(np.uint32) >> 16).astype("u2")))


def signs(vector):
    bits = np.packbits(vector < 0, bitorder="little")
    return Message(vector.size, Everything(), Signs(bits, vector.size, float(np.abs(vector).mean())))


def levels(vector):
    norms = np.linalg.norm(vector.reshape(-1, 8), axis=1).astype(np.float32)
    codes = np.round(3 * vector / np.repeat(norms + 1e-30, 8)).astype(np.int8)
    return Message(vector.size, Everything(), Levels(codes, norms, 8, 3))


def ternary(vector):
    scale = float(np.abs(vector).max())
    return Message(vector.size, Everything(), Ternary(np.round(vector / (scale or 1)).astype(np.int8), scale))


def low_rank(vector):
    left, weights, right = np.linalg.svd(vector.astype(np.float64).reshape(5, 8), full_matrices=False)
    factors = (left[:, :1] * weights[0]).astype(np.float32), np.ascontiguousarray(right[:1].T, np.float32)
    return Message(vector.size, Everything(), LowRank([factors]))


COMPRESSORS = [
    top(1), top(5), same, nothing, half_of_top, seeded, upper_halves, signs, levels, ternary, low_rank,
]  # fmt: skip
EVERY_COMPRESSOR = pytest.mark.parametrize("compress", COMPRESSORS)


def stream(seed, dtype, iterations=8):
    return np.random.default_rng(seed).standard_normal((iterations, DIMENSION)).astype(dtype)


def decoded(message, dtype):
    """What the server sees, through real bytes."""
    out = np.empty(codec.bits(message) // 8, np.uint8)
    seen = np.zeros(DIMENSION, dtype)
    codec.add(out[: codec.encode(message, out)], seen)
    return seen


def feed(stage, gradients, compress):
    """Yield after each iteration what the server decoded and the node's memory."""
    memory = stage.init(LAYOUT, gradients[0].dtype)
    for k, gradient in enumerate(gradients):
        message, statistics = stage.around(gradient.copy(), Step(0, k, 0, LAYOUT, memory), compress)
        assert statistics == ()
        yield decoded(message, gradient.dtype), memory


@EVERY_COMPRESSOR
@given(seed=SEEDS, dtype=DTYPES)
def test_ef14_sends_the_corrected_gradient_and_keeps_the_rest_bit_for_bit(compress, seed, dtype):
    gradients = stream(seed, dtype)
    rest = np.zeros(DIMENSION, dtype)
    for gradient, (seen, memory) in zip(gradients, feed(EF14(), gradients, compress), strict=True):
        corrected = rest + gradient
        np.testing.assert_array_equal(seen, decoded(compress(corrected), dtype))
        rest = corrected - seen
        np.testing.assert_array_equal(-memory["excess"], rest)


@EVERY_COMPRESSOR
@given(seed=SEEDS)
def test_ef14_loses_nothing(compress, seed):
    gradients = stream(seed, np.float64)
    total = np.zeros(DIMENSION)
    for k, (seen, memory) in enumerate(feed(EF14(), gradients, compress)):
        total += seen
        np.testing.assert_allclose(total - memory["excess"], gradients[: k + 1].sum(axis=0), rtol=0, atol=1e-12)


@EVERY_COMPRESSOR
@given(seed=SEEDS, dtype=DTYPES)
def test_ef21_memory_is_the_servers_sum_bit_for_bit(compress, seed, dtype):
    gradients = stream(seed, dtype)
    h = np.zeros(DIMENSION)
    for gradient, (seen, memory) in zip(gradients, feed(EF21(), gradients, compress), strict=True):
        np.testing.assert_array_equal(seen, decoded(compress((gradient - h).astype(dtype)), dtype))
        h += seen
        np.testing.assert_array_equal(memory["h"], h)


@EVERY_COMPRESSOR
@given(seed=SEEDS, dtype=DTYPES, beta=st.floats(0.01, 1))
def test_ef21_sgdm_is_local_momentum_before_ef21(compress, seed, dtype, beta):
    gradients = stream(seed, dtype)
    moved, stage = gradients.copy(), LocalMomentum(beta)
    memory = stage.init(LAYOUT, dtype)
    for k, gradient in enumerate(moved):
        stage.apply(gradient, Step(0, k, 0, LAYOUT, memory))
    pairs = zip(feed(EF21SGDM(beta), gradients, compress), feed(EF21(), moved, compress), strict=True)
    for (seen, mine), (expected, theirs) in pairs:
        np.testing.assert_array_equal(seen, expected)
        np.testing.assert_array_equal(mine["h"], theirs["h"])


def test_ef21_sgdm_as_published_begins_with_the_momentum_itself():
    """g^0 = v^0 (Fatkhullin, Tyurin, Richtarik 2023, algorithm 1), where ours begins with C(v^0)."""
    gradients = stream(2, np.float32)
    stages = [EF21SGDM(0.3, start="exact"), registry.build(registry.BIAS, "bias[1]", {"kind": "top_k", "k": 1})]
    pipeline, out = Pipeline(stages, LAYOUT, np.float32), np.empty(4096, np.uint8)
    h, v = np.zeros(DIMENSION), gradients[0]
    for k, gradient in enumerate(gradients):
        message, (kept,) = pipeline.apply(gradient.copy(), 0, k)
        size = codec.encode(message, out)
        assert size <= pipeline.max_bytes()
        seen = np.zeros(DIMENSION, np.float32)
        codec.add(out[:size], seen)
        v = np.float32(0.7) * v + np.float32(0.3) * gradient if k else gradient
        if k == 0:
            assert np.isnan(kept)
            np.testing.assert_array_equal(seen, gradient)
        else:
            assert kept == 1 == np.count_nonzero(seen)
            np.testing.assert_allclose(seen[seen != 0], (v - h)[seen != 0], rtol=1e-5)
        h += seen
    np.testing.assert_array_equal(pipeline.save(0)["0.h"], h)


def test_without_compression_ef14_sends_gradients_and_ef21_their_changes():
    gradients = stream(1, np.float64)
    np.testing.assert_array_equal([seen for seen, _ in feed(EF14(), gradients, same)], gradients)
    changes = np.array([seen for seen, _ in feed(EF21(), gradients, same)])
    np.testing.assert_allclose(changes.cumsum(axis=0), gradients, atol=1e-13)


@given(SEEDS, st.integers(1, DIMENSION))
def test_ef21_catches_up_with_a_gradient_that_stays(seed, k):
    gradient = stream(seed, np.float64, 1)[0]
    rounds = -(-DIMENSION // k)
    *_, (_, memory) = feed(EF21(), [gradient] * rounds, top(k))
    np.testing.assert_array_equal(memory["h"], gradient)


@pytest.mark.parametrize("stage", [EF14(), EF21(), EF21SGDM()])
def test_divergence_stays_visible(stage):
    gradients = stream(0, np.float32)
    gradients[2, 3] = np.nan
    *_, (seen, _) = feed(stage, gradients, same)
    assert np.isnan(seen[3])


@dataclass(frozen=True)
class Top1(Sparsifier):
    """A compressor for the pipelines of this file."""

    def compress(self, gradient, step):
        return top(1)(gradient), ()


def descend(stages, gamma, iterations=4000):
    """|x| after distributed descent on three quadratics of R^3, where Top-1 alone makes every step a step up.

    Beznosikov, Horvath, Richtarik, Safaryan 2020, "On biased compression for distributed learning", Example 1.
    """
    a = np.array([[-3.0, 2.0, 2.0], [2.0, -3.0, 2.0], [2.0, 2.0, -3.0]])
    pipeline = Pipeline([*stages, Top1()], Layout.flat(3), np.float64)
    x, average = np.ones(3), np.zeros(3)
    for k in range(iterations):
        if not pipeline.integrates:
            average[:] = 0
        for node in range(3):
            message, _ = pipeline.apply(2 * (a[node] @ x) * a[node] + 0.5 * x, node, k)
            average[message.support.indices] += message.values.array / 3
        x -= gamma * average
        if np.abs(x).max() > 1e6:
            return np.inf
    return np.linalg.norm(x)


def test_top_1_diverges_alone_and_converges_with_every_feedback():
    gamma = 0.01
    assert descend([], gamma) == np.inf
    for stage in (EF14(), EF21(), EF21SGDM(0.5)):
        assert descend([stage], gamma) < 1e-6


@given(SEEDS, DTYPES, st.floats(0.01, 1))
def test_local_momentum_has_the_bits_of_its_formula(seed, dtype, beta):
    gradients, memory, v = stream(seed, dtype), LocalMomentum(beta).init(LAYOUT, dtype), None
    for k, gradient in enumerate(gradients):
        v = gradient.copy() if v is None else dtype(1 - beta) * v + dtype(beta) * gradient
        LocalMomentum(beta).apply(gradient, Step(0, k, 0, LAYOUT, memory))
        np.testing.assert_array_equal(gradient, v)


@pytest.mark.parametrize("kind", [EF21SGDM, LocalMomentum])
@pytest.mark.parametrize("beta", [0, 1.5])
def test_a_beta_outside_is_refused_in_one_line(kind, beta):
    with pytest.raises(UserError, match=r"^bias\[0\]\.beta[^\n]*$"):
        registry.construct(kind, "bias[0]", {"beta": beta})
