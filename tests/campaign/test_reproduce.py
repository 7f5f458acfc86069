"""The paper's own experiment equals the published curves, with the real data where it is present."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from pmom_mpi.analysis import published
from pmom_mpi.campaign import reproduce
from pmom_mpi.campaign.identity import identity
from pmom_mpi.runtime import experiment
from pmom_mpi.words.errors import UserError

LOSS_TOLERANCE, ACCURACY_TOLERANCE = 5e-5, 1e-3


@pytest.mark.usefixtures("mnist")
@pytest.mark.parametrize("setting", ["top_k-67000-beta0.1", "clip_norm-1-beta0.1", "normalize-beta0.01"])
def test_the_first_iterations_equal_the_published_ones(tmp_path, setting):
    (found,) = reproduce.reproduce([setting], [0], 2, tmp_path, None)
    assert found.run.iterations == 2
    assert found.deviation["train_loss"] <= LOSS_TOLERANCE
    assert found.deviation["test_accuracy"] <= ACCURACY_TOLERANCE


@pytest.mark.slow
@pytest.mark.usefixtures("mnist")
def test_a_whole_published_run_over_mpi(mpirun, tmp_path):
    done = mpirun(3, ["reproduce", "mnist", "-o", str(tmp_path), "--seeds", "0"], timeout=900)
    assert done.returncode == 0, done.stderr
    (found,) = reproduce.reproduce(["top_k-67000-beta0.1"], [0], 200, tmp_path, None)
    assert found.deviation["train_loss"] <= LOSS_TOLERANCE
    assert found.deviation["test_accuracy"] <= ACCURACY_TOLERANCE


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
        reproduce.reproduce(["none-beta1"], [0], 2, tmp_path, None)


@pytest.fixture
def fashion(tmp_path, digits_run):
    """``fashion(config, values)``: a file in the folder that says it is the run of a config, with these metrics."""

    def make(raw, **values):
        path = Path(raw["output"])
        shutil.copy(digits_run, path)
        with h5py.File(path, "r+") as file:
            file.attrs["config"] = yaml.safe_dump(raw)
            for name, value in values.items():
                file["metrics"][name][:] = value
        return path

    return make


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    raw = published.config("clip_norm-1-beta0.1", 0, 2, str(tmp_path_factory.mktemp("digits") / "x.h5"))
    other = {"data": {"name": "digits", "nodes": 3}, "problem": {"kind": "softmax_regression"}}
    return experiment.run(raw | other).path


SETTING = "clip_norm-1-beta0.1"


def test_a_file_of_unflipped_test_images_is_not_taken_for_one_of_flipped_ones(tmp_path, fashion):
    pytest.importorskip("torch")
    name = f"fashion-{SETTING}-seed0.h5"  # as both were once called
    flipped, plain = (published.config(SETTING, 0, 2, str(tmp_path / name), "fashion", how) for how in (False, True))
    assert identity(flipped) != identity(plain)
    fashion(plain)
    with pytest.raises(UserError, match=f"{name}: a run of another config than the published one"):
        reproduce.reproduce([SETTING], [0], 2, tmp_path, None, "fashion")
    fashion(flipped)
    (found,) = reproduce.reproduce([SETTING], [0], 2, tmp_path, None, "fashion")
    assert found.run.path.name == name


def test_the_table_of_fashion_says_how_test_images_were_seen_and_what_is_too_far(tmp_path, fashion):
    pytest.importorskip("torch")
    band = published.band(SETTING, "test_loss", [0], "fashion", 2)
    means = {name: values[:2] for name, values in published.curve(SETTING, 0, "fashion").items()}
    for plain in (False, True):
        path = reproduce.Wanted(SETTING, 0, plain).path(tmp_path, "fashion")
        away = {"test_loss": band.mean + (3 if plain else 1) * (band.high - band.mean)}
        fashion(published.config(SETTING, 0, 2, str(path), "fashion", plain), **means | away)
    found = reproduce.reproduce([SETTING], [0], 2, tmp_path, None, "fashion", "both")
    columns = {str(column.header): list(column.cells) for column in reproduce.table(found).columns}
    assert columns["test images"] == ["flipped", "as they are"]
    assert columns["within 2 std"] == ["yes", "no: test_loss"]
    assert columns["test_loss / std"] == ["1.00", "3.00"] and columns["train_loss / std"] == ["0.00", "0.00"]


def test_unknown_settings_and_seeds_are_named(tmp_path):
    with pytest.raises(
        UserError, match=r"--setting top-k\*: no published setting matches; known: clip_norm-1-beta0.01"
    ):
        reproduce.reproduce(["top-k*"], [0], 1, tmp_path, None)
    with pytest.raises(UserError, match="published seeds are 0 to 4, not 7"):
        reproduce.reproduce(["none-beta1"], [7], 1, tmp_path, None)
