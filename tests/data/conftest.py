"""Files as users have them: IDX folders, NPZ and HDF5, each written in full."""

import gzip

import numpy as np
import pytest
from idx_files import idx_bytes

from pmom_mpi.data.idx import FILES


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache for every test; returns its folder."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("PMOM_DATA_DIR", str(folder))
    return folder


@pytest.fixture
def arrays():
    """Twelve training and five test images of 4 x 4 pixels with labels 0, 1, 2."""
    rng = np.random.default_rng(0)
    return {
        "train_inputs": rng.integers(0, 256, (12, 4, 4), dtype=np.uint8),
        "train_targets": np.arange(12, dtype=np.uint8) % 3,
        "test_inputs": rng.integers(0, 256, (5, 4, 4), dtype=np.uint8),
        "test_targets": np.arange(5, dtype=np.uint8) % 3,
    }


@pytest.fixture
def make_folder(tmp_path):
    """A function that writes arrays as a folder of IDX files."""

    def make(arrays, dots=False, zipped=False, name="files"):
        folder = tmp_path / name
        folder.mkdir()
        for key, array in arrays.items():
            file = FILES[key].replace("-idx", ".idx") if dots else FILES[key]
            data = idx_bytes(array)
            (folder / (file + ".gz" * zipped)).write_bytes(gzip.compress(data) if zipped else data)
        return folder

    return make
