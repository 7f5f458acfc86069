"""Features that are the same in all samples: left out of the products, never out of the answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pmom_mpi.networks.narrow import WORTH, Narrow, narrowed
from pmom_mpi.problems.mlp import MLP
from pmom_mpi.problems.softmax_regression import SoftmaxRegression


@pytest.fixture
def data(make_data):
    """Of each half of the samples, five and six of the seven features are constant, others in each."""
    made = make_data(samples=300, features=7, classes=4, tests=150)
    made.train.inputs[:150, [0, 1, 3, 4, 6]] = [0, -0.42, 7, 0, 1e-3]
    made.train.inputs[150:, [0, 1, 2, 3, 4, 5]] = 2
    made.test.inputs[:, 2:] = -1
    return made


class Whole(MLP):
    """The same network that never looks for constant features."""

    def arrange(self, inputs):
        return inputs


def both(data, context, **fields):
    problems = MLP(**fields), Whole(**fields)
    for problem in problems:
        problem.setup(context)
    return problems


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-14), (np.float32, 2e-6)])
@pytest.mark.parametrize("hidden", [(6,), (5, 4)])
def test_gradient_and_evaluation_are_those_of_whole_samples(data, make_context, hidden, dtype, tolerance):
    narrow, whole = both(data, make_context(data, nodes=2, dtype=dtype), hidden=hidden, l2=0.1)
    x = np.random.default_rng(0).standard_normal(narrow.layout.dimension).astype(dtype)
    for node, varying in ((0, 2), (1, 1)):
        inputs, _ = narrow.batch(node, 0)
        assert isinstance(inputs, Narrow) and inputs.values.shape == (150, varying) and len(inputs) == 150
        found, expected = np.full_like(x, np.nan), np.empty_like(x)
        values = narrow.gradient(x, node, 0, found)
        np.testing.assert_allclose(values, whole.gradient(x, node, 0, expected), rtol=tolerance)
        assert np.linalg.norm(found - expected) <= tolerance * np.linalg.norm(expected)
    assert isinstance(narrow._evaluation_chunk(0)[0], Narrow)
    np.testing.assert_allclose(narrow.evaluate(x, 0), whole.evaluate(x, 0), rtol=tolerance)


def test_samples_that_are_all_the_same(make_data, make_context):
    data = make_data(samples=100)
    data.train.inputs[:] = data.train.inputs[0]
    narrow, whole = both(data, make_context(data), hidden=(6, 4))
    assert narrow.batch(0, 0)[0].values.shape == (100, 0)
    x = np.random.default_rng(0).standard_normal(narrow.layout.dimension)
    found, expected = np.empty_like(x), np.empty_like(x)
    np.testing.assert_allclose(narrow.gradient(x, 0, 0, found), whole.gradient(x, 0, 0, expected), rtol=1e-14)
    assert np.linalg.norm(found - expected) <= 1e-14 * np.linalg.norm(expected)


def test_shards_stay_in_the_block_they_were_loaded_into(data, make_context):
    problem = MLP(hidden=(3,))
    problem.setup(make_context(data, nodes=2))
    first, second = (problem.batch(node, 0)[0].values for node in range(2))
    assert first.base is second.base and not np.shares_memory(first, second)


@pytest.mark.parametrize(
    ("problem", "more"),
    [
        (SoftmaxRegression(), {}),
        (MLP(hidden=(3,)), {"clip_samples": 1.0}),
        (MLP(hidden=(3,)), {"batch": 150}),
    ],
    ids=["no hidden layer", "clipped samples", "batches"],
)
def test_whole_samples_where_they_are_needed(data, make_context, problem, more):
    problem.setup(make_context(data, nodes=2, **more))
    assert problem.batch(0, 0)[0].shape == (150, 7)


def matrices(draw):
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 9)))
    return hnp.arrays(np.float64, shape, elements=st.sampled_from([0.0, -0.0, 1.0, -2.5, np.nan]))


@settings(max_examples=200)
@given(st.data())
def test_any_matrix(data):
    few = data.draw(matrices(data.draw))
    whole = np.repeat(few, WORTH * 9, axis=0)  # enough samples for one constant feature to pay
    found = narrowed(whole.copy())
    constant = (few == few[0]).all(axis=0)
    if not constant.any():
        np.testing.assert_array_equal(found, whole)
        return
    again = np.empty_like(whole)
    again[:, found.varying], again[:, found.constant] = found.values, found.constants
    np.testing.assert_array_equal(again, whole)
    np.testing.assert_array_equal(found.constant, np.flatnonzero(constant))
    np.testing.assert_array_equal(found[3:5].values, found.values[3:5])


def test_few_samples_are_left_as_they_are():
    inputs = np.ones((WORTH - 1, 5))
    assert narrowed(inputs) is inputs
    assert isinstance(narrowed(np.ones((WORTH, 5))), Narrow)
