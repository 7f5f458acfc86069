"""`pmom advise`: its step size does not diverge, and ends within 4 times the best of a grid; what it says is so."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from pmom_mpi.analysis import read
from pmom_mpi.cli import main
from pmom_mpi.measure import constants
from pmom_mpi.measure.advise import advise
from pmom_mpi.runtime.experiment import run
from pmom_mpi.runtime.setting import ready
from pmom_mpi.words.errors import UserError

SMALL = ["iterations=200", "evaluate.every=0", "dtype=float64"]


def ends(config, step_size, place):
    run(config, [*SMALL, f"step_size={step_size!r}", "diagnostics.every=20"], output=place, overwrite=True)
    found = read.load(place)
    assert found.status in ("finished", "diverged")
    values = found.metrics["diag_value"][180] - found.facts["problem_minimum"]
    return float(values) if found.status == "finished" else float("inf")


@pytest.mark.parametrize("name", ["ridge", pytest.param("logistic-svmlight", marks=pytest.mark.slow)])
def test_a_proposal_is_within_4_times_the_best_of_a_grid(name, tmp_path):
    config = f"configs/problems/{name}.yaml"
    proposed = advise(config, SMALL).step_size
    grid = [ends(config, proposed * 4.0**power, tmp_path / "run.h5") for power in range(-2, 3)]
    assert np.isfinite(grid[2]) and grid[2] <= 4 * min(grid)


def test_curvatures_are_those_of_a_quadratic():
    raw = {
        "name": "q", "iterations": 1, "step_size": 0.1, "nodes": 3, "dtype": "float64",
        "problem": {"kind": "composite_regression", "dimension": 9, "outputs": 12, "inner_samples": 2},
    }  # fmt: skip
    setting = ready(raw)
    x = setting.problem.initial_point()
    L = setting.problem.smoothness
    assert constants.smoothness(setting, x) == (L, False)
    assert 0.95 * L <= constants.curvature(setting, x) <= 1.06 * L


def test_a_network_gets_an_estimate_and_a_policy_one_line():
    found = advise("quickstart", ["iterations=12", "problem.hidden=[8]", "data.nodes=2"], 6)
    assert found.estimated and found.smoothness > 0 and found.step_size > 0
    with pytest.raises(UserError, match="no exact gradient"):
        advise("cartpole")


def test_the_command(tmp_path):
    line = ["advise", "ridge", "-s", "iterations=20", "--iterations", "10", "-o", str(tmp_path / "c.yaml"), "--json"]
    done = CliRunner().invoke(main, line, catch_exceptions=False)
    found = json.loads(done.output)
    assert yaml.safe_load((tmp_path / "c.yaml").read_text())["step_size"] == found["step_size"]
    assert found["admissible"] > 0 and len(found["reasons"]) == 3
    assert {one["iterations"] for one in found["trials"]} == {10}
    assert "step_size:" in CliRunner().invoke(main, line[:-1], catch_exceptions=False).output
