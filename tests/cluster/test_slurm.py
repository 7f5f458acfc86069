"""The scripts of jobs/ and those of pmom submit, and what a real Slurm makes of them."""

from __future__ import annotations

import json
import os
import shutil
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
from pmom_mpi.cluster.cores import cores
from pmom_mpi.cluster.mpirun import OPEN_MPI, find
from pmom_mpi.data.library import cache_directory

pytestmark = [pytest.mark.usefixtures("slurm"), pytest.mark.alone]

ROOT = Path(pmom_mpi.__file__).parents[1]
QUICKSTART = str(ROOT / "configs" / "quickstart.yaml")
MODULE = """
import dataclasses, os, time
from pmom_mpi.problems.softmax_regression import SoftmaxRegression

@dataclasses.dataclass
class Slow(SoftmaxRegression):
    seconds: float = 0.0

    def gradient(self, x, node, iteration, out):
        if iteration >= 6 and not os.path.exists("go"):
            time.sleep(self.seconds)
        return super().gradient(x, node, iteration, out)
"""
BASE = {
    "name": "small", "iterations": 60, "step_size": 0.5, "problem": {"kind": "slow_parts:Slow", "seconds": 0.5},
    "data": {"name": "digits", "nodes": 2}, "evaluate": {"every": 5}, "record": {"flush_seconds": 0},
    "momentum": {"kind": "ema", "beta": 0.3}, "bias": [{"kind": "ef14"}, {"kind": "top_k", "k": 9}],
    "checkpoint": {"every": 2},
}  # fmt: skip
"""From iteration 6 on it takes its time, a minute in all, until there is a file ``go``: it cannot end too early."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    (tmp_path / "slow_parts.py").write_text(MODULE)
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(BASE))
    raw = {"base": "small.yaml", "grid": {"iterations": [5]}, "seeds": 2, "output": "out"}
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
    if any(task["JobState"] == "FAILED" for task in tasks):  # pytest shows it where that is not what a test expects
        print(*(path.read_text(errors="replace") for path in Path.cwd().rglob("*.log")), sep="\n")
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


def test_a_job_runs_a_config_and_bad_input_fails_it(folder):
    config = (QUICKSTART, "-s", "iterations=5")
    one = sbatch("--ntasks=3", str(ROOT / "jobs/one-node.sbatch"), *config)
    several = ("--nodes=1", "--ntasks=2", "--ntasks-per-node=2", str(ROOT / "jobs/several-nodes.sbatch"))
    many = sbatch(*several, *config)
    bad = sbatch("--ntasks=2", str(ROOT / "jobs/one-node.sbatch"), QUICKSTART, "-s", "iterations=none")
    for job, ranks in ((one, 3), (many, 2)):
        assert ended(job) == ["COMPLETED 0:0"], (folder / f"pmom-{job}.log").read_text()
        run = read.load(f"results/pmom-{job}.h5")
        assert (run.status, run.iterations, run.facts["ranks"]) == ("finished", 5, ranks)
    assert ended(bad) == ["FAILED 2:0"]
    assert "iterations" in (folder / f"pmom-{bad}.log").read_text()


def test_arrays_of_seeds_and_of_a_sweep(folder):
    both = ("--array=0-1", "--ntasks=2")
    seeds = sbatch(*both, str(ROOT / "jobs/seeds.sbatch"), QUICKSTART, "-s", "iterations=5")
    sweep = sbatch(*both, str(ROOT / "jobs/sweep.sbatch"), "tune.yaml")
    assert ended(seeds) == ended(sweep) == ["COMPLETED 0:0"] * 2
    assert [read.load(f"results/pmom-seeds-{seeds}-{seed}.h5").config["seed"] for seed in (0, 1)] == [0, 1]
    runs = [read.load(path) for path in read.run_files(["out"])]
    assert sorted((run.status, run.config["seed"]) for run in runs) == [("finished", seed) for seed in range(2)]


@pytest.mark.usefixtures("mnist")
def test_the_papers_curves_are_an_array(folder):
    job = sbatch("--array=3", "--ntasks=3", str(ROOT / "jobs/paper.sbatch"), "--setting=none-beta1", "--iterations=1")
    assert ended(job) == ["COMPLETED 0:0"]
    run = read.load("results/reproduce/none-beta1-seed3.h5")
    assert (run.status, run.iterations, run.facts["ranks"]) == ("finished", 1, 3)
    assert "setting" in (folder / f"pmom-paper-{job}-3.log").read_text()  # the table of deviations


def test_preempted_jobs_go_on_with_the_same_bits_queued_again_or_as_the_next_of_a_chain(folder, whole):
    """Three at a time: a script of jobs/ whose time is nearly up, one that is queued again, one that is cancelled."""
    files = ["long.h5", "again/run.h5", "gone/run.h5"]
    options = ("--partition=again", "--ntasks=2", "--signal=B:USR1@60")
    script = sbatch(*options, str(ROOT / "jobs/preemptible.sbatch"), files[0], "small.yaml")
    (again,) = submitted("small.yaml", "-o", files[1], "--ntasks-per-node", "2", "--requeue", "--partition", "again")
    chain = submitted("small.yaml", "-o", files[2], "--ntasks-per-node", "2", "--chain", "3", "--partition", "gone")
    assert [entry.id for entry in commands.jobs(folder / "again")] == [again]
    for file in files:
        until(has(file, 4))
    (state,) = json.loads(pmom("status", "again", "--json")[1])
    assert state["state"] == "running" and state["rate"] > 0 and 4 <= state["iteration"] < 60
    waiting = [entry for entry in json.loads(pmom("status", "gone", "--json")[1]) if entry["state"] == "queued"]
    assert {entry["message"] for entry in waiting} == {"Dependency"} and len(waiting) == 2
    subprocess.run(["scancel", "--batch", "--signal=USR1", script], check=True)  # as Slurm does before the time is up
    other = sbatch("--ntasks=8", "--wrap", "touch go")  # takes all CPUs: our jobs must go
    assert ended(other) == ["COMPLETED 0:0"]
    assert ended(chain[0])[0].split()[0] in ("PREEMPTED", "FAILED")  # the latter where it had saved itself by then
    for file in files:
        until(lambda file=file: read.load(file).status == "finished")
        assert went_on(file, whole)
    assert ended(again) == ended(script) == ended(chain[1]) == ["COMPLETED 0:0"]
    until(lambda: chain[2] not in queue())  # nothing is left to do for it


def test_a_sweep_as_an_array_whose_tasks_take_several_runs(folder):
    (job,) = submitted("tune.yaml", "--ntasks-per-node", "2", "--array-limit", "1", "--option=--begin=now+2")
    code, text = pmom("status", "out")
    assert code == 0 and f"job {job}_[0-1%1]" in text and "2 waiting" in text
    (bad,) = submitted("small.yaml", "-s", "data.name=no-such-data", "--ntasks-per-node", "2")
    assert ended(bad) == ["FAILED 2:0"]
    until(lambda: "FAILED; exit code 2:0" in pmom("status")[1])  # accounts are behind by a moment
    code, text = pmom("status")
    assert code == 0 and f"job {bad}" in text and "job failed" in text
    (again,) = submitted("small.yaml", "-s", "iterations=3", "--ntasks-per-node", "2")
    assert ended(again) == ["COMPLETED 0:0"]
    assert "job failed" not in pmom("status")[1]
    assert ended(job) == ["COMPLETED 0:0"] * 2
    runs = [read.load(path) for path in read.run_files(["out"])]
    assert [run.status for run in runs] == ["finished"] * 2 and {run.config["seed"] for run in runs} == {0, 1}
    first = next(iter(sorted(Path("out").glob(f"tune-{job}-0.log")))).read_text()
    assert first.count("begun") == 2  # one at a time: the first task has taken all


def accounts() -> bool:
    """Whether this Slurm keeps accounts, of which sacct tells."""
    return subprocess.run(["sacct", "--noheader"], capture_output=True, timeout=60).returncode == 0


def failed(folder: str) -> dict[str, str]:
    """What pmom status says of the jobs of a folder that did not end well, by id."""
    told = [entry for entry in json.loads(pmom("status", folder, "--json")[1]) if entry["state"] == "job failed"]
    return {Path(entry["path"]).name.removeprefix("job "): entry["message"] for entry in told}


def test_a_job_that_has_left_the_queue_is_named_by_its_state_in_the_accounts(folder, monkeypatch):
    """Out of time, cancelled, out of memory, failed; from sacct, and from what scontrol remembers."""
    if not accounts():
        pytest.skip("this Slurm keeps no accounts: slurm_here.sh does with slurmdbd and mariadb-server")
    cases = {
        "late": ("TIMEOUT", ["--option=--signal=B:CONT@1"]),  # it is not told beforehand, and so has not saved itself
        "gone": ("CANCELLED", []),
        "bad": ("FAILED", ["-s", "data.name=no-such-data"]),
    }
    if "task/cgroup" in subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True).stdout:
        cases["big"] = ("OUT_OF_MEMORY", ["--option=--mem=60"])
    jobs = {name: submitted("small.yaml", *more, "-o", f"{name}/run.h5")[0] for name, (_, more) in cases.items()}
    for name in ("late", "gone"):
        until(has(f"{name}/run.h5", 2))
    for change in ("timelimit=1", "endtime=now+1"):  # Slurm looks at it twice a minute
        subprocess.run(["scontrol", "update", f"jobid={jobs['late']}", change], check=True)
    subprocess.run(["scancel", jobs["gone"]], check=True)
    until(lambda: not set(jobs.values()) & set(queue()))
    for tools in (("sacct", "squeue"), ("scontrol", "squeue")):
        only = folder / tools[0]
        only.mkdir()
        for program in tools:
            (only / program).symlink_to(str(shutil.which(program)))
        with monkeypatch.context() as patch:
            patch.setenv("PATH", str(only))
            for name, (state, _) in cases.items():
                until(lambda name=name: bool(failed(name)), 30)
                assert failed(name)[jobs[name]].startswith(state), (name, tools)
                assert state in pmom("status", name)[1]


@pytest.mark.slow
def test_before_the_time_is_up_the_file_is_completed(folder):
    words = ("--time=2", str(ROOT / "jobs/one-node.sbatch"), QUICKSTART, "-s", "iterations=100000000")
    job = sbatch(*words)
    assert ended(job) == ["FAILED 138:0"]
    run = read.load(f"results/pmom-{job}.h5")
    assert run.status == "interrupted" and run.iterations == run.attributes["iterations"] > 0


AFFINITY = """
import os
from pathlib import Path
from pmom_mpi.problems.softmax_regression import SoftmaxRegression

if "OMPI_COMM_WORLD_RANK" in os.environ:
    name = f"cores-{os.environ['RUN']}-{os.environ['OMPI_COMM_WORLD_RANK']}-{os.environ['OPENBLAS_NUM_THREADS']}"
    Path(name).write_text(" ".join(map(str, sorted(os.sched_getaffinity(0)))))

class Seen(SoftmaxRegression):
    pass
"""


def test_ranks_with_threads_are_bound_to_the_cpus_of_their_task(folder):
    """A rank with all of a task's CPUs, and two ranks that share them."""
    if find().vendor != OPEN_MPI:
        pytest.skip("reads the rank from Open MPI's variable")
    threads = min(cores().usable // 2, 4)
    if threads == 0:
        pytest.skip("needs two cores")
    (folder / "seen_parts.py").write_text(AFFINITY)
    (folder / "seen.yaml").write_text(yaml.safe_dump(BASE | {"problem": "seen_parts:Seen", "iterations": 2}))
    launch = "pmom launch -v seen.yaml --overwrite -o seen.h5"
    both = f"RUN=one {launch} -n 1 --threads {2 * threads} && RUN=two {launch} -n 2 --threads {threads}"
    job = sbatch("--ntasks=1", f"--cpus-per-task={2 * threads}", "--output=seen.log", f"--wrap={both}")
    assert ended(job) == ["COMPLETED 0:0"]
    assert (folder / "seen.log").read_text().count("--bind-to core") == 2
    seen = {path.name: set(map(int, path.read_text().split())) for path in folder.glob("cores-*")}
    assert len(seen[f"cores-one-0-{2 * threads}"]) == 2 * threads
    first, second = (seen[f"cores-two-{rank}-{threads}"] for rank in (0, 1))
    assert len(first) == len(second) == threads and not first & second


def test_doctor_in_a_job_names_preemption_fabric_data_and_what_srun_can_do(folder):
    job = sbatch("--ntasks=2", "--cpus-per-task=2", "--output=doctor.log", "--wrap=pmom doctor . --json > doctor.json")
    ended(job)  # its status says whether anything is bad, and this machine may lack something
    rows = {row["what"]: row for row in json.loads((folder / "doctor.json").read_text())}
    assert rows["batch system"]["finding"] == "Slurm grants 2 rank(s) on 1 host(s), 4 CPU(s)"
    assert rows["preemption"]["finding"].startswith("Slurm's PreemptMode is REQUEUE; of partitions: ")
    assert "gone CANCEL" in rows["preemption"]["finding"] and "--chain" in rows["preemption"]["remedy"]
    assert "every rank sees 2 ranks" in rows["a job of 2 ranks"]["finding"]
    if find().vendor == OPEN_MPI:
        assert rows["MPI's fabric"]["finding"] in ("ob1, over sm", "ob1, over vader", "ucx")
    assert rows["data on the hosts"]["finding"].endswith(f" in {cache_directory()}, on 1 host(s)")
    assert "cannot start jobs here" in rows["srun"]["finding"] or rows["srun"]["state"] == "good"
