"""Gaussian noise: its law, and that it depends on seed, node and iteration only."""

import numpy as np
import pytest

from pmom_mpi.bias.base import Step
from pmom_mpi.bias.noise import GaussianNoise
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
