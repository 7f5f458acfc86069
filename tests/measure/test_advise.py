"""`pmom advise`: its step size does not diverge, and ends within 4 times the best of a grid; what it says is so."""

from __future__ import annotations

import json
import re
import shlex

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from pmom_mpi.analysis import read
from pmom_mpi.cli import main
from pmom_mpi.commands import running
from pmom_mpi.commands.advise import _command, _other_beta
from pmom_mpi.measure import choices, constants
from pmom_mpi.measure.advise import advise
from pmom_mpi.method.momentum import EMA, SGD, HeavyBall
from pmom_mpi.runtime.experiment import run
from pmom_mpi.runtime.setting import ready
from pmom_mpi.runtime.source import Source
from pmom_mpi.theory.bias import Affine
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
    assert found["admissible"] > 0 and len(found["reasons"]) == 5
    assert {one["iterations"] for one in found["trials"]} == {10}
    said = CliRunner().invoke(main, line[:-1], catch_exceptions=False).output
    assert "step_size:" in said and f"\n    {found['command']}\n" in said
    for command in [found["command"], *re.findall(r"^ +(pmom run ridge .*momentum.*)$", said, re.M)]:
        given = running.run.make_context("run", shlex.split(command.removeprefix("pmom run "))).params
        tried = Source.read(given["config"], given["overrides"]).config()
        assert tried.step_size.value == float(f"{found['step_size']:.4g}") and tried.iterations == 20
    assert said.endswith(f"pmom run {line[line.index('-o') + 1]}\n")


def test_a_proposal_replaces_what_the_user_set_and_only_that():
    assert _command("a b.yaml", ["seed=3", "step_size=1"], "step_size=0.5", "momentum.beta=1") == (
        "pmom run 'a b.yaml' -s seed=3 -s step_size=0.5 -s momentum.beta=1"
    )
    assert _other_beta(EMA(0.1), 1.0) == "momentum.beta=1" and _other_beta(EMA(0.1), 0.1) is None
    assert _other_beta(SGD(), 0.1) == "momentum={kind: ema, beta: 0.1}" and _other_beta(HeavyBall(0.9), 0.1) is None


def test_where_the_config_cannot_go_is_said_before_the_trials(tmp_path):
    (tmp_path / "file").touch()
    done = CliRunner().invoke(main, ["advise", "cartpole", "-o", str(tmp_path / "file" / "c.yaml")])
    assert done.exit_code == 2 and "cannot write there" in done.output


def test_a_small_beta_is_for_noise_and_many_iterations():
    def chosen(sigma2, iterations):
        bias = Affine(0.0, 0.1)
        momenta = choices.momenta(bias, sigma2, 1.0, 0.1, gap=1.0, iterations=iterations)
        assert [one.gap is None or one.gap > 0 for one in momenta] == [True] * len(choices.BETAS)
        return choices.which_beta(momenta, 0.1, sigma2)

    assert chosen(0.0, 10**6)[0] == 1 and "no noise" in chosen(0.0, 10**6)[1]
    assert (
        chosen(1.0, 10**6)[0] == 0.01 and "0.103; beta = 1 0.6 with" in chosen(1.0, 10**6)[1]
    )  # docs/theory.md's table
    assert chosen(1.0, 5)[0] == 1 and "so few iterations" in chosen(1.0, 5)[1]


def test_predicted_floors_are_those_of_the_classes_constants():
    """Top-K drops 1 - alpha at most, so its floor is C / (1 - eps - B) with B = 1 - alpha."""
    setting = ready("ridge", ["dtype=float64"])
    found = {one.label: one for one in choices.operators(setting, setting.problem.initial_point(), 10.0, 0.1, 0)}
    assert found["none"].floor == 0 and found["none"].error == 0
    assert 0 < found["top_k 10 %"].error < 0.9 and found["top_k 10 %"].floor < found["top_k 1 %"].floor < np.inf
    words = choices.which_operator(list(found.values()))
    assert "none (" in words and "qsgd" in words and "rand_k" not in words


def test_noise_is_tried_at_the_whole_length_and_a_run_without_is_run_once():
    noisy = advise("order", ["iterations=100"])
    whole = [one for one in noisy.trials if one.iterations == 100]
    assert len(whole) >= 3 and min(whole, key=lambda one: one.value).step_size == noisy.step_size
    quiet = advise("ridge", ["iterations=100"])
    assert [one.iterations for one in quiet.trials].count(100) == 1 and quiet.beta == 1


def test_what_random_operators_add_is_noise_and_not_bias():
    """qsgd is unbiased: its error is noise, that of Top-K is bias; error feedback cannot be drawn again."""
    few = ["iterations=60", "dtype=float64", "data.nodes=5"]
    found = {bias: advise("ridge", [*few, f"bias={bias}"], 30) for bias in ("none", "[qsgd]", "[{kind: top_k, k: 16}]")}
    none, quantized, top = found.values()
    assert (none.bias, none.noise) == (0, 0) and "no noise" in none.reasons[3]
    assert quantized.noise > 40 * quantized.bias and "of the error" in quantized.reasons[3]
    assert "8 repeated draws" in quantized.reasons[0] and quantized.B < 0.1
    assert top.noise == 0 < top.bias and top.beta == 1
    floors = [one.floor for one in quantized.momenta]
    assert floors == sorted(floors, reverse=True) and all(one.sgd <= one.floor for one in quantized.momenta)
    fed_back = advise("ridge", [*few, "bias=[ef14, qsgd]"], 20)
    assert fed_back.noise == 0 < fed_back.bias and "stages remember" in fed_back.reasons[0]


def test_relative_noise_asks_for_a_smaller_step():
    """An unbiased operator with omega / n = 20: kappa M < 1 where gamma L is below 1/20 or so."""
    limit, floor = choices.admissible(Affine(0.0, 0.0), 1.0, 20.0, 2.0, 1.0)
    assert limit == pytest.approx(1 / 40, rel=1e-3) and floor == pytest.approx(0.025 / 0.5, rel=1e-2)
    assert all(
        one.floor < np.inf for one in choices.momenta(Affine(0.0, 0.1), 1.0, 1.0, 0.5, gap=1, iterations=9, M=20)
    )
