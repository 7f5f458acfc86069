"""Text of the svmlight format: every number exactly, every wrong line named."""

import bz2
import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmom_mpi.data import DataSpec, import_dataset, open_dataset
from pmom_mpi.data.svmlight import read, read_text
from pmom_mpi.words.errors import UserError

numbers = st.floats(allow_nan=False, allow_infinity=False)
entries = st.dictionaries(st.integers(1, 40), numbers, max_size=8)
styles = st.sampled_from(["{!r}", "{:.3f}", "{:+.6e}", "{:.17g}", "{:g}"])


@pytest.fixture
def write(tmp_path):
    """A function that writes a file and returns its path."""

    def write(text, name="own.svm"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@given(rows=st.lists(st.tuples(numbers, entries), min_size=1, max_size=10).filter(lambda rows: any(e for _, e in rows)),
       style=styles)  # fmt: skip
def test_numbers_are_those_that_python_reads(tmp_path_factory, rows, style):
    lines, expected = [], []
    for label, found in rows:
        pairs = sorted(found.items())
        lines.append(" ".join([style.format(label), *(f"{i}:{style.format(v)}" for i, v in pairs)]))
        expected.append((float(style.format(label)), [(i, float(style.format(v))) for i, v in pairs]))
    path = tmp_path_factory.mktemp("text") / "own.svm"
    path.write_text("\n".join(lines))
    starts, indices, values, labels = read_text(path)
    for row, (label, pairs) in enumerate(expected):
        here = slice(starts[row], starts[row + 1])
        assert labels[row] == label and list(zip(indices[here], values[here], strict=True)) == pairs
    assert len(labels) == len(expected)


def test_comments_blank_lines_qid_and_line_ends(write):
    text = "# made by hand\n\n+1 qid:7 1:0.5\t3:-2e0 # good\r\n  -1 2:.25#none\n#\n-1\n1 1:1. 2:1E+2"
    starts, indices, values, labels = read_text(write(text))
    assert labels.tolist() == [1, -1, -1, 1] and starts.tolist() == [0, 2, 3, 3, 5]
    assert indices.tolist() == [1, 3, 2, 1, 2] and values.tolist() == [0.5, -2, 0.25, 1, 100]


@pytest.mark.parametrize(
    "text, words",
    [
        ("1 1:2\nx 1:2", r"svm:2: expected a label, not 'x'"),
        ("1 1:2\n\n1,2 1:2", r"svm:3: expected a label, not '1,2'"),
        ("1 1:2 5", r"svm:1: expected index:value, not '5'"),
        ("1 1:2\n1 -3:2", r"svm:2: expected index:value, not '-3:2'"),
        ("1 :2", r"expected index:value, not ':2'"),
        ("1 99999999999:2", r"expected an index of at most 2,147,483,646, not '99999999999:2'"),
        ("1 3:1 3:2", r"expected an index above the one before it, not '3:2'"),
        ("1 3:1 2:2", r"expected an index above the one before it, not '2:2'"),
        ("1 3:", r"expected a value"),
        ("1 3:1:2", r"expected a value, not '1:2'"),
        ("1 3:1_000", r"expected a value, not '1_000'"),
        ("1 3:nan", r"expected a value, not 'nan'"),
        ("inf 3:1", r"expected a label, not 'inf'"),
        ("1 3:1e999", r"expected a value, not '1e999'"),
        ("1 3:0x10", r"expected a value, not '0x10'"),
        ("1 3:1.2.3", r"expected a value, not '1.2.3'"),
        ("1\n-1\n", "holds no samples"),
        ("", "holds no samples"),
        (b"\x89HDF\x00\xff " * 40, "expected"),
    ],
)
def test_lines_that_are_wrong(write, text, words):
    with pytest.raises(UserError, match=words):
        read_text(write(text))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("bytes") / "own"
    path.write_bytes(text)
    try:
        found = read_text(path)
    except UserError:
        return
    assert found.starts[-1] == len(found.values) == len(found.indices) and np.isfinite(found.values).all()


@pytest.mark.parametrize(
    "labels, targets",
    [
        ("+1 -1 +1", [1, -1, 1]),
        ("2 1 1", [2, 1, 1]),
        ("0 3 1", [0, 3, 1]),
        ("-1 0 1", [-1, 0, 1]),
        ("0.5 1 2", [0.5, 1.0, 2.0]),
        ("1 2 70000", [1, 2, 70000]),
        ("1 1e20", [1.0, 1e20]),
    ],
)
def test_labels(write, labels, targets):
    found = read(write("\n".join(f"{label} 1:1" for label in labels.split())))["train_targets"]
    assert found.tolist() == targets and found.dtype.kind == ("f" if isinstance(targets[0], float) else "i")


@pytest.mark.parametrize("name, compress", [("own", bytes), ("own.gz", gzip.compress), ("own.bz2", bz2.compress)])
def test_test_files_and_compressed_files(write, name, compress):
    path = write(compress(b"1 1:1 3:2\n-1 2:4\n"), name)
    write(compress(b"-1 4:1\n"), name.replace("own", "own.t"))
    data = open_dataset(DataSpec(str(path), 1))
    assert (len(data.train), len(data.test), data.classes, data.train.features) == (2, 1, 2, 4)
    inputs, targets = data.train.load(np.array([1, 0]), np.float32)
    assert inputs.tolist() == [[0, 4, 0, 0], [1, 0, 2, 0]] and targets.tolist() == [0, 1]
    assert data.test.load(np.array([0]), np.float64)[0].tolist() == [[0, 0, 0, 1]]


def test_features_are_counted_from_0_or_1(write):
    assert read(write("1 0:1 3:2"))["features"] == [4]
    path = write("1 1:1 3:2", "one")
    assert read(path)["features"] == [3]
    write("1 0:1", "one.t")
    with pytest.raises(UserError, match=r"one\.t: has a feature 0, but the features of .*one begin with 1"):
        read(path)


def test_files_that_cannot_be_read(tmp_path, write):
    with pytest.raises(UserError, match="cannot read: No such file"):
        read(tmp_path / "absent")
    with pytest.raises(UserError, match="cannot read"):
        read(write(gzip.compress(b"1 1:1")[:-5], "cut.gz"))
    assert read(write("1 1:1", "plain.gz"))["train_targets"] == [1]  # what it is, not what it is called


def test_imported_files_stay_sparse(write, tmp_path, monkeypatch):
    monkeypatch.setenv("PMOM_DATA_DIR", str(tmp_path / "cache"))
    import_dataset("own", write("1 2:1\n-1 1:3 5:4\n1 1:2\n"))
    data = open_dataset(DataSpec("own", 1, limit=2))
    starts, indices, values, targets = data.train.load_sparse(np.array([1, 0]), np.float32)
    assert starts.tolist() == [0, 2, 3] and indices.tolist() == [0, 4, 1] and targets.tolist() == [0, 1]
    assert values.tolist() == [3, 4, 1] and values.dtype == np.float32 and len(data.train) == 2
