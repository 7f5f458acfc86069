from itertools import pairwise

import numpy as np
import pytest
from compressor_cases import FLOATS, sent, squared, step_for

from pmom_mpi.bias.power_sgd import PowerSGD, orthonormal
from pmom_mpi.wire.codec import bits
from pmom_mpi.words.layout import Layout

LAYOUT = Layout(("c", "w1", "b1", "w2", "b2", "k"), ((3,), (40, 30), (40,), (2, 2), (5,), (8, 3, 5)))


def gradient(rank, dtype, seed=0):
    rng = np.random.default_rng(seed)
    flat = rng.standard_normal(LAYOUT.dimension).astype(dtype)
    for view in LAYOUT.views(flat):
        if view.ndim > 1:
            rows, columns = view.shape[0], view.size // view.shape[0]
            low = rng.standard_normal((rows, rank)) @ rng.standard_normal((rank, columns))
            view[...] = low.reshape(view.shape)
    return flat


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_matrices_of_low_rank_and_all_vectors_arrive(dtype, rank):
    vector = gradient(rank, dtype)
    np.testing.assert_allclose(sent(PowerSGD(rank=rank), vector, step_for(vector, LAYOUT)), vector, atol=2e-5)


def test_a_rank_above_the_matrix_own_does_no_harm():
    vector = gradient(1, np.float32)
    np.testing.assert_allclose(sent(PowerSGD(rank=3), vector, step_for(vector, LAYOUT)), vector, atol=2e-5)


def test_the_warm_start_approaches_the_best_approximation():
    layout = Layout(("w",), ((60, 50),))
    vector = np.random.default_rng(0).standard_normal(3000).astype(np.float32)
    singular = np.linalg.svd(vector.reshape(60, 50), compute_uv=False)
    best = float(np.sum(singular[2:] ** 2))
    step = step_for(vector, layout)
    errors = [squared(sent(PowerSGD(rank=2), vector, step) - vector) for _ in range(80)]
    assert errors[0] > 1.03 * best
    assert errors[-1] == pytest.approx(best, rel=2e-3)
    assert all(later <= earlier * (1 + 1e-6) for earlier, later in pairwise(errors))


def test_it_is_no_contraction_where_the_rows_change():
    """The rows of every matrix are orthogonal to those of the one before: the warm start sees nothing of it."""
    layout = Layout(("w",), ((8, 6),))
    matrices = np.zeros((2, 8, 6))
    matrices[0, :, 0], matrices[1, :, 1] = 1.0, 2.0
    step = step_for(matrices[0].ravel(), layout)
    first, second = (sent(PowerSGD(rank=1), matrix.ravel(), step) for matrix in matrices)
    np.testing.assert_allclose(first, matrices[0].ravel())
    assert not second.any()
    assert PowerSGD(rank=1).theory(layout).contracts is None


def test_factors_and_nothing_else_travel():
    vector = gradient(3, np.float32)
    step = step_for(vector, LAYOUT)
    step.memory = PowerSGD(rank=2).init(LAYOUT, vector.dtype)
    message, _ = PowerSGD(rank=2).compress(vector, step)
    numbers = 2 * (40 + 30) + 2 * (8 + 15) + (3 + 40 + 4 + 5)
    parts = 4  # c, w1, b1 with w2 and b2, k
    assert bits(message) == 32 * numbers + 8 * (16 + 4 + 12 * parts)


@pytest.mark.parametrize("spoilt", [0.0, np.nan, np.inf])
def test_recovers_from_a_gradient_that_is_zero_or_not_finite(spoilt):
    vector = gradient(2, np.float32)
    step = step_for(vector, LAYOUT)
    found = sent(PowerSGD(rank=2), np.full_like(vector, spoilt), step)
    assert (found == 0).all() if spoilt == 0 else not np.isfinite(found).any()
    np.testing.assert_allclose(sent(PowerSGD(rank=2), vector, step), vector, atol=2e-5)


def test_orthonormal_columns_span_the_same_space():
    columns = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
    columns[:, 3] = columns[:, 0] + 1e-3 * columns[:, 3]
    found = orthonormal(columns).astype(float)
    np.testing.assert_allclose(found.T @ found, np.eye(4), atol=1e-6)
    np.testing.assert_allclose(found @ (found.T @ columns), columns, atol=1e-5)
    dependent = orthonormal(columns[:, [0, 0, 1]])
    assert not dependent[:, 1].any()


@pytest.mark.parametrize("rank", [1, 2])
def test_float64_is_kept(rank):
    vector = gradient(rank, np.float64)
    step = step_for(vector, LAYOUT)
    step.memory = PowerSGD(rank=rank).init(LAYOUT, vector.dtype)
    found = sent(PowerSGD(rank=rank), vector, step)
    np.testing.assert_allclose(found, vector, atol=1e-12)
    assert all(memory.dtype == np.float64 for memory in step.memory.values())
    bounds = LAYOUT.offsets
    np.testing.assert_array_equal(found[: bounds[1]], vector[: bounds[1]])  # what is sent as it is: every bit
