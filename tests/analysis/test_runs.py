"""Many runs: chosen, together, on common axes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import yaml

import pmom_mpi
from pmom_mpi.analysis import frames
from pmom_mpi.campaign.opening import open_runs

BASE = {
    "name": "many", "iterations": 6, "step_size": 0.3, "momentum": {"kind": "ema", "beta": 0.5},
    "problem": {"kind": "softmax_regression"}, "data": {"name": "digits", "nodes": 2}, "record": {"nodes": True},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two betas and two seeds."""
    place = tmp_path_factory.mktemp("many")
    for beta in (0.5, 1.0):
        for seed in (0, 1):
            raw = BASE | {"seed": seed, "momentum": {"kind": "ema", "beta": beta}}
            pmom_mpi.run(raw, output=place / f"{beta}-{seed}.h5")
    return place


def test_runs_are_chosen_by_keys_of_their_configs(folder):
    runs = open_runs(folder)
    assert runs.axes == {"momentum.beta": [0.5, 1.0], "seed": [0, 1]}
    chosen = runs.select({"momentum.beta": "1e0", "seed": [1, 2]})
    assert [run.path.stem for run in chosen] == ["1.0-1"]
    with pytest.raises(pmom_mpi.UserError, match="did you mean momentum.beta"):
        runs.select({"momentum.bet": 1})
    with pytest.raises(pmom_mpi.UserError, match="there are 0.5, 1.0"):
        runs.select({"momentum.beta": 0.7})
    assert {value: len(part) for value, part in runs.by("momentum.beta").items()} == {0.5: 2, 1.0: 2}
    best = runs.best("momentum.beta", "train_loss")
    last = {
        beta: np.mean([run.metrics["train_loss"][-1] for run in part])
        for beta, part in runs.by("momentum.beta").items()
    }
    assert best.axes.keys() == {"seed"} and best[0].config["momentum"]["beta"] == min(last, key=last.get)


def test_bands_interpolate_within_the_range_of_all(folder):
    one, two = open_runs(folder).select({"momentum.beta": 1}).runs
    slow = replace(two, metrics={**two.metrics, "time_total": np.full(6, 2.0), "train_loss": np.arange(6.0)})
    fast = replace(one, metrics={**one.metrics, "time_total": np.full(6, 1.0), "train_loss": np.arange(6.0)})
    found = pmom_mpi.Runs((slow, fast)).band("train_loss", "seconds")
    assert found.places.tolist() == [0, 1, 2, 3, 4, 5] and found.alive.tolist() == [2] * 6
    assert found.mean == pytest.approx(0.75 * np.arange(6)) and found.low == pytest.approx(0.5 * np.arange(6))
    assert found.std == pytest.approx(np.arange(6) * 0.5 / np.sqrt(2))


def test_a_target_is_reached_in_iterations_bits_and_seconds(folder):
    run = open_runs(folder)[0]
    loss = run.metrics["train_loss"][3]
    found = run.to_target("train_loss", loss)
    assert found.iterations == 3 and found.uplink == run.metrics["uplink_bits"][:3].sum()
    assert found.seconds == run.metrics["time_total"][:3].sum() and np.isnan(run.to_target("train_loss", -1).bits)


def test_frames_have_the_axes(folder):
    pytest.importorskip("pandas")
    pytest.importorskip("xarray")
    runs = open_runs(folder)
    block = runs.to_xarray()
    assert dict(block.train_loss.sizes) == {"momentum.beta": 2, "seed": 2, "iteration": 6}
    chosen = block.train_loss.sel({"momentum.beta": 1.0, "seed": 1})
    assert chosen.values.tolist() == runs.select({"momentum.beta": 1, "seed": 1})[0].metrics["train_loss"].tolist()
    assert block.uplink_bits.attrs["units"] == "bit"
    assert runs.to_pandas().loc[(1.0, 1, 5), "train_loss"] == chosen.values[5]
    one = runs[0].to_xarray()
    assert dict(one.node_train_loss.sizes) == {"iteration": 6, "node": 2}
    assert one.node_train_loss.mean("node").values == pytest.approx(one.train_loss.values)


def test_a_block_that_would_be_nearly_all_empty_is_refused(folder):
    pytest.importorskip("xarray")
    runs = open_runs(folder).runs
    axes = {f"key{place}": list(range(len(runs))) for place in range(12)}
    with pytest.raises(pmom_mpi.UserError, match=r"4 runs that differ in 12 keys make a block of .* GB, .*to_pandas"):
        frames.datasets(runs, [dict.fromkeys(axes, place) for place in range(len(runs))], axes)


def test_a_run_is_what_it_was_when_it_was_opened(folder, tmp_path):
    path = tmp_path / "run.h5"
    pmom_mpi.run(BASE, output=path)
    old = pmom_mpi.open_run(path)
    pmom_mpi.run(BASE, output=path, overwrite=True)
    with pytest.raises(pmom_mpi.UserError, match="open it again"):
        old.metrics["train_loss"]


def test_runs_of_a_sweep_know_its_axes(tmp_path):
    sweep = {
        "name": "tiny", "base": BASE | {"iterations": 2}, "output": str(tmp_path / "out"), "seeds": 2,
        "variants": {"method": {"none": None, "top": {"bias": [{"kind": "top_k", "k": 9}]}}},
    }  # fmt: skip
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(sweep))
    from pmom_mpi.campaign import sweep_file

    for planned in sweep_file.load(path).runs[:3]:
        pmom_mpi.run(planned.raw)
    runs = open_runs(path)
    assert runs.axes == {"method": ["none", "top"], "seed": [0, 1]} and len(runs.select({"method": "none"})) == 2
