"""IDX files: every spelling is read, every defect is one line."""

import gzip
import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from idx_files import idx_bytes

from pmom_mpi.data.idx import read_folder, read_idx
from pmom_mpi.words.errors import UserError

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dots", [False, True])
def test_folder_in_any_spelling(make_folder, arrays, dots, zipped):
    found = read_folder(make_folder(arrays, dots, zipped), {})
    assert all(np.array_equal(found[key], arrays[key]) for key in arrays)


@pytest.mark.parametrize(("code", "kind"), [(9, ">i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")])
def test_types_become_native(tmp_path, code, kind):
    values = np.array([-3, 0, 100], kind)
    path = tmp_path / "file"
    path.write_bytes(bytes([0, 0, code, 1, 0, 0, 0, 3]) + values.tobytes())
    read = read_idx(path)
    assert read.dtype.isnative
    assert read.tolist() == values.tolist()


def test_checksum_is_of_the_uncompressed_bytes(tmp_path):
    data = idx_bytes(IMAGES)
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(data))
    assert np.array_equal(read_idx(path, hashlib.sha256(data).hexdigest()), IMAGES)
    with pytest.raises(UserError, match="checksum"):
        read_idx(path, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", "not an IDX file"),
        (b"\x89PNG....", "not an IDX file"),
        (idx_bytes(IMAGES)[:-1], "do not fit its head"),
        (idx_bytes(IMAGES) + b"\0", "do not fit its head"),
        (idx_bytes(IMAGES)[:7], "do not fit its head"),
        (bytes([0, 0, 8, 0, 7]), "do not fit its head"),
        # 2^32 x 2^32 elements: in 64 bits the product would be 0.
        (bytes([0, 0, 8, 4]) + b"\x00\x01\x00\x00" * 4, "do not fit its head"),
        (gzip.compress(idx_bytes(IMAGES), mtime=0)[:-9], "cannot read"),
        (gzip.compress(idx_bytes(IMAGES), mtime=0)[:10] + b"\xff" * 20, "cannot read"),
    ],
)
def test_damaged_files(tmp_path, data, line):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(data)
    with pytest.raises(UserError, match=line) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("zipped", [False, True])
@given(data=st.data())
def test_any_damage_is_a_user_error(tmp_path_factory, zipped, data):
    whole = idx_bytes(IMAGES)
    whole = bytearray(gzip.compress(whole, mtime=0) if zipped else whole)
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=4)):
        whole[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    try:
        assert read_idx(path).nbytes <= len(idx_bytes(IMAGES))
    except UserError as error:
        assert "\n" not in str(error)


def test_missing_file_is_named(tmp_path, make_folder, arrays):
    with pytest.raises(UserError, match="cannot read: No such file"):
        read_idx(tmp_path / "nothing")
    del arrays["train_targets"]
    with pytest.raises(UserError, match="train-labels-idx1-ubyte"):
        read_folder(make_folder(arrays), {})


def test_test_set_is_optional_but_not_half_of_it(make_folder, arrays):
    half = {key: arrays[key] for key in ("train_inputs", "train_targets", "test_inputs")}
    with pytest.raises(UserError, match="t10k-labels"):
        read_folder(make_folder(half, name="half"), {})
    del half["test_inputs"]
    assert set(read_folder(make_folder(half, name="train"), {})) == {"train_inputs", "train_targets"}


def test_images_and_labels_must_agree(make_folder, arrays):
    arrays["train_targets"] = arrays["train_targets"][:-1]
    with pytest.raises(UserError, match=r"\(12, 4, 4\).*\(11,\)"):
        read_folder(make_folder(arrays), {})
