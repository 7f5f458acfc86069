"""Whatever leaves a rank, wherever between connect and close, ends the job soon, with one message."""

from __future__ import annotations

import sys

import pytest
import yaml
from test_stragglers import left_over

PARTS = """
import dataclasses, os, sys
import numpy as np
import pmom_mpi
from pmom_mpi.problems.least_squares import LeastSquares
from pmom_mpi.problems.softmax_regression import SoftmaxRegression

@dataclasses.dataclass
class NoStart(SoftmaxRegression):
    def initial_point(self):
        raise ArithmeticError("there is no x^0")

@dataclasses.dataclass
class NotAdopted(SoftmaxRegression):
    def solve(self):
        return 1.0

    def adopt(self, found):
        if 3 in self.context.hosted:
            raise ArithmeticError("node 3 cannot adopt it")

@dataclasses.dataclass
class Unsolved(SoftmaxRegression):
    def solve(self):
        raise ArithmeticError("it cannot be solved")

    def adopt(self, found):
        pass

class Watcher:
    def __init__(self, where):
        self.where = where

    def fail(self, where):
        if where == self.where:
            raise ArithmeticError(f"the watcher's {where} fails")

    def begin(self, *_):
        self.fail("begin")

    def ready(self, seconds):
        self.fail("ready")

    def row(self, row):
        self.fail("row")
        if self.where == "removed" and row["iteration"] == 1:
            os.unlink(sys.argv[2])
        if self.where == "replaced" and row["iteration"] == 1:
            open(sys.argv[2] + "~", "w").close()
            os.replace(sys.argv[2] + "~", sys.argv[2])

    def end(self, status):
        self.fail("end")

if __name__ == "__main__":
    pmom_mpi.run(sys.argv[1], output=sys.argv[2], watcher=Watcher(sys.argv[3]))
"""

CASES = {
    "begin": ("softmax_regression", "the watcher's begin fails"),
    "ready": ("softmax_regression", "the watcher's ready fails"),
    "row": ("softmax_regression", "the watcher's row fails"),
    "end": ("softmax_regression", "the watcher's end fails"),
    "removed": ("softmax_regression", "was removed or replaced"),
    "replaced": ("softmax_regression", "was removed or replaced"),
    "initial_point": ("parts:NoStart", "there is no x^0"),
    "adopt on one rank": ("parts:NotAdopted", "node 3 cannot adopt it"),
    "solve": ("parts:Unsolved", "it cannot be solved"),
}


@pytest.fixture
def start(mpirun, tmp_path):
    """A job of three ranks with a problem kind and a watcher."""

    def job(kind: str, watcher: str):
        (tmp_path / "parts.py").write_text(PARTS)
        raw = {
            "name": "hang", "iterations": 5, "step_size": 0.1, "data": {"name": "digits", "nodes": 6},
            "problem": {"kind": kind}, "record": {"flush_seconds": 0},
        }  # fmt: skip
        (tmp_path / "hang.yaml").write_text(yaml.safe_dump(raw))
        words = [tmp_path / "parts.py", tmp_path / "hang.yaml", tmp_path / "h.h5", watcher]
        return mpirun(3, [sys.executable, *map(str, words)], module=False)

    return job


@pytest.mark.parametrize("case", CASES)
def test_it_ends_with_one_message_and_no_process_is_left_over(start, tmp_path, case):
    kind, words = CASES[case]
    done = start(kind, case)
    assert done.returncode != 0
    assert done.stderr.count(words) == 1 or (words in done.stderr and done.stderr.count("pmom: ") == 1), done.stderr
    assert left_over(tmp_path) == []


INTERRUPTED = """
import os, sys, threading, time
import pmom_mpi
rank = int(os.environ.get("OMPI_COMM_WORLD_RANK") or os.environ["PMI_RANK"])
if rank == int(sys.argv[1]):
    threading.Timer(float(sys.argv[2]), os.kill, (os.getpid(), 2)).start()
else:
    time.sleep(3)
pmom_mpi.run(sys.argv[3])
"""


@pytest.mark.parametrize("rank, seconds", [(0, 0.5), (1, 0.5), (0, 4)])
def test_a_rank_that_is_interrupted_while_ranks_connect_ends_the_job(mpirun, tmp_path, rank, seconds):
    """It must not leave with an exception: as Python ends, MPI waits for all other ranks, and they for this one."""
    raw = {
        "name": "long", "iterations": 10**6, "step_size": 0.1, "data": {"name": "digits", "nodes": 6},
        "problem": {"kind": "softmax_regression"}, "output": str(tmp_path / "long.h5"),
    }  # fmt: skip
    (tmp_path / "long.yaml").write_text(yaml.safe_dump(raw))
    words = [sys.executable, "-c", INTERRUPTED, str(rank), str(seconds), str(tmp_path / "long.yaml")]
    assert mpirun(3, words, module=False).returncode != 0
