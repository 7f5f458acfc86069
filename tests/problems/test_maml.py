"""Meta-gradients: against differences of the meta-objective, bias of the estimates, tasks, evaluation."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pmom_mpi.kernels.distinct import distinct
from pmom_mpi.problems.maml import Samples
from pmom_mpi.problems.maml_classes import MAMLClasses
from pmom_mpi.problems.maml_sines import MAMLSines
from pmom_mpi.runtime import setting
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.registry import construct
from pmom_mpi.words.streams import Stream, generator


def ready(problem, context):
    problem.setup(context)
    return problem


def meta_gradient(problem, x, node=0, iteration=0):
    out = np.full_like(x, np.nan)
    metrics = problem.gradient(x, node, iteration, out)
    return metrics, out


def relative(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def differences(problem, x, step=1e-6):
    """Central differences of the meta-objective on the tasks of node 0, iteration 0."""
    sides = [
        meta_gradient(problem, x + side)[0][0] - meta_gradient(problem, x - side)[0][0]
        for side in step * np.eye(x.size)
    ]
    return np.array(sides) / (2 * step)


@pytest.fixture
def labelled(make_data):
    """Two hundred training samples of 5 classes, 200 for testing."""

    def make(**changes):
        data = make_data(samples=200, features=4, classes=5, tests=200, seed=2)
        if changes.get("labels", ...) is None:
            data.train.targets = data.train.targets + 0.5
        return replace(data, **changes)

    return make


@pytest.mark.parametrize("activation", ["tanh", "softplus", "relu"])
@pytest.mark.parametrize("inner_steps", [1, 3])
def test_exact_meta_gradient_of_sines(make_context, activation, inner_steps):
    """The difference quotient of a ReLU network is right away from its kinks only: so are these points."""
    problem = ready(
        MAMLSines(activation=activation, hidden=(8, 8), tasks=3, inner_steps=inner_steps, inner_step_size=0.05),
        make_context(None),
    )
    x = problem.initial_point()
    found = meta_gradient(problem, x)[1]
    assert relative(found, differences(problem, x)) <= 1e-6
    problem.estimate = "first_order"
    assert relative(meta_gradient(problem, x)[1], found) > 1e-2


def test_exact_meta_gradient_of_the_default_network(make_context):
    problem = ready(MAMLSines(activation="tanh", tasks=2), make_context(None))
    x = problem.initial_point()
    found = meta_gradient(problem, x)[1]
    for seed in range(5):
        direction = np.random.default_rng(seed).standard_normal(x.size)
        forth, back = (meta_gradient(problem, x + side * direction)[0][0] for side in (1e-6, -1e-6))
        assert found @ direction == pytest.approx((forth - back) / 2e-6, rel=1e-6)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("inner_steps", [1, 2])
def test_exact_meta_gradient_of_classes(labelled, make_context, activation, inner_steps):
    problem = MAMLClasses(
        ways=3,
        shots=2,
        queries=3,
        tasks=3,
        hidden=(6,),
        activation=activation,
        inner_steps=inner_steps,
        inner_step_size=0.5,
    )
    x = ready(problem, make_context(labelled())).initial_point()
    assert relative(meta_gradient(problem, x)[1], differences(problem, x)) <= 1e-6


def test_reptile_is_the_sum_of_inner_gradients(make_context):
    problem = ready(MAMLSines(estimate="reptile", inner_steps=4, tasks=3, activation="tanh"), make_context(None))
    x = problem.initial_point()
    (loss,), found = meta_gradient(problem, x)
    support, query = problem.draw(generator(0, Stream.BATCH, 0, 0), 0)
    params, total = np.repeat(x[None], 3, axis=0), np.zeros((3, x.size))
    for _ in range(4):
        step = np.empty_like(params)
        problem.network.gradient(params, *support, step)
        params, total = params - 0.01 * step, total + step
    np.testing.assert_allclose(found, total.mean(axis=0), rtol=1e-9, atol=1e-12)
    assert loss == pytest.approx(problem.scores(problem.network.outputs(params, query.inputs), query)[0] / 3)


def test_minibatch_bias_falls_like_one_over_the_inner_batch(make_context):
    """One fixed task batch, many draws of the inner minibatches: the mean estimate minus the exact gradient."""
    biases = []
    for inner_batch in (1, 2, 4, 8):
        problem = MAMLSines(
            estimate="minibatch",
            inner_batch=inner_batch,
            activation="tanh",
            hidden=(6,),
            tasks=2000,
            inner_step_size=0.02,
        )
        problem = ready(problem, make_context(None))
        x = problem.initial_point()
        wave = problem._waves(np.random.default_rng(3), 1, (4.0, 4.0), (1.0, 1.0), 10)
        support, query = (Samples(*(np.repeat(array, 2000, axis=0) for array in samples)) for samples in wave)
        random = np.random.default_rng(4)
        total = np.zeros_like(x)
        for _ in range(10):
            adapted, tapes = problem._adapt(x, support, random)
            total += problem._meta_gradients(adapted, tapes, query)[1].mean(axis=0) / 10
        problem.estimate, problem.inner_batch = "exact", None
        adapted, tapes = problem._adapt(x, support, random)
        exact = problem._meta_gradients(adapted, tapes, query)[1][0]
        biases.append(np.linalg.norm(total - exact))
    scaled = np.array(biases) * [1, 2, 4, 8]
    assert scaled.max() / scaled.min() < 1.5, scaled


def test_sine_tasks(make_context):
    problem = ready(MAMLSines(shots=5, queries=7, tasks=11), make_context(None, dtype=np.float32))
    support, query = problem.draw(np.random.default_rng(0), 0)
    assert support.inputs.shape == support.targets.shape == (11, 5, 1)
    assert query.inputs.shape == query.targets.shape == (11, 7, 1)
    assert all(a.dtype == np.float32 for a in (*support, *query))
    inputs, targets = (np.concatenate([s, q], axis=1)[..., 0] for s, q in zip(support, query, strict=True))
    assert np.abs(inputs).max() <= 5
    for u, y in zip(inputs, targets, strict=True):
        columns = np.stack([np.sin(u), -np.cos(u)], axis=1)  # y = A cos(p) sin(u) - A sin(p) cos(u)
        (a, b), misfit, *_ = np.linalg.lstsq(columns, y, rcond=None)
        assert misfit[0] < 1e-9 and 0.1 <= np.hypot(a, b) <= 5 and 0 <= np.arctan2(b, a) <= np.pi


@pytest.mark.parametrize("quantity", ["amplitude", "phase"])
def test_nodes_have_their_slices(make_context, quantity):
    problem = ready(MAMLSines(heterogeneity=quantity, tasks=200), make_context(None, nodes=4))
    whole = {"amplitude": (0.1, 5.0), "phase": (0.0, np.pi)}[quantity]
    edges = np.linspace(*whole, 5)
    for node in range(4):
        support, query = problem.draw(np.random.default_rng(node), node)
        u, y = np.concatenate([support.inputs, query.inputs], 1), np.concatenate([support.targets, query.targets], 1)
        found = []
        for inputs, targets in zip(u[..., 0], y[..., 0], strict=True):
            a, b = np.linalg.lstsq(np.stack([np.sin(inputs), -np.cos(inputs)], axis=1), targets, rcond=None)[0]
            found.append(np.hypot(a, b) if quantity == "amplitude" else np.arctan2(b, a))
        assert edges[node] - 1e-9 <= min(found) and max(found) <= edges[node + 1] + 1e-9
        assert max(found) - min(found) > 0.8 * (edges[1] - edges[0])


@pytest.mark.parametrize("estimate", [{}, {"estimate": "minibatch", "inner_batch": 3}, {"estimate": "first_order"}])
def test_a_node_is_the_same_on_every_rank(make_context, estimate):
    alone, among = (
        ready(MAMLSines(tasks=5, **estimate), make_context(None, nodes=5, hosted=hosted, dtype=np.float32))
        for hosted in (range(3, 4), range(5))
    )
    x = alone.initial_point()
    meta_gradient(among, x, 1, 4)
    one, two = meta_gradient(alone, x, 3, 4), meta_gradient(among, x, 3, 4)
    assert one[0] == two[0] and one[1].tobytes() == two[1].tobytes() and one[1].dtype == np.float32
    assert not np.array_equal(one[1], meta_gradient(among, x, 3, 5)[1])
    assert not np.array_equal(one[1], meta_gradient(among, x, 2, 4)[1])


def test_evaluation_adapts(make_context):
    problem = ready(MAMLSines(evaluation_tasks=230, activation="tanh"), make_context(None))
    x = problem.initial_point()
    assert problem.chunks == 3 and problem.evaluate(x, 2)[-1] == 30
    assert problem.evaluate(x, 1) == problem.evaluate(x, 1) != problem.evaluate(x, 0)
    support, query = problem.unseen(np.random.default_rng(0), 3)
    assert query.inputs.shape[1] == 50 and support.inputs.shape[1] == 10
    *sums, weight = np.sum([problem.evaluate(x, chunk) for chunk in range(3)], axis=0)
    assert weight == 230 and len(sums) == len(problem.evaluation)
    assert sums[0] / weight > 2  # E A^2 / 2 is 4.25


def test_a_short_training_on_sines_learns_to_learn(make_context):
    problem = ready(MAMLSines(activation="tanh", inner_step_size=0.03), make_context(None, nodes=1, dtype=np.float32))
    x = problem.initial_point()

    def errors():
        *sums, weight = np.sum([problem.evaluate(x, chunk) for chunk in range(problem.chunks)], axis=0)
        return np.array(sums) / weight

    before, v, out = errors(), np.zeros_like(x), np.empty_like(x)
    for k in range(400):
        problem.gradient(x, 0, k, out)
        v += 0.1 * (out * min(1, 1 / np.linalg.norm(out)) - v)
        x -= np.float32(0.2) * v
    after = errors()
    assert before[1] > 4 and after[1] < 1.5 and after[3] < after[1] < 0.5 * after[0]


@pytest.mark.parametrize(
    "keys, words",
    [
        ({"estimate": "minibatch"}, "inner_batch belongs to estimate minibatch"),
        ({"inner_batch": 3}, "inner_batch belongs to estimate minibatch"),
        ({"estimate": "reptile"}, "reptile needs inner_steps of at least 2"),
        ({"estimate": "second_order"}, "problem.estimate"),
        ({"shots": 0}, "problem.shots"),
        ({"hidden": [40, 0]}, "problem.hidden"),
    ],
)
def test_keys_that_are_wrong(keys, words):
    with pytest.raises(UserError, match=words):
        construct(MAMLSines, "problem", keys)


def test_class_tasks(labelled, make_context):
    data = labelled()
    problem = ready(MAMLClasses(ways=3, shots=2, queries=4, tasks=50), make_context(data, nodes=2))
    labels = data.train.targets.tolist()
    known = {tuple(row): (place, labels[place]) for place, row in enumerate(data.train.inputs)}
    support, query = problem.draw(np.random.default_rng(0), 1)
    used = Counter()
    for t in range(50):
        inputs = np.concatenate([support.inputs[t], query.inputs[t]])
        targets = np.concatenate([support.targets[t], query.targets[t]])
        places, labels = zip(*(known[tuple(row)] for row in inputs), strict=True)
        assert len(set(places)) == 18 and min(places) >= 100
        assert len(set(zip(labels, targets, strict=True))) == 3 == len(set(labels)) == len(set(targets))
        assert np.array_equal(support.targets[t], [0, 0, 1, 1, 2, 2])
        used.update(dict(zip(targets, labels, strict=True)).items())
    assert len(used) == 15  # every class has had every number


def test_held_out_classes(labelled, make_context):
    data = labelled()
    problem = ready(MAMLClasses(ways=2, shots=1, queries=2, held_out=(1, 4)), make_context(data))
    trained = {
        tuple(row) for row, label in zip(data.train.inputs, data.train.targets, strict=True) if label not in (1, 4)
    }
    tested = {tuple(row) for row, label in zip(data.test.inputs, data.test.targets, strict=True) if label in (1, 4)}
    for tasks, allowed in (
        (problem.draw(np.random.default_rng(0), 0), trained),
        (problem.unseen(np.random.default_rng(0), 30), tested),
    ):
        for samples in tasks:
            assert {tuple(row) for row in samples.inputs.reshape(-1, 4)} <= allowed


def test_evaluation_of_classes(labelled, make_context):
    problem = ready(MAMLClasses(ways=3, evaluation_tasks=150, queries=5), make_context(labelled()))
    *sums, weight = np.sum([problem.evaluate(problem.initial_point(), chunk) for chunk in range(2)], axis=0)
    means = dict(zip((metric.name for metric in problem.evaluation), np.array(sums) / weight, strict=True))
    assert weight == 150
    assert means["loss_after_0"] == pytest.approx(np.log(3), rel=0.2) and means["accuracy_after_0"] == pytest.approx(
        1 / 3, abs=0.06
    )


def test_data_that_do_not_suit(labelled, make_context):
    for problem, data, words in (
        (MAMLClasses(), None, "add a data section"),
        (MAMLClasses(), labelled(labels=None), "labelled samples, but the targets of this data are real"),
        (MAMLClasses(held_out=(5,)), labelled(), r"no sample has the label 5; the labels are 0, 1, 2, 3, 4"),
        (MAMLClasses(ways=6), labelled(), "node 0 has only 5 with the 11 samples"),
        (MAMLClasses(ways=4, held_out=(0, 1)), labelled(), "node 0 has only 3"),
    ):
        with pytest.raises(UserError, match=words):
            problem.setup(make_context(data))
    with pytest.raises(UserError, match="gradient.batch: 8 means nothing here"):
        MAMLClasses().setup(make_context(labelled(), batch=8))
    problem = ready(MAMLClasses(ways=3, held_out=(0, 1)), make_context(labelled()))
    with pytest.raises(UserError, match=r"the test split \(problem.held_out\) has only 2"):
        problem.evaluate(problem.initial_point(), 0)
    assert ready(MAMLClasses(ways=3), make_context(labelled(test=None))).chunks == 0


def test_distinct_is_a_uniform_ordered_sample():
    rng = np.random.default_rng(0)
    out = np.empty((24000, 2), np.int64)
    distinct(rng.random(out.shape), np.full(24000, 4), out)
    counts = Counter(map(tuple, out.tolist()))
    assert len(counts) == 12 and all(a != b for a, b in counts)
    assert max(abs(count - 2000) for count in counts.values()) < 5 * np.sqrt(2000)
    whole = np.empty((50, 7), np.int64)
    distinct(rng.random(whole.shape), np.full(50, 7), whole)
    assert np.array_equal(np.sort(whole, axis=1), np.tile(np.arange(7), (50, 1)))
    edge = np.empty((1, 3), np.int64)
    distinct(np.full((1, 3), np.nextafter(1, 0)), np.array([3]), edge)
    assert edge.tolist() == [[2, 1, 0]]


def test_the_gradient_of_a_diagnosis_is_that_of_its_value():
    """Against central differences; the tasks are the same ones whatever the run's estimate is."""
    raw = {
        "name": "m", "iterations": 1, "step_size": 0.1, "nodes": 2, "dtype": "float64",
        "problem": {"kind": "maml_sines", "hidden": [4], "activation": "tanh", "tasks": 50, "inner_steps": 2},
    }  # fmt: skip
    other = raw | {"problem": raw["problem"] | {"estimate": "first_order"}}
    problem, x = setting.ready(raw).problem, setting.ready(raw).problem.initial_point()
    found, again, unused = np.empty((3, x.size))
    value = problem.full_gradient(x, 1, found)
    assert setting.ready(other).problem.full_gradient(x, 1, again) == value and np.array_equal(found, again)
    way = np.linspace(-1, 1, x.size)
    ahead, behind = (problem.full_gradient(x + sign * 1e-5 * way, 1, unused) for sign in (1, -1))
    assert found @ way == pytest.approx((ahead - behind) / 2e-5, rel=1e-5)
