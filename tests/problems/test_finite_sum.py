"""Shards, batches and evaluation chunks."""

from dataclasses import replace

import numpy as np
import pytest

from pmom_mpi.problems.mlp import MLP
from pmom_mpi.problems.softmax_regression import SoftmaxRegression
from pmom_mpi.words.errors import UserError


def ready(problem, context):
    problem.setup(context)
    return problem


def test_shards_are_views_of_one_block(make_data, make_context):
    data = make_data(samples=23)
    problem = ready(MLP(hidden=(3,)), make_context(data, nodes=5, hosted=range(1, 4)))
    batches = [problem.batch(node, 0) for node in range(1, 4)]
    assert len(data.train.loaded) == 1
    block = batches[0][0].base
    assert block is not None and len(block) == len(data.train.loaded[0]) == sum(len(t) for _, t in batches)
    for node, (inputs, targets) in zip(range(1, 4), batches, strict=True):
        rows = np.array_split(np.arange(23), 5)[node]
        assert inputs.base is block and inputs.flags.c_contiguous
        assert np.array_equal(inputs, data.train.inputs[rows])
        assert np.array_equal(targets, data.train.targets[rows])
    assert np.shares_memory(problem.batch(2, 0)[0], problem.batch(2, 1)[0])


def test_drawn_rows_are_gathered_into_one_buffer(make_data, make_context):
    data = make_data(samples=40)
    context = make_context(data, nodes=4, batch=6)
    problem = ready(MLP(hidden=(3,)), context)
    first = problem.batch(2, 5)
    rows = context.shards[2][context.batch.rows(10, 0, 2, 5)]
    assert np.array_equal(first[0], data.train.inputs[rows])
    assert np.array_equal(first[1], data.train.targets[rows])
    second = problem.batch(3, 5)
    assert np.shares_memory(first[0], second[0]) and np.shares_memory(first[1], second[1])


@pytest.mark.parametrize(("batch", "samples"), [("full", 35), ("full", 3500), (3, 35)])
def test_a_node_is_the_same_on_every_rank(make_data, make_context, batch, samples):
    data = make_data(samples=samples)
    data.train.inputs[:, [1, 4]] = -0.4  # of many samples, such features are left out of the products
    alone = ready(MLP(hidden=(8,)), make_context(data, nodes=5, hosted=range(3, 4), batch=batch, dtype=np.float32))
    among = ready(MLP(hidden=(8,)), make_context(data, nodes=5, batch=batch, dtype=np.float32))
    x = alone.initial_point()
    assert np.array_equal(x, among.initial_point())
    one, two = np.empty_like(x), np.empty_like(x)
    among.gradient(x, 1, 4, two)
    assert alone.gradient(x, 3, 4, one) == among.gradient(x, 3, 4, two)
    assert np.array_equal(one, two)


def test_evaluation_in_chunks(make_data, make_context):
    data = make_data(tests=2345)
    problem = ready(SoftmaxRegression(), make_context(data, hosted=range(0)))
    x = np.random.default_rng(1).standard_normal(problem.layout.dimension)
    assert problem.chunks == 3
    last = problem.evaluate(x, 2)
    assert problem.evaluate(x, 2) == last and last[2] == 345
    assert [list(rows[[0, -1]]) for rows in data.test.loaded] == [[2000, 2344]]
    totals = np.sum([problem.evaluate(x, chunk) for chunk in range(3)], axis=0)
    whole = problem.batch_evaluate(x, data.test.inputs, data.test.targets)
    np.testing.assert_allclose(totals, (*whole, 2345), rtol=1e-12)
    assert all(type(value) is float for value in last)


def test_no_test_split_no_chunks(make_data, make_context):
    assert ready(SoftmaxRegression(), make_context(make_data())).chunks == 0


@pytest.mark.parametrize("samples, chunks", [(1, 1), (1000, 1), (1001, 2)])
def test_number_of_chunks(make_data, make_context, samples, chunks):
    assert ready(SoftmaxRegression(), make_context(make_data(tests=samples))).chunks == chunks


def test_what_does_not_fit(make_data, make_context):
    with pytest.raises(UserError, match="add a data section"):
        MLP().setup(make_context(None))
    with pytest.raises(UserError, match="node 3 without samples"):
        MLP().setup(make_context(make_data(samples=3), nodes=4))
    data = make_data()
    data.train.targets = data.train.targets.astype(float)
    data = replace(data, labels=None)
    with pytest.raises(UserError, match=r"at least 2 classes, but the targets are whole numbers stored as floats"):
        MLP().setup(make_context(data))
    data = make_data(classes=4, tests=10)
    data.train.targets[data.train.targets == 2] = 1
    data.test.targets[:] = 0
    data.test.targets[7] = 2
    with pytest.raises(UserError, match=r"labels that no training sample has: 2 \(1 of 10 samples\); .* are 0, 1, 3"):
        MLP().setup(make_context(data))
