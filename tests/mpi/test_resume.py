"""A run that was killed goes on bit for bit, on any number of ranks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from test_same_bits import assert_same_bits, contents

from pmom_mpi.analysis import read
from pmom_mpi.cluster import mpirun as launchers
from pmom_mpi.record.checkpoint import generations
from pmom_mpi.runtime import experiment
from pmom_mpi.words.errors import UserError

PARTS = """
import dataclasses, os, signal
from pmom_mpi.problems.mlp import MLP

@dataclasses.dataclass
class Killed(MLP):
    flag: str = ""

    def gradient(self, x, node, iteration, out):
        if iteration == 8 and node == 2 and os.path.exists(self.flag):
            os.unlink(self.flag)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().gradient(x, node, iteration, out)
"""

METHODS = {
    "ef14, nesterov": {"bias": [{"kind": "ef14"}, {"kind": "top_k", "fraction": 0.05}],
                       "momentum": {"kind": "nesterov", "beta": 0.5}, "step_size": 0.05},
    "ef21_sgdm": {"bias": [{"kind": "ef21_sgdm", "beta": 0.5}, {"kind": "top_k", "fraction": 0.05}]},
    "power_sgd": {"bias": [{"kind": "power_sgd"}], "record": {"nodes": True, "flush_seconds": 0}},
    "adaptive clip, noise": {"bias": [{"kind": "clip_adaptive"}, {"kind": "gaussian_noise", "sigma": 0.01}]},
    "local momentum": {"bias": [{"kind": "local_momentum", "beta": 0.5}, {"kind": "rand_k", "fraction": 0.1}]},
    "compressed both ways": {"bias": [{"kind": "ef21"}, {"kind": "scaled_sign"}],
                             "downlink": [{"kind": "power_sgd"}], "step_size": 0.01},
    "nothing to remember": {"bias": []},
}  # fmt: skip


@pytest.fixture
def setting(tmp_path):
    """A config whose run kills itself in iteration 8 once; its undisturbed run."""
    (tmp_path / "resume_parts.py").write_text(PARTS)

    def make(method, **changes):
        raw = {
            "name": "resumed", "iterations": 12, "step_size": 0.3, "momentum": {"kind": "ema", "beta": 0.3},
            "problem": {"kind": "resume_parts:Killed", "hidden": [16, 16], "flag": str(tmp_path / "flag")},
            "data": {"name": "digits", "nodes": 5}, "gradient": {"batch": 32}, "evaluate": {"every": 2},
            "checkpoint": {"every": 3}, "record": {"flush_seconds": 0},
        } | METHODS[method] | changes  # fmt: skip
        path = tmp_path / "resumed.yaml"
        path.write_text(yaml.safe_dump(raw))
        experiment.run(path, output=tmp_path / "whole.h5", overwrite=True)
        return path

    return make


def killed(mpirun, ranks, path, output):
    """Start a run on so many ranks and let it be killed."""
    (path.parent / "flag").touch()
    words = ["run", str(path), "-o", str(output)]
    alone = [sys.executable, "-m", "pmom_mpi", *words]
    done = mpirun(ranks, words) if ranks > 1 else subprocess.run(alone, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 and not (path.parent / "flag").exists(), done.stderr
    with h5py.File(output, "r", swmr=True) as file:
        assert 7 <= len(file["metrics/iteration"]) <= 8


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_run_goes_on_bit_for_bit(mpirun, setting, tmp_path, method):
    path, output = setting(method), tmp_path / "killed.h5"
    killed(mpirun, 1, path, output)
    assert experiment.resume(output).exit_code == 0
    assert_same_bits(contents(output), contents(tmp_path / "whole.h5"))


def test_on_any_other_number_of_ranks(mpirun, setting, tmp_path):
    path, output = setting("ef21_sgdm"), tmp_path / "killed.h5"
    killed(mpirun, 4, path, output)
    for ranks in (1, 2, 5):
        folder = tmp_path / str(ranks)
        folder.mkdir()
        for file in (output, *generations(output)):
            shutil.copy(file, folder)
        done = mpirun(ranks, ["resume", str(folder / output.name)])
        assert done.returncode == 0, done.stderr
        assert_same_bits(contents(folder / output.name), contents(tmp_path / "whole.h5"))


@pytest.fixture
def under_mpich(monkeypatch):
    """``under_mpich()``: from here on jobs are started by MPICH instead of the MPI library that is there otherwise."""
    prefix = Path(os.environ.get("PMOM_MPICH") or Path(sys.prefix, "mpich"))
    library = next(iter(sorted(prefix.glob("lib*/libmpi.so.12*"))), None)
    if library is None:
        pytest.skip(
            "needs MPICH: make setup-mpich, or PMOM_MPICH=PREFIX for one that is there (PREFIX/lib/libmpi.so.12)"
        )
    if launchers.library().vendor == launchers.MPICH:
        pytest.skip("needs another MPI library beside MPICH to start from")

    def change():
        monkeypatch.setenv("MPI4PY_LIBMPI", str(library))
        monkeypatch.setenv("PMOM_MPIRUN", str(prefix / "bin" / "mpirun"))
        launchers.library.cache_clear()
        assert launchers.library().vendor == launchers.MPICH

    yield change
    monkeypatch.undo()
    launchers.library.cache_clear()


def test_under_mpich_what_another_mpi_has_begun(mpirun, setting, tmp_path, under_mpich):
    path, output = setting("ef21_sgdm"), tmp_path / "killed.h5"
    killed(mpirun, 3, path, output)
    under_mpich()
    done = mpirun(4, ["resume", str(output)])
    assert done.returncode == 0, done.stderr
    assert_same_bits(contents(output), contents(tmp_path / "whole.h5"))
    (resumed,) = read.load(output).events
    assert resumed.what.startswith("resumed on 4 ranks, MPI: MPICH")


def test_a_damaged_generation_is_passed_over(mpirun, setting, tmp_path):
    path, output = setting("ef21_sgdm", checkpoint={"every": 2}), tmp_path / "killed.h5"
    killed(mpirun, 1, path, output)
    newest, *_ = generations(output)
    data = bytearray(newest.read_bytes())
    for place in range(len(data) // 4, len(data), len(data) // 7):
        data[place] ^= 0xFF
    newest.write_bytes(data)
    done = mpirun(1, ["resume", str(output)])
    assert done.returncode == 0, done.stderr
    assert "passed over" in done.stderr and str(newest) in done.stderr
    assert_same_bits(contents(output), contents(tmp_path / "whole.h5"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_saves_and_a_requeued_job_goes_on(setting, tmp_path, number):
    path, output = setting("ef21_sgdm", checkpoint={}, iterations=400), tmp_path / "stopped.h5"
    command = [sys.executable, "-m", "pmom_mpi", "run", "--resume", str(path), "-o", str(output)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.lstrip().startswith("1/"):
            break
    os.kill(process.pid, number)
    process.communicate(timeout=60)
    assert process.returncode == 128 + number
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert_same_bits(contents(output), contents(tmp_path / "whole.h5"))
    if number == signal.SIGTERM:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0 and "nothing is left to do" in done.stderr


def test_more_iterations_give_what_a_longer_run_gives(setting, tmp_path):
    path = setting("ef14, nesterov")
    shutil.copy(tmp_path / "whole.h5", tmp_path / "short.h5")
    for file in generations(tmp_path / "whole.h5"):
        shutil.copy(file, tmp_path / file.name.replace("whole", "short"))
    experiment.resume(tmp_path / "short.h5", extend=17)
    experiment.run(path, ["iterations=17"], output=tmp_path / "long.h5")
    assert_same_bits(contents(tmp_path / "short.h5"), contents(tmp_path / "long.h5"))
    with pytest.raises(UserError, match="iterations: 5 is less than the 17"):
        experiment.resume(tmp_path / "short.h5", extend=5)


def test_under_another_name_and_checked_for_determinism_it_goes_on_as_well(setting, tmp_path, capfd):
    path, output = setting("ef21_sgdm"), tmp_path / "old.h5"
    killed(None, 1, path, output)
    experiment.run(path, ["name=renamed"], output=output, resume=True, check_determinism=True)
    assert "determinism: " in capfd.readouterr().err
    assert_same_bits(contents(output), contents(tmp_path / "whole.h5"))
    with h5py.File(output) as file:
        assert yaml.safe_load(file.attrs["config"])["name"] == "renamed"
        assert any("resumed on 1 ranks" in str(what) for what in file["events/what"].asstr()[()])


def test_what_bends_the_trajectory_may_not_change(setting, tmp_path):
    path = setting("ef21_sgdm")
    with pytest.raises(UserError, match=r"momentum\.beta is 0\.9, but the run in .*whole\.h5 has 0\.3"):
        experiment.run(path, ["momentum.beta=0.9"], output=tmp_path / "whole.h5", resume=True)
    setting("ef21_sgdm", step_size={"kind": "cosine", "value": 0.1})
    with pytest.raises(UserError, match="the step size depends on their number"):
        experiment.resume(tmp_path / "whole.h5", extend=20)


def test_what_cannot_be_resumed_is_one_line(tmp_path):
    (tmp_path / "junk.h5").write_bytes(b"junk")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.zeros(3)
    for name, words in (("none.h5", "no such run file"), ("junk.h5", "not an HDF5 file"), ("other.h5", "no run file")):
        with pytest.raises(UserError, match=words):
            experiment.resume(tmp_path / name)
