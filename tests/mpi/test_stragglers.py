"""Workers that lag or hang, and every other way to die: the job ends in bounded time, and says who it was."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
import yaml
from test_same_bits import assert_same_bits, contents

from pmom_mpi.analysis import read
from pmom_mpi.runtime import experiment
from pmom_mpi.transport.patience import DeadlinePassed, Patience

ENDS = """
import ctypes, dataclasses, os, resource, signal, sys, time
import numpy as np
from pmom_mpi.problems.softmax_regression import SoftmaxRegression

def limited():
    pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 10**8,) * 2)
    np.ones(10**9)

ENDS = {
    "raise": lambda: 1 / 0,
    "sys.exit": lambda: sys.exit("enough"),
    "hang": lambda: time.sleep(3600),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "lag": lambda: time.sleep(1.5),
    "segfault": lambda: ctypes.string_at(0),
    "exit": lambda: os._exit(17),
    "memory": limited,
    "out of memory": lambda: os.kill(os.getpid(), signal.SIGKILL),
}
"""
"""The ways in which a problem of a test may end its process."""

PARTS = (
    ENDS
    + '''
@dataclasses.dataclass
class Dying(SoftmaxRegression):
    """Once, in iteration 15, node 5 ends as it is told to."""
    flag: str = ""
    how: str = "hang"

    def gradient(self, x, node, iteration, out):
        if node == 5 and iteration == 15 and os.path.exists(self.flag):
            os.unlink(self.flag)
            ENDS[self.how]()
        return super().gradient(x, node, iteration, out)
'''
)


@pytest.fixture
def dying(tmp_path):
    """``dying(how, deadline)``: a config whose run does so."""
    (tmp_path / "dying_parts.py").write_text(PARTS)

    def write(how: str, deadline: float = 0.0) -> str:
        (tmp_path / "flag").touch()
        raw = {
            "name": "dying", "iterations": 25, "step_size": 0.1, "data": {"name": "digits", "nodes": 6},
            "problem": {"kind": "dying_parts:Dying", "flag": str(tmp_path / "flag"), "how": how},
            "bias": [{"kind": "ef21"}, {"kind": "top_k", "k": 20}], "record": {"flush_seconds": 0},
            "checkpoint": {"every": 4}, "transport": {"deadline": deadline}, "output": str(tmp_path / "dying.h5"),
        }  # fmt: skip
        path = tmp_path / "dying.yaml"
        path.write_text(yaml.safe_dump(raw))
        return str(path)

    return write


@pytest.mark.alone  # another test must not make another worker lag
@pytest.mark.parametrize("how", ["hang", "stop"])
def test_a_deadline_ends_a_job_whose_worker_hangs(mpirun, dying, tmp_path, how):
    config = dying(how, deadline=4)
    done = mpirun(4, ["run", config])
    assert done.returncode == 4, done.stderr
    host = os.uname().nodename
    expected = f"pmom: iteration 15: rank 3 on {host} has not answered for"
    lines = [line for line in done.stderr.splitlines() if line.startswith(expected)]
    assert len(lines) == 2 and "where an iteration takes" in lines[0], done.stderr
    assert "transport.deadline is 4 s" in lines[1] and "the job is given up" in lines[1]
    assert "Traceback" not in done.stderr
    run = read.load(tmp_path / "dying.h5")
    assert run.status == "failed" and run.iterations >= 14
    assert run.attributes["message"].startswith(f"iteration 15: rank 3 on {host} has not answered for 4")
    assert [(event.iteration, event.rank, event.host) for event in run.events] == [(15, 3, host)]
    assert left_over(tmp_path) == []
    goes_on(config, tmp_path)


@pytest.mark.alone
def test_a_worker_that_lags_is_named_and_the_run_finishes(mpirun, dying, tmp_path):
    done = mpirun(3, ["run", dying("lag")])
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("iteration 15: rank 2 on") == 1
    run = read.load(tmp_path / "dying.h5")
    assert run.status == "finished" and [event.rank for event in run.events] == [2]


@pytest.mark.parametrize(
    "how", ["raise", pytest.param("sys.exit", marks=pytest.mark.slow), "segfault", "exit", "memory", "out of memory"]
)
def test_however_a_worker_dies_the_job_ends_and_can_be_gone_on_with(mpirun, dying, tmp_path, how):
    config = dying(how)
    done = mpirun(4, ["run", config])
    assert done.returncode != 0
    host = os.uname().nodename
    if how in ("raise", "sys.exit"):
        error = {"raise": "ZeroDivisionError", "sys.exit": "SystemExit: enough"}[how]
        assert f"rank 3 on {host} failed" in done.stderr and error in done.stderr
    elif how == "memory":  # a limit, as batch systems set one
        lines = [line for line in done.stderr.splitlines() if line.startswith("pmom: ")]
        assert lines == [line for line in lines if line.startswith(f"pmom: rank 3 on {host} failed: out of memory: ")]
        assert len(lines) == 1 and "dying_parts.py" in lines[0] and "Traceback" not in done.stderr, done.stderr
    else:  # the launcher sees it die, and says so
        assert host in done.stderr and re.search(r"rank 3\b|[,\[] ?3\]", done.stderr), done.stderr
    assert read.load(tmp_path / "dying.h5").iterations >= 14
    assert left_over(tmp_path) == []
    goes_on(config, tmp_path)


def goes_on(config, tmp_path):
    assert not (tmp_path / "flag").exists()
    assert experiment.run(config, resume=True).exit_code == 0
    experiment.run(config, output=tmp_path / "whole.h5")
    assert_same_bits(contents(tmp_path / "dying.h5"), contents(tmp_path / "whole.h5"))


def left_over(folder):
    """Processes that still work on something in this folder."""
    mine = f"{folder}/".encode()
    for _ in range(50):
        found = [place.name for place in Path("/proc").iterdir() if place.name.isdecimal() and mine in command(place)]
        if not found:
            return []
        time.sleep(0.1)
    return found


def command(place):
    try:
        return (place / "cmdline").read_bytes()
    except OSError:
        return b""


def test_only_what_has_lagged_once_is_told_and_not_among_the_first(monkeypatch):
    now, told = [0.0], []
    monkeypatch.setattr("pmom_mpi.transport.patience.perf_counter", lambda: now[0])
    patience = Patience(["a", "b", "c"], 100.0, lambda *words: told.append(words))
    for k in range(5):
        patience.begin(k)
        now[0] += 50.0 if k == 2 else 0.2
        patience.check({1})
    assert told == []
    patience.begin(5)
    for _ in range(30):
        now[0] += 0.1
        patience.check({2, 1})
    (k, words, rank, host), *more = told
    assert (k, rank, host) == (5, 1, "b") and not more
    assert words == "rank 1 on b, rank 2 on c have not answered for 2 s, where an iteration takes 0.2 s"
    now[0] += 98
    with pytest.raises(DeadlinePassed, match="iteration 5: the broadcast has not reached every rank for 101 s"):
        patience.check(set())
