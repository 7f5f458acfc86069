"""`pmom run --check-determinism`: what is not the same twice is named, and what is leaves no trace in the run."""

from __future__ import annotations

import os

import pytest
import yaml
from test_same_bits import assert_same_bits, contents

from pmom_mpi.runtime import experiment
from pmom_mpi.words.errors import UserError

PARTS = """
import dataclasses, itertools
import numpy as np
from pmom_mpi.method.momentum import EMA
from pmom_mpi.bias.noise import GaussianNoise
from pmom_mpi.problems.softmax_regression import SoftmaxRegression

CALLS = itertools.count(1)

@dataclasses.dataclass
class DrawnAnew(SoftmaxRegression):
    node: int = 3
    first: int = 0

    def gradient(self, x, node, iteration, out):
        found = super().gradient(x, node, iteration, out)
        if node == self.node and iteration >= self.first:
            out[7] += np.float32(1e-6 * next(CALLS))
        return found

@dataclasses.dataclass(frozen=True)
class Noise(GaussianNoise):
    def apply(self, gradient, step):
        if step.node == 4:
            gradient[0] += np.float32(next(CALLS))
        return super().apply(gradient, step)

@dataclasses.dataclass(frozen=True)
class Momentum(EMA):
    def step(self, x, g, memory, step_size, iteration):
        super().step(x, g, memory, step_size, iteration)
        if iteration:
            x[0] += np.float32(1e-3 * next(CALLS))
"""
RAW = {
    "name": "twice", "iterations": 4, "step_size": 0.1, "momentum": {"kind": "ema", "beta": 0.5},
    "problem": {"kind": "softmax_regression"}, "data": {"name": "digits", "nodes": 6},
    "bias": [{"kind": "ef21_sgdm", "beta": 0.5}, {"kind": "top_k", "k": 20}], "gradient": {"batch": 16},
    "downlink": [{"kind": "top_k", "k": 60}], "evaluate": {"every": 2},
}  # fmt: skip
PLANTED = {
    "a gradient": (
        {"problem": {"kind": "twice_parts:DrawnAnew"}},
        "iteration 0 first differs in the gradient of node 3",
    ),
    "a later gradient": (
        {"problem": {"kind": "twice_parts:DrawnAnew", "first": 1}},
        "iteration 1 first differs in the gradient of node 3",
    ),
    "a bias": (
        {"bias": [{"kind": "twice_parts:Noise", "sigma": 0.01}]},
        "iteration 0 first differs in the bias of node 4",
    ),
    "a step": (
        {"momentum": {"kind": "twice_parts:Momentum", "beta": 0.5}}, "iteration 1 first differs in the step: x",
    ),
}  # fmt: skip


@pytest.fixture
def config(tmp_path):
    (tmp_path / "twice_parts.py").write_text(PARTS)

    def write(changes):
        path = tmp_path / "twice.yaml"
        path.write_text(yaml.safe_dump(RAW | changes | {"output": str(tmp_path / "twice.h5")}))
        return path

    return write


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_not_the_same_twice_is_named(config, tmp_path, name):
    changes, words = PLANTED[name]
    with pytest.raises(UserError, match=f"twice.yaml: not deterministic: run twice, {words}"):
        experiment.run(config(changes), check_determinism=True)
    assert not (tmp_path / "twice.h5").exists()


def test_also_on_a_worker_of_a_job(mpirun, config, tmp_path):
    changes, words = PLANTED["a gradient"]
    done = mpirun(3, ["run", "--check-determinism", str(config(changes))])
    lines = [line for line in done.stderr.splitlines() if "not deterministic" in line]
    assert done.returncode == 2 and len(lines) == 1, done.stderr
    assert words in lines[0] and lines[0].endswith(f"(rank 2 on {os.uname().nodename})")
    assert not (tmp_path / "twice.h5").exists()


def test_a_check_leaves_the_run_as_it_is(mpirun, config, tmp_path, capfd):
    path = config({})
    experiment.run(path, output=tmp_path / "alone.h5")
    experiment.run(path, output=tmp_path / "checked.h5", check_determinism=True)
    assert "determinism: 2 iterations run twice gave the same bits" in capfd.readouterr().err
    done = mpirun(3, ["run", "--check-determinism", "-q", str(path)])
    assert done.returncode == 0 and "gave the same bits" in done.stderr, done.stderr
    for name in ("checked.h5", "twice.h5"):
        assert_same_bits(contents(tmp_path / name), contents(tmp_path / "alone.h5"))
