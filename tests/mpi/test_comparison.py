"""The classical comparison, short, on the embedded digits: every config of configs/compare as a real job."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from pmom_mpi.analysis import comparison, read

ROOT = Path(__file__).parent.parent.parent
CONFIGS = sorted((ROOT / "configs" / "compare").glob("*.yaml"))
SHORT = ["data.name=digits", "problem.hidden=[16]", "iterations=12", "evaluate.every=4", "gradient.batch=16"]


@pytest.fixture(scope="module")
def files(mpirun, tmp_path_factory):
    """Everything on 3 ranks; what a second call prints, and the files it leaves."""
    folder = tmp_path_factory.mktemp("compare")
    overrides = [word for change in SHORT for word in ("-s", change)]
    program = [sys.executable, str(ROOT / "benchmarks" / "comparison.py"), "--seeds", "3", *overrides]
    done = mpirun(3, [*program, "-o", str(folder)], module=False)
    assert done.returncode == 0, done.stderr
    written = {path: path.stat().st_mtime_ns for path in folder.glob("*.h5")}
    again = subprocess.run([*program, "-o", str(folder)], capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.h5")} == written
    return folder, again.stdout


def test_the_family_differs_in_the_method_only():
    shared = [yaml.safe_load(path.read_text()) for path in CONFIGS]
    for raw in shared:
        if raw["name"] == "sign-ef14":  # see docs/comparison.md
            raw["step_size"] *= 4
        for key in ("name", "momentum", "bias"):
            del raw[key]
    assert len(shared) == 7
    assert all(raw == shared[0] for raw in shared)


def test_every_method_runs_with_both_betas(files):
    folder, printed = files
    assert {path.name for path in folder.glob("*.h5")} == {
        f"{config.stem}-beta{beta}-3.h5" for config in CONFIGS for beta in ("0.1", "1")
    }
    for config in CONFIGS:
        assert config.stem in printed
    assert (folder / "comparison.png").stat().st_size > 20_000


def test_plotted_bits_are_those_of_the_run_files(files):
    for path in files[0].glob("*.h5"):
        run = read.load(path)
        with h5py.File(path, "r") as file:
            bits, accuracy = file["metrics/uplink_bits"][()], file["metrics/test_accuracy"][()]
        iterations, sent, values = comparison.curve(run, "test_accuracy")
        assert iterations.tolist() == [4, 8, 12]
        assert sent.tolist() == [bits[:k].sum() / 10 for k in (4, 8, 12)]  # 10 nodes
        assert values.tolist() == accuracy[[3, 7, 11]].tolist()
        assert comparison.bits_to_reach(run, values.max()) == sent[np.argmax(values)]
        assert np.isnan(comparison.bits_to_reach(run, 1.1))
        assert comparison.curve(run, "train_loss")[1].tolist() == [bits[:k].sum() / 10 for k in range(12)]


def test_beta_is_the_nodes_where_they_have_one(files):
    runs = [read.load(path) for path in sorted(files[0].glob("*.h5"))]
    found = comparison.methods([*runs, *runs])
    assert [(method.beta, len(method.runs)) for method in found] == 7 * [(0.1, 2), (1.0, 2)]
    sgdm = next(method for method in found if method.name == "ef21-sgdm").runs[0].config
    assert (sgdm["momentum"], sgdm["bias"][0]["beta"]) == ("sgd", 0.1)


def test_running_mean_of_the_last_values():
    values = np.arange(60.0)
    expected = [values[max(0, k - comparison.WINDOW + 1) : k + 1].mean() for k in range(60)]
    assert comparison._running_mean(values) == pytest.approx(expected)
