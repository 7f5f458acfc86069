"""Linear models: gradients, constants, and f(x) - f* against what is known otherwise."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize

from pmom_mpi.data import Batch, DataSet
from pmom_mpi.data.sparse import SparseSplit
from pmom_mpi.problems.base import Context
from pmom_mpi.problems.least_squares import LeastSquares
from pmom_mpi.problems.linear import Constants
from pmom_mpi.problems.logistic import Logistic, NonconvexLogistic
from pmom_mpi.problems.metrics import ACCURACY, LOSS
from pmom_mpi.problems.phase_retrieval import PhaseRetrieval
from pmom_mpi.problems.robust import RobustRegression
from pmom_mpi.problems.synthetic import Synthetic
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.registry import PROBLEMS, build

SMALL = Synthetic(dimension=8, samples=(10, 31), condition=20.0)
PROBLEMS_HERE = [
    LeastSquares(synthetic=SMALL),
    LeastSquares(l2=0.1, synthetic=SMALL),
    Logistic(l2=0.02, synthetic=SMALL),
    NonconvexLogistic(penalty=0.3, synthetic=SMALL),
    RobustRegression(synthetic=SMALL, scale=0.7),
    RobustRegression(penalty="huber", scale=0.2, l2=0.1, synthetic=SMALL),
    PhaseRetrieval(Synthetic(dimension=8, samples=30, noise=0.2)),
]
CONVEX = PROBLEMS_HERE[:3]


@pytest.fixture
def ready():
    """A function that sets a problem up and lets it solve for its constants."""

    def ready(problem, nodes=3, hosted=None, batch=None, dtype=np.float64, data=None, shards=()):
        hosted = range(nodes) if hosted is None else hosted
        problem.setup(Context(nodes, hosted, 5, np.dtype(dtype), data, shards, batch or Batch()))
        problem.adopt(problem.solve())
        return problem

    return ready


def value(problem, x):
    """f(x), the mean over nodes of what they report."""
    return np.mean([problem.gradient(x, node, 0, np.empty_like(x))[0] for node in range(problem.context.nodes)])


def slope(problem, x):
    """grad f(x), the mean over nodes of theirs."""
    out = np.empty((problem.context.nodes, x.size))
    for node in range(len(out)):
        problem.gradient(x, node, 0, out[node])
    return out.mean(axis=0)


@pytest.mark.parametrize("problem", PROBLEMS_HERE)
@pytest.mark.parametrize("batch", [Batch(), Batch(4, "reshuffle")])
def test_gradients_against_finite_differences(ready, problem, batch):
    ready(problem, batch=batch)
    rng = np.random.default_rng(0)
    x = rng.standard_normal(8)
    out, spare = np.empty_like(x), np.empty_like(x)
    for node in range(3):
        problem.gradient(x, node, 7, out)
        sides = [
            problem.gradient(x + e, node, 7, spare)[0] - problem.gradient(x - e, node, 7, spare)[0]
            for e in 1e-5 * np.eye(x.size)
        ]
        assert np.linalg.norm(out - np.array(sides) / 2e-5) <= 1e-6 * np.linalg.norm(out)


@pytest.mark.parametrize("problem", CONVEX)
def test_minimum_is_a_minimum(ready, problem):
    """The same minimum as scipy's, and a gradient of rounding errors."""
    ready(problem)
    found = optimize.minimize(
        lambda x: (value(problem, x), slope(problem, x)), np.zeros(8), jac=True, tol=1e-15, method="BFGS"
    )
    assert problem.minimum == pytest.approx(found.fun, rel=1e-12)
    assert value(problem, problem.minimizer) == pytest.approx(problem.minimum, rel=1e-14)
    assert np.linalg.norm(slope(problem, problem.minimizer)) < 1e-14
    assert (np.linalg.norm(slope(problem, np.zeros(8))) ** 2) / (2 * problem.pl_constant) > 1e-3


@pytest.mark.parametrize("problem", CONVEX)
def test_suboptimality_is_the_difference(ready, problem):
    """The mean over the nodes of what they report is f(x) - f*, of nonnegative terms."""
    ready(problem)
    for length in (30.0, 1.0, 0.1, 1e-3):
        x = problem.minimizer + length * np.random.default_rng(1).standard_normal(8)
        found = [problem.gradient(x, node, 0, np.empty(8))[-1] for node in range(3)]
        assert min(found) >= 0
        assert np.mean(found) == pytest.approx(value(problem, x) - problem.minimum, rel=1e-10, abs=1e-15)


@pytest.mark.parametrize("problem", CONVEX)
def test_suboptimality_where_a_difference_has_no_digits(ready, problem):
    """1e-7 away from x* it is about 1e-14: a quadratic form of the Hessian, in float32 as well."""
    ready(problem)
    step = 1e-7 * np.random.default_rng(1).standard_normal(8)
    x, curve = problem.minimizer + step, (slope(problem, problem.minimizer + step)) @ step / 2
    assert np.mean([problem.gradient(x, node, 0, np.empty(8))[-1] for node in range(3)]) == pytest.approx(
        curve, rel=1e-3
    )
    single = ready(problem, dtype=np.float32)
    x, out = single.minimizer.astype(np.float32), np.empty(8, np.float32)
    assert 0 <= np.mean([single.gradient(x, node, 0, out)[-1] for node in range(3)]) < 1e-13


@pytest.mark.parametrize("problem", CONVEX)
def test_minibatches_report_it_as_well(ready, problem):
    x = np.random.default_rng(2).standard_normal(8)
    out = np.empty_like(x)
    full = [ready(problem).gradient(x, node, 0, out)[-1] for node in range(3)]
    ready(problem, batch=Batch(4, "replacement"))
    problem.measure_every = 5
    found = [[problem.gradient(x, node, k, out)[-1] for node in range(3)] for k in (3, 5)]
    problem.measure_every = 1
    assert np.isnan(found[0]).all() and found[1] == full


@pytest.mark.parametrize("problem", PROBLEMS_HERE[:6])
def test_smoothness_and_pl(ready, problem):
    """|grad f(x) - grad f(y)| <= L |x - y|, and |grad f|^2 >= 2 mu (f - f*)."""
    ready(problem)
    rng = np.random.default_rng(3)
    for _ in range(30):
        x, y = rng.standard_normal((2, 8))
        y = x + 0.1 * y
        assert np.linalg.norm(slope(problem, x) - slope(problem, y)) <= problem.smoothness * np.linalg.norm(x - y)
        if problem.minimum is not None:
            gap = value(problem, x) - problem.minimum
            assert slope(problem, x) @ slope(problem, x) >= 2 * problem.pl_constant * gap


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rank", [None, 5, 1])
def test_made_samples_have_the_spectrum_asked_for(ready, dtype, rank):
    synthetic = Synthetic(dimension=8, samples=20, condition=50.0, rank=rank)
    problem = ready(LeastSquares(synthetic=synthetic), dtype=dtype)
    assert problem.smoothness == pytest.approx(1, rel=1e-6)
    assert problem.pl_constant == pytest.approx(1 if rank == 1 else 1 / 50, rel=1e-5)


def test_sizes_of_nodes(ready):
    problem = ready(LeastSquares(synthetic=SMALL), nodes=4)
    assert [len(y) for _, y in problem._shards.values()] == [10, 17, 24, 31]
    with pytest.raises(UserError, match=r"gradient\.batch: 12 is more than the 10 samples"):
        ready(LeastSquares(synthetic=SMALL), batch=Batch(12))


def test_outliers_pull_least_squares_only(ready):
    synthetic = Synthetic(dimension=8, samples=100, condition=2.0, heterogeneity=0.0, outliers=0.1)
    truth = synthetic.truth(ready(LeastSquares(synthetic=synthetic)).context)[1]
    robust = ready(RobustRegression(synthetic=synthetic))
    x, y = np.zeros(8), ready(LeastSquares(synthetic=synthetic)).minimizer
    for _ in range(200):
        x -= slope(robust, x) / robust.smoothness
    assert np.linalg.norm(x - truth) < 0.1 < 0.3 < np.linalg.norm(y - truth)


def test_phase_retrieval_finds_the_vector(ready):
    problem = ready(PhaseRetrieval())
    x = problem.initial_point()
    for _ in range(500):
        x -= 0.1 * slope(problem, x)
    loss, distance = problem.gradient(x, 0, 0, np.empty_like(x))
    assert problem.minimum == 0 and loss < 1e-10 and distance < 1e-4
    assert ready(PhaseRetrieval(Synthetic(noise=0.1))).minimum is None


def Data(train, test=None):
    """A data set of two classes, its samples given."""
    return DataSet("made", train, test, np.arange(2))


def sparse_split(samples=60, features=30, seed=0):
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((samples, features)) * (rng.random((samples, features)) < 0.2)
    rows, columns = np.nonzero(inputs)
    starts = np.searchsorted(rows, np.arange(samples + 1))
    return SparseSplit(
        starts, columns.astype(np.uint32), inputs[rows, columns], rng.integers(2, size=samples), features
    )


class Densely:
    """The same samples with all their zeros."""

    def __init__(self, split):
        self.load, self.features, self.targets = split.load, split.features, split.targets

    def __len__(self):
        return len(self.targets)


@pytest.mark.parametrize("make", [LeastSquares, Logistic, NonconvexLogistic, RobustRegression])
@pytest.mark.parametrize("batch", [Batch(), Batch(7)])
def test_sparse_is_dense(ready, make, batch):
    """Gradients, constants and evaluations of sparse samples are those of the same samples written out."""
    shards = [np.arange(0, 25), np.array([59, 25, 40]), np.arange(41, 59)]
    batch = Batch(3) if batch.size == 7 else batch
    data = Data(sparse_split(), sparse_split(1234, seed=1))
    sparse = ready(make(), batch=batch, data=data, shards=shards)
    dense = ready(make(), batch=batch, data=Data(Densely(data.train), Densely(data.test)), shards=shards)
    x = np.random.default_rng(4).standard_normal(30)
    one, two = np.empty_like(x), np.empty_like(x)
    for node in range(3):
        np.testing.assert_allclose(sparse.gradient(x, node, 2, one), dense.gradient(x, node, 2, two), rtol=1e-11)
        np.testing.assert_allclose(one, two, rtol=1e-11, atol=1e-13)
    for name in ("smoothness", "pl_constant", "minimum"):
        expected = getattr(dense, name)
        assert getattr(sparse, name) == (None if expected is None else pytest.approx(expected, rel=1e-10))
    assert sparse.chunks == 2 and sparse.evaluate(x, 1)[-1] == 234
    np.testing.assert_allclose(sparse.evaluate(x, 1), dense.evaluate(x, 1), rtol=1e-11)
    assert len(sparse.evaluate(x, 0)) == len(sparse.evaluation) + 1


def test_many_features(ready):
    """Beyond the dimension up to which all eigenvalues are computed."""
    split = sparse_split(samples=200, features=3000)
    shards = np.array_split(np.arange(200), 3)
    inputs, labels = split.load(np.arange(200), np.float64)
    weights = np.concatenate([np.full(len(rows), 1 / len(rows) / 3) for rows in shards])
    largest = np.linalg.norm(np.sqrt(weights)[:, None] * inputs, 2) ** 2
    logistic = ready(Logistic(l2=1e-3), data=Data(split), shards=shards)
    assert logistic.smoothness == pytest.approx(largest / 4 + 1e-3, rel=1e-6)
    ridge = ready(LeastSquares(l2=1e-2), data=Data(split), shards=shards)
    assert (ridge.smoothness, ridge.pl_constant) == (pytest.approx(largest + 1e-2, rel=1e-6), 1e-2)
    dual = np.linalg.solve(inputs @ inputs.T + 1e-2 * np.diag(1 / weights), labels)
    np.testing.assert_allclose(ridge.minimizer, inputs.T @ dual, atol=1e-10)
    assert ready(LeastSquares(), data=Data(split), shards=shards).metrics == (LOSS,)


@pytest.mark.parametrize("problem", PROBLEMS_HERE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_node_is_the_same_on_every_rank(ready, problem, dtype):
    """Also when the constants were found by another rank that hosts nobody."""
    x = np.random.default_rng(5).standard_normal(8).astype(dtype)
    one, two = np.empty_like(x), np.empty_like(x)
    batch = Batch(4)
    among = ready(problem, nodes=5, batch=batch, dtype=dtype)
    among.gradient(x, 1, 4, two)
    found = among.gradient(x, 3, 4, two)
    server = ready(problem, nodes=5, hosted=range(0), batch=batch, dtype=dtype).solve()
    problem.setup(Context(5, range(3, 4), 5, np.dtype(dtype), None, (), batch))
    problem.adopt(server)
    assert problem.gradient(x, 3, 4, one) == found and one.tobytes() == two.tobytes() and one.dtype == dtype


def test_constants_can_be_left_out(ready):
    problem = ready(Logistic(synthetic=SMALL, constants=False))
    assert problem.metrics == (LOSS, ACCURACY) and problem.solve() == Constants()
    assert ready(Logistic(l2=0, synthetic=SMALL)).metrics == (LOSS, ACCURACY)


def test_classes(make_data, ready):
    data, shards = make_data(samples=24, classes=4), np.array_split(np.arange(24), 3)
    problem = ready(LeastSquares(positive=(1, 3)), data=data, shards=shards)
    assert np.array_equal(problem._shards[1][1], np.where(np.isin(data.train.targets[8:16], (1, 3)), 1, -1))
    assert np.array_equal(ready(LeastSquares(), data=data, shards=shards)._shards[1][1], data.train.targets[8:16])
    with pytest.raises(UserError, match=r"problem\.positive: list the labels .* the data has 4 classes"):
        ready(Logistic(), data=data, shards=shards)
    data.train.targets = data.train.targets + 0.5
    data = replace(data, labels=None)
    with pytest.raises(UserError, match=r"problem\.positive: names class labels"):
        ready(LeastSquares(positive=(1,)), data=data, shards=shards)


@pytest.mark.parametrize(
    "raw, words",
    [
        ({"kind": "least_squares", "synthetic": {"dimension": 5, "rank": 6}}, "rank may be at most the dimension, 5"),
        ({"kind": "logistic", "synthetic": {"samples": 7}}, "samples must be at least the rank, 50"),
        (
            {"kind": "logistic", "synthetic": {"sampels": 7}},
            r"problem\.synthetic\.sampels: unknown key; did you mean 'samples'",
        ),
        ({"kind": "logistic", "l2": -1}, r"problem\.l2"),
        ({"kind": "robust_regression", "scale": 0}, r"problem\.scale"),
        ({"kind": "robust_regression", "penalty": "tukey"}, r"problem\.penalty"),
        ({"kind": "nonconvex_logistic", "l2": 1}, r"problem\.l2: unknown key"),
        ({"kind": "phase_retrieval", "constants": False}, "unknown key"),
        ({"kind": "least_squares", "positive": []}, r"problem\.positive"),
    ],
)
def test_keys_that_are_wrong(raw, words):
    with pytest.raises(UserError, match=words):
        build(PROBLEMS, "problem", raw)


def test_samples_come_from_one_place(make_data, make_context):
    for problem, data in ((LeastSquares(), None), (LeastSquares(synthetic=SMALL), make_data())):
        with pytest.raises(UserError, match="either a data section or the key synthetic"):
            problem.setup(make_context(data))


def test_too_ill_conditioned(ready):
    """What cannot be certified is said, not logged."""
    split = sparse_split(samples=50, features=1500)
    split.values[:] *= 10.0 ** np.random.default_rng(0).integers(-6, 7, len(split.values))
    with pytest.raises(UserError, match="too ill-conditioned"):
        ready(Logistic(l2=1e-14), data=Data(split), shards=np.array_split(np.arange(50), 3))
