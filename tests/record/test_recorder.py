"""Run files survive: what was flushed is there after any kill, and nothing is replaced by accident."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest

from pmom_mpi.analysis import read
from pmom_mpi.record.columns import column
from pmom_mpi.record.recorder import Recorder
from pmom_mpi.words.errors import UserError

NAMES = ("iteration", "train_loss", "test_loss", "uplink_bits", "downlink_bits", "time_total")


def recorder(path, **changes) -> Recorder:
    arguments = {
        "config_text": "name: r\nseed: 0\niterations: 9\n", "metrics": {name: column(name) for name in NAMES},
        "dimension": 3, "dtype": "float32", "provenance": {"host": "here"}, "flush_seconds": 0.0,
    } | changes  # fmt: skip
    return Recorder(path, **arguments)


def row(k: int) -> dict[str, float]:
    return {"iteration": k, "train_loss": 1.0 / (k + 1), "uplink_bits": 2**40 + k}


def test_a_finished_file_holds_everything(tmp_path):
    path = tmp_path / "deep" / "run.h5"
    written = recorder(path, flush_seconds=100.0)
    for k in range(2500):
        written.append(row(k))
    written.finish("finished", np.array([1, 2, 3], np.float32))
    run = read.load(path)
    assert (run.status, run.iterations, run.name) == ("finished", 2500, "r")
    assert run.metrics["uplink_bits"][7] == 2**40 + 7
    assert np.isnan(run.metrics["test_loss"]).all()
    assert run.units["uplink_bits"] == "bit"
    assert run.model().tolist() == [1, 2, 3]
    assert run.provenance["host"] == "here"


def test_a_growing_file_can_be_read(tmp_path):
    written = recorder(tmp_path / "run.h5")
    written.append(row(0))
    assert read.load(tmp_path / "run.h5").iterations == 1
    written.append(row(1))
    run = read.load(tmp_path / "run.h5")
    assert (run.status, run.iterations) == ("running", 2)
    written.finish("finished")


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from test_recorder import recorder, row
written = recorder(sys.argv[1])
for k in range(40):
    written.append(row(k))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_writers_file_opens_and_holds_every_flushed_row(tmp_path):
    path = tmp_path / "run.h5"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), os.path.dirname(__file__)], timeout=60)
    assert done.returncode == -signal.SIGKILL
    run = read.load(path)
    assert run.status == "running"
    assert run.metrics["iteration"].tolist() == list(range(40))


def test_an_existing_file_stays_until_the_new_one_stands(tmp_path):
    path = tmp_path / "run.h5"
    recorder(path).finish("finished")
    with pytest.raises(UserError, match="--overwrite"):
        recorder(path)
    with pytest.raises(TypeError):
        recorder(path, overwrite=True, provenance={"bad": object()})
    assert read.load(path).status == "finished"
    recorder(path, overwrite=True).finish("interrupted")
    assert read.load(path).status == "interrupted"
    assert os.listdir(tmp_path) == ["run.h5"]


def test_an_unwritable_place_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write .*run.h5"):
        recorder(tmp_path / "file" / "run.h5")


@pytest.mark.parametrize(("content", "words"), [(b"no hdf5", "not an HDF5"), (None, "no such run file")])
def test_reading_what_is_no_run_file(tmp_path, content, words):
    path = tmp_path / "x.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=words):
        read.load(path)


def test_reading_somebody_elses_hdf5(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"] = 1
    with pytest.raises(UserError, match="not a run file"):
        read.load(tmp_path / "x.h5")
