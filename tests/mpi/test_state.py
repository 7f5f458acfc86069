"""A state that travels with the model: running statistics and what is evaluated with them, on any number of ranks."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from pmom_mpi import config as configs

EXAMPLE = Path(__file__).parents[2] / "examples" / "convnet.yaml"


def contents(path) -> dict[str, bytes]:
    with h5py.File(path, "r") as file:
        names = [name for name in file["metrics"] if not name.startswith(("time_", "overhead"))]
        return {name: file["metrics"][name][()].tobytes() for name in names} | {"x": file["final/x"][()].tobytes()}


DOWNLINKS = {"dense": [], "compressed": [{"kind": "top_k", "fraction": 0.2}]}
RANKS = (1, 4)


@pytest.fixture(scope="module")
def files(several, tmp_path_factory):
    """The folder with the run files of either downlink on every number of ranks."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("state")
    (folder / "convnet.py").write_text(EXAMPLE.with_suffix(".py").read_text())
    raw = configs.load(EXAMPLE) | {"iterations": 4, "evaluate": {"every": 2}}
    raw["problem"]["augment"] = "flip"
    for ranks in RANKS:
        runs = [(raw | {"downlink": link}, [], folder / f"{name}-{ranks}.h5") for name, link in DOWNLINKS.items()]
        several(ranks, runs)
    return folder


@pytest.mark.parametrize("downlink", DOWNLINKS)
def test_batch_norms_give_the_same_bits_on_any_number_of_ranks(files, downlink):
    found = [contents(files / f"{downlink}-{ranks}.h5") for ranks in RANKS]
    assert found[0] == found[1]
    assert np.isfinite(np.frombuffer(found[0]["test_loss"])).sum() == 2


def test_state_is_counted_where_it_is_sent(files):
    """16 numbers: a mean and a variance of 8 channels; float32 behind the model, float64 in every node's report."""
    with h5py.File(files / "dense-4.h5", "r") as file:
        dimension = len(file["final/x"])
        assert file["metrics/downlink_bits"][0] == 32 * (dimension + 16)
        assert file["metrics/overhead_bits"][0] >= 64 * 6 * (2 + 16)
