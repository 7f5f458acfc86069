"""Every problem's own config in a real job of 3 ranks: it finishes, and what should fall falls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pmom_mpi.analysis.read import load

CONFIGS = Path(__file__).parents[2] / "configs" / "problems"
LINEAR = [
    ("least-squares", [], "train_suboptimality", 0.3),
    ("rank-deficient", [], "train_suboptimality", 0.3),
    ("ridge", [], "train_suboptimality", 0.6),
    ("logistic", ["problem.measure_every=5"], "train_suboptimality", 0.6),
    ("logistic-svmlight", [], "train_suboptimality", 0.6),
    ("nonconvex-logistic", [], "train_loss", 0.95),
    ("robust", [], "train_loss", 0.6),
    ("phase-retrieval", [], "train_distance", 0.5),
    ("order", ["problem.measure_every=5"], "train_suboptimality", 0.6),
]
NETWORKS = [("cnn", [], "train_loss", 0.5), ("softmax-regression", [], "train_loss", 0.5)]
COMPOSITES = [
    ("composite-regression", [], "train_suboptimality", 0.4),
    ("portfolio", ["problem.inner_samples=100"], "train_suboptimality", 0.4),
    ("maml-sines", ["evaluate.every=10", "problem.evaluation_tasks=100"], "test_loss_after_1", 0.9),
    (
        "maml-classes",
        ["data.name=digits", "evaluate.every=10", "problem.queries=5", "problem.evaluation_tasks=50"],
        "test_loss_after_10",
        0.95,
    ),
]
REINFORCEMENT = [
    ("cartpole", ["iterations=20"], "train_loss", 3),  # minus the return: from about -20 to below -60
    ("lqr", [], "test_suboptimality", 0.5),
]
PROBLEMS = [*LINEAR, *REINFORCEMENT, *NETWORKS, *COMPOSITES]
"""Config, overrides that make it short, a metric, and by which factor it falls."""


@pytest.mark.parametrize("name, overrides, metric, factor", PROBLEMS, ids=[problem[0] for problem in PROBLEMS])
def test_a_problem_on_3_ranks(mpirun, tmp_path, name, overrides, metric, factor):
    changes = [word for override in ("iterations=101", *overrides) for word in ("-s", override)]
    done = mpirun(3, ["run", str(CONFIGS / f"{name}.yaml"), "-o", str(tmp_path / "run.h5"), *changes])
    assert done.returncode == 0, done.stderr
    run = load(tmp_path / "run.h5")
    values = run.metrics[metric][np.isfinite(run.metrics[metric])]
    assert run.status == "finished" and run.facts["ranks"] == 3
    assert values[-1] < factor * values[0]


def test_constants_are_the_same_bits_on_any_number_of_ranks(mpirun, tmp_path):
    """x* is solved for on one rank, from all nodes' samples, of which the server of a job hosts none."""
    found = []
    for ranks in (1, 3):
        path = tmp_path / f"{ranks}.h5"
        words = ["run", str(CONFIGS / "logistic.yaml"), "-o", str(path), "-s", "iterations=5"]
        done = mpirun(ranks, words)
        assert done.returncode == 0, done.stderr
        run = load(path)
        constants = {name: value for name, value in run.facts.items() if name.startswith("problem_")}
        found.append((constants, run.metrics["train_suboptimality"].tobytes(), run.metrics["test_loss"].tobytes()))
    assert found[0] == found[1]
    assert set(found[0][0]) == {"problem_smoothness", "problem_pl_constant", "problem_minimum"}
