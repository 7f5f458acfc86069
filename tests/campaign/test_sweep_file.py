"""Sweep files: what they mean, and one line where they mean nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import pmom_mpi
from pmom_mpi.analysis import published
from pmom_mpi.campaign import sweep_file
from pmom_mpi.campaign.identity import identity
from pmom_mpi.runtime.resume import differences
from pmom_mpi.words.errors import UserError

ROOT = Path(pmom_mpi.__file__).parents[1]
BASE = {
    "name": "small", "iterations": 4, "step_size": 0.1, "problem": {"kind": "softmax_regression"},
    "data": {"name": "digits", "nodes": 3},
    "momentum": {"kind": "ema", "beta": 0.1}, "bias": [{"kind": "top_k", "k": 5}],
}  # fmt: skip


@pytest.fixture
def load(tmp_path):
    def read(**sweep):
        path = tmp_path / "tune.yaml"
        path.write_text(yaml.safe_dump({"base": BASE} | sweep, sort_keys=False))
        return sweep_file.load(path, tmp_path / "out")

    return read


def test_axes_multiply_and_names_say_what_varies(load, tmp_path):
    sweep = load(
        variants={"method": {"dense": {"bias": []}, "sign": {"bias": [{"kind": "ef14"}, {"kind": "scaled_sign"}]}}},
        zip={"data.nodes": [3, 6], "gradient.batch": [8, "full"]},
        grid={"step_size": [0.1, 1e-5], "momentum": [{"kind": "ema", "beta": 0.5}, "sgd"]},
        seeds=2,
    )
    assert len(sweep.runs) == 2 * 2 * 4 * 2
    last = sweep.runs[-1]
    assert last.raw["bias"] == [{"kind": "ef14"}, {"kind": "scaled_sign"}]
    assert (last.raw["step_size"], last.raw["momentum"], last.raw["seed"]) == (1e-5, "sgd", 1)
    assert (last.raw["data"]["nodes"], last.raw["gradient"]) == (6, {"batch": "full"})
    assert last.stem == f"sign-nodes6-full-step_size1e-05-sgd-seed1-{last.identity[:8]}"
    assert last.raw["output"] == str(tmp_path / "out" / f"{last.stem}.h5") == str(sweep.file(last))
    assert len({run.stem for run in sweep.runs}) == len({run.identity for run in sweep.runs}) == len(sweep.runs)
    assert (sweep.name, sweep.variants) == ("tune", ("method",))


def test_exclusions_leave_out_what_matches_all_of_an_entry(load):
    sweep = load(grid={"step_size": [0.1, 0.2, 0.3], "momentum.beta": [1, 0.1]}, seeds=[3, 4],
                 exclude=[{"step_size": [0.1, 0.2], "momentum.beta": 1}, {"seed": 4, "step_size": 0.3}])  # fmt: skip
    kept = {(run.told["step_size"], run.told["momentum.beta"], run.seed) for run in sweep.runs}
    assert kept == {(0.1, 0.1, 3), (0.1, 0.1, 4), (0.2, 0.1, 3), (0.2, 0.1, 4), (0.3, 1, 3), (0.3, 0.1, 3)}


def test_a_base_is_a_file_seen_from_the_sweep_file(tmp_path):
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(BASE))
    (tmp_path / "sweeps").mkdir()
    path = tmp_path / "sweeps" / "tune.yaml"
    path.write_text("base: ../base.yaml\nseeds: 2\n")
    sweep = sweep_file.load(path)
    assert [run.seed for run in sweep.runs] == [0, 1]
    assert sweep.folder == Path("results/tune") and tmp_path in sweep.modules
    path.write_text("base: none.yaml\n")
    with pytest.raises(UserError, match=r"tune\.yaml: base: .*none\.yaml: cannot read the config"):
        sweep_file.load(path)


def test_a_base_is_a_ready_config_by_its_name_unless_a_file_beside_is_called_so(tmp_path):
    path = tmp_path / "tune.yaml"
    path.write_text("base: quickstart\n")
    assert sweep_file.load(path).runs[0].raw["problem"]["kind"] == "mlp"
    (tmp_path / "quickstart.yaml").write_text(yaml.safe_dump(BASE))
    assert sweep_file.load(path).runs[0].raw["problem"]["kind"] == "softmax_regression"


@pytest.mark.parametrize(
    ("sweep", "line"),
    [
        ({"gird": {}}, "gird: unknown key; did you mean 'grid'?"),
        ({"grid": {"step_size": 0.1}}, "grid.step_size: needs a list of values, not 0.1"),
        ({"grid": {"step_size": [0.1, -1]}}, "step_size-1: step_size: should be greater than 0, not -1"),
        ({"grid": {"momentum.bta": [1]}}, "bta1: momentum.bta: unknown key; did you mean 'beta'?"),
        ({"grid": {"bias.7.k": [1]}}, "bias.7.k: '7' is no position in a list of 1"),
        ({"grid": {"seed": [1]}}, "seed: seeds vary under seeds"),
        ({"grid": {"step_size": [1, 1.0]}}, "are the same run"),
        ({"zip": {"nodes": [1, 2], "step_size": [1]}}, "zip: all keys need equally many values"),
        ({"zip": {"step_size": [1]}, "grid": {"step_size": [2]}}, "step_size: is varied twice"),
        ({"variants": {"method": {"a": [1]}}}, "variants.method.a: needs a mapping of keys"),
        ({"variants": {"method": {}}}, "variants.method: needs at least one named variant"),
        ({"seeds": "0-4"}, "seeds: needs a list of numbers"),
        ({"seeds": []}, "seeds: needs a list of numbers"),
        ({"seeds": 2, "exclude": [{"step_size": 1}]}, "exclude.0.step_size: does not vary here; what does: seed"),
        ({"seeds": 2, "exclude": [{"seed": 7}]}, "exclude.0.seed: 7 is not among its values [0, 1]"),
        ({"seeds": 1, "exclude": [{"seed": 0}]}, "exclude: leaves no run"),
        ({"base": 3}, "base: needs the path of a config, the name of a ready one, or a config, not 3"),
    ],
)
def test_what_means_nothing_is_one_line(load, sweep, line):
    with pytest.raises(UserError) as error:
        load(**sweep)
    assert "tune.yaml: " in str(error.value) and line in str(error.value) and "\n" not in str(error.value)


def test_the_paper_as_a_sweep_is_the_published_runs():
    sweep = sweep_file.load(ROOT / "configs/sweeps/paper-mnist.yaml")
    assert len(sweep.runs) == 240
    here = {run.identity for run in sweep.runs if run.raw["step_size"] == 0.5}
    names = published.settings()
    assert here == {identity(published.config(name, seed, 200, "x.h5")) for name in names for seed in range(5)}


def test_an_identity_is_of_what_matters():
    same = [
        BASE | {"output": "other.h5", "name": "other", "record": {"nodes": True}, "checkpoint": {"every": 2}},
        BASE | {"seed": 0, "on_divergence": "stop", "momentum": {"beta": 0.10, "kind": "ema"}, "nodes": 3},
        BASE | {"bias": {"kind": "top_k", "k": 5}, "gradient": {"batch": "full"}, "step_size": "1e-1"},
    ]
    assert {identity(raw) for raw in same} == {identity(BASE)}
    other = [
        {"seed": 1},
        {"iterations": 5},
        {"bias": [{"kind": "top_k", "k": 6}]},
        {"momentum": "sgd"},
        {"dtype": "float64"},
    ]
    assert len({identity(BASE | change) for change in other} | {identity(BASE)}) == len(other) + 1


def test_what_an_identity_leaves_out_may_change_when_a_run_is_gone_on_with():
    changed = BASE | {"name": "other", "output": "other.h5", "checkpoint": {"every": 2}}
    changed |= {"record": {"flush_seconds": 3.0}}
    assert identity(changed) == identity(BASE) and list(differences(BASE, changed)) == []
    assert [key for key, *_ in differences(BASE, BASE | {"seed": 1})] == ["seed"]
