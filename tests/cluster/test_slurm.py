"""The scripts of jobs/, submitted where there is a Slurm that takes jobs (a machine's own for testing will do)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

import pmom_mpi
from pmom_mpi.analysis import read

ROOT = Path(pmom_mpi.__file__).parents[1]


def slurm_takes_jobs() -> bool:
    if shutil.which("sbatch") is None:
        return False
    found = subprocess.run(["sinfo", "-h", "-t", "idle,mix", "-o", "%D"], capture_output=True, text=True, timeout=60)
    return found.returncode == 0 and found.stdout.strip() not in ("", "0")


pytestmark = [pytest.mark.slow, pytest.mark.skipif(not slurm_takes_jobs(), reason="no Slurm that takes jobs")]


def submit(tmp_path: Path, script: str, *arguments: str, options: tuple[str, ...] = ()) -> str:
    """Submit a script of jobs/ from a folder of its own; returns the job's id."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = ["sbatch", "--parsable", *options, str(ROOT / "jobs" / script), *arguments]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, env=os.environ | {"PATH": path}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def wait(job: str, seconds: float = 300) -> str:
    """The job's state and exit code once it has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        shown = subprocess.run(["scontrol", "show", "job", job], capture_output=True, text=True, timeout=60).stdout
        words = dict(word.split("=", 1) for word in shown.split() if "=" in word)
        if words["JobState"] not in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING"):
            return f"{words['JobState']} {words['ExitCode']}"
        time.sleep(1)
    raise AssertionError(f"job {job} goes on after {seconds} s")


def test_one_node(tmp_path):
    job = submit(tmp_path, "one-node.sbatch", str(ROOT / "configs/quickstart.yaml"), "-s", "iterations=20")
    assert wait(job) == "COMPLETED 0:0", (tmp_path / f"pmom-{job}.log").read_text()
    run = read.load(tmp_path / "results" / f"pmom-{job}.h5")
    assert (run.status, run.iterations, run.facts["ranks"]) == ("finished", 20, 4)


def test_bad_input_fails_the_job(tmp_path):
    job = submit(tmp_path, "one-node.sbatch", str(ROOT / "configs/quickstart.yaml"), "-s", "iterations=none")
    assert wait(job) == "FAILED 2:0"
    assert "iterations" in (tmp_path / f"pmom-{job}.log").read_text()


def test_before_the_time_is_up_the_file_is_completed(tmp_path):
    config = str(ROOT / "configs/quickstart.yaml")
    job = submit(tmp_path, "one-node.sbatch", config, "-s", "iterations=100000000", options=("--time=2",))
    assert wait(job) == "FAILED 138:0"
    run = read.load(tmp_path / "results" / f"pmom-{job}.h5")
    assert run.status == "interrupted" and run.iterations == run.attributes["iterations"] > 0


def test_an_array_is_a_seed_a_job(tmp_path):
    config = str(ROOT / "configs/quickstart.yaml")
    job = submit(tmp_path, "seeds.sbatch", config, "-s", "iterations=20", options=("--array=3-4", "--ntasks=2"))
    for seed in (3, 4):
        assert wait(f"{job}_{seed}").startswith("COMPLETED")
        assert read.load(tmp_path / "results" / f"pmom-seeds-{job}-{seed}.h5").config["seed"] == seed


def test_tasks_of_an_array_share_a_sweep(tmp_path):
    raw = {"base": str(ROOT / "configs/quickstart.yaml"), "grid": {"iterations": [10, 20]}, "seeds": 2, "output": "out"}
    (tmp_path / "tune.yaml").write_text(yaml.safe_dump(raw))
    job = submit(tmp_path, "sweep.sbatch", "tune.yaml", options=("--array=0-1", "--ntasks=2"))
    for task in (0, 1):
        assert wait(f"{job}_{task}").startswith("COMPLETED")
    runs = [read.load(path) for path in read.run_files([tmp_path / "out"])]
    assert sorted((run.iterations, run.config["seed"]) for run in runs) == [(10, 0), (10, 1), (20, 0), (20, 1)]


def test_a_preemptible_run_goes_on_when_it_is_requeued(tmp_path):
    config = str(ROOT / "configs/quickstart.yaml")
    words = (config, "-s", "iterations=3000", "-s", "checkpoint.every=10", "-s", "record.flush_seconds=0")
    job = submit(tmp_path, "preemptible.sbatch", "long.h5", *words, options=("--ntasks=2",))
    deadline = time.monotonic() + 120
    while not (tmp_path / "long.h5").exists() or read.load(tmp_path / "long.h5").iterations < 30:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    subprocess.run(["scontrol", "requeue", job], check=True)
    time.sleep(5)  # not in the second of its end: slurmd would take the new job for the old one
    subprocess.run(["scontrol", "update", f"jobid={job}", "starttime=now"], check=True)
    assert wait(job).startswith("COMPLETED"), (tmp_path / f"pmom-long-{job}.log").read_text()
    run = read.load(tmp_path / "long.h5")
    assert (run.status, run.iterations) == ("finished", 3000)
    assert any(event.what.startswith("resumed") for event in run.events)
