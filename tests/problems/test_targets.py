"""Regression takes the file's numbers, classification its labels by their own names."""

import h5py
import numpy as np
import pytest

import pmom_mpi
from pmom_mpi.runtime.setting import validate
from pmom_mpi.words.errors import UserError

A = np.array([[0.5, 0, 2], [0, 1.5, 0], [1, 1, 1], [0, 0, 0.25]])
SVM = "{1} 1:0.5 3:2\n{0} 2:1.5\n{1} 1:1 2:1 3:1\n{0} 3:0.25\n"
Y = np.array([1, 0, 1, 0])


@pytest.fixture
def config(tmp_path):
    """A function that makes a config on four samples with two labels, and writes the samples."""

    def make(problem, labels=(-1, 1), arrays=None, **data):
        path = tmp_path / ("own.npz" if arrays else "own.svm")
        if arrays:
            np.savez(path, **arrays)
        else:
            path.write_text(SVM.format(*labels))
        return {
            "name": "t", "iterations": 2, "step_size": 0.1, "dtype": "float64", "problem": problem,
            "data": {"name": str(path), "nodes": 1} | data, "output": str(tmp_path / "run.h5"),
        }  # fmt: skip

    return make


def first(raw, metric):
    with h5py.File(pmom_mpi.run(raw, overwrite=True).path) as file:
        return float(file[f"metrics/{metric}"][0])


@pytest.mark.parametrize("kind", ["least_squares", "robust_regression"])
@pytest.mark.parametrize("labels, loss", [((-1, 1), 0.5), ((10, 20), 125.0), ((1, 2), 1.25)])
def test_regression_takes_the_files_numbers(config, kind, labels, loss):
    """f(0) is half the mean of y^2; Huber's loss with a large scale is the same."""
    problem = {"kind": kind} | ({"penalty": "huber", "scale": 1e6} if kind == "robust_regression" else {})
    assert first(config(problem, labels), "train_loss") == pytest.approx(loss, rel=1e-14)
    y = np.array(labels)[Y]
    arrays = {"x_train": A, "y_train": y, "x_test": A[:1], "y_test": y[:1] + 7}  # a number that training has not
    raw = config(problem, arrays=arrays)
    assert first(raw, "train_loss") == pytest.approx(loss, rel=1e-14)
    assert (
        first(config(problem, arrays=arrays | {"y_train": y.astype(float), "y_test": y[:1] + 7.0}), "train_loss")
        == loss
    )


@pytest.mark.parametrize("labels, positive", [((1, 2), [2]), ((-1, 1), [1]), ((-1, 1), None), ((3, 8), [8])])
def test_positive_speaks_of_the_files_labels(config, labels, positive):
    problem = {"kind": "logistic", "l2": 0.1} | ({"positive": positive} if positive else {})
    gradient = -(A.T @ (np.array([1, -1, 1, -1]) / 2)) / 4
    assert first(config(problem, labels), "gradient_norm") == pytest.approx(np.linalg.norm(gradient), rel=1e-12)
    other = {"kind": "logistic", "l2": 0.1, "positive": [labels[0]]}
    assert first(config(other, labels), "gradient_norm") == pytest.approx(np.linalg.norm(gradient), rel=1e-12)


@pytest.mark.parametrize(
    "positive, words",
    [
        ([3], r"problem\.positive: no sample has the label 3; the labels are 1, 2"),
        ([2, 1], r"problem\.positive: \[2, 1\] are all labels there are"),
    ],
)
def test_positive_that_selects_nothing_or_everything(config, positive, words):
    with pytest.raises(UserError, match=words):
        validate(config({"kind": "logistic", "positive": positive}, (1, 2)))


@pytest.mark.parametrize("problem", [{"kind": "logistic"}, {"kind": "logistic", "positive": [1]}, {"kind": "mlp"},
                                     {"kind": "softmax_regression"}])  # fmt: skip
def test_test_labels_that_training_has_not_are_found_by_validate(config, problem):
    arrays = {"x_train": A, "y_train": Y, "x_test": A, "y_test": np.full(4, 5)}
    with pytest.raises(UserError, match="labels that no training sample has: 5"):
        validate(config(problem, arrays=arrays))


@pytest.mark.parametrize(
    "y, words",
    [
        (
            Y.astype(float),
            r"are whole numbers stored as floats \(0, 1\); for classes store y\.astype\(int\)",
        ),
        (Y + 0.25, r"the targets of this data are real \(0\.25, 1\.25, \.\.\.\)"),
        (np.full(4, 7), "all targets are the one label 7"),
    ],
)
@pytest.mark.parametrize("kind", ["mlp", "logistic", "softmax_regression", "cnn"])
def test_targets_that_are_no_labels(config, kind, y, words):
    images = np.arange(4 * 64.0).reshape(4, 8, 8)
    with pytest.raises(UserError, match=words):
        validate(config({"kind": kind}, arrays={"x_train": images, "y_train": y}))


def test_three_labels_are_named(config):
    arrays = {"x_train": A, "y_train": np.array([-1, 0, 1, 1])}
    with pytest.raises(UserError, match=r"list the labels that are \+1, .* the data has 3 classes, -1, 0, 1"):
        validate(config({"kind": "logistic"}, arrays=arrays))
    assert "d = 12 " in validate(config({"kind": "softmax_regression"}, arrays=arrays))[1]
    assert first(config({"kind": "logistic", "positive": [-1]}, arrays=arrays), "train_loss") == np.log(2)


def test_inputs_that_are_all_zero(config):
    arrays = {"x_train": np.zeros((4, 3)), "y_train": Y}
    with pytest.raises(UserError, match="all inputs are zero"):
        pmom_mpi.run(config({"kind": "least_squares"}, arrays=arrays))
    assert first(config({"kind": "least_squares", "l2": 0.1}, arrays=arrays), "train_loss") == 0.25
    arrays["x_train"] = np.array([[0, 1.0], [0, 2], [0, 3], [0, 4]])  # one column is
    assert first(config({"kind": "least_squares"}, arrays=arrays), "train_loss") == 0.25


def test_sparse_samples_in_a_convolutional_network(tmp_path, config):
    raw = config({"kind": "cnn", "channels": [2], "kernel": 3, "hidden": []})
    with pytest.raises(UserError, match=r"problem\.image: samples of 3 numbers are not images"):
        validate(raw)
    images = np.random.default_rng(0).integers(0, 3, (6, 16)).astype(float)
    lines = [f"{i % 2} " + " ".join(f"{j + 1}:{v}" for j, v in enumerate(row) if v) for i, row in enumerate(images)]
    (tmp_path / "images.svm").write_text("\n".join(lines))
    np.savez(tmp_path / "images.npz", x_train=images, y_train=np.arange(6) % 2)
    losses = {first(raw | {"data": {"name": str(tmp_path / name), "nodes": 1}}, "train_loss") for name in
              ("images.svm", "images.npz")}  # fmt: skip
    assert len(losses) == 1


def test_images_with_channels_last(config):
    images = np.zeros((20, 8, 8, 3), np.uint8)
    images[..., 0] = 255
    arrays = {"x_train": images, "y_train": np.arange(20) % 2}
    problem = {"kind": "cnn", "channels": [2], "kernel": 3, "hidden": []}
    with pytest.raises(UserError, match="data.channels"):
        validate(config(problem, arrays=arrays))
    turned = first(config(problem, arrays=arrays, channels="last"), "train_loss")
    moved = {"x_train": np.moveaxis(images, -1, 1), "y_train": arrays["y_train"]}
    assert turned == first(config(problem, arrays=moved), "train_loss")


def test_validate_describes_the_data(config):
    lines = validate(config({"kind": "least_squares"}, (10, 20)))
    assert "data: own: 4 training samples of 3 features (7 entries)" in lines
    assert "data: training targets: 2 classes (10: 2, 20: 2)" in lines
    assert "data: no test set, so no test metrics" in lines and "data: scale: as stored" in lines
