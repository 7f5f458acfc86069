"""PyTorch modules as people write them: what works is right, what does not is told by validate."""

from pathlib import Path

import numpy as np
import pytest
import yaml

import pmom_mpi
from pmom_mpi.analysis.read import load
from pmom_mpi.runtime.setting import validate
from pmom_mpi.words.errors import UserError

torch = pytest.importorskip("torch")

HERE = Path(__file__).parent
X = np.random.default_rng(0).standard_normal((40, 6))
Y = (X[:, 0] > 0).astype(int)


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A function that makes the config of a module of torch_paths.py, its data written."""
    monkeypatch.syspath_prepend(str(HERE))

    def make(model, y=Y, x=X, batch="full", nodes=2, **keys):
        np.savez(tmp_path / "own.npz", x_train=x, y_train=y, x_test=x[:9], y_test=y[:9])
        return {
            "name": "t", "iterations": 3, "step_size": 0.1, "dtype": "float64", "seed": 3,
            "problem": {"kind": "torch", "model": f"torch_paths:{model}"} | keys, "gradient": {"batch": batch},
            "data": {"name": str(tmp_path / "own.npz"), "nodes": nodes}, "output": str(tmp_path / "run.h5"),
        }  # fmt: skip

    return make


def metrics(raw):
    return dict(load(pmom_mpi.run(raw, overwrite=True).path).metrics)


def model(name, seed=3):
    import torch_paths

    torch.manual_seed(seed)
    return getattr(torch_paths, name)().double()


def trained(name, loss, inputs=X, targets=Y, steps=3):
    """Training losses of plain gradient descent."""
    module, found = model(name), []
    inputs, targets = torch.from_numpy(inputs), torch.from_numpy(targets)
    for _ in range(steps):
        module.zero_grad()
        value = loss(module(inputs.clone()), targets)
        value.backward()
        found.append(value.item())
        with torch.no_grad():
            for tensor in module.parameters():
                tensor -= 0.1 * tensor.grad
    return found


@pytest.mark.parametrize("name", ["plain", "InPlace", "OutOfPlace", "counting"])
def test_training_is_that_of_plain_torch(config, name):
    """Shards of equal size: the mean of two means."""
    expected = trained(name, torch.nn.functional.cross_entropy)
    np.testing.assert_allclose(metrics(config(name))["train_loss"], expected, rtol=1e-12)


def test_lazy_layers(config):
    """They draw at their first call, in the order in which others draw when they are made."""
    lazy, eager = (metrics(config(name)) for name in ("lazy", "eager"))
    assert lazy["train_loss"].tobytes() == eager["train_loss"].tobytes()


def test_a_module_without_buffers_on_several_ranks(config, mpirun, tmp_path):
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config("plain")))
    (tmp_path / "torch_paths.py").write_text((HERE / "torch_paths.py").read_text())
    found = []
    for ranks in (1, 3):
        done = mpirun(ranks, ["run", str(tmp_path / "own.yaml"), "--overwrite"])
        assert done.returncode == 0, done.stderr
        found.append(dict(load(tmp_path / "run.h5").metrics))
    for name in ("train_loss", "test_loss", "gradient_norm"):
        assert found[0][name].tobytes() == found[1][name].tobytes()
    np.testing.assert_allclose(found[0]["train_loss"], trained("plain", torch.nn.functional.cross_entropy), rtol=1e-12)


@pytest.mark.parametrize("name", ["one_output", "one_output_flat"])
@pytest.mark.parametrize("labels", [False, True])
def test_outputs_and_targets_of_one_number_a_sample(config, name, labels):
    """(N, 1) minus (N,) would be (N, N)."""
    y = np.where(Y == 1, 20, 10) if labels else X @ np.arange(6.0)

    def loss(outputs, targets):
        return ((outputs.reshape(-1) - targets) ** 2).mean()

    expected = trained(name, loss, targets=y.astype(float))
    np.testing.assert_allclose(metrics(config(name, y, loss="mse_loss"))["train_loss"], expected, rtol=1e-12)


def test_a_shard_is_not_changed(config):
    raw = config("InPlace") | {"iterations": 30}
    np.testing.assert_array_equal(
        metrics(raw)["train_loss"], metrics(config("OutOfPlace") | {"iterations": 30})["train_loss"]
    )


def test_tokens_and_pairs(config):
    tokens = np.random.default_rng(1).integers(0, 10, (40, 6))
    expected = trained("Tokens", torch.nn.functional.cross_entropy, inputs=tokens.astype(float))
    np.testing.assert_allclose(metrics(config("Tokens", x=tokens))["train_loss"], expected, rtol=1e-12)
    import torch_paths

    expected = trained("Pair", torch_paths.pair_loss)
    np.testing.assert_allclose(metrics(config("Pair", loss="torch_paths:pair_loss"))["train_loss"], expected, rtol=1e-9)


@pytest.mark.parametrize(
    "name, keys, words",
    [
        ("three_outputs", {"loss": "mse_loss"}, r"mse_loss needs an output a target, but the outputs are \(4, 3\) and"),
        ("one_output", {}, r"cross_entropy needs outputs \(samples, 2\), a column a class, not \(4, 1\)"),
        ("one_output_flat", {}, r"cross_entropy needs outputs \(samples, 2\), a column a class, not \(4,\)"),
        ("Pair", {}, "cross_entropy takes one tensor, but the module returns a tuple"),
        ("plain", {"loss": "torch_paths:sum_loss"}, "torch_paths:sum_loss adds the samples' losses up"),
        ("plain", {"loss": "torch_paths:each_loss"}, r"must return the batch's mean, .* not shape \(4,\)"),
        ("embedding", {}, r"problem.model: RuntimeError on the first samples: .*call \.long\(\) on them in forward"),
        ("stubborn", {}, "problem.model: RuntimeError on the first samples: mat1 and mat2"),
    ],
)
def test_what_goes_wrong_is_told_by_validate(config, name, keys, words):
    with pytest.raises(UserError, match=words) as caught:
        validate(config(name, **keys))
    assert "\n" not in str(caught.value)


def test_a_mean_of_ones_own_is_taken(config):
    found, expected = (metrics(config("plain", loss=loss))["train_loss"] for loss in
                       ("torch_paths:mean_loss", "cross_entropy"))  # fmt: skip
    assert found.tobytes() == expected.tobytes()


def test_batch_norm_with_a_last_batch_of_one(config):
    """Two shards of 33 samples: an epoch of batches of 32 ends with one of 1."""
    x = np.random.default_rng(2).standard_normal((66, 6))
    y = np.arange(66) % 2
    with pytest.raises(UserError, match="problem.model: ValueError on the first samples: Expected more than 1 value"):
        validate(config("batch_norm", y, x, batch=32))
    assert np.isfinite(metrics(config("batch_norm", y, x, batch=11))["train_loss"]).all()


def test_images_with_channels_last(config):
    images = np.zeros((40, 8, 8, 3))
    with pytest.raises(UserError, match="data.channels"):
        validate(config("plain", x=images, input_shape=[3, 8, 8]))


def test_a_rehearsal_leaves_the_module_alone(config):
    from pmom_mpi.runtime.setting import ready

    module = ready(config("counting")).problem._module
    assert module.calls.item() == 0


def test_a_plain_module_is_diagnosed_and_one_with_batch_norm_refused(config):
    every = {"diagnostics": {"every": 1}}
    found = metrics(config("eager") | every)
    assert found["diag_bias"] == pytest.approx(0, abs=1e-20) and (found["diag_gradient"] > 0).all()
    assert metrics(config("InPlace", batch=5) | every)["diag_variance"].min() > 0
    with pytest.raises(UserError, match=r"diagnostics.every: .*batch normalisation"):
        validate(config("batch_norm") | every)
