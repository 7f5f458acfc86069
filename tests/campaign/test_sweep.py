"""Sweeps as processes: run, stopped, killed, gone on with, summed up."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import h5py
import pytest
import yaml

import pmom_mpi
from pmom_mpi.analysis import read
from pmom_mpi.campaign import compare, sweep_file
from pmom_mpi.campaign.identity import complete
from pmom_mpi.campaign.opening import open_runs
from pmom_mpi.record import choices, pack
from pmom_mpi.runtime import experiment
from pmom_mpi.words.errors import UserError

ROOT = Path(pmom_mpi.__file__).parents[1]
MODULE = """
import dataclasses, os, time
from pmom_mpi.problems.softmax_regression import SoftmaxRegression

@dataclasses.dataclass
class Slow(SoftmaxRegression):
    seconds: float = 0.0
    breaks: bool = False

    def gradient(self, x, node, iteration, out):
        if not os.path.exists("go"):
            time.sleep(self.seconds)
        if self.breaks and os.path.exists("break"):
            raise RuntimeError("broken on purpose")
        return super().gradient(x, node, iteration, out)
"""


def sweep(**changes):
    return {
        "base": {
            "iterations": 8, "step_size": 0.1, "problem": {"kind": "sweep_parts:Slow"}, "evaluate": {"every": 2},
            "data": {"name": "digits", "nodes": 2}, "gradient": {"batch": 64},
            "momentum": {"kind": "ema", "beta": 0.1},
            "checkpoint": {"every": 2}, "record": {"flush_seconds": 0},
        },
        "variants": {
            "method": {"dense": {"bias": []}, "top1": {"bias": [{"kind": "ef14"}, {"kind": "top_k", "k": 6}]}}
        },
        "seeds": 2,
    } | changes  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "sweep_parts.py").write_text(MODULE)
    return tmp_path


def write(folder: Path, raw: dict) -> Path:
    path = folder / "elsewhere" / "tune.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    return path


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pmom_mpi", "sweep", "elsewhere/tune.yaml", "-o", "out", *options]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(folder: Path, *options: str) -> tuple[int, str]:
    process = start(folder, *options)
    out, err = process.communicate(timeout=300)
    return process.returncode, out + err


def contents(folder: Path) -> dict[str, bytes]:
    """Every number of every run file that is not a time."""
    found = {}
    for path in sorted(folder.glob("*.h5")):
        if ".checkpoint-" in path.name:
            continue
        with h5py.File(path, "r") as file:
            names = [name for name in file["metrics"] if not name.startswith(("time_", "overhead"))]
            found |= {f"{path.name}/{name}": file["metrics"][name][()].tobytes() for name in names}
            found |= {f"{path.name}/x": file["final/x"][()].tobytes(), f"{path.name}/status": file.attrs["status"]}
    return found


def test_a_sweep_runs_skips_and_sums_up(folder):
    write(folder, sweep(grid={"step_size": [0.1, 0.5]}))
    code, said = run(folder, "--dry-run")
    assert code == 0 and "8 runs -> out: 8 waiting" in said and not (folder / "out").exists()
    code, said = run(folder, "-j", "2", "--best", "test_accuracy", "--target", "test_accuracy=0.3")
    assert code == 0, said
    files = read.run_files([folder / "out"])
    runs = list(map(read.load, files))
    assert len(runs) == 8 and all(complete(run) and run.facts["ranks"] == 1 for run in runs)
    assert "dense, step_size = 0.5" in said and " ± " in said and "8 of 8 done" in said and "shared" in said
    assert said.count("best test_accuracy: ") == 2
    best = yaml.safe_load((folder / "out" / "best-top1.yaml").read_text())
    means = {}
    for found in runs:
        if found.config["bias"]:
            means.setdefault(found.config["step_size"], []).append(found.metrics["test_accuracy"][-1])
    assert best["step_size"] == max(means, key=lambda size: sum(means[size])) and best["bias"][1]["k"] == 6

    named = [f"{method}, step_size = {size}" for method in ("dense", "top1") for size in (0.1, 0.5)]
    pack.pack({path.stem: path for path in files}, folder / "all.h5")
    for place in ("out", "all.h5"):  # in the sweep's words and order, which the folder and a packed file know
        found = open_runs(folder / place)
        assert [group.label for group in compare.groups(found.runs)] == named
        assert found.axes == {"method": ["dense", "top1"], "step_size": [0.1, 0.5], "seed": [0, 1]}
    assert [line.split("  ")[0].strip() for line in said.splitlines() if ", step_size = " in line][:4] == named

    changed = {path: path.stat().st_mtime_ns for path in files}
    (folder / "out" / choices.NAME).write_text("{")
    with pytest.raises(UserError, match="choices.json: not what pmom sweep writes"):
        open_runs(folder / "out")
    code, said = run(folder)
    assert code == 0 and "8 of 8 done (8 before)" in said and len(open_runs(folder / "out").axes) == 3
    assert changed == {path: path.stat().st_mtime_ns for path in files}


@pytest.mark.usefixtures("mnist")
def test_the_paper_s_sweep_shrunk(folder):
    raw = yaml.safe_load((ROOT / "configs/sweeps/paper-mnist.yaml").read_text())
    raw["base"] |= {"iterations": 2, "data": {"name": "mnist", "nodes": 5, "limit": 500}, "evaluate": {"every": 0}}
    runs = sweep_file.load(write(folder, raw | {"grid": {"momentum.beta": [0.1]}, "seeds": [3]})).runs
    assert len(runs) == 8
    done = [experiment.run(one.raw, output=folder / f"{place}.h5").path for place, one in enumerate(runs)]
    losses = {read.load(path).metrics["train_loss"][1] for path in done}
    assert len(losses) >= 6, "the methods differ"


def test_why_runs_fail_and_that_they_are_tried_again_on_demand(folder):
    raw = sweep(seeds=[0])
    raw["variants"]["method"] |= {
        "broken": {"bias": [], "problem.breaks": True},
        "absent": {"data.name": "no-such-data"},
        "wild": {"step_size": 1e39, "problem.seconds": 0.001, "dtype": "float32"},
    }
    write(folder, raw)
    (folder / "break").touch()
    code, said = run(folder, "-j", "2")
    assert code == 1 and "3 of 5 done, 2 failed" in said
    assert "broken on purpose" in said and "no-such-data" in said and "1 of 1 diverged" in said
    code, said = run(folder)
    assert code == 1 and said.count("--retry-failed tries it again") == 2
    (folder / "break").unlink()
    code, said = run(folder, "--retry-failed")
    assert code == 1 and "4 of 5 done (3 before), 1 failed" in said
    (status,) = [read.load(path).status for path in (folder / "out").glob("broken-seed0-????????.h5")]
    assert status == "finished"


def test_stop_first_begins_nothing_after_a_failure(folder):
    write(folder, sweep(variants={"where": {"a": {"data.name": "no-such-data"}, "b": {}, "c": {}}}, seeds=[0],
                        grid={"iterations": [3]}, exclude=[{"where": "c"}]))  # fmt: skip
    code, said = run(folder, "--stop-first", "-j", "1")
    assert code == 1 and "0 of 2 done, 1 failed" in said
    assert not list((folder / "out").glob("b-*.h5"))


@pytest.mark.parametrize(("number", "ranks"), [(signal.SIGINT, 1), (signal.SIGUSR1, 2)])
def test_a_signal_saves_all_runs_and_the_sweep_goes_on(folder, number, ranks):
    raw = sweep(seeds=[0])
    raw["base"] |= {"iterations": 40, "checkpoint": {}, "problem": {"kind": "sweep_parts:Slow", "seconds": 0.05}}
    write(folder, raw)
    process = start(folder, "-j", "2", "-n", str(ranks))
    deadline = time.monotonic() + 120
    while not (files := list((folder / "out").glob("*.h5"))) or min(read.load(path).iterations for path in files) < 2:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number, err
    assert "setting" in out and "not over" in out, out
    begun = read.run_files([folder / "out"])
    (folder / "go").touch()
    assert begun and all(read.load(path).status == "interrupted" for path in begun)
    code, said = run(folder, "-j", "2", "-n", str(ranks))
    assert code == 0 and "2 of 2 done" in said, said
    resumed = [read.load(path) for path in begun]
    assert all(run.events and run.facts["ranks"] == ranks and run.iterations == 40 for run in resumed)


def test_a_folder_of_another_base_is_refused(folder):
    write(folder, sweep(seeds=[0]))
    assert run(folder)[0] == 0
    other = sweep(seeds=[0])
    other["base"]["momentum"]["beta"] = 0.5
    write(folder, other)
    code, said = run(folder)
    assert code == 2 and "momentum.beta: changed since out/dense-seed0-" in said


def killed_at_random(folder: Path, times: int, seeds: int) -> None:
    """Kill the sweep, or a run of it, at random, and start it again; the end is that of an undisturbed one."""
    raw = sweep(seeds=seeds)
    raw["base"]["iterations"] = 12
    raw["base"]["problem"] |= {"seconds": 0.02}
    write(folder, raw)
    assert run(folder, "-j", "2")[0] == 0
    whole = contents(folder / "out")
    (folder / "out").rename(folder / "whole")
    dice = random.Random(times)
    for _ in range(times):
        process = start(folder, "-j", "2")
        time.sleep(dice.uniform(1, 5))
        children = children_of(process.pid)
        for victim in dice.sample([process.pid, *children], dice.randint(1, len(children) + 1)):
            with suppress(ProcessLookupError):  # it may have ended by itself
                os.kill(victim, signal.SIGKILL)
        process.kill()
        process.communicate()
    code, said = run(folder, "-j", "2")
    assert code == 0, said
    assert contents(folder / "out") == whole


def children_of(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(path.parent.name))
    return found


def test_killed_at_random_it_ends_the_same(folder):
    killed_at_random(folder, times=2, seeds=1)


@pytest.mark.slow
def test_killed_twenty_times_at_random_it_ends_the_same(folder):
    killed_at_random(folder, times=20, seeds=2)


def test_two_sweeps_share_the_runs(folder):
    raw = sweep()
    raw["base"]["problem"] |= {"seconds": 0.02}
    write(folder, raw)
    both = [start(folder, "-j", "1") for _ in range(2)]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    begun = [line for _, err in said for line in err.splitlines() if line.startswith("begun")]
    assert len(begun) == len(set(begun)) == 4
