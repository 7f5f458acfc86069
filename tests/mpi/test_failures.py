"""Whatever goes wrong on whichever rank, a job ends soon, says why once, and keeps what it has recorded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import h5py
import pytest
import yaml
from click.testing import CliRunner

from pmom_mpi.cli import main
from pmom_mpi.runtime import experiment

FAILING = '''
import dataclasses
from pmom_mpi.problems.softmax_regression import SoftmaxRegression

@dataclasses.dataclass
class Failing(SoftmaxRegression):
    """Raises on one node in iteration 5, or kills its process."""
    node: int = 0
    how: str = "raise"

    def gradient(self, x, node, iteration, out):
        if node == self.node and iteration == 5:
            if self.how == "kill":
                import os, signal
                os.kill(os.getpid(), signal.SIGKILL)
            raise ArithmeticError("node %d cannot go on" % node)
        return super().gradient(x, node, iteration, out)
'''


@pytest.fixture
def failing(tmp_path):
    (tmp_path / "failing.py").write_text(FAILING)

    def write(**problem: object) -> str:
        raw = {
            "name": "fails", "iterations": 50, "step_size": 0.1, "data": {"name": "digits", "nodes": 6},
            "problem": {"kind": "failing:Failing"} | problem, "record": {"flush_seconds": 0},
            "output": str(tmp_path / "fails.h5"),
        }  # fmt: skip
        path = tmp_path / "fails.yaml"
        path.write_text(yaml.safe_dump(raw))
        return str(path)

    return write


API = "import sys, pmom_mpi; pmom_mpi.run(sys.argv[1])"


@pytest.mark.parametrize("ranks, node", [(2, 5), (3, 0), (5, 5)])
def test_an_exception_on_a_worker_ends_the_job_with_its_message_only(mpirun, failing, tmp_path, ranks, node):
    done = mpirun(ranks, ["run", failing(node=node)])
    assert done.returncode != 0
    assert done.stderr.count("Traceback") == 1
    assert done.stderr.count(f"ArithmeticError: node {node} cannot go on") == 1
    with h5py.File(tmp_path / "fails.h5", "r") as file:
        assert file.attrs["status"] == "failed"
        assert list(file["metrics/iteration"]) == list(range(len(file["metrics/iteration"])))
        assert len(file["metrics/iteration"]) >= 4


def test_an_exception_through_the_python_interface(mpirun, failing):
    done = mpirun(3, [sys.executable, "-c", API, failing(node=3)], module=False)
    assert done.returncode != 0
    assert done.stderr.count("Traceback") == 1
    assert "node 3 cannot go on" in done.stderr


def test_an_exception_in_one_process(failing, tmp_path):
    command = [sys.executable, "-m", "pmom_mpi", "run", failing(node=3)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "node 3 cannot go on" in done.stderr
    with h5py.File(tmp_path / "fails.h5", "r") as file:
        assert file.attrs["status"] == "failed"


def test_a_killed_worker_ends_the_job_and_the_file_opens(mpirun, failing, tmp_path):
    done = mpirun(3, ["run", failing(node=5, how="kill")])
    assert done.returncode != 0
    with h5py.File(tmp_path / "fails.h5", "r", swmr=True) as file:
        assert len(file["metrics/iteration"]) >= 4


BAD = {
    "misspelt key": ({"momentun": {"kind": "sgd"}}, "did you mean 'momentum'"),
    "wrong type": ({"iterations": "many"}, "iterations"),
    "k > d": ({"bias": [{"kind": "top_k", "k": 10**9}]}, "bias"),
    "more nodes than samples": ({"data": {"name": "digits", "nodes": 5000}}, "nodes"),
    "more workers than nodes": ({"data": {"name": "digits", "nodes": 1}}, "nodes"),
    "unknown data": ({"data": {"name": "digitz", "nodes": 6}}, "digitz"),
    "unwritable output": ({"output": "/proc/no/such/place.h5"}, "/proc/no/such/place.h5"),
    "batch larger than a shard": ({"gradient": {"batch": 10**6}}, "batch"),
}


JOBS = ("misspelt key", "k > d", "more workers than nodes", "unknown data", "unwritable output")
"""One of every station; the ranks of a job agree on it, and one of them says it."""


@pytest.mark.parametrize(
    "name, ranks", [*((name, 1) for name in BAD if name != "more workers than nodes"), *((name, 3) for name in JOBS)]
)
def test_bad_input_is_one_line_and_status_2(mpirun, tmp_path, ranks, name):
    change, words = BAD[name]
    raw = {
        "name": "bad", "iterations": 5, "step_size": 0.1, "problem": {"kind": "mlp", "hidden": [8]},
        "data": {"name": "digits", "nodes": 6}, "output": str(tmp_path / "bad.h5"),
    } | change  # fmt: skip
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(raw))
    if ranks == 1:
        done = CliRunner().invoke(main, ["run", str(path)])
        status, errors = done.exit_code, done.output
    else:
        job = mpirun(ranks, ["run", str(path)])
        status, errors = job.returncode, job.stderr
    assert status == 2, errors
    lines = [line for line in errors.splitlines() if line.startswith("pmom: error:")]
    assert len(lines) == 1, errors
    assert words in lines[0] and str(path) in lines[0]
    assert "Traceback" not in errors
    assert not (tmp_path / "bad.h5").exists()


def test_a_mistake_that_every_rank_sees_is_told_once(mpirun):
    done = mpirun(3, ["reproduce", "mnist", "--setting", "top-k"])
    assert done.returncode == 2
    assert done.stderr.count("pmom: error: --setting top-k: no published setting matches") == 1


def test_an_existing_run_file_is_kept(mpirun, tmp_path, failing):
    (tmp_path / "fails.h5").write_bytes(b"precious")
    done = mpirun(3, ["run", failing(node=0)])
    assert done.returncode == 2
    assert "--overwrite" in done.stderr
    assert (tmp_path / "fails.h5").read_bytes() == b"precious"


def test_divergence_is_a_result(mpirun, tmp_path):
    raw = {
        "name": "away", "iterations": 200, "step_size": 1e30, "problem": {"kind": "mlp", "hidden": [8]},
        "data": {"name": "digits", "nodes": 6}, "output": str(tmp_path / "away.h5"),
    }  # fmt: skip
    path = tmp_path / "away.yaml"
    path.write_text(yaml.safe_dump(raw))
    done = mpirun(3, ["run", str(path)])
    assert done.returncode == 3, done.stderr
    with h5py.File(tmp_path / "away.h5", "r") as file:
        assert file.attrs["status"] == "diverged"
        assert 1 <= len(file["metrics/iteration"]) < 200
    assert experiment.run(path, ["on_divergence=continue", "iterations=20"], overwrite=True).exit_code == 0
    with h5py.File(tmp_path / "away.h5", "r") as file:
        assert file.attrs["status"] == "diverged"
        assert len(file["metrics/iteration"]) == 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_completes_the_file(tmp_path, number):
    raw = {
        "name": "long", "iterations": 10**6, "step_size": 0.1, "problem": {"kind": "mlp", "hidden": [8]},
        "data": {"name": "digits", "nodes": 6}, "output": str(tmp_path / "long.h5"),
    }  # fmt: skip
    path = tmp_path / "long.yaml"
    path.write_text(yaml.safe_dump(raw))
    command = [sys.executable, "-m", "pmom_mpi", "run", str(path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.lstrip().startswith("1/"):
            break
    os.kill(process.pid, number)
    process.communicate(timeout=30)
    assert process.returncode == 128 + number
    with h5py.File(tmp_path / "long.h5", "r") as file:
        assert file.attrs["status"] == "interrupted"
        assert len(file["metrics/iteration"]) >= 1
