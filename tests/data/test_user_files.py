"""NPZ and HDF5 files of users."""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmom_mpi.data import DataSpec, open_dataset
from pmom_mpi.data.files import NAMES, read_arrays
from pmom_mpi.words.errors import UserError

SUFFIXES = (".npz", ".h5", ".hdf5")


def write(path, **arrays):
    if path.suffix == ".npz":
        np.savez_compressed(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file.create_dataset(name, data=array)
    return path


def named(arrays):
    return {NAMES[key]: array for key, array in arrays.items()}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_open_by_path(tmp_path, arrays, suffix):
    data = open_dataset(DataSpec(str(write(tmp_path / f"own{suffix}", **named(arrays))), 3))
    assert (data.name, data.classes, data.train.features) == ("own", 3, 16)
    inputs, targets = data.test.load(np.arange(5), np.float64)
    assert np.array_equal(inputs, arrays["test_inputs"].reshape(5, 16) / 255.0)
    assert np.array_equal(targets, arrays["test_targets"])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_real_inputs_and_targets_stay_as_they_are(tmp_path, suffix):
    x, y = np.linspace(-400, 900, 12).reshape(6, 2), np.linspace(0, 1, 6)
    data = open_dataset(DataSpec(str(write(tmp_path / f"own{suffix}", x_train=x, y_train=y)), 2))
    inputs, targets = data.train.load(np.arange(6), np.float32)
    assert (data.test, data.classes) == (None, None)
    assert np.array_equal(inputs, x.astype(np.float32))
    assert targets.dtype == np.float32
    assert np.array_equal(targets, y.astype(np.float32))


def test_bytes_that_are_zero_and_one_stay(tmp_path):
    x = np.eye(4, dtype=np.uint8)
    data = open_dataset(DataSpec(str(write(tmp_path / "own.npz", x_train=x, y_train=np.arange(4))), 2))
    assert np.array_equal(data.train.load(np.arange(4), np.float64)[0], np.eye(4))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"y_train": None}, "needs x_train and y_train"),
        ({"y_test": None}, "needs x_test and y_test"),
        ({"y_train": np.zeros(11, int)}, r"x_train \(12, 4, 4\) and y_train \(11,\)"),
        ({"x_train": np.zeros(12)}, "must be"),
        ({"x_train": np.zeros((12, 0))}, "not empty"),
        ({"x_train": np.zeros((12, 4), complex)}, "must be numbers"),
        ({"x_test": np.zeros((5, 3))}, r"x_train \(4, 4\) and x_test \(3,\) differ"),
        ({"y_test": np.zeros(5)}, "make them alike"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, arrays, suffix, change, line):
    wrong = {name: array for name, array in (named(arrays) | change).items() if array is not None}
    path = write(tmp_path / f"own{suffix}", **wrong)
    with pytest.raises(UserError, match=line) as caught:
        read_arrays(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"])
def test_files_that_are_none(tmp_path, suffix, content):
    path = tmp_path / f"own{suffix}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match="cannot read") as caught:
        read_arrays(path)
    assert "\n" not in str(caught.value)


def test_one_array_is_no_archive(tmp_path):
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(UserError, match="one array"):
        read_arrays((tmp_path / "one.npy").rename(tmp_path / "one.npz"))


def test_groups_are_no_arrays(tmp_path):
    with h5py.File(tmp_path / "own.h5", "w") as file:
        file.create_group("x_train")
        file["y_train"] = np.zeros(3, int)
    with pytest.raises(UserError, match="cannot read"):
        read_arrays(tmp_path / "own.h5")


def test_pickled_objects_are_not_loaded(tmp_path):
    np.savez(tmp_path / "own.npz", x_train=np.array([{}, {}], object), y_train=np.zeros(2, int))
    with pytest.raises(UserError, match="cannot read"):
        read_arrays(tmp_path / "own.npz")


@pytest.mark.parametrize("suffix", (".npz", ".h5"))
@settings(max_examples=60)
@given(data=st.data())
def test_any_damage_is_a_user_error(tmp_path_factory, suffix, data):
    x = np.random.default_rng(0).integers(0, 256, (12, 4), dtype=np.uint8)
    path = write(tmp_path_factory.mktemp("own") / f"own{suffix}", x_train=x, y_train=np.arange(12))
    whole = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        whole[place] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    try:
        read_arrays(path)
    except UserError as error:
        assert "\n" not in str(error)
