"""PyTorch models as problems: the gradient, the memory, the running statistics, ResNet-18."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pmom_mpi.problems.base import Exact, Stateful
from pmom_mpi.problems.metrics import LOSS
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.registry import PROBLEMS, build

torch = pytest.importorskip("torch")

from pmom_mpi.problems.torch_model import flip  # noqa: E402
from pmom_mpi.problems.torch_resnet import resnet18  # noqa: E402

HERE = Path(__file__).parent


@pytest.fixture
def make(make_data, make_context, monkeypatch):
    """A function that makes a torch problem that is set up for a context."""
    monkeypatch.syspath_prepend(str(HERE))

    def ready(keys=None, data=None, **context):
        problem = build(PROBLEMS, "problem", {"kind": "torch", "model": "torch_modules:normed"} | (keys or {}))
        problem.setup(make_context(data or make_data(samples=30, tests=11), **context))
        return problem

    return ready


def published_loop(problem, x):
    """One module, node after node in training mode, as the authors' code does; the gradients and the module."""
    import torch_modules

    torch.manual_seed(problem.context.seed)
    module = torch_modules.normed(**problem.arguments).to(torch.float64)
    tensors = [tensor for tensor in module.parameters() if tensor.requires_grad]
    torch.nn.utils.vector_to_parameters(torch.from_numpy(x.copy()), tensors)
    gradients = []
    for node in problem.context.hosted:
        inputs, targets = (torch.from_numpy(part) for part in problem.batch(node, 0))
        module.zero_grad()
        torch.nn.functional.cross_entropy(module(inputs), targets).backward()
        gradients.append(torch.cat([tensor.grad.flatten() for tensor in tensors]).numpy())
    return gradients, module


def test_gradients_and_running_statistics_are_those_of_the_published_loop(make):
    problem = make(nodes=3)
    x = problem.initial_point() + 0.1
    gradients, module = published_loop(problem, x)
    shares, out = [], np.full_like(x, np.nan)
    for node in (2, 0, 1):  # any order: the shares are added in node order
        problem.gradient(x, node, 0, out)
        np.testing.assert_allclose(out, gradients[node], rtol=1e-12, atol=1e-14)
        shares.append((node, problem.share.copy()))
    assert isinstance(problem, Stateful)
    problem.advance(np.array([share for _, share in sorted(shares, key=lambda pair: pair[0])]))
    names = ("running_mean", "running_var")
    known = torch.cat([getattr(module[place], name) for place in (2, 6) for name in names]).numpy()
    np.testing.assert_allclose(problem.state, known, rtol=1e-14)

    module.eval()
    inputs, targets = problem._evaluation_chunk(0)
    outputs = module(torch.from_numpy(inputs))
    loss, correct, weight = problem.evaluate(x, 0)
    wanted = torch.nn.functional.cross_entropy(outputs, torch.from_numpy(targets), reduction="sum").item()
    assert (loss, weight) == (pytest.approx(wanted, rel=1e-12), 11)
    assert correct == (outputs.argmax(1).numpy() == targets).sum()


def test_test_images_are_augmented_where_wanted_anew_at_every_point(make):
    keys = {"augment": "flip"}
    plain, turned, again = make(keys), *(make(keys | {"augment_evaluation": True}) for _ in range(2))
    x = plain.initial_point() + 0.1
    kept = turned._evaluation_chunk(0)[0].copy()
    assert plain.evaluate(x, 0) == make({}).evaluate(x, 0) != turned.evaluate(x, 0)
    assert turned.evaluate(x, 0) == again.evaluate(x, 0), "the same point, the same images"
    inputs, targets = kept, turned._evaluation_chunk(0)[1]
    sums = [plain.batch_evaluate(x, np.ascontiguousarray(part), targets) for part in (inputs, inputs[:, ::-1])]
    assert len({turned.evaluate(x + step * 1e-9, 0)[0] for step in range(4)} - {sums[0][0], sums[1][0]}) > 1
    np.testing.assert_array_equal(turned._evaluation_chunk(0)[0], kept)
    with pytest.raises(UserError, match=r"problem.augment_evaluation: there is nothing to augment with"):
        make({"augment_evaluation": True})


def test_parameters_and_gradients_are_views(make):
    problem = make()
    x, out = problem.initial_point(), np.empty(problem.layout.dimension)
    problem.gradient(x, 0, 0, out)
    addresses = [tensor.data_ptr() - x.ctypes.data for tensor in problem._trainable.values()]
    assert addresses == (8 * problem.layout.offsets[:-1]).tolist()
    assert [tensor.grad.data_ptr() - out.ctypes.data for tensor in problem._trainable.values()] == addresses


def test_frozen_parameters_are_not_in_x(make):
    problem = make()
    assert problem.layout.names[0] == "1.weight"
    assert problem.layout.dimension == 6 * 7 + 2 * 6 + 5 * 6 + 5 + 4 * 5 + 4


def test_start_is_what_the_seed_makes_and_torch_is_left_as_it_was(make):
    torch.manual_seed(5)
    draws = torch.rand(3)
    torch.manual_seed(5)
    problem = make(seed=2, dtype=np.float32)
    assert torch.equal(torch.rand(3), draws)
    import torch_modules

    torch.manual_seed(2)
    tensors = [tensor.flatten() for tensor in torch_modules.normed().parameters() if tensor.requires_grad]
    assert np.array_equal(problem.initial_point(), torch.cat(tensors).detach().numpy())


def test_dropout_and_augmentation_depend_on_node_and_iteration_only(make):
    problem = make({"arguments": {"dropout": 0.5}, "augment": "torch_modules:shift"}, nodes=2)
    x, out = problem.initial_point(), np.empty(problem.layout.dimension)

    def ask(node, iteration):
        problem.gradient(x, node, iteration, out)
        return out.tobytes()

    first = ask(0, 0)
    assert len({first, ask(1, 0), ask(0, 1)}) == 3
    assert ask(0, 0) == first


def test_own_loss_on_real_targets(make, make_data):
    data = make_data(samples=12)
    data.train.targets = data.train.targets.astype(np.float64)
    data = replace(data, labels=None)
    problem = make({"loss": "torch_modules:fourth_power"}, data=data)
    assert problem.metrics == problem.evaluation == (LOSS,)
    x, out = problem.initial_point(), np.empty(problem.layout.dimension)
    (value,) = problem.gradient(x, 0, 0, out)
    step = 1e-6 * out / np.linalg.norm(out)
    spare = np.empty_like(out)
    slope = (problem.gradient(x + step, 0, 0, spare)[0] - problem.gradient(x - step, 0, 0, spare)[0]) / 2e-6
    assert value > 0 and slope == pytest.approx(np.linalg.norm(out), rel=1e-6)


def test_flip_turns_half_of_the_images():
    inputs = torch.arange(2000 * 3, dtype=torch.float32).view(2000, 1, 1, 3)
    flipped = flip(inputs, np.random.default_rng(0))
    turned = (flipped == inputs.flip(-1)).all(dim=-1).flatten()
    assert torch.equal(torch.where(turned.view(-1, 1, 1, 1), flipped.flip(-1), flipped), inputs)
    assert 900 < turned.sum() < 1100


@pytest.mark.parametrize(
    "keys, words",
    [
        ({"model": "resnet18"}, "problem.model: needs 'module:name', not 'resnet18'"),
        ({"model": ":absent"}, "problem.model: needs 'module:name', not ':absent'"),
        ({"model": "torch_modules:absent"}, "problem.model: cannot import 'torch_modules:absent'"),
        ({"model": "torch_modules:torch"}, "which cannot be called"),
        ({"model": "torch_modules:nothing"}, "makes a int, not a torch.nn.Module"),
        ({"model": "torch_modules:frozen"}, "without trainable parameters"),
        ({"arguments": {"depth": 3}}, "problem.arguments: torch_modules:normed cannot be called with them"),
        ({"arguments": {"momentum": None}}, "BatchNorm1d with momentum=None"),
        ({"loss": "crossentropy"}, "problem.loss: needs cross_entropy, mse_loss, 'module:name', not 'crossentropy'"),
        ({"augment": "rotate"}, "problem.augment: needs flip, 'module:name', not 'rotate'"),
        ({"input_shape": [1, 3, 3]}, "problem.input_shape: [1, 3, 3] is not made of 7 features"),
        ({"device": "cuda:99"}, "problem.device: 'cuda:99' cannot be used here"),
    ],
)
def test_bad_keys_are_told_in_a_line(make, keys, words):
    with pytest.raises(UserError) as caught:
        make(keys)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_classes_are_needed_for_cross_entropy(make, make_data):
    data = make_data()
    data.train.targets = data.train.targets + 0.5
    data = replace(data, labels=None)
    with pytest.raises(UserError, match=r"needs data with at least 2 classes, but the targets of this data are real"):
        make(data=data)


def test_without_torch_one_line_says_what_to_install():
    code = "import sys; sys.modules['torch'] = None; from pmom_mpi.cli import main; main()"
    config = HERE.parents[1] / "configs" / "paper" / "fashion-resnet18-none.yaml"
    done = subprocess.run([sys.executable, "-c", code, "validate", str(config)], capture_output=True, text=True)
    assert done.returncode == 2 and "pip install 'pmom-mpi[torch]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_torch_is_imported_only_when_used():
    code = (
        "import sys, pmom_mpi.cli, pmom_mpi.runtime.experiment, pmom_mpi.check.examination as c; "
        "c.check(sys.argv[1], ['gradient.batch=2']); assert 'torch' not in sys.modules"
    )
    config = HERE.parents[1] / "configs" / "quickstart.yaml"
    assert subprocess.run([sys.executable, "-c", code, str(config)]).returncode == 0


def test_resnet18_is_torchvisions():
    models = pytest.importorskip("torchvision.models", exc_type=ImportError)
    torch.manual_seed(3)
    theirs = models.resnet18(num_classes=10)
    torch.manual_seed(3)
    ours = resnet18(10)
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    for left, right in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(left, right)
    images = torch.randn(4, 3, 28, 28)
    assert torch.equal(ours(images), theirs(images))


def test_resnet18_sees_grey_images_as_coloured_ones():
    torch.manual_seed(0)
    model, images = resnet18(), torch.randn(2, 1, 28, 28)
    assert sum(tensor.numel() for tensor in model.parameters()) == 11_181_642
    assert torch.equal(model(images), model(images.repeat(1, 3, 1, 1)))


def test_a_whole_shards_gradient_is_the_mean_of_its_batches(make):
    problem = make({"model": "torch_modules:plain"}, nodes=2)
    assert isinstance(problem, Exact) and problem.ambiguous == ""
    x = problem.initial_point() + 0.1
    full, drawn = np.full((2, x.size), np.nan, x.dtype)
    assert problem.full_gradient(x, 1, full) == problem.gradient(x, 1, 0, drawn)[0]
    assert np.array_equal(full, drawn)


@pytest.mark.parametrize(
    ("keys", "why"),
    [({"arguments": {"dropout": 0.01}}, "dropout"), ({"arguments": {"norm": True}}, "other samples of a batch"),
     ({"model": "torch_modules:normed"}, "batch normalisation"), ({"augment": "torch_modules:shift"}, "augment")],
)  # fmt: skip
def test_a_gradient_that_depends_on_more_than_the_samples_is_refused_a_diagnosis(keys, why, make):
    assert why in make({"model": "torch_modules:plain"} | keys, nodes=2).ambiguous
