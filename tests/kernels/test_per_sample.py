"""Per-sample clipping of a dense network against gradients that are formed one sample at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmom_mpi.kernels.per_sample import add_squared_norms, clip_factors, scale_rows

SEEDS = st.integers(0, 2**32 - 1)
DTYPES = st.sampled_from([np.float32, np.float64])
WIDTHS = (6, 5, 4, 3)


def network(seed, samples, dtype):
    """Activations and deltas of every layer of a small ReLU network with squared loss; deltas are each sample's own."""
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal(shape).astype(dtype) for shape in zip(WIDTHS[1:], WIDTHS[:-1], strict=True)]
    activations = [rng.standard_normal((samples, WIDTHS[0])).astype(dtype)]
    for weight in weights[:-1]:
        activations.append(np.maximum(activations[-1] @ weight.T, 0))
    deltas = [activations[-1] @ weights[-1].T - rng.standard_normal((samples, WIDTHS[-1])).astype(dtype)]
    for layer in range(len(weights) - 1, 0, -1):
        deltas.insert(0, (deltas[0] @ weights[layer]) * (activations[layer] > 0))
    return activations, deltas


def explicit(activations, deltas):
    """Every sample's whole gradient, a row each: the network's tensors one after the other."""
    rows = []
    for i in range(len(deltas[0])):
        parts = [(np.outer(d[i], a[i]), d[i]) for a, d in zip(activations, deltas, strict=True)]
        rows.append(np.concatenate([np.ravel(tensor) for pair in parts for tensor in pair]).astype(np.float64))
    return np.array(rows)


def clipped_sum(activations, deltas, tau):
    """The sum of the clipped gradients the fast way, and how many were clipped."""
    squared = np.zeros(len(deltas[0]))
    for activation, delta in zip(activations, deltas, strict=True):
        add_squared_norms(activation, delta, squared)
    clipped = clip_factors(squared, tau, squared)
    tensors = []
    for activation, delta in zip(activations, deltas, strict=True):
        bias = np.empty(delta.shape[1], delta.dtype)
        scale_rows(delta, squared, bias)
        tensors += [(delta.T @ activation).ravel(), bias]
    return np.concatenate(tensors), clipped


@given(SEEDS, st.integers(1, 9), DTYPES)
def test_squared_norms(seed, samples, dtype):
    activations, deltas = network(seed, samples, dtype)
    squared = np.zeros(samples)
    for activation, delta in zip(activations, deltas, strict=True):
        add_squared_norms(activation, delta, squared)
    expected = (explicit(activations, deltas) ** 2).sum(axis=1)
    np.testing.assert_allclose(squared, expected, rtol=1e-6 if dtype == np.float32 else 1e-13)


@given(SEEDS, st.integers(1, 9), DTYPES, st.floats(1e-2, 1e2))
def test_clipped_gradients_sum_up(seed, samples, dtype, tau):
    activations, deltas = network(seed, samples, dtype)
    gradients = explicit(activations, deltas)
    lengths = np.linalg.norm(gradients, axis=1)
    expected = (gradients * np.minimum(1.0, tau / lengths)[:, None]).sum(axis=0)
    found, clipped = clipped_sum(activations, deltas, tau)
    scale = np.minimum(lengths, tau).sum()
    np.testing.assert_allclose(found, expected, rtol=0, atol=scale * (1e-5 if dtype == np.float32 else 1e-13))
    if np.abs(lengths / tau - 1).min() > 1e-5:
        assert clipped == (lengths > tau).sum()


def test_a_mean_over_samples_is_clipped_with_tau_over_m():
    activations, deltas = network(3, 8, np.float64)
    total, clipped = clipped_sum(activations, [delta.copy() for delta in deltas], 2.0)
    mean, clipped_again = clipped_sum(activations, [delta / 8 for delta in deltas], 2.0 / 8)
    np.testing.assert_allclose(mean, total / 8)
    assert 0 < clipped == clipped_again


def test_zero_gradients_stay_and_nan_spreads():
    factors = np.empty(4)
    assert clip_factors(np.array([0.0, 4.0, np.inf, np.nan]), 1.0, factors) == 3
    np.testing.assert_array_equal(factors, [1.0, 0.5, 0.0, np.nan])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bias_gradient_is_set_not_added_to(dtype):
    deltas, bias = np.ones((3, 2), dtype), np.full(2, 9, dtype)
    scale_rows(deltas, np.array([1.0, 0.5, 0.0]), bias)
    np.testing.assert_array_equal(bias, [1.5, 1.5])
