"""Workers die and the run goes on, bit for bit, where Open MPI lets the others go on (ULFM)."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import yaml
from test_same_bits import assert_same_bits, contents
from test_stragglers import ENDS, left_over

from pmom_mpi.analysis import read
from pmom_mpi.cluster import launch
from pmom_mpi.cluster.mpirun import OPEN_MPI, library, with_path
from pmom_mpi.runtime import experiment, setting
from pmom_mpi.words.errors import UserError

pytestmark = [
    pytest.mark.skipif(library().vendor != OPEN_MPI, reason="needs Open MPI with ULFM"),
    pytest.mark.alone,  # ranks that are killed while they start want to be met in time
]

PARTS = (
    ENDS
    + '''
from pmom_mpi.method.momentum import EMA

@dataclasses.dataclass
class Dying(SoftmaxRegression):
    """Where a flag says so the process ends as it is told to, once: node 5 in iteration 10, all workers in it, ..."""
    flags: str = ""
    how: str = "out of memory"

    def gradient(self, x, node, iteration, out):
        flag = f"{self.flags}/{node}-{iteration}"
        if (node, iteration) in ((5, 10), (0, 15)) and os.path.exists(flag):
            os.unlink(flag)
            ENDS[self.how]()
        if iteration == 10 and os.path.exists(f"{self.flags}/workers"):
            ENDS[self.how]()
        return super().gradient(x, node, iteration, out)

@dataclasses.dataclass(frozen=True)
class Serving(EMA):
    """The same of the server, in iteration 10."""
    flags: str = ""
    how: str = "out of memory"

    def step(self, x, g, memory, step_size, iteration):
        if iteration == 10 and os.path.exists(f"{self.flags}/server"):
            ENDS[self.how]()
        super().step(x, g, memory, step_size, iteration)
'''
)
BIAS = {
    "none": [],
    "top_k": [{"kind": "top_k", "k": 20}],
    "ef14": [{"kind": "ef14"}, {"kind": "top_k", "k": 20}],
    "ef21": [{"kind": "ef21"}, {"kind": "top_k", "k": 20}],
}


@pytest.fixture
def job(tmp_path):
    """``job(how, deaths, ...)``: a fault-tolerant job of four workers, and its undisturbed run beside it."""
    (tmp_path / "lost_parts.py").write_text(PARTS)

    def start(how, deaths, bias="top_k", survives=True, dtype="float32", **changes):
        raw = {
            "name": "dying", "iterations": 20, "step_size": 0.1, "data": {"name": "digits", "nodes": 6},
            "problem": {"kind": "lost_parts:Dying", "flags": str(tmp_path), "how": how}, "bias": BIAS[bias],
            "momentum": {"kind": "lost_parts:Serving", "beta": 0.5, "flags": str(tmp_path), "how": how},
            "record": {"flush_seconds": 0, "nodes": True}, "checkpoint": {"every": 4},
            "transport": {"fault_tolerant": True} | changes, "output": str(tmp_path / "dying.h5"), "dtype": dtype,
        }  # fmt: skip
        path = tmp_path / "dying.yaml"
        path.write_text(yaml.safe_dump(raw))
        experiment.run(path, output=tmp_path / "whole.h5")
        for death in deaths:
            (tmp_path / death).touch()
        return started("run", str(path), survives=survives)

    return start


def started(*arguments, survives=True):
    """A job of a server and four workers."""
    made = launch.launch_command(5, launch.pmom(*arguments), fault_tolerant=survives)
    environment = with_path(made.words[0]) | dict(made.variables)
    return subprocess.run(made.words, capture_output=True, text=True, timeout=120, env=environment)


def goes_on(done, tmp_path, ranks):
    assert done.returncode == 0, done.stderr
    assert_same_bits(contents(tmp_path / "dying.h5"), contents(tmp_path / "whole.h5"))
    run = read.load(tmp_path / "dying.h5")
    lost = [event for event in run.events if "lost" in event.what]
    assert [event.rank for event in lost] == ranks
    for event in lost:
        assert event.host == os.uname().nodename
        assert f"rank {event.rank} on {event.host} is lost" in done.stderr
    assert left_over(tmp_path) == []


SLOW = pytest.mark.slow


@pytest.mark.parametrize("bias", [pytest.param("top_k", marks=SLOW), pytest.param("ef14", marks=SLOW), "ef21"])
def test_one_of_four_workers_is_killed_then_a_second(job, tmp_path, bias):
    goes_on(job("out of memory", ["5-10", "0-15"], bias), tmp_path, [4, 1])


@SLOW  # jobs that are resumed below lose nobody, too
def test_a_job_that_loses_nobody_ends_as_any_other(job, tmp_path):
    goes_on(job("out of memory", []), tmp_path, [])
    again = started("run", "--resume", str(tmp_path / "dying.yaml"))
    assert again.returncode == 0 and again.stderr.count("finished already") == 1, again.stderr
    refused = started("run", str(tmp_path / "dying.yaml"))
    assert refused.returncode == 2 and "dying.h5 exists" in refused.stderr, refused.stderr
    assert left_over(tmp_path) == []


@pytest.mark.parametrize(
    "how, deadline",
    [("exit", 0), *(pytest.param(*case, marks=SLOW) for case in (("segfault", 0), ("stop", 4), ("hang", 4)))],
)
def test_however_a_worker_is_lost_the_run_goes_on(job, tmp_path, how, deadline):
    goes_on(job(how, ["5-10"], deadline=deadline), tmp_path, [4])


@pytest.mark.parametrize(
    "who, how, words",
    [
        ("server", "out of memory", "the server, rank 0 on {host}, is lost; pmom resume goes on with the run"),
        pytest.param("server", "segfault", "the server, rank 0 on {host}, is lost", marks=SLOW),
        pytest.param("server", "exit", "the server, rank 0 on {host}, is lost", marks=SLOW),
        pytest.param("workers", "out of memory", "it was the last worker; pmom resume {file} goes on", marks=SLOW),
        pytest.param("workers", "segfault", "it was the last worker; pmom resume {file} goes on", marks=SLOW),
        pytest.param("workers", "exit", "it was the last worker; pmom resume {file} goes on", marks=SLOW),
    ],
)
def test_without_the_server_or_any_worker_the_job_ends_and_can_be_resumed(job, tmp_path, who, how, words):
    done = job(how, [who], "ef21")
    assert done.returncode != 0
    host, file = os.uname().nodename, tmp_path / "dying.h5"
    assert words.format(host=host, file=file) in done.stderr, done.stderr
    assert left_over(tmp_path) == []
    (tmp_path / who).unlink()
    assert 9 <= read.load(file).iterations < 20
    again = started("resume", str(file))
    assert again.returncode == 0, again.stderr
    assert_same_bits(contents(file), contents(tmp_path / "whole.h5"))


def test_an_exception_ends_the_job_all_the_same(job, tmp_path):
    done = job("raise", ["5-10"])
    assert done.returncode == 1, done.stderr
    assert f"rank 4 on {os.uname().nodename} failed" in done.stderr and "ZeroDivisionError" in done.stderr
    assert left_over(tmp_path) == []


@SLOW
def test_a_job_that_would_not_survive_is_refused(job):
    done = job("out of memory", [], survives=False)
    assert done.returncode == 2
    assert done.stderr.count("transport.fault_tolerant is true, but the job was not started with") == 1


def without_node_5(path):
    """The last x of full-batch gradients that leave node 5 out from iteration 10 on, added up by hand."""
    ready = setting.ready(path)
    problem, rule = ready.problem, ready.config.momentum
    x = problem.initial_point()
    gradient, memory = np.empty_like(x), rule.init(x.size, x.dtype)
    for k in range(20):
        nodes = range(6 if k < 10 else 5)
        mean = np.zeros_like(x)
        for node in nodes:
            problem.gradient(x, node, k, gradient)
            mean += gradient / len(nodes)
        rule.step(x, mean, memory, 0.1, k)
    return x


def test_a_dropped_node_counts_no_more(job, tmp_path):
    done = job("out of memory", ["5-10"], "none", dtype="float64", on_loss="drop")
    assert done.returncode == 0, done.stderr
    found, run = contents(tmp_path / "dying.h5"), read.load(tmp_path / "dying.h5")
    np.testing.assert_allclose(found["x"], without_node_5(tmp_path / "dying.yaml"), rtol=1e-9, atol=1e-12)
    assert "its nodes are dropped; the average is over 5 of 6 nodes, on from iteration 10" in done.stderr
    assert [event.rank for event in run.events if "its nodes are dropped" in event.what] == [4]
    losses = found["nodes/train_loss"]
    assert np.isfinite(losses[:, :5]).all() and np.isfinite(losses[:10, 5]).all() and np.isnan(losses[10:, 5]).all()
    np.testing.assert_allclose(found["train_loss"], np.nanmean(losses, axis=1), 1e-12)
    with pytest.raises(UserError, match="went on without some of its nodes"):
        experiment.resume(tmp_path / "dying.h5", extend=30)


@SLOW
def test_with_error_feedback_all_go_back_before_they_go_on_without(job, tmp_path):
    done = job("out of memory", ["5-10", "0-15"], "ef14", on_loss="drop")
    assert done.returncode == 0, done.stderr
    assert "the average is over 5 of 6 nodes, on from iteration 8" in done.stderr
    assert "the average is over 3 of 6 nodes, on from iteration 12" in done.stderr
    assert list(contents(tmp_path / "dying.h5")["iteration"]) == list(range(20))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"bias": BIAS["ef21"]}, "does not go with ef21"),
        ({"transport": {"on_loss": "drop"}}, "drop needs transport.fault_tolerant"),
        ({"diagnostics": {"every": 1}}, "does not go with diagnostics.every"),
    ],
)
def test_where_the_rest_would_not_be_enough_dropping_is_refused(changes, words):
    raw = {
        "name": "drop", "iterations": 2, "step_size": 0.1, "data": {"name": "digits", "nodes": 6},
        "problem": {"kind": "softmax_regression"}, "transport": {"fault_tolerant": True, "on_loss": "drop"},
    }  # fmt: skip
    with pytest.raises(UserError, match=words):
        setting.validate(raw | changes)


START = """
import os, signal, sys
def die():
    if os.environ["OMPI_COMM_WORLD_RANK"] == "2":
        ENDS[sys.argv[2]]()
ENDS = {"kill": lambda: os.kill(os.getpid(), signal.SIGKILL), "exit": lambda: os._exit(17)}
if sys.argv[1] == "before":
    die()
from pmom_mpi import transport
from pmom_mpi.transport import connect, messages
if sys.argv[1] == "connecting":
    die()
ranks = connect()
if sys.argv[1] == "set-up":
    die()
from pmom_mpi.runtime.together import together
with together(ranks), ranks.losses():
    ranks.gather(0)
ranks.close()
"""


@pytest.mark.parametrize("how", [pytest.param("kill", marks=SLOW), "exit"])
@pytest.mark.parametrize("when", [pytest.param("before", marks=SLOW), "connecting", pytest.param("set-up", marks=SLOW)])
def test_a_loss_while_the_job_is_starting_ends_it(tmp_path, when, how):
    (tmp_path / "dying.yaml").write_text(START)
    made = launch.launch_command(4, [sys.executable, str(tmp_path / "dying.yaml"), when, how], fault_tolerant=True)
    environment = with_path(made.words[0]) | dict(made.variables)
    done = subprocess.run(made.words, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode != 0
    assert "was lost while the job was starting" in done.stderr, done.stderr
    assert f"rank 2 on {os.uname().nodename}" in done.stderr or when == "connecting", done.stderr
    assert "Traceback" not in done.stderr
    assert left_over(tmp_path) == []
