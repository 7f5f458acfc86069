"""Run files survive: what was flushed is there after any kill, and nothing is replaced by accident."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from pmom_mpi.analysis import read
from pmom_mpi.method.ledger import columns
from pmom_mpi.problems.metrics import ACCURACY, LOSS
from pmom_mpi.record.recorder import Recorder
from pmom_mpi.words.errors import UserError
from pmom_mpi.words.report import Metric, Schema

METRICS = columns(Schema((LOSS, ACCURACY), (), (LOSS,)))
EACH = (Metric("train_loss", "loss of every node"),)


FACTS = {"nodes": 4, "speed": 1.5, "nodes_per_worker": np.array([2, 2])}


def recorder(path, **changes) -> Recorder:
    arguments = {
        "config_text": "name: r\nseed: 0\niterations: 9\n", "metrics": METRICS,
        "dimension": 3, "dtype": "float32", "provenance": {"host": "here"}, "facts": FACTS, "flush_seconds": 0.0,
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
    assert run.described == {metric.name: metric for metric in METRICS} and list(run.described) == list(run.metrics)
    assert run.model().tolist() == [1, 2, 3]
    assert run.provenance["host"] == "here"
    assert run.facts.pop("nodes_per_worker").tolist() == [2, 2]
    assert run.facts == {"nodes": 4, "speed": 1.5} and type(run.facts["nodes"]) is int


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
    assert run.status == "killed after 40 of 9 iterations"
    assert run.metrics["iteration"].tolist() == list(range(40))


def test_values_of_nodes_and_workers_are_kept_as_they_were(tmp_path):
    seconds = (Metric("gradient", "computing gradients", "s"),)
    written = recorder(tmp_path / "run.h5", node_metrics=EACH, nodes=4, worker_metrics=seconds, workers=2)
    used_again = np.zeros(4)
    for k in range(3):
        used_again[:] = [k, k, k, 9]
        written.append(row(k), {"train_loss": used_again}, {"gradient": used_again[2:]})
    written.append(row(3))
    written.finish("finished")
    run = read.load(tmp_path / "run.h5")
    assert (
        run.workers["gradient"][:3].tolist() == [[0, 9], [1, 9], [2, 9]] and np.isnan(run.workers["gradient"][3]).all()
    )
    with h5py.File(tmp_path / "run.h5") as file:
        assert file["nodes/train_loss"][2].tolist() == [2, 2, 2, 9]
        assert file["workers/gradient"].attrs["unit"] == "s"


def scales(dataset) -> list[tuple[str, list[int]]]:
    """What lies along each dimension: a name, and its values."""
    return [(name, scale[:].tolist()) for dim in dataset.dims for name, scale in dim.items()]


def test_dimension_scales_say_along_what_data_lie(tmp_path):
    """While the file grows, at its end, and when a run goes on with more workers."""
    path, seconds = tmp_path / "run.h5", (Metric("gradient", "computing gradients", "s"),)
    written = recorder(path, node_metrics=EACH, nodes=4, worker_metrics=seconds, workers=2)
    for k in range(3):
        written.append(row(k))
    with h5py.File(path, swmr=True) as file:
        assert scales(file["nodes/train_loss"]) == [("iteration", [0, 1, 2]), ("node", [0, 1, 2, 3])]
    written.finish("interrupted")
    written = Recorder.reopen(path, 2, flush_seconds=0.0, workers=3)
    written.append(row(2))
    written.append(row(3))
    written.finish("finished")
    with h5py.File(path) as file:
        assert scales(file["workers/gradient"]) == [("iteration", [0, 1, 2, 3]), ("worker", [1, 2, 3])]
        assert scales(file["metrics/train_loss"]) == [("iteration", [0, 1, 2, 3])]


def test_events_are_there_at_once(tmp_path):
    written = recorder(tmp_path / "run.h5", flush_seconds=1e9)
    written.append(row(0))
    written.event(0, "worker lost: \u00fc" + "x" * 500, rank=2, host="node-7")
    run = read.load(tmp_path / "run.h5")
    assert run.iterations == 0 and len(run.events) == 1
    lost = run.events[0]
    assert (lost.iteration, lost.rank, lost.host) == (0, 2, "node-7") and abs(lost.time - time.time()) < 60
    assert lost.what.startswith("worker lost: \u00fcxxx") and len(lost.what.encode()) == 200
    written.event(3, "goes on")
    written.finish("finished")
    assert [(event.what, event.rank) for event in read.load(tmp_path / "run.h5").events[1:]] == [("goes on", -1)]


@pytest.mark.parametrize("how", ["finished", "killed", "failed"])
def test_a_reopened_file_goes_on_as_if_nothing_had_been(tmp_path, how):
    path = tmp_path / "run.h5"
    if how == "killed":
        subprocess.run([sys.executable, "-c", KILLED, str(path), os.path.dirname(__file__)], timeout=60)
    else:
        with recorder(path, node_metrics=EACH, nodes=4) as written:
            for k in range(40):
                written.append(row(k) | {"train_loss": -1.0 if k >= 25 else 1 / (k + 1)}, {"train_loss": np.full(4, k)})
            written.event(25, "before")
            written.finish(how, np.ones(3), message="broken" if how == "failed" else "")
    again = Recorder.reopen(path, 25, flush_seconds=0.0)
    run = read.load(path)
    assert (run.status, run.iterations) == ("running", 25)
    assert np.isnan(run.model()).all() and not {"ended", "message", "iterations"} & set(run.attributes)
    again.event(25, "resumed")
    for k in range(25, 60):
        again.append(row(k), {"train_loss": np.full(4, k)})
    assert read.load(path).iterations == 60
    again.finish("finished", np.array([1, 2, 3], np.float32))
    run = read.load(path)
    assert run.metrics["iteration"].tolist() == list(range(60))
    assert run.metrics["train_loss"].tolist() == [1 / (k + 1) for k in range(60)]
    assert (run.status, run.model().tolist(), run.facts["speed"]) == ("finished", [1, 2, 3], 1.5)
    assert [event.what for event in run.events] == (["resumed"] if how == "killed" else ["before", "resumed"])
    if how != "killed":
        with h5py.File(path) as file:
            assert file["nodes/train_loss"][:, 1].tolist() == list(range(60))


KILLED_AGAIN = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from test_recorder import Recorder, row
written = Recorder.reopen(sys.argv[1], 2, flush_seconds=0.0)
for k in range(2, 7):
    written.append(row(k))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_reopened_file_survives_a_kill_too(tmp_path):
    path = tmp_path / "run.h5"
    with recorder(path) as written:
        for k in range(5):
            written.append(row(k))
    subprocess.run([sys.executable, "-c", KILLED_AGAIN, str(path), os.path.dirname(__file__)], timeout=60)
    run = read.load(path)
    assert run.status == "killed after 7 of 9 iterations" and run.metrics["iteration"].tolist() == list(range(7))
    Recorder.reopen(path, 7).finish("finished")
    assert read.load(path).iterations == 7 and os.listdir(tmp_path) == ["run.h5"]


def test_a_torn_event_shifts_no_other(tmp_path):
    """A kill between the parts of an event leaves some of its data sets longer than others."""
    path = tmp_path / "run.h5"
    with recorder(path) as written:
        written.event(1, "whole", rank=1)
    with h5py.File(path, "r+") as file:
        for name in ("iteration", "what"):
            file["events"][name].resize(2, axis=0)
    assert [event.what for event in read.load(path).events] == ["whole"]
    again = Recorder.reopen(path, 0)
    again.event(5, "next", rank=3)
    again.finish("finished")
    events = read.load(path).events
    assert [(event.iteration, event.what, event.rank) for event in events] == [(1, "whole", 1), (5, "next", 3)]


def test_what_cannot_be_reopened_stays_as_it_is(tmp_path):
    path = tmp_path / "run.h5"
    with pytest.raises(UserError, match="no such run file"):
        Recorder.reopen(path, 0)
    written = recorder(path)
    written.append(row(0))
    with pytest.raises(UserError, match="still goes on"):
        Recorder.reopen(path, 1)
    written.finish("finished")
    with pytest.raises(UserError, match="holds 1 rows, 2 are needed"):
        Recorder.reopen(path, 2)
    assert read.load(path).status == "finished" and os.listdir(tmp_path) == ["run.h5"]


def test_where_there_are_no_locks_nobody_knows_whether_it_runs(tmp_path, monkeypatch):
    """As on some NFS: flock fails. The only way here to be without locks is to take them away from Python."""
    path = tmp_path / "run.h5"
    subprocess.run([sys.executable, "-c", KILLED, str(path), os.path.dirname(__file__)], timeout=60)

    def none(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    assert read.load(path).status == "running or killed"


def test_an_existing_file_stays_until_the_new_one_stands(tmp_path):
    path = tmp_path / "run.h5"
    recorder(path).finish("finished")
    with pytest.raises(UserError, match=r"overwrite=True \(--overwrite\) replaces it, output= \(-o\) names"):
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
