"""n nodes on any number of ranks give the same trajectory, bit for bit."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import yaml

PIPELINES = {
    "top_k": [{"kind": "top_k", "fraction": 0.05}],
    "clip_then_top_k_per_layer": [
        {"kind": "clip_norm", "tau": 0.5},
        {"kind": "top_k", "fraction": 0.1, "scope": "layer"},
    ],
    "normalize": [{"kind": "normalize"}],
    "none": [],
}


def config(bias: list, **changes: object) -> dict:
    return {
        "name": "bits", "iterations": 6, "step_size": 0.3, "momentum": {"kind": "ema", "beta": 0.3},
        "problem": {"kind": "mlp", "hidden": [16, 16]}, "data": {"name": "digits", "nodes": 7, "partition": "iid"},
        "gradient": {"batch": 32}, "bias": bias, "evaluate": {"every": 2}, "record": {"nodes": True},
    } | changes  # fmt: skip


def contents(path) -> dict[str, np.ndarray]:
    """Everything in a run file that must not depend on the number of ranks."""
    with h5py.File(path, "r") as file:
        found = {name: data[()] for name, data in file["metrics"].items() if not name.startswith(("time_", "overhead"))}
        found |= {f"nodes/{name}": data[()] for name, data in file["nodes"].items()} if "nodes" in file else {}
        return found | {"x": file["final/x"][()], "status": np.array(file.attrs["status"])}


def assert_same_bits(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].tobytes() == right[name].tobytes(), name


DIAGNOSED = {"diagnostics": {"every": 2, "repeats": 2}}
UPLINK = [{"kind": "ef21_sgdm", "beta": 0.5}, {"kind": "top_k", "fraction": 0.05}, {"kind": "qsgd", "bucket": 32}]
CASES = {
    **{name: config(bias) for name, bias in PIPELINES.items()},
    "diagnosis at x": config(PIPELINES["top_k"], **DIAGNOSED),
    "diagnosis at w": config(PIPELINES["top_k"], downlink=[{"kind": "top_k", "fraction": 0.2}], **DIAGNOSED),
    "compression both ways": config(UPLINK, downlink=[{"kind": "rand_k", "fraction": 0.2}]),
}
RANKS = (1, 2, 3, 5)


@pytest.fixture(scope="module")
def files(several, tmp_path_factory):
    """The folder with every case's run file of every number of ranks."""
    folder = tmp_path_factory.mktemp("bits")
    for ranks in RANKS:
        several(ranks, [(raw, [], folder / f"{name}-{ranks}.h5") for name, raw in CASES.items()])
    return folder


@pytest.mark.parametrize("name", CASES)
def test_any_number_of_ranks_gives_the_same_bits(files, name):
    one, *others = (contents(files / f"{name}-{ranks}.h5") for ranks in RANKS)
    assert len(one["train_loss"]) == 6
    for other in others:
        assert_same_bits(one, other)
    if "diagnosis" in name:
        assert np.isfinite(one["diag_bias"][::2]).all()


def test_they_are_runs_of_so_many_ranks(files):
    found = []
    for ranks in RANKS:
        with h5py.File(files / f"none-{ranks}.h5", "r") as file:
            found.append(file["facts"].attrs["ranks"])
    assert tuple(found) == RANKS


def test_constant_features_on_any_number_of_ranks(mpirun, tmp_path, mnist):
    data = {"name": "mnist", "nodes": 40}
    raw = config(PIPELINES["top_k"], iterations=2, data=data, gradient={"batch": "full"})
    (tmp_path / "bits.yaml").write_text(yaml.safe_dump(raw))
    for ranks in (1, 4):
        done = mpirun(ranks, ["run", str(tmp_path / "bits.yaml"), "-o", str(tmp_path / f"{ranks}.h5")])
        assert done.returncode == 0, done.stderr
    assert_same_bits(contents(tmp_path / "1.h5"), contents(tmp_path / "4.h5"))


@pytest.mark.parametrize("name", ["top_k", "compression both ways"])
def test_one_process_without_mpi_gives_the_same_bits(files, tmp_path, name):
    from pmom_mpi.runtime import experiment

    experiment.run(CASES[name], output=tmp_path / "alone.h5")
    assert_same_bits(contents(tmp_path / "alone.h5"), contents(files / f"{name}-3.h5"))


@pytest.mark.slow
def test_a_process_a_node(mpirun, tmp_path):
    """The paper's 100 nodes as 100 worker processes."""
    raw = config(PIPELINES["top_k"], iterations=3, data={"name": "digits", "nodes": 100}, gradient={"batch": "full"})
    (tmp_path / "bits.yaml").write_text(yaml.safe_dump(raw))
    for ranks in (1, 101):
        done = mpirun(ranks, ["run", str(tmp_path / "bits.yaml"), "-o", str(tmp_path / f"{ranks}.h5")], timeout=600)
        assert done.returncode == 0, done.stderr
    assert_same_bits(contents(tmp_path / "1.h5"), contents(tmp_path / "101.h5"))


def test_nodes_rows_add_up_to_the_metrics(files):
    with h5py.File(files / "clip_then_top_k_per_layer-3.h5", "r") as file:
        nodes, metrics = file["nodes"], file["metrics"]
        assert set(nodes) == {"train_loss", "train_accuracy", "clip_active", "kept", "uplink_bits"}
        for name in nodes:
            assert nodes[name].shape == (6, 7)
            together = nodes[name][()].sum(axis=1) if name == "uplink_bits" else nodes[name][()].mean(axis=1)
            np.testing.assert_allclose(together, metrics[name][()], rtol=1e-12)
        assert len(np.unique(nodes["train_loss"][()])) == 6 * 7
