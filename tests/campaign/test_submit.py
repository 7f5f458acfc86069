"""Batch scripts; what a real Slurm makes of them is in tests/cluster/test_slurm.py."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner

from pmom_mpi.cli import main

MODULE = """
import dataclasses, time
from pmom_mpi.problems.softmax_regression import SoftmaxRegression

@dataclasses.dataclass
class Slow(SoftmaxRegression):
    seconds: float = 0.0

    def gradient(self, x, node, iteration, out):
        time.sleep(self.seconds)
        return super().gradient(x, node, iteration, out)
"""
BASE = {
    "name": "small", "iterations": 20, "step_size": 0.5, "problem": {"kind": "slow_parts:Slow"}, "momentum": "sgd",
    "data": {"name": "digits", "nodes": 2}, "evaluate": {"every": 5}, "record": {"flush_seconds": 0},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slow_parts.py").write_text(MODULE)
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(BASE))
    (tmp_path / "tune.yaml").write_text(yaml.safe_dump({"base": "small.yaml", "seeds": 3, "output": "out"}))
    return tmp_path


def pmom(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(words))
    return done.exit_code, done.output


def test_a_script_says_what_was_asked_for(folder):
    code, text = pmom(
        "submit", "small.yaml", "-s", "seed=3", "-s", "step_size=0.1", "--nodes", "2", "--ntasks-per-node", "4",
        "--time", "01:00:00", "--partition", "fast", "--requeue", "--option=--account=a b", "--dry-run",
    )  # fmt: skip
    assert code == 0
    for line in (
        "--nodes=2", "--ntasks-per-node=4", "--time=01:00:00", "--partition=fast", "--requeue", "--account=a b",
        "--signal=B:USR1@60", "--job-name=small",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in text
    run = 'pmom launch -n "$SLURM_NTASKS" small.yaml --resume -s seed=3 -s step_size=0.1 -o results/small-3.h5 &\n'
    assert run in text and "scontrol requeue" in text and "--array" not in text
    assert subprocess.run(["bash", "-n"], input=text, text=True).returncode == 0
    assert not (folder / "results").exists()


def test_a_sweep_is_an_array_over_what_is_not_complete(folder):
    assert pmom("sweep", "tune.yaml", "--dry-run")[0] == 0
    code, text = pmom("submit", "tune.yaml", "--ntasks-per-node", "4", "--array-limit", "2", "--dry-run")
    assert code == 0 and "#SBATCH --array=0-2%2\n" in text and "#SBATCH --no-requeue\n" in text
    assert 'pmom sweep tune.yaml -o out -j 1 -n "$SLURM_NTASKS" --no-wait &\n' in text
    assert "--time" not in text and "--partition" not in text and "scontrol" not in text
    assert subprocess.run(["bash", "-n"], input=text, text=True).returncode == 0
    subprocess.run([sys.executable, "-m", "pmom_mpi", "sweep", "tune.yaml", "-j", "3"], check=True, capture_output=True)
    code, text = pmom("submit", "tune.yaml", "--dry-run")
    assert code == 2 and "all of its 3 runs are complete" in text


def test_a_template_of_ones_own(folder):
    (folder / "mine").write_text("#!/bin/bash\n#SBATCH -n {{ nodes * ntasks_per_node }}\n{{ command }}\n")
    code, text = pmom("submit", "small.yaml", "--template", "mine", "--nodes", "3", "--dry-run")
    assert (code, text.splitlines()[1]) == (0, "#SBATCH -n 3")
    (folder / "mine").write_text("{{ nodse }}")
    assert pmom("submit", "small.yaml", "--template", "mine") == (2, "pmom: error: mine: 'nodse' is undefined\n")
    code, text = pmom("submit", "small.yaml", "--template", "none")
    assert code == 2 and text.startswith("pmom: error: --template none: cannot read it")


def test_what_cannot_be_submitted_is_one_line(folder, monkeypatch):
    code, text = pmom("submit", "tune.yaml", "-s", "seed=1")
    assert code == 2 and "-s seed=1: is for configs" in text
    assert pmom("submit", "small.yaml", "-s", "seed=-1")[0] == 2
    monkeypatch.setenv("PATH", str(folder))
    code, text = pmom("submit", "small.yaml")
    assert code == 2 and "there is no Slurm here; results/small-0.sbatch is written" in text
    assert (folder / "results/small-0.sbatch").exists()
    (folder / "results" / "jobs.json").write_text("{")
    code, text = pmom("status")
    assert code == 2 and "jobs.json: not a list of jobs" in text
