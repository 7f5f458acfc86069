"""Batch scripts, and jobs of a real Slurm where one takes them (tests/cluster/slurm_here.sh starts one)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from pmom_mpi.analysis import read
from pmom_mpi.campaign import slurm
from pmom_mpi.cli import main

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
    "name": "small", "iterations": 20, "step_size": 0.5, "problem": {"kind": "slow_parts:Slow"}, "momentum": "sgd",
    "data": {"name": "digits", "nodes": 2}, "evaluate": {"every": 5}, "record": {"flush_seconds": 0},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slow_parts.py").write_text(MODULE)
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(BASE))
    (tmp_path / "tune.yaml").write_text(yaml.safe_dump({"base": "small.yaml", "seeds": 3, "output": "out"}))
    return tmp_path


def pmom(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(words))
    return done.exit_code, done.output


def test_a_script_says_what_was_asked_for(folder):
    code, text = pmom(
        "submit", "small.yaml", "-s", "seed=3", "-s", "step_size=0.1", "--nodes", "2", "--ntasks-per-node", "4",
        "--time", "01:00:00", "--partition", "fast", "--requeue", "--option=--account=a b", "--dry-run",
    )  # fmt: skip
    assert code == 0
    for line in (
        "--nodes=2", "--ntasks-per-node=4", "--time=01:00:00", "--partition=fast", "--requeue", "--account=a b",
        "--signal=B:USR1@60", "--job-name=small",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in text
    run = 'pmom launch -n "$SLURM_NTASKS" small.yaml --resume -s seed=3 -s step_size=0.1 -o results/small-3.h5 &\n'
    assert run in text and "scontrol requeue" in text and "--array" not in text
    assert subprocess.run(["bash", "-n"], input=text, text=True).returncode == 0
    assert not (folder / "results").exists()


def test_a_sweep_is_an_array_over_what_is_not_complete(folder):
    assert pmom("sweep", "tune.yaml", "--dry-run")[0] == 0
    code, text = pmom("submit", "tune.yaml", "--ntasks-per-node", "4", "--array-limit", "2", "--dry-run")
    assert code == 0 and "#SBATCH --array=0-2%2\n" in text and "#SBATCH --no-requeue\n" in text
    assert 'pmom sweep tune.yaml -o out -j 1 -n "$SLURM_NTASKS" --no-wait &\n' in text
    assert "--time" not in text and "--partition" not in text and "scontrol" not in text
    assert subprocess.run(["bash", "-n"], input=text, text=True).returncode == 0
    subprocess.run([sys.executable, "-m", "pmom_mpi", "sweep", "tune.yaml", "-j", "3"], check=True, capture_output=True)
    code, text = pmom("submit", "tune.yaml", "--dry-run")
    assert code == 2 and "all of its 3 runs are complete" in text


def test_a_template_of_ones_own(folder):
    (folder / "mine").write_text("#!/bin/bash\n#SBATCH -n {{ nodes * ntasks_per_node }}\n{{ command }}\n")
    code, text = pmom("submit", "small.yaml", "--template", "mine", "--nodes", "3", "--dry-run")
    assert (code, text.splitlines()[1]) == (0, "#SBATCH -n 3")
    (folder / "mine").write_text("{{ nodse }}")
    assert pmom("submit", "small.yaml", "--template", "mine") == (2, "pmom: error: mine: 'nodse' is undefined\n")
    code, text = pmom("submit", "small.yaml", "--template", "none")
    assert code == 2 and text.startswith("pmom: error: --template none: cannot read it")


def test_what_cannot_be_submitted_is_one_line(folder, monkeypatch):
    code, text = pmom("submit", "tune.yaml", "-s", "seed=1")
    assert code == 2 and "-s seed=1: is for configs" in text
    assert pmom("submit", "small.yaml", "-s", "seed=-1")[0] == 2
    monkeypatch.setenv("PATH", str(folder))
    code, text = pmom("submit", "small.yaml")
    assert code == 2 and "there is no Slurm here; results/small-0.sbatch is written" in text
    assert (folder / "results/small-0.sbatch").exists()
    (folder / "results" / "jobs.json").write_text("{")
    code, text = pmom("status")
    assert code == 2 and "jobs.json: not a list of jobs" in text


def takes_jobs() -> bool:
    """Whether there is a Slurm with an idle node."""
    if shutil.which("sinfo") is None:
        return False
    command = ["sinfo", "-h", "-t", "idle,mix", "-o", "%D"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return found.returncode == 0 and found.stdout.strip() not in ("", "0")


real = [
    pytest.mark.slow,
    pytest.mark.skipif(not takes_jobs(), reason="no Slurm that takes jobs: cluster/slurm_here.sh"),
]


def wait(folder: Path, job: str, seconds: float = 240) -> None:
    """Until nothing of the job is left in the queue."""
    deadline = time.monotonic() + seconds
    while subprocess.run(["squeue", "-h", "-j", job], capture_output=True, text=True).stdout.strip():
        logs = "".join(path.read_text() for path in folder.rglob("*.log"))
        assert time.monotonic() < deadline, f"job {job} goes on\n{logs}"
        time.sleep(0.5)


def submitted(folder: Path, *words: str) -> str:
    code, text = pmom("submit", *words)
    assert code == 0, text
    return text.split()[1].rstrip(":")


def undisturbed(folder: Path, *overrides: str) -> dict:
    words = [word for override in overrides for word in ("-s", override)]
    command = [
        sys.executable,
        "-m",
        "pmom_mpi",
        "run",
        "small.yaml",
        *words,
        "-s",
        "problem.seconds=0",
        "-o",
        "whole.h5",
    ]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    return numbers(folder / "whole.h5")


def numbers(path: Path) -> dict:
    run = read.load(path)
    kept = (name for name in run.metrics if not name.startswith(("time_", "overhead")))
    return {name: run.metrics[name].tobytes() for name in kept} | {"x": run.model().tobytes(), "status": run.status}


class TestSlurm:
    """What Slurm makes of our scripts."""

    pytestmark = real

    def test_a_run(self, folder):
        job = submitted(folder, "small.yaml", "--ntasks-per-node", "3")
        assert [entry.id for entry in slurm.jobs(folder / "results")] == [job]
        wait(folder, job)
        run = read.load(folder / "results/small-0.h5")
        assert (run.status, run.facts["ranks"]) == ("finished", 3)

    def test_a_sweep_as_an_array(self, folder):
        job = submitted(folder, "tune.yaml", "--ntasks-per-node", "2", "--array-limit", "2", "--option=--begin=now+4")
        code, text = pmom("status", "out")
        assert code == 0 and f"job {job}_[0-2%2]" in text and "3 waiting" in text
        wait(folder, job)
        runs = [read.load(path) for path in (folder / "out").glob("*.h5") if ".checkpoint" not in path.name]
        assert [run.status for run in runs] == ["finished"] * 3 and {run.config["seed"] for run in runs} == {0, 1, 2}
        assert pmom("sweep", "tune.yaml")[0] == 0

    def test_when_the_time_is_up_it_is_saved_requeued_and_goes_on(self, folder):
        whole = undisturbed(folder, "iterations=70")
        job = submitted(folder, "small.yaml", "-s", "iterations=70", "-s", "problem.seconds=0.4", "--requeue",
                        "--ntasks-per-node", "2", "--time", "2")  # fmt: skip
        self.goes_on(job, folder, whole)

    def test_a_run_that_slurm_takes_the_host_from_is_requeued_and_goes_on(self, folder):
        overrides = ("iterations=60", "checkpoint.every=2")
        whole = undisturbed(folder, *overrides)
        words = [word for override in (*overrides, "problem.seconds=0.2") for word in ("-s", override)]
        job = submitted(folder, "small.yaml", *words, "--requeue", "--ntasks-per-node", "2")
        place = folder / "results/small-0.h5"
        deadline = time.monotonic() + 60
        while not place.exists() or read.load(place).iterations < 6:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        subprocess.run(["scontrol", "requeue", job], check=True)  # what preemption with PreemptMode=REQUEUE does
        self.goes_on(job, folder, whole)

    def goes_on(self, job: str, folder: Path, whole: dict) -> None:
        """A requeued job waits two minutes by default; let it begin sooner, and see that its run ends as it should."""
        place, deadline, looks = folder / "results/small-0.h5", time.monotonic() + 300, 0
        while not place.exists() or read.load(place).status != "finished":
            assert time.monotonic() < deadline, [path.read_text() for path in folder.rglob("*.log")]
            waits = subprocess.run(["squeue", "-h", "-t", "PD", "-j", job], capture_output=True, text=True).stdout
            looks = looks + 1 if waits.strip() else 0
            if looks == 5:  # not in the second of its end: slurmd would take the new job for the old one
                subprocess.run(["scontrol", "update", f"jobid={job}", "starttime=now"], capture_output=True)
            time.sleep(1)
        wait(folder, job)
        assert any(event.what.startswith("resumed") for event in read.load(place).events)
        assert numbers(place) == whole
