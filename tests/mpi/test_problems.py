"""Every problem's own config in a real job of 3 ranks: it finishes, and what should fall falls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pmom_mpi.analysis.read import load
from pmom_mpi.runtime import experiment

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


@pytest.fixture(scope="module")
def files(several, tmp_path_factory):
    """The folder with every problem's run file, of one job; and the one of `test_constants`."""
    folder = tmp_path_factory.mktemp("problems")
    runs = [
        (CONFIGS / f"{name}.yaml", ["iterations=101", *changes], folder / f"{name}.h5")
        for name, changes, *_ in PROBLEMS
    ]
    several(3, [*runs, (CONFIGS / "logistic.yaml", ["iterations=5"], folder / "constants.h5")])
    return folder


@pytest.mark.parametrize("name, overrides, metric, factor", PROBLEMS, ids=[problem[0] for problem in PROBLEMS])
def test_a_problem_on_3_ranks(files, name, overrides, metric, factor):
    run = load(files / f"{name}.h5")
    values = run.metrics[metric][np.isfinite(run.metrics[metric])]
    assert run.status == "finished" and run.facts["ranks"] == 3
    assert values[-1] < factor * values[0]


def test_constants_are_the_same_bits_on_any_number_of_ranks(files, tmp_path):
    """x* is solved for on one rank, from all nodes' samples, of which the server of a job hosts none."""
    experiment.run(CONFIGS / "logistic.yaml", ["iterations=5"], tmp_path / "alone.h5")
    found = []
    for path in (tmp_path / "alone.h5", files / "constants.h5"):
        run = load(path)
        constants = {name: value for name, value in run.facts.items() if name.startswith("problem_")}
        found.append((constants, run.metrics["train_suboptimality"].tobytes(), run.metrics["test_loss"].tobytes()))
    assert found[0] == found[1]
    assert set(found[0][0]) == {"problem_smoothness", "problem_pl_constant", "problem_minimum"}
