"""docs/file-format.md names everything that a run file holds."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from pmom_mpi.runtime import experiment

PAGE = (Path(__file__).parents[2] / "docs" / "file-format.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    raw = {
        "name": "page", "iterations": 2, "step_size": 0.1, "problem": {"kind": "softmax_regression"},
        "data": {"name": "digits", "nodes": 3}, "record": {"nodes": True},
        "bias": [{"kind": "clip_norm", "tau": 0.1}, {"kind": "top_k", "fraction": 0.1}],
    }  # fmt: skip
    output = tmp_path_factory.mktemp("page") / "run.h5"
    experiment.run(raw, output=output)
    return output


def test_every_name_is_described(path):
    with h5py.File(path, "r") as file:
        names = [*file.attrs, *file["provenance"].attrs, *file["facts"].attrs, *file["metrics"], *file["events"]]
        groups = list(file)
    assert [name for name in names if f"`{name}`" not in PAGE] == []
    assert [name for name in groups if f"/{name}" not in PAGE] == []


def test_data_sets_are_as_described(path):
    with h5py.File(path, "r") as file:
        for group, shape in (("metrics", (2,)), ("nodes", (2, 3))):
            for data in file[group].values():
                assert data.shape == shape and data.dtype in ("int64", "float64")
                assert data.attrs["unit"] and data.attrs["description"]
        assert {name.removeprefix("train_") for name in file["nodes"]} >= {"loss", "accuracy", "kept", "uplink_bits"}
        assert file["final/x"].dtype == "float32"
        assert all(isinstance(value, str) for value in file["provenance"].attrs.values())
        assert all(np.issubdtype(np.asarray(value).dtype, np.number) for value in file["facts"].attrs.values())
        assert file["facts"].attrs["nodes_per_worker"].shape == (1,) and file["facts"].attrs["dimension"] == 650
        attributes = dict(file["metrics/test_accuracy"].attrs)
        assert (attributes["better"], attributes["role"], attributes["headline"]) == ("higher", "test", 1)
        assert list(file["metrics"])[:3] == ["iteration", "train_loss", "train_accuracy"]


def test_with_a_compressed_downlink_metrics_are_of_what_the_nodes_have(tmp_path):
    raw = {
        "name": "down", "iterations": 2, "step_size": 0.1, "problem": {"kind": "softmax_regression"},
        "data": {"name": "digits", "nodes": 3}, "downlink": [{"kind": "top_k", "fraction": 0.1}],
    }  # fmt: skip
    experiment.run(raw, output=tmp_path / "down.h5")
    with h5py.File(tmp_path / "down.h5", "r") as file:
        described = {name: data.attrs["description"] for name, data in file["metrics"].items()}
    assert described["train_loss"].endswith("at w^k") and "at w^{k+1}" in described["test_loss"]
    assert "`model_lag`" in PAGE and "taken at w^k" in PAGE
