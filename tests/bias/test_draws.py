"""Every random stage: its first draws are what they have always been, and a second stage of its stream has others."""

import numpy as np
import pytest
from compressor_cases import sent, step_for
from test_every_kind import ALL

from pmom_mpi.analysis import read
from pmom_mpi.bias.base import Quantizer, Sparsifier
from pmom_mpi.bias.noise import GaussianNoise
from pmom_mpi.bias.pipeline import Pipeline
from pmom_mpi.runtime import experiment
from pmom_mpi.wire.codec import to_dense
from pmom_mpi.words import registry
from pmom_mpi.words.layout import Layout

VECTOR = np.array([3, -1.5, 0.7, 2.2, -0.3, 5.1, 1.1, -2.9, 0.4, 1.9, -4.4, 0.8], np.float32)
LAYOUT = Layout(("w",), ((3, 4),))
PINNED = [
    ({"kind": "gaussian_noise", "sigma": 1.0},
     [1.8174, 0.2069, 1.6694, 1.6048, -0.8317, 6.1564, 0.0313, -1.1562, 0.1212, 2.5852, -4.8364, 0.8929]),
    ({"kind": "rand_k", "k": 3}, [0, 0, 0, 0, -0.3, 5.1, 0, 0, 0, 1.9, 0, 0]),
    ({"kind": "adaptive_threshold", "k": 4, "sample": 4}, [0, 0, 0, 0, 0, 5.1, 0, 0, 0, 0, -4.4, 0]),
    ({"kind": "qsgd", "levels": 3, "bucket": 4},
     [2.7146, -1.3573, 1.3573, 2.7146, 0, 3.9844, 1.9922, -3.9844, 1.6251, 1.6251, -4.8754, 0]),
    ({"kind": "natural"}, [4, -1, 1, 2, -0.25, 4, 1, -4, 0.5, 2, -8, 0.5]),
    ({"kind": "terngrad"}, [5.1, 0, 0, 0, 0, 5.1, 0, -5.1, 5.1, 5.1, -5.1, 0]),
    ({"kind": "power_sgd", "rank": 1},
     [0.107, -0.7244, 1.0873, 0.0395, -0.0521, 0.3531, -0.5299, -0.0193, -0.4021, 2.7221, -4.0855, -0.1486]),
]  # fmt: skip
every_random = pytest.mark.parametrize("raw", [raw for raw, _ in PINNED], ids=lambda raw: raw["kind"])


def stage_of(raw):
    return registry.build(registry.BIAS, "bias[0]", raw)


def drawn(raw, turn=0, iteration=9, vector=VECTOR, layout=LAYOUT):
    """What arrives of a vector, from a stage before which so many others draw from its stream."""
    stage, step = stage_of(raw), step_for(vector, layout, iteration, seed=4, node=2, turn=turn)
    if isinstance(stage, (Sparsifier, Quantizer)):
        return sent(stage, vector, step)
    changed = vector.copy()
    stage.apply(changed, step)
    return changed


def test_every_random_stage_is_here():
    assert {raw["kind"] for raw in ALL if stage_of(raw).stream is not None} == {raw["kind"] for raw, _ in PINNED}


@pytest.mark.parametrize("raw, expected", PINNED, ids=[raw["kind"] for raw, _ in PINNED])
def test_the_draws_of_seed_4_node_2_iteration_9(raw, expected):
    np.testing.assert_allclose(drawn(raw), expected, atol=6e-5)


@every_random
def test_later_stages_of_a_stream_draw_other_numbers(raw):
    vector = np.random.default_rng(0).standard_normal(400).astype(np.float32)
    layout = Layout(("w",), ((20, 20),))
    raw = raw | ({"k": 100} if raw["kind"] == "rand_k" else {})
    draws = [drawn(raw, turn, vector=vector, layout=layout) for turn in range(3)]
    for one in range(3):
        np.testing.assert_array_equal(drawn(raw, one, vector=vector, layout=layout), draws[one])
        assert (draws[one] != draws[one - 1]).any()


def test_two_noises_have_twice_the_variance():
    """Not four times, as the same numbers twice would have."""
    for where in ("bias", "downlink"):
        pipeline = Pipeline([GaussianNoise(0.3), GaussianNoise(0.4)], Layout.flat(200_000), np.float64, 0, where)
        vector = np.zeros(200_000)
        pipeline.apply(vector, 1, 5)
        assert vector.std() == pytest.approx(0.5, rel=0.01)


def test_the_first_noise_keeps_its_draws_and_other_stages_do_not_count():
    alone, both = np.zeros((2, 1000))
    Pipeline([GaussianNoise(1.0)], Layout.flat(1000), np.float64).apply(alone, 1, 5)
    stages = [stage_of({"kind": "clip_norm", "tau": 1.0}), GaussianNoise(1.0), GaussianNoise(1e-300)]
    Pipeline(stages, Layout.flat(1000), np.float64).apply(both, 1, 5)
    np.testing.assert_array_equal(alone, both)


def test_a_quantizer_behind_a_sparsifier_keeps_its_draws():
    stages = [stage_of({"kind": "rand_k", "k": 5}), stage_of({"kind": "qsgd", "levels": 3})]
    message, _ = Pipeline(stages, LAYOUT, np.float32, 4).apply(VECTOR.copy(), 2, 9)
    found = np.empty(12, np.float32)
    to_dense(message, found)
    np.testing.assert_allclose(found, [0, 0, 0, 0, 0, 3.7166, 1.8583, 0, 0, 1.8583, 0, 0], atol=6e-5)


def test_every_matrix_of_power_sgd_starts_from_numbers_of_its_own():
    layout = Layout(("a", "b"), ((8, 6), (8, 6)))
    matrix = np.random.default_rng(0).standard_normal(48).astype(np.float32)
    found = drawn({"kind": "power_sgd", "rank": 1}, vector=np.concatenate([matrix, matrix]), layout=layout)
    assert np.abs(found[:48] - found[48:]).max() > 0.01


def test_two_noises_in_a_run(tmp_path):
    config = {
        "name": "noise", "iterations": 1, "step_size": 1e-9, "problem": {"kind": "mlp", "hidden": [64]},
        "data": {"name": "digits", "nodes": 2}, "evaluate": {"every": 0},
    }  # fmt: skip
    norms = []
    for many in (1, 2):
        bias = [{"kind": "gaussian_noise", "sigma": 1.0}] * many
        experiment.run(config | {"bias": bias}, output=tmp_path / f"{many}.h5")
        norms.append(read.load(tmp_path / f"{many}.h5").metrics["gradient_norm"][0])
    assert norms[1] / norms[0] == pytest.approx(np.sqrt(2), rel=0.03)
