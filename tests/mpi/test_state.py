"""A state that travels with the model: running statistics and what is evaluated with them, on any number of ranks."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from pmom_mpi import config as configs

EXAMPLE = Path(__file__).parents[2] / "examples" / "convnet.yaml"


def contents(path) -> dict[str, bytes]:
    with h5py.File(path, "r") as file:
        names = [name for name in file["metrics"] if not name.startswith(("time_", "overhead"))]
        return {name: file["metrics"][name][()].tobytes() for name in names} | {"x": file["final/x"][()].tobytes()}


@pytest.mark.parametrize("downlink", [[], [{"kind": "top_k", "fraction": 0.2}]], ids=["dense", "compressed"])
def test_batch_norms_give_the_same_bits_on_any_number_of_ranks(mpirun, tmp_path, downlink):
    pytest.importorskip("torch")
    raw = configs.load(EXAMPLE) | {"iterations": 4, "evaluate": {"every": 2}, "downlink": downlink}
    raw["problem"]["augment"] = "flip"
    (tmp_path / "state.yaml").write_text(yaml.safe_dump(raw))
    (tmp_path / "convnet.py").write_text(EXAMPLE.with_suffix(".py").read_text())
    found = []
    for ranks in (1, 2, 4):
        done = mpirun(ranks, ["run", str(tmp_path / "state.yaml"), "-o", str(tmp_path / f"{ranks}.h5")])
        assert done.returncode == 0, done.stderr
        found.append(contents(tmp_path / f"{ranks}.h5"))
    assert found[0] == found[1] == found[2]
    assert np.isfinite(np.frombuffer(found[0]["test_loss"])).sum() == 2


def test_state_is_counted_where_it_is_sent(mpirun, tmp_path):
    """16 numbers: a mean and a variance of 8 channels; float32 behind the model, float64 in every node's report."""
    pytest.importorskip("torch")
    done = mpirun(2, ["run", str(EXAMPLE), "-o", str(tmp_path / "run.h5"), "-s", "iterations=1"])
    assert done.returncode == 0, done.stderr
    with h5py.File(tmp_path / "run.h5", "r") as file:
        dimension = len(file["final/x"])
        assert file["metrics/downlink_bits"][0] == 32 * (dimension + 16)
        assert file["metrics/overhead_bits"][0] >= 64 * 6 * (2 + 16)
