"""The stacked network: against one task at a time, against differences."""

import numpy as np
import pytest

from pmom_mpi.networks.stacked import ACTIVATIONS, CrossEntropy, SquaredError, StackedNetwork, dense_layout

TASKS, SAMPLES, FEATURES = 4, 6, 3


def make(activation="tanh", loss="squared", hidden=(5, 4), tasks=TASKS, dtype=np.float64, seed=1):
    """A network, parameters and samples of so many tasks."""
    rng = np.random.default_rng(seed)
    outputs = 2 if loss == "squared" else 3
    network = StackedNetwork(
        dense_layout((FEATURES, *hidden, outputs)), activation, SquaredError() if loss == "squared" else CrossEntropy()
    )
    params = rng.standard_normal((tasks, network.layout.dimension)).astype(dtype)
    inputs = rng.standard_normal((tasks, SAMPLES, FEATURES)).astype(dtype)
    if loss == "squared":
        targets = rng.standard_normal((tasks, SAMPLES, outputs)).astype(dtype)
    else:
        targets = rng.integers(outputs, size=(tasks, SAMPLES))
    return network, params, inputs, targets


def textbook_loss(network, params, inputs, targets):
    """One task's mean loss, written sample by sample."""
    tensors = network.layout.views(params)
    total = 0.0
    for sample, target in zip(inputs, targets, strict=True):
        value = sample
        for weight, bias in zip(tensors[:-2:2], tensors[1:-2:2], strict=True):
            z = weight @ value + bias
            value = {"relu": z * (z > 0), "tanh": np.tanh(z), "softplus": np.log(1 + np.exp(z))}[network.activation]
        z = tensors[-2] @ value + tensors[-1]
        if isinstance(network.loss, SquaredError):
            total += ((z - target) ** 2).mean()
        else:
            total -= np.log(np.exp(z[target]) / np.exp(z).sum())
    return total / len(inputs)


def gradients(network, params, inputs, targets):
    out = np.full((len(inputs), params.shape[1]), np.nan, params.dtype)
    losses, tape = network.gradient(params, inputs, targets, out)
    return losses, out, tape


CASES = [
    (activation, loss, hidden)
    for activation in ACTIVATIONS
    for loss in ("squared", "entropy")
    for hidden in ((), (5,), (5, 4), (3, 6, 2))
]


@pytest.mark.parametrize("activation, loss, hidden", CASES)
def test_losses_and_gradients(activation, loss, hidden):
    network, params, inputs, targets = make(activation, loss, hidden)
    losses, found, _ = gradients(network, params, inputs, targets)
    step = 1e-6
    for t in range(TASKS):
        assert losses[t] == pytest.approx(textbook_loss(network, params[t], inputs[t], targets[t]), rel=1e-12)
        differences = [
            textbook_loss(network, params[t] + side, inputs[t], targets[t])
            - textbook_loss(network, params[t] - side, inputs[t], targets[t])
            for side in step * np.eye(params.shape[1])
        ]
        expected = np.array(differences) / (2 * step)
        assert np.linalg.norm(found[t] - expected) <= 1e-6 * np.linalg.norm(expected)


@pytest.mark.parametrize("activation, loss, hidden", CASES)
def test_hessian_vector_products(activation, loss, hidden):
    """ReLU's second derivative is zero but at kinks, and no pre-activation of these samples is near one."""
    network, params, inputs, targets = make(activation, loss, hidden)
    vector = np.random.default_rng(5).standard_normal(params.shape)
    _, _, tape = gradients(network, params, inputs, targets)
    found = np.full_like(params, np.nan)
    network.hessian_vector(tape, vector, found)
    step = 1e-6
    forth = gradients(network, params + step * vector, inputs, targets)[1]
    back = gradients(network, params - step * vector, inputs, targets)[1]
    expected = (forth - back) / (2 * step)
    for t in range(TASKS):
        assert np.linalg.norm(found[t] - expected[t]) <= 1e-7 * np.linalg.norm(expected[t])


@pytest.mark.parametrize("loss", ["squared", "entropy"])
def test_hessian_is_symmetric(loss):
    network, params, inputs, targets = make("tanh", loss, (4,), tasks=1)
    d = params.shape[1]
    stacked = np.repeat(inputs, d, axis=0), np.repeat(targets, d, axis=0)
    _, _, tape = gradients(network, params, *stacked)
    hessian = np.empty((d, d))
    network.hessian_vector(tape, np.eye(d), hessian)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-14)


def test_a_shared_point_equals_its_copies():
    network, params, inputs, targets = make()
    shared, copies = params[:1], np.repeat(params[:1], TASKS, axis=0)
    one, two = gradients(network, shared, inputs, targets), gradients(network, copies, inputs, targets)
    np.testing.assert_allclose(one[1], two[1], rtol=1e-13, atol=1e-15)
    products = [np.empty_like(params), np.empty_like(params)]
    for (_, _, tape), out in zip((one, two), products, strict=True):
        network.hessian_vector(tape, params, out)
    np.testing.assert_allclose(*products, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("loss", ["squared", "entropy"])
def test_float32_stays_float32(loss):
    network, params, inputs, targets = make("softplus", loss, dtype=np.float32)
    losses, out, tape = gradients(network, params, inputs, targets)
    double = gradients(
        network, *(a.astype(np.float64) if a.dtype == np.float32 else a for a in (params, inputs, targets))
    )
    assert losses.dtype == np.float64 and all(a.dtype == np.float32 for a in tape.activations + tape.deltas)
    np.testing.assert_allclose(out, double[1], rtol=0, atol=2e-5)
    products, double_products = np.empty_like(params), np.empty(params.shape)
    network.hessian_vector(tape, params, products)
    network.hessian_vector(double[2], params.astype(np.float64), double_products)
    np.testing.assert_allclose(products, double_products, rtol=0, atol=1e-4)


def test_not_a_number_reaches_the_loss():
    network, params, inputs, targets = make("relu", "entropy")
    params[2, 0] = np.nan
    losses, _, _ = gradients(network, params, inputs, targets)
    assert np.isnan(losses[2]) and np.isfinite(losses[[0, 1, 3]]).all()


def test_large_logits_do_not_overflow():
    network, params, inputs, targets = make("relu", "entropy")
    with np.errstate(over="raise", invalid="raise"):
        losses, _, _ = gradients(network, 100 * params, inputs, targets)
    assert np.isfinite(losses).all()
