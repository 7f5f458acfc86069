"""Dense networks: gradients, losses, precision, not-a-number."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmom_mpi.problems.metrics import ACCURACY, LOSS, SAMPLES_CLIPPED
from pmom_mpi.problems.mlp import MLP
from pmom_mpi.problems.softmax_regression import SoftmaxRegression
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.registry import PROBLEMS, build


def reference(layout, x, inputs, targets, l2):
    """Mean loss, accuracy and gradient in float64, written as in a textbook."""
    tensors = [view.astype(np.float64) for view in layout.views(x)]
    weights, biases = tensors[::2], tensors[1::2]
    samples = np.arange(len(targets))
    activations = [inputs.astype(np.float64)]
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        activations.append(np.maximum(activations[-1] @ weight.T + bias, 0))
    logits = activations[-1] @ weights[-1].T + biases[-1]
    logits -= logits.max(axis=1, keepdims=True)
    logarithms = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    delta = np.exp(logarithms)
    delta[samples, targets] -= 1
    delta /= len(targets)
    parts = []
    for layer in reversed(range(len(weights))):
        parts += [delta.sum(axis=0), (delta.T @ activations[layer]).ravel()]
        delta = (delta @ weights[layer]) * (activations[layer] > 0)
    flat = np.concatenate([view.ravel() for view in tensors])
    loss = -logarithms[samples, targets].mean() + l2 / 2 * flat @ flat
    return loss, (logits.argmax(axis=1) == targets).mean(), np.concatenate(parts[::-1]) + l2 * flat


def ready(problem, context):
    problem.setup(context)
    return problem


def point(problem, dtype=np.float64, scale=0.5, seed=3):
    return (scale * np.random.default_rng(seed).standard_normal(problem.layout.dimension)).astype(dtype)


def relative(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("hidden", [(), (1,), (5,), (6, 4), (3, 5, 2)])
@pytest.mark.parametrize("samples", [1, 2, 17])
@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_gradient_against_central_differences(make_data, make_context, hidden, samples, l2):
    problem = ready(MLP(hidden=hidden, l2=l2), make_context(make_data(samples=samples)))
    x = point(problem)
    gradient, spare = np.empty_like(x), np.empty_like(x)
    problem.gradient(x, 0, 0, gradient)
    step = 1e-6
    differences = np.empty_like(x)
    for j in range(x.size):
        sides = []
        for sign in (1, -1):
            moved = x.copy()
            moved[j] += sign * step
            sides.append(problem.gradient(moved, 0, 0, spare)[0])
        differences[j] = (sides[0] - sides[1]) / (2 * step)
    assert relative(gradient, differences) <= 1e-6


@settings(max_examples=40, deadline=None)
@given(
    widths=st.lists(st.integers(1, 33), min_size=1, max_size=4),
    classes=st.integers(2, 12),
    samples=st.integers(1, 40),
    l2=st.sampled_from([0.0, 0.01, 2.0]),
    scale=st.sampled_from([0.0, 0.1, 1.0]),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 2**16),
)
def test_equals_the_textbook(widths, classes, samples, l2, scale, dtype, seed):
    problem = MLP(hidden=tuple(widths[1:]), l2=l2)
    problem.layout = problem.shape(widths[0], classes)
    problem.allocate(np.dtype(dtype))
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((samples, widths[0])).astype(dtype)
    targets = rng.integers(classes, size=samples)
    x = point(problem, dtype, scale, seed)
    gradient = np.full_like(x, np.nan)
    found = problem.batch_gradient(x, inputs, targets, gradient)
    loss, accuracy, expected = reference(problem.layout, x, inputs, targets, l2)
    tolerance = 1e-11 if dtype == np.float64 else 2e-4
    assert found[0] == pytest.approx(loss, rel=tolerance, abs=tolerance)
    assert gradient.dtype == dtype
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=tolerance * (1 + np.abs(expected).max()))
    sums = problem.batch_evaluate(x, inputs, targets)
    assert sums[0] / samples == pytest.approx(found[0], rel=1e-6)
    assert sums[1] == round(found[1] * samples)
    if dtype == np.float64:
        assert found[1] == pytest.approx(accuracy)


def test_float32_close_to_float64(make_data, make_context):
    data = make_data(samples=600, features=64, classes=10)
    results = []
    for dtype in (np.float32, np.float64):
        problem = ready(MLP(hidden=(128, 96)), make_context(data, dtype=dtype))
        x = problem.initial_point()
        gradient = np.empty_like(x)
        results.append((problem.gradient(x, 0, 0, gradient), gradient))
    (single, double) = results
    assert abs(single[0][0] - double[0][0]) < 2e-7
    assert relative(single[1], double[1]) < 1e-5


def test_same_bits_again_and_at_any_alignment(make_data, make_context):
    data = make_data(samples=64, features=33, classes=10)
    problem = ready(MLP(hidden=(40, 17)), make_context(data, dtype=np.float32))
    inputs, targets = problem.batch(0, 0)
    x = problem.initial_point()
    expected = np.empty_like(x)
    values = problem.batch_gradient(x, inputs, targets, expected)
    for shift in (0, 1, 5):
        shifted_inputs = np.empty(inputs.size + shift, np.float32)[shift:].reshape(inputs.shape)
        shifted_x, out = np.empty(x.size + shift, np.float32)[shift:], np.empty(x.size + shift, np.float32)[shift:]
        shifted_inputs[...], shifted_x[...] = inputs, x
        assert problem.batch_gradient(shifted_x, shifted_inputs, targets, out) == values
        assert np.array_equal(out, expected)


def test_buffers_of_a_larger_batch_leave_no_trace(make_data, make_context):
    problem = ready(MLP(hidden=(6, 5)), make_context(make_data(samples=30)))
    inputs, targets = problem.batch(0, 0)
    x = point(problem)
    before, after = np.empty_like(x), np.empty_like(x)
    first = problem.batch_gradient(x, inputs[:4], targets[:4], before)
    problem.batch_gradient(-x, inputs, targets, after)
    assert problem.batch_gradient(x, inputs[:4], targets[:4], after) == first
    assert np.array_equal(before, after)


def test_data_and_point_stay_as_they_are(make_data, make_context):
    problem = ready(MLP(hidden=(6,), l2=0.1), make_context(make_data(tests=5)))
    x = point(problem)
    x.setflags(write=False)
    inputs, targets = problem.batch(0, 0)
    kept = inputs.copy(), targets.copy()
    problem.gradient(x, 0, 0, np.empty_like(x))
    problem.evaluate(x, 0)
    assert np.array_equal(inputs, kept[0]) and np.array_equal(targets, kept[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("samples", [1, 9])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_reaches_the_loss(make_data, make_context, dtype, samples, bad):
    problem = ready(MLP(hidden=(5, 4), init="glorot"), make_context(make_data(samples=samples, tests=3), dtype=dtype))
    for tensor in range(6):
        x = problem.initial_point()
        problem.layout.views(x)[tensor][...] = bad
        gradient = np.zeros_like(x)
        loss, accuracy = problem.gradient(x, 0, 0, gradient)
        assert not np.isfinite(loss) and 0 <= accuracy <= 1
        assert not np.isfinite(gradient).all()
        assert not np.isfinite(problem.evaluate(x, 0)[0])


def test_one_nan_weight_is_enough(make_data, make_context):
    problem = ready(MLP(hidden=(5, 4)), make_context(make_data()))
    for j in range(problem.layout.dimension):
        x = point(problem)
        x[j] = np.nan
        assert np.isnan(problem.gradient(x, 0, 0, np.empty_like(x))[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_logits_do_not_overflow(make_data, make_context, dtype):
    problem = ready(SoftmaxRegression(), make_context(make_data(), dtype=dtype))
    x = point(problem, dtype, scale=1e4)
    gradient = np.empty_like(x)
    loss, _ = problem.gradient(x, 0, 0, gradient)
    expected = reference(problem.layout, x, *problem.batch(0, 0), 0.0)
    assert loss == pytest.approx(expected[0], rel=1e-5)
    np.testing.assert_allclose(gradient, expected[2], atol=1e-5)


def test_zero_model_knows_nothing(make_data, make_context):
    problem = ready(SoftmaxRegression(), make_context(make_data(classes=4)))
    x = problem.initial_point()
    loss, accuracy = problem.gradient(x, 0, 0, np.empty_like(x))
    assert loss == pytest.approx(np.log(4), abs=1e-12)
    assert accuracy == np.mean(problem.batch(0, 0)[1] == 0)


def test_softmax_regression_is_the_network_without_hidden_layers(make_data, make_context):
    context = make_context(make_data(tests=9))
    regression, network = ready(SoftmaxRegression(l2=0.1), context), ready(MLP(hidden=(), l2=0.1), context)
    assert regression.layout == network.layout
    x = point(network)
    one, two = np.empty_like(x), np.empty_like(x)
    assert regression.gradient(x, 0, 0, one) == network.gradient(x, 0, 0, two)
    assert np.array_equal(one, two)
    assert regression.evaluate(x, 0) == network.evaluate(x, 0)


def test_layout_is_that_of_pytorch():
    layout = MLP().shape(784, 10)
    assert layout.names == ("weight1", "bias1", "weight2", "bias2", "weight3", "bias3")
    assert layout.shapes == ((512, 784), (512,), (512, 512), (512,), (10, 512), (10,))
    assert layout.dimension == 669_706


@pytest.mark.parametrize("hidden", [(), (6, 4)])
@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize("tau", [0.5, 1e9])
def test_samples_are_clipped_as_if_each_had_been_formed(make_data, make_context, hidden, l2, tau):
    data = make_data(samples=17)
    clipping = ready(MLP(hidden=hidden, l2=l2), make_context(data, clip_samples=tau))
    single, plain = (ready(MLP(hidden=hidden, l2=l2 * alone), make_context(data)) for alone in (0, 1))
    assert (clipping.metrics, plain.metrics) == ((LOSS, ACCURACY, SAMPLES_CLIPPED), (LOSS, ACCURACY))
    x = point(plain)
    inputs, targets = plain.batch(0, 0)
    gradients = np.empty((17, x.size))
    for j in range(17):
        single.batch_gradient(x, inputs[j : j + 1], targets[j : j + 1], gradients[j])
    norms = np.linalg.norm(gradients, axis=1)
    found, whole = np.empty_like(x), np.empty_like(x)
    *metrics, clipped = clipping.gradient(x, 0, 0, found)
    assert tuple(metrics) == plain.gradient(x, 0, 0, whole)
    assert clipped == np.mean(norms > tau) and (tau > 1 or 0 < clipped)
    expected = (gradients * np.minimum(1, tau / norms)[:, None]).mean(axis=0) + l2 * x
    assert relative(found, expected) <= 1e-12
    assert tau < 1 or np.array_equal(found, whole)


def test_from_a_config():
    problem = build(PROBLEMS, "problem", {"kind": "mlp", "hidden": [32, 16], "init": "he", "l2": 1e-4})
    assert problem == MLP(hidden=(32, 16), init="he", l2=1e-4)
    assert build(PROBLEMS, "problem", "softmax_regression") == SoftmaxRegression(init="zeros", l2=0.0)


@pytest.mark.parametrize(
    "raw, message",
    [
        ({"kind": "mlp", "hidden": [32, 0]}, r"problem\.hidden\.1: .*greater than 0"),
        ({"kind": "mlp", "init": "xavier"}, r"problem\.init: .*'glorot'.*'xavier'"),
        ({"kind": "mlp", "l2": -1}, r"problem\.l2: .*-1"),
        ({"kind": "mlp", "l2": float("nan")}, r"problem\.l2: .*nan"),
        ({"kind": "softmax_regression", "hidden": [3]}, r"problem\.hidden: unknown key"),
    ],
)
def test_wrong_keys(raw, message):
    with pytest.raises(UserError, match=message):
        build(PROBLEMS, "problem", raw)
