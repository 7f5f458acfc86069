"""B and C of sources of bias, and the envelope of measured points."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from pmom_mpi.bias.base import Step
from pmom_mpi.bias.clipping import ClipNorm, Normalize
from pmom_mpi.theory import bias, noise, nonconvex
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.layout import Layout

SQUARES = st.floats(0, 100, allow_subnormal=False).map(lambda value: round(value, 3))


@given(st.lists(st.tuples(SQUARES, SQUARES), min_size=1, max_size=30))
def test_envelope_is_the_solution_of_its_linear_program(points):
    gradients, biases = np.array(points).T
    B, C = bias.envelope(gradients, biases)
    assert 0 <= B <= 0.99 and C >= 0
    assert (biases <= B * gradients + C + 1e-9).all()
    best = linprog([gradients.mean(), 1], -np.stack([gradients, np.ones_like(gradients)], 1), -biases,
                   bounds=[(0, 0.99), (0, None)])  # fmt: skip
    assert B * gradients.mean() + C == pytest.approx(best.fun, abs=1e-6)


def test_envelope_finds_the_constants_of_exact_points():
    gradients = np.geomspace(1e-3, 10, 50)
    assert bias.envelope(gradients, 0.3 * gradients + 0.02) == pytest.approx((0.3, 0.02))


@pytest.mark.parametrize("sigma", [0.0, 1.5])
def test_top_k_of_minibatches(sigma):
    """E|eta|^2 over the draws, against the constants with a variance."""
    rng = np.random.default_rng(0)
    nodes, dimension, k, draws = 4, 10, 3, 4000
    gradients = rng.standard_normal((nodes, dimension))
    full = gradients.mean(axis=0)
    noisy = gradients + sigma / np.sqrt(dimension) * rng.standard_normal((draws, nodes, dimension))
    threshold = np.sort(np.abs(noisy), axis=2)[:, :, -k, None]
    sent = np.where(np.abs(noisy) >= threshold, noisy, 0)
    measured = ((sent.mean(axis=1) - full) ** 2).sum(axis=1).mean()
    zeta2 = ((gradients - full) ** 2).sum() / nodes
    B, C = bias.contractive(k / dimension, zeta2, sigma**2, nodes)
    assert 0.05 * (B * full @ full + C) < measured <= B * full @ full + C


def test_unbiased_compressors_average_out():
    """Rand-K with scaling: omega = d/K - 1, reached exactly."""
    rng = np.random.default_rng(0)
    nodes, dimension, k, draws = 5, 8, 2, 40_000
    gradients = rng.standard_normal((nodes, dimension))
    full = gradients.mean(axis=0)
    kept = rng.random((draws, nodes, dimension)).argsort(axis=2) < k
    measured = ((np.where(kept, gradients * dimension / k, 0).mean(axis=1) - full) ** 2).sum(axis=1).mean()
    B, C = bias.unbiased(dimension / k - 1, ((gradients - full) ** 2).sum() / nodes, nodes)
    assert measured == pytest.approx(B * full @ full + C, rel=0.02)


def test_clipping_and_normalizing():
    assert bias.clipped(2.0, largest=3.5).C == pytest.approx(2.25, rel=1e-5)
    assert bias.clipped(2.0, largest=1.0) == (0, 0)
    assert bias.normalized(4.0) == (0, 9)
    assert bias.normalized(1.5) == (0, 1)  # a gradient near 0 is moved by almost 1


def test_the_published_clip_moves_gradients_of_norm_tau():
    """It divides by the norm plus 1e-6."""
    for length in (1 - 5e-7, 1.0, 1.7):
        gradient = np.array([0.6, 0.8]) * length
        moved = gradient.copy()
        ClipNorm(tau=1.0).apply(moved, Step(0, 0, 0, Layout.flat(2)))
        assert ((moved - gradient) ** 2).sum() == pytest.approx(bias.clipped(1.0, length).C, rel=1e-6, abs=0)


@pytest.mark.parametrize("scale", [0.02, 1.0, 5.0])
def test_tensors_are_normalized_and_clipped_each_for_itself(scale):
    """Eight tensors, as of a network: what one number for the whole gradient does not bound."""
    layout = Layout(tuple("abcdefgh"), ((7,),) * 8)
    rng = np.random.default_rng(0)
    gradients = scale * rng.standard_normal((4, 56)) * np.repeat(rng.uniform(0.1, 2, 8), 7)
    largest = np.linalg.norm(gradients.reshape(4, 8, 7), axis=2).max(axis=0)
    for stage, known in ((Normalize(), bias.normalized(largest.tolist())),
                         (ClipNorm(tau=0.7, scope="layer"), bias.clipped(0.7, largest.tolist()))):  # fmt: skip
        moved = gradients.copy()
        for node in range(4):
            stage.apply(moved[node], Step(node, 0, 0, layout))
        assert ((moved - gradients) ** 2).sum(axis=1).max() <= known.C
    assert bias.normalized(largest.tolist()).C >= 8


def test_all_of_every_minibatch_is_only_noise():
    """alpha = 1: what is left is the mean of n independent minibatches."""
    assert bias.contractive(alpha=1, zeta2=0, sigma2=1, nodes=10) == pytest.approx((0, 0.1))
    assert bias.contractive(alpha=1e-3, zeta2=0, sigma2=1, nodes=10).B < 1 - 0.5e-3


@pytest.mark.parametrize("batches", [2, 3, 5])
def test_what_is_left_of_an_epoch_is_biased(batches):
    """All orders of the batches: the mean of what is left, given what was drawn. The last one is not random at all."""
    errors = np.random.default_rng(0).standard_normal((batches, 3))
    errors -= errors.mean(axis=0)
    squares = np.zeros(batches)
    orders = list(permutations(range(batches)))
    for order in orders:
        for t in range(batches):
            squares[t] += (errors[list(order[t:])].mean(axis=0) ** 2).sum() / len(orders)
    variance = (errors**2).sum(axis=1).mean()
    assert squares.mean() == pytest.approx(bias.reshuffled(variance, batches))
    assert squares[-1] == pytest.approx(variance) and squares[0] == pytest.approx(0)


@pytest.mark.parametrize("horizon", [1, 5, 20])
def test_a_cut_horizon_drops_the_tail(horizon):
    """One state, two actions with rewards 1 and -1, P(1) = p: grad J is p (1 - p) 2 / (1 - discount), its cut exact."""
    discount, p = 0.8, 0.5
    step = 2 * p * (1 - p)  # E r_t score_t; scores of other steps have mean 0
    dropped = step * sum(discount**t for t in range(horizon, 2000))
    _, C = bias.cut_horizon(discount, largest_reward=1.0, largest_score=max(p, 1 - p), horizon=horizon)
    assert dropped <= np.sqrt(C)
    steps = np.arange(horizon, 2000)
    assert np.sqrt(C) == pytest.approx(0.5 * ((steps + 1) * discount**steps).sum())
    B, none = bias.cut_horizon(discount, largest_reward=1.0, largest_score=0.5, horizon=horizon, independent=True)
    assert none == 0 and dropped == pytest.approx(np.sqrt(B) * step / (1 - discount))


def test_error_feedbacks_errors_sum_up_to_its_memory_which_stays_bounded_behind_a_contraction():
    """EF14 around Top-1 of 4: |memory| <= s (|memory| + |g|), s = sqrt(1 - 1/4), so at most G s / (1 - s) for ever."""
    rng = np.random.default_rng(0)
    memory, total, G, s = np.zeros(4), np.zeros(4), 1.0, np.sqrt(0.75)
    for _ in range(2000):
        gradient = rng.standard_normal(4)
        gradient *= G / np.linalg.norm(gradient)
        asked = memory + gradient
        sent = np.where(np.abs(asked) == np.abs(asked).max(), asked, 0)
        total += sent - gradient
        assert np.linalg.norm(asked - sent) <= s * (np.linalg.norm(memory) + G) * (1 + 1e-12)
        memory = asked - sent
        np.testing.assert_allclose(total, -memory, atol=1e-9)
        assert np.linalg.norm(memory) <= G * s / (1 - s)


@pytest.mark.parametrize("omega", [4.0, 7.5])
def test_unbiased_compressors_need_more_nodes_than_omega_or_noise_apart(omega):
    """B = omega / n of 4 nodes: no step size by the bounds that take noise for bias, one by those that do not."""
    B, C = bias.unbiased(omega, zeta2=0.5, nodes=4)
    with pytest.raises(UserError, match="leaves no step size"):
        nonconvex.largest_step_size(1.0, 0.5, B)
    assert np.isfinite(noise.residual(B=0, C=0, sigma2=C, M=B, smoothness=1.0, step_size=0.05, beta=0.5))
    assert nonconvex.largest_step_size(1.0, 0.5, bias.unbiased(3.9, zeta2=0.5, nodes=4).B) > 0
