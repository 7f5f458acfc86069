"""What is said of the runs of a folder, and of runs side by side."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner

from pmom_mpi.analysis import read
from pmom_mpi.analysis.deviation import mean_and_deviation
from pmom_mpi.campaign import compare, states
from pmom_mpi.campaign.outcome import Group, Target, best, table
from pmom_mpi.cli import main
from pmom_mpi.runtime import experiment
from pmom_mpi.words.errors import UserError

RAW = {
    "name": "small", "iterations": 6, "step_size": 0.5, "problem": {"kind": "softmax_regression"},
    "evaluate": {"every": 2},
    "data": {"name": "digits", "nodes": 3}, "gradient": {"batch": 32}, "momentum": {"kind": "ema", "beta": 0.3},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two settings of two seeds, and a run that diverged."""
    made = tmp_path_factory.mktemp("runs")
    for size in (0.5, 0.01):
        for seed in (0, 1):
            experiment.run(RAW | {"seed": seed, "step_size": size}, output=made / f"{size}-{seed}.h5")
    experiment.run(RAW | {"step_size": 1e39, "on_divergence": "continue"}, output=made / "deep" / "wild.h5")
    return made


def said(*words):
    done = CliRunner().invoke(main, list(map(str, words)))
    return done.exit_code, done.output


def test_every_state_is_told(folder, tmp_path):
    (tmp_path / "top1-seed0-0123abcd.yaml").write_text("name: planned\n")
    (tmp_path / "other.yaml").write_text("name: no run\n")
    (tmp_path / "top1-seed1-0123abce.failed").write_text("data: no such file\n")
    (tmp_path / "top1-seed1-0123abce.yaml").write_text("name: failed\n")
    (tmp_path / "junk.h5").write_bytes(b"junk")
    for name in ("0.5-0.h5", "deep/wild.h5"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    code, text = said("status", tmp_path, "--json")
    found = {entry["path"].removeprefix(f"{tmp_path}/"): entry for entry in json.loads(text)}
    assert code == 0
    assert {path: entry["state"] for path, entry in found.items()} == {
        "0.5-0.h5": "finished", "deep/wild.h5": "diverged", "junk.h5": "unreadable",
        "top1-seed0-0123abcd.h5": "waiting", "top1-seed1-0123abce.h5": "failed",
    }  # fmt: skip
    assert found["top1-seed1-0123abce.h5"]["message"] == "data: no such file"
    assert found["0.5-0.h5"]["rate"] is None and found["0.5-0.h5"]["iteration"] == 6
    assert {path: entry["complete"] for path, entry in found.items() if entry["complete"]} == {
        "0.5-0.h5": True, "deep/wild.h5": True
    }  # fmt: skip
    for path in (folder / "0.5-0.h5", folder / "deep" / "wild.h5"):  # a run that has ended is told in a shorter way
        assert states.of_file(path) == states.of_run(read.load(path))
    code, text = said("status", tmp_path)
    assert code == 0 and "1 waiting" in text and re.search(r"deep/wild +diverged +6/6", text)
    assert said("status", tmp_path / "none") == (2, f"pmom: error: {tmp_path / 'none'}: no such folder\n")


def test_a_run_that_goes_on_has_a_rate_and_then_is_killed(tmp_path):
    words = ["problem.kind=softmax_regression", "iterations=10000000", "record.flush_seconds=0"]
    options = [word for override in words for word in ("-s", override)]
    config = tmp_path / "long.yaml"
    config.write_text(json.dumps(RAW))
    command = [sys.executable, "-m", "pmom_mpi", "run", str(config), *options, "-o", str(tmp_path / "long.h5"), "-q"]
    process = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + 60
        while (state := states.of_file(tmp_path / "long.h5")).iteration < 2:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.1)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert state.state == "running" and state.rate > 0
    assert state.left == pytest.approx((10_000_000 - state.iteration) / state.rate)
    assert states.of_file(tmp_path / "long.h5").state == "killed"


def test_watching_on_a_terminal_draws_the_table_again_until_all_is_over(tmp_path):
    module = """
import os, time
from pmom_mpi.problems.softmax_regression import SoftmaxRegression

class Held(SoftmaxRegression):
    def gradient(self, x, node, iteration, out):
        while iteration >= 4 and not os.path.exists("go"):
            time.sleep(0.05)
        return super().gradient(x, node, iteration, out)
"""
    (tmp_path / "held.py").write_text(module)
    (tmp_path / "small.yaml").write_text(json.dumps(RAW | {"problem": "held:Held", "record": {"flush_seconds": 0}}))
    pmom, quiet = [sys.executable, "-m", "pmom_mpi"], subprocess.DEVNULL
    where = {"cwd": tmp_path, "env": os.environ | {"COLUMNS": "100", "TERM": "xterm"}}
    run = subprocess.Popen([*pmom, "run", "small.yaml", "-o", "runs/small.h5", "-q"], stdout=quiet, **where)
    master, slave = pty.openpty()
    shown, watching = "", None
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "runs/small.h5").exists() or states.of_file(tmp_path / "runs/small.h5").iteration < 3:
            assert time.monotonic() < deadline and run.poll() is None
            time.sleep(0.05)
        watching = subprocess.Popen([*pmom, "status", "runs", "--watch"], stdin=slave, stdout=slave, **where)
        os.close(slave)
        while True:
            try:
                shown += os.read(master, 4096).decode()
            except OSError:  # the terminal's other end is closed: the command has ended
                break
            if "1 running" in shown:
                (tmp_path / "go").touch()
        assert watching.wait(60) == 0 and run.wait(60) == 0
    finally:
        (tmp_path / "go").touch()
        os.close(master)
        for process in (run, watching):
            if process is not None:
                process.kill()
                process.wait()
    assert "\x1b[1A" in shown  # the cursor goes up: the table is drawn in its own place
    first, last = shown.partition("1 running")[0], shown.rpartition("1 running")[2]
    assert re.search(r"small +running +[34]/6", first) and re.search(r"small +finished +6/6", last)
    assert "1 finished" in last


def test_runs_are_compared_with_the_first(folder):
    code, text = said("compare", folder / "0.5-0.h5", folder)
    assert code == 0 and "x faster" in text and re.search(r"setting +step_size", text)
    first, second = compare.groups(compare.load([folder / "0.5-0.h5", folder / "0.01-0.h5"]))
    assert (first.runs[0].config["step_size"], second.runs[0].config["step_size"]) == (0.5, 0.01)
    (results, differs) = compare.compare(compare.load([folder]))
    assert len(results.rows) == 3 and sorted(differs.columns) == ["on_divergence", "setting", "step_size"]
    assert {row[differs.columns.index("step_size")] for row in differs.rows} == {"0.5", "0.01", "1e+39"}
    wild = next(row for row in results.rows if "1e+39" in row[0])
    assert wild[-1] == "1 of 1 diverged"
    assert said("compare", folder / "none.h5")[0] == 2


def test_means_and_what_a_target_took(folder):
    runs = tuple(read.load(folder / f"0.5-{seed}.h5") for seed in (0, 1))
    values = [run.metrics["test_accuracy"][-1] for run in runs]
    (row,) = table([Group("half", runs, {})], Target("test_accuracy", 0.5)).rows
    assert mean_and_deviation(values) in row
    first = next(k for k, value in enumerate(runs[0].metrics["test_accuracy"]) if value >= 0.5)
    bits, seconds = Target("test_accuracy", 0.5).reached(runs[0])
    sent = runs[0].metrics["uplink_bits"] + runs[0].metrics["downlink_bits"]
    assert bits == sent[: first + 1].sum() and seconds == runs[0].metrics["time_total"][: first + 1].sum()
    start = runs[0].metrics["train_loss"][0]
    assert Target("train_loss", start).reached(runs[0]) == (0.0, 0.0)
    assert "never" in table([Group("half", runs, {})], Target("test_accuracy", 1.1)).rows[0]
    with pytest.raises(UserError, match="write METRIC=VALUE"):
        Target.parse("accuracy")
    with pytest.raises(UserError, match="--target time_total: no metric of .* those are train_loss"):
        Target("time_total", 1).reached(runs[0])


def test_where_a_seed_never_got_there_no_ratio_is_given_and_it_is_said(folder):
    runs = [read.load(folder / f"{size}-{seed}.h5") for size in (0.5, 0.01) for seed in (0, 1)]
    first, second = Group("half", tuple(runs[:2]), {}), Group("small", tuple(runs[2:]), {})
    highest = [float(np.nanmax(run.metrics["test_accuracy"])) for run in runs]
    heads = table([first], Target("test_accuracy", 0.0), against=True).columns
    ratios = slice(heads.index("x fewer bytes"), heads.index("x faster") + 1)
    one = Target("test_accuracy", max(highest[:2]))  # which one seed of the first reached, and none of the second
    assert [row[ratios] for row in table([first, second], one, against=True).rows] == [
        ("1 of 2 never",) * 2, ("2 of 2 never",) * 2
    ]  # fmt: skip
    all_of_first = Target("test_accuracy", min(highest[:2]))
    rows = table([first, second], all_of_first, against=True).rows
    assert rows[0][ratios] == ("1", "1") and rows[1][ratios] == ("2 of 2 never",) * 2
    assert table([second, first], all_of_first, against=True).rows[1][ratios] == ("2 of 2 never",) * 2  # the reference


def test_the_best_setting_has_not_diverged(folder):
    groups = compare.groups(compare.load([folder]))
    assert best(groups, "test_accuracy").runs[0].config["step_size"] == 0.5
    assert best(groups, "train_loss").runs[0].config["step_size"] == 0.5
    wild = [group for group in groups if group.runs[0].status == "diverged"]
    assert best(wild, "test_accuracy") is None


def test_seconds_of_a_shared_machine_are_left_out_of_comparisons(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PMOM_RUNS_AT_ONCE", "2")
    experiment.run(RAW | {"momentum": "sgd"}, output=tmp_path / "shared.h5")
    runs = compare.load([folder / "0.5-0.h5", tmp_path / "shared.h5"])
    left_out, shown = (compare.compare(runs, shared=shared)[0].rows[1] for shared in (False, True))
    assert left_out.count("shared") == 2 and shown.count("shared") == 0
    heads = [compare.compare(runs[1:], shared=shared)[0].columns for shared in (False, True)]
    assert ("seconds" in heads[0], "x faster" in heads[0], "seconds" in heads[1]) == (False, False, True)
    assert "no seconds: all runs shared" in said("compare", tmp_path / "shared.h5")[1]
