"""The command that starts a job, for every MPI, and a real job started with it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pmom_mpi.cluster.cores import Cores
from pmom_mpi.cluster.environment import Allocation
from pmom_mpi.cluster.launch import compose, launch_command, pmom
from pmom_mpi.cluster.mpirun import INTEL, MPICH, OPEN_MPI, UNKNOWN, Mpirun, find, with_path

ROOT = Path(__file__).parents[2]
FOUR = Cores(online=8, logical=8, physical=4, quota=None)


def words(vendor: str, ranks: int, threads: int = 1, granted: Allocation | None = None, root: bool = False):
    return compose(Mpirun("/opt/mpirun", vendor, ""), ranks, ["pmom", "run", "a b.yaml"], threads, FOUR, granted, root)


@pytest.mark.parametrize("vendor", [OPEN_MPI, MPICH, INTEL, UNKNOWN])
@pytest.mark.parametrize("ranks", [1, 4, 5])
def test_every_launcher_gets_ranks_threads_and_the_program(vendor, ranks):
    command = words(vendor, ranks, threads=2)
    assert command.words[:3] == ("/opt/mpirun", "-n", str(ranks))
    assert command.words[-3:] == ("pmom", "run", "a b.yaml")
    assert command.variables["OPENBLAS_NUM_THREADS"] == "2"


@pytest.mark.parametrize(
    ("vendor", "bound", "free"),
    [
        (OPEN_MPI, ["--bind-to core", "slot:pe=1"], ["--bind-to none", "--oversubscribe"]),
        (MPICH, ["-bind-to core:1"], ["-bind-to none"]),
        (INTEL, ["I_MPI_PIN=1"], ["I_MPI_PIN=0"]),
    ],
)
def test_ranks_are_bound_only_where_each_has_a_core(vendor, bound, free):
    fits, crowded = str(words(vendor, 4)), str(words(vendor, 5))
    assert all(word in fits and word not in crowded for word in bound)
    assert all(word in crowded and word not in fits for word in free)


def test_what_matters_is_told_in_a_line():
    assert words(OPEN_MPI, 5).told == "mpirun of Open MPI: 5 ranks, not bound (4 cores)"
    assert words(MPICH, 1).told == "mpirun of MPICH: 1 rank, bound to a core"
    assert words(INTEL, 2, threads=2).told == "mpirun of Intel MPI: 2 ranks of 2 threads, bound to 2 cores each"
    assert words(UNKNOWN, 2).told == "/opt/mpirun -n 2, an MPI that is not known here: no flags are set"


def test_an_allocation_counts_its_own_slots():
    granted = Allocation("Slurm", tasks=(3, 3), cpus=(3, 3))
    assert "--bind-to core" in str(words(OPEN_MPI, 6, granted=granted))
    assert "--oversubscribe" in str(words(OPEN_MPI, 7, granted=granted))


def test_threads_are_bound_to_the_cpus_of_their_task():
    granted = Allocation("Slurm", tasks=(2, 2), cpus=(4, 4))
    assert "--map-by slot:pe=2 --bind-to core" in str(words(OPEN_MPI, 4, threads=2, granted=granted))
    assert "--map-by slot:pe=1:oversubscribe --bind-to core" in str(words(OPEN_MPI, 8, granted=granted))
    assert "--bind-to none" in str(words(OPEN_MPI, 3, threads=3, granted=granted))  # each host holds one such rank
    assert "-bind-to core:2" in str(words(MPICH, 4, threads=2, granted=granted))


@pytest.mark.parametrize(("tasks", "ranks", "threads"), [(4, 8, 2), (1, 6, 2), (4, 4, 4), (8, 10, 1)])
def test_open_mpi_gives_every_rank_cores_of_its_own_on_hosts_that_it_simulates(tasks, ranks, threads):
    """Two hosts of eight cores each; nothing is started."""
    mpirun = find()
    if mpirun.vendor != OPEN_MPI or "5.0" not in mpirun.version:
        pytest.skip("its mpirun simulates hosts")
    granted, eight = Allocation("Slurm", (tasks,) * 2, (8, 8)), Cores(8, 8, 8, None)
    made = compose(mpirun, ranks, ["hostname"], threads, eight, granted, os.geteuid() == 0)
    hosts = ["--prtemca", "ras", "simulator", "--prtemca", "ras_simulator_num_nodes", "2"]
    hosts += ["--prtemca", "ras_simulator_slots", str(tasks), "--display", "bind", "--rtos", "donotlaunch"]
    done = subprocess.run(
        [made.words[0], *hosts, *made.words[1:]], capture_output=True, text=True, timeout=60,
        env=with_path(mpirun.path) | dict(made.variables) | {"HWLOC_SYNTHETIC": "package:1 core:8 pu:1"},
    )  # fmt: skip
    found = re.findall(r"Node (\w+) bound to package\[0\]\[(?:hwt|core):L?(\d+)-?(\d*)\]", done.stdout)
    assert len(found) == ranks, done.stdout + done.stderr
    own = [(host, core) for host, low, high in found for core in range(int(low), int(high or low) + 1)]
    assert len(own) == len(set(own)) == ranks * threads


def test_slots_that_are_hardware_threads_are_not_bound_to_cores():
    granted = Allocation("Slurm", tasks=(8, 8), cpus=(8, 8))
    assert "--bind-to core" in str(words(OPEN_MPI, 8, granted=granted))
    assert "--bind-to none" in str(words(OPEN_MPI, 9, granted=granted))


def test_root_must_be_allowed_by_open_mpi():
    assert words(OPEN_MPI, 2, root=True).variables["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] == "1"
    assert "OMPI_ALLOW_RUN_AS_ROOT" not in words(OPEN_MPI, 2).variables


def test_what_is_printed_can_be_typed():
    command = words(OPEN_MPI, 5, root=True)
    typed = shlex.split(str(command))
    assert tuple(typed[len(command.variables) :]) == command.words
    assert typed[: len(command.variables)] == [f"{name}={value}" for name, value in command.variables.items()]


def test_dry_run_prints_what_would_be_executed():
    done = subprocess.run(
        [sys.executable, "-m", "pmom_mpi", "launch", "-n", "3", "--dry-run", "x.yaml", "-s", "seed=1"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.strip() == str(launch_command(3, pmom("run", "x.yaml", "-s", "seed=1")))


@pytest.mark.parametrize("ranks", [1, 3])
def test_launch_runs_a_job_and_hands_its_exit_status_on(tmp_path, ranks):
    def launch(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pmom_mpi", "launch", "-n", str(ranks), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    config = tmp_path / "launched.yaml"
    config.write_text(
        "iterations: 3\nstep_size: 0.1\nproblem: {kind: mlp, hidden: [8]}\ndata: {name: digits, nodes: 4}\n"
    )
    done = launch(str(config), "-o", str(tmp_path / "launched.h5"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "launched.h5").exists()
    assert re.search(rf"^mpi\S+ of .* MPI: {ranks} ranks?, .*bound.*; -v says more$", done.stderr, re.M)
    assert " -n " not in done.stderr
    assert f" -n {ranks} " in launch(str(config), "-v", "-s", "iterations=1", "-o", str(tmp_path / "v.h5")).stderr
    assert launch(str(config), "-s", "step_size=-1").returncode == 2


def test_a_wrong_mpirun_is_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pmom_mpi", "launch", "-n", "2", "x.yaml"],
        capture_output=True, text=True, timeout=60, env={"PMOM_MPIRUN": str(tmp_path / "nowhere"), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines() == [line for line in done.stderr.splitlines() if "PMOM_MPIRUN" in line]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["quickstart", "-s", "step_size=-1"], "step_size"),
        (["quickstart", "-s", "bias.0.fractoin=1"], "did you mean 'fraction'?"),
        (["nowhere.yaml"], "cannot read the config"),
        (["quickstart", "--quite"], "no such option '--quite'"),
    ],
)
def test_what_is_wrong_with_the_config_is_said_before_mpi_starts(arguments, words, tmp_path):
    """The launcher is a program that does nothing and ends well."""
    done = subprocess.run(
        [sys.executable, "-m", "pmom_mpi", "launch", "-n", "2", *arguments],
        capture_output=True, text=True, timeout=60, env=os.environ | {"PMOM_MPIRUN": "true"},
    )  # fmt: skip
    assert done.returncode == 2 and words in done.stderr
    assert "-n 2" not in done.stderr


@pytest.mark.parametrize("script", ["one-node", "several-nodes", "seeds"])
@pytest.mark.parametrize("named", [(), ("-o", "mine.h5")])
def test_a_job_script_names_the_run_file_unless_the_user_does(script, named, tmp_path):
    """The script as Slurm would start it, one rank, with this Python's pmom where 'make setup' would have put it."""
    program = tmp_path / ".venv" / "bin" / "pmom"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\n[ $1 = doctor ] || exec {sys.executable} -m pmom_mpi "$@"\n')
    program.chmod(0o755)
    variables = {"SLURM_SUBMIT_DIR": tmp_path, "SLURM_NTASKS": 1, "SLURM_JOB_NAME": "job", "SLURM_JOB_ID": 7}
    array = {"SLURM_ARRAY_JOB_ID": 7, "SLURM_ARRAY_TASK_ID": 3}
    done = subprocess.run(
        ["bash", ROOT / "jobs" / f"{script}.sbatch", "quickstart", "-s", "iterations=2", *named],
        capture_output=True, text=True, timeout=120,
        env=os.environ | {name: str(value) for name, value in (variables | array).items()},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.h5")}
    assert files == ({"mine.h5"} if named else {"results/job-7-3.h5" if script == "seeds" else "results/job-7.h5"})


@pytest.fixture
def pmom_noted(tmp_path):
    """``pmom_noted(*arguments)``: what pmom prints, and what it has mpirun do: one that only writes it down."""
    mpirun, notes = tmp_path / "mpirun", tmp_path / "noted"
    mpirun.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "mpirun (Open MPI) 5.0.11" || echo "$*" >> {notes}\n')
    mpirun.chmod(0o755)

    def call(*arguments: str) -> tuple[str, str]:
        notes.write_text("")
        done = subprocess.run(
            [sys.executable, "-m", "pmom_mpi", *arguments], capture_output=True, text=True, timeout=60, cwd=tmp_path,
            env=os.environ | {"PMOM_MPIRUN": str(mpirun)},
        )  # fmt: skip
        return done.stdout + done.stderr, notes.read_text()

    return call


def test_whatever_starts_ranks_asks_for_fault_tolerance_where_the_config_does(pmom_noted, tmp_path):
    text = "iterations: 2\nstep_size: 0.1\nproblem: {kind: softmax_regression}\ndata: {name: digits, nodes: 2}\n"
    tolerant, never = "transport: {fault_tolerant: true}\n", ("-s", "transport.fault_tolerant=false")
    (tmp_path / "t.yaml").write_text(text + tolerant + "output: t.h5\n")
    (tmp_path / "sweep.yaml").write_text("base:\n" + textwrap.indent(text + tolerant, "  ") + "seeds: 1\n")
    assert "--with-ft ulfm" in pmom_noted("launch", "-n", "3", "t.yaml")[1]
    assert "--with-ft" not in pmom_noted("launch", "-n", "3", "t.yaml", *never)[1]
    assert "--with-ft ulfm" in pmom_noted("launch", "-n", "3", "--dry-run", "t.yaml")[0]
    assert "--with-ft" not in pmom_noted("launch", "-n", "3", "--dry-run", "t.yaml", *never)[0]
    said, _ = pmom_noted("launch", "-n", "3", "--dry-run", "elsewhere.yaml")
    assert (
        "note: not read, so as if transport.fault_tolerant were false: elsewhere.yaml" in said and "--with" not in said
    )
    assert pmom_noted("run", "t.yaml", "-q")[1] == ""
    assert "--with-ft ulfm" in pmom_noted("resume", "t.h5", "-n", "3", "--extend", "4")[1]
    assert "--with-ft ulfm" in pmom_noted("sweep", "sweep.yaml", "-n", "3", "-o", "out")[1]
