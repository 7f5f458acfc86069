"""A real disk that fills up at every station of a run: a clean stop, one line; with room again the run goes on."""

from __future__ import annotations

import os
import subprocess
import sys

import h5py
import pytest
import yaml

from pmom_mpi.analysis import read
from pmom_mpi.record.checkpoint import Checkpoint, generations
from pmom_mpi.runtime import experiment

CONFIG = {
    "name": "full", "iterations": 12, "step_size": 0.1, "problem": {"kind": "mlp", "hidden": [256]},
    "data": {"name": "digits", "nodes": 4}, "bias": [{"kind": "ef21"}, {"kind": "top_k", "k": 9}],
    "checkpoint": {"every": 3}, "record": {"flush_seconds": 0, "nodes": True},
}  # fmt: skip
"""d = 19,210: a checkpoint holds x, v, two averages and four memories, 0.8 MiB; the run file 0.6 MiB with its holes."""


@pytest.fixture
def disk(tmp_path):
    """``disk(bytes)``: an empty disk of so many bytes."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small disk")
    place = tmp_path / "disk"
    place.mkdir()

    def mount(size):
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"cannot mount: {done.stderr.strip()}")
        return place

    yield mount
    subprocess.run(["umount", str(place)], capture_output=True)


def run(*arguments):
    command = [sys.executable, "-m", "pmom_mpi", *map(str, arguments), "-q"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def bits(path):
    with h5py.File(path) as file:
        return file.attrs["status"], file["final/x"][()].tobytes(), file["metrics/train_loss"][()].tobytes()


STATIONS = {
    "start": (12, 3),
    "the first row": (64, 3),
    "checkpoint": (2700, 3),
    "finish": (500, 0),
}
"""Where the disk is full, by its KiB and the iterations between checkpoints."""

LINES = {
    "start": "run.h5: No space left on device; choose another by output= (-o)",
    "the first row": "run.h5: No space left on device; its first 0 rows are safe",
    "checkpoint": "run.checkpoint-000000009.h5: No space left on device; the checkpoints before it are whole",
    "finish": "run.h5: No space left on device; its 12 rows are safe",
}


@pytest.mark.parametrize("station", STATIONS)
def test_where_the_disk_is_full_the_run_stops_cleanly_and_goes_on(disk, tmp_path, station):
    size, every = STATIONS[station]
    config = tmp_path / "full.yaml"
    config.write_text(yaml.safe_dump(CONFIG | {"checkpoint": {"every": every}}))
    experiment.run(config, output=tmp_path / "whole.h5")
    place = disk(size << 10)
    path = place / "run.h5"
    done = run("run", config, "-o", path)
    stopped_cleanly(done, path)
    assert LINES[station] in done.stderr
    assert len(generations(path)) == (2 if station == "checkpoint" else 0)
    remount(place, (size >> 2) + 64)  # fuller than before: to go on is not possible, and spoils nothing
    if path.exists():
        stopped_cleanly(run("run", "--resume", config, "-o", path), path)
    remount(place, 1 << 16)
    done = run("run", "--resume", config, "-o", path)
    assert done.returncode == 0, done.stderr
    assert ("starts again" in done.stderr) == (station in ("the first row", "finish"))
    assert bits(path) == bits(tmp_path / "whole.h5")


def stopped_cleanly(done, path):
    """With one line and status 2; what is there can be read, and nothing is half done."""
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("note:")]
    assert len(lines) == 1 and lines[0].startswith("pmom: error:"), done.stderr
    assert "No space left on device" in lines[0]
    for checkpoint in generations(path):
        Checkpoint(checkpoint).verify()
    if path.exists():
        run_file = read.load(path)
        assert run_file.metrics["iteration"].tolist() == list(range(run_file.iterations))
    assert not list(path.parent.glob(".*.partial"))


def remount(place, kib):
    """Make the disk smaller (down to what lies on it) or larger."""
    subprocess.run(["mount", "-o", f"remount,size={kib}k", str(place)], capture_output=True)
