"""The scripts of jobs/ and those of pmom submit, and what a real Slurm makes of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

import pmom_mpi
from pmom_mpi.analysis import read
from pmom_mpi.campaign import slurm as commands
from pmom_mpi.cli import main
from pmom_mpi.doctor import batch

pytestmark = pytest.mark.usefixtures("slurm")

ROOT = Path(pmom_mpi.__file__).parents[1]
QUICKSTART = str(ROOT / "configs" / "quickstart.yaml")
MODULE = """
import dataclasses, time
from pmom_mpi.problems.softmax_regression import SoftmaxRegression

@dataclasses.dataclass
class Slow(SoftmaxRegression):
    seconds: float = 0.0

    def gradient(self, x, node, iteration, out):
        time.sleep(self.seconds)
        return super().gradient(x, node, iteration, out)
"""
BASE = {
    "name": "small", "iterations": 60, "step_size": 0.5, "problem": {"kind": "slow_parts:Slow", "seconds": 0.05},
    "data": {"name": "digits", "nodes": 2}, "evaluate": {"every": 5}, "record": {"flush_seconds": 0},
    "momentum": {"kind": "ema", "beta": 0.3}, "bias": [{"kind": "ef14"}, {"kind": "top_k", "k": 9}],
    "checkpoint": {"every": 2},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    (tmp_path / "slow_parts.py").write_text(MODULE)
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(BASE))
    raw = {"base": "small.yaml", "grid": {"iterations": [8]}, "seeds": 3, "output": "out"}
    (tmp_path / "tune.yaml").write_text(yaml.safe_dump(raw))
    return tmp_path


def pmom(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(words))
    return done.exit_code, done.output


def sbatch(*words: str) -> str:
    done = subprocess.run(["sbatch", "--parsable", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def submitted(*words: str) -> list[str]:
    code, text = pmom("submit", *words)
    assert code == 0, text
    return text.removeprefix("job ").partition(":")[0].split(", ")


def until(true: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        logs = [path.read_text(errors="replace") for path in Path.cwd().rglob("*.log")]
        assert time.monotonic() < deadline, "\n".join(logs)
        time.sleep(0.1)


def ended(job: str) -> list[str]:
    """States and exit codes of a job, or of all tasks of an array, once it has ended."""
    tasks: list[dict[str, str]] = []

    def over() -> bool:
        shown = subprocess.run(
            ["scontrol", "-o", "show", "job", job], capture_output=True, text=True, timeout=60
        ).stdout
        tasks[:] = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in shown.splitlines()]
        going = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING")
        return bool(tasks) and all(task["JobState"] not in going for task in tasks)

    until(over)
    return [f"{task['JobState']} {task['ExitCode']}" for task in tasks]


def queue() -> list[str]:
    done = subprocess.run(["squeue", "-h", "-o", "%i"], capture_output=True, text=True, timeout=60)
    return done.stdout.split()


def has(path: str, iterations: int) -> Callable[[], bool]:
    return lambda: Path(path).exists() and read.load(path).iterations >= iterations


def numbers(path: str) -> dict[str, object]:
    run = read.load(path)
    kept = (name for name in run.metrics if not name.startswith(("time_", "overhead")))
    return {name: run.metrics[name].tobytes() for name in kept} | {"x": run.model().tobytes(), "status": run.status}


@pytest.fixture
def whole(folder) -> dict[str, object]:
    """The numbers of an undisturbed run."""
    command = [sys.executable, "-m", "pmom_mpi", "run", "small.yaml", "-s", "problem.seconds=0", "-o", "whole.h5", "-q"]
    subprocess.run(command, check=True, capture_output=True)
    return numbers("whole.h5")


def went_on(path: str, whole: dict[str, object]) -> bool:
    return any(event.what.startswith("resumed") for event in read.load(path).events) and numbers(path) == whole


@pytest.mark.parametrize(("script", "ranks"), [("one-node", 4), ("several-nodes", 3)])
def test_a_job_runs_a_config(folder, script, ranks):
    options = ("--nodes=1", f"--ntasks={ranks}", f"--ntasks-per-node={ranks}")
    job = sbatch(*options, str(ROOT / f"jobs/{script}.sbatch"), QUICKSTART, "-s", "iterations=5")
    assert ended(job) == ["COMPLETED 0:0"], (folder / f"pmom-{job}.log").read_text()
    run = read.load(f"results/pmom-{job}.h5")
    assert (run.status, run.iterations, run.facts["ranks"]) == ("finished", 5, ranks)


def test_bad_input_fails_the_job(folder):
    job = sbatch("--ntasks=2", str(ROOT / "jobs/one-node.sbatch"), QUICKSTART, "-s", "iterations=none")
    assert ended(job) == ["FAILED 2:0"]
    assert "iterations" in (folder / f"pmom-{job}.log").read_text()


def test_arrays_of_seeds_and_of_a_sweep(folder):
    both = ("--array=0-1", "--ntasks=2")
    seeds = sbatch(*both, str(ROOT / "jobs/seeds.sbatch"), QUICKSTART, "-s", "iterations=5")
    sweep = sbatch(*both, str(ROOT / "jobs/sweep.sbatch"), "tune.yaml")
    assert ended(seeds) == ended(sweep) == ["COMPLETED 0:0"] * 2
    assert [read.load(f"results/pmom-seeds-{seeds}-{seed}.h5").config["seed"] for seed in (0, 1)] == [0, 1]
    runs = [read.load(path) for path in read.run_files(["out"])]
    assert sorted((run.status, run.config["seed"]) for run in runs) == [("finished", seed) for seed in range(3)]


def test_a_preemptible_script_goes_on(folder, whole):
    options = ("--partition=again", "--ntasks=2", "--signal=B:USR1@60")
    job = sbatch(*options, str(ROOT / "jobs/preemptible.sbatch"), "long.h5", "small.yaml")
    until(has("long.h5", 4))
    subprocess.run(["scancel", "--batch", "--signal=USR1", job], check=True)  # as Slurm does before the time is up
    until(lambda: read.load("long.h5").status == "finished")
    assert went_on("long.h5", whole)


def test_a_run_is_submitted_watched_preempted_requeued_and_has_the_same_bits(folder, whole):
    (job,) = submitted("small.yaml", "--ntasks-per-node", "2", "--requeue", "--partition", "again")
    assert [entry.id for entry in commands.jobs(folder / "results")] == [job]
    until(has("results/small-0.h5", 4))
    (state,) = json.loads(pmom("status", "--json")[1])
    assert state["state"] == "running" and state["rate"] > 0 and 4 <= state["iteration"] < 60
    other = sbatch("--ntasks=8", "--wrap", "sleep 1")  # takes all CPUs: our job must go
    until(lambda: read.load("results/small-0.h5").status == "finished")
    assert ended(other) == ["COMPLETED 0:0"] and went_on("results/small-0.h5", whole)
    assert ended(job) == ["COMPLETED 0:0"]


def test_the_next_job_of_a_chain_goes_on_with_what_was_stopped(folder, whole):
    first, second, third = submitted(
        "small.yaml", "-s", "problem.seconds=0.1", "--ntasks-per-node", "2", "--chain", "3", "--partition", "gone"
    )  # fmt: skip
    until(has("results/small-0.h5", 4))
    waiting = [entry for entry in json.loads(pmom("status", "--json")[1]) if entry["state"] == "queued"]
    assert {entry["message"] for entry in waiting} == {"Dependency"} and len(waiting) == 2
    subprocess.run(["scancel", "--batch", "--signal=TERM", first], check=True)  # what a preempted job gets first
    until(lambda: read.load("results/small-0.h5").status == "finished")
    assert went_on("results/small-0.h5", whole)
    assert ended(second) == ["COMPLETED 0:0"] and ended(first)[0].startswith("FAILED")
    until(lambda: third not in queue())  # nothing is left to do for it


def test_a_sweep_as_an_array_whose_tasks_take_several_runs(folder):
    (job,) = submitted("tune.yaml", "--ntasks-per-node", "2", "--array-limit", "1", "--option=--begin=now+2")
    code, text = pmom("status", "out")
    assert code == 0 and f"job {job}_[0-2%1]" in text and "3 waiting" in text
    assert ended(job) == ["COMPLETED 0:0"] * 3
    runs = [read.load(path) for path in read.run_files(["out"])]
    assert [run.status for run in runs] == ["finished"] * 3 and {run.config["seed"] for run in runs} == {0, 1, 2}
    begun = [line for log in Path("out").glob("tune-*.log") for line in log.read_text().splitlines() if "begun" in line]
    assert len(begun) == 3
    first = next(iter(sorted(Path("out").glob(f"tune-{job}-0.log")))).read_text()
    assert first.count("begun") == 3  # one at a time: the first task has taken all


def test_status_says_which_jobs_failed_and_why(folder):
    (job,) = submitted("small.yaml", "-s", "data.name=no-such-data", "--ntasks-per-node", "2")
    assert ended(job) == ["FAILED 2:0"]
    code, text = pmom("status")
    assert code == 0 and f"job {job}" in text and "job failed" in text and "FAILED; exit code 2:0" in text
    (again,) = submitted("small.yaml", "-s", "iterations=3", "--ntasks-per-node", "2")
    assert ended(again) == ["COMPLETED 0:0"]
    assert "job failed" not in pmom("status")[1]


@pytest.mark.slow
def test_before_the_time_is_up_the_file_is_completed(folder):
    words = ("--time=2", str(ROOT / "jobs/one-node.sbatch"), QUICKSTART, "-s", "iterations=100000000")
    job = sbatch(*words)
    assert ended(job) == ["FAILED 138:0"]
    run = read.load(f"results/pmom-{job}.h5")
    assert run.status == "interrupted" and run.iterations == run.attributes["iterations"] > 0


def test_doctor_names_the_mode_of_preemption(folder):
    row = batch.preemption()[0]
    assert (
        row.state == "note"
        and "PreemptMode is REQUEUE; of partitions: " in row.finding
        and "gone CANCEL" in row.finding
    )
    assert "--chain" in row.remedy
