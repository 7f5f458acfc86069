"""Gaussian noise: its law, and that it depends on seed, node and iteration only."""

import numpy as np
import pytest

from pmom_mpi.bias.base import Step
from pmom_mpi.bias.noise import GaussianNoise
from pmom_mpi.measure.bias import measure
from pmom_mpi.runtime import experiment
from pmom_mpi.runtime import setting as preparation
from pmom_mpi.words import registry
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout


def noise(sigma=1.0, node=0, iteration=0, seed=0, dimension=1000, dtype=np.float64):
    gradient = np.zeros(dimension, dtype)
    assert GaussianNoise(sigma).apply(gradient, Step(node, iteration, seed, Layout.flat(dimension))) == ()
    return gradient


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_standard_deviation_and_mean(dtype):
    drawn = noise(sigma=0.3, dimension=200_000, dtype=dtype)
    assert drawn.dtype == dtype
    assert drawn.std(dtype=np.float64) == pytest.approx(0.3, rel=0.01)
    assert abs(drawn.mean(dtype=np.float64)) < 5 * 0.3 / np.sqrt(drawn.size)


def test_is_added_to_the_gradient():
    gradient = np.arange(1000.0)
    GaussianNoise(2.0).apply(gradient, Step(3, 4, 5, Layout.flat(1000)))
    np.testing.assert_array_equal(gradient, np.arange(1000.0) + noise(2.0, node=3, iteration=4, seed=5))


def test_every_node_iteration_and_seed_has_its_own():
    draws = [noise(), noise(node=1), noise(iteration=1), noise(seed=1)]
    np.testing.assert_array_equal(draws[0], noise())
    correlations = np.corrcoef(draws) - np.eye(4)
    assert np.abs(correlations).max() < 0.15


def test_a_negative_sigma_is_refused_in_one_line():
    with pytest.raises(UserError, match=r"^bias\[0\]\.sigma[^\n]*$"):
        registry.construct(GaussianNoise, "bias[0]", {"sigma": -1})


@pytest.mark.parametrize("keys", [{}, {"sigma": 1.0, "multiplier": 1.0}])
def test_sigma_or_a_multiplier(keys):
    with pytest.raises(UserError, match=r"^bias\[0\]: give exactly one of sigma and multiplier$"):
        registry.construct(GaussianNoise, "bias[0]", keys)


PRIVATE = {
    "name": "private", "iterations": 8, "step_size": 1e-9, "problem": {"kind": "mlp", "hidden": [64]},
    "data": {"name": "digits", "nodes": 4}, "gradient": {"batch": 100, "order": "cyclic"}, "evaluate": {"every": 0},
}  # fmt: skip
CLIP = {"kind": "clip_per_sample", "tau": 0.5}


def test_a_multiplier_goes_by_the_batch_that_there_is():
    """digits has 1500 training samples, 375 a node: the last of an epoch's four batches holds 75."""
    part = preparation.ready(PRIVATE | {"bias": [CLIP, {"kind": "gaussian_noise", "multiplier": 20.0}]})
    problem, sizes = part.problem, [100, 100, 100, 75]
    x, gradient = problem.initial_point(), np.empty(problem.layout.dimension, np.float32)
    for k, size in enumerate(2 * sizes):
        rows = part.config.gradient.rows(375, 0, 1, k)
        assert part.pipeline.samples(1, k) == size == len(range(375)[rows])
        problem.gradient(x, 1, k, gradient)
        clean = gradient.copy()
        part.pipeline.apply(gradient, 1, k)
        assert np.std(gradient - clean) == pytest.approx(20 * 0.5 / size, rel=0.05)


def test_a_run_with_a_multiplier_has_the_bits_of_the_right_sigma(tmp_path):
    """With full batches of equal shards a sigma says the same."""
    equal = PRIVATE | {"gradient": {"batch": 100, "order": "replacement"}, "iterations": 2}
    found = []
    for noise in ({"multiplier": 20.0}, {"sigma": 20 * 0.5 / 100}):
        file = tmp_path / f"{len(found)}.h5"
        found.append(experiment.run(equal | {"bias": [CLIP, {"kind": "gaussian_noise"} | noise]}, output=file).x)
    np.testing.assert_array_equal(*found)


def test_a_multiplier_needs_samples_that_are_clipped():
    with pytest.raises(UserError, match=r"bias\[0\]\.multiplier: counts the threshold of clip_per_sample before it"):
        preparation.validate(PRIVATE | {"bias": [{"kind": "gaussian_noise", "multiplier": 1.0}]})


@pytest.mark.parametrize(
    "gradient, warned",
    [({"batch": 100}, True), ({"batch": 100, "order": "replacement"}, False), ({"batch": "full"}, False)],
)
def test_a_sigma_for_batches_of_different_sizes_is_warned_of(gradient, warned):
    bias = [CLIP, {"kind": "gaussian_noise", "sigma": 0.1}]
    lines = preparation.validate(PRIVATE | {"gradient": gradient, "bias": bias})
    assert any(line.startswith("warning: bias[1].sigma is the same for every batch") for line in lines) == warned
    lines = preparation.validate(PRIVATE | {"bias": [CLIP, {"kind": "gaussian_noise", "multiplier": 1.0}]})
    assert not any("warning" in line for line in lines)


def test_it_is_measured_alone_and_together():
    bias = [CLIP, {"kind": "gaussian_noise", "multiplier": 1.0}]
    labels = [row.label for row in measure(PRIVATE | {"bias": bias}, nodes=1)]
    assert labels == ["gaussian_noise multiplier 1", "clip_per_sample tau 0.5 + gaussian_noise multiplier 1"]
