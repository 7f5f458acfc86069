"""Where a run left the numbers is said and recorded."""

from __future__ import annotations

import pytest
import yaml

from pmom_mpi.analysis import read
from pmom_mpi.runtime import experiment

PARTS = """
import dataclasses
import numpy as np
from pmom_mpi.problems.softmax_regression import SoftmaxRegression

@dataclasses.dataclass
class Breaking(SoftmaxRegression):
    how: str = "loss"

    def gradient(self, x, node, iteration, out):
        metrics = super().gradient(x, node, iteration, out)
        if iteration == 4 and node in (2, 3):
            if self.how == "loss":
                return (np.inf, *metrics[1:])
            out[7] = {"gradient": np.nan, "sum": 3e38, "step": 1e38}[self.how]
        return metrics
"""

CASES = {
    "loss": ({}, "gradient: train_loss of node 2 is inf, the first of 2 of 5 nodes", 4),
    "gradient": ({}, "sum: 1 of 650 coordinates of g^4 are not finite, though every node's train_loss is", 4),
    "sum": ({}, "sum: 1 of 650 coordinates of g^4 are not finite, though every node's train_loss is", 4),
    "step": ({"step_size": 100}, "step: x^5 is not finite, the step before went too far", 5),
}


@pytest.fixture
def breaking(tmp_path, monkeypatch):
    (tmp_path / "breaking.py").write_text(PARTS)

    def write(how, **changes):
        raw = {
            "name": "breaks", "iterations": 8, "step_size": 0.1, "data": {"name": "digits", "nodes": 5},
            "problem": {"kind": "breaking:Breaking", "how": how}, "output": str(tmp_path / "breaks.h5"),
        } | changes  # fmt: skip
        path = tmp_path / "breaks.yaml"
        path.write_text(yaml.safe_dump(raw))
        return path

    return write


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("how", ["loss", "gradient", "sum", "step"])
def test_the_first_that_is_not_finite_is_named(breaking, tmp_path, capfd, how):
    changes, words, iteration = CASES[how]
    result = experiment.run(breaking(how, **changes))
    assert result.status == "diverged" and result.exit_code == 3
    run = read.load(tmp_path / "breaks.h5")
    assert run.attributes["message"].startswith(f"iteration {iteration}: {words}")
    [event] = run.events
    assert event.iteration == iteration and event.what.startswith(words)
    assert event.rank == (0 if how == "loss" else -1)
    assert capfd.readouterr().err.count(f"pmom: iteration {iteration}: {words}") == 1


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_run_that_goes_on_tells_it_once(breaking, tmp_path):
    assert experiment.run(breaking("loss", on_divergence="continue")).exit_code == 0
    run = read.load(tmp_path / "breaks.h5")
    assert run.iterations == 8 and [event.iteration for event in run.events] == [4]


def test_the_rank_of_the_node_is_named_in_a_job(breaking, tmp_path, mpirun):
    done = mpirun(3, ["run", str(breaking("loss"))])
    assert done.returncode == 3 and done.stderr.count("gradient: train_loss of node 2 is inf") == 1, done.stderr
    [event] = read.load(tmp_path / "breaks.h5").events
    assert event.rank == 1 and event.host
