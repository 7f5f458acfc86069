"""The operators of examples/my_operators.py, as docs/extend.md tells users to write theirs."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from pmom_mpi.analysis import read
from pmom_mpi.measure.bias import measure
from pmom_mpi.runtime import setting as preparation
from pmom_mpi.words.errors import UserError

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "examples" / "my_operators.yaml"


def test_operators_of_ones_own_train_over_mpi_and_alone_with_the_same_bits(mpirun, tmp_path):
    for name in ("my_operators.py", "my_operators.yaml"):
        shutil.copy(CONFIG.with_name(name), tmp_path)
    runs = []
    for ranks in (1, 3):
        file = tmp_path / f"{ranks}.h5"
        done = mpirun(ranks, ["run", str(tmp_path / "my_operators.yaml"), "-o", str(file)])
        assert done.returncode == 0, done.stderr
        runs.append(read.load(file))
    for name in ("train_loss", "test_accuracy", "kept", "uplink_bits"):
        np.testing.assert_array_equal(*(run.metrics[name] for run in runs))
    metrics = runs[0].metrics
    assert (metrics["kept"] <= 500).all() and (metrics["uplink_bits"] < 4 * 500 * 32).all()
    assert metrics["train_loss"][-1] < 0.25 * metrics["train_loss"][0]
    assert metrics["test_accuracy"][-1] > 0.85


def test_its_bias_is_measured_like_that_of_any_other():
    found = {row.label: row for row in measure(CONFIG, nodes=2)}
    block = found["my_operators:BlockTop size 500"]
    assert block.kind == "contractive" and block.known.startswith("alpha 0.2")
    assert max(block.errors) <= 1 - float(block.known.split()[1])


@pytest.mark.parametrize(
    "override, words",
    [
        ("bias.2.size=0", r"bias\[2\]\.size: .*not 0"),
        ("bias.2.size=99999", r"BlockTop\.size: 99999 is more than d = 2410"),
        ("bias.2.length=3", r"bias\[2\]\.length: unknown key"),
        ("momentum.kind=my_operators:Momentum", "cannot import 'my_operators:Momentum'"),
    ],
)
def test_their_keys_are_checked_like_those_of_any_other(override, words):
    with pytest.raises(UserError, match=words):
        preparation.validate(CONFIG, [override])
