"""Every example passes pmom check-problem and runs on three ranks."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from pmom_mpi.analysis import read
from pmom_mpi.cli import main

EXAMPLES = Path(__file__).parents[1] / "examples"


def ends(config, mpirun, tmp_path, *overrides):
    """The last row of a checked example's run on three ranks."""
    checked = CliRunner().invoke(main, ["check-problem", str(config)])
    assert checked.exit_code == 0, checked.output
    done = mpirun(3, ["run", str(config), "-o", str(tmp_path / "run.h5"), *overrides])
    assert done.returncode == 0, done.stderr
    run = read.load(tmp_path / "run.h5")
    return {name: values[-1] for name, values in run.metrics.items()}


def test_numpy_example_finds_the_source(mpirun, tmp_path):
    assert ends(EXAMPLES / "localization.yaml", mpirun, tmp_path)["test_distance"] < 0.02


def test_numba_example_learns_digits(mpirun, tmp_path):
    assert ends(EXAMPLES / "squared_hinge.yaml", mpirun, tmp_path)["test_accuracy"] > 0.8


def test_torch_example_learns_digits(mpirun, tmp_path):
    pytest.importorskip("torch")
    row = ends(EXAMPLES / "convnet.yaml", mpirun, tmp_path, "-s", "iterations=40")
    assert row["test_accuracy"] > 0.5 and row["train_loss"] < 1.5


def test_every_example_is_tested():
    elsewhere = {"my_operators"}  # tests/test_extend.py
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} == {"localization", "squared_hinge", "convnet"} | elsewhere
