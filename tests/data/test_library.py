"""Data sets by name: embedded, imported, downloaded, and what is said when they are not to be had."""

import gzip
import hashlib
import http.server
import json
import multiprocessing
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from idx_files import idx_bytes

from pmom_mpi.data import DataSpec, divide, get_dataset, import_dataset, list_datasets, open_dataset
from pmom_mpi.data.dataset import Scale
from pmom_mpi.data.idx import FILES
from pmom_mpi.data.known import KNOWN, Known
from pmom_mpi.words.errors import UserError

MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"


@pytest.fixture
def public(monkeypatch, tmp_path, arrays):
    """A public data set ``tiny`` that a server on this machine offers; returns the folder it serves."""
    folder = tmp_path / "public"
    folder.mkdir()
    for key, name in FILES.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(arrays[key])))
    handler = partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    sums = {key: hashlib.sha256(idx_bytes(array)).hexdigest() for key, array in arrays.items()}
    url = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setitem(
        KNOWN, "tiny", Known("", url, sums, Scale(255.0, 0.5, 0.25), samples=12, features=16, classes=3)
    )
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield folder
    server.shutdown()
    server.server_close()
    thread.join()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def test_digits_are_in_the_package():
    data = open_dataset(DataSpec("digits", 10))
    assert (len(data.train), len(data.test), data.train.features, data.classes) == (1500, 297, 64, 10)
    inputs, targets = data.train.load(np.arange(3), np.float32)
    assert (inputs.min(), inputs.max(), targets.tolist()) == (0, 1, [0, 1, 2])
    whole = np.concatenate([data.train.inputs, data.test.inputs])
    # Sums of the 1797 x 64 table that scikit-learn's load_digits returns.
    assert int(whole.sum(dtype=np.int64)) == 561718
    assert np.bincount(np.concatenate([data.train.targets, data.test.targets])).tolist() == [
        178, 182, 177, 183, 181, 182, 181, 179, 174, 180,
    ]  # fmt: skip


def test_limit_uses_the_first_samples():
    data = open_dataset(DataSpec("digits", 4, limit=30))
    assert (len(data.train), len(data.test)) == (30, 297)
    assert np.array_equal(np.concatenate(divide(DataSpec("digits", 4), data.train.targets, 0)), np.arange(30))


def test_a_name_goes_before_a_folder(tmp_path, monkeypatch):
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert len(open_dataset(DataSpec("digits", 1)).train) == 1500
    with pytest.raises(UserError, match="train-images"):
        open_dataset(DataSpec("./digits", 1))


def test_import_is_stored_uncompressed_and_mapped(cache, make_folder, arrays):
    assert import_dataset("own", make_folder(arrays, zipped=True)) == cache / "own"
    data = open_dataset(DataSpec("own", 1))
    assert isinstance(data.train.inputs, np.memmap)
    assert all(np.array_equal(np.load(cache / "own" / f"{key}.npy"), array) for key, array in arrays.items())
    assert np.array_equal(data.train.load(np.arange(12), np.float64)[0], arrays["train_inputs"].reshape(12, 16) / 255.0)
    assert (cache / "own").stat().st_mode & 0o777 == 0o755


def test_import_from_npz_and_again_from_another(cache, tmp_path, arrays):
    for labels in (3, 2):
        np.savez(tmp_path / "own.npz", x_train=arrays["train_inputs"], y_train=arrays["train_targets"] % labels)
        import_dataset("own", tmp_path / "own.npz")
        assert open_dataset(DataSpec("own", 1)).classes == labels
    assert [path.name for path in cache.iterdir()] == ["own"]


def test_failed_import_leaves_nothing(cache, tmp_path, make_folder, arrays):
    arrays["train_targets"] = arrays["train_targets"][:3]
    with pytest.raises(UserError):
        import_dataset("own", make_folder(arrays))
    assert not cache.exists()
    with pytest.raises(UserError, match="nowhere: cannot read: No such file"):
        import_dataset("own", tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["digits", "", "../own", "a/b", ".own", "two words"])
def test_names_that_cannot_be(make_folder, arrays, name):
    with pytest.raises(UserError, match="cannot be the name"):
        import_dataset(name, make_folder(arrays))


def test_cache_that_cannot_be_written(monkeypatch, tmp_path, make_folder, arrays):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PMOM_DATA_DIR", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match="set PMOM_DATA_DIR"):
        import_dataset("own", make_folder(arrays))


def _import_often(name, folder):
    try:
        for _ in range(10):
            import_dataset(name, folder)
    except Exception as error:
        return repr(error)
    return ""


@pytest.mark.parametrize("name", ["own", "tiny"])
def test_imports_at_the_same_time(public, cache, name):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert pool.starmap(_import_often, [(name, public)] * 4) == [""] * 4
    assert [path.name for path in cache.iterdir()] == [name]
    assert len(open_dataset(DataSpec(name, 1)).train) == 12


def test_known_names_are_known_bytes(public, tmp_path, make_folder, arrays):
    arrays["test_targets"] = arrays["test_targets"][::-1]
    with pytest.raises(UserError, match="t10k-labels.*checksum"):
        import_dataset("tiny", make_folder(arrays))
    np.savez(tmp_path / "own.npz", x_train=arrays["train_inputs"], y_train=arrays["train_targets"])
    with pytest.raises(UserError, match="known checksums"):
        import_dataset("mnist", tmp_path / "own.npz")


def test_public_sets_have_all_checksums():
    assert all(set(known.sha256) == set(FILES) for known in KNOWN.values())


def test_get_downloads_and_checks(public, cache):
    assert get_dataset("tiny") == cache / "tiny"
    data = open_dataset(DataSpec("tiny", 2))
    assert data.train.scale == Scale(255.0, 0.5, 0.25)
    for file in public.iterdir():
        file.unlink()
    assert get_dataset("tiny") == cache / "tiny"


def test_get_of_other_bytes(public, cache, arrays):
    (public / f"{FILES['train_inputs']}.gz").write_bytes(gzip.compress(idx_bytes(arrays["train_inputs"] ^ 1)))
    with pytest.raises(UserError, match="checksum"):
        get_dataset("tiny")
    (public / f"{FILES['train_inputs']}.gz").unlink()
    with pytest.raises(UserError, match="cannot download .*'pmom data import tiny PATH'"):
        get_dataset("tiny")
    assert not cache.exists()


def test_get_without_a_network(monkeypatch):
    for variable in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # the discard port: nobody answers
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(UserError, match="'pmom data import mnist PATH'") as caught:
        get_dataset("mnist")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="'pmom data get' knows"):
        get_dataset("unknown")


def test_missing_data_tells_both_remedies():
    with pytest.raises(UserError, match="'pmom data get mnist'.*'pmom data import mnist PATH'") as caught:
        open_dataset(DataSpec("mnist", 10))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["minst", "nowhere/own.npz", "x" * 300, "nul\0"])
def test_unknown_names(name):
    with pytest.raises(UserError, match="neither a file nor a known data set; known: digits, fashion-mnist, mnist"):
        open_dataset(DataSpec(name, 1))


def test_a_distributions_package_is_found(monkeypatch, public, cache):
    installed = Known("", "http://127.0.0.1:9/", KNOWN["tiny"].sha256, Scale(), str(public), 12, 16, 3)
    monkeypatch.setitem(KNOWN, "tiny", installed)
    assert {entry.name: entry.where for entry in list_datasets()}["tiny"] == str(public)
    assert not cache.exists()
    assert len(open_dataset(DataSpec("tiny", 1)).train) == 12


@pytest.mark.parametrize("damage", ["empty", "short", "missing", "description"])
def test_damaged_cache(cache, make_folder, arrays, damage):
    stored = import_dataset("own", make_folder(arrays))
    file = stored / "train_inputs.npy"
    if damage == "empty":
        file.write_bytes(b"")
    elif damage == "short":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "missing":
        file.unlink()
    else:
        (stored / "dataset.json").write_text(json.dumps([1]))
    with pytest.raises(UserError, match="damaged.*import it again") as caught:
        open_dataset(DataSpec("own", 1))
    assert "\n" not in str(caught.value)
    assert {entry.name: entry.where for entry in list_datasets()}["own"] is None


def test_list(cache, make_folder, arrays):
    import_dataset("own", make_folder(arrays))
    entries = {entry.name: entry for entry in list_datasets()}
    assert list(entries) == ["digits", "mnist", "fashion-mnist", "own"]
    assert (entries["mnist"].samples, entries["mnist"].features, entries["mnist"].where) == (60000, 784, None)
    assert (entries["own"].samples, entries["own"].classes, entries["own"].where) == (12, 3, str(cache / "own"))


@pytest.mark.skipif(not MNIST.is_dir(), reason="the real MNIST is not beside this checkout")
def test_mnist():
    import_dataset("mnist", MNIST)
    data = open_dataset(DataSpec("mnist", 100))
    assert (len(data.train), len(data.test), data.train.features, data.classes) == (60000, 10000, 784, 10)
    assert data.train.targets[:5].tolist() == [5, 0, 4, 1, 9]
    inputs, _ = data.train.load(divide(DataSpec("mnist", 100), data.train.targets, 0)[99], np.float32)
    assert inputs.shape == (600, 784)
    assert inputs.min() == (np.float32(0) - np.float32(0.1307)) / np.float32(0.3081)
