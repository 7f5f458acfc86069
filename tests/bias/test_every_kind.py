"""What holds for every kind of the registry, through the pipeline and real bytes: no operator without a case here."""

import numpy as np
import pytest
from compressor_cases import vectors
from hypothesis import given, settings
from hypothesis import strategies as st

from pmom_mpi.bias.base import Feedback
from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.wire import codec
from pmom_mpi.words import registry
from pmom_mpi.words.layout import Layout

HALF = {"fraction": 0.5}
CASES = {
    "none": [{}],
    "clip_norm": [{"tau": 0.5}, {"tau": 0.5, "scope": "layer"}],
    "clip_per_sample": [{"tau": 1.0}],
    "clip_value": [{"tau": 0.5}],
    "clip_smooth": [{"tau": 0.5}],
    "clip_adaptive": [{}],
    "normalize": [{}, {"scope": "global"}],
    "scale": [{"factor": 0.5}],
    "gaussian_noise": [{"sigma": 0.1}],  # by a multiplier: test_noise.py
    "local_momentum": [{"beta": 0.3}],
    "ef14": [{}],
    "ef21": [{}],
    "ef21_sgdm": [{"beta": 0.3}, {"start": "exact"}],
    "top_k": [HALF, {"k": 1}, HALF | {"scope": "layer"}],
    "rand_k": [HALF, HALF | {"scale": "unbiased"}],
    "threshold": [{"tau": 0.5}],
    "adaptive_threshold": [HALF],
    "power_sgd": [{}, {"rank": 1}],
    "scaled_sign": [{}, {"scope": "layer"}],
    "sign_majority": [{}],
    "qsgd": [{}, {"bucket": None, "levels": 1}, {"norm": "linf"}, {"entropy": True, "levels": 200}],
    "natural": [{}, {"rounding": "nearest"}],
    "terngrad": [{}],
    "cast": [{"dtype": "float16"}, {"dtype": "bfloat16"}, {"dtype": "fp8"}],
}
ALL = [{"kind": kind} | keys for kind, variants in CASES.items() for keys in variants]
every = pytest.mark.parametrize("raw", ALL, ids=lambda raw: " ".join(map(str, raw.values())))


def pipeline_of(raw, dimension, dtype=np.float32, seed=0):
    stages = [registry.build(registry.BIAS, "bias[0]", raw)]
    if isinstance(stages[0], Feedback):
        stages.append(registry.build(registry.BIAS, "bias[1]", {"kind": "top_k"} | HALF))
    rows = dimension // 5
    layout = Layout(("w", "b"), ((rows, 4), (dimension - 4 * rows,)))
    return Pipeline(stages, layout, dtype, seed)


def payload_of(pipeline, vector, node=0, iteration=0):
    message, statistics = pipeline.apply(vector.copy(), node, iteration)
    assert len(statistics) == len(pipeline.statistics)
    out = np.empty(pipeline.max_bytes(), np.uint8)
    seen = np.empty_like(vector)
    codec.to_dense(message, seen)
    return out[: codec.encode(message, out)], seen


def test_every_kind_has_a_case():
    assert set(CASES) == set(registry.BIAS)


@every
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=15)
@given(data=st.data())
def test_what_is_decoded_is_what_the_sender_knows(raw, dtype, data):
    """Zeros, ties, denormals, d = 1, for 3 iterations, so that memories are used too."""
    vector = data.draw(vectors(dtype, st.integers(1, 60)))
    pipeline = pipeline_of(raw, vector.size, dtype)
    for k in range(3):
        payload, seen = payload_of(pipeline, vector, iteration=k)
        total = np.zeros_like(vector)
        codec.add(payload, total)
        np.testing.assert_array_equal(total, seen)
        assert np.isfinite(seen).all()


@every
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_reaches_the_server(raw, bad):
    vector = np.random.default_rng(0).standard_normal(40).astype(np.float32)
    vector[7] = bad
    pipeline = pipeline_of(raw, 40)
    seen = [payload_of(pipeline, vector, iteration=k)[1] for k in range(20)]
    assert not np.isfinite(seen).all()


@every
def test_nodes_and_runs_do_not_touch_each_other(raw):
    """A node's payloads depend on seed, node, iteration and its own gradients only, whoever else the rank hosts."""
    gradients = np.random.default_rng(0).standard_normal((4, 40)).astype(np.float32)
    alone, shared = pipeline_of(raw, 40), pipeline_of(raw, 40)
    for k, gradient in enumerate(gradients):
        payload_of(shared, 3 * gradient, node=1, iteration=k)
        expected, _ = payload_of(alone, gradient, node=2, iteration=k)
        found, _ = payload_of(shared, gradient, node=2, iteration=k)
        assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("kind", ["top_k", "rand_k", "adaptive_threshold"])
@pytest.mark.parametrize("keys", [{"k": 40}, {"fraction": 1.0}])
def test_k_equal_to_d_is_everything(kind, keys):
    vector = np.random.default_rng(0).standard_normal(40).astype(np.float32)
    _, seen = payload_of(pipeline_of({"kind": kind} | keys, 40), vector)
    np.testing.assert_array_equal(seen, vector)
