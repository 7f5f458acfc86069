"""Signals to the launcher of a real job, as batch systems and terminals send them."""

from __future__ import annotations

import signal
import subprocess
import sys

import h5py
import pytest

from pmom_mpi.analysis import read

CONFIG = """
iterations: 1000000
step_size: 0.1
problem: {kind: mlp, hidden: [8]}
data: {name: digits, nodes: 6}
record: {flush_seconds: 0}
"""


@pytest.fixture
def job(tmp_path):
    """`pmom launch` of an endless run on three ranks, in its iterations; the process becomes mpirun."""
    (tmp_path / "long.yaml").write_text(CONFIG)
    command = [sys.executable, "-m", "pmom_mpi", "launch", "-n", "3", "long.yaml", "-o", "long.h5"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.lstrip().startswith("1/"):
            break
    yield process
    process.kill()
    process.communicate()


def test_sigusr1_completes_the_file_whatever_time_that_takes(job, tmp_path):
    """What jobs/*.sbatch ask Slurm for before the time is up."""
    job.send_signal(signal.SIGUSR1)
    _, errors = job.communicate(timeout=60)
    assert job.returncode == 128 + signal.SIGUSR1, errors
    assert errors.count("interrupted by signal 10; the run file is complete") == 1
    with h5py.File(tmp_path / "long.h5", "r") as file:
        assert file.attrs["status"] == "interrupted"
        assert list(file["metrics/iteration"]) == list(range(file.attrs["iterations"]))
        assert (file["final/x"][:] == file["final/x"][:]).all()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_launcher_that_is_ended_leaves_a_file_that_can_be_read(job, tmp_path, number):
    """mpirun kills its ranks soon after a SIGTERM, and may not end them at all when it is killed itself."""
    job.send_signal(number)
    job.communicate(timeout=60)
    assert job.returncode != 0
    run = read.load(tmp_path / "long.h5")
    assert run.iterations >= 1
    assert list(run.metrics["iteration"]) == list(range(run.iterations))
