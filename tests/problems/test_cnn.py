"""Convolutional networks: gradients, tiles, precision, not-a-number, PyTorch."""

from dataclasses import replace

import numpy as np
import pytest

from pmom_mpi.kernels.convolution import fold, unfold
from pmom_mpi.problems.cnn import CNN, TILE
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.registry import PROBLEMS, build


def ready(problem, context):
    problem.setup(context)
    return problem


def point(problem, seed=3):
    rng = np.random.default_rng(seed)
    return 0.4 * rng.standard_normal(problem.layout.dimension).astype(problem.context.dtype)


def relative(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


SMALL = {"channels": (2, 3), "kernel": 3, "hidden": (5,)}
CASES = [
    (SMALL | {"channels": (2, 2)}, 16),
    (SMALL | {"hidden": (), "l2": 0.3}, 16),
    (SMALL | {"kernel": 5, "channels": (2,)}, 9),  # odd sizes lose a row and a column
    (SMALL | {"image": (2, 4, 5), "kernel": 1}, 40),
    (SMALL | {"image": (3, 6, 4), "kernel": 7}, 72),  # windows larger than the image
]


@pytest.mark.parametrize("fields, features", CASES)
@pytest.mark.parametrize("samples", [1, TILE + 3])
def test_gradient_against_central_differences(make_data, make_context, fields, features, samples):
    problem = ready(CNN(**fields), make_context(make_data(samples=samples, features=features)))
    x = point(problem)
    gradient, spare = np.empty_like(x), np.empty_like(x)
    problem.gradient(x, 0, 0, gradient)
    differences, step = np.empty_like(x), 1e-6
    for j in range(x.size):
        sides = []
        for sign in (1, -1):
            moved = x.copy()
            moved[j] += sign * step
            sides.append(problem.gradient(moved, 0, 0, spare)[0])
        differences[j] = (sides[0] - sides[1]) / (2 * step)
    assert relative(gradient, differences) <= 1e-6


@pytest.mark.parametrize("shape", [(1, 2, 4, 4), (3, 2, 5, 3), (2, 1, 1, 2)])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_fold_is_the_adjoint_of_unfold(shape, kernel):
    rng = np.random.default_rng(0)
    images = rng.standard_normal(shape)
    columns = np.full((shape[0] * kernel**2, images[0].size), np.nan)
    unfold(images, kernel, columns)
    padded = np.pad(images, ((0, 0), (0, 0), (kernel // 2,) * 2, (kernel // 2,) * 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, shape[2:], axis=(2, 3)).transpose(0, 2, 3, 1, 4, 5)
    assert np.array_equal(columns, windows.reshape(columns.shape))
    other, folded = rng.standard_normal(columns.shape), np.full(shape, np.nan)
    fold(other, kernel, folded)
    assert np.vdot(columns, other) == pytest.approx(np.vdot(images, folded), rel=1e-12)


@pytest.mark.parametrize("image, kernel, hidden", [((1, 28, 28), 5, (32,)), ((1, 8, 8), 3, ()), ((3, 7, 9), 3, (8, 4))])
def test_the_same_as_pytorch(make_data, make_context, image, kernel, hidden):
    torch = pytest.importorskip("torch")
    data = make_data(samples=2 * TILE + 5, features=int(np.prod(image)), classes=10, tests=7)
    problem = ready(CNN(channels=(4, 6), kernel=kernel, hidden=hidden, image=image), make_context(data, seed=11))
    torch.manual_seed(11)
    layers, channels, features = [], image[0], 6 * (image[1] // 4) * (image[2] // 4)
    for out in (4, 6):
        layers += [torch.nn.Conv2d(channels, out, kernel, padding=kernel // 2), torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
        channels = out
    layers.append(torch.nn.Flatten())
    for width in (*hidden, 10):
        layers += [torch.nn.Linear(features, width), torch.nn.ReLU()]
        features = width
    model = torch.nn.Sequential(*layers[:-1])
    x = problem.initial_point()
    start = torch.cat([p.detach().reshape(-1) for p in model.parameters()]).numpy()
    assert np.array_equal(x.astype(np.float32), start), "the starting point, bit for bit"
    model.double()
    inputs, targets = problem.batch(0, 0)
    loss = torch.nn.CrossEntropyLoss()(model(torch.from_numpy(inputs.reshape(-1, *image))), torch.from_numpy(targets))
    loss.backward()
    gradient = np.empty_like(x)
    found = problem.gradient(x, 0, 0, gradient)
    assert found[0] == pytest.approx(loss.item(), rel=1e-12)
    assert relative(gradient, torch.cat([p.grad.reshape(-1) for p in model.parameters()]).numpy()) < 1e-12


def test_float32_close_to_float64(make_data, make_context):
    data = make_data(samples=40, features=64, classes=10)
    single, double = (ready(CNN(), make_context(data, dtype=dtype)) for dtype in (np.float32, np.float64))
    x = double.initial_point()
    gradients = np.empty(x.size, np.float32), np.empty_like(x)
    losses = single.gradient(x.astype(np.float32), 0, 0, gradients[0]), double.gradient(x, 0, 0, gradients[1])
    assert abs(losses[0][0] - losses[1][0]) < 1e-6
    assert relative(*gradients) < 1e-5


def test_evaluation_is_the_loss_of_the_gradient(make_data, make_context):
    data = make_data(samples=TILE + 5, features=16)
    data = replace(data, test=data.train)
    problem = ready(CNN(**SMALL, l2=0.1), make_context(data))
    x = point(problem)
    x.setflags(write=False)
    loss, accuracy = problem.gradient(x, 0, 0, np.empty_like(x))
    loss_sum, correct, samples = problem.evaluate(x, 0)
    assert loss_sum / samples == pytest.approx(loss, rel=1e-12) and correct / samples == pytest.approx(accuracy)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_reaches_the_loss(make_data, make_context, bad):
    problem = ready(CNN(**SMALL), make_context(make_data(samples=3, features=16)))
    for tensor in range(len(problem.layout.shapes)):
        x = point(problem)
        problem.layout.views(x)[tensor][...] = bad
        assert not np.isfinite(problem.gradient(x, 0, 0, np.empty_like(x))[0])


def test_layout_is_that_of_pytorch(make_data, make_context):
    problem = ready(CNN(), make_context(make_data(features=784, classes=10)))
    assert problem.layout.names == (
        "filters1",
        "offsets1",
        "filters2",
        "offsets2",
        "weight1",
        "bias1",
        "weight2",
        "bias2",
    )
    assert problem.layout.shapes[:5] == ((16, 1, 5, 5), (16,), (32, 16, 5, 5), (32,), (128, 32 * 7 * 7))


@pytest.mark.parametrize(
    "fields, features, message",
    [
        ({"kernel": 4}, 64, "kernel: must be odd.*4"),
        ({}, 65, r"image: samples of 65 numbers are not images of shape \(1, 8, 8\)"),
        ({"image": [3, 8, 8]}, 64, "image: samples of 64 numbers"),
        ({"channels": [2, 2, 2, 2]}, 64, "channels: 4 halvings leave nothing of 8 x 8"),
        ({"channels": []}, 64, "channels: .*at least 1"),
    ],
)
def test_wrong_keys(make_data, make_context, fields, features, message):
    with pytest.raises(UserError, match=message):
        ready(build(PROBLEMS, "problem", {"kind": "cnn", **fields}), make_context(make_data(features=features)))
