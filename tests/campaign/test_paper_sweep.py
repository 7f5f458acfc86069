"""The paper's sweep file beside the authors' published curves, and beside what pmom reproduce runs."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from pathlib import Path

import pytest

import pmom_mpi
from pmom_mpi.analysis import published
from pmom_mpi.campaign import sweep_file
from pmom_mpi.campaign.identity import identity

ROOT = Path(pmom_mpi.__file__).parents[1]
CURVES = ROOT.parent / "shared" / "reference" / "mnist_fcnn_published.csv.gz"
PARAMETERS = {"clip_norm": "tau", "top_k": "k"}


@pytest.fixture(scope="module")
def runs():
    return sweep_file.load(str(ROOT / "configs" / "sweeps" / "paper-mnist.yaml")).runs


@pytest.mark.skipif(not CURVES.exists(), reason=f"needs the authors' curves, {CURVES}")
def test_its_runs_with_step_size_half_are_those_whose_curves_were_published(runs):
    said = ("n_nodes", "step_size", "beta", "method", "parameter", "seed")
    with gzip.open(CURVES, "rt") as file:
        rows = Counter(tuple(row[name] for name in said) for row in csv.DictReader(file))
    theirs = {
        (int(nodes), float(size), float(beta), method, float(parameter or 0), int(seed)): count
        for (nodes, size, beta, method, parameter, seed), count in rows.items()
    }
    ours = {}
    for run in runs:
        (stage,) = run.raw["bias"]
        parameter = float(stage.get(PARAMETERS.get(stage["kind"], ""), 0))
        size, beta = float(run.raw["step_size"]), float(run.raw["momentum"]["beta"])
        key = (run.raw["data"]["nodes"], size, beta, stage["kind"], parameter, run.raw["seed"])
        ours[key] = run.raw["iterations"]
    assert len(runs) == len(ours) == 240
    assert {key: count for key, count in ours.items() if key[1] == 0.5} == theirs


def test_reproducing_runs_the_same(runs):
    ours = {run.identity for run in runs if run.raw["step_size"] == 0.5}
    configs = [published.config(name, seed, 200, "x.h5") for name in published.settings() for seed in range(5)]
    assert {identity(raw) for raw in configs} == ours
