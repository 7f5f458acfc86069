"""The paper's own experiment equals the published curves, with the real data where it is present."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from pmom_mpi.analysis import published, read
from pmom_mpi.campaign import folder
from pmom_mpi.campaign.reproduce import Wanted
from pmom_mpi.cli import main
from pmom_mpi.runtime import experiment
from pmom_mpi.words.errors import UserError

LOSS_TOLERANCE, ACCURACY_TOLERANCE = 5e-5, 1e-3


def reproduced(place, *options):
    """What the command says; its runs are processes of their own."""
    done = CliRunner().invoke(main, ["reproduce", "mnist", "-o", str(place), *options])
    return done.exit_code, done.output


@pytest.mark.usefixtures("mnist")
def test_the_first_iterations_equal_the_published_ones(tmp_path):
    settings = ["top_k-67000-beta0.1", "clip_norm-1-beta0.1", "normalize-beta0.01"]
    options = [word for setting in settings for word in ("--setting", setting)]
    code, said = reproduced(tmp_path, *options, "--iterations", "2", "-j", "2")
    assert code == 0, said
    found = Wanted.of(settings, [0], 2, tmp_path).comparisons()
    assert [one.run.iterations for one in found] == [2, 2, 2]
    assert max(one.deviation["train_loss"] for one in found) <= LOSS_TOLERANCE
    assert max(one.deviation["test_accuracy"] for one in found) <= ACCURACY_TOLERANCE


@pytest.mark.slow
@pytest.mark.usefixtures("mnist")
def test_a_whole_published_run_over_mpi(tmp_path):
    code, said = reproduced(tmp_path, "--seeds", "0", "-n", "3")
    assert code == 0, said
    (found,) = Wanted.of(["top_k-67000-beta0.1"], [0], 200, tmp_path).comparisons()
    assert found.run.facts["ranks"] == 3
    assert found.deviation["train_loss"] <= LOSS_TOLERANCE
    assert found.deviation["test_accuracy"] <= ACCURACY_TOLERANCE


MODULE = """
import os, time
from pmom_mpi.problems.softmax_regression import SoftmaxRegression

class Held(SoftmaxRegression):
    def gradient(self, x, node, iteration, out):
        while iteration >= 5 and not os.path.exists(os.environ["PMOM_TEST_GO"]):
            time.sleep(0.05)
        return super().gradient(x, node, iteration, out)
"""


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The published settings of an experiment that takes no time, saved often, and waits in its midst for a file."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "held_parts.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "modules"), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PMOM_TEST_GO", str(tmp_path / "go"))
    experiment = {"step_size": 0.5, "problem": "held_parts:Held", "data": {"name": "digits", "nodes": 3}}
    monkeypatch.setitem(published.FIGURES, "mnist", replace(published.FIGURES["mnist"], experiment=experiment))
    monkeypatch.setattr(published, "CHECKPOINT_SECONDS", 1e-9)
    return tmp_path


def numbers(path):
    run = read.load(path)
    kept = (name for name in run.metrics if not name.startswith(("time_", "overhead")))
    return {name: run.metrics[name].tobytes() for name in kept} | {"x": run.model().tobytes(), "status": run.status}


def test_a_run_that_was_killed_goes_on_from_its_checkpoint_with_the_same_bits(small):
    options = ("--setting", "normalize-beta0.1", "--iterations", "9", "--seeds", "2")
    name = "normalize-beta0.1-seed2.h5"
    wanted = Wanted.of(["normalize-beta0.1"], [2], 9, small / "out")
    folder.write_configs(wanted.missing())
    command = [sys.executable, "-m", "pmom_mpi", "run", "--resume", str(small / "out" / name.replace(".h5", ".yaml"))]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list((small / "out").glob("*.checkpoint-000000004.h5")):  # it waits in iteration 5
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (small / "go").touch()
    code, said = reproduced(small / "out", *options)
    assert code == 0 and "ended  normalize-beta0.1-seed2: finished" in said, said
    went_on = read.load(small / "out" / name)
    assert any(event.what.startswith("resumed") and event.iteration >= 4 for event in went_on.events)
    assert reproduced(small / "whole", *options)[0] == 0
    assert numbers(small / "out" / name) == numbers(small / "whole" / name)

    changed = (small / "out" / name).stat().st_mtime_ns
    code, said = reproduced(small / "out", *options)  # nothing is left to do: only compared
    assert code == 0 and "normalize-beta0.1" in said and "begun" not in said
    code, _ = reproduced(small / "out", *options[:2], *options[4:], "--iterations", "6")
    assert code == 0 and (small / "out" / name).stat().st_mtime_ns == changed
    code, _ = reproduced(small / "out", *options[:2], *options[4:], "--iterations", "12")
    longer = read.load(small / "out" / name)
    assert code == 0 and longer.iterations == 12 and sum("resumed" in event.what for event in longer.events) == 2


def test_a_run_that_ended_early_and_was_not_saved_is_not_begun_again_unasked(small):
    (small / "go").touch()
    raw = published.config("none-beta1", 0, 2, str(small / "none-beta1-seed0.h5"))
    experiment.run(raw | {"checkpoint": {}})
    with pytest.raises(UserError, match=r"none-beta1-seed0.h5: finished after 2 iterations, with no checkpoint"):
        Wanted.of(["none-beta1"], [0], 3, small).missing()


def test_ranks_of_a_launcher_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PMI_SIZE", "3")
    monkeypatch.setenv("PMI_RANK", "0")
    code, said = reproduced(tmp_path, "--setting", "none-beta1")
    assert code == 2 and "starts the ranks of its runs by itself: -n 3" in said and not list(tmp_path.iterdir())


def test_published_curves_are_those_of_their_settings():
    """Seeds share their starting point, not their path; every setting's curve is another."""
    assert len(published.settings()) == 24
    starts = {published.curve(name, 3)["train_loss"][0] for name in published.settings()}
    assert max(starts) - min(starts) < 1e-4
    acting = [name for name in published.settings() if not name.startswith("clip_norm-5")]  # 5 is hardly ever reached
    ends = [published.curve(name, 3)["train_loss"][50] for name in acting]
    assert len(set(ends)) == len(acting)


@pytest.mark.parametrize("name", published.settings())
def test_a_setting_is_a_config_that_says_the_same(name):
    raw = published.config(name, 2, 10, "x.h5")
    assert name.startswith(raw["bias"][0]["kind"])
    assert raw["momentum"]["beta"] == float(name.rpartition("beta")[2])
    assert raw["seed"] == 2


def test_a_deviation_is_the_largest_difference():
    curve = published.curve("none-beta0.1", 0)
    moved = {name: values[:7].copy() for name, values in curve.items()}
    moved["train_loss"][3] += 0.25
    found = published.deviation(moved, "none-beta0.1", 0)
    assert found["train_loss"] == pytest.approx(0.25)
    assert found["test_accuracy"] == 0.0
    moved["test_loss"][5] = np.nan
    assert published.deviation(moved, "none-beta0.1", 0)["test_loss"] == np.inf


def test_a_run_that_is_there_counts_by_its_config_not_by_its_name(tmp_path):
    raw = published.config("none-beta1", 0, 2, str(tmp_path / "none-beta1-seed0.h5"))
    digits = {"data": {"name": "digits", "nodes": 3}, "problem": {"kind": "softmax_regression"}}
    experiment.run(raw | digits)
    with pytest.raises(UserError, match=r"none-beta1-seed0.h5: a run of another config than the published one; .*-o"):
        Wanted.of(["none-beta1"], [0], 2, tmp_path).missing()


def test_unknown_settings_and_seeds_are_named(tmp_path):
    with pytest.raises(
        UserError, match=r"--setting top-k\*: no published setting matches; known: clip_norm-1-beta0.01"
    ):
        Wanted.of(["top-k*"], [0], 1, tmp_path)
    with pytest.raises(UserError, match="published seeds are 0 to 4, not 7"):
        Wanted.of(["none-beta1"], [7], 1, tmp_path)
