"""Real files: what they say is what is learned from, and what cannot be used is one line that mends it."""

import bz2
import fcntl
import gzip
import lzma

import h5py
import numpy as np
import pytest
from idx_files import idx_bytes

from pmom_mpi.data import DataSpec, describe, import_dataset, open_dataset
from pmom_mpi.data.dataset import Scale
from pmom_mpi.data.idx import FILES
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.room import check_room

SVM = "+1 1:0.5 3:2\n-1 2:1.5\n+1 1:1 2:1 3:1\n-1 3:0.25\n"
X = np.random.default_rng(0).standard_normal((40, 6))
Y = (X[:, 0] > 0).astype(int)
PIXELS = np.random.default_rng(1).integers(0, 256, (40, 6), dtype=np.uint8)


def opened(path, **keys):
    return open_dataset(DataSpec(str(path), 1, **keys))


@pytest.fixture
def npz(tmp_path):
    """A function that writes an NPZ file."""

    def write(name="own.npz", **arrays):
        np.savez(tmp_path / name, **arrays)
        return tmp_path / name

    return write


@pytest.mark.parametrize("numbers", [(1, 2), (-1, 1), (10, 20), (-3, -1)])
@pytest.mark.parametrize("kind", ["svm", "npz"])
def test_targets_are_indices_of_the_files_own_labels(tmp_path, npz, numbers, kind):
    if kind == "svm":
        path = tmp_path / "own.svm"
        path.write_text(SVM.replace("-1", "low").replace("+1", str(numbers[1])).replace("low", str(numbers[0])))
    else:
        path = npz(x_train=X[:4], y_train=np.array(numbers)[[1, 0, 1, 0]])
    data = opened(path)
    assert (data.classes, data.labels.tolist()) == (2, list(numbers))
    targets = data.train.load(np.arange(4), np.float32)[1]
    assert targets.tolist() == [1, 0, 1, 0] and data.numbers(targets).tolist() == [numbers[i] for i in (1, 0, 1, 0)]


@pytest.mark.parametrize("train, test", [(np.uint8, np.float32), (np.float32, np.uint8), (np.uint8, np.uint8)])
def test_each_split_has_its_own_scale(npz, tmp_path, train, test):
    def as_type(kind):
        return PIXELS if kind is np.uint8 else (PIXELS / 255).astype(np.float32)

    path = npz(x_train=as_type(train), y_train=Y, x_test=as_type(test), y_test=Y)
    import_dataset("own", path)
    for data in (opened(path), opened("own")):
        for split in (data.train, data.test):
            np.testing.assert_allclose(split.load(np.arange(40), np.float64)[0], PIXELS / 255, rtol=1e-6)


def test_scales_that_cannot_be_meant(npz):
    for train, test in ((PIXELS, PIXELS.astype(float)), (PIXELS / 128 - 1, PIXELS)):
        with pytest.raises(UserError, match=r"own\.npz: the t.* inputs go from .* both alike"):
            opened(npz(x_train=train, y_train=Y, x_test=test, y_test=Y))
    dark = np.zeros_like(PIXELS)  # bytes of 0 and 1 beside bytes of 0 to 255 are bytes
    data = opened(npz(x_train=PIXELS, y_train=Y, x_test=dark, y_test=Y))
    assert data.train.scale == data.test.scale == Scale(255.0)


def test_channels(npz):
    images = np.arange(2 * 8 * 6 * 3, dtype=np.uint8).reshape(2, 8, 6, 3)
    path = npz(x_train=images, y_train=np.arange(2))
    with pytest.raises(UserError, match=r"data.channels: samples of shape \(8, 6, 3\) seem to be"):
        opened(path).image_shape()
    turned = opened(path, channels="last")
    assert turned.image_shape() == (3, 8, 6)
    found = turned.train.load(np.arange(2), np.float64)[0].reshape(2, 3, 8, 6)
    assert np.array_equal(found, images.transpose(0, 3, 1, 2) / 255)
    assert np.array_equal(turned.train.load(np.array([1]), np.float64)[0].reshape(3, 8, 6), found[1])
    kept = opened(path, channels="first")
    assert kept.image_shape() == (8, 6, 3)
    assert np.array_equal(kept.train.load(np.arange(2), np.float64)[0], images.reshape(2, -1) / 255)
    grey = opened(npz("grey.npz", x_train=images[..., :1], y_train=np.arange(2)))
    assert grey.image_shape() == (1, 8, 6)
    with pytest.raises(UserError, match=r"channels: last is of samples of shape \(height, width, channels\)"):
        opened(npz("flat.npz", x_train=X, y_train=Y), channels="last")
    (lines,) = [line for line in describe(turned) if "training samples" in line]
    assert "(3, 8, 6), channels turned to the front" in lines


@pytest.mark.parametrize("train", ["own", "own.svm", "own.scale", "own.bz2", "own.svm.xz"])
@pytest.mark.parametrize("end", ["", ".gz", ".bz2", ".xz"])
def test_the_test_set_is_found_however_it_is_compressed(tmp_path, train, end):
    compress = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
    own = next((suffix for suffix in (".bz2", ".xz") if train.endswith(suffix)), "")
    (tmp_path / train).write_bytes(compress[own](SVM.encode()))
    assert opened(tmp_path / train).test is None
    (tmp_path / f"{train.removesuffix(own)}.t{end}").write_bytes(compress[end](b"1 2:1\n"))
    assert len(opened(tmp_path / train).test) == 1
    assert opened(tmp_path / train, test="none").test is None


def test_the_test_set_of_a_scaled_file(tmp_path):
    """LIBSVM has sector.scale and sector.t.scale."""
    (tmp_path / "sector.scale.bz2").write_bytes(bz2.compress(SVM.encode()))
    (tmp_path / "sector.t.scale.bz2").write_bytes(bz2.compress(b"1 2:1\n"))
    assert len(opened(tmp_path / "sector.scale.bz2").test) == 1
    assert opened(tmp_path / "sector.t.scale.bz2").test is None


def test_the_key_test(tmp_path, npz):
    (tmp_path / "a.svm").write_text(SVM)
    (tmp_path / "b.txt").write_text("-1 1:2\n")
    data = opened(tmp_path / "a.svm", test=str(tmp_path / "b.txt"))
    assert data.test.load(np.array([0]), float)[0].tolist() == [[2, 0, 0]] and data.test.targets.tolist() == [0]
    first = npz("a.npz", x_train=X, y_train=Y, x_test=X[:3], y_test=Y[:3])
    second = npz("b.npz", x_train=X[:7], y_train=Y[:7])
    third = npz("c.npz", x_train=X, y_train=Y, x_test=X[:9], y_test=Y[:9])
    for test, samples in ((None, 3), (second, 7), (third, 9)):
        assert len(opened(first, test=test and str(test)).test) == samples
    assert opened(first, test="none").test is None
    with pytest.raises(UserError, match=r"data.test: .*b\.txt must be of the same format"):
        opened(first, test=str(tmp_path / "b.txt"))
    with pytest.raises(UserError, match=r"b\.npz: x_train"):
        opened(npz("d.npz", x_train=X[:, :2], y_train=Y), test=str(second))
    assert open_dataset(DataSpec("digits", 1, test="none")).test is None
    with pytest.raises(UserError, match="digits has its own test set"):
        open_dataset(DataSpec("digits", 1, test=str(second)))


@pytest.mark.parametrize("prefix", ["", "emnist-letters-"])
@pytest.mark.parametrize("start", ["t10k", "test"])
def test_names_of_idx_files(tmp_path, arrays, prefix, start):
    for key, name in FILES.items():
        (tmp_path / f"{prefix}{name.replace('t10k', start)}").write_bytes(idx_bytes(arrays[key]))
    assert len(opened(tmp_path).test) == 5
    other = tmp_path / "other"
    other.mkdir()
    for key in ("train_inputs", "train_targets"):
        (other / FILES[key]).write_bytes(idx_bytes(arrays[key]))
    assert len(opened(tmp_path, test=str(other)).test) == 12
    for name in ("a-train-images-idx3-ubyte", "b-train-images-idx3-ubyte"):
        (tmp_path / name).write_bytes(b"")
    if prefix:
        with pytest.raises(UserError, match="could be meant"):
            opened(tmp_path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e200])
def test_numbers_that_are_none(tmp_path, npz, bad):
    x, y = X.copy(), X[:, 1].copy()
    x[25, 3] = x[30, 0] = bad
    y[7] = bad
    for path in (npz(x_train=x, y_train=Y), npz("test.npz", x_train=X, y_train=Y, x_test=x, y_test=Y)):
        name = "x_train" if path.name == "own.npz" else "x_test"
        with pytest.raises(UserError, match=rf"{path.name}: {name} holds 2 numbers .* first at \[25, 3\]"):
            opened(path)
    with pytest.raises(UserError, match=r"y_train holds 1 number .* first at \[7\]"):
        opened(npz(x_train=X, y_train=y))
    with h5py.File(tmp_path / "own.h5", "w") as file:
        file["x_train"], file["y_train"] = x, Y
    with pytest.raises(UserError, match=r"own\.h5: x_train holds 2 numbers"):
        opened(tmp_path / "own.h5")
    folder = tmp_path / "idx"
    folder.mkdir()
    head = bytes([0, 0, 0x0E, 2, 0, 0, 0, 40, 0, 0, 0, 6])
    (folder / FILES["train_inputs"]).write_bytes(head + x.astype(">f8").tobytes())
    (folder / FILES["train_targets"]).write_bytes(idx_bytes(Y.astype(np.uint8)))
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte holds 2 numbers .* first at \[25, 3\]"):
        opened(folder)


def test_numbers_too_large_in_text_and_in_single_precision(tmp_path, npz):
    (tmp_path / "own.svm").write_text("1 1:1\n2 1:2 5:1e200\n")
    with pytest.raises(UserError, match=r"own\.svm: it holds 1 number .* first at sample 2, feature 5: 1e\+200"):
        opened(tmp_path / "own.svm")
    data = opened(npz(x_train=1e30 * X, y_train=Y))
    assert np.isfinite(data.train.load(np.arange(40), np.float64)[0]).all()
    with pytest.raises(UserError, match="too large for float32.*dtype: float64"):
        data.train.load(np.arange(40), np.float32)
    (tmp_path / "big.svm").write_text("1 1:1e30\n-1 1:1\n")
    with pytest.raises(UserError, match="too large for float32"):
        opened(tmp_path / "big.svm").train.load(np.arange(2), np.float32)


def test_more_than_memory_is_told_before_it_is_asked_for(tmp_path):
    (tmp_path / "huge.svm").write_text("1 1:1 2147483646:1\n-1 2:1\n")
    train = opened(tmp_path / "huge.svm").train
    with pytest.raises(UserError, match=r"200,000 samples of 2,147,483,646 features.* need 3,435,973\.8 GB"):
        train.load(np.zeros(200_000, int), np.float64)
    with pytest.raises(UserError, match=r"vectors need 8,000,000\.0 GB; this machine has"):
        check_room(10**15, "float64", "vectors")


def test_labels_of_test_that_training_has_not(npz, tmp_path):
    data = opened(npz(x_train=X, y_train=Y, x_test=X, y_test=np.full(40, 5)))
    with pytest.raises(UserError, match=r"no training sample has: 5 \(40 of 40 samples\); .* training are 0, 1"):
        data.check_labels()
    (tmp_path / "own").write_text("1 1:1\n2 1:1\n")
    (tmp_path / "own.t").write_text("3 1:1\n1 1:1\n")
    with pytest.raises(UserError, match=r"no training sample has: 3 \(1 of 2 samples\)"):
        opened(tmp_path / "own").check_labels()


def test_shapes_of_targets(npz):
    for targets in (Y[:, None], Y[None, :], Y.astype(bool)):
        assert np.array_equal(opened(npz(x_train=X, y_train=targets)).train.targets, Y)
    with pytest.raises(UserError, match=r"y_train \(40, 2\) holds 2 targets a sample: one-hot labels; .*argmax"):
        opened(npz(x_train=X, y_train=np.eye(2)[Y]))
    with pytest.raises(UserError, match="a sample may have one only"):
        opened(npz(x_train=X, y_train=X[:, :2]))
    with pytest.raises(UserError, match=r"numpy\.unique\(y, return_inverse=True\)"):
        opened(npz(x_train=X, y_train=np.array(["cat", "dog"])[Y]))
    with pytest.raises(UserError, match=r"make x_train\[:, None\]"):
        opened(npz(x_train=X[:, 0], y_train=Y))


def test_other_names_of_arrays(npz, tmp_path):
    with pytest.raises(UserError, match=r"needs x_train and y_train; it holds X \(40, 6\), y \(40,\)"):
        opened(npz(X=X, y=Y))
    with h5py.File(tmp_path / "own.h5", "w") as file:
        file["features"], file["labels/all"] = X, Y
    with pytest.raises(UserError, match=r"needs x_train and y_train; it holds features \(40, 6\), labels \(a group\)"):
        opened(tmp_path / "own.h5")


@pytest.fixture
def hdf5(tmp_path):
    """An HDF5 file with targets, open for the inputs to be written."""
    with h5py.File(tmp_path / "own.h5", "w") as file:
        file["y_train"] = Y
        yield file


def refused(file, words):
    path = file.filename
    file.close()
    with pytest.raises(UserError, match=words):
        opened(path)


def virtual(file, source, rows=40):
    layout = h5py.VirtualLayout(shape=X.shape, dtype="f8")
    layout[:rows] = h5py.VirtualSource(str(source), "x", shape=X.shape)[:rows]
    file.create_virtual_dataset("x_train", layout)


def test_virtual_data_sets(hdf5, tmp_path):
    virtual(hdf5, "source.h5")
    path = hdf5.filename
    hdf5.close()
    with pytest.raises(UserError, match=r"own\.h5: x_train is a virtual data set, and its source source\.h5 is not"):
        opened(path)
    with h5py.File(tmp_path / "source.h5", "w") as file:
        file["x"] = X[:30]
    with pytest.raises(UserError, match=r"x of its source source\.h5 is missing or too small"):
        opened(path)
    with h5py.File(tmp_path / "source.h5", "w") as file:
        file["x"] = X
    assert np.array_equal(opened(path).train.inputs, X)


def test_a_virtual_data_set_with_a_gap(hdf5, tmp_path):
    with h5py.File(tmp_path / "source.h5", "w") as file:
        file["x"] = X
    virtual(hdf5, tmp_path / "source.h5", rows=35)
    refused(hdf5, "x_train is a virtual data set of which 30 numbers have no source")


def test_hdf5_that_was_never_written(hdf5):
    hdf5.create_dataset("x_train", X.shape, "f8")
    refused(hdf5, r"x_train \(40, 6\) was created but never written")


def test_hdf5_groups(hdf5):
    hdf5["x_train/block0_values"] = X
    refused(hdf5, r"x_train is a group \(it holds block0_values\), .* not with pandas")


def test_hdf5_filters_that_are_not_there(hdf5):
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_chunk(X.shape)
    settings.set_filter(32999, h5py.h5z.FLAG_OPTIONAL, ())
    space = h5py.h5s.create_simple(X.shape)
    made = h5py.h5d.create(hdf5.id, b"x_train", h5py.h5t.NATIVE_DOUBLE, space, settings)
    made.write_direct_chunk((0, 0), b"compressed", 0)
    refused(hdf5, r"x_train is compressed with the HDF5 filter 32999 .* hdf5plugin")


@pytest.mark.parametrize("targets", [Y[:, None], Y[None, :]])
def test_matlabs_files_are_transposed(tmp_path, targets):
    path = tmp_path / "own.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in (("x_train", X), ("y_train", targets)):
            file[name] = array.T
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")
    data = opened(path)
    assert np.array_equal(data.train.inputs, X) and np.array_equal(data.train.targets, Y)


@pytest.mark.parametrize("name", ["own.NPZ", "own", "own.data", "own.svm"])
def test_an_archive_is_known_by_its_content(tmp_path, name):
    np.savez(tmp_path / "own.npz", x_train=X, y_train=Y)
    assert len(opened((tmp_path / "own.npz").rename(tmp_path / name)).train) == 40


@pytest.mark.parametrize("name", ["own.hdf", "own.H5", "own", "own.npz"])
def test_hdf5_is_known_by_its_content(tmp_path, name):
    with h5py.File(tmp_path / name, "w") as file:
        file["x_train"], file["y_train"] = X, Y
    assert len(opened(tmp_path / name).train) == 40


@pytest.mark.parametrize("name", ["own.GZ", "own", "own.bz2"])
def test_compressed_text_is_known_by_its_content(tmp_path, name):
    (tmp_path / name).write_bytes(gzip.compress(b"\xef\xbb\xbf" + SVM.encode()))
    assert len(opened(tmp_path / name).train) == 4


@pytest.mark.parametrize(
    "content, words",
    [
        (b"\x93NUMPY\x01\x00", "one array .*numpy.savez"),
        (b"MATLAB 5.0 MAT-file", "old MATLAB file; save it with '-v7.3'"),
        (b"PAR1....", "Parquet"),
        (b"\x80\x04\x95\x00", "a pickle"),
        (idx_bytes(PIXELS), "an IDX file, which holds one array; name the folder"),
        (gzip.compress(idx_bytes(PIXELS), mtime=0), "an IDX file, which holds one array; name the folder"),
        (gzip.compress(b"PK\x03\x04...", mtime=0), "a compressed .npz or HDF5 file; unpack it first"),
        ("1 1:1\n".encode("utf-16"), "UTF-16; save it as UTF-8"),
        (b"x1,x2,label\n0.5,1,0\n", "looks like CSV"),
        (b"0.5,1,0\n", "looks like CSV"),
        (b"1 1: 0.5 2:1\n", r":1: expected a value right behind the colon, without a blank"),
        (b"1 1:1\n1 1:\n", r":2: expected a value right behind the colon, without a blank"),
        (b"1 4294967295:1\n", r":1: expected an index of at most 2,147,483,646, not '4294967295:1'"),
    ],
)
def test_what_is_recognised_but_not_read(tmp_path, content, words):
    (tmp_path / "own").write_bytes(content)
    with pytest.raises(UserError, match=words) as caught:
        opened(tmp_path / "own")
    assert "\n" not in str(caught.value)


def test_description(tmp_path, npz):
    (tmp_path / "own.svm").write_text(SVM)
    assert describe(opened(tmp_path / "own.svm")) == [
        "data: own: 4 training samples of 3 features (7 entries)",
        "data: training targets: 2 classes (-1: 2, 1: 2)",
        "data: no test set, so no test metrics",
        "data: scale: as stored",
    ]
    real = npz(x_train=PIXELS, y_train=np.arange(40) / 2, x_test=PIXELS[:2] / 255, y_test=np.zeros(2))
    assert describe(opened(real))[1:] == [
        "data: training targets: real, 0 to 19.5, mean 9.75",
        "data: 2 test samples, targets: real, 0 to 0, mean 0",
        "data: scale: training inputs / 255, test as stored",
    ]
    many = npz("many.npz", x_train=X, y_train=np.arange(40) // 2 + 100)
    assert describe(opened(many))[1] == "data: training targets: 20 classes, 100 to 119, of 2 to 2 samples each"


def test_hdf5_is_read_without_a_lock(hdf5):
    """As on file systems that have none."""
    hdf5["x_train"] = X
    path = hdf5.filename
    hdf5.close()
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert len(opened(path).train) == 40


def test_integers_of_too_many_values_are_numbers(npz):
    y = np.arange(70_000) * 3
    data = opened(npz(x_train=np.zeros((70_000, 1), np.int8), y_train=y))
    assert data.classes is None and data.train.load(np.array([69_999]), np.float64)[1].tolist() == [209_997.0]
    assert data.what_targets_are() == "the targets take more than 65,536 values"


def test_hdf5_that_this_process_has_open_already(hdf5):
    hdf5["x_train"] = X
    path = hdf5.filename
    hdf5.close()
    with h5py.File(path, "r"):
        assert len(opened(path).train) == 40
