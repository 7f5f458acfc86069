"""Checkpoints as files: which are a run's, which are used, and what may lie in their way."""

from __future__ import annotations

import json
import os
import zlib

import h5py
import numpy as np
import pytest

from pmom_mpi.record.checkpoint import Checkpoint, Damaged, clear, generations, newest
from pmom_mpi.record.head import Head
from pmom_mpi.runtime import experiment

CONFIG = {
    "name": "saved", "iterations": 9, "step_size": 0.1, "problem": {"kind": "softmax_regression"},
    "data": {"name": "digits", "nodes": 2}, "bias": [{"kind": "ef21"}, {"kind": "top_k", "k": 9}],
    "checkpoint": {"every": 2}, "record": {"flush_seconds": 0},
}  # fmt: skip


@pytest.fixture
def run_file(tmp_path):
    """A run of 9 iterations, with checkpoints at 8 and 9."""
    path = tmp_path / "run.h5"
    experiment.run(CONFIG, output=path)
    assert [found.name for found in generations(path)] == ["run.checkpoint-000000009.h5", "run.checkpoint-000000008.h5"]
    return path


def cut(path, rows):
    """Let a run file hold only so many rows, as after a power failure, and be that of a killed run."""
    with h5py.File(path, "r+") as file:
        file.attrs["status"] = "running"
        for dataset in file["metrics"].values():
            dataset.resize(rows, axis=0)


def test_a_checkpoint_that_the_rows_do_not_reach_is_passed_over(run_file):
    model = run_file.with_name("x.npy")
    with h5py.File(run_file) as file:
        np.save(model, file["final/x"][()])
    cut(run_file, 7)
    found, passed = newest(run_file, Head.read(run_file).run_id, 7)
    assert found is not None and found.iteration == 8
    assert "follows 8 rows, and the run file holds 7" in passed[0] and len(passed) == 1
    experiment.resume(run_file)
    with h5py.File(run_file) as file:
        assert file["final/x"][()].tobytes() == np.load(model).tobytes() and len(file["metrics/iteration"]) == 9


def test_where_no_rows_reach_up_to_any_the_run_starts_again(run_file, capfd):
    cut(run_file, 3)
    assert experiment.resume(run_file).status == "finished"
    assert "has no checkpoint: the run starts again" in capfd.readouterr().err


def test_a_newer_generation_that_was_passed_over_does_not_push_out_whole_ones(run_file):
    """With keep: 1 the damaged one would be the one that stays."""
    cut(run_file, 9)
    newest_one = generations(run_file)[0]
    far = run_file.with_name("run.checkpoint-000000999.h5")
    newest_one.rename(far)
    far.write_bytes(b"damaged")
    experiment.run(CONFIG | {"checkpoint": {"every": 3, "keep": 1}}, output=run_file, resume=True)
    assert [found.name for found in generations(run_file)] == ["run.checkpoint-000000009.h5"]
    Checkpoint(generations(run_file)[0]).verify()


def test_other_files_and_other_runs_files_stay(run_file, tmp_path):
    others = [
        tmp_path / name
        for name in ("run.checkpoint-1.h5", "run.checkpoint-notes.h5", "run2.checkpoint-000000001.h5", "run.h5.bak",
                     "run.hdf5.checkpoint-000000002.h5", ".run2.checkpoint-000000001.h5.7.partial")
    ]  # fmt: skip
    for other in others:
        other.write_text("mine")
    left = tmp_path / ".run.checkpoint-000000004.h5.4711.partial"
    left.write_text("half done")
    (tmp_path / "run.checkpoint-000000003.h5").mkdir()
    experiment.run(CONFIG | {"checkpoint": {}}, output=run_file, overwrite=True)
    assert all(other.read_text() == "mine" for other in others)
    assert not left.exists() and generations(run_file) == []


def test_run_files_of_one_stem_do_not_share_checkpoints(run_file, tmp_path):
    other = tmp_path / "run.hdf5"
    experiment.run(CONFIG, output=other)
    assert len(generations(run_file)) == len(generations(other)) == 2
    clear(other)
    assert len(generations(run_file)) == 2 and generations(other) == []


def test_nothing_is_written_through_a_link_in_the_way(run_file, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    names = [f".run.checkpoint-{k:09d}.h5.{os.getpid()}.partial" for k in (2, 4, 6, 8, 9)]
    for name in (*names, f".run.h5.{os.getpid()}.partial"):
        (tmp_path / name).symlink_to(victim)
    experiment.run(CONFIG, output=run_file, overwrite=True)
    assert victim.read_text() == "precious" and len(generations(run_file)) == 2


HEADS = {
    "no object": [1],
    "empty": {},
    "infinite": {"iteration": float("inf"), "total": 1, "run_id": "", "row": {}},
    "no row": {"iteration": 8, "total": 9, "run_id": "", "row": [1]},
    "words in the row": {"iteration": 8, "total": 9, "run_id": "", "row": {"iteration": "seven"}},
}


@pytest.mark.parametrize("name", HEADS)
def test_a_head_that_lies_is_one_line(run_file, name):
    path = generations(run_file)[0]
    text = json.dumps(HEADS[name])
    with h5py.File(path, "r+") as file:
        file.attrs.update(head=text, crc32=zlib.crc32(text.encode()))
    with pytest.raises(Damaged) as told:
        Checkpoint(path)
    assert "\n" not in str(told.value) and str(path) in str(told.value)


def test_arrays_of_other_files_are_not_read(run_file, tmp_path):
    path = generations(run_file)[0]
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(8 * 650))
    with h5py.File(path, "r+") as file:
        shape, dtype, attributes = file["server/x"].shape, file["server/x"].dtype, dict(file["server/x"].attrs)
        del file["server/x"]
        made = file.create_dataset("server/x", shape, dtype, external=[(str(secret), 0, h5py.h5f.UNLIMITED)])
        made.attrs.update(attributes)
    with pytest.raises(Damaged, match="lies in another file"):
        Checkpoint(path).verify()
